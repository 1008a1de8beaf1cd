"""Who may load into a database: one run at a time."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cfpb_etl.store.errors import DatabaseInUseError

_CLAIMED = (
    sqlite3.SQLITE_BUSY,
    # The files were removed, and perhaps made anew, since they were opened here.
    sqlite3.SQLITE_IOERR_FSTAT,
    sqlite3.SQLITE_IOERR_DELETE_NOENT,
    sqlite3.SQLITE_READONLY_DBMOVED,
)


_PEEK_SECONDS = 0.2  # who asks whether it is claimed has it locked for much less


def lock_for_loading(database: Path) -> sqlite3.Connection:
    """Claim the database for one load.

    SQLite's own locks last for a transaction, a load has many. So a load holds the lock of a small
    SQLite file beside the database, which the system lets go when the process dies.

    Raises:
        DatabaseInUseError: If another load holds it.
    """
    claim = _claim_on(database)
    connection = _Claim(claim, timeout=_PEEK_SECONDS, isolation_level=None)
    connection.path = claim
    try:
        # On its first write SQLite looks whether the file was removed since it was opened, unless
        # it is empty. Without that, a claim on a removed file would hold beside one on its heir.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("PRAGMA user_version = 2")
    except sqlite3.DatabaseError as error:
        sqlite3.Connection.close(connection)
        if error.sqlite_errorcode in _CLAIMED:
            raise DatabaseInUseError(
                database, "is being loaded by another run. Wait until that one has ended."
            ) from None
        raise
    return connection


def is_locked(database: Path) -> bool:
    """Say whether a load has the database, and is not one that was killed."""
    with suppress(sqlite3.Error):
        address = f"{_claim_on(database).as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            try:
                connection.execute("PRAGMA user_version")
            except sqlite3.OperationalError as error:
                return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
    return False


def _claim_on(database: Path) -> Path:
    return Path(f"{database.resolve()}-loading")


class _Claim(sqlite3.Connection):
    path: Path

    def close(self) -> None:
        """Remove the file while its lock is held, so that nobody loses a claim on it."""
        with suppress(OSError):
            self.path.unlink()
        super().close()
