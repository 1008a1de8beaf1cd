"""Tests of downloads, over real HTTP from a file server that can be told to go wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from cfpb_etl import __version__
from cfpb_etl.emulator import serve
from cfpb_etl.fetch import errors as file_errors
from cfpb_etl.fetch.http import client
from cfpb_etl.fetch.http import errors as server_errors
from cfpb_etl.fetch.http.download import discard, fetch_file
from cfpb_etl.fetch.http.local_file import LocalFile
from cfpb_etl.model.events import Event, Warned, listening
from cfpb_etl.model.part import FileVersion
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cfpb_etl.fetch.http.download import Download
    from cfpb_etl.fetch.http.local_file import Origin

    Fault = Callable[[ASGIApp], ASGIApp]

NAME = "complaints.csv.zip"
BODY = hashlib.shake_256(b"complaints").digest(1_000_000)
NEWER = hashlib.shake_256(b"more complaints").digest(1_100_000)
PIECE = 2**18
MODIFIED = 1_791_364_560  # 2026-10-07 09:16 GMT
HTTP_DATE = "Wed, 07 Oct 2026 09:16:00 GMT"


# --- a file server and its faults -----------------------------------------------------------


@dataclass
class Files:
    """A server of one file.

    Attributes:
        folder: Where the file lies.
        faults: What happens to the next requests, one each.
        requests: The headers of each request.
        url: The address of the file.
    """

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let its fault do so."""
        self.requests.append({name.decode(): value.decode() for name, value in scope["headers"]})
        app: ASGIApp = StaticFiles(directory=self.folder)
        if self.faults:
            app = self.faults.pop(0)(app)
        await app(scope, receive, send)

    def publish(self, body: bytes, modified: int = MODIFIED) -> None:
        """Put a file where it is served."""
        (self.folder / NAME).write_bytes(body)
        os.utime(self.folder / NAME, (modified, modified))

    @property
    def conditions(self) -> list[dict[str, str]]:
        """Return those headers of each request that make its answer depend on something."""
        depending = ("range", "if-")
        return [
            {name: value for name, value in headers.items() if name.startswith(depending)}
            for headers in self.requests
        ]


class CutError(Exception):
    """Raised in the server to leave an answer as it is."""


class Killed(BaseException):
    """Raised where a process would end."""


def answering(response: Response) -> Fault:
    """Answer this and nothing else."""
    return lambda _app: response


def status(code: int, **headers: str) -> Fault:
    """Answer with a status and a few words."""
    return answering(Response(b"so it is", code, headers))


def cut(after: int) -> Fault:
    """Close the connection after so many bytes of the body."""
    return changed(cut_after=after)


def altered(**headers: str | None) -> Fault:
    """Answer with other headers; None leaves one out."""
    return changed(headers={name.replace("_", "-"): text for name, text in headers.items()})


