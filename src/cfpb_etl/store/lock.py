"""The lock that keeps two runs from loading into a database at a time."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cfpb_etl.store.errors import LoadRunningError

_TAKEN = (
    sqlite3.SQLITE_BUSY,
    # The lock's file was removed, and perhaps created again, since it was opened here.
    sqlite3.SQLITE_IOERR_FSTAT,
    sqlite3.SQLITE_IOERR_DELETE_NOENT,
    sqlite3.SQLITE_READONLY_DBMOVED,
)


_LOOK_SECONDS = 0.2  # `is_locked` holds the lock for far less


def lock_for_loading(database: Path) -> sqlite3.Connection:
    """Lock the database for one load, until the returned connection is closed.

    SQLite's own locks last for a transaction, and a load has many. So a load holds the lock of a
    small SQLite file beside the database, which the system releases when the process dies.

    Raises:
        LoadRunningError: If another load holds it.
    """
    path = _lock_file(database)
    connection = _Lock(path, timeout=_LOOK_SECONDS, isolation_level=None)
    connection.path = path
    try:
        # On its first write SQLite checks that the file was not removed since it was opened,
        # unless it is empty. Otherwise a lock on a removed file could be held beside one on the
        # new file of that name.
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
    """Say whether a load is running on the database; one that was killed is not."""
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
        """Remove the file while its lock is held, so that no other load can hold it meanwhile."""
        with suppress(OSError):
            self.path.unlink()
        super().close()
