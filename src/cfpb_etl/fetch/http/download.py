"""The download of a file from CFPB's file server. An interrupted download can be resumed."""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from cfpb_etl.fetch.http.client import (
    body_start,
    chunks_of,
    media_type,
    open_response,
    raise_unless_ok,
    server_day,
)
from cfpb_etl.fetch.http.completeness import finish_received, is_encoded
from cfpb_etl.fetch.http.errors import (
    FILE_SERVER,
    CutBodyError,
    RetriableError,
    TooLargeError,
    WrongContentError,
    WrongRangeError,
)
from cfpb_etl.fetch.http.local_file import LocalFile, Origin
from cfpb_etl.fetch.http.rate_limit import rate_limiter_for
from cfpb_etl.model.events import Warned, emit
from cfpb_etl.model.file import FileVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import requests

_LOG = logging.getLogger(__name__)
MAX_FILE = 8 * 2**30  # bytes; all complaints have 348 MB zipped (docs/facts.md, "Daily file")


def fetch_file(  # noqa: PLR0913 - three arguments say what to fetch, and three functions take part
    url: str,
    path: Path,
    stored: FileVersion | None,
    *,
    ensure_space: Callable[[int, int], None],
    verify: Callable[[Path], None],
    on_progress: Callable[[int, int | None], None],
    max_bytes: int = MAX_FILE,
) -> FileVersion | None:
    """Download a file and return its version. Return None if the `stored` version is still current.

    Each call is one attempt, which resumes an interrupted attempt. If an earlier run has already
    downloaded the whole file, the server is only asked for a newer version. If the server then
    cannot be reached, the downloaded file is used.

    Args:
        url: The URL of the file.
        path: The path to write to. An existing file is replaced.
        stored: The version that is already stored, which the server need not send again; None if no
            version is stored.
        ensure_space: Called before the first byte is written, with the file's length and the number
            of missing bytes. It is not called if the server does not announce the length.
        verify: Called with the path when all bytes have arrived. If it raises an error, the
            download is removed.
        on_progress: Called after each chunk, with the number of received bytes and the file's
            length. The length is None if the server does not announce it.
        max_bytes: The largest file to accept.

    Raises:
        ServerError: If the download fails; each subclass is one kind of failure. A valid part of
            the file is kept for the next attempt.
        NotEnoughSpaceError: If the disk is full.
        NotWritableFileError: If the file cannot be written.
    """
    file = LocalFile(path)
    earlier = _earlier(file, url, stored, verify)
    kept = earlier.version if earlier and file.size == earlier.length else None
    known = kept or stored
    rest = _rest(file, earlier) if earlier and kept is None else {}
    with ExitStack() as responses:
        try:
            response = responses.enter_context(_response(url, rest or _unless(known)))
            if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                # The local part does not belong to this file. The new request has no range.
                responses.close()
                file.discard()
                earlier = None
                response = responses.enter_context(_response(url, _unless(known)))
        except RetriableError as error:
            if kept is None:
                raise
            _warn(f"{error.brief}; using {path}, which was downloaded earlier")
            return kept
        if response.status_code == HTTPStatus.NOT_MODIFIED:
            return kept
        if response.status_code == HTTPStatus.PARTIAL_CONTENT and earlier is not None:
            origin = _resumed(response, file, earlier)
        else:
            origin = _origin_of(response, url)
            if _is_same(origin.version, known):  # the server has ignored the conditions
                return kept
            file.discard()  # otherwise the new note would make the old file look new
        if origin.length is not None:
            _refuse_too_large(origin, origin.length, max_bytes)
            ensure_space(origin.length, origin.length - max(file.part_size, 0))
        file.start(origin)
        _receive(response, file, origin, on_progress, max_bytes)
    if not finish_received(file, origin, verify, response):
        address = url.partition("?")[0]
        _warn(f"{address} came without its length, so nothing shows whether all of it arrived")
    return replace(origin.version, server_day=server_day(response))


def discard(path: Path) -> None:
    """Remove a download: the file, its part and its note.

    Raises:
        NotWritableFileError: If a file cannot be removed.
    """
    LocalFile(path).discard()


def _is_same(one: FileVersion, other: FileVersion | None) -> bool:
    """Say whether two versions are the same. Versions that have no header are never the same."""
    return one == other and one != FileVersion()


def _earlier(
    file: LocalFile, url: str, stored: FileVersion | None, verify: Callable[[Path], None]
) -> Origin | None:
    """Return the origin of an earlier download; None if no usable download exists.

    If the part already has all bytes of the file, it becomes the file without a request.
    """
    origin = file.origin()
    if origin is None or origin.url != url:
        return None
    if _is_same(origin.version, stored):  # the download was stored, but not removed
        file.discard()
        return None
    if file.part_size == origin.length:
        file.finish(origin, verify)
    return origin


# --- the request ----------------------------------------------------------------------------


