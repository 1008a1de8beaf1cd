"""A file from CFPB's file server: brought here whole, or gone on with where it broke off.

Beside a file, and beside its part while it comes, lies a note of where its bytes are from. Only
with that is anything here trusted.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import requests

from cfpb_etl.fetch.errors import NotEnoughSpaceError, NotWritableFileError
from cfpb_etl.fetch.http.client import answer_of, chunks_of, media_type, raise_unless_ok, start_of
from cfpb_etl.fetch.http.errors import (
    FILE_SERVER,
    CutBodyError,
    FileTooLargeError,
    NotAFileError,
    OverlongFileError,
    RetriableError,
    WrongRangeError,
)
from cfpb_etl.model.part import FileVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LARGEST_FILE = 8 * 2**30  # bytes, zipped; all complaints are 348 MB (CCDB_API.md section 9)

_PART, _NOTE, _NEW_NOTE = ".part", ".json", ".json.new"  # what follows the name of the file
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """A file that is here, whole.

    Attributes:
        path: Where it lies.
        version: Which version of it this is.
    """

    path: Path
    version: FileVersion


class _Origin(msgspec.Struct, frozen=True):
    """Where the bytes that lie here are from; kept beside them, as JSON."""

    url: str
    etag: str | None
    last_modified: str | None
    length: int | None

    @property
    def version(self) -> FileVersion:
        return FileVersion(self.etag, self.last_modified)


def fetch_file(  # noqa: PLR0913 - three things to know and three to do meanwhile
    url: str,
    path: Path,
    known: FileVersion | None,
    *,
    ensure_room: Callable[[int, int], None],
    verify: Callable[[Path], None],
    tell: Callable[[int, int | None], None],
) -> Download | None:
    """Bring a file here, unless the server still has the `known` version: then None.

    One attempt, which goes on where an earlier one broke off. A file that an earlier run brought
    whole is asked about; when the server cannot be reached, it is what there is.

    Args:
        url: The address of the file.
        path: Where to put it; whatever lies there is replaced.
        known: The version that is not wanted again.
        ensure_room: Called before the first byte is written, with the length of the file and the
            bytes of it that are still to come, if the server announces them; raises an error of
            ours where there is no room.
        verify: Called when all bytes are here, with the path of the part; raises an error of ours
            when they cannot be the file, and all of it is then removed.
        tell: Called after each piece, with the bytes that are here and the length of the file, or
            None if the server does not announce it.

    Raises:
        ServerError: One of its subclasses. What came is kept for the next attempt, unless it is
            what was wrong.
        NotEnoughSpaceError: If the disk is full.
        NotWritableFileError: If the file cannot be written.
    """
    here = _here(url, path, known, verify)
    whole = None
    if here is not None and _size(path) == here.length:
        whole = Download(path, here.version)
    had = known if whole is None else whole.version
    rest = {} if here is None or whole is not None else _rest(path, here)
    with ExitStack() as answering:
        try:
            response = answering.enter_context(_answer(url, rest or _unless_still(had)))
        except RetriableError as error:
            if whole is None:
                raise
            _LOG.warning("%s; going on with %s, which came earlier", error.brief, path)
            return whole
        if response.status_code == requests.codes.not_modified:
            return whole
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            answering.close()
            discard(path)
            # With nothing here no range is asked for, so that this happens once.
            return fetch_file(url, path, known, ensure_room=ensure_room, verify=verify, tell=tell)
        if here is not None and response.status_code == requests.codes.partial_content:
            origin = _continued(response, path, here)
        else:
            origin = _origin_of(response, url)
            if _same(origin.version, had):  # from a server that does not heed conditions
                return whole
            # What is here goes first: with the new note beside it, it would pass for the new file.
            discard(path)
        _prepare(path, origin, ensure_room)
        _receive(response, path, origin, tell)
    _finish(path, origin, verify)
    return Download(path, origin.version)


def discard(path: Path) -> None:
    """Remove a file, its part and its note, as far as they are there.

    Raises:
        NotWritableFileError: If that is not allowed.
    """
    for suffix in ("", _PART, _NOTE, _NEW_NOTE):
        with _writing(path):
            _with(path, suffix).unlink(missing_ok=True)


# --- what is here ---------------------------------------------------------------------------


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    """Return the bytes of a file, or -1 if it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _same(one: FileVersion, other: FileVersion | None) -> bool:
    """Say whether two versions are one; those that say nothing are like no other."""
    return one == other and one != FileVersion()


def _here(
    url: str, path: Path, known: FileVersion | None, verify: Callable[[Path], None]
) -> _Origin | None:
    """Return where what is here is from, if it is of use; a part that is whole becomes the file."""
    try:
        origin = msgspec.json.decode(_with(path, _NOTE).read_bytes(), type=_Origin)
    # All that msgspec raises (https://github.com/msgspec/msgspec/issues/714), and no file.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError):
        return None
    if origin.url != url:
        return None
    if _same(origin.version, known):  # it was loaded, and then not removed
        discard(path)
        return None
    if _size(_with(path, _PART)) == origin.length:
        _finish(path, origin, verify)
    return origin


# --- what is asked --------------------------------------------------------------------------


def _unless_still(version: FileVersion | None) -> dict[str, str]:
    """Return the headers that ask for a file unless it is still of this version."""
    asked = {}
    if version is not None and version.etag is not None:
        asked["If-None-Match"] = version.etag
    if version is not None and version.last_modified is not None:
        asked["If-Modified-Since"] = version.last_modified
    return asked


