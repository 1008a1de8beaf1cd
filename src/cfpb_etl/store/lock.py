"""The lock that prevents two runs from loading into a database at the same time."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cfpb_etl.store.errors import LoadRunningError

_TAKEN = (
    sqlite3.SQLITE_BUSY,
    # The lock file was removed after it was opened here. It may have been created again.
    sqlite3.SQLITE_IOERR_FSTAT,
    sqlite3.SQLITE_IOERR_DELETE_NOENT,
    sqlite3.SQLITE_READONLY_DBMOVED,
)


_LOOK_SECONDS = 0.2  # `is_locked` holds the lock for a much shorter time


def lock_for_loading(database: Path) -> sqlite3.Connection:
    """Lock the database for one load, until the returned connection is closed.

    SQLite's own locks last for one transaction, and a load has many transactions. So a load holds
    the lock of a small SQLite file in the same folder. The system releases this lock when the
    process dies.

    Raises:
        LoadRunningError: If another load holds the lock.
    """
    path = _lock_file(database)
    connection = _Lock(path, timeout=_LOOK_SECONDS, isolation_level=None)
    connection.path = path
    try:
        # On its first write, SQLite checks that an open file was not removed, unless the file is
        # empty. Without this check, one load could hold the lock of a removed file while another
        # load holds the lock of a new file with the same name.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("PRAGMA user_version = 2")
    except sqlite3.DatabaseError as error:
        sqlite3.Connection.close(connection)
        if error.sqlite_errorcode in _TAKEN:
            raise LoadRunningError(path=database) from None
        raise
    return connection


def is_locked(database: Path) -> bool:
    """Say whether a load is running on the database. A killed load is not running."""
    with suppress(sqlite3.Error):
        address = f"{_lock_file(database).as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            try:
                connection.execute("PRAGMA user_version")
            except sqlite3.OperationalError as error:
                return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


def _lock_file(database: Path) -> Path:
    return Path(f"{database.resolve()}-loading")


class _Lock(sqlite3.Connection):
    path: Path

    def close(self) -> None:
        """Remove the lock file while it is still locked, so that no other load can lock it."""
        with suppress(OSError):
            self.path.unlink()
        super().close()
