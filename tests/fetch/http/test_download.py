"""Downloads over real HTTP: of the whole file, of a stored version, and resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl import __version__
from cfpb_etl.fetch.http import errors
from cfpb_etl.fetch.http.download import discard
from cfpb_etl.model.file import FileVersion
from support.downloads import (
    CHUNK,
    Killed,
    change_note,
    fetch,
    fetch_before,
    fetch_or_none,
    files_in,
    interrupt,
    note_of,
    part_of,
    read_note,
)
from support.file_server import (
    BODY,
    HTTP_DATE,
    MODIFIED,
    NAME,
    NEWER_BODY,
    ignoring,
    piece,
    status,
    with_headers,
    without_length,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.file_server import Fault, FileServer

# --- a first download -----------------------------------------------------------------------


def test_a_file_is_downloaded(server: FileServer, path: Path) -> None:
    """The file is complete and has its version; only its note lies beside it."""
    version = fetch(server, path)

    assert path.read_bytes() == BODY
    assert (version.last_modified, version.day) == (HTTP_DATE, "2026-10-07")
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]
    assert read_note(path) == {
        "url": server.url,
        "etag": version.etag,
        "last_modified": HTTP_DATE,
        "length": len(BODY),
    }


def test_a_first_request(server: FileServer, path: Path) -> None:
    """It has an honest User-Agent, asks for uncompressed bytes, and has no conditions."""
    fetch(server, path)

    (request,) = server.requests
    assert request["user-agent"].startswith(f"cfpb-etl/{__version__} ")
    assert request["accept-encoding"] == "identity"
    assert server.conditions == [{}]


def test_the_functions_that_are_called(server: FileServer, path: Path) -> None:
    """Space is ensured before the first byte, each chunk is reported, the whole is verified."""
    seen: list[Any] = []

    fetch(
        server,
        path,
        ensure_space=lambda *space: seen.append(("space", *space, files_in(path.parent))),
        verify=lambda part: seen.append(("verify", part.name, part.read_bytes() == BODY)),
        on_progress=lambda *progress: seen.append(progress),
    )

    assert seen == [
        ("space", len(BODY), len(BODY), []),
        *((done, len(BODY)) for done in (CHUNK, 2 * CHUNK, 3 * CHUNK, len(BODY))),
        ("verify", f"{NAME}.part", True),
    ]


def test_an_empty_file(server: FileServer, path: Path) -> None:
    """It is downloaded like any other; `verify` decides whether it is valid."""
    server.publish(b"")
    fetch(server, path)

    assert path.read_bytes() == b""


def test_a_file_of_unknown_length(server: FileServer, path: Path) -> None:
    """No space is ensured, and the note gets the length at the end."""
    server.faults.append(without_length())
    seen: list[Any] = []

    version = fetch(
        server,
        path,
        ensure_space=lambda *space: seen.append(space),
        on_progress=lambda *progress: seen.append(progress),
    )

    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), None)
    assert all(total is None for _, total in seen)
    assert read_note(path)["length"] == len(BODY)
    assert version == FileVersion()


# --- a stored version -----------------------------------------------------------------------


def test_a_stored_version_is_not_sent_again(server: FileServer, path: Path) -> None:
    """While the server has this version it sends nothing; the request has both headers."""
    version = fetch_before(server, path)
    discard(path)

    assert fetch_or_none(server, path, version) is None
    assert files_in(path.parent) == []
    assert server.conditions == [
        {"if-none-match": version.etag, "if-modified-since": version.last_modified}
    ]


@pytest.mark.parametrize(
    ("stored", "conditions"),
    [
        (FileVersion(last_modified=HTTP_DATE), {"if-modified-since": HTTP_DATE}),
        (FileVersion('W/"weak"'), {"if-none-match": 'W/"weak"'}),
        (FileVersion(), {}),
        (None, {}),
    ],
)
def test_conditions_have_only_known_headers(
    server: FileServer, path: Path, stored: FileVersion | None, conditions: dict[str, str]
) -> None:
    """A header that the server did not send is not sent back."""
    version = fetch_or_none(server, path, stored)

    assert server.conditions == [conditions]
    assert (version is None) is ("if-modified-since" in conditions)


def test_a_newer_version_is_sent(server: FileServer, path: Path) -> None:
    """The stored version is not the server's any more."""
    version = fetch_before(server, path)
    discard(path)
    server.publish(NEWER_BODY, MODIFIED + 86_400)

    version = fetch(server, path, version)

    assert version.day == "2026-10-08"
    assert path.read_bytes() == NEWER_BODY


