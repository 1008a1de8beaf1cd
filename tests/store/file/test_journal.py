"""WAL mode for a new file where the disk allows it; the mode of an existing file stays."""

from __future__ import annotations

import _sqlite3
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store import sqlite_file
from cfpb_etl.store.errors import DatabaseInUseError
from cfpb_etl.store.sqlite_file import connect, ensure_schema, open_beside, transaction
from support import PYTHONPATH
from support.loads import (
    BEGIN,
    INSERT,
    create_database,
    execute,
    load,
    load_file,
    loading_elsewhere,
    query,
    stored,
)
from support.parts import complaint, part

if TYPE_CHECKING:
    from pathlib import Path

CATCH = """
from support import disks
from cfpb_etl.store.errors import DatabaseError
from cfpb_etl.store.sqlite_file import open_for_reading
{disk}
for use in {uses!r}:
    try:
        exec(use)
    except DatabaseError as error:
        print(type(error).__name__, error)
"""
DISKS = {
    "no functions for shared memory": "disks.without_shared_memory()",
    "shared memory cannot be mapped": "disks.failing(shared_memory=sqlite3.SQLITE_IOERR_SHMMAP)",
    "shared memory cannot be opened": "disks.failing(shared_memory=sqlite3.SQLITE_IOERR_SHMOPEN)",
    "shared memory cannot be locked": "disks.failing(shared_memory=sqlite3.SQLITE_PROTOCOL)",
}
LOAD = "print(load(P, part(complaint(2))), load(P, part(complaint(3))))"
READ = """with open_for_reading(P) as connection:
    print(connection.execute("SELECT COUNT(*) FROM complaint").fetchone())"""
MODE = "print('WAL' if P.read_bytes()[18] == 2 else 'rollback')"  # SQLite's file format
on_each_disk = pytest.mark.parametrize("disk", DISKS.values(), ids=DISKS)


def run_on(disk: str, path: Path, *uses: str) -> list[str]:
    """Use a database on such a disk, in a process of its own, and return the lines of output."""
    if not hasattr(_sqlite3, "__file__"):
        pytest.skip("SQLite is a part of Python itself, so its functions cannot be replaced")
    child = subprocess.run(
        [sys.executable, "-c", BEGIN + CATCH.format(disk=disk, uses=uses), path],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return child.stdout.splitlines()


def mode(path: Path) -> str:
    """Return the journal mode that another program sees."""
    ((found,),) = query(path, "PRAGMA journal_mode")
    return str(found)


# --- the user's mode ------------------------------------------------------------------------


def test_a_new_file_is_in_wal_mode_from_the_start(path: Path) -> None:
    """A process that dies before it creates the tables leaves an empty file in this mode."""
    with closing(connect(path, make=True)):
        pass

    assert mode(path) == "wal"
    assert query(path, "SELECT COUNT(*) FROM sqlite_schema") == [(0,)]
    assert query(path, "PRAGMA page_size") == [(8192,)]
    load(path, part(complaint(1)))
    assert mode(path) == "wal"


@pytest.mark.parametrize("set_by_user", ["DELETE", "TRUNCATE", "PERSIST"])
def test_a_rollback_journal_set_by_the_user_stays(path: Path, set_by_user: str) -> None:
    """Loads and readers work, and nothing stays beside the database."""
    load(path, part(complaint(1)))
    execute(path, f"PRAGMA journal_mode = {set_by_user}")

    assert load(path, part(complaint(1), complaint(2))) == [(1, 0, 1)]
    assert load_file(path, complaint(1, state="CA"), complaint(3)).changed == 1
    assert mode(path) == "delete"  # SQLite stores only whether the mode is WAL
    assert stored(path) == {1: {"state": "CA"}, 2: {}, 3: {}}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("journal", "safe"), [("WAL", 1), ("DELETE", 2)])
def test_a_power_cut_does_not_damage_the_file(path: Path, journal: str, safe: int) -> None:
    """Only in WAL mode SQLite may wait less for the disk: NORMAL is 1, and FULL is 2."""
    create_database(path)
    execute(path, f"PRAGMA journal_mode = {journal}")

    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (safe,)


@pytest.mark.parametrize(("journal", "is_second"), [("WAL", True), ("DELETE", False)])
def test_a_second_connection_only_where_it_can_read(
    path: Path,
    journal: str,
    is_second: bool,  # noqa: FBT001
) -> None:
    """With a rollback journal, the writer reads by itself, because it locks out readers."""
    create_database(path)
    execute(path, f"PRAGMA journal_mode = {journal}")

    with closing(connect(path)) as writer, open_beside(writer, path) as reader:
        assert (reader is not writer) == is_second
        with transaction(writer):
            writer.execute("PRAGMA cache_size = 1")
            writer.execute("PRAGMA cache_spill = 1")
            writer.execute(INSERT)
            rows = [(n, "x" * 9000) for n in range(2, 50)]
            sql = INSERT.replace("(complaint_id,", "(complaint_id, issue,")
            writer.executemany(sql.replace("(1,", "(?, ?,"), rows)
            count = reader.execute("SELECT COUNT(*) FROM complaint").fetchone()
            assert count == ((0,) if is_second else (49,))
        writer.execute("SELECT 1")


