"""The SQLite file itself: how it is opened, its tables by migration, its errors by name."""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.complaint import Complaint
from cfpb_etl.errors import (
    DatabaseError,
    DatabaseInUseError,
    NewerDatabaseError,
    NotADatabaseError,
    NotWritableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUSY_TIMEOUT_SECONDS = 30  # for another program to end its transaction
_BUSY_SECONDS = 0.2  # of that, in SQLite at a time
# With SQLite's own 4,096 a million complaints took a fifth longer; it holds for a new file only.
_PAGE_BYTES = 8_192
_LOG_PAGES = 10_000  # 80 MB of log before it is emptied; after 1,000 a pull took a tenth longer
_CACHE_KIBIBYTES = 32_000  # a page's complaints lie all over the table; SQLite's own is 2,000
_APPLICATION_ID = 0x43465042  # "CFPB", https://www.sqlite.org/fileformat.html section 1.3.17


def _m001_complaints_and_loads(connection: sqlite3.Connection) -> None:
    columns = "".join(f"    {name} TEXT,\n" for name in Complaint._fields[1:])
    connection.execute(f"""
CREATE TABLE complaint (
    complaint_id INTEGER PRIMARY KEY,
{columns}    load_id INTEGER NOT NULL REFERENCES load -- the newest load that wrote the row
)""")
    connection.execute("""
CREATE TABLE load (
    load_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,          -- api, or sample for made-up complaints
    address TEXT NOT NULL,         -- where the source was
    query TEXT NOT NULL,           -- what was asked of it, JSON
    as_of TEXT,                    -- the day of the source's data, YYYY-MM-DD
    flow_run_id TEXT,              -- Prefect's
    program_version TEXT NOT NULL,
    started_at TEXT NOT NULL,      -- UTC, as is ended_at
    ended_at TEXT,
    outcome TEXT NOT NULL DEFAULT 'running'
        CHECK (outcome IN ('running', 'complete', 'failed', 'interrupted')),
    failure TEXT,                  -- what went wrong, in words
    parts INTEGER NOT NULL DEFAULT 0,
    complaints_read INTEGER NOT NULL DEFAULT 0,
    inserted INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL DEFAULT 0,
    unchanged INTEGER NOT NULL DEFAULT 0,
    matching INTEGER,              -- how many complaints the source said match the query
    next_part TEXT                 -- where the walk stands, JSON; NULL at its end
)""")


def _m002_windows_and_history(connection: sqlite3.Connection) -> None:
    for statement in (
        # The day on which its source was first seen to have it no more; NULL while it has.
        "ALTER TABLE complaint ADD COLUMN withdrawn_on TEXT",
        "CREATE INDEX complaint_date_received ON complaint (date_received)",
        "ALTER TABLE load DROP COLUMN next_part",
        # The load whose query this one repeats, to bring it up to date.
        "ALTER TABLE load ADD COLUMN updates INTEGER REFERENCES load",
        # How many complaints were asked for, the newest; NULL for all that match.
        "ALTER TABLE load ADD COLUMN complaint_limit INTEGER",
        "UPDATE load SET complaint_limit = json_extract(query, '$.limit')",
        # The columns that all of its parts carried, JSON.
        "ALTER TABLE load ADD COLUMN carried TEXT",
        # The last day that it covers.
        "ALTER TABLE load ADD COLUMN until TEXT",
        # The first and the last day received among what it read.
        "ALTER TABLE load ADD COLUMN oldest TEXT",
        "ALTER TABLE load ADD COLUMN newest TEXT",
        "ALTER TABLE load ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0",
        """
CREATE TABLE load_part (           -- where a load stands: a row for each window of days, or file
    part_id INTEGER PRIMARY KEY,
    load_id INTEGER NOT NULL REFERENCES load,
    key TEXT NOT NULL,             -- the window's first day
    next TEXT,                     -- where to go on, JSON; NULL when it is whole
    readings INTEGER NOT NULL DEFAULT 1,
    counted INTEGER,               -- how many complaints the source counts in it, by its last word
    moved INTEGER NOT NULL DEFAULT 0, -- by how many that count moved while it was read
    expected INTEGER,              -- when it was read: how many there had to be
    kept INTEGER,                  -- and how many distinct ones came
    UNIQUE (load_id, key)
)""",
        """
CREATE TABLE load_seen (           -- what came of a part that is not whole yet
    part_id INTEGER NOT NULL REFERENCES load_part,
    complaint_id INTEGER NOT NULL,
    PRIMARY KEY (part_id, complaint_id)
) WITHOUT ROWID""",
        """
CREATE TABLE complaint_change (    -- what became another value after it was first stored
    complaint_id INTEGER NOT NULL REFERENCES complaint,
    load_id INTEGER NOT NULL REFERENCES load, -- the load that brought the new value
    column_name TEXT NOT NULL,
    old TEXT,
    new TEXT
)""",
        "CREATE INDEX complaint_change_complaint ON complaint_change (complaint_id)",
    ):
        connection.execute(statement)


def _m003_files(connection: sqlite3.Connection) -> None:
    for statement in (
        # Complaints that were read and not stored, since the database is a partial pull.
        "ALTER TABLE load ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0",
        # Complaints that a file had more than once: so many copies more.
        "ALTER TABLE load ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0",
        # Rows of files that cannot be complaints.
        "ALTER TABLE load ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0",
        # The first of what was odd in its files, a line each.
        "ALTER TABLE load ADD COLUMN remarks TEXT",
        # What its server said that tells this version of a file from the next.
        "ALTER TABLE load_part ADD COLUMN etag TEXT",
        "ALTER TABLE load_part ADD COLUMN last_modified TEXT",
    ):
        connection.execute(statement)


def _m004_known_lines(connection: sqlite3.Connection) -> None:
    for statement in (
        """
CREATE TABLE line_block (          -- the lines of the daily file that was stored last, in its order
    block INTEGER PRIMARY KEY,
    fingerprints BLOB NOT NULL     -- of some hundred lines, 8 bytes each
)""",
        """
CREATE TABLE line_outdated (       -- complaints that may not be as in such a line any more
    complaint_id INTEGER PRIMARY KEY
)""",
        # Whoever changes a complaint. An upsert would take OR IGNORE for OR ABORT
        # (https://www.sqlite.org/lang_createtrigger.html section 2).
        *(
            f"""
CREATE TRIGGER complaint_{event.lower()} AFTER {event} ON complaint BEGIN
    INSERT INTO line_outdated SELECT OLD.complaint_id WHERE NOT EXISTS
        (SELECT 1 FROM line_outdated WHERE complaint_id = OLD.complaint_id);
END"""  # noqa: S608 - words of ours
            for event in ("UPDATE", "DELETE")
        ),
    ):
        connection.execute(statement)


_MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _m001_complaints_and_loads,
    _m002_windows_and_history,
    _m003_files,
    _m004_known_lines,
)


