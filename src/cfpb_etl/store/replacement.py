"""Stores the first complaints in a new file, which then takes the place of an empty database.

Within the database, each page would be written twice: into the write-ahead log, and from there into
the file. A million complaints took a quarter longer, and the disk had to hold both. The new file
needs no log, because it is deleted if storing fails. Until then, others read the old file.

SQLite finds a log by its name. A program that has the old file open would later use the log of the
new file, and damage it (https://www.sqlite.org/howtocorrupt.html section 2.4). So a file that
somebody has open is not replaced. Only Linux can show this, by a lease (fcntl(2)).
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl.store.errors import DatabaseInUseError, VanishedError
from cfpb_etl.store.file.journal import APPLICATION_ID, is_in_wal_mode
from cfpb_etl.store.sqlite_file import (
    BUSY_TIMEOUT_SECONDS,
    connect,
    create_without_journal,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER_BYTES = 72  # they end with the application id (https://www.sqlite.org/fileformat.html)
_PAUSE_SECONDS = 0.05


def may_be_replaced(database: Path) -> bool:
    """Say whether the file has no complaints, and a new file can take its place.

    A file stays if it has a rollback journal, several names or another owner, if it is open
    elsewhere, or if the system cannot show whether it is open.
    """
    with closing(connect(database)) as connection:
        (has_complaints,) = connection.execute("SELECT EXISTS (SELECT 1 FROM complaint)").fetchone()
        if has_complaints or not is_in_wal_mode(connection):
            return False
    real = database.resolve()
    if not (_can_be_recreated(real) and _is_ours(_beside(real))):
        return False
    with _unopened(real) as is_unopened:
        return is_unopened


@contextmanager
def replaced(database: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy of the database. After the block, the copy takes its place.

    Nobody else can write to the database meanwhile. If the block fails, the database stays.

    Raises:
        VanishedError: If the database was moved, deleted or changed meanwhile.
    """
    real = database.resolve()
    path = _beside(real)
    remove_unfinished(database)
    try:
        with closing(connect(database)) as old, transaction(old):
            before = real.stat()
            with closing(create_without_journal(path)) as connection:
                with closing(connect(database)) as source:
                    source.backup(connection)
                shutil.copystat(real, path)
                os.chown(path, before.st_uid, before.st_gid)
                connection.execute("PRAGMA journal_mode = OFF")  # the copy has the WAL mode
                connection.execute("BEGIN")
                yield connection
                connection.commit()
                connection.execute("PRAGMA journal_mode = WAL")
            with path.open("rb") as file:
                os.fsync(file.fileno())
        with _unopened(real) as is_unopened:
            if is_unopened:
                _rename(path, real, before)
                return
        _copy(path, database)
    finally:
        remove_unfinished(database)


def remove_unfinished(database: Path) -> None:
    """Delete the new file of a load that was killed."""
    path = _beside(database.resolve())
    if _is_ours(path):
        for end in ("-wal", "-shm", ""):
            Path(f"{path}{end}").unlink(missing_ok=True)


def _rename(path: Path, real: Path, before: os.stat_result) -> None:
    """Give the new file the name of the old one, and make the name last through a power cut."""
    now = real.stat()
    if (now.st_mtime_ns, now.st_size) != (before.st_mtime_ns, before.st_size):
        raise VanishedError(path=real)
    path.replace(real)
    folder = os.open(real.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(path: Path, database: Path) -> None:
    """Write the pages of the new file into the old one, which somebody has opened meanwhile.

    This takes a second longer for a million complaints, and for a moment the disk holds both files
    and the log.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS

    def give_up(*_: object) -> None:  # Python itself would wait for ever for another writer
        if time.monotonic() > deadline:
            raise DatabaseInUseError(path=database)

    with (
        closing(sqlite3.connect(path)) as source,
        closing(connect(database)) as connection,
    ):
        source.backup(connection, progress=give_up, sleep=_PAUSE_SECONDS)


def _beside(real: Path) -> Path:
    return Path(f"{real}-unfinished")


def _is_ours(path: Path) -> bool:
    """Say whether no other program has a file with this name."""
    if not path.is_file():
        return not path.exists()
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    return not header or header.endswith(APPLICATION_ID.to_bytes(4, "big"))


def _can_be_recreated(real: Path) -> bool:
    """Say whether a new file can have the name, owner and group of this one."""
    stat = real.stat()
    return stat.st_nlink == 1 and (
        os.geteuid() == 0
        or (stat.st_uid == os.geteuid() and stat.st_gid in {os.getegid(), *os.getgroups()})
    )


@contextmanager
def _unopened(real: Path) -> Iterator[bool]:
    """Yield whether nobody has the file open. Then nobody can open it during the block."""
    try:
        from fcntl import F_SETLEASE, F_SETSIG, F_WRLCK, fcntl  # noqa: PLC0415 - only on Linux
    except ImportError:
        yield False
        return
    # Closing a file would release the locks that SQLite has on it in this process
    # (https://www.sqlite.org/howtocorrupt.html section 2.2).
    if _is_open_here(real):
        yield False
        return
    with real.open("r+b") as file:
        try:
            # A program that opens the file sends a signal to this process. The default signal
            # would end the process.
            fcntl(file, F_SETSIG, signal.SIGURG)
            fcntl(file, F_SETLEASE, F_WRLCK)
        except OSError:
            is_unopened = False
        else:
            is_unopened = True
        yield is_unopened


def _is_open_here(real: Path) -> bool:
    """Say whether this process has the file open, on Linux."""
    stat = real.stat()
    for number in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - names are numbers
        with suppress(OSError):  # the folder of the numbers is closed by now
            if os.path.samestat(os.fstat(number), stat):
                return True
    return False
