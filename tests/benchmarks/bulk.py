"""Time loads of CFPB's daily file, made up: ours, the sqlite3 shell's and sqlite-utils', in turn.

Run `python tests/benchmarks/bulk.py [first|utils|next|far] [PAIRS]`, with the extra `bench` and the
sqlite3 shell installed; without a word it does all four. Ratios are medians of the pairs', which
hold when the machine's speed drifts. Times are of a load from its beginning to its end; whole
processes, which start Prefect and its temporary server first, are told beside them.

first: a million complaints, zipped, into an empty database with all its indexes; the shell imports
    the unzipped CSV into a table of the same columns and indexes, and looks at none of its values.
utils: the same beside sqlite-utils.
next: the next day's file (1 % changed, 0.1 % new, 0.01 % gone) after that of the day before.
far: five million beside one million: the time for a row, and the peak memory of both processes,
    under a Prefect server that is not their child.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pull import command, prefect_server, remove, settings

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.parse.csv_rows import COLUMNS
from cfpb_etl.store.tables import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

MILLION, FIVE = 1_000_000, 5
TODAY, TOMORROW = date(2026, 10, 8), date(2026, 10, 9)
ID_STEP, DAYS_STEP = 30_000_000, 1_095  # from one million to the next older one

# VmHWM is of Linux, in KiB; it is told at the end, where the reader holds most.
READER = """
import pathlib, runpy, sys
runpy.run_module("cfpb_etl.parse.csv_process", run_name="__main__")
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024 // 1000, file=sys.stderr)
"""

Source = dict[str, Any]


class Loaded(NamedTuple):
    """What a load took and did."""

    seconds: float
    whole_process: float
    counts: tuple[int, int, int, int]
    megabytes: float


def first(folder: Path, pairs: int) -> None:
    """Time first loads, ours and the shell's."""
    file, csv = today(folder)
    ours, theirs = folder / "ours.db", folder / "shell.db"
    timed = []
    for _ in range(pairs):
        remove(ours, theirs)
        timed.append((load(file, ours, settings(folder)), shell(csv, theirs)))
    prove_same(ours, theirs)
    tell_pairs("sqlite3 .import", [(one.seconds, other) for one, other in timed])
    whole = [one.whole_process / other for one, other in timed]
    print(f"whole process {statistics.median(whole):.2f} times the shell's, Prefect's start in it")


def utils(folder: Path, pairs: int) -> None:
    """Time first loads, ours and sqlite-utils'."""
    file, csv = today(folder)
    ours, theirs = folder / "ours.db", folder / "utils.db"
    timed = []
    for _ in range(pairs):
        remove(ours, theirs)
        timed.append((load(file, ours, settings(folder)).seconds, sqlite_utils(csv, theirs)))
    tell_pairs("sqlite-utils", timed)


def next_day(folder: Path, pairs: int) -> None:
    """Time the next day's load beside the first one's."""
    complaints = [*made()]
    first_file = write_bulk_file(folder / "today", complaints, day=TODAY)
    changed, new, gone = MILLION // 100, MILLION // 1_000, MILLION // 10_000
    tomorrow = write_bulk_file(folder, moved(complaints, changed, new, gone), day=TOMORROW)
    del complaints
    database = folder / "ours.db"
    timed = []
    for _ in range(pairs):
        remove(database)
        before = load(first_file, database, settings(folder))
        after = load(tomorrow, database, settings(folder))
        assert after.counts == (new, changed, gone, MILLION - changed - gone), after.counts
        with closing(sqlite3.connect(database)) as connection:
            (written,) = connection.execute(
                "SELECT COUNT(*) FROM complaint WHERE load_id = 2"
            ).fetchone()
            (noted,) = connection.execute("SELECT COUNT(*) FROM complaint_change").fetchone()
        assert (written, noted) == (new + changed + gone, changed + gone), (written, noted)
        timed.append((after.seconds, before.seconds))
    tell_pairs("first load", timed, ours="next day")


def far(folder: Path, pairs: int) -> None:
    """Hold five million beside one million."""
    files = {
        millions: write_bulk_file(folder / str(millions), made(millions), day=TODAY)
        for millions in (1, FIVE)
    }
    database = folder / "ours.db"
    timed: dict[int, list[Loaded]] = {millions: [] for millions in files}
    with prefect_server(folder) as environment:
        for _ in range(pairs):
            for millions, file in files.items():
                remove(database)
                timed[millions].append(load(file, database, environment))
    for millions, loads in timed.items():
        seconds, most = (
            statistics.median(each.seconds for each in loads),
            max(each.megabytes for each in loads),
        )
        print(
            f"{millions} million  {seconds:6.2f} s, {seconds / millions:5.2f} us a row;"
            f" at most {most:.0f} MB, and {read_alone(files[millions]):.0f} MB to read"
        )
    ratios = [
        five.seconds / FIVE / one.seconds for one, five in zip(timed[1], timed[FIVE], strict=True)
    ]
    print(f"a row of five million takes {statistics.median(ratios):.2f} times as long")


# --- made-up files --------------------------------------------------------------------------


def today(folder: Path) -> tuple[Path, Path]:
    """Write a day's file, and return it zipped and unzipped."""
    file = write_bulk_file(folder, made(), day=TODAY)
    with zipfile.ZipFile(file) as archive:
        return file, Path(archive.extract("complaints.csv", folder))


