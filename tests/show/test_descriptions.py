"""What the schema says of itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from cfpb_etl.show.descriptions import descriptions
from cfpb_etl.store.tables import MIGRATIONS


def test_every_column_is_described() -> None:
    """No table, view or column of ours is without a word, and no word is of another."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for migrate in MIGRATIONS:
            migrate(connection)
        # The search's own are SQLite's.
        names = connection.execute(
            "SELECT name FROM sqlite_schema"
            " WHERE type IN ('table', 'view') AND name NOT LIKE 'narrative_search%'"
        ).fetchall()
        columns = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for (name,) in names
        }

    described = descriptions()

    assert {name: set(each.columns) for name, each in described.items()} == columns
    assert all(each.words and all(each.columns.values()) for each in described.values())


def test_words_of_each_kind() -> None:
    """Of a table, of a column added later, and of a view, whose column has a name of its own."""
    described = descriptions()

    assert described["complaint"].words == "a row for each complaint, in CFPB's words"
    assert described["complaint"].columns["withdrawn_on"].startswith("the day on which CFPB was")
    assert described["load"].columns["outcome"] == "how it ended"
    assert described["complaints_by_month"].columns["month"] == "received, YYYY-MM"
