"""Downloads from the file server, and the files that they leave on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.fetch.http.download import fetch_file
from cfpb_etl.fetch.http.errors import CutBodyError
from cfpb_etl.model.file import FileVersion
from support.file_server import BODY, NAME, cut

if TYPE_CHECKING:
    from pathlib import Path

    from support.file_server import FileServer

CHUNK = 2**18  # the client receives this many bytes at a time


class Killed(BaseException):
    """Raised at a point where a test simulates a killed process."""


def files_in(folder: Path) -> list[str]:
    """Return the names of all files in a folder."""
    return sorted(each.name for each in folder.iterdir())


def nothing(*_: object) -> None:
    """Do nothing."""


def fetch(
    server: FileServer, path: Path, stored: FileVersion | None = None, **options: Any
) -> FileVersion:
    """Fetch the file, which the server must send. By default the callbacks do nothing."""
    version = fetch_or_none(server, path, stored, **options)
    assert version is not None
    return version


def fetch_or_none(
    server: FileServer, path: Path, stored: FileVersion | None = None, **options: Any
) -> FileVersion | None:
    """Fetch the file; return None if the stored version is current."""
    callbacks = {"ensure_space": nothing, "verify": nothing, "on_progress": nothing}
    return fetch_file(server.url, path, stored, **{**callbacks, **options})


def fetch_before(server: FileServer, path: Path) -> FileVersion:
    """Fetch the whole file, clear the list of requests, and return the version."""
    version = fetch(server, path)
    server.requests.clear()
    return version


def interrupt(server: FileServer, path: Path, after: int = 2 * CHUNK) -> FileVersion:
    """Fetch a part of the file, clear the list of requests, and return the version."""
    server.faults.append(cut(after))
    with pytest.raises(CutBodyError):
        fetch(server, path)
    assert part_of(path).read_bytes() == BODY[:after]
    server.requests.clear()
    origin = read_note(path)
    return FileVersion(origin["etag"], origin["last_modified"])


def part_of(path: Path) -> Path:
    """Return the path of the part while it is received."""
    return path.with_name(f"{NAME}.part")


def note_of(path: Path) -> Path:
    """Return the path of the note about the origin."""
    return path.with_name(f"{NAME}.json")


def read_note(path: Path) -> dict[str, Any]:
    """Return the origin from the note."""
    origin: dict[str, Any] = json.loads(note_of(path).read_text())
    return origin


def change_note(path: Path, **changes: object) -> None:
    """Change the origin in the note."""
    note_of(path).write_text(json.dumps({**read_note(path), **changes}))
