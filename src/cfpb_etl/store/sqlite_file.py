"""The SQLite file: opening, creating and checking the file, and converting SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.store.errors import (
    ChangedWhileReadError,
    EmptyDatabaseError,
    NotADatabaseError,
    OtherSchemaError,
    VanishedError,
)
from cfpb_etl.store.file.journal import (
    APPLICATION_ID,
    is_in_wal_mode,
    leave_wal_mode,
    what_the_disk_lacks,
)
from cfpb_etl.store.file.schema import create_schema, find_changes, own_schema
from cfpb_etl.store.file.sqlite_errors import changed, name_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA_VERSION = 8  # the number of schema.sql and views.sql; a change of either needs a new number
BUSY_TIMEOUT_SECONDS = 30  # the maximum wait for another program's transaction
_BUSY_SECONDS = 0.2  # the part of this wait that SQLite itself waits at a time
READER_MILLISECONDS = 5_000  # a reader waits only for an exclusive lock
# With SQLite's default of 4,096, a million complaints took a fifth longer. Only new files use this.
_PAGE_BYTES = 8_192
_LOG_PAGES = 10_000  # pages of log (80 MB) between checkpoints; with 1,000 a load took 10 % more
_CACHE_KIBIBYTES = 32_000  # SQLite's default is 2,000; a part's complaints lie all over the table


def connect(database: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open the SQLite file, and create it if `make` is true. The caller begins transactions.

    A new file is in WAL mode. If `make` is true and the file is in WAL mode on a disk that does not
    support this mode, the file gets a rollback journal.

    Raises:
        sqlite3.Error: If the file cannot be opened or is not a database.
    """
    try:
        return _connect(database, make=make)
    except sqlite3.OperationalError as error:
        if not make or what_the_disk_lacks(error, database) is None:
            raise
    with closing(_open(database, "mode=rw")) as connection:
        leave_wal_mode(connection)
    return _connect(database, make=make)


def _connect(database: Path, *, make: bool) -> Connection:
    connection = _open(database, f"mode={'rwc' if make else 'rw'}")
    try:
        if make and database.stat().st_size == 0:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
        _wait(lambda: connection.execute("PRAGMA user_version"))  # reads the file
        if is_in_wal_mode(connection):
            # This is safe if the process is killed. A power cut may lose the newest parts, but
            # does not damage the file (https://www.sqlite.org/pragma.html#pragma_synchronous).
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    except (sqlite3.Error, KeyboardInterrupt):
        connection.close()
        raise
    return connection


def create_without_journal(path: Path) -> sqlite3.Connection:
    """Create a file for this process alone. If a transaction fails, the file is unusable."""
    connection = _open(path, "mode=rwc")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    return connection