def changed(*, headers: dict[str, str | None] | None = None, cut_after: int | None = None) -> Fault:
    """Change an answer on its way."""

    def fault(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            left = cut_after

            async def altering(message: Message) -> None:
                nonlocal left
                if message["type"] == "http.response.start":
                    changing = MutableHeaders(raw=message["headers"])
                    for name, text in (headers or {}).items():
                        del changing[name]
                        if text is not None:
                            changing[name] = text
                elif left is not None:
                    message = {**message, "body": message["body"][:left], "more_body": True}
                    left -= len(message["body"])
                await send(message)
                if left == 0:
                    raise CutError

            with suppress(CutError):
                await app(scope, receive, altering)

        return answer

    return fault


def deaf(*names: str) -> Fault:
    """Overlook headers of the request."""

    def fault(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            heard = [(name, text) for name, text in scope["headers"] if name.decode() not in names]
            await app({**scope, "headers": heard}, receive, send)

        return answer

    return fault


def unannounced(body: bytes = BODY, **headers: str) -> Fault:
    """Send a body without saying how long it is."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return lambda _app: StreamingResponse(pieces(), headers=headers)


def piece(start: int, body: bytes, total: int | str, code: int = 206, **headers: str) -> Fault:
    """Answer with a piece of a file."""
    range_ = f"bytes {start}-{start + len(body) - 1}/{total}"
    return answering(Response(body, code, {"Content-Range": range_, **headers}))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Serve a file."""
    folder = tmp_path / "server"
    folder.mkdir()
    files = Files(folder)
    files.publish(BODY)
    with serve(files) as url:
        files.url = urljoin(url, f"/{NAME}")
        yield files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is to be put."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / NAME


def beside(path: Path) -> list[str]:
    """Return the names of all that lies where the file is put."""
    return sorted(each.name for each in path.parent.iterdir())


def nothing(*_: object) -> None:
    """Take what comes."""


def fetch(files: Files, path: Path, known: FileVersion | None = None, **meanwhile: Any) -> Any:
    """Fetch the file, with nothing to do meanwhile unless told."""
    doing = {"ensure_space": nothing, "verify": nothing, "on_progress": nothing, **meanwhile}
    return fetch_file(files.url, path, known, **doing)


def fetched(files: Files, path: Path) -> Download:
    """Fetch the file whole, and forget what was asked for that."""
    got: Download = fetch(files, path)
    files.requests.clear()
    return got


def broken_off(files: Files, path: Path, after: int = 2 * PIECE) -> FileVersion:
    """Fetch the file and break off, forget what was asked for that, and return its version."""
    files.faults.append(cut(after))
    with pytest.raises(server_errors.CutBodyError):
        fetch(files, path)
    assert part(path).read_bytes() == BODY[:after]
    files.requests.clear()
    noted = json.loads(note(path).read_text())
    return FileVersion(noted["etag"], noted["last_modified"])


def part(path: Path) -> Path:
    """Return where the bytes are while they come."""
    return path.with_name(f"{NAME}.part")


def note(path: Path) -> Path:
    """Return where it is said whose bytes they are."""
    return path.with_name(f"{NAME}.json")


def change_note(path: Path, **changes: object) -> None:
    """Say something else of whose bytes they are."""
    note(path).write_text(json.dumps({**json.loads(note(path).read_text()), **changes}))


# --- a first download -----------------------------------------------------------------------


def test_a_file_comes_whole(files: Files, path: Path) -> None:
    """What comes is the file, with its version, and only its note lies beside it."""
    got = fetch(files, path)

    assert got.path == path
    assert path.read_bytes() == BODY
    assert (got.version.last_modified, got.version.day) == (HTTP_DATE, "2026-10-07")
    assert beside(path) == [NAME, f"{NAME}.json"]
    assert json.loads(note(path).read_text()) == {
        "url": files.url,
        "etag": got.version.etag,
        "last_modified": HTTP_DATE,
        "length": len(BODY),
    }


def test_a_request_is_honest(files: Files, path: Path) -> None:
    """It says who asks, wants the bytes as they are, and has no conditions the first time."""
    fetch(files, path)

    (request,) = files.requests
    assert request["user-agent"].startswith(f"cfpb-etl/{__version__} ")
    assert request["accept-encoding"] == "identity"
    assert files.conditions == [{}]


def test_the_caller_does_its_part(files: Files, path: Path) -> None:
    """Room is looked for before the first byte, each piece is told, the whole is verified."""
    seen: list[Any] = []

    fetch(
        files,
        path,
        ensure_space=lambda *room: seen.append(("room", *room, beside(path))),
        verify=lambda part: seen.append(("verify", part.name, part.read_bytes() == BODY)),
        on_progress=lambda *told: seen.append(told),
    )

    assert seen == [
        ("room", len(BODY), len(BODY), []),
        *((done, len(BODY)) for done in (PIECE, 2 * PIECE, 3 * PIECE, len(BODY))),
        ("verify", f"{NAME}.part", True),
    ]


def test_a_file_without_bytes(files: Files, path: Path) -> None:
    """Nothing at all comes as well, and whether it may be so is for the caller to say."""
    files.publish(b"")
    fetch(files, path)

    assert path.read_bytes() == b""


def test_a_length_may_be_unannounced(files: Files, path: Path) -> None:
    """Without a length nobody is asked for room, and the note has the length that it turned out."""
    files.faults.append(unannounced())
    seen: list[Any] = []

    got = fetch(
        files,
        path,
        ensure_space=lambda *room: seen.append(room),
        on_progress=lambda *t: seen.append(t),
    )

    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), None)
    assert all(total is None for _, total in seen)
    assert json.loads(note(path).read_text())["length"] == len(BODY)
    assert got.version == FileVersion()


