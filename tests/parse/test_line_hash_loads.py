"""Loads whose lines are compared give the same database as loads that parse every line."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.parse import csv_process, csv_rows, line_hashes
from cfpb_etl.parse.csv_format import rows as csv_format_rows
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.csv_reading import ReaderInThisProcess
from support.loads import load, query
from support.parts import complaint, part
from support.soak import soak
from support.stored_lines import csv_of, row

if TYPE_CHECKING:
    from cfpb_etl.model.load_stats import LoadStats


FIELDS = st.fixed_dictionaries(
    {
        "timely": st.sampled_from(["Yes", "No", ""]),
        "issue": st.sampled_from(["a", "a", "a", '5" b', "c\r\nd", "e\n1,2", '"f"']),
    }
)
DAYS = st.sampled_from(["2026-08-13", "2026-08-14", "2026-08-14", "", "2026-02-30"])
LINES = st.builds(
    lambda number, day, fields: row(number, day, **fields),
    st.integers(0, 12) | st.sampled_from(["None", "", "x", 2**64]),
    DAYS,
    FIELDS,
)
CHANGES = st.lists(st.tuples(st.integers(0, 30), LINES | st.none()), max_size=4)
BETWEEN = st.sampled_from(["nothing", "an edit", "a deletion", "the API"])
AS_OF = st.sampled_from(["2026-08-15", "2026-08-18", "2026-08-25"])
DAYS_OF_CHANGES = st.lists(
    st.tuples(CHANGES, BETWEEN, AS_OF, st.booleans()), min_size=1, max_size=5
)
RESULTS = (
    "SELECT * FROM complaint ORDER BY 1",
    "SELECT * FROM complaint_change ORDER BY 1, 2, 3",
    "SELECT outcome, rows, new, changed, unchanged, withdrawn, duplicates, rejected, not_applied,"
    " warnings, oldest, newest, covers_until, columns_sent FROM load ORDER BY load_id",
    "SELECT expected, received FROM load_part ORDER BY part_id",
)


def load_bulk(file: Path, database: Path) -> LoadStats:
    """Load a file as the flow does."""
    source = BulkFile(str(file), database, allow_withdrawals=True, whole=True)
    with open_load(database, source) as current:
        (file_part,) = current.parts_left()
        return store_part(parse_part(current.source.fetch(file_part)), current.id, database)


def change(database: Path, what: str) -> None:
    """Change something between two files."""
    if what == "the API":
        load(database, part(complaint(3, timely="No"), as_of="2026-08-20"), query="{}")
        return
    statement = {
        "nothing": "SELECT 1",
        "an edit": "UPDATE complaint SET issue = 'g' WHERE complaint_id % 5 = 2",
        "a deletion": "DELETE FROM complaint WHERE complaint_id = 4",
    }[what]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


@pytest.mark.usefixtures("reader_in_this_process")
def test_the_lines_of_an_older_file_are_not_stored(path: Path, tmp_path: Path) -> None:
    """The values of a newer file count, so a complaint may differ from the older file's line."""
    file = tmp_path / "complaints.csv"
    files = {"2026-08-20": "No", "2026-08-15": "Yes", "2026-08-22": "Yes"}
    for as_of, timely in files.items():
        file.write_text(csv_of([row(99, as_of), row(1, timely=timely)]), newline="")
        load_bulk(file, path)

    stored = "SELECT timely FROM complaint WHERE complaint_id = 1"
    assert query(path, stored) == [("Yes",)]
    changes = "SELECT load_id, old, new FROM complaint_change WHERE complaint_id = 1"
    assert query(path, changes) == [(3, "No", "Yes")]


@given(
    rows=st.lists(LINES, max_size=20),
    days=DAYS_OF_CHANGES,
    sizes=st.tuples(*[st.integers(1, 5)] * 2),
)
@settings(deadline=None, derandomize=True, max_examples=soak(12, 400))
def test_comparing_lines_does_not_change_the_result(
    rows: list[list[str]],
    days: list[tuple[list[tuple[int, list[str] | None]], str, str, bool]],
    sizes: tuple[int, int],
) -> None:
    """Whatever is in the files, the database is the same as when every line is parsed."""
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_process, "_reader", ReaderInThisProcess)
        patch.setattr(csv_rows, "MAX_REJECTED", 0.999)
        patch.setattr(line_hashes, "_CHUNK", sizes[0])
        patch.setattr(csv_format_rows, "_BATCH", sizes[1])
        comparing, parsing = Path(temporary, "comparing.db"), Path(temporary, "parsing.db")
        file = Path(temporary, "complaints.csv")
        for changes, between, as_of, backwards in [([], "nothing", "2026-08-15", False), *days]:
            for place, changed in changes:
                if changed is None:
                    del rows[place : place + 1]
                else:
                    rows[place : place + place % 2] = [changed]
            day = [row(99, as_of), *(reversed(rows) if backwards else rows)]
            file.write_text(csv_of(day), newline="")
            for database in (comparing, parsing):
                if database.exists():
                    change(database, between)
                load_bulk(file, database)
                if database is parsing:
                    with closing(sqlite3.connect(database)) as connection, connection:
                        connection.execute("DELETE FROM line_block")
            for sql in RESULTS:
                assert query(comparing, sql) == query(parsing, sql)
