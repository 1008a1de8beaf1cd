"""Which error of this package says what an error of SQLite means."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from cfpb_etl.store.errors import (
    ChangedDatabaseError,
    DatabaseError,
    DatabaseInUseError,
    NotADatabaseError,
    NotReadableError,
    NotWritableError,
    RowRefusedError,
    SqliteError,
    UnsuitableDiskError,
    VanishedError,
)
from cfpb_etl.store.file.journal import APPLICATION_ID, what_the_disk_lacks
from cfpb_etl.store.file.schema import find_additions, find_changes, own_schema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SHOWN = 3  # changes that an error names
_MISSING = ": it does not exist"


def name_error(
    error: sqlite3.DatabaseError, database: Path, *, reads: bool = False
) -> DatabaseError | None:
    """Return the error of this package that says what an error of SQLite means.

    Args:
        error: The error of SQLite.
        database: The SQLite file.
        reads: Whether the file was opened for reading.

    Returns:
        The error; None if only a mistake in this program can be the reason.
    """
    # Python itself raises an error for text that cannot be decoded, without a SQLite error code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    primary = code & 0xFF  # the low byte of an extended error code (sqlite.org/rescode.html)
    if primary in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT):
        return _name_refusal(error, database)
    if primary in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return NotADatabaseError(path=database, detail=f"is damaged or is not SQLite ({error})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseInUseError(path=database)
    if type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError):
        return _name_access(error, code, database, reads=reads)
    return None


def changed(database: Path, changes: dict[str, str]) -> ChangedDatabaseError:
    """Return the error that names what another program has changed, and the remedy."""
    lost = {each.split()[0] for each in changes}
    if lost == {"view"}:
        cure = "The next load creates missing views again."
    elif lost == {"index"} and set(changes.values()) == {"is missing"}:
        statements = "; ".join(own_schema()[each][1] for each in changes)
        cure = f"To create what is missing, run in sqlite3: {statements};"
    else:
        cure = "Load again into a new file: choose another --database."
    # If a table or a column is missing, everything that uses it is different too.
    first = next((each for each in ("table ", "column ") if each[:-1] in lost), "")
    detail = _some(f"the {name} {what}" for name, what in changes.items() if name.startswith(first))
    return ChangedDatabaseError(path=database, detail=detail, cure=cure)


def _name_refusal(error: sqlite3.DatabaseError, database: Path) -> DatabaseError | None:
    """Name the error for a statement that SQLite refused, after a look at the schema."""
    changes: dict[str, str] = {}
    additions: list[str] = []
    is_ours = False
    with suppress(sqlite3.Error):
        address = f"{database.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            is_ours = connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
            if is_ours:
                changes, additions = find_changes(connection), find_additions(connection)
    if isinstance(error, sqlite3.IntegrityError):
        others = _some([*additions, *changes])
        if not others:
            return None
        return RowRefusedError(path=database, detail=str(error), others=others)
    if changes:
        return changed(database, changes)
    if additions:
        detail = f"{error}; someone added the {_some(additions)}"
        return ChangedDatabaseError(path=database, detail=detail, cure="Remove what was added.")
    if not is_ours and "no such table" in str(error):
        return VanishedError(path=database)
    return SqliteError(path=database, detail=str(error), version=sqlite3.sqlite_version)


def _name_access(
    error: sqlite3.DatabaseError, code: int, database: Path, *, reads: bool
) -> DatabaseError:
    """Name the error for a file that cannot be opened, locked, read or written."""
    why = _why(code, database)
    if code == sqlite3.SQLITE_READONLY_DBMOVED or (why == _MISSING and not reads):
        return VanishedError(path=database)
    lacks = what_the_disk_lacks(error, database)
    if lacks is not None:
        return UnsuitableDiskError(path=database, lacks=lacks, detail=str(error))
    kind = NotReadableError if reads else NotWritableError
    return kind(path=database, detail=str(error) + why)


def _some(texts: Iterable[str]) -> str:
    every = [*texts]
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _why(code: int, database: Path) -> str:
    """Return why SQLite cannot open or write the file, if the path shows it."""
    if code not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY_DIRECTORY):
        return ""
    folder = database.resolve().parent
    if not folder.is_dir():
        return ": its folder does not exist"
    if database.is_dir():
        return ": it is a folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        return ": you cannot write to its folder"
    return "" if database.exists() else _MISSING
