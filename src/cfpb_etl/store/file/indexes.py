"""The indexes of the table of complaints, which a first load creates after its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.store.file.schema import own_schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_SORT_CACHE_KIBIBYTES = 1_000


def drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop our indexes, because each slows down every insertion.

    Indexes that a user has created stay. It may be impossible to create them again.

    Returns:
        The SQL statements that recreate the indexes.
    """
    dropped = [
        (name, sql)
        for name, (table, sql) in own_schema().items()
        # The partial index on withdrawn_on stays, because recreating it costs more than keeping it.
        if name.startswith("index ") and table == "complaint" and " WHERE " not in sql
    ]
    for name, _ in dropped:
        connection.execute(f"DROP {name}")
    return [statement for _, statement in dropped]


def create_indexes(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Recreate the indexes that `drop_indexes` dropped.

    With a small cache and a second thread, SQLite sorts few entries at a time. For a million
    complaints, the four indexes then took 2.4 s. With a cache for all entries they took 4 s.
    """
    (cache_size,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute("PRAGMA threads = 2")
    connection.execute(f"PRAGMA cache_size = -{_SORT_CACHE_KIBIBYTES}")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA cache_size = {cache_size}")