# --- a version that is known ----------------------------------------------------------------


def test_a_known_version_does_not_come_again(files: Files, path: Path) -> None:
    """While the server has what is known, nothing comes; both its names are sent."""
    version = fetched(files, path).version
    discard(path)

    assert fetch(files, path, version) is None
    assert beside(path) == []
    assert files.conditions == [
        {"if-none-match": version.etag, "if-modified-since": version.last_modified}
    ]


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (FileVersion(last_modified=HTTP_DATE), {"if-modified-since": HTTP_DATE}),
        (FileVersion('W/"weak"'), {"if-none-match": 'W/"weak"'}),
        (FileVersion(), {}),
        (None, {}),
    ],
)
def test_a_version_is_asked_about_as_far_as_it_is_known(
    files: Files, path: Path, known: FileVersion | None, asked: dict[str, str]
) -> None:
    """What the server never said is not sent."""
    got = fetch(files, path, known)

    assert files.conditions == [asked]
    assert (got is None) is ("if-modified-since" in asked)


def test_a_newer_version_comes(files: Files, path: Path) -> None:
    """What is known is not what the server has now, so it comes."""
    version = fetched(files, path).version
    discard(path)
    files.publish(NEWER, MODIFIED + 86_400)

    got = fetch(files, path, version)

    assert got.version.day == "2026-10-08"
    assert path.read_bytes() == NEWER


def test_a_server_that_heeds_no_conditions(files: Files, path: Path) -> None:
    """A server that sends what is known all the same is not listened to."""
    version = fetched(files, path).version
    files.faults += [deaf("if-none-match", "if-modified-since")] * 2

    assert fetch(files, path).path == path
    discard(path)
    assert fetch(files, path, version) is None
    assert beside(path) == []


def test_a_server_that_tells_no_versions(files: Files, path: Path) -> None:
    """Where versions cannot be told apart, none is taken for another, and the file comes anew."""
    files.faults += [altered(etag=None, last_modified=None)] * 3

    assert fetch(files, path, FileVersion()).version == FileVersion()
    assert fetch(files, path, FileVersion()).version == FileVersion()
    assert fetch(files, path).version == FileVersion()
    assert files.conditions == [{}, {}, {}]
    assert path.read_bytes() == BODY


# --- going on -------------------------------------------------------------------------------


def test_a_download_goes_on_where_it_broke_off(files: Files, path: Path) -> None:
    """Only the rest is asked for, if it is still of that version; the bytes are the file's."""
    version = broken_off(files, path)
    seen: list[Any] = []

    got = fetch(
        files,
        path,
        ensure_space=lambda *room: seen.append(("room", *room)),
        on_progress=lambda *told: seen.append(told),
    )

    assert files.conditions == [{"range": f"bytes={2 * PIECE}-", "if-range": version.etag}]
    assert path.read_bytes() == BODY
    assert got.version == version
    assert seen[:2] == [
        ("room", len(BODY), len(BODY) - 2 * PIECE),
        (3 * PIECE, len(BODY)),
    ]
    assert seen[-1] == (len(BODY), len(BODY))
    assert beside(path) == [NAME, f"{NAME}.json"]


