"""Only one run can load into a database at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store import lock as claim
from cfpb_etl.store.errors import DatabaseInUseError, LockFileError, NotWritableError
from support.loads import fail, load, loading_elsewhere, outcomes, stored
from support.parts import NextPart, complaint, part

if TYPE_CHECKING:
    import sqlite3


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
    """It is not removed, and the load does not start."""
    other = path.with_name("complaints.db-loading")
    other.write_bytes(b"notes\n" * 100)

    assert not claim.is_locked(path)
    with pytest.raises(LockFileError, match="another program's file"):
        load(path)

    assert other.read_bytes() == b"notes\n" * 100
    assert not path.exists()
