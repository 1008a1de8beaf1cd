"""Time the views, the questions and the report.

Run `python tests/benchmarks/reading.py [views|all] [PAIRS]`, with the extra `bench`. Without a mode
it runs the first.

views: each view, the README's five questions, a search and the report, on a million complaints of
    2024, a third of them with a narrative. Each time is the best of PAIRS. The counts of the views
    are compared with those of a plain scan.
all: the same as `views`, on 18 million complaints without narratives, which CFPB has. It takes
    ten minutes and 20 GB of disk.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

from bulk import MILLION, TODAY, generate, load
from paired import isolated_environment, print_values, run_modes

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.show.questions import QUESTIONS

if TYPE_CHECKING:
    from pathlib import Path

ALL_MILLIONS = 18
DAY_OF_2024 = date(2024, 11, 6)
SEARCH = """
SELECT * FROM complaint
WHERE complaint_id IN (SELECT rowid FROM narrative_search WHERE narrative_search MATCH '"identity"')
ORDER BY date_received DESC LIMIT 101"""


def views(folder: Path, pairs: int) -> None:
    """Time each view, and compare its counts with those of a plain scan."""
    complaints = generate_complaints(MILLION, era="2024")
    file = write_bulk_file(folder, complaints, day=DAY_OF_2024, columns=18)
    del complaints
    database = folder / "ours.db"
    load(file, database, isolated_environment(folder))
    time_queries(database, pairs, "a million")
    with closing(sqlite3.connect(database)) as connection:
        assert_counts(connection)
    time_report(database, "a million")


def all_complaints(folder: Path, pairs: int) -> None:
    """Load as many complaints as CFPB has, and time each view."""
    file = write_bulk_file(folder, generate(ALL_MILLIONS), day=TODAY)
    database = folder / "database" / "ours.db"
    database.parent.mkdir()
    loaded = load(file, database, isolated_environment(folder), is_watched=True)
    what = f"all {ALL_MILLIONS} million"
    print_values(f"first load of {what}, the load", [loaded.seconds], "s", 180)
    print_values(f"peak memory of all processes, {what}", [loaded.peaks.together], "MB", 250)
    size = database.stat().st_size / 1e6
    room = loaded.peaks.room / size
    print_values(f"room on the disk at the peak, {what}", [room], "times the database", 1.2)
    print_values(f"the database of {what}", [size / 1e3], "GB")
    time_queries(database, pairs, what)
    time_report(database, what)


def time_queries(database: Path, runs: int, complaints: str) -> None:
    """Time each view, the README's questions and a search."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
        views = {name: f"SELECT * FROM {name} LIMIT 10000" for (name,) in found}  # noqa: S608
        questions = {each.title: each.sql for each in QUESTIONS}
        for kind, queries in (
            ("slowest view", views),
            ("slowest of the README's questions", questions),
            ("a search in Datasette", {"": SEARCH}),
        ):
            times = {name: best_time(connection, sql, runs) for name, sql in queries.items()}
            for name, seconds in times.items():
                print(f"{seconds * 1_000:6.0f} ms  {name or kind}")
            slowest = max(times, key=times.__getitem__)
            print_values(f"{kind}, {complaints}", [times[slowest] * 1_000], "ms", note=slowest)


def best_time(connection: sqlite3.Connection, sql: str, runs: int) -> float:
    """Return the shortest time of a query, in seconds."""
    times = []
    for _ in range(runs):
        started = time.monotonic()
        connection.execute(sql).fetchall()
        times.append(time.monotonic() - started)
    return min(times)


def time_report(database: Path, complaints: str) -> None:
    """Time the report."""
    started = time.monotonic()
    page = str(database.with_suffix(".html"))
    report = [sys.executable, "-m", "cfpb_etl.flow", "report", page]
    subprocess.run([*report, "--database", str(database)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    print_values(f"report of {complaints}, whole process", [seconds], "s")


def assert_counts(connection: sqlite3.Connection) -> None:
    """Count every complaint in Python, and compare with the views."""
    columns = "SUBSTR(date_received, 1, 7), product, company, state, sub_product"
    today = {
        (product, sub_product): name
        for product, sub_product, name in connection.execute("SELECT * FROM product_today")
    }
    scanned: list[Counter[str]] = [Counter() for _ in range(4)]
    for row in connection.execute(f"SELECT {columns} FROM complaint NOT INDEXED"):  # noqa: S608
        month, product, company, state, sub_product = row
        name = today.get((product, ""), today.get((product, sub_product), product))
        for counter, value in zip(scanned, (month, name, company, state), strict=True):
            counter[value] += 1
    for by, counter in zip(("month", "product", "company", "state"), scanned, strict=True):
        counts = dict(connection.execute(f"SELECT {by}, complaints FROM complaints_by_{by}"))  # noqa: S608
        assert counts == counter, by
        assert sum(counts.values()) == MILLION, by
    print("every count equals that of a plain scan")


if __name__ == "__main__":
    MODES = {"views": views, "all": all_complaints}
    run_modes(MODES, ["views"])
