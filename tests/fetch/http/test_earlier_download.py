"""A file that an earlier run has downloaded is used again, over real HTTP."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.http import errors
from cfpb_etl.fetch.http.download import discard
from cfpb_etl.model.events import Event, Warned, listening
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
    nothing,
    part_of,
)
from support.file_server import (
    BODY,
    HTTP_DATE,
    MODIFIED,
    NAME,
    NEWER_BODY,
    cut,
    ignoring,
    status,
)
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

    from support.file_server import FileServer

# --- a file that was downloaded earlier -----------------------------------------------------


def test_an_earlier_download_is_checked(server: FileServer, path: Path) -> None:
    """After a killed load the file is not sent a second time."""
    earlier = fetch_before(server, path)
    seen: list[Any] = []

    assert fetch(server, path, on_progress=lambda *progress: seen.append(progress)) == earlier
    assert seen == []
    assert server.conditions == [{"if-none-match": earlier.etag, "if-modified-since": HTTP_DATE}]


def test_an_earlier_download_is_replaced_by_a_newer_version(server: FileServer, path: Path) -> None:
    """If the server has another version, that replaces the file."""
    fetch_before(server, path)
    server.publish(NEWER_BODY, MODIFIED + 86_400)

    version = fetch(server, path)

    assert version.day == "2026-10-08"
    assert path.read_bytes() == NEWER_BODY
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]


def test_an_old_file_never_passes_for_the_new_one(server: FileServer, path: Path) -> None:
    """Even with the same length, the old file is not the one of the new note."""
    fetch_before(server, path)
    newer = BODY[::-1]
    server.publish(newer, MODIFIED + 86_400)
    server.faults.append(cut(CHUNK))

    with pytest.raises(errors.CutBodyError):
        fetch(server, path)

    assert files_in(path.parent) == [f"{NAME}.json", f"{NAME}.part"]
    fetch(server, path)
    assert path.read_bytes() == newer


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_an_earlier_download_is_used_if_the_server_fails(
    server: FileServer, path: Path, code: int
) -> None:
    """The file is used, with a warning."""
    version = fetch_before(server, path)
    server.faults.append(status(code))
    events: list[Event] = []

    with listening(events.append):
        assert fetch(server, path) == version

    (warning,) = events
    assert isinstance(warning, Warned)
    assert warning.text.endswith(f"; using {path}, which was downloaded earlier")


def test_an_earlier_download_is_used_without_a_server(server: FileServer, path: Path) -> None:
    """The file is used without any connection, too."""
    version = fetch_before(server, path)
    change_note(path, url="http://127.0.0.1:1/")
    gone = replace(server, url="http://127.0.0.1:1/")

    events: list[Event] = []
    with listening(events.append):
        assert fetch(gone, path) == version

    text = (
        "CFPB's file server could not be reached: Connection refused;"
        f" using {path}, which was downloaded earlier"
    )
    assert events == [Warned(text)]


def test_a_file_that_the_server_has_removed(server: FileServer, path: Path) -> None:
    """An error that a retry cannot change is raised; the earlier download stays."""
    fetch_before(server, path)
    server.faults.append(status(404))

    with pytest.raises(errors.NotFoundError):
        fetch(server, path)

    assert path.read_bytes() == BODY


@pytest.mark.parametrize("whole", [True, False])
def test_a_stored_version_is_removed(server: FileServer, path: Path, *, whole: bool) -> None:
    """The rest of a version that was stored is removed, whatever the server has now."""
    version = fetch_before(server, path) if whole else interrupt(server, path)

    assert fetch_or_none(server, path, version) is None
    assert files_in(path.parent) == []
    assert "range" not in server.conditions[0]


def test_a_discarded_download(server: FileServer, path: Path) -> None:
    """A file, its part and its note are removed; nothing is removed the second time."""
    fetch(server, path)
    part_of(path).write_bytes(b"part")
    path.with_name(f"{NAME}.json.new").write_bytes(b"{")
    other = path.with_name("complaints.db")
    other.write_bytes(b"")

    discard(path)
    discard(path)

    assert files_in(path.parent) == [other.name]


@given(
    events=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["cut", "kill"]), st.integers(0, len(NEWER_BODY))),
            st.tuples(st.sampled_from(["change", "no ranges", "fail", "no note"]), st.just(0)),
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
def test_the_file_is_the_servers_after_any_events(
    server: FileServer, path: Path, events: list[tuple[str, int]]
) -> None:
    """After cuts, kills and changes in any order, the file at the end is the server's."""
    discard(path)
    server.faults.clear()
    bodies = [BODY, NEWER_BODY, BODY[::-1]]

    for number, (event, after) in enumerate(events):

        def kill(done: int, _: int | None, after: int = after) -> None:
            if done > after:
                raise Killed

        server.faults += {
            "cut": [cut(after)],
            "no ranges": [ignoring("range")],
            "fail": [status(503)],
        }.get(event, [])
        if event == "change":
            server.publish(bodies[number % 3], MODIFIED + number)
        elif event == "no note":
            note_of(path).write_text("{}")
        with suppress(errors.RetriableError, Killed):
            fetch(server, path, on_progress=kill if event == "kill" else nothing)
        server.faults.clear()
    fetch(server, path)

    assert path.read_bytes() == (server.folder / NAME).read_bytes()
    assert files_in(path.parent) == [NAME, f"{NAME}.json"]