def test_a_commit_waits_for_a_reader(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a rollback journal, a reader blocks the commit, and after a limit nothing is stored."""
    load(path, part(complaint(1)))
    execute(path, "PRAGMA journal_mode = DELETE")
    with closing(connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM complaint").fetchone()
        tries = []

        def trace(statement: str) -> None:
            if statement == "COMMIT":
                tries.append(statement)
                if len(tries) == 2:
                    reader.rollback()

        writer.set_trace_callback(trace)
        with transaction(writer):
            writer.execute("DELETE FROM complaint")
        assert len(tries) >= 2
        assert stored(path) == {}

        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM complaint").fetchone()
        monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
        with pytest.raises(DatabaseInUseError, match="Close the program that has it open"):
            load(path, part(complaint(2)))
        reader.rollback()
    assert stored(path) == {}


# --- exclusive locks ------------------------------------------------------------------------


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("locked_by", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE"])
def test_an_exclusive_lock_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, journal: str, locked_by: str
) -> None:
    """After the limit, the error names the lock. When the lock is released, a load works."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    create_database(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}").fetchall()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(locked_by)
        other.execute(INSERT)
        with pytest.raises(DatabaseInUseError, match="is locked by another program"):
            load(path)
        if other.in_transaction:
            other.execute("COMMIT")
    assert load(path, part(complaint(2))) == [(1, 0, 0)]
    assert mode(path) == journal.lower()


# --- disks without shared memory ------------------------------------------------------------


@on_each_disk
def test_a_new_file_on_a_disk_without_shared_memory(path: Path, disk: str) -> None:
    """It gets a rollback journal, with which loads and readers work."""
    assert run_on(disk, path, LOAD, READ) == ["[(1, 0, 0)] [(1, 0, 0)]", "(2,)"]
    assert mode(path) == "delete"
    assert stored(path) == {2: {}, 3: {}}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@on_each_disk
def test_a_file_copied_to_a_disk_without_shared_memory(path: Path, disk: str) -> None:
    """Readers refuse it in WAL mode. A load gives it a rollback journal, and then both work."""
    load(path, part(complaint(1)))

    said, *then = run_on(disk, path, READ, MODE, LOAD, READ)

    assert said.startswith(f"UnsuitableDiskError {path} cannot be used on its disk, which lacks")
    assert "shared memory" in said
    assert then == ["WAL", "[(1, 0, 0)] [(1, 0, 0)]", "(3,)"]
    assert mode(path) == "delete"


def test_the_log_of_a_killed_load_is_kept(path: Path, tmp_path: Path) -> None:
    """What a killed load has stored is only in the log, which goes into the file first."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)
    copy = tmp_path / "copy" / path.name
    copy.parent.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")

    disk = DISKS["shared memory cannot be mapped"]
    assert run_on(disk, copy, LOAD) == ["[(1, 0, 0)] [(1, 0, 0)]"]
    assert stored(copy) == {1: {}, 2: {}, 3: {}}


def test_another_programs_file_keeps_its_mode(path: Path) -> None:
    """A file that is refused is not changed, also on such a disk."""
    execute(
        path, "PRAGMA journal_mode = WAL", "PRAGMA application_id = 7", "CREATE TABLE photo (a)"
    )
    before = path.read_bytes()

    (said,) = run_on(DISKS["shared memory cannot be mapped"], path, LOAD)

    assert said.startswith("UnsuitableDiskError")
    assert path.read_bytes() == before


@pytest.mark.parametrize("exists", [False, True])
def test_a_disk_without_locks(path: Path, exists: bool) -> None:  # noqa: FBT001
    """No load works there, because two loads could run at once. The error says what to do."""
    if exists:
        create_database(path)

    (said,) = run_on("disks.failing(locks=sqlite3.SQLITE_IOERR_LOCK)", path, LOAD)

    assert said.startswith(
        f"UnsuitableDiskError {path} cannot be used on its disk, which lacks locks"
    )
    assert "Choose a --database on a disk of this computer" in said


def test_the_schema_is_created_in_one_transaction(path: Path) -> None:
    """Opening an existing file changes neither its mode nor its bytes."""
    create_database(path)
    execute(path, "PRAGMA journal_mode = DELETE")
    before = path.read_bytes()

    with closing(connect(path, make=True)) as connection:
        ensure_schema(connection, path)

    assert path.read_bytes() == before
