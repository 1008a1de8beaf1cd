"""The schema of the SQLite file: creating it, and finding what other programs have changed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = Path(__file__).parent.parent
# Each row names a thing in the file, its table and its definition. Tables are compared by their
# columns, because a program that edits a table changes its SQL, such as its quotes. SQLite
# itself creates the tables of the search and the indexes of primary keys.
_DEFINITIONS = """
    SELECT type || ' ' || name, tbl_name, IIF(type = 'table', '', REPLACE(sql, '"', ''))
    FROM sqlite_schema
    WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~'
    UNION ALL
    SELECT 'column ' || main.name || '.' || column.name, main.name,
        column.type || column."notnull" || column.pk
    FROM sqlite_schema AS main JOIN pragma_table_xinfo(main.name) AS column
    WHERE main.type = 'table' AND main.name NOT LIKE 'narrative~_search%' ESCAPE '~'
        AND main.sql NOT LIKE 'CREATE VIRTUAL%'
"""


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables, indexes, views and triggers, within the caller's transaction."""
    for name in ("schema.sql", "views.sql"):
        for statement in _statements((_FOLDER / name).read_text(encoding="utf-8")):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements. `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@cache
def own_schema() -> dict[str, tuple[str, str]]:
    """Return the table and the definition of each thing in a new file, such as `index NAME`."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        return _read(connection)


def _read(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    return {name: (table, text) for name, table, text in connection.execute(_DEFINITIONS)}


def find_changes(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what differs from a new file, such as `index NAME` and `is missing`."""
    found = _read(connection)
    return {
        name: "has changed" if name in found else "is missing"
        for name, definition in own_schema().items()
        if found.get(name) != definition
    }


def find_additions(connection: sqlite3.Connection) -> list[str]:
    """Return what others have added to the tables of a new file, such as `trigger NAME`."""
    tables = {table for table, _ in own_schema().values()}
    return [
        name
        for name, (table, _) in _read(connection).items()
        if table in tables and name not in own_schema()
    ]
