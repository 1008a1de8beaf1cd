"""Time loads of a generated daily file, with this program, the sqlite3 shell and sqlite-utils.

Run `python tests/benchmarks/bulk.py [first|utils|next|far] [PAIRS]`, with the extra `bench` and the
sqlite3 shell installed. Without a mode it runs all four. The two programs of a pair run one after
the other. The ratio is the median over the pairs, so it holds when the machine's speed changes. Our
times are from the start of a load to its end; the time of the whole process, which first starts
Prefect and its temporary server, is printed too.

first: a million complaints, zipped, into an empty database with all indexes. The shell imports the
    unzipped CSV into a table with the same columns and indexes, and checks none of the values.
utils: the same with sqlite-utils.
next: the next day's file (1 % changed, 0.1 % new, 0.01 % removed) after the file of the day before.
far: five million complaints and one million: the time for each row, and the peak memory of both
    processes, with a Prefect server that they have not started.
"""

from __future__ import annotations

import json
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

from paired import assert_same, command, isolated_environment, print_ratio, remove, run_modes
from pull import prefect_server

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.store.sqlite_file import ensure_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

MILLION, FIVE = 1_000_000, 5
TODAY, TOMORROW = date(2026, 10, 8), date(2026, 10, 9)
ID_STEP, DAYS_STEP = 30_000_000, 1_095  # from one million to the next older one

# VmHWM exists on Linux only, in KiB. It is read at the end, when the reader holds most.
READER = """
import pathlib, runpy, sys
runpy.run_module("cfpb_etl.parse.csv_process", run_name="__main__")
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) * 1024 // 1000, file=sys.stderr)
"""

Complaint = dict[str, Any]


class Loaded(NamedTuple):
    """The result of one load.

    Attributes:
        seconds: The time of the load.
        process_seconds: The time of the whole process.
        counts: How many complaints were new, changed, withdrawn and unchanged.
        megabytes: The peak memory of the process.
    """

    seconds: float
    process_seconds: float
    counts: tuple[int, int, int, int]
    megabytes: float


def first(folder: Path, pairs: int) -> None:
    """Time first loads with the flow and with the shell."""
    file, csv = write_today(folder)
    ours, theirs = folder / "ours.db", folder / "shell.db"
    timed = []
    for _ in range(pairs):
        remove(ours, theirs)
        timed.append((load(file, ours, isolated_environment(folder)), shell(csv, theirs)))
    assert_same(ours, theirs, MILLION)
    print_ratio("cfpb-etl", "sqlite3 .import", [(mine.seconds, other) for mine, other in timed])
    ratio = statistics.median(mine.process_seconds / other for mine, other in timed)
    print(f"{'whole process':<16} {ratio:6.2f} times the shell's, with the start of Prefect")


def utils(folder: Path, pairs: int) -> None:
    """Time first loads with the flow and with sqlite-utils."""
    file, csv = write_today(folder)
    ours, theirs = folder / "ours.db", folder / "utils.db"
    environment = isolated_environment(folder)
    timed = []
    for _ in range(pairs):
        remove(ours, theirs)
        timed.append((load(file, ours, environment).seconds, sqlite_utils(csv, theirs)))
    print_ratio("cfpb-etl", "sqlite-utils", timed)


def next_day(folder: Path, pairs: int) -> None:
    """Time the load of the next day's file, and the first load before it."""
    complaints = [*generate()]
    today = write_bulk_file(folder / "today", complaints, day=TODAY)
    changed, new, removed = MILLION // 100, MILLION // 1_000, MILLION // 10_000
    tomorrow = write_bulk_file(
        folder, generate_next_day(complaints, changed, new, removed), day=TOMORROW
    )
    del complaints
    database = folder / "ours.db"
    timed = []
    for _ in range(pairs):
        remove(database)
        before = load(today, database, isolated_environment(folder))
        after = load(tomorrow, database, isolated_environment(folder))
        assert after.counts == (new, changed, removed, MILLION - changed - removed), after.counts
        with closing(sqlite3.connect(database)) as connection:
            (written,) = connection.execute(
                "SELECT COUNT(*) FROM complaint WHERE changed_load_id = 2"
            ).fetchone()
            (recorded,) = connection.execute("SELECT COUNT(*) FROM complaint_change").fetchone()
        assert written == new + changed + removed, written
        assert recorded == changed + removed, recorded
        timed.append((after.seconds, before.seconds))
    print_ratio("next day", "first load", timed)


