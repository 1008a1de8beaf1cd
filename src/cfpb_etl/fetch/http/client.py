"""One answer from a server of CFPB's: its body, or what went wrong by name."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from cfpb_etl import __version__
from cfpb_etl.fetch.http.errors import (
    SEARCH_API,
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
from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cfpb_etl.fetch.http.errors import Server, ServerError

LARGEST_BODY = 256 * 2**20  # bytes; 10,000 complaints of today are 6.6 MB
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 90  # seconds; 10,000 complaints were seen to take 11.6 s
LONGEST_ANSWER = 300  # seconds for a whole body, however steadily it trickles

_CHUNK = 2**18  # bytes
_USER_AGENT = f"cfpb-etl/{__version__} (open-source ETL to SQLite; python-requests)"


def get_json(url: str) -> bytearray:
    """Return the body of an answer that says it is JSON.

    Raises:
        ServerError: One of its subclasses.
    """
    response, body = _whole_answer(url, SEARCH_API)
    status, start = response.status_code, start_of(body)
    if status in _OF_A_SEARCH:
        raise _OF_A_SEARCH[status](url, status=status, body_start=start)
    raise_unless_ok(response, start, url, SEARCH_API)
    if media_type(response) != "application/json":
        kind = response.headers.get("Content-Type", "no Content-Type")
        raise NotJsonError(url, status=status, body_start=start, detail=kind)
    return body


def get_page(url: str, server: Server) -> str:
    """Return the text of a web page.

    Raises:
        ServerError: One of its subclasses.
    """
    response, body = _whole_answer(url, server)
    raise_unless_ok(response, start_of(body), url, server)
    return body.decode("utf-8", "replace")


def _whole_answer(url: str, server: Server) -> tuple[requests.Response, bytearray]:
    deadline = time.monotonic() + LONGEST_ANSWER
    body = bytearray()
    with answer_of(url, server) as response, _cut_off(response, LONGEST_ANSWER):
        try:
            for chunk in chunks_of(response, url, server):
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise TooLargeError(url, status=response.status_code, server=server)
                if time.monotonic() >= deadline:
                    break
        except CutBodyError:
            if time.monotonic() < deadline:
                raise
    if time.monotonic() >= deadline:
        raise UnreachableError(url, detail=f"no end within {LONGEST_ANSWER} s", server=server)
    return response, body


@contextmanager
def _cut_off(response: requests.Response, seconds: float) -> Iterator[None]:
    """End an answer that takes longer: a read waits for all of a chunk, however it trickles."""

    def shut() -> None:
        # It has come to its end meanwhile; while it is closed, there is nothing to call.
        with suppress(RuntimeError, ValueError, TypeError, OSError):
            response.raw.shutdown()

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def answer_of(
    url: str, server: Server, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """Ask a server once, and yield its answer with the body still to come, whatever its status.

    Raises:
        ServerError: One of its subclasses, when no answer came.
    """
    # A session for each request: at 20 a minute a kept connection is as often a dead one.
    with requests.Session() as session:
        with _named(url, server):
            response = session.get(
                url,
                headers={"User-Agent": _USER_AGENT, **(headers or {})},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
                # Before it follows one, requests reads a redirect's body whole, however long.
                allow_redirects=False,
            )
        with response:
            yield response


def chunks_of(response: requests.Response, url: str, server: Server) -> Iterator[bytes]:
    """Yield the body of an answer while it comes.

    Raises:
        ServerError: One of its subclasses, when it does not come to its end.
    """
    came = 0
    with _named(url, server):
        try:
            for chunk in response.iter_content(_CHUNK):
                came += len(chunk)
                yield chunk
        except requests.exceptions.ChunkedEncodingError as error:
            raise CutBodyError(url, detail=f"after {came:,} bytes", server=server) from error


@contextmanager
def _named(url: str, server: Server) -> Iterator[None]:
    """Give what requests raises the name of its situation."""
    try:
        yield
    except requests.Timeout as error:
        silent = f"no answer within {READ_TIMEOUT} s"
        raise UnreachableError(url, detail=silent, server=server) from error
    except requests.ConnectionError as error:
        raise UnreachableError(url, detail=_reason(error), server=server) from error
    except requests.RequestException as error:
        raise UnexpectedBodyError(url, detail=str(error), server=server) from error
    except ValueError as error:  # urllib3's, of a host name that cannot be one
        raise UnreachableError(url, detail=str(error), server=server) from error


def _reason(error: BaseException) -> str:
    """Return what the system said at the bottom of a chain of exceptions, without the chain."""
    said = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            said = cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return said


_OF_A_SEARCH: Mapping[int, type[ServerError]] = {
    400: RefusedQueryError,
    424: SearchBackendError,
}
_OF_ANY: Mapping[int, type[ServerError]] = {
    403: AccessDeniedError,
    404: NotFoundError,
}


def raise_unless_ok(response: requests.Response, start: str, url: str, server: Server) -> None:
    """Give a status other than 200 its name.

    Args:
        response: The answer.
        start: The beginning of its body, as `start_of` tells it.
        url: What was asked for.
        server: Who was asked.

    Raises:
        ServerError: One of its subclasses.
    """
    status = response.status_code
    if status == requests.codes.too_many_requests:
        wait = _retry_after(response)
        raise ThrottledError(url, retry_after=wait, body_start=start, server=server)
    if status >= requests.codes.internal_server_error or status == requests.codes.request_timeout:
        raise ServerFailureError(
            url, status=status, body_start=start, detail=str(status), server=server
        )
    if status in _OF_ANY:
        raise _OF_ANY[status](url, status=status, body_start=start, server=server)
    if status != requests.codes.ok:
        elsewhere = f"{status} {response.headers.get('Location', '')[:200]}".rstrip()
        raise UnexpectedStatusError(
            url, status=status, body_start=start, detail=elsewhere, server=server
        )


def media_type(response: requests.Response) -> str:
    """Return what an answer says that it is, such as `application/json`, or ""."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _retry_after(response: requests.Response) -> float:
    """Return the seconds of Retry-After: CFPB sends a whole number (CCDB_API.md section 6).

    Anything else, or more than an hour, is taken as the whole window.
    """
    text = response.headers.get("Retry-After", "")
    seconds = int(text) if re.fullmatch(r"\d{1,4}", text, re.ASCII) else CFPB_RATE_LIMIT.seconds
    return min(seconds, 3600)


def start_of(body: bytes | bytearray) -> str:
    """Return the beginning of a body as one short line."""
    return " ".join(body[:400].decode("utf-8", "replace").split())[:120]


def is_sound_address(url: str) -> bool:
    """Say whether a request can be made of an address, and tells nobody a password."""
    try:
        parts = urlsplit(url)
        requests.Request("GET", url).prepare()
    except ValueError:  # requests' own and urllib3's are such
        return False
    return parts.scheme in ("http", "https") and parts.username is None
