"""Stores the first complaints in a new file, which then takes the place of an empty database.

Within the database, each page would be written twice: into the write-ahead log, and from there into
the file. A million complaints took a tenth longer, and the disk had to hold both. The new file
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
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl.store.errors import DatabaseInUseError
from cfpb_etl.store.file.journal import APPLICATION_ID, is_in_wal_mode
from cfpb_etl.store.sqlite_file import (
    BUSY_TIMEOUT_SECONDS,
    connect,
    create_without_journal,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_HAS_LEASES = sys.platform == "linux"
# Of the header of a database (https://www.sqlite.org/fileformat.html section 1.3).
_HEADER_BYTES, _VERSIONS = 72, slice(18, 20)
_APPLICATION = APPLICATION_ID.to_bytes(4, "big")  # the end of these bytes
_PAUSE_SECONDS = 0.05
_PAGES = 10  # copied at a time; even an empty database has more


def may_be_replaced(database: Path) -> bool:
    """Say whether the file has no complaints, and a new file can take its place.

    A file stays if it has a rollback journal or several names, if it is open elsewhere, or if the
    system cannot show whether it is open.
    """
    if not _HAS_LEASES:
        return False
    with closing(connect(database)) as connection:
        (has_complaints,) = connection.execute("SELECT EXISTS (SELECT 1 FROM complaint)").fetchone()
        if has_complaints or not is_in_wal_mode(connection):
            return False
    real = database.resolve()
    if real.stat().st_nlink > 1 or not _is_ours(_beside(real)):
        return False
    with _unopened(real) as file:
        return file is not None


@contextmanager
def replaced(database: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy of the database. After the block, the copy takes its place.

    Nobody else can write to the database meanwhile. If the block fails, the database stays.

    Raises:
        VanishedError: If the database was moved or deleted meanwhile.
        DatabaseInUseError: If another program has written to it at the end.
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
                is_alike = _make_alike(path, real)
                connection.execute("PRAGMA journal_mode = OFF")  # the copy has the WAL mode
                connection.execute("BEGIN")
                yield connection
                connection.commit()
                connection.execute("PRAGMA journal_mode = WAL")
            with path.open("rb") as file:
                os.fsync(file.fileno())
        with _unopened(real) as file:
            is_renamed = is_alike and file is not None and _rename(path, real, before)
            if is_renamed and file is not None:
                # A program that found the old file just before the rename waits for the lease.
                # SQLite then says that the file is not a database, instead of using the new log.
                os.pwrite(file.fileno(), bytes(_HEADER_BYTES), 0)
        if not is_renamed:
            _copy(path, database, before)
    finally:
        _delete(path)


def remove_unfinished(database: Path) -> None:
    """Delete the new file of a load that was killed."""
    path = _beside(database.resolve())
    if _is_ours(path):
        _delete(path)


def _delete(path: Path) -> None:
    for end in ("-wal", "-shm", ""):
        Path(f"{path}{end}").unlink(missing_ok=True)


def _make_alike(path: Path, real: Path) -> bool:
    """Give a file the permissions and the owner of another one, and say whether this worked."""
    stat = real.stat()
    try:
        shutil.copystat(real, path)
        os.chown(path, stat.st_uid, stat.st_gid)
    except OSError:
        return False
    return True


def _rename(path: Path, real: Path, before: os.stat_result) -> bool:
    """Give the new file the name of the old one, and say whether this worked.

    A file that is mounted by itself, as into a container, cannot be replaced.
    """
    _refuse_changed(real, before)
    try:
        path.replace(real)
    except OSError:
        return False
    # So that the name lasts through a power cut. Some disks cannot do this for a folder.
    with suppress(OSError):
        folder = os.open(real.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


def _copy(path: Path, database: Path, before: os.stat_result) -> None:
    """Write the pages of the new file into the old one, which keeps its place.

    This takes a second longer for a million complaints, and for a moment the disk holds both files
    and the log.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    checked = False

    def check(status: int, *_: object) -> None:
        nonlocal checked
        if status == sqlite3.SQLITE_BUSY:
            if time.monotonic() > deadline:  # Python itself would wait for ever
                raise DatabaseInUseError(path=database)
        elif not checked:  # from its first step on, the copy locks out other writers
            checked = True
            _refuse_changed(database.resolve(), before)

    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as source,
        closing(connect(database)) as connection,
    ):
        source.backup(connection, pages=_PAGES, progress=check, sleep=_PAUSE_SECONDS)


def _refuse_changed(real: Path, before: os.stat_result) -> None:
    """Raise an error if another program has written to the file or to its log."""
    now, log = real.stat(), Path(f"{real}-wal")
    if (now.st_mtime_ns, now.st_size) != (before.st_mtime_ns, before.st_size) or (
        log.exists() and log.stat().st_size
    ):
        raise DatabaseInUseError(path=real)


def _beside(real: Path) -> Path:
    return Path(f"{real}-unfinished")


def _is_ours(path: Path) -> bool:
    """Say whether the file is one that a load has left, or does not exist.

    Such a file has our application id, and no WAL mode yet.
    """
    try:
        if not path.is_file():
            return not path.exists()
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return False
    is_unfinished = header[_VERSIONS] == b"\1\1" and header.endswith(_APPLICATION)
    return not header or is_unfinished


@contextmanager
def _unopened(real: Path) -> Iterator[BinaryIO | None]:
    """Yield the file, or None if it is open anywhere. No program can open it during the block."""
    from fcntl import F_SETLEASE, F_SETSIG, F_WRLCK, fcntl  # noqa: PLC0415 - only on Linux

    # Closing a file would release the locks that SQLite has on it in this process
    # (https://www.sqlite.org/howtocorrupt.html section 2.2).
    if _is_open_here(real):
        yield None
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
        yield file if is_unopened else None


def _is_open_here(real: Path) -> bool:
    """Say whether this process has the file open, or if nothing shows this."""
    stat = real.stat()
    try:
        numbers = [int(each) for each in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    except OSError:
        return True
    for number in numbers:
        with suppress(OSError):  # the folder of the numbers is closed by now
            if os.path.samestat(os.fstat(number), stat):
                return True
    return False
