"""Connections that only read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from cfpb_etl.parameters.checks import existing_database
from cfpb_etl.parameters.load_parameters import COMPLAINTS
from cfpb_etl.store.file.schema import own_schema
from cfpb_etl.store.sqlite_file import connect_read_only, named_errors, open_for_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

# SQLite's default is 2,000. A million complaints, which are not stored in the order in which they
# are read, then took 6 s of processor time instead of 4.5 s.
CACHE_KIBIBYTES = 32_000


def connect(database: Path | str = COMPLAINTS) -> sqlite3.Connection:
    """Open a database for queries. Its file cannot be written through this connection.

    The connection has all tables and views of docs/reading.md. A load can run meanwhile. Each query
    reads the newest state; to read one state with several queries, execute `BEGIN` first. Close the
    connection after use, for example with `contextlib.closing`. In a folder that you cannot write
    to, SQLite cannot lock the file: do not read there while a load runs.

    Args:
        database: The SQLite file.

    Returns:
        A connection of Python's `sqlite3`.

    Raises:
        CfpbEtlError: If the file is not a database of cfpb-etl or cannot be read. The message says
            what to do.
    """
    path = existing_database(database)
    connection = connect_read_only(path)
    try:
        with named_errors(path, reads=True):
            _add_missing_views(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _add_missing_views(connection: sqlite3.Connection) -> None:
    """Create the views that someone has removed, for this connection only."""
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    connection.execute("PRAGMA query_only = OFF")  # it also forbids temporary views
    for key, (name, sql) in own_schema().items():
        if key.startswith("view ") and name not in found:
            connection.execute(sql.replace("CREATE VIEW", "CREATE TEMP VIEW", 1))
    connection.execute("PRAGMA query_only = ON")


@contextmanager
def open_snapshot(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading as it is now: a load that runs meanwhile is not seen.

    Raises:
        DatabaseError: If the file is another program's or cannot be read; each subclass is one
            reason.
    """
    with open_for_reading(database) as connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM complaint LIMIT 1").fetchall()  # begins to read
        yield connection