def test_a_killed_process_leaves_what_came(files: Files, path: Path) -> None:
    """Whatever the last piece was, also one of odd length, the next process goes on after it."""

    def kill(done: int, _: int | None) -> None:
        if done > PIECE:
            raise Killed

    with pytest.raises(Killed):
        fetch(files, path, on_progress=kill)
    with part(path).open("ab") as file:
        file.write(BODY[2 * PIECE : 2 * PIECE + 77])
    fetch(files, path)

    assert files.conditions[1]["range"] == f"bytes={2 * PIECE + 77}-"
    assert path.read_bytes() == BODY


def test_a_file_that_changed_meanwhile_begins_anew(files: Files, path: Path) -> None:
    """The part of a version that is no more is no part of the next."""
    broken_off(files, path)
    files.publish(NEWER)

    fetch(files, path)

    assert "range" in files.conditions[0]
    assert path.read_bytes() == NEWER


def test_a_server_without_ranges_begins_anew(files: Files, path: Path) -> None:
    """A server that sends all of it again is taken at its word."""
    broken_off(files, path)
    files.faults.append(deaf("range"))

    fetch(files, path)

    assert "range" in files.conditions[0]
    assert path.read_bytes() == BODY


def test_a_weak_etag_does_not_vouch_for_bytes(files: Files, path: Path) -> None:
    """With a weak ETag it is the day of the change that makes sure of the version."""
    broken_off(files, path)
    change_note(path, etag='W/"7"')
    files.faults.append(altered(etag='W/"7"'))

    fetch(files, path)

    assert files.conditions == [{"range": f"bytes={2 * PIECE}-", "if-range": HTTP_DATE}]
    assert path.read_bytes() == BODY


@pytest.mark.parametrize("etag", [None, 'W/"7"'])
def test_a_part_of_a_nameless_version_begins_anew(
    files: Files, path: Path, etag: str | None
) -> None:
    """Where nothing strong tells versions apart, no range is asked for."""
    broken_off(files, path)
    change_note(path, etag=etag, last_modified=None)

    fetch(files, path)

    assert files.conditions == [{}]
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
def test_bytes_of_unknown_origin_are_not_trusted(
    files: Files, path: Path, text: str | None, *, whole: bool
) -> None:
    """Without a note that can be read and is of this address, all begins anew."""
    if whole:
        fetched(files, path)
    else:
        broken_off(files, path)
    if text is None:
        note(path).unlink()
    else:
        note(path).write_text(text)

    fetch(files, path)

    assert files.conditions == [{}]
    assert path.read_bytes() == BODY
    assert beside(path) == [NAME, f"{NAME}.json"]


def test_a_part_beyond_its_length_begins_anew(files: Files, path: Path) -> None:
    """A part that is longer than the file cannot be a part of it."""
    broken_off(files, path)
    change_note(path, length=100)

    fetch(files, path)

    assert files.conditions == [{}]
    assert path.read_bytes() == BODY


def test_a_part_with_all_its_bytes_is_finished(files: Files, path: Path) -> None:
    """A process that was killed just before the end left the file; nothing of it comes again."""
    broken_off(files, path)
    part(path).write_bytes(BODY)
    verified: list[Path] = []

    fetch(files, path, verify=verified.append)

    assert verified == [part(path)]
    assert "range" not in files.conditions[0]
    assert path.read_bytes() == BODY
    assert beside(path) == [NAME, f"{NAME}.json"]


def test_a_part_with_all_its_bytes_needs_no_network(files: Files, path: Path) -> None:
    """It is finished even while the server is away."""
    version = broken_off(files, path)
    part(path).write_bytes(BODY)
    files.faults.append(status(503))

    assert fetch(files, path).version == version
    assert path.read_bytes() == BODY


def test_a_range_beyond_the_end_begins_anew(files: Files, path: Path) -> None:
    """A 416 is answered by one request for all of it."""
    broken_off(files, path)
    part(path).write_bytes(BODY)
    change_note(path, length=None)

    fetch(files, path)

    assert [request.get("range") for request in files.conditions] == [f"bytes={len(BODY)}-", None]
    assert path.read_bytes() == BODY


