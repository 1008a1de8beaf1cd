"""The containers in which people pass on a CSV file, and files that only look like a CSV.

Each function takes the bytes of a CSV and returns the bytes of the file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

Wrap: TypeAlias = Callable[[bytes], bytes]

_SAVED = (2026, 10, 8, 9, 16, 0)


def zipped(
    *members: tuple[str, bytes | None],
    method: int = zipfile.ZIP_DEFLATED,
    day: tuple[int, ...] = _SAVED,
) -> Wrap:
    """Return a function that zips a CSV. A member without content of its own is the CSV."""

    def wrap(csv: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members or (("complaints.csv", None),):
                info = zipfile.ZipInfo(name, day)  # type: ignore[arg-type]
                info.compress_type = method
                archive.writestr(info, csv if content is None else content)
        return file.getvalue()

    return wrap


def streamed_zip(csv: bytes) -> bytes:
    """Return the zip of Python's `ZipFile.open(name, "w")`, which says 1980."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("c.csv", "w") as out,
    ):
        out.write(csv)
    return file.getvalue()


def encrypted_zip(csv: bytes) -> bytes:
    """Return a zip whose member is marked as encrypted (bit 0 of the flags of APPNOTE.TXT)."""
    content = bytearray(zipped()(csv))
    content[6] |= 1
    directory = content.index(b"PK\1\2")
    content[directory + 8] |= 1
    return bytes(content)


