"""The SQLite file itself: how it is opened and brought to the newest schema, its errors by name."""

from __future__ import annotations

import logging
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
    NewerDatabaseError,
    NotADatabaseError,
    NotWritableError,
)
from cfpb_etl.store.tables import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

BUSY_TIMEOUT_SECONDS = 30  # for another program to end its transaction
_BUSY_SECONDS = 0.2  # of that, in SQLite at a time
_READER_MILLISECONDS = 5_000  # who reads waits only for what has the file for itself alone
# With SQLite's own 4,096 a million complaints took a fifth longer; it holds for a new file only.
_PAGE_BYTES = 8_192
_LOG_PAGES = 10_000  # 80 MB of log before it is emptied; after 1,000 a pull took a tenth longer
_CACHE_KIBIBYTES = 32_000  # a page's complaints lie all over the table; SQLite's own is 2,000
_SORTED_KIBIBYTES = 1_000
_APPLICATION_ID = 0x43465042  # "CFPB", https://www.sqlite.org/fileformat.html section 1.3.17


def connect(database: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open the file, or make it; transactions are begun by hand.

    Raises:
        sqlite3.Error: If it cannot be opened, or is no database.
    """
    connection = _opened(database, f"mode={'rwc' if make else 'rw'}")
    try:
        # Safe against a killed process; a power cut may cost the newest parts, never the file
        # (https://www.sqlite.org/pragma.html#pragma_synchronous).
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _opened(database: Path, mode: str) -> sqlite3.Connection:
    # As a URI a name such as `:memory:` is a file like any other.
    address = f"{database.absolute().as_uri()}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


@contextmanager
def opened_for_reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a file of ours to be read; an older one is brought to the newest schema first.

    Raises:
        DatabaseError: One of its subclasses, if it is no file of ours or cannot be read.
    """
    with (
        named_errors(database),
        closing(
            _opened(database, "mode=ro&immutable=1")
            if is_immutable(database)
            else connect(database)
        ) as connection,
    ):
        connection.execute(f"PRAGMA busy_timeout = {_READER_MILLISECONDS}")
        application, version = _version(connection)
        if not application and not database.stat().st_size:
            raise NotADatabaseError(database, "is empty. Load something into it first.")
        if (application, version) != (_APPLICATION_ID, len(MIGRATIONS)):
            ensure_schema(connection, database)
        connection.execute("PRAGMA query_only = ON")
        yield connection


def is_immutable(database: Path) -> bool:
    """Say whether a file must be read as one that nobody changes, as on a disk that is read only.

    SQLite must be told, since it would first write beside the file
    (https://www.sqlite.org/wal.html section 5). Who writes to it has a log there.
    """
    real = database.resolve()  # beside which SQLite keeps the log
    log = Path(f"{real}-wal")
    has_log = log.exists() and log.stat().st_size > 0
    return not has_log and not os.access(real.parent, os.W_OK)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write all that happens within, or none of it."""
    _begin(connection)
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _begin(connection: sqlite3.Connection) -> None:
    """Begin to write, when nobody else does; Ctrl-C ends the wait, which SQLite's own would not."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            return


def ensure_schema(connection: sqlite3.Connection, database: Path) -> None:
    """Bring a new or older file to the newest schema; a file that is refused is left as it is.

    Raises:
        NotADatabaseError: If it is another program's file.
        NewerDatabaseError: If the schema is newer than this program.
    """
    with transaction(connection):
        application, version = _version(connection)
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if application != _APPLICATION_ID and any((application, version, tables)):
            raise NotADatabaseError(
                database, "is another program's SQLite file. Choose another --database."
            )
        if version > len(MIGRATIONS):
            raise NewerDatabaseError(
                database,
                f"has schema {version}, and this cfpb-etl {__version__} knows up to"
                f" {len(MIGRATIONS)}. Upgrade cfpb-etl, or choose another --database.",
            )
        if 0 < version < len(MIGRATIONS):
            log.info(
                "Bringing %s from schema %s to %s, once; millions of complaints take a while",
                *(database, version, len(MIGRATIONS)),
                extra={"notice": True},  # for the screen
            )
        for migrate in MIGRATIONS[version:]:
            migrate(connection)
        if version < len(MIGRATIONS):
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    # The file keeps this. Only now is it known to be ours to change, and no transaction is open.
    connection.execute("PRAGMA journal_mode = WAL")


def _version(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def drop_indexes(connection: sqlite3.Connection) -> list[str]:
    """Drop what is done for each complaint that comes: indexes, a user's own too, and the search.

    Returns:
        The statements that make them again.
    """
    made = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name = 'narrative_insert' OR name IN"
        # What was withdrawn is hardly ever inserted: to make its index again takes longer.
        " (SELECT name FROM pragma_index_list('complaint') WHERE origin = 'c' AND NOT partial)"
    ).fetchall()
    for kind, name, _ in made:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP {kind} "{quoted}"')
    return [statement for _, _, statement in made]


def make_indexes(connection: sqlite3.Connection, statements: Iterable[str]) -> None:
    """Make again what was dropped.

    To sort few entries at a time, with others under way beside, took 2.4 s where all that fit the
    cache took 4: four indexes of a million complaints.
    """
    connection.execute("PRAGMA threads = 2")
    connection.execute(f"PRAGMA cache_size = -{_SORTED_KIBIBYTES}")
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")


@contextmanager
def named_errors(database: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, by their code (https://www.sqlite.org/rescode.html)."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _named(error, database) from error
    except sqlite3.DatabaseError as error:
        # A file that is no database is told by this class itself, as is a damaged one.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise _named(error, database) from error


def _named(error: sqlite3.DatabaseError, database: Path) -> DatabaseError:
    # Text that is none has no code: Python itself refuses it.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    primary = code & 0xFF  # extended codes keep the primary one in the low byte
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotADatabaseError(
            database, f"is not a sound SQLite file ({error}). Choose another --database."
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseInUseError(
            database,
            "is locked by another program, and was so for a while. Close what writes to it and run"
            " again.",
        )
    if primary == sqlite3.SQLITE_ERROR:  # the file is sound, but a table is not as it was left
        return NotADatabaseError(
            database, f"is not as cfpb-etl left it ({error}). Choose another --database."
        )
    return NotWritableError(
        database,
        f"cannot be written ({error}). Check its permissions and the free disk space, also that"
        " for temporary files.",
    )
