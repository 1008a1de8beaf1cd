"""Time what reading costs and gives: the load with its indexes and without, and every view.

Run `python tests/benchmarks/reading.py [load|views|all] [PAIRS]`, with the extra `bench`; without a
word it does the first two.

load: the first load of a million complaints, as in `bulk.py`, beside the same without the indexes,
    and without the search's trigger.
views: each view, the five questions of the README and a search, the best of as many, and the
    report, all on a million complaints of 2024, a third of them with a narrative; the counts beside
    those of a plain scan.
all: as many complaints as CFPB has, 18 million, without narratives, loaded once; then as views.
    It takes ten minutes, and 20 GB of disk.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import date
from pathlib import Path

from bulk import MILLION, TODAY, load, made, tell_pairs, today
from pull import remove, settings

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.views import RENAMED_PRODUCTS

ALL_MILLIONS = 18
OF_2024 = date(2024, 11, 6)
SEARCH = """
SELECT * FROM complaint
WHERE complaint_id IN (SELECT rowid FROM narrative_search WHERE narrative_search MATCH '"identity"')
ORDER BY date_received DESC LIMIT 101"""


def cost(folder: Path, pairs: int) -> None:
    """Time first loads, with what serves reading and without."""
    file, _ = today(folder)
    whole, bare = folder / "whole.db", folder / "bare.db"
    timed = []
    for _ in range(pairs):
        remove(whole, bare)
        environment = settings(folder)
        timed.append(
            (
                load(file, whole, environment).seconds,
                load(file, bare, environment | {"WITHOUT_INDEXES": "1"}).seconds,
            )
        )
    tell_pairs("without", timed, ours="with indexes")


def views(folder: Path, pairs: int) -> None:
    """Time each view, and hold its counts against a plain scan's."""
    complaints = generate_complaints(MILLION, era="2024")
    file = write_bulk_file(folder, complaints, day=OF_2024, columns=18)
    del complaints
    database = folder / "ours.db"
    load(file, database, settings(folder))
    ask(database, pairs)
    with closing(sqlite3.connect(database)) as connection:
        prove_counts(connection)
    draw(database)


def all_of_them(folder: Path, pairs: int) -> None:
    """Load as many complaints as CFPB has, and read them."""
    file = write_bulk_file(folder, made(ALL_MILLIONS), day=TODAY)
    database = folder / "ours.db"
    loaded = load(file, database, settings(folder))
    gigabytes = database.stat().st_size / 1e9
    print(
        f"{ALL_MILLIONS} million in {loaded.seconds:.0f} s, with at most {loaded.megabytes:.0f} MB;"
        f" the file has {gigabytes:.1f} GB"
    )
    ask(database, pairs)
    draw(database)


def ask(database: Path, pairs: int) -> None:
    """Time each view, the README's questions and a search."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
        asked = {name: f"SELECT * FROM {name} LIMIT 10000" for (name,) in found}  # noqa: S608
        asked |= {each.title: each.sql for each in QUESTIONS}
        asked["a search of Datasette's"] = SEARCH
        for name, question in asked.items():
            taken = []
            for _ in range(pairs):
                began = time.monotonic()
                connection.execute(question).fetchall()
                taken.append(time.monotonic() - began)
            print(f"{min(taken) * 1_000:6.0f} ms  {name}")


def draw(database: Path) -> None:
    """Time the report."""
    began = time.monotonic()
    page = str(database.with_suffix(".html"))
    report = [sys.executable, "-m", "cfpb_etl.flow", "report", page]
    subprocess.run([*report, "--database", str(database)], check=True, stdout=subprocess.DEVNULL)
    print(f"{time.monotonic() - began:6.1f} s   the report, its process from beginning to end")


def prove_counts(connection: sqlite3.Connection) -> None:
    """Count every complaint in Python, and compare."""
    columns = "SUBSTR(date_received, 1, 7), product, company, state, sub_product"
    today = {(product, sub_product): name for product, sub_product, name in RENAMED_PRODUCTS}
    scanned = [Counter() for _ in range(4)]  # type: ignore[var-annotated]
    for row in connection.execute(f"SELECT {columns} FROM complaint NOT INDEXED"):  # noqa: S608
        month, product, company, state, sub_product = row
        name = today.get((product, ""), today.get((product, sub_product), product))
        for counter, value in zip(scanned, (month, name, company, state), strict=True):
            counter[value] += 1
    for by, counter in zip(("month", "product", "company", "state"), scanned, strict=True):
        counted = dict(connection.execute(f"SELECT {by}, complaints FROM complaints_by_{by}"))  # noqa: S608
        assert counted == counter, by
        assert sum(counted.values()) == MILLION, by
    print("every count is that of a plain scan")


if __name__ == "__main__":
    MODES = {"load": cost, "views": views, "all": all_of_them}
    for MODE in sys.argv[1:2] or ["load", "views"]:
        with tempfile.TemporaryDirectory() as temporary:
            MODES[MODE](Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