def test_a_416_to_no_range_is_told(files: Files, path: Path) -> None:
    """A server that answers so to everything is not asked a third time."""
    broken_off(files, path)
    files.faults += [status(416)] * 3

    with pytest.raises(server_errors.UnexpectedStatusError, match="416"):
        fetch(files, path)

    assert len(files.requests) == 2


def test_a_part_of_unannounced_length_goes_on(files: Files, path: Path) -> None:
    """The length may become known with the rest."""
    broken_off(files, path)
    change_note(path, length=None)

    fetch(files, path)

    assert "range" in files.conditions[0]
    assert path.read_bytes() == BODY
    assert json.loads(note(path).read_text())["length"] == len(BODY)


@pytest.mark.parametrize(
    "fault",
    [
        piece(2 * PIECE - 1, BODY[2 * PIECE - 1 :], len(BODY)),
        piece(0, BODY, len(BODY)),
        piece(2 * PIECE, BODY[2 * PIECE :], len(BODY) + 1),
        piece(2 * PIECE, BODY[2 * PIECE :], "*"),
        piece(2 * PIECE, BODY[2 * PIECE :], len(BODY), ETag='"other"'),
        altered(last_modified="Thu, 08 Oct 2026 09:16:00 GMT"),
        altered(content_range=None),
        altered(content_range="bytes 1-2"),
        altered(content_range="bytes ²-3/4"),
    ],
)
def test_another_piece_than_the_rest_is_refused(files: Files, path: Path, fault: Fault) -> None:
    """What is not the rest is not taken for it; the next attempt begins anew."""
    broken_off(files, path)
    files.faults.append(fault)

    with pytest.raises(server_errors.WrongRangeError) as wrong:
        fetch(files, path)

    assert isinstance(wrong.value, server_errors.RetriableError)
    assert wrong.value.status == 206
    assert beside(path) == []
    fetch(files, path)
    assert path.read_bytes() == BODY


def test_a_piece_that_nobody_asked_for(files: Files, path: Path) -> None:
    """A 206 or a 304 without a reason is no answer."""
    files.faults += [piece(0, BODY, len(BODY)), status(304)]

    for code in ("206", "304"):
        with pytest.raises(server_errors.UnexpectedStatusError, match=code):
            fetch(files, path)
    assert beside(path) == []


# --- a file that is here already ------------------------------------------------------------


def test_a_file_that_is_here_is_asked_about(files: Files, path: Path) -> None:
    """A load that was killed goes on from the file, which does not come a second time."""
    got = fetched(files, path)
    told: list[Any] = []

    assert fetch(files, path, on_progress=lambda *t: told.append(t)) == got
    assert told == []
    assert files.conditions == [{"if-none-match": got.version.etag, "if-modified-since": HTTP_DATE}]


def test_a_file_that_is_here_is_replaced_by_a_newer(files: Files, path: Path) -> None:
    """When the server has another, it takes the place of the old."""
    fetched(files, path)
    files.publish(NEWER, MODIFIED + 86_400)

    got = fetch(files, path)

    assert got.version.day == "2026-10-08"
    assert path.read_bytes() == NEWER
    assert beside(path) == [NAME, f"{NAME}.json"]


def test_an_old_file_never_passes_for_the_new(files: Files, path: Path) -> None:
    """Also of the same length, an old file is not what the new note beside it says."""
    fetched(files, path)
    newer = BODY[::-1]
    files.publish(newer, MODIFIED + 86_400)
    files.faults.append(cut(PIECE))

    with pytest.raises(server_errors.CutBodyError):
        fetch(files, path)

    assert beside(path) == [f"{NAME}.json", f"{NAME}.part"]
    fetch(files, path)
    assert path.read_bytes() == newer


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_a_file_that_is_here_needs_no_network(files: Files, path: Path, code: int) -> None:
    """When the server has no answer, the file is used, with a warning."""
    got = fetched(files, path)
    files.faults.append(status(code))
    events: list[Event] = []

    with listening(events.append):
        assert fetch(files, path) == got

    (warning,) = events
    assert isinstance(warning, Warned)
    assert warning.text.endswith(f"; using {path}, which was downloaded earlier")


