"""The room on the disks that a load needs, and the check before the load."""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.emulator import generate_complaints
from cfpb_etl.emulator.data.files import write_csv
from cfpb_etl.fetch import disk_space
from cfpb_etl.fetch.complaint_file import FilePart, FileSource, fetch_complaint_file
from cfpb_etl.fetch.disk_space import ensure_space, temporary_folder
from cfpb_etl.fetch.errors import NotEnoughSpaceError, NotEnoughTemporarySpaceError
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.store import replacement
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.emulator import RawComplaint
    from cfpb_etl.emulator.data.files import Columns

FREE = 1_000


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Leave 1,000 bytes on every disk, and return the folders whose disk was checked."""
    folders: list[Path] = []

    def disk_usage(folder: Path) -> SimpleNamespace:
        folders.append(folder)
        return SimpleNamespace(free=FREE)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return folders


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on another disk, which SQLite uses for its temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(folder))
    stat = Path.stat

    def stat_elsewhere(path: Path, **options: bool) -> object:
        found = stat(path, **options)
        if path != folder:
            return found
        return SimpleNamespace(st_dev=found.st_dev + 1, st_mode=found.st_mode)

    monkeypatch.setattr(Path, "stat", stat_elsewhere)
    return folder


# --- the database's disk --------------------------------------------------------------------


def test_the_space_for_a_new_database(tmp_path: Path, checked: list[Path]) -> None:
    """It is the missing bytes, and 3.6 times the CSV for the database and its log."""
    ensure_space(tmp_path / "c.db", 200, 280)
    with pytest.raises(NotEnoughSpaceError) as caught:
        ensure_space(tmp_path / "c.db", 200, 281)

    assert (caught.value.path, caught.value.needed) == (tmp_path / "c.db", 1_001)
    assert caught.value.free == FREE
    assert checked == [tmp_path, tmp_path]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, they need a log")
def test_the_space_for_the_first_complaints(
    tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no log, but SQLite's temporary files lie beside the database."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))

    ensure_space(tmp_path / "c.db", 400, 120, is_first=True)
    with pytest.raises(NotEnoughSpaceError) as caught:
        ensure_space(tmp_path / "c.db", 400, 121, is_first=True)

    assert caught.value.needed == 880 + 121
    assert checked == [tmp_path, tmp_path]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, they need a log")
def test_the_first_complaints_with_temporary_files_elsewhere(
    tmp_path: Path, temporary: Path, checked: list[Path]
) -> None:
    """Each disk has its own files."""
    ensure_space(tmp_path / "c.db", 500, 100, is_first=True)
    with pytest.raises(NotEnoughSpaceError):
        ensure_space(tmp_path / "c.db", 500, 101, is_first=True)

    assert checked == [tmp_path, temporary, tmp_path]


def test_the_space_for_the_next_file(tmp_path: Path, checked: list[Path]) -> None:
    """What the database has is mostly unchanged: half of its CSV is needed for the log."""
    database = tmp_path / "c.db"
    database.write_bytes(bytes(3_600))  # as a CSV of 2,000 bytes makes it

    ensure_space(database, 2_000)
    ensure_space(database, 1_999, 1)
    with pytest.raises(NotEnoughSpaceError) as caught:
        ensure_space(database, 2_100)

    assert caught.value.needed == 360 + 1_000


@pytest.mark.parametrize("name", ["c.db", "./c.db"])
def test_the_disk_of_the_current_folder(
    name: str, tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database may be given without its folder."""
    monkeypatch.chdir(tmp_path)

    ensure_space(Path(name), 0)

    assert checked == [tmp_path]


# --- the disk of temporary files ------------------------------------------------------------


