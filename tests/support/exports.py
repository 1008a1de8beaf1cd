"""Databases to export, and the rows of exports as SQLite has them."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from contextlib import closing
from datetime import date
from itertools import cycle
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cfpb_etl.parse.values import parse_fields
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NAMES
from support.loads import load_file
from support.made_up import made_up
from support.parts import ALL, JANUARY, JUNE, MARCH, complaint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.read.tables import Column

TARGETS = ("folder", "one.parquet", "all.duckdb", "one.csv", "one.csv.gz", "one.jsonl")
ODD_TEXTS = (
    *('"', '""', 'He said: "No"', "'; DROP TABLE complaint; --", "a,b", ",", "\\", "\\N", "\\n"),
    *("\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb", "\n\n", '"\n"', "\u2028", "\x85", "\t", " "),
    *("\x00", "a\x00b", "\x00\x00", "\x01\x1b[31m\x7f", "\ufeff", "\ufeffid", "\ufffe\uffff"),
    *("\U0001f600", "\U0010ffff", "e\u0301", "\u00e9", "\u202eabc", "שלום", "עברית\u200f, abc"),
    *("NULL", "null", "None", "nan", "NaN", "true", "0", "00501", "1e5", "-0", "inf", "0x1F"),
    *("=1+1", "=HYPERLINK(1)", "+1", "-1", "@SUM(1)", " a", "a ", "2024-01-01", "complaint_id"),
    *("a" * 200_000, 'x"\n' * 30_000, "\U0001f600" * 40_000),
)
DAYS = ("2011-12-01", "2023-12-31", "2024-01-01", "2024-02-29", "2062-07-04", "0001-01-01", None)
_DATES = ("date_received", "date_sent_to_company")


def odd_complaints() -> Iterator[Complaint]:
    """Yield complaints with each odd text in a text column, days of each kind, and only NULL."""
    texts = [name for name in ALL[1:] if name not in _DATES]
    days = cycle(DAYS)
    for number, text in enumerate(ODD_TEXTS):
        fields: dict[str, str | None] = {name: next(days) for name in _DATES}
        fields |= {"complaint_what_happened": text, texts[number % len(texts)]: text}
        yield complaint(number * 2, **fields)
        yield complaint(number * 2 + 1, date_received=next(days))
    yield complaint(2**63 - 1, **dict.fromkeys(texts, "x"))


def make_odd_database(path: Path, plain: int = 0) -> None:
    """Load odd complaints with a history: changed, emptied, withdrawn and returned ones.

    Args:
        path: The SQLite file.
        plain: How many made-up complaints it also has.
    """
    first = [*odd_complaints()]
    others = [*map(parse_fields, made_up(plain, era="2024"))]
    texts = [each.complaint_what_happened for each in first]
    second = [
        each._replace(complaint_what_happened=text, company=text and text[:100])
        for each, text in zip(first, texts[1:] + texts[:1], strict=True)
    ]
    load_file(path, *first, *others, as_of=JANUARY)
    load_file(path, *second[:-5], *others, as_of=MARCH)
    load_file(path, *second, *others, as_of=JUNE)


def rows_in_sqlite(database: Path, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table, sorted."""
    with closing(sqlite3.connect(database)) as connection:
        return in_order(connection.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our names


def rows_in_target(
    target: Path, table: str = "complaint", *, narratives: bool = True
) -> list[tuple[Any, ...]]:
    """Return the rows of an exported table as SQLite has them, sorted.

    Args:
        target: The target.
        table: The name of the table.
        narratives: Whether narratives were exported.
    """
    columns = Selection(narratives=narratives).columns_of(table)
    return in_order(_read(target, table, columns))


def in_order(rows: Any) -> list[tuple[Any, ...]]:
    """Return rows in one order, whatever their types are."""
    return sorted(map(tuple, rows), key=repr)


def tables_of(target: Path) -> tuple[str, ...]:
    """Return the tables that this kind of target has."""
    return NAMES if target.suffix in ("", ".duckdb") else NAMES[:1]


def _read(target: Path, table: str, columns: tuple[Column, ...]) -> Iterator[tuple[Any, ...]]:
    names = [each.name for each in columns]
    kinds = [each.kind for each in columns]
    if target.suffix in (".csv", ".gz"):
        opened = gzip.open if target.suffix == ".gz" else open
        csv.field_size_limit(2**30)
        with opened(target, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        assert header == names
        for row in rows:
            yield tuple(
                None if cell == "" else int(cell) if kind == "integer" else cell
                for cell, kind in zip(row, kinds, strict=True)
            )
    elif target.suffix == ".jsonl":
        for line in target.read_bytes().split(b"\n")[:-1]:
            row = json.loads(line)
            assert [*row] == names
            yield tuple(row.values())
    elif target.suffix == ".duckdb":
        with duckdb.connect(str(target), read_only=True) as connection:
            found = connection.execute(f"SELECT {', '.join(names)} FROM {table}")  # noqa: S608
            yield from map(_with_days_as_text, found.fetchall())
    else:
        data = (
            pq.read_table(target)
            if target.suffix
            else ds.dataset(target / table, partitioning="hive").to_table(names)
        )
        assert data.schema.names == names
        values = (column.to_pylist() for column in data.columns)
        yield from map(_with_days_as_text, zip(*values, strict=True))


def _with_days_as_text(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.isoformat() if isinstance(each, date) else each for each in row)