def test_a_file_that_is_here_when_nobody_listens(files: Files, path: Path) -> None:
    """No connection at all is no obstacle either."""
    fetched(files, path)
    change_note(path, url="http://127.0.0.1:1/")
    away = replace(files, url="http://127.0.0.1:1/")

    events: list[Event] = []
    with listening(events.append):
        assert fetch(away, path).path == path

    text = (
        "CFPB's file server could not be reached: Connection refused;"
        f" using {path}, which was downloaded earlier"
    )
    assert events == [Warned(text)]


def test_a_file_that_is_gone_from_the_server_is_told(files: Files, path: Path) -> None:
    """What another attempt would not change is told, also with a file here, which stays."""
    fetched(files, path)
    files.faults.append(status(404))

    with pytest.raises(server_errors.NotFoundError):
        fetch(files, path)

    assert path.read_bytes() == BODY


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_loaded_is_removed(files: Files, path: Path, *, whole: bool) -> None:
    """What is left of a version that was loaded goes, whatever the server has by now."""
    version = fetched(files, path).version if whole else broken_off(files, path)

    assert fetch(files, path, version) is None
    assert beside(path) == []
    assert "range" not in files.conditions[0]


def test_what_is_discarded_is_gone(files: Files, path: Path) -> None:
    """A file, its part and its note are removed, and it may be said twice."""
    fetch(files, path)
    part(path).write_bytes(b"part")
    path.with_name(f"{NAME}.json.new").write_bytes(b"{")
    other = path.with_name("complaints.db")
    other.write_bytes(b"")

    discard(path)
    discard(path)

    assert beside(path) == [other.name]


# --- what can go wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "code", "said"),
    [
        (status(400), server_errors.UnexpectedStatusError, 400, "Check --file"),
        (status(403), server_errors.AccessDeniedError, 403, "CFPB's network refuses"),
        (
            status(404),
            server_errors.NotFoundError,
            404,
            "no file at this address (404). Check --file.",
        ),
        (status(410), server_errors.UnexpectedStatusError, 410, "CFPB's file server answered"),
        (status(424), server_errors.UnexpectedStatusError, 424, "Check --file"),
        (
            status(408),
            server_errors.ServerFailureError,
            408,
            "CFPB's file server failed (408)",
        ),
        (
            status(500),
            server_errors.ServerFailureError,
            500,
            "CFPB's file server failed (500)",
        ),
        (status(503), server_errors.ServerFailureError, 503, "The answer began: 'so it is'"),
        (
            status(429),
            server_errors.ThrottledError,
            429,
            "CFPB's file server received too many requests (429): retry in",
        ),
        (
            answering(HTMLResponse("<!DOCTYPE html><title>Log in</title>")),
            server_errors.WrongContentError,
            200,
            "Expected a file but got a web page. Check --file",
        ),
        (
            answering(RedirectResponse("/elsewhere")),
            server_errors.UnexpectedStatusError,
            307,
            "307: /elsewhere. Check --file.",
        ),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_each_situation_has_its_error(
    files: Files,
    path: Path,
    fault: Fault,
    error: type[server_errors.ServerError],
    code: int,
    said: str,
    *,
    begun: bool,
) -> None:
    """Every way to fail has its class and says what to do; a part that is here stays."""
    if begun:
        broken_off(files, path)
    files.faults.append(fault)
    before = beside(path)

    with pytest.raises(error) as failed:
        fetch(files, path)

    assert type(failed.value) is error
    assert failed.value.status == code
    assert failed.value.server is server_errors.FILE_SERVER
    assert said in str(failed.value)
    assert files.url in str(failed.value)
    assert beside(path) == before


def test_a_server_says_when_to_come_again(files: Files, path: Path) -> None:
    """The seconds of a 429 are told with it."""
    files.faults.append(status(429, **{"Retry-After": "7"}))

    with pytest.raises(server_errors.ThrottledError) as refused:
        fetch(files, path)

    assert refused.value.retry_after == 7


def test_an_address_where_nobody_listens(files: Files, path: Path) -> None:
    """Without a file here, no connection is an error that is worth a retry."""
    away = replace(files, url="http://127.0.0.1:1/")

    with pytest.raises(
        server_errors.UnreachableError, match="CFPB's file server could not be reached: C"
    ):
        fetch(away, path)


def test_a_server_that_falls_silent(
    files: Files, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that does not go on is given up after the read timeout, and what came is kept."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(BODY)).encode()), (b"etag", b'"1"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": BODY[:PIECE], "more_body": True})
        await asyncio.Event().wait()

    files.faults.append(lambda _app: silent)

    with pytest.raises(server_errors.UnreachableError):
        fetch(files, path)

    assert part(path).read_bytes() == BODY[:PIECE]


