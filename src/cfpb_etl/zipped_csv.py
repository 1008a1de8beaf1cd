"""A CSV file as CFPB publishes it, alone in a zip, or unzipped; neither is taken at its word."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from contextlib import contextmanager, suppress
from datetime import date
from typing import IO, TYPE_CHECKING, BinaryIO, TextIO

from cfpb_etl.errors import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_CSV = 64 * 2**30  # bytes; CFPB's with all narratives was 8.7 GB (DATA.md section 3)
MOST_TIMES_LARGER = 250  # than its zip; CFPB's is some 20 times, and deflate can reach 1,032
_MAGIC = b"PK"
_AT_ONCE = 2**20


@contextmanager
def opened(path: Path) -> Iterator[tuple[TextIO, BinaryIO, int]]:
    """Open the CSV of a file.

    Nothing of it is written anywhere, and no name that stands in a zip is used. Its checksum is
    compared when its end has been read.

    Yields:
        The text; the file beneath it, whose position tells how far it is read; the file's size.

    Raises:
        UnreadableFileError: If it cannot be read, is no zip of one CSV file, or is damaged; also
            while it is read.
    """
    with _named_errors(path), path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        with _unzipped(path, file, size) as csv:
            # Bytes that are no UTF-8 cost their row, not the file.
            text = io.TextIOWrapper(csv, "utf-8-sig", errors="surrogateescape", newline="")
            with text:
                yield text, file, size


@contextmanager
def _unzipped(path: Path, file: BinaryIO, size: int) -> Iterator[IO[bytes]]:
    if file.read(len(_MAGIC)) != _MAGIC:
        file.seek(0)
        yield file
        return
    with zipfile.ZipFile(file) as archive, archive.open(_member(path, archive, size)) as csv:
        yield csv


def _member(path: Path, archive: zipfile.ZipFile, size: int) -> zipfile.ZipInfo:
    """Return the one file of a zip, if it can be what CFPB publishes.

    What is read of it ends at the size that it declares, or is told as damage.
    """
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise UnreadableFileError(path, f"it holds {len(members)} files where one CSV was due")
    (member,) = members
    if not member.filename.lower().endswith(".csv"):
        raise UnreadableFileError(path, f"it holds {member.filename[:60]!r}, which is no CSV")
    if member.file_size > min(LARGEST_CSV, MOST_TIMES_LARGER * size):
        raise UnreadableFileError(
            path, f"it claims to unzip to {member.file_size:,} bytes, which no CSV of CFPB's can"
        )
    return member


def is_zip(path: Path) -> bool:
    """Say whether a file begins as a zip does.

    Raises:
        UnreadableFileError: If it cannot be read.
    """
    with _named_errors(path), path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def zipped_on(path: Path) -> str | None:
    """Return the day on which the CSV of a zip was last changed, or None if that is no day.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    with _named_errors(path), zipfile.ZipFile(path) as archive:
        year, month, day, *_ = _member(path, archive, path.stat().st_size).date_time
    with suppress(ValueError):
        return date(year, month, day).isoformat()
    return None


def unzipped_size(path: Path) -> int:
    """Return how many bytes the CSV has.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    if not is_zip(path):
        return path.stat().st_size
    with _named_errors(path), zipfile.ZipFile(path) as archive:
        return _member(path, archive, path.stat().st_size).file_size


def verify(path: Path) -> None:
    """Read a file to its end, for the checksum of its zip.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    with _named_errors(path), path.open("rb") as file:
        size = path.stat().st_size
        with _unzipped(path, file, size) as csv:
            while csv.read(_AT_ONCE):
                pass


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn what a file's system, zip or compression say into our error."""
    try:
        yield
    except (
        *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
        *(NotImplementedError, RuntimeError),  # of a method that Python has not; if encrypted
    ) as error:
        detail = f"its zip is damaged, or of no known kind: {error}"
        raise UnreadableFileError(path, detail) from error
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from error
