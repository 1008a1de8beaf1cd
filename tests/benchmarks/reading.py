"""Time what reading costs and gives: the load with its indexes and without, and every view.

Run `python tests/benchmarks/reading.py [load|views] [PAIRS]`, with the extra `bench`; without a
word it does both. The data are those of `bulk.py`: a million complaints, zipped.

load: the first load beside the same without the indexes, and without the search's trigger.
views: each view and the five questions of the README, the best of three; the counts beside those
    of a plain scan.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from bulk import MILLION, load, tell_pairs, today
from pull import remove, settings

README = Path(__file__).parents[2] / "README.md"


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
    file, _ = today(folder)
    database = folder / "ours.db"
    load(file, database, settings(folder))
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
        asked = {name: f"SELECT * FROM {name} LIMIT 10000" for (name,) in found}  # noqa: S608
        for question in re.findall(r"```sql\n(.*?)```", README.read_text("utf-8"), re.DOTALL):
            asked[" ".join(question.split())[:50]] = question
        for name, question in asked.items():
            taken = []
            for _ in range(pairs):
                began = time.monotonic()
                connection.execute(question).fetchall()
                taken.append(time.monotonic() - began)
            print(f"{min(taken) * 1_000:6.0f} ms  {name}")
        prove_counts(connection)


def prove_counts(connection: sqlite3.Connection) -> None:
    """Count every complaint in Python, and compare."""
    columns = "SUBSTR(date_received, 1, 7), product, company, state"
    scanned = [Counter() for _ in range(4)]  # type: ignore[var-annotated]
    for row in connection.execute(f"SELECT {columns} FROM complaint NOT INDEXED"):  # noqa: S608
        for counter, value in zip(scanned, row, strict=True):
            counter[value] += 1
    for by, counter in zip(("month", "product", "company", "state"), scanned, strict=True):
        counted = dict(connection.execute(f"SELECT {by}, complaints FROM complaints_by_{by}"))  # noqa: S608
        assert counted == counter, by
        assert sum(counted.values()) == MILLION, by
    print("every count is that of a plain scan")


if __name__ == "__main__":
    ALL = {"load": cost, "views": views}
    for MODE in sys.argv[1:2] or list(ALL):
        with tempfile.TemporaryDirectory() as temporary:
            ALL[MODE](Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