def test_a_short_piece_is_cut(files: Files, path: Path) -> None:
    """Where less comes than the whole, however well-formed, the rest is worth another attempt."""
    version = broken_off(files, path)
    files.faults.append(piece(2 * PIECE, BODY[2 * PIECE : 3 * PIECE], len(BODY)))

    with pytest.raises(server_errors.CutBodyError, match=r"after 786,432 of 1,000,000 bytes"):
        fetch(files, path)
    assert fetch(files, path).version == version

    assert files.conditions[1]["range"] == f"bytes={3 * PIECE}-"
    assert path.read_bytes() == BODY


def test_a_piece_that_is_too_long_is_refused(files: Files, path: Path) -> None:
    """More than was announced is not the file, and nothing of it stays."""
    broken_off(files, path)
    files.faults.append(piece(2 * PIECE, BODY[2 * PIECE :] + b"more", len(BODY)))

    with pytest.raises(server_errors.TooLargeError, match="where 1,000,000 were announced"):
        fetch(files, path)

    assert beside(path) == []


def test_a_file_that_is_not_what_it_should_be_is_removed(files: Files, path: Path) -> None:
    """A retry would go on with a part that is corrupt; so nothing of it stays."""

    def refuse(part: Path) -> None:
        raise file_errors.UnreadableFileError(path=part, detail="its bytes are wrong")

    with pytest.raises(file_errors.UnreadableFileError):
        fetch(files, path, verify=refuse)
    assert beside(path) == []

    broken_off(files, path)
    part(path).write_bytes(BODY[::-1])
    with pytest.raises(file_errors.UnreadableFileError):
        fetch(files, path, verify=refuse)
    assert beside(path) == []


@pytest.mark.parametrize("fault", [altered(), unannounced()])
def test_a_file_without_bounds(files: Files, path: Path, fault: Fault) -> None:
    """A file beyond all that CFPB publishes is refused, as soon as that is seen."""
    files.faults.append(fault)

    with pytest.raises(server_errors.TooLargeError, match=r"where 524,288 is the maximum.*--file"):
        fetch(files, path, max_bytes=2 * PIECE)

    assert beside(path) == []


@pytest.mark.parametrize("begun", [True, False])
def test_without_room_nothing_is_written(files: Files, path: Path, *, begun: bool) -> None:
    """The caller's word stands before the first byte, and a part that is here stays."""
    if begun:
        broken_off(files, path)
    before = beside(path)

    def refuse(length: int, to_come: int) -> None:
        raise file_errors.NotEnoughSpaceError(path, to_come, length)

    with pytest.raises(file_errors.NotEnoughSpaceError) as full:
        fetch(files, path, ensure_space=refuse)

    assert full.value.needed == len(BODY) - (2 * PIECE if begun else 0)
    assert beside(path) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize("announced", [True, False])