def test_a_server_that_ignores_conditions(server: FileServer, path: Path) -> None:
    """If it sends the stored version again, the body is not read."""
    version = fetch_before(server, path)
    server.faults += [ignoring("if-none-match", "if-modified-since")] * 2

    assert fetch(server, path) == version
    discard(path)
    assert fetch_or_none(server, path, version) is None
    assert files_in(path.parent) == []


def test_a_server_without_versions(server: FileServer, path: Path) -> None:
    """Versions without headers are never the same, so the file is sent again."""
    server.faults += [with_headers(etag=None, last_modified=None)] * 3

    assert fetch(server, path, FileVersion()) == FileVersion()
    assert fetch(server, path, FileVersion()) == FileVersion()
    assert fetch(server, path) == FileVersion()
    assert server.conditions == [{}, {}, {}]
    assert path.read_bytes() == BODY


# --- an interrupted download ----------------------------------------------------------------


def test_a_download_is_resumed(server: FileServer, path: Path) -> None:
    """Only the rest of the same version is requested, and the bytes are those of the file."""
    version = interrupt(server, path)
    seen: list[Any] = []

    resumed = fetch(
        server,
        path,
        ensure_space=lambda *space: seen.append(("space", *space)),
        on_progress=lambda *progress: seen.append(progress),
    )

    assert server.conditions == [{"range": f"bytes={2 * CHUNK}-", "if-range": version.etag}]
    assert path.read_bytes() == BODY
    assert resumed == version
    assert seen[:2] == [
        ("space", len(BODY), len(BODY) - 2 * CHUNK),
        (3 * CHUNK, len(BODY)),
    ]
    assert seen[-1] == (len(BODY), len(BODY))
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]


def test_a_download_is_resumed_after_a_kill(server: FileServer, path: Path) -> None:
    """The next process resumes after the last byte, also within a chunk."""

    def kill(done: int, _: int | None) -> None:
        if done > CHUNK:
            raise Killed

    with pytest.raises(Killed):
        fetch(server, path, on_progress=kill)
    with part_of(path).open("ab") as file:
        file.write(BODY[2 * CHUNK : 2 * CHUNK + 77])
    fetch(server, path)

    assert server.conditions[1]["range"] == f"bytes={2 * CHUNK + 77}-"
    assert path.read_bytes() == BODY


def test_a_file_that_has_changed_starts_over(server: FileServer, path: Path) -> None:
    """A part of the old version is not a part of the new one."""
    interrupt(server, path)
    server.publish(NEWER_BODY)

    fetch(server, path)

    assert "range" in server.conditions[0]
    assert path.read_bytes() == NEWER_BODY


def test_a_server_without_ranges_starts_over(server: FileServer, path: Path) -> None:
    """If it sends the whole file, the whole file is written."""
    interrupt(server, path)
    server.faults.append(ignoring("range"))

    fetch(server, path)

    assert "range" in server.conditions[0]
    assert path.read_bytes() == BODY


def test_a_weak_etag_is_not_used_for_a_range(server: FileServer, path: Path) -> None:
    """It can stand for other bytes; Last-Modified identifies the version."""
    interrupt(server, path)
    change_note(path, etag='W/"7"')
    server.faults.append(with_headers(etag='W/"7"'))

    fetch(server, path)

    assert server.conditions == [{"range": f"bytes={2 * CHUNK}-", "if-range": HTTP_DATE}]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("etag", [None, 'W/"7"'])
def test_a_part_without_a_version_starts_over(
    server: FileServer, path: Path, etag: str | None
) -> None:
    """Without a strong ETag or Last-Modified no range is requested."""
    interrupt(server, path)
    change_note(path, etag=etag, last_modified=None)

    fetch(server, path)

    assert server.conditions == [{}]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "\ufeff",
        '{"url": "http://127.0.0.1/"}',
        '{"url": 7, "etag": null, "last_modified": null, "length": 1}',
        '{"url": "http://127.0.0.1/other", "etag": "\\"1\\"", "last_modified": null, "length": 9}',
        "[" * 100_000,
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_bytes_of_unknown_origin_are_not_used(
    server: FileServer, path: Path, text: str | None, *, whole: bool
) -> None:
    """Without a valid note of this address the download starts over."""
    if whole:
        fetch_before(server, path)
    else:
        interrupt(server, path)
    if text is None:
        note_of(path).unlink()
    else:
        note_of(path).write_text(text)

    fetch(server, path)

    assert server.conditions == [{}]
    assert path.read_bytes() == BODY
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]


