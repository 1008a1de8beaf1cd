"""HTTP requests to CFPB's servers. Each returns a response body or raises a `ServerError`.

The package makes all its requests to CFPB here.
"""

from __future__ import annotations

import codecs
import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import requests

from cfpb_etl import __version__
from cfpb_etl.fetch.http.addresses import whole
from cfpb_etl.fetch.http.completeness import is_page_cut
from cfpb_etl.fetch.http.errors import (
    SEARCH_API,
    CutBodyError,
    RetriableError,
    ServerError,
    ThrottledError,
    TooLargeError,
    UnexpectedBodyError,
    WrongContentError,
    status_error,
)
from cfpb_etl.fetch.http.failures import Limits, named_cuts, named_errors
from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT, MAX_WAIT, retry_after
from cfpb_etl.fetch.http.session import Connection
from cfpb_etl.fetch.http.time_limit import time_limit
from cfpb_etl.model.dates import http_day
from cfpb_etl.plain_text import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cfpb_etl.fetch.http.errors import Server

MAX_BODY = 256 * 2**20  # bytes; 10,000 complaints have 6.6 MB (docs/facts.md, "Page size")
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 90  # seconds; CFPB took 11.6 s to send 10,000 complaints
MAX_ANSWER_SECONDS = 300  # seconds for a whole body, even if it arrives slowly

# For headers that it cannot parse, urllib3 logs the whole URL. The answer itself decides.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_CHUNK = 2**18  # bytes
_SEARCHED = 2**12  # bytes of a body that are searched for secrets
_ERROR_CHUNK, _ERROR_SECONDS = 400, 10  # how much of an error's body is read, which is only quoted
# msgspec raises these three errors (https://github.com/msgspec/msgspec/issues/714).
_JSON_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
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
    return body.removeprefix(codecs.BOM_UTF8), server_day(response)


def get_page(url: str, server: Server) -> str:
    """Return the text of a web page.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    response, body = _get(url, server)
    text = body.decode("utf-8", "replace")
    if is_page_cut(text, response):
        detail = "it has no end tag </html>"
        raise CutBodyError(url, body_start=start_of(body), detail=detail, server=server)
    return text


def decode_json(text: bytearray | msgspec.Raw, url: str, type_: type[T]) -> T:
    """Decode received JSON as the given type, and return the value.

    Raises:
        CutBodyError: If the text begins as JSON but is not complete.
        UnexpectedBodyError: If the text is complete JSON of another type, or is something else.
    """
    try:
        return msgspec.json.decode(text, type=type_)
    except _JSON_ERRORS as error:
        start = start_of(bytes(text))
        if start.startswith(("{", "[")) and not _is_json(text):
            detail = f"its JSON is not complete: {error}"
            raise CutBodyError(url, body_start=start, detail=detail) from None
        detail = f"not the expected JSON: {error}"
        raise UnexpectedBodyError(url, body_start=start, detail=detail) from None


def _is_json(text: bytearray | msgspec.Raw) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except RecursionError:  # the end was not read, but a server that nests so deep would again
        return True
    except _JSON_ERRORS:
        return False
    return True


def _get(url: str, server: Server) -> tuple[requests.Response, bytearray]:
    deadline = time.monotonic() + MAX_ANSWER_SECONDS
    body = bytearray()
    with open_response(url, server) as response:
        raise_unless_ok(response, url, server)
        for chunk in chunks_of(response, url, server, deadline):
            body += chunk
            if len(body) > MAX_BODY:
                detail = f"it has more than {MAX_BODY:,} bytes"
                raise TooLargeError(url, status=response.status_code, detail=detail, server=server)
    if not body or body.isspace():
        raise CutBodyError(url, status=response.status_code, detail="it is empty", server=server)
    return response, body


@contextmanager
def open_response(
    url: str, server: Server, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """Make one HTTP request, and yield the answer before its body arrives. Any status is accepted.

    Raises:
        ServerError: If the server does not answer; each subclass is one kind of failure.
        NetworkSettingError: If the user's proxy or certificates cannot be used.
    """
    connection = Connection(url, server)
    # Each request has its own session: at 20 requests a minute, a kept connection is often dead.
    with connection.session() as session:
        with (
            named_errors(url, server, _limits()),
            time_limit(MAX_ANSWER_SECONDS, connection.shut_down),
        ):
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


def chunks_of(
    response: requests.Response,
    url: str,
    server: Server,
    deadline: float | None = None,
    size: int | None = None,
) -> Iterator[bytes]:
    """Yield the chunks of a body as they arrive.

    Args:
        response: The answer.
        url: Its URL, for errors.
        server: Its server, for errors.
        deadline: When the body must be complete, by `time.monotonic`; None to limit only the time
            for each chunk.
        size: The size of a chunk in bytes; None for the default.

    Raises:
        ServerError: If the body is not complete; each subclass is one kind of failure.
    """
    received, size = 0, size or _CHUNK
    # A body in HTTP chunks arrives in pieces of the server's size, also of one byte.
    pieces = response.iter_content(size)
    while True:
        chunk = bytearray()
        seconds = MAX_ANSWER_SECONDS if deadline is None else deadline - time.monotonic()
        with (
            named_errors(url, server, _limits()),
            named_cuts(received, url, server),
            time_limit(seconds, response.raw.shutdown),
        ):
            while len(chunk) < size and (piece := next(pieces, b"")):
                chunk += piece
        if not chunk:
            return
        received += len(chunk)
        yield bytes(chunk)


def _limits() -> Limits:
    return Limits(CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ANSWER_SECONDS)


def body_start(response: requests.Response, url: str, server: Server) -> str:
    """Return the start of an answer that is not used; "" if it does not arrive."""
    with suppress(ServerError):
        deadline = time.monotonic() + _ERROR_SECONDS
        return start_of(next(chunks_of(response, url, server, deadline, _ERROR_CHUNK), b""))
    return ""


def raise_unless_ok(response: requests.Response, url: str, server: Server) -> None:
    """Raise an error unless the status of an answer is 200.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    status = response.status_code
    if status == requests.codes.ok:
        return
    kind = status_error(status, server)
    detail = response.headers.get("Location", "")
    fields: dict[str, Any] = {}
    if issubclass(kind, RetriableError):
        wait = retry_after(response)
        if wait is None and kind is ThrottledError:
            wait = round(CFPB_RATE_LIMIT.seconds)
        if wait is not None:
            detail, fields = f"retry in {wait:,} s", {"retry_after": wait}
            if wait > MAX_WAIT:
                fields["attempts"] = 1
    start = body_start(response, url, server)
    raise kind(url, status=status, body_start=start, detail=detail, server=server, **fields)


def server_day(response: requests.Response) -> str | None:
    """Return today by the server's clock, `YYYY-MM-DD` in UTC; None if the answer has no date."""
    return http_day(response.headers.get("Date"))


def media_type(response: requests.Response) -> str:
    """Return the content type of an answer, such as `application/json`; "" if it is missing."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def start_of(body: bytes | bytearray) -> str:
    """Return the start of a body as one short line."""
    # Secrets are removed before the text is cut: half a secret may not be found.
    text = without_secrets(body[:_SEARCHED].decode("utf-8", "replace"))
    return " ".join(text.split())[:120]


def url_with(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return a URL with request parameters."""
    return str(requests.Request("GET", url, params=parameters).prepare().url)
