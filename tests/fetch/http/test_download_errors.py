"""Each way in which a download can fail, over real HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from starlette.responses import HTMLResponse, RedirectResponse

from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.http import client, errors
from cfpb_etl.fetch.http.local_file import LocalFile
from support.downloads import CHUNK, fetch, files_in, interrupt, part_of
from support.file_server import BODY, NAME, answering, piece, status, with_headers, without_length

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from cfpb_etl.fetch.http.local_file import Origin
    from support.file_server import Fault, FileServer

# --- what can go wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "code", "text"),
    [
        (status(400), errors.UnexpectedStatusError, 400, "Check --file"),
        (status(403), errors.AccessDeniedError, 403, "CFPB's network refuses"),
        (
            status(404),
            errors.NotFoundError,
            404,
            "no file at this address (404). Check --file.",
        ),
        (status(410), errors.UnexpectedStatusError, 410, "CFPB's file server answered"),
        (status(424), errors.UnexpectedStatusError, 424, "Check --file"),
        (
            status(408),
            errors.ServerFailureError,
            408,
            "CFPB's file server failed (408)",
        ),
        (
            status(500),
            errors.ServerFailureError,
            500,
            "CFPB's file server failed (500)",
        ),
        (status(503), errors.ServerFailureError, 503, "The answer began: 'so it is'"),
        (
            status(429),
            errors.ThrottledError,
            429,
            "CFPB's file server received too many requests (429): retry in",
        ),
        (
            answering(HTMLResponse("<!DOCTYPE html><title>Log in</title>")),
            errors.WrongContentError,
            200,
            "Expected a file but got a web page. Check --file",
        ),
        (
            answering(RedirectResponse("/elsewhere")),
            errors.UnexpectedStatusError,
            307,
            "307: /elsewhere. Check --file.",
        ),
    ],
)
@pytest.mark.parametrize("started", [True, False])
def test_each_situation_has_its_error(
    server: FileServer,
    path: Path,
    fault: Fault,
    error: type[errors.ServerError],
    code: int,
    text: str,
    *,
    started: bool,
) -> None:
    """Each has its class and says what to do; the part stays."""
    if started:
        interrupt(server, path)
    server.faults.append(fault)
    before = files_in(path.parent)

    with pytest.raises(error) as failed:
        fetch(server, path)

    assert type(failed.value) is error
    assert failed.value.status == code
    assert failed.value.server is errors.FILE_SERVER
    assert text in str(failed.value)
    assert server.url in str(failed.value)
    assert files_in(path.parent) == before


def test_the_time_to_retry(server: FileServer, path: Path) -> None:
    """The error of a 429 has the seconds to wait."""
    server.faults.append(status(429, **{"Retry-After": "7"}))

    with pytest.raises(errors.ThrottledError) as refused:
        fetch(server, path)

    assert refused.value.retry_after == 7


def test_a_server_that_does_not_exist(server: FileServer, path: Path) -> None:
    """Without an earlier download, it is an error that is worth a retry."""
    gone = replace(server, url="http://127.0.0.1:1/")

    with pytest.raises(errors.UnreachableError, match="CFPB's file server could not be reached: C"):
        fetch(gone, path)


def test_a_body_that_stops(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the read timeout it is an error, and the part is kept."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(BODY)).encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY[:CHUNK], "more_body": True})
        await asyncio.Event().wait()

    server.faults.append(lambda _app: silent)

    with pytest.raises(errors.UnreachableError):
        fetch(server, path)

    assert part_of(path).read_bytes() == BODY[:CHUNK]


def test_a_piece_that_is_too_short(server: FileServer, path: Path) -> None:
    """It is written, and the rest is worth a retry."""
    version = interrupt(server, path)
    server.faults.append(piece(2 * CHUNK, BODY[2 * CHUNK : 3 * CHUNK], len(BODY)))

    with pytest.raises(errors.CutBodyError, match=r"after 786,432 of 1,000,000 bytes"):
        fetch(server, path)
    assert fetch(server, path) == version

    assert server.conditions[1]["range"] == f"bytes={3 * CHUNK}-"
    assert path.read_bytes() == BODY


def test_a_piece_that_is_too_long(server: FileServer, path: Path) -> None:
    """More bytes than announced are not the file, and all of them are removed."""
    interrupt(server, path)
    server.faults.append(piece(2 * CHUNK, BODY[2 * CHUNK :] + b"more", len(BODY)))

    with pytest.raises(errors.TooLargeError, match="where 1,000,000 were announced"):
        fetch(server, path)

    assert files_in(path.parent) == []


def test_a_file_that_is_not_valid_is_removed(server: FileServer, path: Path) -> None:
    """Otherwise a retry would resume a corrupt part."""

    def reject(part: Path) -> None:
        raise fetch_errors.UnreadableFileError(path=part, detail="its bytes are wrong")

    with pytest.raises(fetch_errors.UnreadableFileError):
        fetch(server, path, verify=reject)
    assert files_in(path.parent) == []

    interrupt(server, path)
    part_of(path).write_bytes(BODY[::-1])
    with pytest.raises(fetch_errors.UnreadableFileError):
        fetch(server, path, verify=reject)
    assert files_in(path.parent) == []


@pytest.mark.parametrize("fault", [with_headers(), without_length()])
def test_a_file_that_is_too_large(server: FileServer, path: Path, fault: Fault) -> None:
    """It is rejected as soon as its size is known."""
    server.faults.append(fault)

    with pytest.raises(errors.TooLargeError, match=r"where 524,288 is the maximum.*--file"):
        fetch(server, path, max_bytes=2 * CHUNK)

    assert files_in(path.parent) == []


@pytest.mark.parametrize("started", [True, False])
def test_without_space_nothing_is_written(server: FileServer, path: Path, *, started: bool) -> None:
    """The check comes before the first byte, and the part stays."""
    if started:
        interrupt(server, path)
    before = files_in(path.parent)

    def reject(length: int, missing: int) -> None:
        raise fetch_errors.NotEnoughSpaceError(path, missing, length)

    with pytest.raises(fetch_errors.NotEnoughSpaceError) as full:
        fetch(server, path, ensure_space=reject)

    assert full.value.needed == len(BODY) - (2 * CHUNK if started else 0)
    assert files_in(path.parent) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("announced", [True, False])
def test_a_full_disk(
    server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    """If the disk becomes full, the error says how much is missing."""
    start = LocalFile.start

    def start_full(file: LocalFile, origin: Origin) -> None:
        start(file, origin)
        file.part.unlink()
        file.part.symlink_to("/dev/full")

    monkeypatch.setattr(LocalFile, "start", start_full)
    if not announced:
        server.faults.append(without_length())

    with pytest.raises(fetch_errors.NotEnoughSpaceError, match=r"needs 0\.01 GB.* GB free") as full:
        fetch(server, path)

    assert full.value.path == path
    assert full.value.needed == (len(BODY) if announced else CHUNK)
    assert full.value.free > 0


def test_a_folder_that_does_not_exist(server: FileServer, tmp_path: Path) -> None:
    """The error has the path and the message of the operating system."""
    with pytest.raises(
        fetch_errors.NotWritableFileError, match="No such file or directory"
    ) as refused:
        fetch(server, tmp_path / "nowhere" / NAME)

    assert refused.value.path == tmp_path / "nowhere" / NAME


def test_the_missing_space_in_words() -> None:
    """The rounded numbers never look as if there were enough space."""
    error = fetch_errors.NotEnoughSpaceError(Path(NAME), 350_000_001, 350_000_000)

    assert "needs 0.36 GB, and its disk has 0.35 GB free. Free some space" in str(error)
    assert (error.needed, error.free) == (350_000_001, 350_000_000)
