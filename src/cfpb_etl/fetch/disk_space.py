"""Checks that the disks have room for a load, before the load begins."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from cfpb_etl.fetch.errors import NotEnoughSpaceError, NotEnoughTemporarySpaceError

# Bytes for each byte of the CSV, rounded up from measurements (docs/design.md, "Disk space"). The
# write-ahead log holds a load until the commit. Then its pages are copied into the database, so for
# a moment the disk holds both. On Linux, the first complaints need no log.
_DATABASE = _LOG = 1.8  # for complaints that are not stored yet: 1.65 to 1.75
_SORTING_BESIDE = 0.4  # temporary files beside a database without a log: 0.1 to 0.35
_UPDATE = 0.5  # for stored complaints, if 0.3% of them have changed: 0.35 to 0.5
_SORTING = 0.7  # temporary files for the indexes of new complaints: 0.27 to 0.66


def ensure_space(database: Path, csv: int, missing: int = 0, *, is_first: bool = False) -> None:
    """Raise an error if a disk is too full for a download and the complaints of its CSV.

    The rows of the CSV are not read yet. So the database's own size is taken to be that of
    complaints in the CSV, as it is with the next daily file. If most of the CSV's complaints are
    not stored yet, the load can need more. If the disk is then full, nothing of the load is stored.

    Args:
        database: The SQLite file. It need not exist.
        csv: The size of the unpacked CSV in bytes.
        missing: How many bytes of the download are missing.
        is_first: Whether the database has no complaints.

    Raises:
        NotEnoughSpaceError: If the database's disk is too full for the download, the database and
            its log.
        NotEnoughTemporarySpaceError: If SQLite's temporary files are on another disk, which is too
            full.
    """
    stored = min(csv, int(database.stat().st_size / _DATABASE)) if database.exists() else 0
    new = csv - stored
    folder = database.absolute().parent
    temporary = temporary_folder()
    is_elsewhere = temporary.stat().st_dev != folder.stat().st_dev
    beside = _LOG  # and with a log, the temporary files are gone when both are largest
    if is_first and sys.platform == "linux":
        beside = 0 if is_elsewhere else _SORTING_BESIDE
    needed = missing + int((_DATABASE + beside) * new + _UPDATE * stored)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NotEnoughSpaceError(database, needed, free)
    if is_elsewhere:
        needed, free = int(_SORTING * new), shutil.disk_usage(temporary).free
        if needed > free:
            raise NotEnoughTemporarySpaceError(temporary, needed, free)


def temporary_folder() -> Path:
    """Return the folder in which SQLite writes its temporary files.

    SQLite takes the first folder of these that it can write to
    (https://www.sqlite.org/tempfiles.html section 5).
    """
    if os.name == "nt":
        return Path(tempfile.gettempdir())
    named = filter(None, map(os.environ.get, ("SQLITE_TMPDIR", "TMPDIR")))
    for folder in map(Path, (*named, "/var/tmp", "/usr/tmp", "/tmp")):  # noqa: S108 - as SQLite
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path.cwd()
