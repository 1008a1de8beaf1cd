"""A CSV file as CFPB publishes it, alone in a zip, or unzipped; neither is taken at its word."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

from cfpb_etl.fetch.errors import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_CSV = 64 * 2**30  # bytes; CFPB's with all narratives was 8.7 GB (DATA.md section 3)
MOST_TIMES_LARGER = 250  # than its zip; CFPB's is some 20 times, and deflate can reach 1,032
# By any other method, Python unzips a piece whole, to gigabytes, whatever size is declared.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC = (b"PK\3\4", b"PK\5\6")  # of a zip, and of an empty one
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
_LONGEST_LINE = 2**25  # characters; what is longer comes in pieces, since all may be one line
_AT_ONCE = 2**20


@contextmanager
def opened(path: Path) -> Iterator[tuple[Iterator[str], BinaryIO, int]]:
    """Open the CSV of a file.

    Nothing of it is written anywhere, and no name that stands in a zip is used. Its checksum is
    compared when its end has been read.

    Yields:
        The lines, each with its end; the file beneath, whose position tells how far it is read; the
            file's size.

    Raises:
        UnreadableFileError: If it cannot be read, is no zip of one CSV file, or is damaged; also
            while it is read.
    """
    with (
        _unzipped(path) as (csv, file, size, _),
        # Bytes that are no UTF-8 cost their row, not the file.
        io.TextIOWrapper(csv, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield iter(partial(text.readline, _LONGEST_LINE), ""), file, size


def is_zip(path: Path) -> bool:
    """Say whether a file begins as a zip does.

    Raises:
        UnreadableFileError: If it cannot be read.
    """
    with _named_errors(path), path.open("rb") as file:
        return _begins_as_zip(file)


def zipped_on(path: Path) -> str | None:
    """Return the day on which the CSV of a zip was last changed, or None if that is no day.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    with _unzipped(path) as (_, _, _, member), suppress(ValueError):
        return date(*member.date_time[:3]).isoformat() if member else None
    return None


def unzipped_size(path: Path) -> int:
    """Return how many bytes the CSV has.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    with _unzipped(path) as (_, _, size, member):
        return member.file_size if member else size


def verify(path: Path) -> None:
    """Read a file to its end, for the checksum of its zip.

    Raises:
        UnreadableFileError: As `opened` does.
    """
    with _unzipped(path) as (csv, *_):
        while csv.read(_AT_ONCE):
            pass


class _Unzipped(NamedTuple):
    csv: IO[bytes]
    file: BinaryIO
    size: int
    member: zipfile.ZipInfo | None


@contextmanager
def _unzipped(path: Path) -> Iterator[_Unzipped]:
    with _named_errors(path), path.open("rb") as file:
        size = path.stat().st_size
        if not _begins_as_zip(file):
            yield _Unzipped(file, file, size, None)
            return
        # Of a method that Python has not, if encrypted, and of offsets or names that are none.
        with _named_errors(path, (RuntimeError, ValueError)):
            archive = zipfile.ZipFile(file)
            member = _member(path, archive, size)
            csv = archive.open(member)
        with csv:
            yield _Unzipped(csv, file, size, member)


def _begins_as_zip(file: BinaryIO) -> bool:
    begins = file.read(len(_MAGIC[0]))
    file.seek(0)
    return begins in _MAGIC


def _member(path: Path, archive: zipfile.ZipFile, size: int) -> zipfile.ZipInfo:
    """Return the one file of a zip, if it can be what CFPB publishes.

    What is read of it ends at the size that it declares, or is told as damage.
    """
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        raise UnreadableFileError(path, f"it holds {len(members)} files where one CSV was due")
    (member,) = members
    if not member.filename.lower().endswith(".csv"):
        raise UnreadableFileError(path, f"it holds {member.filename[:60]!r}, which is no CSV")
    if member.compress_type not in _METHODS:
        raise UnreadableFileError(
            path, f"it is zipped by method {member.compress_type}, which CFPB does not use"
        )
    if member.file_size > min(LARGEST_CSV, MOST_TIMES_LARGER * size):
        raise UnreadableFileError(
            path, f"it claims to unzip to {member.file_size:,} bytes, which no CSV of CFPB's can"
        )
    return member


@contextmanager
def _named_errors(path: Path, damage: tuple[type[Exception], ...] = _DAMAGE) -> Iterator[None]:
    """Turn what a file's system, zip or compression say into our error."""
    try:
        yield
    except BrokenPipeError:  # not of this file
        raise
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from error
    except damage as error:
        detail = f"its zip is damaged, or of no known kind: {error}"
        raise UnreadableFileError(path, detail) from error
