"""Only one run can load into a database at a time."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store import lock as claim
from cfpb_etl.store.errors import (
    DatabaseInUseError,
    LoadRunningError,
    LockFileError,
    NotWritableError,
)
from support.loads import execute, fail, load, loading_elsewhere, outcomes, start, stored
from support.parts import NextPart, complaint, part

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

COUNT = """
from contextlib import closing
from cfpb_etl.store.errors import DatabaseError
from cfpb_etl.store.lock import lock_for_loading
try:
    with closing(lock_for_loading(P)):
        mark = P.with_name("mark")
        mark.mkdir()
        print(len([*P.parent.glob("mark")]))
        mark.rmdir()
except DatabaseError as error:
    print(type(error).__name__)
"""


def test_two_processes_cannot_load_at_once(path: Path, tmp_path: Path) -> None:
    """The second load is refused, by whatever name it opens the file; another file is free."""
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    with loading_elsewhere(path) as child:
        assert claim.is_locked(path)
        assert claim.is_locked(alias)
        for name in (path, alias, tmp_path / "." / path.name):
            with pytest.raises(DatabaseInUseError, match="being loaded by another run") as caught:
                load(name)
            assert caught.value.path == name
        assert load(tmp_path / "other.db", part(complaint(1))) == [(1, 0, 0)]
        assert outcomes(path) == [("running", None)]
        child.communicate(timeout=60)

    assert outcomes(path) == [("complete", None)]
    assert not claim.is_locked(path)
    assert load(alias) == []


def test_a_killed_load_releases_the_lock(path: Path) -> None:
    """The next load resumes it."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)

    assert not claim.is_locked(path)
    assert load(path, part(complaint(2))) == [(1, 0, 0)]
    assert outcomes(path) == [("complete", None)]
    assert stored(path) == {1: {}, 2: {}}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()], ids=repr)
def test_nothing_stays_beside_the_database(path: Path, error: BaseException | None) -> None:
    """However a load ends, its lock and SQLite's own files are removed."""
    beside: list[bool] = []
    look = NextPart(lambda: beside.append(path.with_name("complaints.db-loading").exists()))
    if error is None:
        load(path, part(next_parts=[look]))
    else:
        with pytest.raises(type(error)):
            fail(path, error, part(next_parts=[look]))

    assert beside == [True]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("heir", [False, True])
@pytest.mark.parametrize("before", ["PRAGMA synchronous = OFF", "BEGIN EXCLUSIVE"])
def test_a_lock_that_is_released_while_another_is_taken(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    heir: bool,  # noqa: FBT001
) -> None:
    """A lock on a removed file does not count, so two loads never hold one."""
    heirs = []

    class Slow(claim._Lock):
        def execute(self, sql: str, /, *_: object) -> sqlite3.Cursor:
            if sql == before:
                monkeypatch.undo()
                claim.lock_for_loading(path).close()
                if heir:
                    heirs.append(claim.lock_for_loading(path))
            return super().execute(sql)

    monkeypatch.setattr(claim, "_Lock", Slow)
    with pytest.raises(DatabaseInUseError):
        load(path)

    assert len(heirs) == heir
    for held in heirs:
        with pytest.raises(DatabaseInUseError):
            load(path)
        held.close()
    assert load(path) == []


def test_a_lock_that_cannot_be_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder cannot be used as a database, also by the name of a dot."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in (folder, Path(), folder / "none" / "complaints.db"):
        with pytest.raises(NotWritableError, match="unable to open"):
            load(name)

    assert [*tmp_path.rglob("*")] == [folder]


def test_another_programs_file_in_place_of_the_lock(path: Path) -> None:
    """It is not changed, and the load does not start. The error names it and says what to do."""
    other = path.with_name("complaints.db-loading")
    for content in (
        b"notes\n" * 100,
        b"notes",
        b"\xff" * 5000,
        b"\0" * 100_000,
        b"\0" * 150 + b"x",
    ):
        other.write_bytes(content)

        assert not claim.is_locked(path)
        with pytest.raises(
            LockFileError, match=r"another program's file.*Delete or rename"
        ) as caught:
            load(path)

        assert str(other) in str(caught.value)
        assert other.read_bytes() == content
        assert not path.exists()
    other.unlink()
    assert load(path) == []


def test_another_programs_database_in_place_of_the_lock(path: Path) -> None:
    """A SQLite file with tables is neither written nor removed."""
    other = path.with_name("complaints.db-loading")
    execute(other, "CREATE TABLE photo (a)", "INSERT INTO photo VALUES (1)")
    content = other.read_bytes()

    with pytest.raises(LockFileError, match="another program's file"):
        load(path)

    assert other.read_bytes() == content


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_no_file_in_place_of_the_lock(path: Path, make: Callable[[Path], None]) -> None:
    """A folder or a pipe stays, and the error says that it is in the way."""
    other = path.with_name("complaints.db-loading")
    make(other)

    assert not claim.is_locked(path)
    with pytest.raises(LockFileError, match="is not a file, but cfpb-etl needs this name"):
        load(path)
    assert other.exists()


def lock_content(path: Path) -> bytes:
    """Return the content of a lock file that a killed load has left."""
    with closing(claim.lock_for_loading(path)):
        return path.with_name("complaints.db-loading").read_bytes()


@pytest.mark.parametrize("size", [0, 1, 16, 17, 99, 100, 101, 107, 108, 109, 1024, 4095, 4096])
@pytest.mark.parametrize("rest", ["missing", "zero"])
@pytest.mark.parametrize("start", ["first", "zero"])
def test_a_torn_lock_file_heals_itself(path: Path, size: int, rest: str, start: str) -> None:
    """A power cut can leave any part of it. The other bytes are missing or zero."""
    whole = lock_content(path)
    torn = whole[:size] if start == "first" else bytes(size)
    if rest == "zero":
        torn = torn.ljust(len(whole), b"\0")
    if start == "zero" and rest == "zero":
        torn = torn[:size] + whole[size:]
    path.with_name("complaints.db-loading").write_bytes(torn)

    assert not claim.is_locked(path)
    with closing(claim.lock_for_loading(path)):
        assert claim.is_locked(path)
        with pytest.raises(LoadRunningError):
            claim.lock_for_loading(path)
    assert [*path.parent.iterdir()] == []


def test_two_runs_that_find_a_torn_lock_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run does not empty the file that the first run has meanwhile locked."""
    path.with_name("complaints.db-loading").write_bytes(b"SQLite form")
    empty = claim._empty_torn_file
    with ExitStack() as stack:

        def second_is_slower(lock: Path) -> None:
            monkeypatch.undo()
            stack.enter_context(loading_elsewhere(path))
            before = lock.read_bytes()
            empty(lock)
            assert lock.read_bytes() == before

        monkeypatch.setattr(claim, "_empty_torn_file", second_is_slower)
        with pytest.raises(LoadRunningError):
            load(path)
        assert claim.is_locked(path)


def test_many_runs_that_find_a_torn_lock_file(path: Path) -> None:
    """At most one of them loads at a time."""
    torn = path.with_name("complaints.db-loading")
    for content in (bytes(4096), b"SQLite", b"SQLite format 3\0" + bytes(4080)):
        torn.write_bytes(content)
        children = [start(COUNT, path) for _ in range(6)]
        for child in children:
            said, _ = child.communicate(timeout=60)
            assert said in ("1\n", "LoadRunningError\n")
        assert not torn.exists()