def _unless(known: FileVersion | None) -> dict[str, str]:
    """Return HTTP headers that request the file only if its version has changed."""
    known = known or FileVersion()
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in headers.items() if value is not None}


def _rest(file: LocalFile, origin: Origin) -> dict[str, str]:
    """Return headers that request the missing bytes; empty if the download must start over."""
    # Files with the same weak ETag, W/"...", may have different bytes (RFC 9110, 13.1.5).
    is_strong = origin.etag is not None and origin.etag.startswith('"')
    version = origin.etag if is_strong else origin.last_modified
    is_too_long = origin.length is not None and file.part_size > origin.length
    if version is None or file.part_size < 1 or is_too_long:
        return {}
    return {"Range": f"bytes={file.part_size}-", "If-Range": version}


@contextmanager
def _response(url: str, conditions: Mapping[str, str]) -> Iterator[requests.Response]:
    """Yield an answer that has an expected status, before the body of the answer arrives.

    Raises:
        ServerError: If the status is not expected, or the request fails; each subclass is one kind
            of failure.
    """
    # A file that is compressed for the transfer would not have the announced length.
    headers = {"Accept-Encoding": "identity", **conditions}
    expected = {HTTPStatus.NOT_MODIFIED} if conditions else set()
    if "Range" in conditions:
        expected = {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}
    # The server may ask for a pause, but it has no rate limit.
    with (
        rate_limiter_for(url).request(),
        open_response(url, FILE_SERVER, headers) as response,
    ):
        status = response.status_code
        is_file = status == HTTPStatus.OK and media_type(response) != "text/html"
        if not is_file and status not in expected:
            raise_unless_ok(response, url, FILE_SERVER)
            start = body_start(response, url, FILE_SERVER)
            if not start:
                raise CutBodyError(url, status=status, detail="it is empty", server=FILE_SERVER)
            raise WrongContentError(
                url, status=status, body_start=start, detail="a web page", server=FILE_SERVER
            )
        yield response


# --- the answer -----------------------------------------------------------------------------


def _origin_of(response: requests.Response, url: str) -> Origin:
    # The length of a compressed body is not the length of the file.
    length = "" if is_encoded(response) else response.headers.get("Content-Length", "")
    return Origin(
        url=url,
        etag=response.headers.get("ETag") or None,
        last_modified=response.headers.get("Last-Modified") or None,
        length=int(length) if re.fullmatch(r"\d{1,15}", length, re.ASCII) else None,
    )


def _resumed(response: requests.Response, file: LocalFile, origin: Origin) -> Origin:
    """Return the origin of a resumed download, with the file's length.

    Raises:
        WrongRangeError: If the answer is not the rest of the file. The part is removed, because
            the same request would get the same answer again.
    """
    text = response.headers.get("Content-Range", "")
    range_ = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})", text, re.ASCII)
    sent = _origin_of(response, origin.url)
    if (
        range_ is None
        or int(range_[1]) != file.part_size
        or origin.length not in (None, int(range_[2]))
        or sent.etag not in (None, origin.etag)
        or sent.last_modified not in (None, origin.last_modified)
    ):
        file.discard()
        detail = f"{text or 'no Content-Range'}, of {sent.etag or sent.last_modified}"
        raise WrongRangeError(
            origin.url, status=response.status_code, detail=detail, server=FILE_SERVER
        )
    return msgspec.structs.replace(origin, length=int(range_[2]))


def _receive(
    response: requests.Response,
    file: LocalFile,
    origin: Origin,
    on_progress: Callable[[int, int | None], None],
    max_bytes: int,
) -> None:
    """Append the body of the answer to the part."""
    done, length = file.part_size, origin.length
    for chunk in _decoded(response, file, origin):
        missing = len(chunk) if length is None else length - done
        done += len(chunk)
        if done > max_bytes or (length is not None and done > length):
            file.discard()
            _refuse_too_large(origin, done, max_bytes)
            detail = f"{done:,} bytes or more, where {length:,} were announced"
            raise TooLargeError(origin.url, detail=detail, server=FILE_SERVER)
        file.append(chunk, missing)
        on_progress(done, length)
    if length is not None and done < length:
        detail = f"after {done:,} of {length:,} bytes"
        raise CutBodyError(origin.url, detail=detail, server=FILE_SERVER)


def _decoded(response: requests.Response, file: LocalFile, origin: Origin) -> Iterator[bytes]:
    """Yield the chunks of the body. If its compression is damaged, the part may be wrong too."""
    try:
        yield from chunks_of(response, origin.url, FILE_SERVER)
    except CutBodyError:
        if is_encoded(response):
            file.discard()
        raise


def _warn(text: str) -> None:
    _LOG.warning("%s", text)  # without the command line, nobody listens to events
    emit(Warned(text))


def _refuse_too_large(origin: Origin, length: int, max_bytes: int) -> None:
    if length > max_bytes:
        detail = f"{length:,} bytes, where {max_bytes:,} is the maximum"
        raise TooLargeError(origin.url, detail=detail, server=FILE_SERVER)