def tar(csv: bytes) -> bytes:
    """Return a tar with the CSV."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("complaints.csv")
        info.size = len(csv)
        archive.addfile(info, io.BytesIO(csv))
    return file.getvalue()


def in_two(compress: Wrap) -> Wrap:
    """Return a function that compresses both halves of a CSV, and joins them like `cat`."""
    return lambda csv: compress(csv[: len(csv) // 2]) + compress(csv[len(csv) // 2 :])


def cut(compress: Wrap) -> Wrap:
    """Return a function that compresses a CSV and loses the last third, as in an aborted copy."""
    return lambda csv: compress(csv)[: len(compress(csv)) * 2 // 3]


def flipped(compress: Wrap) -> Wrap:
    """Return a function that compresses a CSV and damages one byte in the middle."""

    def wrap(csv: bytes) -> bytes:
        content = bytearray(compress(csv))
        content[len(content) // 2] ^= 0xFF
        return bytes(content)

    return wrap


# Finder adds a resource fork for each file ("AppleDouble") and its own list of icons.
MACOS = zipped(
    ("complaints.csv", None),
    ("__MACOSX/", b""),
    ("__MACOSX/._complaints.csv", b"\0\5\26\7\0\2\0\0Mac OS X        " + bytes(100)),
    (".DS_Store", b"\0\0\0\1Bud1" + bytes(100)),
)

GOOD: dict[str, tuple[str, Wrap]] = {
    "CFPB's zip": ("complaints.csv.zip", zipped()),
    "zip without compression": ("complaints.zip", zipped(method=zipfile.ZIP_STORED)),
    "macOS Finder": ("complaints.csv.zip", MACOS),
    "macOS Finder, folder": (
        "ccdb.zip",
        zipped(
            ("ccdb/", b""),
            ("ccdb/complaints.csv", None),
            ("__MACOSX/ccdb/._complaints.csv", b"\0\5\26\7"),
        ),
    ),
    "Python's writestr, 1980": ("c.zip", zipped(day=(1980, 1, 1, 0, 0, 0))),
    "Python's open for writing": ("c.zip", streamed_zip),
    "7-Zip, with a readme": (
        "complaints.zip",
        zipped(
            ("readme.txt", b"What this is, and where it comes from.\n"), ("complaints.csv", None)
        ),
    ),
    "Kaggle, with a licence and a picture": (
        "archive.zip",
        zipped(("LICENSE", b"CC0"), ("banner.png", b"\x89PNG\r\n"), ("data/Complaints.CSV", None)),
    ),
    "zip with another suffix": ("complaints.csv", zipped()),
    "gzip": ("complaints.csv.gz", gzip.compress),
    "gzip, joined": ("complaints.csv.gz", in_two(gzip.compress)),
    "gzip with another suffix": ("complaints.csv", gzip.compress),
    "bzip2": ("complaints.csv.bz2", bz2.compress),
    "bzip2, joined": ("complaints.csv.bz2", in_two(bz2.compress)),
    "xz": ("complaints.csv.xz", lzma.compress),
    "xz, joined": ("complaints.csv.xz", in_two(lzma.compress)),
}
"""Containers that must be read: the name of the file, and what makes it."""

_UNLZMA = partial(lzma.compress, format=lzma.FORMAT_ALONE)

PERHAPS: dict[str, tuple[str, Wrap]] = {
    "zip of bzip2": ("c.zip", zipped(method=zipfile.ZIP_BZIP2)),
    "zip of lzma": ("c.zip", zipped(method=zipfile.ZIP_LZMA)),
    "zip in a zip": ("c.zip", lambda csv: zipped(("c.zip", zipped()(csv)))(b"")),
    "gzip in a zip": ("c.zip", lambda csv: zipped(("c.csv.gz", gzip.compress(csv)))(b"")),
    "zip in gzip": ("c.zip.gz", lambda csv: gzip.compress(zipped()(csv))),
    "gzip twice": ("c.csv.gz.gz", lambda csv: gzip.compress(gzip.compress(csv))),
    "tar": ("c.tar", tar),
    "tar in gzip": ("c.tar.gz", lambda csv: gzip.compress(tar(csv))),
    "lzma, the old format": ("c.csv.lzma", _UNLZMA),
    "zlib": ("c.csv.z", zlib.compress),
    "gzip with bytes after it": ("c.csv.gz", lambda csv: gzip.compress(csv) + b"\0" * 512),
}
"""Containers that may be read or refused by name."""

REFUSED: dict[str, tuple[str, Wrap, str]] = {
    "two CSVs": ("c.zip", zipped(("2019.csv", None), ("2020.csv", None)), "2 CSV|2 files|2019"),
    "no CSV": ("c.zip", zipped(("banner.png", b"\x89PNG\r\n\x1a\n")), "CSV"),
    "empty zip": ("c.zip", lambda _: b"PK\5\6" + bytes(18), "CSV|file"),
    "encrypted zip": ("c.zip", encrypted_zip, "encrypt"),
    "zip, cut": ("c.zip", cut(zipped()), "zip"),
    "zip, damaged": ("c.zip", flipped(zipped()), "zip"),
    "gzip, cut": ("c.csv.gz", cut(gzip.compress), "gz"),
    "gzip, damaged": ("c.csv.gz", flipped(gzip.compress), "gz"),
    "bzip2, cut": ("c.csv.bz2", cut(bz2.compress), "bz"),
    "bzip2, damaged": ("c.csv.bz2", flipped(bz2.compress), "bz"),
    "xz, cut": ("c.csv.xz", cut(lzma.compress), "xz"),
    "xz, damaged": ("c.csv.xz", flipped(lzma.compress), "xz"),
    "zstd": ("c.csv.zst", lambda csv: b"\x28\xb5\x2f\xfd" + csv, "zstd|[Zz]standard"),
    "7z": ("c.7z", lambda csv: b"7z\xbc\xaf\x27\x1c\0\4" + csv, "7z|7-[Zz]ip"),
    "rar": ("c.rar", lambda csv: b"Rar!\x1a\7\1\0" + csv, "(?i)rar"),
    "xlsx": (
        "c.csv",
        lambda _: zipped(("[Content_Types].xml", b"<Types/>"), ("xl/workbook.xml", b"<workbook/>"))(
            b""
        ),
        "Excel workbook",
    ),
    "xls": ("c.csv", lambda csv: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + csv, "Excel"),
    "parquet": ("c.csv", lambda csv: b"PAR1\x15\x04\x15\xf2\x01\0" + csv + b"\0PAR1", ""),
    "web page": ("c.csv", lambda _: b"<!DOCTYPE html><html><body>Access denied</body></html>", ""),
    "JSON": ("c.csv", lambda _: b'[{"complaint_id": "1"}]', ""),
    "PDF": ("c.csv", lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", ""),
    "SQLite": ("c.csv", lambda _: b"SQLite format 3\0" + bytes(84), ""),
    "nothing": ("c.csv", lambda _: b"", "empty"),
    "gzip of nothing": ("c.csv.gz", lambda _: gzip.compress(b""), "empty"),
    "UTF-32": ("c.csv", lambda csv: csv.decode().encode("utf-32"), ""),
}
"""Files that must be refused: their name, what makes them, and a pattern of the message."""
