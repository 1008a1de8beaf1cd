"""One answer from CFPB's server: its body, or what went wrong by name."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import requests

from cfpb_etl import __version__
from cfpb_etl.errors import (
    AccessDeniedError,
    CutBodyError,
    NotFoundError,
    NotJsonError,
    RefusedQueryError,
    SearchBackendError,
    ServerFailureError,
    ThrottledError,
    TooLargeError,
    UnexpectedBodyError,
    UnexpectedStatusError,
    UnreachableError,
)
from cfpb_etl.pace import CFPB_SEARCHES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cfpb_etl.errors import SearchApiError

LARGEST_BODY = 256 * 2**20  # bytes; 10,000 complaints of today are 6.6 MB
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 90  # seconds; 10,000 complaints were seen to take 11.6 s
LONGEST_ANSWER = 300  # seconds for a whole body, however steadily it trickles

_USER_AGENT = f"cfpb-etl/{__version__} (open-source ETL to SQLite; python-requests)"


def get_json(url: str) -> bytearray:
    """Return the body of an answer that says it is JSON.

    Raises:
        SearchApiError: One of its subclasses.
    """
    deadline = time.monotonic() + LONGEST_ANSWER
    body = bytearray()
    try:
        # A session for each request: at 20 a minute a kept connection is as often a dead one.
        with (
            requests.Session() as session,
            session.get(
                url,
                headers={"User-Agent": _USER_AGENT},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
                # Before it follows one, requests reads a redirect's body whole, however long.
                allow_redirects=False,
            ) as response,
        ):
            for chunk in response.iter_content(2**18):
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise TooLargeError(url, status=response.status_code)
                if time.monotonic() > deadline:
                    raise UnreachableError(url, detail=f"no end within {LONGEST_ANSWER} s")
    except requests.exceptions.ChunkedEncodingError as error:
        raise CutBodyError(url, detail=f"after {len(body):,} bytes") from error
    except requests.Timeout as error:
        raise UnreachableError(url, detail=f"no answer within {READ_TIMEOUT} s") from error
    except requests.ConnectionError as error:
        raise UnreachableError(url, detail=_reason(error)) from error
    except requests.RequestException as error:
        raise UnexpectedBodyError(url, detail=str(error)) from error
    except ValueError as error:  # urllib3's, of a host name that cannot be one
        raise UnreachableError(url, detail=str(error)) from error
    _raise_unless_json(response, body, url)
    return body


def _reason(error: BaseException) -> str:
    """Return what the system said at the bottom of a chain of exceptions, without the chain."""
    said = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            said = cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return said


_BY_STATUS: Mapping[int, type[SearchApiError]] = {
    400: RefusedQueryError,
    403: AccessDeniedError,
    404: NotFoundError,
    424: SearchBackendError,
}


def _raise_unless_json(response: requests.Response, body: bytearray, url: str) -> None:
    status = response.status_code
    start = start_of(body)
    if status == requests.codes.too_many_requests:
        raise ThrottledError(url, retry_after=_retry_after(response), body_start=start)
    if status >= requests.codes.internal_server_error or status == requests.codes.request_timeout:
        raise ServerFailureError(url, status=status, body_start=start, detail=str(status))
    if status in _BY_STATUS:
        raise _BY_STATUS[status](url, status=status, body_start=start)
    if status != requests.codes.ok:
        elsewhere = f"{status} {response.headers.get('Location', '')[:200]}".rstrip()
        raise UnexpectedStatusError(url, status=status, body_start=start, detail=elsewhere)
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise NotJsonError(url, status=status, body_start=start, detail=kind or "no Content-Type")


def _retry_after(response: requests.Response) -> float:
    """Return the seconds of Retry-After: CFPB sends a whole number (CCDB_API.md section 6).

    Anything else, or more than an hour, is taken as the whole window.
    """
    text = response.headers.get("Retry-After", "")
    seconds = int(text) if re.fullmatch(r"\d{1,4}", text, re.ASCII) else CFPB_SEARCHES.seconds
    return min(seconds, 3600)


def start_of(body: bytes | bytearray) -> str:
    """Return the beginning of a body as one short line."""
    return " ".join(body[:400].decode("utf-8", "replace").split())[:120]
