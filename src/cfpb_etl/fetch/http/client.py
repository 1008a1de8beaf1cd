"""HTTP requests to CFPB's servers. Each returns a response body or raises a `ServerError`.

The package makes all its requests to CFPB here.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec
import requests

from cfpb_etl import __version__
from cfpb_etl.fetch.http.addresses import whole
from cfpb_etl.fetch.http.errors import (
    SEARCH_API,
    CutBodyError,
    ThrottledError,
    TooLargeError,
    UnexpectedBodyError,
    UnreachableError,
    WrongContentError,
    status_error,
)
from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT
from cfpb_etl.model.dates import http_day
from cfpb_etl.plain_text import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cfpb_etl.fetch.http.errors import Server

MAX_BODY = 256 * 2**20  # bytes; 10,000 complaints have 6.6 MB (docs/facts.md, "Page size")
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 90  # seconds; CFPB took 11.6 s to send 10,000 complaints
MAX_ANSWER_SECONDS = 300  # seconds for a whole body, even if it arrives slowly

_CHUNK = 2**18  # bytes
_SEARCHED = 2**12  # bytes of a body that are searched for secrets
_USER_AGENT = f"cfpb-etl/{__version__} (open-source ETL to SQLite; python-requests)"

T = TypeVar("T")


def get_json(url: str) -> tuple[bytearray, str | None]:
    """Request a URL, and return the answer, which must have the content type JSON.

    Returns:
        The body, and today by the server's clock, as in `server_day`.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    response, body = _get(url, SEARCH_API)
    if media_type(response) != "application/json":
        raise WrongContentError(
            url,
            status=response.status_code,
            body_start=start_of(body),
            detail=response.headers.get("Content-Type", "no Content-Type"),
        )
    return body, server_day(response)


def get_page(url: str, server: Server) -> str:
    """Return the text of a web page.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    _, body = _get(url, server)
    return body.decode("utf-8", "replace")


def decode_json(text: bytearray | msgspec.Raw, url: str, type_: type[T]) -> T:
    """Decode received JSON as the given type, and return the value.

    Raises:
        UnexpectedBodyError: If the text is not JSON of this type.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    # msgspec raises these three errors (https://github.com/msgspec/msgspec/issues/714).
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedBodyError(
            url, body_start=start_of(bytes(text)), detail=f"not the expected JSON: {error}"
        ) from None


def _get(url: str, server: Server) -> tuple[requests.Response, bytearray]:
    deadline = time.monotonic() + MAX_ANSWER_SECONDS
    body = bytearray()
    with open_response(url, server) as response, _time_limit(response, MAX_ANSWER_SECONDS):
        try:
            for chunk in chunks_of(response, url, server):
                body += chunk
                if len(body) > MAX_BODY:
                    detail = f"it has more than {MAX_BODY:,} bytes"
                    raise TooLargeError(
                        url, status=response.status_code, detail=detail, server=server
                    )
                if time.monotonic() >= deadline:
                    break
        except CutBodyError:
            if time.monotonic() < deadline:
                raise
    if time.monotonic() >= deadline:
        detail = f"the answer was not complete within {MAX_ANSWER_SECONDS} s"
        raise UnreachableError(url, detail=detail, server=server)
    raise_unless_ok(response, start_of(body), url, server)
    return response, body


@contextmanager
def _time_limit(response: requests.Response, seconds: float) -> Iterator[None]:
    """End an answer that takes too long, because reading a slow chunk has no time limit."""

    def shut_down() -> None:
        # The answer may have ended already. While the answer is being closed, its parts are None.
        with suppress(RuntimeError, ValueError, TypeError, OSError):
            response.raw.shutdown()

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def open_response(
    url: str, server: Server, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """Make one HTTP request, and yield the answer before its body arrives. Any status is accepted.

    Raises:
        ServerError: If the server does not answer; each subclass is one kind of failure.
    """
    # Each request has its own session: at 20 requests a minute, a kept connection is often dead.
    with requests.Session() as session:
        with _named_errors(url, server):
            response = session.get(
                whole(url),
                headers={"User-Agent": _USER_AGENT, **(headers or {})},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
                # To follow a redirect, requests would first read the whole body, of any length.
                allow_redirects=False,
            )
        with response:
            yield response


def chunks_of(response: requests.Response, url: str, server: Server) -> Iterator[bytes]:
    """Yield the chunks of a body as they arrive.

    Raises:
        ServerError: If the body is not complete; each subclass is one kind of failure.
    """
    received = 0
    with _named_errors(url, server):
        try:
            for chunk in response.iter_content(_CHUNK):
                received += len(chunk)
                yield chunk
        except requests.exceptions.ChunkedEncodingError as error:
            raise CutBodyError(url, detail=f"after {received:,} bytes", server=server) from error


@contextmanager
def _named_errors(url: str, server: Server) -> Iterator[None]:
    """Convert the errors of requests and urllib3 to errors of this package."""
    try:
        yield
    except requests.Timeout as error:
        detail = f"no answer within {READ_TIMEOUT} s"
        raise UnreachableError(url, detail=detail, server=server) from error
    except requests.ConnectionError as error:
        raise UnreachableError(url, detail=_reason(error), server=server) from error
    except requests.RequestException as error:
        raise UnexpectedBodyError(url, detail=str(error), server=server) from error
    except ValueError as error:  # urllib3 raises this for an invalid host name
        raise UnreachableError(url, detail=str(error), server=server) from error


def _reason(error: BaseException) -> str:
    """Return the operating system's message at the bottom of a chain of exceptions."""
    reason = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            reason = cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return reason


def raise_unless_ok(response: requests.Response, body_start: str, url: str, server: Server) -> None:
    """Raise an error unless the status of an answer is 200.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    status = response.status_code
    if status == requests.codes.ok:
        return
    kind = status_error(status, server)
    if kind is ThrottledError:
        wait = _retry_after(response)
        raise ThrottledError(
            url,
            status=status,
            body_start=body_start,
            detail=f"retry in {wait:g} s",
            server=server,
            retry_after=wait,
        )
    location = response.headers.get("Location", "")
    raise kind(url, status=status, body_start=body_start, detail=location, server=server)


def server_day(response: requests.Response) -> str | None:
    """Return today by the server's clock, `YYYY-MM-DD` in UTC; None if the answer has no date."""
    return http_day(response.headers.get("Date"))


def media_type(response: requests.Response) -> str:
    """Return the content type of an answer, such as `application/json`; "" if it is missing."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _retry_after(response: requests.Response) -> float:
    """Return the seconds in the header Retry-After.

    CFPB sends whole seconds (docs/facts.md, "Rate limit"). Any other value counts as the whole
    window of the rate limit. The maximum is one hour.
    """
    text = response.headers.get("Retry-After", "")
    seconds = int(text) if re.fullmatch(r"\d{1,4}", text, re.ASCII) else CFPB_RATE_LIMIT.seconds
    return min(seconds, 3600)


def start_of(body: bytes | bytearray) -> str:
    """Return the start of a body as one short line."""
    # Secrets are removed before the text is cut: half a secret may not be found.
    text = without_secrets(body[:_SEARCHED].decode("utf-8", "replace"))
    return " ".join(text.split())[:120]


def url_with(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return a URL with request parameters."""
    return str(requests.Request("GET", url, params=parameters).prepare().url)
