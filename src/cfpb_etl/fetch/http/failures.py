"""Converts the errors of requests and urllib3 to errors of this package."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import BadStatusLine, HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING, NamedTuple

import requests
from urllib3.exceptions import InvalidChunkLength, ReadTimeoutError

from cfpb_etl.fetch.http.errors import (
    CutBodyError,
    InvalidHttpError,
    ServerError,
    SlowAnswerError,
    UnexpectedBodyError,
    UnreachableError,
)
from cfpb_etl.fetch.http.time_limit import TooSlow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.fetch.http.errors import Server

_HTTP = "HTTP/"


class Limits(NamedTuple):
    """The time limits of a request, in seconds.

    Attributes:
        connect: For the connection.
        read: For the time between two bytes.
        answer: For the whole answer.
    """

    connect: float
    read: float
    answer: float


@contextmanager
def named_errors(url: str, server: Server, limits: Limits) -> Iterator[None]:
    """Convert the errors of a request, until its body arrives."""
    try:
        yield
    except TooSlow as error:
        detail = f"the answer was not complete within {limits.answer} s"
        raise SlowAnswerError(url, detail=detail, server=server) from error
    except requests.ConnectTimeout as error:
        detail = f"no connection within {limits.connect} s"
        raise UnreachableError(url, detail=detail, server=server) from error
    except requests.Timeout as error:
        detail = f"no answer within {limits.read} s"
        raise SlowAnswerError(url, detail=detail, server=server) from error
    except requests.ConnectionError as error:
        raise _connection_error(error, url, server, limits) from error
    except requests.exceptions.InvalidHeader as error:
        raise InvalidHttpError(url, detail=str(error), server=server) from error
    except requests.RequestException as error:
        raise UnexpectedBodyError(url, detail=str(error), server=server) from error
    except ValueError as error:  # urllib3 raises this for an invalid host name
        raise UnreachableError(url, detail=str(error), server=server) from error


@contextmanager
def named_cuts(received: int, url: str, server: Server) -> Iterator[None]:
    """Convert the errors of a body that is cut off or damaged, after this many bytes."""
    try:
        yield
    except requests.exceptions.ChunkedEncodingError as error:
        is_damaged = any(isinstance(cause, InvalidChunkLength) for cause in _causes(error))
        detail = "its chunks are damaged" if is_damaged else "the connection ended"
        detail += f" after {received:,} bytes" if received else ""
        raise CutBodyError(url, detail=detail, server=server) from error
    except requests.exceptions.ContentDecodingError as error:
        detail = "its compression is damaged"
        raise CutBodyError(url, detail=detail, server=server) from error


def _connection_error(
    error: requests.ConnectionError, url: str, server: Server, limits: Limits
) -> ServerError:
    """Return the error for a connection that failed before or after the answer has begun."""
    for cause in _causes(error):
        if isinstance(cause, ReadTimeoutError):
            detail = f"nothing more arrived within {limits.read} s"
            return SlowAnswerError(url, detail=detail, server=server)
        if isinstance(cause, BadStatusLine) and not isinstance(cause, RemoteDisconnected):
            line = str(cause.args[0])
            if not line.endswith("\n") and line[: len(_HTTP)] == _HTTP[: len(line)]:
                detail = "the connection ended within the first line"
                return CutBodyError(url, detail=detail, server=server)
            detail = f"its first line is {line[:60]!r}"
            return InvalidHttpError(url, detail=detail, server=server)
        if isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected):
            return InvalidHttpError(url, detail=str(cause), server=server)
    return UnreachableError(url, detail=_reason(error), server=server)


def _reason(error: BaseException) -> str:
    """Return the operating system's message at the bottom of a chain of exceptions."""
    reason = str(error)
    for cause in _causes(error):
        if isinstance(cause, OSError):
            reason = cause.strerror or str(cause)
    return reason


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, from the outermost to the first."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
