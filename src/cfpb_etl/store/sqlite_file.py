"""The SQLite file: opening, creating and checking the file, and converting SQLite's errors."""

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

SCHEMA_VERSION = 7  # the number of schema.sql and views.sql; a change of either needs a new number
BUSY_TIMEOUT_SECONDS = 30  # the maximum wait for another program's transaction
_BUSY_SECONDS = 0.2  # the part of this wait that SQLite itself waits at a time
_READER_MILLISECONDS = 5_000  # a reader waits only for an exclusive lock
# With SQLite's default of 4,096, a million complaints took a fifth longer. Only new files use this.
_PAGE_BYTES = 8_192
_LOG_PAGES = 10_000  # pages of log (80 MB) between checkpoints; with 1,000 a load took 10 % more
_CACHE_KIBIBYTES = 32_000  # SQLite's default is 2,000; a part's complaints lie all over the table
_SORT_CACHE_KIBIBYTES = 1_000
_APPLICATION_ID = 0x43465042  # "CFPB", https://www.sqlite.org/fileformat.html section 1.3.17


def connect(database: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open the SQLite file, and create it if `make` is true. The caller begins transactions.

    Raises:
        sqlite3.Error: If the file cannot be opened or is not a database.
    """
    connection = _open(database, f"mode={'rwc' if make else 'rw'}")
    try:
        # This is safe if the process is killed. A power cut may lose the newest parts, but does not
        # damage the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _open(database: Path, mode: str) -> sqlite3.Connection:
    # With a URI, a name such as `:memory:` means a file like any other.
    address = f"{database.absolute().as_uri()}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


@contextmanager
def open_for_reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a file that this program has created, for reading.

    Raises:
        DatabaseError: If the file is another program's or cannot be read; each subclass is one
            reason.
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
    """Say whether the file must be opened as immutable, because its folder is read-only.

    Otherwise SQLite would first write a file in the same folder
    (https://www.sqlite.org/wal.html section 5). If another program writes to the database, its log
    is in that folder, and the database is not immutable.
    """
    real = database.resolve()  # SQLite keeps the log in the folder of the resolved path
    log = Path(f"{real}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return not has_log and not os.access(real.parent, os.W_OK)


def count_complaints(database: Path) -> int:
    """Return how many complaints the database holds.

    Raises:
        DatabaseError: If the file cannot be read; each subclass is one reason.
    """
    with named_errors(database), closing(connect(database)) as connection:
        (complaints,) = connection.execute("SELECT COUNT(*) FROM complaint").fetchone()
        return int(complaints)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything that the block writes, or nothing if the block fails."""
    _begin(connection)
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _begin(connection: sqlite3.Connection) -> None:
    """Begin a transaction when no other program writes. Ctrl-C can end this wait."""
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
    """Create the tables in a new file. A refused file is not changed.

    Raises:
        NotADatabaseError: If the file belongs to another program.
        OtherSchemaError: If another version of this package has created the file.
    """
    with transaction(connection):
        if not _has_schema(connection, database):
            create_schema(connection)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    # WAL mode is stored in the file. It is set here, because the file is now known to be ours, and
    # no transaction is open.
    connection.execute("PRAGMA journal_mode = WAL")


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables, indexes, views and triggers, within the caller's transaction."""
    for name in ("schema.sql", "views.sql"):
        for statement in _statements(Path(__file__).with_name(name).read_text(encoding="utf-8")):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements. `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_schema(connection: sqlite3.Connection, database: Path) -> bool:
    """Say whether the file has this package's schema. An empty file does not."""
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
    """Drop the indexes and the search trigger, because each slows down every insertion.

    Indexes that a user has created are dropped too.

    Returns:
        The SQL statements that recreate the indexes and the trigger.
    """
    dropped = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name = 'narrative_insert' OR name IN"
        # The partial index on withdrawn_on stays, because recreating it costs more than keeping it.
        " (SELECT name FROM pragma_index_list('complaint') WHERE origin = 'c' AND NOT partial)"
    ).fetchall()
    for kind, name, _ in dropped:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP {kind} "{quoted}"')
    return [statement for _, _, statement in dropped]


def create_indexes(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Recreate the indexes and the trigger that `drop_indexes` dropped.

    With a small cache and a second thread, SQLite sorts few entries at a time. For a million
    complaints, the four indexes then took 2.4 s. With a cache for all entries they took 4 s.
    """
    connection.execute("PRAGMA threads = 2")
    connection.execute(f"PRAGMA cache_size = -{_SORT_CACHE_KIBIBYTES}")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")


# --- errors ---------------------------------------------------------------------------------


@contextmanager
def named_errors(database: Path) -> Iterator[None]:
    """Convert SQLite's errors to errors of this package."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _named(error, database) from error
    except sqlite3.DatabaseError as error:
        # For a damaged file, or a file that is not a database, SQLite raises exactly this class.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise _named(error, database) from error


def _named(error: sqlite3.DatabaseError, database: Path) -> DatabaseError:
    # Python itself raises an error for text that cannot be decoded, without a SQLite error code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    primary = code & 0xFF  # the low byte of an extended error code (sqlite.org/rescode.html)
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotADatabaseError(path=database, detail=f"is damaged or is not SQLite ({error})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseInUseError(path=database)
    if primary == sqlite3.SQLITE_ERROR:  # the file is not damaged, but a table was changed
        return NotADatabaseError(path=database, detail=f"was changed by another program ({error})")
    return NotWritableError(path=database, detail=str(error))
