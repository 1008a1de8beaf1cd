"""Time the five questions of docs/reading.md in each engine of docs/scale.md.

Run `python tests/benchmarks/questions.py [engines] [PAIRS]`, with the extra `bench` and PostgreSQL
installed.

engines: the page's own examples, on a million complaints of 2024, a third of them with a narrative.
    The answers of each run are compared with those of SQLite. Each time is the median of PAIRS. A
    run is a new process, except for PostgreSQL, whose server runs before, and for SQLite. All of
    them read files that the system has in memory.
"""

from __future__ import annotations

import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bulk import MILLION, load
from paired import Row, isolated_environment, record, run_modes
from reading import DAY_OF_2024

from cfpb_etl import export_complaints
from cfpb_etl.emulator import generate_complaints, write_bulk_file

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.postgres import postgres_server
from support.scale import (
    FOLDER,
    POSTGRES,
    PYTHON,
    ask_sqlite,
    examples,
    run_postgres,
    run_python,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scale import Answers

STEPS = ("start", "1", "2", "3", "4", "5")


def engines(folder: Path, pairs: int) -> None:
    """Ask the questions in each engine, and compare the answers."""
    file = write_bulk_file(
        folder, generate_complaints(MILLION, era="2024"), day=DAY_OF_2024, columns=18
    )
    database = folder / "ours.db"
    load(file, database, isolated_environment(folder))
    exported = export_complaints(str(folder / FOLDER), database=database)
    print(f"SQLite: {database.stat().st_size:,} bytes; Parquet: {exported.bytes:,} bytes")
    with postgres_server() as server, server.database() as target:
        export_complaints(target.url(), database=database)
        ((size,),) = target.query("SELECT pg_database_size(current_database())")
        print(f"PostgreSQL: {size:,} bytes")
        asked: dict[str, Callable[[], Answers]] = {"SQLite": partial(ask_sqlite, database)}
        for name, example in examples().items():
            if name in PYTHON:
                asked[name] = partial(run_python, example, folder)
            elif name == POSTGRES:
                asked[name] = partial(run_postgres, example, target)
        expected = ask_sqlite(database).rows
        times: dict[str, list[list[float]]] = {name: [] for name in asked}
        for _ in range(pairs):
            for name, ask in asked.items():
                answers = ask()
                assert answers.rows == expected, name
                times[name].append(answers.seconds)
    for name, runs in times.items():
        report(name, runs)


def report(name: str, runs: list[list[float]]) -> None:
    """Print the median time of each question, and record their sum."""
    medians = [statistics.median(seconds) for seconds in zip(*runs, strict=True)]
    total = statistics.median(map(sum, runs))
    cells = [f"{seconds:.2f}" for seconds in (*medians, total)]
    print(f"| {name} | {' | '.join(cells)} |")
    slowest = max(range(len(STEPS)), key=medians.__getitem__)
    label = STEPS[0] if slowest == 0 else f"question {STEPS[slowest]}"
    note = f"slowest: {label}, {medians[slowest]:.2f} s; start: {medians[0]:.2f} s"
    what = f"the five questions in {name}, a million"
    record(Row(what, f"{total:.2f} s", pairs=len(runs), note=note))


if __name__ == "__main__":
    run_modes({"engines": engines}, ["engines"])
