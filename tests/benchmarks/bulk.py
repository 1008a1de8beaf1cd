"""Time loads of a generated daily file, with this program and with other programs.

Run `python tests/benchmarks/bulk.py [first|utils|next|far] [PAIRS]`, with the extra `bench` and the
sqlite3 shell installed. Without a mode it runs all four. The programs of a pair run one after the
other. The ratio is the median over the pairs, so it holds when the machine's speed changes. Our
times are from the start of a load to its end, or of the whole process, which also starts Prefect
and its temporary server.

first: a million complaints, zipped, into an empty database with all indexes. The other programs
    read the unzipped CSV and check none of the values. SQLite's shell and pandas fill a table with
    the same columns and indexes; DuckDB fills a table of its own format, without indexes.
utils: the same with sqlite-utils.
next: the next day's file (1 % changed, 0.1 % new, 0.01 % removed) after the file of the day before.
    The shell imports the same file into a new table with the same columns and indexes.
far: five million complaints and one million: the time for each row, the peak memory of all our
    processes, and the room on the disk.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing, nullcontext
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from paired import (
    assert_same,
    command,
    isolated_environment,
    print_ratio,
    print_values,
    remove,
    run_modes,
)
from watched import Peaks, watched

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.store.sqlite_file import ensure_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MILLION, FIVE = 1_000_000, 5
CHANGED, NEW, REMOVED = MILLION // 100, MILLION // 1_000, MILLION // 10_000  # on the next day
OWN_FORMAT = "into a format of its own, without indexes; checks nothing"
TODAY, TOMORROW = date(2026, 10, 8), date(2026, 10, 9)
ID_STEP, DAYS_STEP = 30_000_000, 1_095  # from one million to the next older one

Complaint = dict[str, Any]


class Loaded(NamedTuple):
    """The result of one load.

    Attributes:
        seconds: The time of the load.
        process_seconds: The time of the whole process.
        counts: How many complaints were new, changed, withdrawn and unchanged.
        megabytes: The peak memory of the process.
        peaks: The peak memory of all processes and the room on the disk, if they were watched.
    """

    seconds: float
    process_seconds: float
    counts: tuple[int, int, int, int]
    megabytes: float
    peaks: Peaks


def first(folder: Path, pairs: int) -> None:
    """Time first loads with the flow, the shell, DuckDB and pandas."""
    file, csv = write_today(folder)
    ours, theirs = folder / "ours.db", folder / "theirs.db"
    peers = {"sqlite3 .import": shell, "DuckDB": duckdb, "pandas": pandas}
    loads, times = [], {name: list[float]() for name in peers}
    for _ in range(pairs):
        remove(ours)
        loads.append(load(file, ours, isolated_environment(folder)))
        for name, peer in peers.items():
            remove(theirs)
            times[name].append(peer(csv, theirs))
            if name != "DuckDB":
                assert_same(ours, theirs, MILLION)
    what = "first load of a million"
    for name, note in zip(peers, ("checks nothing", OWN_FORMAT, "checks nothing"), strict=True):
        pairs_of_loads = [(a.seconds, b) for a, b in zip(loads, times[name], strict=True)]
        pairs_of_processes = [
            (a.process_seconds, b) for a, b in zip(loads, times[name], strict=True)
        ]
        print_ratio(f"{what}, the load", name, pairs_of_loads, note)
        print_ratio(f"{what}, whole process", name, pairs_of_processes, note)


def utils(folder: Path, pairs: int) -> None:
    """Time first loads with the flow and with sqlite-utils."""
    file, csv = write_today(folder)
    ours, theirs = folder / "ours.db", folder / "utils.db"
    environment = isolated_environment(folder)
    timed = []
    for _ in range(pairs):
        remove(ours, theirs)
        timed.append((load(file, ours, environment).process_seconds, sqlite_utils(csv, theirs)))
    print_ratio("first load of a million, whole process", "sqlite-utils", timed, "checks nothing")


def next_day(folder: Path, pairs: int) -> None:
    """Time the load of the next day's file, and the shell's import of the same file."""
    today, tomorrow = write_two_days(folder)
    csv = unzipped(tomorrow)
    before, database, theirs = folder / "before.db", folder / "ours.db", folder / "shell.db"
    environment = isolated_environment(folder)
    load(today, before, environment)
    timed = []
    for _ in range(pairs):
        remove(database, theirs)
        shutil.copy(before, database)
        after = load(tomorrow, database, environment)
        assert after.counts == (NEW, CHANGED, REMOVED, MILLION - CHANGED - REMOVED), after.counts
        with closing(sqlite3.connect(database)) as connection:
            (written,) = connection.execute(
                "SELECT COUNT(*) FROM complaint WHERE changed_load_id = 2"
            ).fetchone()
            (recorded,) = connection.execute("SELECT COUNT(*) FROM complaint_change").fetchone()
        assert written == NEW + CHANGED + REMOVED, written
        assert recorded == CHANGED + REMOVED, recorded
        timed.append((after, shell(csv, theirs)))
    note = "into an empty table"
    of_loads = [(ours.seconds, other) for ours, other in timed]
    of_processes = [(ours.process_seconds, other) for ours, other in timed]
    print_ratio("next day's file, the load", "sqlite3 .import", of_loads, note)
    print_ratio("next day's file, whole process", "sqlite3 .import", of_processes, note)


def far(folder: Path, pairs: int) -> None:
    """Time loads of five million complaints and of one million, and measure memory and room."""
    files = {
        millions: write_bulk_file(folder / str(millions), generate(millions), day=TODAY)
        for millions in (1, FIVE)
    }
    database = folder / "database" / "ours.db"
    database.parent.mkdir()
    timed: dict[int, list[Loaded]] = {millions: [] for millions in files}
    rooms = []
    for _ in range(pairs):
        for millions, file in files.items():
            remove(database)
            environment = isolated_environment(folder)
            timed[millions].append(load(file, database, environment, is_watched=True))
        rooms.append(timed[FIVE][-1].peaks.room / (database.stat().st_size / 1e6))
    per_row = [
        (five.seconds / FIVE, one.seconds) for one, five in zip(timed[1], timed[FIVE], strict=True)
    ]
    print_ratio("each million of five million", "one million alone", per_row)
    peaks = [each.peaks for each in timed[FIVE]]
    together = [each.together for each in peaks]
    print_values("peak memory of all processes, five million", together, "MB", 250)
    for kind in peaks[0].of_each:
        megabytes = [each.of_each.get(kind, 0.0) for each in peaks]
        print_values(f"peak memory of the {kind}, five million", megabytes, "MB")
    what = "room on the disk at the peak, five million"
    print_values(what, rooms, "times the database", 1.2)


# --- generated files ------------------------------------------------------------------------


def write_today(folder: Path) -> tuple[Path, Path]:
    """Write a daily file, and return it zipped and unzipped."""
    file = write_bulk_file(folder, generate(), day=TODAY)
    return file, unzipped(file)


def write_two_days(folder: Path) -> tuple[Path, Path]:
    """Write the daily files of two days, and return them zipped."""
    complaints = [*generate()]
    today = write_bulk_file(folder / "today", complaints, day=TODAY)
    return today, write_bulk_file(folder, generate_next_day(complaints), day=TOMORROW)


def unzipped(file: Path) -> Path:
    """Unzip the CSV of a daily file beside it."""
    with zipfile.ZipFile(file) as archive:
        return Path(archive.extract("complaints.csv", file.parent))


def generate(millions: int = 1) -> Iterator[Complaint]:
    """Yield complaints, the newest day first, in random order within a day.

    Each further million has older days.
    """
    complaints = generate_complaints(MILLION)
    random.Random(1).shuffle(complaints)  # noqa: S311 - not for security
    complaints.sort(key=lambda each: each["date_received"][:10], reverse=True)
    for older in range(millions):
        for each in complaints:
            number = int(each["complaint_id"]) + ID_STEP * (millions - 1 - older)
            yield each | {
                "complaint_id": str(number),
                # CFPB's days start in 2011, so after five million they start again at the newest.
                "date_received": earlier(each["date_received"][:10], older % FIVE),
                "date_sent_to_company": earlier(each["date_sent_to_company"][:10], older % FIVE),
            }


@cache
def earlier(day: str, steps: int) -> str:
    """Return an earlier day, by this number of steps."""
    return (date.fromisoformat(day) - timedelta(DAYS_STEP * steps)).isoformat()


def generate_next_day(complaints: list[Complaint]) -> Iterator[Complaint]:
    """Yield the complaints of the next day, new and changed ones first, in CFPB's order."""
    chosen = random.Random(2).sample(range(len(complaints)), CHANGED + REMOVED)  # noqa: S311
    # CFPB receives complaints every day. Without them, nothing shows which file is newer.
    moment = f"{TOMORROW}T08:00:00.000Z"
    days = {"date_received": moment, "date_sent_to_company": moment}
    for number in range(NEW):
        yield complaints[number] | {"complaint_id": str(ID_STEP + number), **days}
    for place in chosen[:CHANGED]:
        yield complaints[place] | {"company_response": "Closed with relief of another kind"}
    others = {*chosen}
    yield from (each for place, each in enumerate(complaints) if place not in others)