def test_another_disk_for_temporary_files(
    tmp_path: Path, temporary: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs 0.7 times the CSV, and the error names the folder and the variable."""
    free = {tmp_path: 10_000, temporary: 1_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free[folder]))

    ensure_space(tmp_path / "c.db", 1_429)
    with pytest.raises(NotEnoughTemporarySpaceError) as caught:
        ensure_space(tmp_path / "c.db", 1_431)

    assert (caught.value.path, caught.value.needed) == (temporary, 1_001)
    assert f"SQLite's temporary files in {temporary} need 0.01 GB" in str(caught.value)
    assert "SQLITE_TMPDIR" in str(caught.value)


def test_temporary_files_on_the_same_disk(
    tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no further space, because they are gone when the log becomes the database."""
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))

    ensure_space(tmp_path / "c.db", 277)

    assert checked == [tmp_path]


def test_where_sqlite_writes_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite uses the first folder of its list that exists."""
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setenv("SQLITE_TMPDIR", str(one))
    monkeypatch.setenv("TMPDIR", str(two))
    two.mkdir()
    assert temporary_folder() == two

    one.mkdir()
    assert temporary_folder() == one

    monkeypatch.delenv("SQLITE_TMPDIR")
    monkeypatch.delenv("TMPDIR")
    assert temporary_folder() in {Path("/var/tmp"), Path("/usr/tmp"), Path("/tmp")}  # noqa: S108

    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    monkeypatch.chdir(tmp_path)
    assert temporary_folder() == tmp_path


# --- what a load really needs ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("columns", [15, 16, 18])
def test_a_load_needs_no_more_than_the_check_demands(
    tmp_path: Path, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a first load, and of the next day's load, are below the factors."""
    rows = generate_complaints(120_000, era="deployed" if columns == 15 else "2024")
    random.Random(1).shuffle(rows)  # noqa: S311 - not for security
    file, database = tmp_path / "c.csv", tmp_path / "c.db"

    csv = write(file, rows, columns)
    needed = load(file, database)
    assert database.stat().st_size < disk_space._DATABASE * csv
    if sys.platform == "linux":
        assert needed < (disk_space._DATABASE + disk_space._SORTING_BESIDE) * csv

    other = tmp_path / "other" / "c.db"
    other.parent.mkdir()
    monkeypatch.setattr(replacement, "_HAS_LEASES", False)
    assert load(file, other) < (disk_space._DATABASE + disk_space._LOG) * csv

    changed, new = len(rows) * 3 // 1_000, len(rows) // 1_000
    random.Random(2).shuffle(rows)  # noqa: S311 - not for security
    for row in rows[:changed]:
        row["company_response"] = "Closed with relief of another kind"
    rows += [row | {"complaint_id": f"9{row['complaint_id']}"} for row in rows[-new:]]
    write(file, rows, columns)
    before = database.stat().st_size

    assert load(file, database) - before < disk_space._UPDATE * csv


def write(file: Path, rows: list[RawComplaint], columns: Columns) -> int:
    """Write a CSV, and return its size."""
    with file.open("w", encoding="utf-8", newline="") as text:
        write_csv(text, rows, columns)
    return file.stat().st_size


INFO = {"proves_absence": True, "is_whole": True}


def load(file: Path, database: Path) -> int:
    """Load a file, and return the largest size of the database's files at any time."""
    part = FilePart.at(str(file))
    source = FakeSource(
        kind="bulk", query="{}", windows=(part,), is_partial=False, part_noun="file"
    )
    with sizes(database) as seen, open_load(database, source) as running:
        raw = fetch_complaint_file(FileSource(), part, database, None, INFO)
        store_part(parse_part(raw), running.id, database)
    return max(seen)


@contextmanager
def sizes(database: Path) -> Iterator[list[int]]:
    """Record the size of the database's files and of SQLite's temporary files every 5 ms."""
    seen: list[int] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.005):
            size = 0
            for each in database.parent.glob(f"{database.name}*"):
                with suppress(OSError):
                    size += each.stat().st_size
            # SQLite has removed the names of its temporary files, which are open.
            for link in Path("/proc/self/fd").glob("*"):
                with suppress(OSError):
                    if "etilqs" in os.readlink(link):  # noqa: PTH115 - the name ends in (deleted)
                        size += link.stat().st_size
            seen.append(size)

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield seen
    finally:
        ended.set()
        watch.join()
