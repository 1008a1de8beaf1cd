"""The CSV in a file, zipped as CFPB publishes it or plain. Neither is trusted to be valid."""

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

MAX_CSV = 64 * 2**30  # bytes; the largest had 8.7 GB (docs/facts.md, "Number of complaints")
MAX_RATIO = 250  # of a CSV to its zip; CFPB's is about 20, and deflate can reach 1,032
# For other methods, Python unzips a block as a whole, up to gigabytes, whatever size is declared.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC = (b"PK\3\4", b"PK\5\6")  # the first bytes of a zip, and of an empty one
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
_MAX_LINE = 2**25  # characters; a longer line is read in pieces, since all may be one line
_BLOCK = 2**20  # bytes


@contextmanager
def open_csv(path: Path) -> Iterator[tuple[Iterator[str], BinaryIO, int]]:
    """Open the CSV of a file.

    Nothing is unzipped to the disk, and no name in the zip is used as a path. The checksum is
    verified when the end is read.

    Yields:
        The lines, each with its line end; the file itself, whose position shows how much of it is
            read; the file's size.

    Raises:
        UnreadableFileError: If it cannot be read, is damaged, or is a zip of anything but one CSV;
            also while it is read.
    """
    with (
        _unzipped(path) as (csv, file, size, _),
        # Bytes that are not UTF-8 cost their row, not the file.
        io.TextIOWrapper(csv, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield iter(partial(text.readline, _MAX_LINE), ""), file, size


def is_zip(path: Path) -> bool:
    """Say whether a file starts like a zip.

    Raises:
        UnreadableFileError: If it cannot be read.
    """
    with _named_errors(path), path.open("rb") as file:
        return _starts_like_zip(file)


def zipped_on(path: Path) -> str | None:
    """Return the day on which the CSV in a zip was changed; None without a valid day.

    Raises:
        UnreadableFileError: As `open_csv` does.
    """
    with _unzipped(path) as (_, _, _, member), suppress(ValueError):
        return date(*member.date_time[:3]).isoformat() if member else None
    return None


def unzipped_size(path: Path) -> int:
    """Return how many bytes the CSV has.

    Raises:
        UnreadableFileError: As `open_csv` does.
    """
    with _unzipped(path) as (_, _, size, member):
        return member.file_size if member else size


def verify(path: Path) -> None:
    """Read a file to its end, which verifies the checksum of a zip.

    Raises:
        UnreadableFileError: As `open_csv` does.
    """
    with _unzipped(path) as (csv, *_):
        while csv.read(_BLOCK):
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
        if not _starts_like_zip(file):
            yield _Unzipped(file, file, size, None)
            return
        # Raised for an unknown method or encryption, and for invalid offsets and names.
        with _named_errors(path, (RuntimeError, ValueError)):
            archive = zipfile.ZipFile(file)
            member = _only_member(path, archive, size)
            csv = archive.open(member)
        with csv:
            yield _Unzipped(csv, file, size, member)


def _starts_like_zip(file: BinaryIO) -> bool:
    start = file.read(len(_MAGIC[0]))
    file.seek(0)
    return start in _MAGIC


def _only_member(path: Path, archive: zipfile.ZipFile, size: int) -> zipfile.ZipInfo:
    """Return the only file in a zip, if CFPB could have published it.

    It is never read beyond the size that it declares; a wrong size is reported as damage.
    """
    members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    if len(members) != 1:
        detail = f"it contains {len(members)} files where one CSV was expected"
        raise UnreadableFileError(path=path, detail=detail)
    (member,) = members
    if not member.filename.lower().endswith(".csv"):
        detail = f"it contains {member.filename[:60]!r}, which is not a CSV"
    elif member.compress_type not in _METHODS:
        detail = f"it is zipped by method {member.compress_type}, which CFPB does not use"
    elif member.file_size > min(MAX_CSV, MAX_RATIO * size):
        detail = f"it declares {member.file_size:,} unzipped bytes, too many for a CSV from CFPB"
    else:
        return member
    raise UnreadableFileError(path=path, detail=detail)


@contextmanager
def _named_errors(path: Path, damage: tuple[type[Exception], ...] = _DAMAGE) -> Iterator[None]:
    """Turn the errors of the operating system, the zip and its compression into ours."""
    try:
        yield
    except BrokenPipeError:  # not of this file
        raise
    except OSError as error:
        raise UnreadableFileError(path=path, detail=error.strerror or str(error)) from error
    except damage as error:
        detail = f"its zip is damaged, or of an unknown type: {error}"
        raise UnreadableFileError(path=path, detail=detail) from error
