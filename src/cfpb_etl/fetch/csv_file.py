"""Reads a CSV, zipped or plain. The file may be damaged or malicious."""

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

MAX_CSV = 64 * 2**30  # bytes; CFPB's largest had 8.7 GB (docs/facts.md, "Number of complaints")
MAX_RATIO = 250  # ratio of a CSV to its zip; CFPB's is about 20, and deflate can reach 1,032
# Other compression methods are refused, because Python unzips their blocks as a whole, whatever
# size the zip declares.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MAGIC = (b"PK\3\4", b"PK\5\6")  # the first bytes of a zip, and of an empty zip
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError)
_MAX_LINE = 2**25  # characters; longer lines are read in pieces, as a whole file may be one line
_BLOCK = 2**20  # bytes


@contextmanager
def open_csv(path: Path) -> Iterator[tuple[Iterator[str], BinaryIO, int]]:
    """Open the CSV of a file.

    Nothing is unzipped to the disk. No name in the zip is used as a path. The checksum is verified
    when the end is read.

    Yields:
        The lines, each with its line end; the open file, whose position shows how many bytes were
        read; and the file's size in bytes.

    Raises:
        UnreadableFileError: If the file cannot be read, is damaged, or is a zip without exactly one
            CSV. Reading the lines can also raise this error.
    """
    with (
        _unzipped(path) as (csv, file, size, _),
        # Bytes that are not valid UTF-8 make only their row invalid.
        io.TextIOWrapper(csv, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        yield iter(partial(text.readline, _MAX_LINE), ""), file, size


def is_zip(path: Path) -> bool:
    """Say whether a file starts with the bytes of a zip.

    Raises:
        UnreadableFileError: If the file cannot be read.
    """
    with _named_errors(path), path.open("rb") as file:
        return _starts_like_zip(file)


def zipped_on(path: Path) -> str | None:
    """Return the day on which the CSV in a zip was changed; None if the zip has no valid day.

    Raises:
        UnreadableFileError: For the same reasons as in `open_csv`.
    """
    with _unzipped(path) as (_, _, _, member), suppress(ValueError):
        return date(*member.date_time[:3]).isoformat() if member else None
    return None


def unzipped_size(path: Path) -> int:
    """Return the size of the unzipped CSV in bytes.

    Raises:
        UnreadableFileError: For the same reasons as in `open_csv`.
    """
    with _unzipped(path) as (_, _, size, member):
        return member.file_size if member else size


def verify(path: Path) -> None:
    """Read a file to its end, which verifies the checksum if the file is a zip.

    Raises:
        UnreadableFileError: For the same reasons as in `open_csv`.
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
        # Python raises these errors for an unknown method, encryption, and invalid offsets or
        # names.
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
    """Return the only file in a zip, if CFPB could have published this file.

    Python never reads more bytes than the zip declares. A wrong size is reported as damage.
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
    """Convert errors of the operating system, zipfile and zlib to `UnreadableFileError`."""
    try:
        yield
    except BrokenPipeError:  # a pipe failed, not this file
        raise
    except OSError as error:
        raise UnreadableFileError(path=path, detail=error.strerror or str(error)) from error
    except damage as error:
        detail = f"its zip is damaged, or of an unknown type: {error}"
        raise UnreadableFileError(path=path, detail=detail) from error