def connect(database: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open the file, or make it; transactions are begun by hand.

    Raises:
        sqlite3.Error: If it cannot be opened, or is no database.
    """
    # As a URI a name such as `:memory:` is a file like any other.
    address = f"{database.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"
    connection = sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
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
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if application != _APPLICATION_ID and any((application, version, tables)):
            raise NotADatabaseError(
                database, "is another program's SQLite file. Choose another --database."
            )
        if version > len(_MIGRATIONS):
            raise NewerDatabaseError(
                database,
                f"has schema {version}, and this cfpb-etl {__version__} knows up to"
                f" {len(_MIGRATIONS)}. Upgrade cfpb-etl, or choose another --database.",
            )
        for migrate in _MIGRATIONS[version:]:
            migrate(connection)
        if version < len(_MIGRATIONS):
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
    # The file keeps this. Only now is it known to be ours to change, and no transaction is open.
    connection.execute("PRAGMA journal_mode = WAL")


def drop_indexes(connection: sqlite3.Connection, table: str) -> list[str]:
    """Drop a table's indexes, a user's own too, and return the statements that make them again."""
    made = connection.execute(
        "SELECT '\"' || REPLACE(name, '\"', '\"\"') || '\"', sql FROM sqlite_schema"
        " WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
        (table,),
    ).fetchall()
    for name, _ in made:
        connection.execute(f"DROP INDEX {name}")
    return [statement for _, statement in made]


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
    primary = error.sqlite_errorcode & 0xFF  # extended codes keep the primary one in the low byte
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotADatabaseError(
            database, f"is not a sound SQLite file ({error}). Choose another --database."
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseInUseError(
            database,
            f"was locked by another program for {BUSY_TIMEOUT_SECONDS} s."
            " Close what writes to it and run again.",
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