# --- loads ----------------------------------------------------------------------------------


def load(
    file: Path, database: Path, environment: dict[str, str], *, is_watched: bool = False
) -> Loaded:
    """Load a file with the flow, in another process.

    Watching it takes some percent of a processor, so loads that are compared are not watched.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command("our_bulk.py", file, database),
            env=environment,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        watching = watched(process.pid, database.parent) if is_watched else nullcontext(Peaks())
        with watching as peaks:
            process.wait()
        process_seconds = time.monotonic() - started
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        raise SystemExit(f"our_bulk.py ended with exit code {process.returncode}")
    seconds, *numbers = lines[-1].split()
    new, changed, withdrawn, unchanged, peak = map(int, numbers)
    counts = new, changed, withdrawn, unchanged
    return Loaded(float(seconds), process_seconds, counts, peak / 1e6, peaks)


def shell(csv: Path, database: Path) -> float:
    """Import a CSV with SQLite's own shell, and return the seconds."""
    create_table(csv, database, indexes())
    program = ["sqlite3", str(database), "-cmd", ".mode csv", f".import --skip 1 {csv} complaint"]
    return seconds(program)


def pandas(csv: Path, database: Path) -> float:
    """Load a CSV with pandas, with the key and the indexes, and return the seconds."""
    create_table(csv, database, ())
    return seconds(command("pandas_bulk.py", csv, database, *map(", ".join, indexes())))