def test_a_part_that_is_too_long_starts_over(server: FileServer, path: Path) -> None:
    """A part longer than the file cannot be a part of it."""
    interrupt(server, path)
    change_note(path, length=100)

    fetch(server, path)

    assert server.conditions == [{}]
    assert path.read_bytes() == BODY


def test_a_part_with_all_its_bytes_is_finished(server: FileServer, path: Path) -> None:
    """After a kill just before the end, no byte is sent again."""
    interrupt(server, path)
    part_of(path).write_bytes(BODY)
    verified: list[Path] = []

    fetch(server, path, verify=verified.append)

    assert verified == [part_of(path)]
    assert "range" not in server.conditions[0]
    assert path.read_bytes() == BODY
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]


def test_a_part_with_all_its_bytes_needs_no_server(server: FileServer, path: Path) -> None:
    """It is finished even if the server fails."""
    version = interrupt(server, path)
    part_of(path).write_bytes(BODY)
    server.faults.append(status(503))

    assert fetch(server, path) == version
    assert path.read_bytes() == BODY


def test_a_range_beyond_the_end_starts_over(server: FileServer, path: Path) -> None:
    """A 416 is followed by one request for the whole file."""
    interrupt(server, path)
    part_of(path).write_bytes(BODY)
    change_note(path, length=None)

    fetch(server, path)

    assert [request.get("range") for request in server.conditions] == [f"bytes={len(BODY)}-", None]
    assert path.read_bytes() == BODY


def test_a_416_without_a_range(server: FileServer, path: Path) -> None:
    """If the second answer is 416 too, the file is not requested a third time."""
    interrupt(server, path)
    server.faults += [status(416)] * 3

    with pytest.raises(errors.UnexpectedStatusError, match="416"):
        fetch(server, path)

    assert len(server.requests) == 2


def test_a_part_of_unknown_length_is_resumed(server: FileServer, path: Path) -> None:
    """The length becomes known with the rest."""
    interrupt(server, path)
    change_note(path, length=None)

    fetch(server, path)

    assert "range" in server.conditions[0]
    assert path.read_bytes() == BODY
    assert read_note(path)["length"] == len(BODY)


@pytest.mark.parametrize(
    "fault",
    [
        piece(2 * CHUNK - 1, BODY[2 * CHUNK - 1 :], len(BODY)),
        piece(0, BODY, len(BODY)),
        piece(2 * CHUNK, BODY[2 * CHUNK :], len(BODY) + 1),
        piece(2 * CHUNK, BODY[2 * CHUNK :], "*"),
        piece(2 * CHUNK, BODY[2 * CHUNK :], len(BODY), ETag='"other"'),
        with_headers(last_modified="Thu, 08 Oct 2026 09:16:00 GMT"),
        with_headers(content_range=None),
        with_headers(content_range="bytes 1-2"),
        with_headers(content_range="bytes ²-3/4"),
    ],
)
def test_another_piece_than_the_rest_is_rejected(
    server: FileServer, path: Path, fault: Fault
) -> None:
    """The part is removed, and the next attempt starts over."""
    interrupt(server, path)
    server.faults.append(fault)

    with pytest.raises(errors.WrongRangeError) as wrong:
        fetch(server, path)

    assert isinstance(wrong.value, errors.RetriableError)
    assert wrong.value.status == 206
    assert files_in(path.parent) == []
    fetch(server, path)
    assert path.read_bytes() == BODY


def test_a_piece_that_was_not_requested(server: FileServer, path: Path) -> None:
    """A 206 or 304 does not fit a request without conditions."""
    server.faults += [piece(0, BODY, len(BODY)), status(304)]

    for code in ("206", "304"):
        with pytest.raises(errors.UnexpectedStatusError, match=code):
            fetch(server, path)
    assert files_in(path.parent) == []