def test_a_disk_that_is_full(
    files: Files, path: Path, monkeypatch: pytest.MonkeyPatch, *, announced: bool
) -> None:
    """A disk that fills up meanwhile says how much is missing."""
    start = LocalFile.start

    def start_full(file: LocalFile, origin: Origin) -> None:
        start(file, origin)
        file.part.unlink()
        file.part.symlink_to("/dev/full")

    monkeypatch.setattr(LocalFile, "start", start_full)
    if not announced:
        files.faults.append(unannounced())

    with pytest.raises(file_errors.NotEnoughSpaceError, match=r"needs 0\.01 GB.* GB free") as full:
        fetch(files, path)

    assert full.value.path == path
    assert full.value.needed == (len(BODY) if announced else PIECE)
    assert full.value.free > 0


def test_a_folder_that_is_not_there(files: Files, tmp_path: Path) -> None:
    """What cannot be written is told with its path and the system's word."""
    with pytest.raises(
        file_errors.NotWritableFileError, match="No such file or directory"
    ) as refused:
        fetch(files, tmp_path / "nowhere" / NAME)

    assert refused.value.path == tmp_path / "nowhere" / NAME


def test_the_room_that_is_missing_is_told() -> None:
    """The numbers never read as if there were enough."""
    error = file_errors.NotEnoughSpaceError(Path(NAME), 350_000_001, 350_000_000)

    assert "needs 0.36 GB, and its disk has 0.35 GB free. Free some space" in str(error)
    assert (error.needed, error.free) == (350_000_001, 350_000_000)


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["cut", "kill"]), st.integers(0, len(NEWER))),
            st.tuples(st.sampled_from(["change", "deaf", "away", "foreign"]), st.just(0)),
        ),
        max_size=8,
    )
)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=soak(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_happens_meanwhile_the_file_is_the_servers(
    files: Files, path: Path, events: list[tuple[str, int]]
) -> None:
    """Cut, killed, changed and begun anew in any order: what is here at last is what was sent."""
    discard(path)
    files.faults.clear()
    bodies = [BODY, NEWER, BODY[::-1]]

    for number, (event, after) in enumerate(events):

        def kill(done: int, _: int | None, after: int = after) -> None:
            if done > after:
                raise Killed

        files.faults += {"cut": [cut(after)], "deaf": [deaf("range")], "away": [status(503)]}.get(
            event, []
        )
        if event == "change":
            files.publish(bodies[number % 3], MODIFIED + number)
        elif event == "foreign":
            note(path).write_text("{}")
        with suppress(server_errors.RetriableError, Killed):
            fetch(files, path, on_progress=kill if event == "kill" else nothing)
        files.faults.clear()
    fetch(files, path)

    assert path.read_bytes() == (files.folder / NAME).read_bytes()
    assert beside(path) == [NAME, f"{NAME}.json"]


# --- the day of a version -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (HTTP_DATE, "2026-10-07"),
        ("Wed, 07 Oct 2026 23:59:59 GMT", "2026-10-07"),
        ("Wed, 07 Oct 2026 23:59:59 -0500", "2026-10-08"),
        ("Wed, 07 Oct 2026 23:59:59 -0000", "2026-10-07"),
        ("Wednesday, 07-Oct-26 09:16:00 GMT", "2026-10-07"),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Wed, 31 Feb 2026 09:16:00 GMT", None),
        ("2026", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_version_has_a_day(text: str | None, day: str | None) -> None:
    """The day is UTC's, and None where it cannot be read."""
    assert FileVersion(last_modified=text).day == day


@given(st.text())
@settings(derandomize=True)
def test_a_day_is_read_or_not(text: str) -> None:
    """Whatever a server writes, no other error comes of it."""
    day = FileVersion(last_modified=text).day
    assert day is None or len(day) == 10
