"""The SQLite file: how it is opened, created and checked, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.store.errors import (
    DatabaseError,
    DatabaseInUseError,
    EmptyDatabaseError,
    NotADatabaseError,
    NotWritableError,
    OtherSchemaError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SCHEMA_VERSION = 7  # of schema.sql and views.sql; it changes with either of them
BUSY_TIMEOUT_SECONDS = 30  # how long to wait for another program's transaction
_BUSY_SECONDS = 0.2  # of that, how long SQLite waits at a time
_READER_MILLISECONDS = 5_000  # readers only ever wait for an exclusive lock
# With SQLite's own 4,096 a million complaints took a fifth longer. Only a new file takes it over.
_PAGE_BYTES = 8_192
_LOG_PAGES = 10_000  # 80 MB of log before it is emptied; after 1,000 a pull took a tenth longer
_CACHE_KIBIBYTES = 32_000  # a page's complaints lie all over the table; SQLite's own is 2,000
_SORT_CACHE_KIBIBYTES = 1_000
_APPLICATION_ID = 0x43465042  # "CFPB", https://www.sqlite.org/fileformat.html section 1.3.17


def connect(database: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open the file, and create it if asked to; transactions are begun by hand.

    Raises:
        sqlite3.Error: If it cannot be opened or is not a database.
    """
    connection = _open(database, f"mode={'rwc' if make else 'rw'}")
    try:
        # Safe against a killed process. A power cut may cost the newest parts, never the file
        # (https://www.sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open(database: Path, mode: str) -> sqlite3.Connection:
    # As a URI a name such as `:memory:` is a file like any other.
    address = f"{database.absolute().as_uri()}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


@contextmanager
def open_for_reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that this program has created, to read it.

    Raises:
        DatabaseError: If it is another file or cannot be read.
    """
    with (
        named_errors(database),
        closing(
            _open(database, "mode=ro&immutable=1") if is_immutable(database) else connect(database)
        ) as connection,
    ):
        connection.execute(f"PRAGMA busy_timeout = {_READER_MILLISECONDS}")
        if not _has_schema(connection, database):
            raise EmptyDatabaseError(path=database)
        connection.execute("PRAGMA query_only = ON")
        yield connection


def is_immutable(database: Path) -> bool:
    """Say whether the file must be opened as immutable, as on a read-only disk.

    SQLite would otherwise first write beside the file
    (https://www.sqlite.org/wal.html section 5). A program that writes to it has a log there.
    """
    real = database.resolve()  # SQLite keeps the log beside this one
    log = Path(f"{real}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return not has_log and not os.access(real.parent, os.W_OK)


def count_complaints(database: Path) -> int:
    """Return how many complaints the database holds.

    Raises:
        DatabaseError: If the file cannot be read.
    """
    with named_errors(database), closing(connect(database)) as connection:
        (complaints,) = connection.execute("SELECT COUNT(*) FROM complaint").fetchone()
        return int(complaints)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that happens within the block, or none of it."""
    _begin(connection)
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _begin(connection: sqlite3.Connection) -> None:
    """Begin when no other program writes. Ctrl-C ends this wait, and would not end SQLite's own."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            return


# --- the schema -----------------------------------------------------------------------------


def ensure_schema(connection: sqlite3.Connection, database: Path) -> None:
    """Create the tables in a new file; a file that is refused stays as it is.

    Raises:
        NotADatabaseError: If it is another program's file.
        OtherSchemaError: If another version of this package has created it.
    """
    with transaction(connection):
        if not _has_schema(connection, database):
            create_schema(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    # The file keeps this. Only now is it known to be our file, and no transaction is open.
    connection.execute("PRAGMA journal_mode = WAL")


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables, indexes, views and triggers, within the caller's transaction."""
    for name in ("schema.sql", "views.sql"):
        for statement in _statements(Path(__file__).with_name(name).read_text(encoding="utf-8")):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Divide a script into statements: sqlite3's `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_schema(connection: sqlite3.Connection, database: Path) -> bool:
    """Say whether the file has this schema; False if it is empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if not any((application, version, objects)):
        return False
    if application != _APPLICATION_ID:
        raise NotADatabaseError(path=database, detail="is another program's SQLite file")
    if version != SCHEMA_VERSION:
        raise OtherSchemaError(
            path=database, found=version, supported=SCHEMA_VERSION, version=__version__
        )
    return True


# --- indexes --------------------------------------------------------------------------------


def drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop what costs time for each new complaint: indexes, a user's too, and a search trigger.

    Returns:
        The statements that create them again.
    """
    dropped = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name = 'narrative_insert' OR name IN"
        # The partial index on withdrawn_on stays: creating it again costs more than keeping it.
        " (SELECT name FROM pragma_index_list('complaint') WHERE origin = 'c' AND NOT partial)"
    ).fetchall()
    for kind, name, _ in dropped:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP {kind} "{quoted}"')
    return [statement for _, _, statement in dropped]


def create_indexes(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Create again what `drop_indexes` has dropped.

    With a small cache and a second thread SQLite sorts few entries at a time. Four indexes of a
    million complaints took 2.4 s so, and 4 s with a cache that holds all entries.
    """
    connection.execute("PRAGMA threads = 2")
    connection.execute(f"PRAGMA cache_size = -{_SORT_CACHE_KIBIBYTES}")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")


# --- errors ---------------------------------------------------------------------------------


@contextmanager
def named_errors(database: Path) -> Iterator[None]:
    """Raise SQLite's errors as errors of this package."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _named(error, database) from error
    except sqlite3.DatabaseError as error:
        # SQLite reports a damaged file, and one that is not a database, by this very class.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise _named(error, database) from error


def _named(error: sqlite3.DatabaseError, database: Path) -> DatabaseError:
    # Python itself rejects undecodable text, without an SQLite error code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    primary = code & 0xFF  # extended codes keep it in the low byte (sqlite.org/rescode.html)
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotADatabaseError(path=database, detail=f"is damaged or is not SQLite ({error})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseInUseError(path=database)
    if primary == sqlite3.SQLITE_ERROR:  # the file is sound, and a table has been changed
        return NotADatabaseError(path=database, detail=f"was changed by another program ({error})")
    return NotWritableError(path=database, detail=str(error))