def made(millions: int = 1) -> Iterator[Source]:
    """Yield complaints, the newest day first and in no order within a day, each million older."""
    complaints = generate_complaints(MILLION)
    random.Random(1).shuffle(complaints)  # noqa: S311 - nothing secret
    complaints.sort(key=lambda each: each["date_received"][:10], reverse=True)
    for older in range(millions):
        for each in complaints:
            number = int(each["complaint_id"]) + ID_STEP * (millions - 1 - older)
            yield each | {
                "complaint_id": str(number),
                # CFPB's begin in 2011: of more than five million the sixth is as new as the first.
                "date_received": earlier(each["date_received"][:10], older % FIVE),
                "date_sent_to_company": earlier(each["date_sent_to_company"][:10], older % FIVE),
            }


@cache
def earlier(day: str, steps: int) -> str:
    """Return a day so many steps before."""
    return (date.fromisoformat(day) - timedelta(DAYS_STEP * steps)).isoformat()


def moved(complaints: list[Source], changed: int, new: int, gone: int) -> Iterator[Source]:
    """Yield the next day's complaints: what is new or changed first, as CFPB writes it."""
    chosen = random.Random(2).sample(range(len(complaints)), changed + gone)  # noqa: S311
    for number in range(new):
        yield complaints[number] | {"complaint_id": str(ID_STEP + number)}
    for place in chosen[:changed]:
        yield complaints[place] | {"company_response": "Closed with relief of another kind"}
    others = {*chosen}
    yield from (each for place, each in enumerate(complaints) if place not in others)


# --- loads ----------------------------------------------------------------------------------


def load(file: Path, database: Path, environment: dict[str, str]) -> Loaded:
    """Load a file with our flow, in a process of its own."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command("our_bulk.py", file, database),
            env=environment,
            stdout=said,
            stderr=subprocess.DEVNULL,
        )
        process.wait()
        whole = time.monotonic() - began
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode:
        raise SystemExit(f"our_bulk.py ended with exit code {process.returncode}")
    seconds, *numbers = lines[-1].split()
    inserted, updated, withdrawn, unchanged, peak = map(int, numbers)
    done = inserted, updated, withdrawn, unchanged
    return Loaded(float(seconds), whole, done, peak / 1e6)


def read_alone(file: Path) -> float:
    """Read a file as our reader does, and return the most memory that it held, in megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", READER, file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stderr) / 1e3


def shell(csv: Path, database: Path) -> float:
    """Import a CSV with SQLite's own shell, and return how long that took."""
    with csv.open(encoding="utf-8") as file:
        names = [COLUMNS[title] for title in file.readline().strip().split(",")]
    kinds = {"complaint_id": "INTEGER PRIMARY KEY"}
    columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')}" for name in names)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TABLE complaint ({columns})")
        for number, indexed in enumerate(indexes()):
            connection.execute(f"CREATE INDEX i{number} ON complaint ({', '.join(indexed)})")
    began = time.monotonic()
    subprocess.run(
        ["sqlite3", str(database), "-cmd", ".mode csv", f".import --skip 1 {csv} complaint"],
        check=True,
    )
    return time.monotonic() - began


def sqlite_utils(csv: Path, database: Path) -> float:
    """Insert a CSV with sqlite-utils, key and index too, and return how long that took."""
    program = [sys.executable, "-m", "sqlite_utils"]
    table = [str(database), "complaint"]
    began = time.monotonic()
    insert = [*program, "insert", *table, str(csv), "--csv", "--pk", "Complaint ID"]
    subprocess.run(insert, check=True, stderr=subprocess.DEVNULL)
    titles = {name: title for title, name in COLUMNS.items()}
    for indexed in indexes():
        columns = [titles[name] for name in indexed]
        subprocess.run([*program, "create-index", *table, *columns], check=True)
    return time.monotonic() - began


@cache
def indexes() -> tuple[tuple[str, ...], ...]:
    """Return the columns of each index that our complaints have, but for those only ours know."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for migrate in MIGRATIONS:
            migrate(connection)
        names = connection.execute("SELECT name FROM pragma_index_list('complaint')").fetchall()
        every = [
            tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})"))
            for (name,) in names
        ]
    return tuple(each for each in every if each != ("withdrawn_on",))


def prove_same(ours: Path, theirs: Path) -> None:
    """Compare two databases, every column of every complaint; theirs has "" for NULL."""
    with closing(sqlite3.connect(ours)) as connection:
        connection.execute("ATTACH ? AS theirs", (str(theirs),))
        columns = [row[1] for row in connection.execute("PRAGMA theirs.table_info(complaint)")]
        mine = ", ".join(columns)
        other = ", ".join(f"NULLIF({name}, '')" for name in columns)
        for database in ("main", "theirs"):
            (stored,) = connection.execute(f"SELECT COUNT(*) FROM {database}.complaint").fetchone()  # noqa: S608
            assert stored == MILLION, (database, stored)
        differing = connection.execute(
            f"SELECT {mine} FROM main.complaint EXCEPT SELECT {other} FROM theirs.complaint LIMIT 1"  # noqa: S608
        ).fetchone()
        assert differing is None, differing


def tell_pairs(name: str, timed: list[tuple[float, float]], ours: str = "cfpb-etl") -> None:
    """Print both medians, and that of the ratios."""
    mine, theirs = (statistics.median(seconds) for seconds in zip(*timed, strict=True))
    ratios = [one / other for one, other in timed]
    print(f"{ours:<16} {mine:6.2f} s")
    print(f"{name:<16} {theirs:6.2f} s")
    print(
        f"ratio            {statistics.median(ratios):6.2f}   median of {len(timed)} pairs,"
        f" {min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    ALL = {"first": first, "utils": utils, "next": next_day, "far": far}
    for MODE in sys.argv[1:2] or list(ALL):
        with tempfile.TemporaryDirectory() as temporary:
            ALL[MODE](Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
