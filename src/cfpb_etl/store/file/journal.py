"""The journal of the SQLite file: WAL mode where the disk allows it, else a rollback journal.

A new file is in WAL mode: others then read the last state while a load writes. The mode is stored
in the file, and a mode that a user has set stays. WAL mode needs memory that processes share
(https://www.sqlite.org/wal.html section 8), which many network disks do not have.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

APPLICATION_ID = 0x43465042  # "CFPB", https://www.sqlite.org/fileformat.html section 1.3.17
# SQLITE_IOERR_SHMSIZE is not one of them, because a full disk causes it.
_NO_SHARED_MEMORY = (
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_PROTOCOL,
)
_NO_LOCKS = (
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_RDLOCK,
    sqlite3.SQLITE_IOERR_UNLOCK,
    sqlite3.SQLITE_IOERR_CHECKRESERVEDLOCK,
)


def is_in_wal_mode(connection: sqlite3.Connection) -> bool:
    """Say whether others can read the file while this connection writes."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def what_the_disk_lacks(error: sqlite3.Error, database: Path) -> str | None:
    """Return what the disk lacks if this is the reason of an error, in words, and None if not."""
    code = error.sqlite_errorcode
    if code in _NO_LOCKS:
        return "locks"
    # Without functions for shared memory, SQLite only says that it cannot open the file.
    if code in _NO_SHARED_MEMORY or (
        code == sqlite3.SQLITE_CANTOPEN and _is_all_accessible(database)
    ):
        return "the shared memory that SQLite's WAL mode needs"
    return None


def leave_wal_mode(connection: sqlite3.Connection) -> None:
    """Move the log of our file into the file, and use a rollback journal from now on.

    Args:
        connection: A connection that has not read the file yet. It locks the file exclusively,
            because SQLite then uses WAL mode without shared memory.
    """
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application in (0, APPLICATION_ID):  # a new file gets its number after its mode
        connection.execute("PRAGMA journal_mode = DELETE")


def _is_all_accessible(database: Path) -> bool:
    """Say whether permissions allow to write the file and the files of its WAL mode.

    The file is not opened: closing it would release SQLite's locks on it
    (https://www.sqlite.org/howtocorrupt.html section 2.2).
    """
    real = database.resolve()
    return (
        os.access(real.parent, os.W_OK | os.X_OK)
        and real.is_file()
        and os.access(real, os.R_OK | os.W_OK)
        and not any(Path(f"{real}{end}").exists() for end in ("-wal", "-shm", "-journal"))
    )
