"""Finds and opens the CSV of a zip. The zip may be damaged or malicious.

Nothing is unzipped to the disk, and no name in a zip is used as a path.
"""

from __future__ import annotations

import bz2
import io
import lzma
import re
import struct
import zipfile
from contextlib import contextmanager
from copy import copy
from datetime import date
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from cfpb_etl.fetch.errors import (
    SAVE_AS_CSV,
    UNPACK,
    NotACsvError,
    UnreadableFileError,
)
from cfpb_etl.fetch.unpack.streams import BLOCK, MAX_MEMORY, Inflater, Unpacking, max_unpacked
from cfpb_etl.plain_text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.fetch.unpack.streams import Decompressor

ZIP = "zip"
# PK00 or PK\x07\x08 comes first if a program was ready to split the zip, and did not need to.
_MAGIC = re.compile(rb"(PK00|PK\x07\x08)?PK(\x03\x04|\x05\x06)")
_MAX_DIRECTORY = 2**22  # bytes; zipfile reads the directory of a zip as a whole
_ENCRYPTED, _END_IS_MARKED, _STRONGLY_ENCRYPTED = 0x01, 0x02, 0x40  # flags of a file in a zip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_METHODS = {9: "Deflate64 (as Windows zips large files)", 93: "zstd", 95: "xz", 98: "PPMd"}
_NO_DAY = (1980, 1, 1)  # programs write the first possible day for an unknown one
_32_BITS = 2**32 - 1
_NO_DATA = re.compile(  # folders, and what macOS and Windows add to a zip
    r".*[/\\]|(.*[/\\])?(__MACOSX[/\\].*|\.[^/\\]*|Thumbs\.db|desktop\.ini)",
    re.IGNORECASE | re.DOTALL,
)
_DOCUMENTS = {  # a file in a zip that shows what the zip is
    "xl/workbook.xml": "an Excel workbook (.xlsx)",
    "xl/workbook.bin": "an Excel workbook (.xlsb)",
    "content.xml": "an OpenDocument spreadsheet (.ods) or another document",
    "Index/Document.iwa": "a document of Apple Numbers",
    "Index.zip": "a document of Apple Numbers",
    "word/document.xml": "a Word document",
}


class Unzipped(NamedTuple):
    """The open CSV of a zip.

    Attributes:
        csv: The unzipped bytes.
        size: The declared size of the CSV in bytes.
        day: The day in the zip, `YYYY-MM-DD`; None if the zip has no valid day.
    """

    csv: io.BufferedReader
    size: int
    day: str | None


def is_zip(start: bytes) -> bool:
    """Say whether a file that starts with these bytes is a zip."""
    return bool(_MAGIC.match(start))


@contextmanager
def open_zip(path: Path, file: io.BufferedReader) -> Iterator[Unzipped]:
    """Open the CSV of a zip. Reading it to the end verifies its checksum.

    Args:
        path: The zip, for errors.
        file: The zip.

    Raises:
        NotACsvError: If the zip is encrypted, is a document, or does not have exactly one CSV.
        UnreadableFileError: If the zip cannot be read or is damaged. Reading can also raise this
            error.
        zipfile.BadZipFile, RuntimeError, ValueError: If zipfile cannot read the zip.
    """
    size = path.stat().st_size
    archive = zipfile.ZipFile(cast("IO[bytes]", _BoundedReads(file)))
    member = _only_csv(path, archive)
    _refuse_unreadable(path, member, size)
    with _open_member(path, archive, member, size) as csv:
        yield Unzipped(csv, member.file_size, _day_of(member))


