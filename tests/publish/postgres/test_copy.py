"""Rows as lines of CSV that PostgreSQL reads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.publish.postgres.copy import CsvLines, WrongValueError
from cfpb_etl.read.tables import Column
from support.soak import soak

COLUMNS = [
    Column("day", "day", ""),
    Column("number", "integer", ""),
    Column("state", "category", ""),
    Column("narrative", "text", ""),
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text('\\"n\n\r\t,\0u[]. ')
ROWS = st.tuples(
    st.none() | st.dates().map(date.isoformat),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.sampled_from(["CA", "null", "NULL", "\\N", "\\.", "\0", "\ufffd", ""]) | TEXTS,
    st.none() | TEXTS,
)


def as_json(row: tuple[Any, ...]) -> str:
    """Return a row as SQLite returns it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        (text,) = connection.execute("SELECT json_array(?, ?, ?, ?)", row).fetchone()
        return str(text)


def decoded(data: str) -> list[tuple[Any, ...]]:
    """Return the rows of CSV, read as the documentation of COPY describes it.

    A value in quotes can have any character; the backslash escapes a quote and itself, and is an
    ordinary character otherwise. A value without quotes is a number or NULL.
    """
    rows: list[tuple[Any, ...]] = []
    row: list[Any] = []
    place = 0
    while place < len(data):
        if data[place] == '"':
            value, place = "", place + 1
            while data[place] != '"':
                place += data[place] == "\\" and data[place + 1] in '"\\'
                value += data[place]
                place += 1
            row.append(value)
            place += 1
        else:
            end = min(i for i in (data.find(",", place), data.find("\n", place)) if i >= 0)
            row.append(None if data[place:end] == "null" else int(data[place:end]))
            place = end
        if data[place] == "\n":
            rows.append(tuple(row))
            row = []
        place += 1
    return rows


@settings(deadline=None, max_examples=soak(40))
@given(st.lists(st.lists(ROWS, min_size=1)))
def test_every_value_can_be_read_again(batches: list[list[tuple[Any, ...]]]) -> None:
    """Values of each type, and NULL, arrive; each text with U+0000 is counted."""
    lines = CsvLines(COLUMNS)

    found = [
        row for rows in batches for row in decoded(lines.convert([*map(as_json, rows)]).decode())
    ]

    rows = [row for rows in batches for row in rows]
    replaced = [
        tuple(each.replace("\0", "\ufffd") if isinstance(each, str) else each for each in row)
        for row in rows
    ]
    assert found == replaced
    assert lines.nul_values == sum("\0" in (each or "") for row in rows for each in row[2:])


@pytest.mark.parametrize(
    "day",
    ["2024-1-1", "20240101", "2024-W01-1", "٢٠٢٤-01-01", "today", "2024-01-01 ", "infinity", ""],
)
def test_other_spellings_of_a_day(day: str) -> None:
    """A day that PostgreSQL would read, and show with another spelling, is refused."""
    rows = [as_json(("2024-01-01", 1, "CA", "")), as_json((day, 2, "CA", ""))]

    with pytest.raises(WrongValueError, match="is not a day YYYY-MM-DD"):
        CsvLines(COLUMNS).convert(rows)


def test_a_day_in_the_last_column() -> None:
    """A row can have nothing but days."""
    lines = CsvLines(COLUMNS[:1])

    assert lines.convert(['["2024-01-01"]', "[null]"]) == b'"2024-01-01"\nnull\n'
    with pytest.raises(WrongValueError):
        lines.convert(['["2024-01-1"]'])
