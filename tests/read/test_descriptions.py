"""What the comments in the schema say of tables, views and columns."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from cfpb_etl.read.descriptions import read_descriptions
from cfpb_etl.store.file.schema import create_schema


def test_every_column_is_described() -> None:
    """Each table, view and column has a description, and no description is of anything else."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        described = read_descriptions(connection)
        # The tables of the search are SQLite's.
        names = connection.execute(
            "SELECT name FROM sqlite_schema"
            " WHERE type IN ('table', 'view') AND name NOT LIKE 'narrative_search%'"
        ).fetchall()
        columns = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in names
        }

    assert {name: set(each.columns) for name, each in described.items()} == columns
    assert all(each.text and all(each.columns.values()) for each in described.values())


def test_descriptions_of_each_kind() -> None:
    """A table, a column, and an expression in a view are described by their comments."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        described = read_descriptions(connection)

    assert described["complaint"].text == "one row per complaint, with CFPB's values"
    assert (
        described["complaint"]
        .columns["withdrawn_on"]
        .startswith("day by which the complaint was missing")
    )
    assert described["load"].columns["outcome"] == "how it ended"
    assert described["complaints_by_month"].columns["month"] == "month received, YYYY-MM"


def test_tables_of_the_user() -> None:
    """A user's own table is described by its comments, if it has any."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE note ( -- my notes\n    a -- of today\n    ) -- !\n")
        connection.execute("CREATE TABLE plain (a DEFAULT '\n--\n')")

        described = read_descriptions(connection)

    assert described == {"note": ("my notes", {"a": "of today"})}
