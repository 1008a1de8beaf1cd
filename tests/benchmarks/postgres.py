"""Time exports to PostgreSQL: the first one beside a bare COPY, and the next day's.

Run `python tests/benchmarks/postgres.py [PAIRS]`, with the extra `bench` and PostgreSQL installed.
The server is private and on this computer. It does not wait for the disk, in both programs.

The bare COPY reads the same million rows from a CSV file that exists, into an equal table, and
creates the same indexes. Both times are whole: ours is of the process. Then the next day's file
(1 % changed, 0.1 % new, 0.01 % removed) is loaded and exported. After the last pair, every value
is compared with SQLite's, and also each view.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bulk import load, write_two_days
from exports import export
from paired import isolated_environment, print_ratio, run_modes

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.postgres import postgres_server
from support.postgres_rows import assert_same_rows

if TYPE_CHECKING:
    from support.postgres import PostgresDatabase

CHUNK = 2**20  # bytes


def exports(folder: Path, pairs: int) -> None:
    """Time the first export, a bare COPY and the next export."""
    today, tomorrow = write_two_days(folder)
    first, second = folder / "first" / "complaints.db", folder / "second" / "complaints.db"
    environment = isolated_environment(folder)
    first.parent.mkdir()
    second.parent.mkdir()
    load(today, first, environment)
    shutil.copy(first, second)
    load(tomorrow, second, environment)
    beside_copy, next_days = [], []
    with postgres_server() as server:
        for pair in range(pairs):
            with server.database() as target:
                ours = export(first, target.url()).seconds
                rows = folder / "rows.csv"
                write_rows(target, rows)
                beside_copy.append((ours, bare_copy(target, rows)))
                next_days.append((export(second, target.url()).seconds, ours))
                if pair == pairs - 1:
                    assert_same_rows(second, target)
    print("every value equals that of SQLite")
    what, note = "export to PostgreSQL", "checks nothing; the aim is 1.5"
    print_ratio(f"first {what} of a million, whole process", "bare COPY", beside_copy, note)
    what = f"next day's {what}, whole process"
    print_ratio(what, "the same of a million", next_days, "the aim is 0.2")


def write_rows(target: PostgresDatabase, file: Path) -> None:
    """Write the exported complaints to a CSV file."""
    sql = "COPY cfpb.complaint TO STDOUT (FORMAT csv)"
    with (
        target.connect() as connection,
        file.open("wb") as output,
        connection.cursor().copy(sql) as copy,
    ):
        for data in copy:
            output.write(data)


def bare_copy(target: PostgresDatabase, file: Path) -> float:
    """Copy a CSV file into a new table, create the indexes of an export, and return the seconds."""
    target.execute("CREATE SCHEMA bare", "CREATE TABLE bare.complaint (LIKE cfpb.complaint)")
    indexes = target.query(
        "SELECT indexdef FROM pg_indexes WHERE (schemaname, tablename) = ('cfpb', 'complaint')"
    )
    assert indexes
    started = time.monotonic()
    with target.connect() as connection, connection.transaction():
        sql = "COPY bare.complaint FROM STDIN (FORMAT csv)"
        with file.open("rb") as source, connection.cursor().copy(sql) as copy:
            while data := source.read(CHUNK):
                copy.write(data)
        for (definition,) in indexes:
            connection.execute(definition.replace(" ON cfpb.", " ON bare."))
    seconds = time.monotonic() - started
    ((same,),) = target.query(
        "SELECT (SELECT COUNT(*) FROM bare.complaint) = (SELECT COUNT(*) FROM cfpb.complaint)"
    )
    assert same
    return seconds


if __name__ == "__main__":
    MODES = {"exports": exports}
    run_modes(MODES, [*MODES])
