"""Opens a file, and undoes its container. The file may be damaged or malicious.

The first bytes of a file show its container, never its name.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import zipfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from cfpb_etl.fetch.errors import CutFileError, NotACsvError, UnreadableFileError
from cfpb_etl.fetch.unpack.streams import BLOCK, GZIP, Unpacking, compression_of, max_unpacked
from cfpb_etl.fetch.unpack.zips import ZIP, is_zip, open_zip
from cfpb_etl.plain_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_LISTED = 10_000  # files of a folder that are searched for CSVs
_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class Unpacked(NamedTuple):
    """An open file whose container is undone.

    Attributes:
        csv: The unpacked bytes. Peeking shows the first 65,536, or all if there are fewer.
        file: The file itself, whose position shows how many bytes were read.
        size: The file's size in bytes.
        container: The name of the container, such as `gzip`; None if the file has none.
        csv_size: The size of the CSV in bytes; None if only reading the file shows it.
        written_on: As `written_on` returns it.
    """

    csv: io.BufferedReader
    file: io.BufferedReader
    size: int
    container: str | None = None
    csv_size: int | None = None
    written_on: tuple[str, str] | None = None


@contextmanager
def open_unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file, and undo its container: zip, gzip, bzip2, xz, lzma or zlib.

    Nothing is unpacked to the disk. Reading to the end verifies the container's checksum.

    Raises:
        NotACsvError: If the path is not a file, or the file is an encrypted zip, a document, or a
            zip without exactly one CSV.
        UnreadableFileError: If the file cannot be read or is damaged. Reading can also raise this
            error.
    """
    with _named_errors(path), ExitStack() as files:
        _refuse_special(path)
        file: io.BufferedReader = io.BufferedReader(io.FileIO(path), BLOCK)
        files.enter_context(file)
        start, size = file.peek(), path.stat().st_size
        name = container_of(start)
        if name is None:
            unpacked = Unpacked(file, file, size, csv_size=size)
        elif name == ZIP:
            with _named_zip_errors(path):
                zipped = files.enter_context(open_zip(path, file))
            day = zipped.day and ("date in the zip", zipped.day)
            unpacked = Unpacked(zipped.csv, file, size, name, zipped.size, day or None)
        else:
            unpacking = Unpacking(path, name, file, max_unpacked(size))
            csv: io.BufferedReader = io.BufferedReader(unpacking, BLOCK)
            day_of = _day_in_gzip(start) if name == GZIP else None
            unpacked = Unpacked(files.enter_context(csv), file, size, name, written_on=day_of)
        yield unpacked


def container_of(start: bytes) -> str | None:
    """Return the name of the container that starts with these bytes; None if none does."""
    return ZIP if is_zip(start) else compression_of(start)


def written_on(path: Path) -> tuple[str, str] | None:
    """Return what a file's container says about the day on which its CSV was written.

    Returns:
        The evidence in words, such as `date in the zip`, and the day, `YYYY-MM-DD`; None if the
        container says nothing. A zip has the local day of the computer that wrote it. gzip has the
        day in UTC.

    Raises:
        UnreadableFileError: For the same reasons as in `open_unpacked`.
    """
    with open_unpacked(path) as unpacked:
        return unpacked.written_on


def _day_in_gzip(start: bytes) -> tuple[str, str] | None:
    """Return the day in the header of gzip, which is 0 if the program did not know it."""
    seconds = int.from_bytes(start[4:8], "little")
    day = datetime.fromtimestamp(seconds, UTC).date().isoformat()
    return ("date in the gzip", day) if seconds else None


# --- what cannot be opened ------------------------------------------------------------------


def _refuse_special(path: Path) -> None:
    """Raise an error if a path is not a file. To open a pipe would wait for its other end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise _folder_error(path)
    if not stat.S_ISREG(mode):
        kind = _SPECIAL.get(stat.S_IFMT(mode), "a device")
        advice = "Write its data to a file first, and give --file this file."
        raise NotACsvError(path, f"it is {kind}, and not a file", advice)


def _folder_error(path: Path) -> NotACsvError:
    with os.scandir(path) as entries:
        names = sorted(each.name for each in islice(entries, _MAX_LISTED) if _may_be_csv(each.name))
    if not names:
        return NotACsvError(path, "it is a folder without a CSV", "Give --file a CSV or a zip.")
    if len(names) == 1:
        return NotACsvError(path, "it is a folder", f"Give --file the file {quoted(names)} in it.")
    # Spark writes a folder of part files.
    detail = f"it is a folder with {len(names):,} CSVs: {quoted(names)}"
    return NotACsvError(path, detail, "Load them one by one with --file, or join them to one CSV.")


def _may_be_csv(name: str) -> bool:
    return not name.startswith((".", "_")) and (".csv" in name.lower() or name.startswith("part-"))


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Convert errors of the operating system and zipfile to `UnreadableFileError`."""
    try:
        yield
    except BrokenPipeError:  # a pipe failed, not this file
        raise
    except OSError as error:
        raise UnreadableFileError(path=path, detail=error.strerror or str(error)) from error
    except (zipfile.BadZipFile, EOFError) as error:  # zipfile, for a stored file
        detail = f"its zip is damaged or cut off: {error}"
        kind = UnreadableFileError if zipfile.is_zipfile(path) else CutFileError  # finds the end
        raise kind(path=path, detail=detail) from error


@contextmanager
def _named_zip_errors(path: Path) -> Iterator[None]:
    """Convert also the errors of zipfile for invalid offsets and names, and for unknown flags."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # for a negative offset
            raise
        detail = f"its zip is damaged or of an unknown type: {error}"
        raise UnreadableFileError(path=path, detail=detail) from error
