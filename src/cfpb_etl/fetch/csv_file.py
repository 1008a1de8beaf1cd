"""Reads a CSV, also in a container or in UTF-16. The file may be damaged or malicious."""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from cfpb_etl.fetch.errors import SAVE_AS_CSV, UNPACK, NotACsvError, UnreadableFileError
from cfpb_etl.fetch.unpack import zips
from cfpb_etl.fetch.unpack.containers import container_of, open_unpacked
from cfpb_etl.fetch.unpack.streams import BLOCK, max_unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.fetch.unpack.containers import Unpacked

_MAX_LINE = 2**25  # characters; longer lines are read in pieces, as a whole file may be one line
_SAMPLE = 2**23  # bytes that are unpacked to estimate the size of the rest
_UTF_8 = "utf-8-sig"
# The first units of a header, which has only ASCII: an ASCII byte and zero bytes around it.
_UTF_16_UNITS = {"utf-16-le": rb"([\t\r\n -~]\0){8}", "utf-16-be": rb"(\0[\t\r\n -~]){8}"}
_UTF_32_START = re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|([ -~]\0\0\0){4}|(\0\0\0[ -~]){4}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # characters that no header has
_MAX_UNDECODABLE = 0.3  # share of the first characters; other encodings have far fewer
_ZERO_END = 512  # zero bytes that end no CSV, but a copy or download that was not finished

