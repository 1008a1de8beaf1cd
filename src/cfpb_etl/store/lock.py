"""The lock that prevents two runs from loading into a database at the same time."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from cfpb_etl.store.errors import LoadRunningError, LockFileError

_TAKEN = (
    sqlite3.SQLITE_BUSY,
    # The lock file was removed after it was opened here. It may have been created again.
    sqlite3.SQLITE_IOERR_FSTAT,
    sqlite3.SQLITE_IOERR_DELETE_NOENT,
    sqlite3.SQLITE_READONLY_DBMOVED,
)
_FOREIGN = "is another program's file"
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_LOOK_SECONDS = 0.2  # `is_locked` holds the lock for a much shorter time
# SQLite locks these bytes, even if the file is shorter (https://www.sqlite.org/lockingv3.html).
_LOCKED_FROM, _LOCKED_BYTES = 0x40000000, 512
_MAGIC = b"SQLite format 3\0"
_HEADERS_BYTES = 108  # the headers of the file and of its one page; all other bytes are zero
_MAX_BYTES = 65_536  # SQLite's largest page


def lock_for_loading(database: Path) -> sqlite3.Connection:
    """Lock the database for one load, until the returned connection is closed.

    SQLite's own locks last for one transaction, and a load has many transactions. So a load holds
    the lock of a small SQLite file in the same folder.

    Raises:
        LoadRunningError: If another load holds the lock.
        LockFileError: If the file with the name of the lock file is not a lock file.
        sqlite3.Error: If the lock file cannot be created.
    """
    return lock_with_file(_lock_file(database), database)


def lock_with_file(path: Path, database: Path) -> sqlite3.Connection:
    """Create a lock file and lock it, until the returned connection is closed.

    The system releases the lock when the process dies. A lock file that was written only in part,
    as in a power cut, is emptied.

    Args:
        path: The lock file.
        database: What it locks, for the messages of errors.

    Raises:
        LoadRunningError: If another process holds the lock.
        LockFileError: If the file with the name of the lock file is not a lock file.
        sqlite3.Error: If the lock file cannot be created.
    """
    if path.exists() and not path.is_file():  # to open a pipe could take for ever
        raise LockFileError(path=database, lock=path, detail="is not a file")
    try:
        try:
            return _lock(path, database)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _DAMAGED:
                raise
            _empty_torn_file(path)
        return _lock(path, database)  # another run may have emptied and locked the file
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in _TAKEN:
            raise LoadRunningError(path=database) from None
        detail = _what_is_wrong(path, error)
        if detail is None:
            raise
        raise LockFileError(path=database, lock=path, detail=detail) from error


def _lock(path: Path, database: Path) -> sqlite3.Connection:
    connection = _Lock(path, timeout=_LOOK_SECONDS, isolation_level=None)
    connection.path = path
    try:
        if connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone() != (0,):
            raise LockFileError(path=database, lock=path, detail=_FOREIGN)  # noqa: TRY301 - closes
        # On its first write, SQLite checks that an open file was not removed, unless the file is
        # empty. Without this check, one load could hold the lock of a removed file while another
        # load holds the lock of a new file with the same name.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("PRAGMA user_version = 2")
    except (sqlite3.DatabaseError, LockFileError):
        sqlite3.Connection.close(connection)
        raise
    return connection


def _empty_torn_file(path: Path) -> None:
    """Empty a lock file that was written only in part, unless another run has locked it meanwhile.

    The file is not removed, because another run could then lock the removed file.
    """
    try:
        import fcntl  # noqa: PLC0415 - Windows does not have this module
    except ImportError:
        return
    # SQLite found the file damaged, so no connection of this process has a lock on it. Otherwise,
    # closing the file would release the lock.
    with suppress(OSError), path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _LOCKED_FROM)
        if _is_torn(file.read(_MAX_BYTES + 1)):
            file.truncate(0)


def _is_torn(content: bytes) -> bool:
    """Say whether the content is a part of a lock file. The missing bytes may be zero."""
    return (
        len(content) <= _MAX_BYTES
        and all(byte in (expected, 0) for byte, expected in zip(content, _MAGIC, strict=False))
        and not content[_HEADERS_BYTES:].strip(b"\0")
    )


def _what_is_wrong(path: Path, error: sqlite3.DatabaseError) -> str | None:
    """Return in words why the file cannot be a lock file; None if something else is the reason."""
    if error.sqlite_errorcode in _DAMAGED:
        return _FOREIGN
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "belongs to another user"
    return None


def is_locked(database: Path) -> bool:
    """Say whether a load is running on the database. A killed load is not running."""
    path = _lock_file(database)
    if not path.is_file():
        return False
    with suppress(sqlite3.Error):
        address = f"{path.as_uri()}?mode=ro"
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
