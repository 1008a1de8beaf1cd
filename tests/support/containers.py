"""CSVs in containers: valid, damaged, and malicious ones."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.fetch.csv_file import open_csv, unzipped_size, verify
from cfpb_etl.fetch.errors import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NAME = "complaints.csv"
TEXT = "Date received,Issue\r\n2024-11-05,Can’t close\r\n2024-11-06,\n"
BYTES = TEXT.encode()
LONG = b"".join(b"%d,%d\n" % (n, n * n % 9_973) for n in range(60_000))
CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflate": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=0),
    "lzma": partial(lzma.compress, preset=0, format=lzma.FORMAT_ALONE),
    "zlib": zlib.compress,
}

every_compression = pytest.mark.parametrize("name", [*COMPRESSIONS])
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=[*METHODS])


def zip_of(members: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, (2026, 10, 7, 9, 16, 0))
            archive.writestr(member, content, method)
    return file.getvalue()


def patched(content: bytes, signature: bytes, at: int, form: str, *values: Any) -> bytes:
    """Return a zip with one field of a record changed."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(signature) + at, *values)
    return bytes(changed)


def text_in(path: Path) -> str:
    """Return the whole text of a CSV."""
    with open_csv(path) as (lines, _, _):
        return "".join(lines)


READERS: tuple[Callable[[Path], object], ...] = (text_in, unzipped_size, verify)


def error_of(path: Path, content: bytes) -> UnreadableFileError:
    """Return the error for a file, which is the same for each way to read it."""
    path.write_bytes(content)
    errors = {}
    for read in READERS:
        with pytest.raises(UnreadableFileError) as caught:
            read(path)
        assert caught.value.path == path
        errors[str(caught.value)] = caught.value
    (error,) = errors.values()
    return error


def detail_of(path: Path, content: bytes) -> str:
    """Return what is wrong with a file."""
    return error_of(path, content).detail