_EXPORT = "Export its complaints to a CSV in UTF-8, and give --file the CSV."
_OTHER = "Check --file: it must be a CSV of complaints, also zipped or compressed by gzip."
_DOWNLOAD = "Download the CSV itself. Without --file, --source bulk downloads CFPB's daily file."
_AGAIN = "Copy or download the file again."
_NOT_TEXT = "it is not text in UTF-8 or UTF-16"
# The first bytes of files that are no CSV. None of them is text with a header of complaints.
_KINDS = [
    (re.compile(pattern, re.DOTALL), kind, advice)
    for pattern, kind, advice in (
        (rb"PK\x07\x08|PK00", "a part of a split zip", UNPACK),
        (rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", "compressed by zstd", UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
        (rb"Rar!\x1a\x07", "a rar archive", UNPACK),
        (rb"\x04\x22\x4d\x18", "compressed by lz4", UNPACK),
        (rb"\x1f\x9d", "compressed by compress (.Z)", UNPACK),
        (rb"LZIP\x01", "compressed by lzip (.lz)", UNPACK),
        (rb"\xff\x06\0\0sNaPpY", "compressed by snappy", UNPACK),
        (rb"MSCF\0", "a cabinet of Windows (.cab)", UNPACK),
        (rb"(?=.{0,256}\0).{257}ustar", "a tar archive", UNPACK),
        (
            rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "an old Excel workbook (.xls), or an encrypted one",
            SAVE_AS_CSV,
        ),
        (rb"\t[\0\x02\x04\x08][\x04-\x10]\0", "an old Excel workbook (.xls)", SAVE_AS_CSV),
        (rb"\{\\rtf", "a document in rich text (.rtf)", SAVE_AS_CSV),
        (rb"PAR[1E][^\t\r\n -~]", "a Parquet file", _EXPORT),
        (rb"ARROW1\0|FEA1\0|\xff{4}.{2}\0\0\x10\0\0\0", "an Arrow or Feather file", _EXPORT),
        (rb"ORC[^ -~]", "an ORC file", _EXPORT),
        (rb"Obj\x01", "an Avro file", _EXPORT),
        (
            rb"SQLite format 3\0",
            "a SQLite file; it may be a database of cfpb-etl",
            "A database of cfpb-etl goes to --database. From another, export a CSV in UTF-8.",
        ),
        (rb".{8}DUCK.\0{7}", "a DuckDB file", _EXPORT),
        (rb"\0\x01\0\0Standard (Jet|ACE) DB", "a database of Microsoft Access", _EXPORT),
        (
            rb"RD[AX][2-4]\n|X\n\0\0\0|A\n[23]\n\d{6}\n\d{5}",
            "a data file of R (.rds or .RData)",
            _EXPORT,
        ),
        (rb"\x80[\x02-\x05]", "a pickle of Python", _EXPORT),
        (rb"\x89HDF\r\n", "an HDF5 file", _EXPORT),
        (rb"<stata_dta>|[qrs][\x01\x02]\x01\0", "a Stata file (.dta)", _EXPORT),
        (rb"\$FL[23]", "an SPSS file (.sav)", _EXPORT),
        (rb"\0{12}\xc2\xea\x81\x60", "a SAS file (.sas7bdat)", _EXPORT),
        (rb"%PDF-", "a PDF", _DOWNLOAD),
        (rb"bplist0", "a web archive or property list of Apple", _DOWNLOAD),
        (rb"\x89PNG|GIF8[79]a|\xff\xd8\xff", "an image", _OTHER),
        (rb"\x7fELF|MZ.{0,62}\0|\xcf\xfa\xed\xfe", "a program", _OTHER),
    )
]
# The first characters of texts that are no CSV.
_TEXTS = [
    (re.compile(pattern, re.IGNORECASE), kind, advice)
    for pattern, kind, advice in (
        (
            r"<(!doctype html|html|head|body|meta|title|script|!--)",
            "a web page, and not the file to which it links",
            _DOWNLOAD,
        ),
        (r"<[?!a-z]", "XML, perhaps a server's error message", _DOWNLOAD),
        (r'\{\s*["}]|\[\s*[{\["\]]', "JSON, as the API and CFPB's JSON download are", _DOWNLOAD),
        (r"mime-version:|from: <saved by", "a saved web page (.mhtml)", _DOWNLOAD),
        (r"\[InternetShortcut\]", "a link to a web page", _DOWNLOAD),
        (r"version https://git-lfs", "a pointer of Git LFS", "Get the file: git lfs pull."),
    )
]


@contextmanager
def open_csv(path: Path) -> Iterator[tuple[Iterator[str], BinaryIO, int]]:
    """Open the CSV of a file, and undo its container and its encoding.

    Nothing is unpacked to the disk. The container's checksum is verified when the end is read.

    Yields:
        The lines, each with its line end; the open file, whose position shows how many bytes were
        read; and the file's size in bytes.

    Raises:
        NotACsvError: If the file is of another kind, which the error names.
        UnreadableFileError: If the file cannot be read or is damaged. Reading the lines can also
            raise this error.
    """
    with _open_text(path) as (unpacked, encoding):
        # Bytes that are not valid in the encoding make only their row invalid.
        errors = "surrogateescape" if encoding == _UTF_8 else "surrogatepass"
        with (
            _named_end(path, encoding),
            io.TextIOWrapper(unpacked.csv, encoding, errors, newline="") as text,
        ):
            yield iter(partial(text.readline, _MAX_LINE), ""), unpacked.file, unpacked.size


def unzipped_size(path: Path) -> int:
    """Return the size of the unpacked CSV in bytes of UTF-8.

    Where only reading the whole file would show the size, its beginning is read and the rest is
    estimated.

    Raises:
        UnreadableFileError: For the same reasons as in `open_csv`.
    """
    with _open_text(path) as (unpacked, encoding):
        size = unpacked.csv_size
        if size is None:
            size = 0
            while size < _SAMPLE and (block := unpacked.csv.read(BLOCK)):
                size += len(block)
            if block:
                estimate = size * unpacked.size // unpacked.file.tell()
                size = min(estimate, max_unpacked(unpacked.size))
        return size if encoding == _UTF_8 else size // 2


def verify(path: Path) -> None:
    """Read a file to its end, which verifies the checksum of its container.

    Raises:
        UnreadableFileError: For the same reasons as in `open_csv`.
    """
    with _open_text(path) as (unpacked, _):
        _read_to_end(unpacked)


@contextmanager
def _open_text(path: Path) -> Iterator[tuple[Unpacked, str]]:
    """Open a file without its container, and find the encoding of its text."""
    with open_unpacked(path) as unpacked:
        start = unpacked.csv.peek()
        within = f" within {unpacked.container}" if unpacked.container else ""
        fault = _fault(start) or (None if within else _fault_at_end(unpacked))
        if fault is not None:
            what, advice = fault
            if what == _NOT_TEXT:  # of a damaged container, the end may show that it is damaged
                _read_to_end(unpacked)
            raise NotACsvError(path, f"{what}{within}", advice)
        yield unpacked, _encoding(start)


def _read_to_end(unpacked: Unpacked) -> None:
    while unpacked.csv.read(BLOCK):
        pass


@contextmanager
def _named_end(path: Path, encoding: str) -> Iterator[None]:
    """Name the end of a file in UTF-16 that is cut off within a character."""
    try:
        yield
    except UnicodeDecodeError as error:
        if encoding == _UTF_8:  # these errors are then not errors of the file
            raise
        detail = "its text in UTF-16 ends within a character, so the file is not complete"
        raise UnreadableFileError(path=path, detail=detail) from error


# --- the kind of a file ---------------------------------------------------------------------


def _encoding(start: bytes) -> str:
    """Return the encoding of a text, as far as its first bytes show it for certain."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return next((name for name, units in _UTF_16_UNITS.items() if re.match(units, start)), _UTF_8)


def _fault(start: bytes) -> tuple[str, str] | None:
    """Return what a file is that cannot be a CSV, and what to do; None if it may be a CSV."""
    if not start:
        return "it is empty", _AGAIN
    if not start.strip(b"\0"):
        return "it starts with zero bytes, so it was never written in full", _AGAIN
    if container := container_of(start):
        kind = "a zip" if container == zips.ZIP else f"compressed by {container}"
        return f"it is {kind}", UNPACK
    if _UTF_32_START.match(start):
        return "it is text in UTF-32", SAVE_AS_CSV
    for magic, kind, advice in _KINDS:
        if magic.match(start):
            return f"it is {kind}", advice
    return _fault_of_text(start)


def _fault_of_text(start: bytes) -> tuple[str, str] | None:
    encoding = _encoding(start)
    text = start.decode(encoding, "replace").removeprefix("\ufeff").lstrip()
    if not text and len(start) < BLOCK:
        return "it is empty but for white space", _AGAIN
    for beginning, kind, advice in _TEXTS:
        if beginning.match(text):
            return f"it is {kind}", advice
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    if _CONTROL.search(header) or text.count("\ufffd") > _MAX_UNDECODABLE * len(text):
        return _NOT_TEXT, _OTHER
    return None


def _fault_at_end(unpacked: Unpacked) -> tuple[str, str] | None:
    """Return what is wrong with the end of a plain file."""
    file = unpacked.file
    file.seek(max(0, unpacked.size - _ZERO_END))
    is_unfinished = file.read(_ZERO_END) == bytes(_ZERO_END)
    file.seek(0, os.SEEK_SET)
    if is_unfinished:
        return "it ends with zero bytes, so it was never written in full", _AGAIN
    return None
