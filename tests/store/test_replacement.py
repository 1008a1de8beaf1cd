"""The first file of complaints is stored in a new file, which takes the database's place."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.model.part import Batch, ParsedContent, ParsedPart, RawPart, ReadStats
from cfpb_etl.store import part_writer, replacement, sqlite_file
from cfpb_etl.store.errors import DatabaseInUseError, VanishedError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import (
    FakeSource,
    create_database,
    execute,
    load,
    load_file,
    outcomes,
    query,
    start,
)
from support.parts import ALL, complaint, complaints, file_of, part

if sys.platform == "linux":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

COUNT = "SELECT COUNT(*) FROM complaint"
FILE = file_of().info
SOURCE = FakeSource(
    kind="bulk", query="{}", windows=(FILE.part,), is_partial=False, part_noun="file"
)
needs_lease = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases")
# Stores a file in another process, and waits between its complaints.
STORE_AND_WAIT = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from store.test_replacement import store_file
store_file(Path(sys.argv[1]), lambda: (print("storing", flush=True), sys.stdin.read()))
"""


def store_file(path: Path, meanwhile: Callable[[], object] = str) -> None:
    """Load a file of two complaints, and call a function after the first."""

    def batches() -> Iterator[Batch]:
        yield Batch([complaint(1)])
        meanwhile()
        yield Batch([complaint(2)])

    content = ParsedContent(batches(), ALL, (), ReadStats(rows=2, ids=file_of().read_stats.ids))
    with open_load(path, SOURCE) as running:
        store_part(ParsedPart(content, RawPart(None, FILE), FILE), running.id, path)


def names_beside(path: Path) -> set[str]:
    """Return the names of the files in the database's folder."""
    return {each.name for each in path.parent.iterdir()}


# --- the new file ---------------------------------------------------------------------------