class _BoundedReads:
    """A file of which a directory of any size is not read into memory."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"the list of its files has {size:,} bytes")
        return self._file.read(_MAX_DIRECTORY if size < 0 else size)


def _open_member(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int
) -> io.BufferedReader:
    if member.compress_type == zipfile.ZIP_STORED:
        return io.BufferedReader(cast("io.RawIOBase", archive.open(member)), BLOCK)
    packed = copy(member)
    packed.compress_type, packed.file_size = zipfile.ZIP_STORED, member.compress_size
    del packed.CRC  # zipfile would verify it, and it is the checksum of the unzipped file
    stream = archive.open(packed)
    # A declared size is the maximum, unless the largest bits of a larger size may be missing.
    limit = max_unpacked(size) if max_unpacked(size) > _32_BITS else member.file_size
    unpacking = Unpacking(
        path,
        ZIP,
        stream,
        limit,
        start=partial(_decompressor, member, stream),
        verify=partial(_fault, member),
    )
    return io.BufferedReader(unpacking, BLOCK)


def _decompressor(member: zipfile.ZipInfo, stream: IO[bytes]) -> Decompressor:
    if member.compress_type == zipfile.ZIP_DEFLATED:
        return Inflater(-15)
    if member.compress_type == zipfile.ZIP_BZIP2:
        return bz2.BZ2Decompressor()
    # The stream has a header of its own kind, which becomes the header of an lzma file
    # (https://pkware.cachefly.net/webdocs/APPNOTE/APPNOTE-6.3.9.TXT section 5.8.8).
    header = stream.read(4)
    if len(header) < 4:  # noqa: PLR2004 - two bytes of a version, and two of a length
        raise zipfile.BadZipFile("the header of the lzma stream is missing")
    properties = stream.read(int.from_bytes(header[2:], "little"))
    is_marked = member.flag_bits & _END_IS_MARKED
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_ALONE, MAX_MEMORY)
    length = 2**64 - 1 if is_marked else member.file_size
    decompressor.decompress(properties + struct.pack("<Q", length), 0)
    return decompressor


def _fault(member: zipfile.ZipInfo, size: int, checksum: int) -> str | None:
    """Return what is wrong with an unzipped file."""
    # Some programs declare only the lowest 32 bits of a size (docs/facts.md, "Copies of files").
    if size & _32_BITS != member.file_size & _32_BITS:
        return f"it declares {member.file_size:,} bytes, and has {size:,}"
    return None if checksum == member.CRC else "Bad CRC-32"


def _only_csv(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """Return the CSV of a zip. If no file's name ends in .csv, return the only file."""
    files = [each for each in archive.infolist() if not _NO_DATA.fullmatch(each.filename)]
    csvs = [each for each in files if each.filename.lower().endswith(".csv")]
    candidates = csvs or files
    for each in candidates:
        if each.filename in _DOCUMENTS:
            raise NotACsvError(path, f"it is {_DOCUMENTS[each.filename]}", SAVE_AS_CSV)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise NotACsvError(path, "it is a zip without a file", "Zip the CSV again.")
    kind = "CSVs" if csvs else "files, none of them a CSV"
    names = quoted([each.filename for each in candidates])
    advice = "Unzip it, and load the CSVs one by one with --file."
    raise NotACsvError(path, f"it is a zip with {len(candidates)} {kind}: {names}", advice)


def _refuse_unreadable(path: Path, member: zipfile.ZipInfo, size: int) -> None:
    """Raise an error if a file in a zip cannot be unzipped."""
    if member.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED):
        advice = "Unzip it with its password, and give --file the CSV."
        raise NotACsvError(path, "it is an encrypted zip", advice)
    if member.compress_type not in _METHODS:
        method = _OTHER_METHODS.get(member.compress_type, f"method {member.compress_type}")
        detail = f"it is zipped by {method}, which this program cannot unzip"
        raise NotACsvError(path, detail, UNPACK)
    if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
        detail = f"its zip is damaged: it declares {member.file_size:,} bytes for a stored file of"
        raise UnreadableFileError(path=path, detail=f"{detail} {member.compress_size:,}")
    if member.file_size > max_unpacked(size):
        detail = f"its zip declares {member.file_size:,} unzipped bytes, too many for a CSV"
        raise UnreadableFileError(path=path, detail=detail)


def _day_of(member: zipfile.ZipInfo) -> str | None:
    day = member.date_time[:3]
    try:
        return None if day == _NO_DAY else date(*day).isoformat()
    except ValueError:
        return None
