"""Rows that were read as Arrow record batches, and databases with many rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import tables
from support.loads import load_file
from support.parts import complaint

if TYPE_CHECKING:
    from pathlib import Path

COMPLAINT = Selection(tables=("complaint",))


def read_tables(database: Path, selection: Selection | None = None) -> dict[str, pa.Table]:
    """Return each table that was read."""
    with open_arrow(database, selection or Selection()) as snapshot:
        read = {name: pa.Table.from_batches(rows, schema) for name, schema, rows in snapshot.read()}
        assert {name: len(table) for name, table in read.items()} == snapshot.counts
    return read


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with SQLite's values."""
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row}
        for row in (each.items() for each in table.to_pylist())
    ]


def stored_rows(database: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table in SQLite, in the order in which they are read."""
    order = ", ".join(tables()[name].order)
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return [*map(dict, connection.execute(f"SELECT * FROM {name} ORDER BY {order}"))]  # noqa: S608


def make_many(database: Path, rows: int) -> None:
    """Make a database with this many complaints, of which most columns are empty."""
    load_file(database, complaint(1, date_received="2024-01-01"))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "WITH RECURSIVE number (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM number LIMIT ?)"
            " INSERT INTO complaint"
            " (complaint_id, date_received, company, load_id, first_load_id, changed_load_id)"
            " SELECT n, DATE('2024-01-01', (n / 100) || ' days'), 'Company ' || (n % 500), 1, 1, 1"
            " FROM number",
            (rows - 1,),
        )