def far(folder: Path, pairs: int) -> None:
    """Time loads of five million complaints and of one million."""
    files = {
        millions: write_bulk_file(folder / str(millions), generate(millions), day=TODAY)
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
        seconds = statistics.median(each.seconds for each in loads)
        megabytes = max(each.megabytes for each in loads)
        print(
            f"{millions} million  {seconds:6.2f} s, {seconds / millions:5.2f} us a row; at most"
            f" {megabytes:.0f} MB, and {megabytes_of_reader(files[millions]):.0f} MB in the reader"
        )
    ratios = [
        five.seconds / FIVE / one.seconds for one, five in zip(timed[1], timed[FIVE], strict=True)
    ]
    print(f"a row of five million takes {statistics.median(ratios):.2f} times as long")


# --- generated files ------------------------------------------------------------------------


def write_today(folder: Path) -> tuple[Path, Path]:
    """Write a daily file, and return it zipped and unzipped."""
    file = write_bulk_file(folder, generate(), day=TODAY)
    with zipfile.ZipFile(file) as archive:
        return file, Path(archive.extract("complaints.csv", folder))


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


def generate_next_day(
    complaints: list[Complaint], changed: int, new: int, removed: int
) -> Iterator[Complaint]:
    """Yield the complaints of the next day, new and changed ones first, in CFPB's order."""
    chosen = random.Random(2).sample(range(len(complaints)), changed + removed)  # noqa: S311
    # CFPB receives complaints every day. Without them, nothing shows which file is newer.
    moment = f"{TOMORROW}T08:00:00.000Z"
    days = {"date_received": moment, "date_sent_to_company": moment}
    for number in range(new):
        yield complaints[number] | {"complaint_id": str(ID_STEP + number), **days}
    for place in chosen[:changed]:
        yield complaints[place] | {"company_response": "Closed with relief of another kind"}
    others = {*chosen}
    yield from (each for place, each in enumerate(complaints) if place not in others)


# --- loads ----------------------------------------------------------------------------------


def load(file: Path, database: Path, environment: dict[str, str]) -> Loaded:
    """Load a file with the flow, in another process."""
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command("our_bulk.py", file, database),
            env=environment,
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
        process.wait()
        process_seconds = time.monotonic() - started
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        raise SystemExit(f"our_bulk.py ended with exit code {process.returncode}")
    seconds, *numbers = lines[-1].split()
    new, changed, withdrawn, unchanged, peak = map(int, numbers)
    counts = new, changed, withdrawn, unchanged
    return Loaded(float(seconds), process_seconds, counts, peak / 1e6)


def megabytes_of_reader(file: Path) -> float:
    """Read a file with our reader only, and return its peak memory in megabytes."""
    csv_file = json.dumps([str(file), None, [latest_plausible_day(), None, None], None])
    done = subprocess.run(
        [sys.executable, "-c", READER, csv_file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return int(done.stderr) / 1e3


def shell(csv: Path, database: Path) -> float:
    """Import a CSV with SQLite's own shell, and return the seconds."""
    with csv.open(encoding="utf-8") as file:
        names = [CSV_COLUMNS[title] for title in file.readline().strip().split(",")]
    kinds = {"complaint_id": "INTEGER PRIMARY KEY"}
    columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')}" for name in names)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"CREATE TABLE complaint ({columns})")
        for number, indexed in enumerate(indexes()):
            connection.execute(f"CREATE INDEX i{number} ON complaint ({', '.join(indexed)})")
    started = time.monotonic()
    subprocess.run(
        ["sqlite3", str(database), "-cmd", ".mode csv", f".import --skip 1 {csv} complaint"],
        check=True,
    )
    return time.monotonic() - started


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