def duckdb(csv: Path, database: Path) -> float:
    """Load a CSV into a table of DuckDB, and return the seconds."""
    return seconds(command("duckdb_bulk.py", csv, database))


def seconds(program: list[str]) -> float:
    """Run a program to its end, and return the seconds."""
    started = time.monotonic()
    subprocess.run(program, check=True)
    return time.monotonic() - started


def create_table(csv: Path, database: Path, indexed: Iterable[Sequence[str]]) -> None:
    """Create a table with the columns of a CSV, the types of our columns, and indexes."""
    with csv.open(encoding="utf-8") as file:
        names = [CSV_COLUMNS[title] for title in file.readline().strip().split(",")]
    kinds = {"complaint_id": "INTEGER PRIMARY KEY"}
    columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')}" for name in names)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TABLE complaint ({columns})")
        for number, each in enumerate(indexed):
            connection.execute(f"CREATE INDEX i{number} ON complaint ({', '.join(each)})")


def sqlite_utils(csv: Path, database: Path) -> float:
    """Insert a CSV with sqlite-utils, with the key and the indexes, and return the seconds."""
    program = [sys.executable, "-m", "sqlite_utils"]
    table = [str(database), "complaint"]
    started = time.monotonic()
    insert = [*program, "insert", *table, str(csv), "--csv", "--pk", "Complaint ID"]
    subprocess.run(insert, check=True, stderr=subprocess.DEVNULL)
    titles = {name: title for title, name in CSV_COLUMNS.items()}
    for indexed in indexes():
        columns = [titles[name] for name in indexed]
        subprocess.run([*program, "create-index", *table, *columns], check=True)
    return time.monotonic() - started


@cache
def indexes() -> tuple[tuple[str, ...], ...]:
    """Return the columns of each index on our table, except the one on our own column."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        ensure_schema(connection, Path(":memory:"))
        names = connection.execute("SELECT name FROM pragma_index_list('complaint')").fetchall()
        every = [
            tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})"))
            for (name,) in names
        ]
    return tuple(each for each in every if each != ("withdrawn_on",))


if __name__ == "__main__":
    MODES = {"first": first, "utils": utils, "next": next_day, "far": far}
    run_modes(MODES, [*MODES])