@needs_lease
def test_a_new_file_takes_the_place(path: Path) -> None:
    """It has the same permissions and what a user has added. Nothing else is left."""
    create_database(path)
    execute(path, "CREATE TABLE own (a)", "INSERT INTO own VALUES (7)")
    path.chmod(0o640)
    before = path.stat()

    store_file(path)

    assert path.stat().st_ino != before.st_ino
    assert path.stat().st_mode == before.st_mode
    assert query(path, "SELECT complaint_id, load_id FROM complaint") == [(1, 1), (2, 1)]
    assert query(path, "SELECT a FROM own") == [(7,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert outcomes(path) == [("complete", None)]
    assert names_beside(path) == {path.name}


def test_later_files_are_stored_in_it(path: Path) -> None:
    """Only an empty database is replaced."""
    load_file(path, complaint(1))
    before = path.stat().st_ino

    load_file(path, *complaints(1, 2), as_of="2026-07-01")

    assert path.stat().st_ino == before
    assert query(path, COUNT) == [(2,)]


@needs_lease
def test_a_symbolic_link_stays(path: Path) -> None:
    """The file that it names is replaced."""
    link = path.with_name("link.db")
    link.symlink_to(path)

    store_file(link)

    assert link.is_symlink()
    assert query(path, COUNT) == [(2,)]
    assert names_beside(path) == {path.name, link.name}


def test_a_file_with_two_names_keeps_them(path: Path) -> None:
    """A new file would have only one of the names."""
    create_database(path)
    path.with_name("second.db").hardlink_to(path)

    store_file(path)

    assert query(path.with_name("second.db"), COUNT) == [(2,)]


def test_a_rollback_journal_stays(path: Path) -> None:
    """With this journal, each page is written once anyway."""
    create_database(path)
    execute(path, "PRAGMA journal_mode = DELETE")
    before = path.stat().st_ino

    store_file(path)

    assert path.stat().st_ino == before
    assert query(path, "PRAGMA journal_mode") == [("delete",)]
    assert query(path, COUNT) == [(2,)]


def test_another_programs_file_with_the_name(path: Path) -> None:
    """It is neither used nor deleted."""
    theirs = path.with_name(f"{path.name}-unfinished")
    theirs.write_text("my notes")

    store_file(path)

    assert theirs.read_text() == "my notes"
    assert query(path, COUNT) == [(2,)]


@pytest.mark.parametrize("call", ["chown", "replace"])
def test_a_file_that_cannot_be_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """In a container, the owner may be of another system, and the file may be mounted by itself.

    Its complaints are copied into it.
    """
    create_database(path)
    before = path.stat().st_ino

    def refuse(*_: object) -> None:
        raise PermissionError(call)

    monkeypatch.setattr(os, call, refuse)
    store_file(path)

    assert path.stat().st_ino == before
    assert query(path, "SELECT complaint_id FROM complaint") == [(1,), (2,)]
    assert names_beside(path) == {path.name}


def test_a_trigger_that_skips_rows(path: Path) -> None:
    """The search has no narrative of a complaint that a user's trigger has skipped."""
    create_database(path)
    execute(
        path,
        "CREATE TRIGGER only_ca BEFORE INSERT ON complaint WHEN NEW.state <> 'CA'"
        " BEGIN SELECT RAISE(IGNORE); END",
    )

    load(
        path,
        part(
            complaint(1, state="TX", complaint_what_happened="alpha"),
            complaint(2, state="CA", complaint_what_happened="alpha"),
        ),
    )

    found = "SELECT rowid, narrative FROM narrative_search WHERE narrative_search MATCH 'alpha'"
    assert query(path, found) == [(2, "alpha")]


def test_without_leases(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems than Linux store into the file itself."""
    monkeypatch.setattr(replacement, "_HAS_LEASES", False)
    create_database(path)
    before = path.stat().st_ino

    store_file(path)

    assert path.stat().st_ino == before
    assert query(path, COUNT) == [(2,)]


# --- readers and writers --------------------------------------------------------------------


@pytest.mark.parametrize("has_read", [True, False])
def test_a_reader_from_before(path: Path, has_read: bool) -> None:  # noqa: FBT001
    """It sees the complaints once they are all stored. It has the log of no other file."""
    create_database(path)
    with closing(sqlite3.connect(path)) as reader:
        if has_read:
            assert reader.execute(COUNT).fetchone() == (0,)

        store_file(path, lambda: query(path, COUNT) == [(0,)])

        assert reader.execute(COUNT).fetchone() == (2,)
        load(path, part(complaint(3)))
        assert reader.execute(COUNT).fetchone() == (3,)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("has_read", [True, False])
def test_a_reader_that_comes_during_the_load(path: Path, has_read: bool) -> None:  # noqa: FBT001
    """It reads the old file at once, and later sees all complaints."""
    readers: list[sqlite3.Connection] = []

    def read() -> None:
        readers.append(sqlite3.connect(path))
        if has_read:
            assert readers[0].execute(COUNT).fetchone() == (0,)

    store_file(path, read)

    with closing(readers[0]) as reader:
        assert reader.execute(COUNT).fetchone() == (2,)
    assert names_beside(path) == {path.name}
    assert query(path, "SELECT outcome, new FROM load") == [("complete", 2)]


@needs_lease
def test_a_reader_that_comes_and_goes(path: Path) -> None:
    """It does not keep the new file from taking the place."""
    inodes = [0]

    def read() -> None:
        inodes[0] = path.stat().st_ino
        assert query(path, "SELECT outcome FROM load") == [("running",)]

    store_file(path, read)

    assert path.stat().st_ino != inodes[0]


def test_another_writer_has_to_wait(path: Path) -> None:
    """What it writes would be lost."""

    def write() -> None:
        with (
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("CREATE TABLE own (a)")

    store_file(path, write)

    assert query(path, COUNT) == [(2,)]


def test_a_reader_that_locks_the_file_later(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load does not wait for ever, and leaves the database as it was."""
    others: list[sqlite3.Connection] = []
    copied = replacement._copy
    monkeypatch.setattr(replacement, "BUSY_TIMEOUT_SECONDS", 0.05)

    def lock_and_copy(new: Path, database: Path, before: os.stat_result) -> None:
        others[0].execute("BEGIN IMMEDIATE")
        copied(new, database, before)

    monkeypatch.setattr(replacement, "_copy", lock_and_copy)
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(DatabaseInUseError, match="locked by another program"):
        store_file(path, lambda: others.append(sqlite3.connect(path, isolation_level=None)))

    with closing(others[0]) as other:
        assert other.execute(COUNT).fetchone() == (0,)
    assert names_beside(path) == {path.name}


@needs_lease
@pytest.mark.parametrize("stays_open", [True, False])
def test_a_writer_that_has_waited(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stays_open: bool,  # noqa: FBT001
) -> None:
    """It writes as soon as the load has released the lock. What it has written is not lost."""
    other = sqlite3.connect(path, isolation_level=None)
    unopened = replacement._unopened
    monkeypatch.setattr(part_writer, "may_be_replaced", lambda _: True)

    @contextmanager
    def write_first(real: Path) -> Iterator[BinaryIO | None]:
        other.execute("CREATE TABLE own (a)")
        if not stays_open:
            other.close()
        with unopened(real) as file:
            assert (file is None) is stays_open
            yield file

    monkeypatch.setattr(replacement, "_unopened", write_first)
    with pytest.raises(DatabaseInUseError, match="another program"):
        store_file(path)

    other.close()
    assert query(path, "SELECT COUNT(*) FROM own") == [(0,)]
    assert query(path, COUNT) == [(0,)]


@needs_lease
def test_a_reader_that_comes_at_the_last_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets an error for the old file, which it has opened. The new file is complete."""
    create_database(path)
    said: list[str] = []
    rename = replacement._rename

    def read() -> None:
        with closing(sqlite3.connect(path)) as reader:
            try:
                said.append(str(reader.execute(COUNT).fetchone()))
            except sqlite3.DatabaseError as error:
                said.append(str(error))

    reader = threading.Thread(target=read)

    def rename_later(new: Path, real: Path, before: os.stat_result) -> bool:
        reader.start()
        descriptors = map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
        (held,) = [each for each in descriptors if is_file(each, real)]
        while fcntl.fcntl(held, fcntl.F_GETLEASE) == fcntl.F_WRLCK:  # until the reader waits for it
            pass
        return rename(new, real, before)

    monkeypatch.setattr(replacement, "_rename", rename_later)
    store_file(path)
    reader.join()

    assert said == ["file is not a database"]
    assert query(path, COUNT) == [(2,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def is_file(descriptor: int, path: Path) -> bool:
    """Say whether a descriptor of this process is of this file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def test_without_a_list_of_open_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that is the root of a process, there may be no /proc."""
    create_database(path)
    before = path.stat().st_ino

    def refuse(*_: object) -> list[str]:
        raise FileNotFoundError("/proc/self/fd")

    monkeypatch.setattr(os, "listdir", refuse)
    store_file(path)

    assert path.stat().st_ino == before
    assert query(path, COUNT) == [(2,)]


# --- loads that end early -------------------------------------------------------------------


def test_a_failed_file(path: Path) -> None:
    """The old file stays, and records the failure."""

    def fail() -> None:
        raise ValueError("row 3 is bad")

    with pytest.raises(ValueError, match="row 3"):
        store_file(path, fail)

    assert outcomes(path) == [("failed", "row 3 is bad")]
    assert query(path, COUNT) == [(0,)]
    assert names_beside(path) == {path.name}
    store_file(path)
    assert query(path, COUNT) == [(2,)]


def test_a_killed_load(path: Path) -> None:
    """Its new file is deleted by the next load, which also records the death."""
    with start(STORE_AND_WAIT, path) as child:
        assert child.stdout
        assert child.stdout.readline() == "storing\n"
        child.kill()
        child.wait()
        assert query(path, COUNT) == [(0,)]
        if sys.platform == "linux":
            assert f"{path.name}-unfinished" in names_beside(path)

    store_file(path)
    assert query(path, COUNT) == [(2,)]
    assert names_beside(path) == {path.name}


def test_another_database_with_the_same_name(path: Path, tmp_path: Path) -> None:
    """Its own load 1 is not the load that runs, so it stays as it is."""
    other = tmp_path / "other.db"
    load_file(other, *complaints(1, 2, 3))
    theirs = [*query(other, "SELECT outcome, new, ended_at FROM load")]

    with pytest.raises(VanishedError), open_load(path, SOURCE) as running:  # noqa: PT012 - the end
        os.replace(other, path)  # noqa: PTH105 - plain
        store_part(file_of(complaint(4)), running.id, path)

    assert [*query(path, "SELECT outcome, new, ended_at FROM load")] == theirs
    assert query(path, "SELECT COUNT(*) FROM complaint WHERE withdrawn_on IS NULL") == [(3,)]


def test_a_database_that_is_replaced_at_the_end(path: Path, tmp_path: Path) -> None:
    """The end of the load is not recorded in it."""
    other = tmp_path / "other.db"
    load_file(other, *complaints(1, 2, 3))
    theirs = [*query(other, "SELECT * FROM load")]

    with pytest.raises(VanishedError), open_load(path, SOURCE) as running:  # noqa: PT012 - the end
        store_part(file_of(complaint(4)), running.id, path)
        os.replace(other, path)  # noqa: PTH105 - plain

    assert [*query(path, "SELECT * FROM load")] == theirs


@needs_lease
@pytest.mark.parametrize("change", ["moved", "deleted", "replaced"])
def test_a_database_that_vanishes(path: Path, tmp_path: Path, change: str) -> None:
    """The error names the reason. Another file that was put there stays."""
    other = tmp_path / "other"
    other.mkdir()
    execute(other / "other.db", "CREATE TABLE photo (a)")
    theirs = (other / "other.db").read_bytes()

    def vanish() -> None:
        if change == "deleted":
            path.unlink()
        else:
            path.rename(other / "moved.db")
        if change == "replaced":
            os.replace(other / "other.db", path)  # noqa: PTH105 - plain

    with pytest.raises(VanishedError):
        store_file(path, vanish)

    if change == "replaced":
        assert path.read_bytes() == theirs
    else:
        assert not path.exists()