class Connection(sqlite3.Connection):
    """A connection that knows which file it has opened.

    Attributes:
        database: The path of the file.
        opened: The file at this path when it was opened.
    """

    database: Path
    opened: os.stat_result

    def refuse_if_moved(self) -> None:
        """Raise `VanishedError` if the path now names no file or another file."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self.database.stat(), self.opened):
                return
        raise VanishedError(path=self.database)

    def refuse_if_changed(self) -> None:
        """Raise `ChangedWhileReadError` if something was written to the file since it was opened.

        Only an immutable file needs this check: SQLite does not lock it.
        """
        now = self.database.stat()
        if (now.st_mtime_ns, now.st_size) != (self.opened.st_mtime_ns, self.opened.st_size):
            raise ChangedWhileReadError(path=self.database)


def _open(database: Path, mode: str) -> Connection:
    connection = sqlite3.connect(
        _address(database, mode),
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        factory=Connection,
    )
    connection.database, connection.opened = database, database.stat()
    return connection


def _address(database: Path, mode: str) -> str:
    # With a URI, a name such as `:memory:` means a file like any other.
    return f"{database.absolute().as_uri()}?{mode}"


@contextmanager
def open_for_reading(database: Path) -> Iterator[Connection]:
    """Open a file that this program has created, for reading.

    Raises:
        ChangedWhileReadError: At the end, if the file could not be locked and has changed.
        DatabaseError: If the file is another program's or cannot be read; each subclass is one
            reason.
    """
    cannot_lock = is_immutable(database)
    with (
        named_errors(database, reads=True),
        closing(
            _open(database, _read_only(database)) if cannot_lock else _connect(database, make=False)
        ) as connection,
    ):
        _prepare_reader(connection, database)
        try:
            yield connection
        finally:
            if cannot_lock:  # also after an error, because a changed file looks damaged
                connection.refuse_if_changed()


def connect_read_only(database: Path) -> sqlite3.Connection:
    """Open a file that this program has created, so that no statement can write to it.

    In WAL mode, SQLite leaves an empty log beside the file, because only a connection that can
    write may delete it.

    Raises:
        DatabaseError: If the file is another program's or cannot be read; each subclass is one
            reason.
    """
    with named_errors(database, reads=True):
        connection = _open(database, _read_only(database))
        try:
            _prepare_reader(connection, database)
        except BaseException:
            connection.close()
            raise
        return connection


def read_only_address(database: Path) -> str:
    """Return the URI with which any copy of SQLite opens the file, so that it cannot write."""
    return _address(database, _read_only(database))


def _read_only(database: Path) -> str:
    return "mode=ro&immutable=1" if is_immutable(database) else "mode=ro"


def _prepare_reader(connection: sqlite3.Connection, database: Path) -> None:
    connection.execute(f"PRAGMA busy_timeout = {READER_MILLISECONDS}")
    if not _has_schema(connection, database):
        raise EmptyDatabaseError(path=database)
    connection.execute("PRAGMA query_only = ON")


@contextmanager
def open_beside(connection: sqlite3.Connection, database: Path) -> Iterator[sqlite3.Connection]:
    """Open a second connection, which reads the state before the transaction of the first.

    With a rollback journal, no other connection may read once the first has written a page. The
    first connection itself is then returned, which reads what it has written.
    """
    if is_in_wal_mode(connection):
        with closing(connect(database)) as second:
            yield second
    else:
        yield connection


def is_immutable(database: Path) -> bool:
    """Say whether the file must be opened as immutable, because its folder is read-only.

    Otherwise SQLite would first write a file in the same folder
    (https://www.sqlite.org/wal.html section 5). A database with a log or a journal is not
    immutable: another program writes to it, or has died while writing.
    """
    real = database.resolve()  # SQLite keeps its files in the folder of the resolved path
    journals = (Path(f"{real}{end}") for end in ("-wal", "-journal"))
    has_journal = any(each.exists() and each.stat().st_size > 0 for each in journals)
    return not has_journal and not os.access(real.parent, os.W_OK)


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
    """Commit everything that the block writes, or nothing if the block fails.

    Raises:
        VanishedError: If the file was moved or deleted while the block was writing.
    """
    _wait(lambda: connection.execute("BEGIN IMMEDIATE"))
    try:
        yield
        if isinstance(connection, Connection):
            connection.refuse_if_moved()
        _wait(connection.commit)  # with a rollback journal, readers block the commit
    except BaseException:
        connection.rollback()
        raise


def _wait(action: Callable[[], object]) -> None:
    """Repeat an action until no other program locks the file. Ctrl-C can end this wait."""
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        else:
            return


# --- the schema -----------------------------------------------------------------------------


def ensure_schema(connection: sqlite3.Connection, database: Path) -> None:
    """Create the tables in a new file, and views that are missing. A refused file is not changed.

    Raises:
        NotADatabaseError: If the file belongs to another program, or if another program has changed
            what a load needs.
        OtherSchemaError: If another version of this package has created the file.
    """
    with transaction(connection):
        if _has_schema(connection, database):
            changes = find_changes(connection)
            if any(not each.startswith("view ") for each in changes):
                raise changed(database, changes)
            for view, what in changes.items():
                if what == "is missing":
                    connection.execute(own_schema()[view][1])
        else:
            create_schema(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _has_schema(connection: sqlite3.Connection, database: Path) -> bool:
    """Say whether the file has this package's schema. An empty file does not."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (objects,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
    if not any((application, version, objects)):
        return False
    if application != APPLICATION_ID:
        raise NotADatabaseError(path=database, detail="is another program's SQLite file")
    if version != SCHEMA_VERSION:
        raise OtherSchemaError(
            path=database, found=version, supported=SCHEMA_VERSION, version=__version__
        )
    return True


# --- errors ---------------------------------------------------------------------------------


@contextmanager
def named_errors(database: Path, *, reads: bool = False) -> Iterator[None]:
    """Convert SQLite's errors to errors of this package.

    Args:
        database: The SQLite file.
        reads: Whether the block only reads.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        named = name_error(error, database, reads=reads)
        if named is None:
            raise
        raise named from error