def _rest(path: Path, origin: _Origin) -> dict[str, str]:
    """Return the headers that ask for the rest of a part, or none where it must begin anew."""
    begun = _size(_with(path, _PART))
    # A weak ETag, W/"...", may be that of other bytes (RFC 9110, 13.1.5).
    strong = origin.etag is not None and origin.etag.startswith('"')
    version = origin.etag if strong else origin.last_modified
    if version is None or begun < 1 or (origin.length is not None and begun > origin.length):
        return {}
    return {"Range": f"bytes={begun}-", "If-Range": version}


@contextmanager
def _answer(url: str, asked: Mapping[str, str]) -> Iterator[requests.Response]:
    """Yield an answer that is one to what was asked, with its body still to come.

    Raises:
        ServerError: One of its subclasses, for any other answer.
    """
    # Compressed on its way, a file would have another length than is announced.
    headers = {"Accept-Encoding": "identity", **asked}
    due = {requests.codes.not_modified} if asked else set()
    if "Range" in asked:
        due = {
            requests.codes.partial_content,
            requests.codes.requested_range_not_satisfiable,
        }
    with answer_of(url, FILE_SERVER, headers) as response:
        status = response.status_code
        is_file = status == requests.codes.ok and media_type(response) != "text/html"
        if not is_file and status not in due:
            start = start_of(next(chunks_of(response, url, FILE_SERVER), b""))
            raise_unless_ok(response, start, url, FILE_SERVER)
            raise NotAFileError(url, status=status, body_start=start, server=FILE_SERVER)
        yield response


# --- what comes -----------------------------------------------------------------------------


def _origin_of(response: requests.Response, url: str) -> _Origin:
    length = response.headers.get("Content-Length", "")
    return _Origin(
        url=url,
        etag=response.headers.get("ETag") or None,
        last_modified=response.headers.get("Last-Modified") or None,
        length=int(length) if re.fullmatch(r"\d{1,15}", length, re.ASCII) else None,
    )


def _continued(response: requests.Response, path: Path, here: _Origin) -> _Origin:
    """Return where a part and its rest are from, with the length that is known by now.

    Raises:
        WrongRangeError: If this is not the rest of the part, which is then removed: it would be
            asked about in the same words, and answered so, for ever.
    """
    text = response.headers.get("Content-Range", "")
    range_ = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})", text, re.ASCII)
    came = _origin_of(response, here.url)
    if (
        range_ is None
        or int(range_[1]) != _size(_with(path, _PART))
        or here.length not in (None, int(range_[2]))
        or came.etag not in (None, here.etag)
        or came.last_modified not in (None, here.last_modified)
    ):
        discard(path)
        detail = f"{text or 'no Content-Range'}, of {came.etag or came.last_modified}"
        raise WrongRangeError(
            here.url, status=response.status_code, detail=detail, server=FILE_SERVER
        )
    return msgspec.structs.replace(here, length=int(range_[2]))


def _prepare(path: Path, origin: _Origin, ensure_room: Callable[[int, int], None]) -> None:
    """Make ready for the first byte, or for the next one."""
    part = _with(path, _PART)
    if origin.length is not None:
        if origin.length > LARGEST_FILE:
            raise _too_large(origin, origin.length)
        ensure_room(origin.length, origin.length - max(_size(part), 0))
    _note(path, origin)
    with _writing(path):
        part.touch()


def _receive(
    response: requests.Response,
    path: Path,
    origin: _Origin,
    tell: Callable[[int, int | None], None],
) -> None:
    """Write what comes at the end of the part."""
    part = _with(path, _PART)
    done = _size(part)
    for chunk in chunks_of(response, origin.url, FILE_SERVER):
        done += len(chunk)
        if done > LARGEST_FILE:
            discard(path)
            raise _too_large(origin, done)
        if origin.length is not None and done > origin.length:
            discard(path)
            detail = f"{done:,} bytes and more, of {origin.length:,}"
            raise OverlongFileError(origin.url, detail=detail, server=FILE_SERVER)
        missing = len(chunk) if origin.length is None else origin.length - done + len(chunk)
        # Opened for each piece, 1,400 times for all complaints: what a full disk refuses would
        # otherwise be written again, and refused again, when the file is closed.
        with _writing(path, missing), part.open("ab") as file:
            file.write(chunk)
        tell(done, origin.length)
    if origin.length is not None and done < origin.length:
        detail = f"after {done:,} of {origin.length:,} bytes"
        raise CutBodyError(origin.url, detail=detail, server=FILE_SERVER)


def _too_large(origin: _Origin, length: int) -> FileTooLargeError:
    detail = f"{length:,} bytes, where {LARGEST_FILE:,} are the most"
    return FileTooLargeError(origin.url, detail=detail, server=FILE_SERVER)


def _finish(path: Path, origin: _Origin, verify: Callable[[Path], None]) -> None:
    """Make a part that has all its bytes the file, or remove it."""
    part = _with(path, _PART)
    try:
        verify(part)
    except Exception:
        discard(path)  # or it would be gone on with, and refused again, for ever
        raise
    if origin.length is None:
        _note(path, msgspec.structs.replace(origin, length=_size(part)))
    with _writing(path):
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)


def _note(path: Path, origin: _Origin) -> None:
    """Write where the bytes are from, all of it or nothing."""
    new = _with(path, _NEW_NOTE)
    with _writing(path):
        new.write_bytes(msgspec.json.encode(origin))
        new.replace(_with(path, _NOTE))


@contextmanager
def _writing(path: Path, missing: int = 1) -> Iterator[None]:
    """Give what the system refuses a name, where so many bytes were still to be written."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = shutil.disk_usage(path.parent).free
            raise NotEnoughSpaceError(path, missing, free) from error
        raise NotWritableFileError(path, error.strerror or str(error)) from error
