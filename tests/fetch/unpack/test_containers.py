"""Containers of CSVs: what they show, their damage, and what is not a file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import random
import socket
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.csv_file import open_csv, unzipped_size, verify
from cfpb_etl.fetch.errors import FileError, NotACsvError, UnreadableFileError
from cfpb_etl.fetch.unpack.containers import written_on
from support.containers import (
    BYTES,
    CENTRAL,
    COMPRESSIONS,
    LOCAL,
    LONG,
    METHODS,
    NAME,
    READERS,
    TEXT,
    detail_of,
    every_compression,
    every_method,
    patched,
    text_in,
    zip_of,
)
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("zipped", [False, True], ids=["gzip", "zip"])
def test_the_position_shows_how_much_is_read(path: Path, *, zipped: bool) -> None:
    """The position of the file goes from its beginning to its end."""
    noise = os.urandom(400_000).hex().encode()
    text = b"\n".join(noise[at : at + 80] for at in range(0, len(noise), 80))
    path.write_bytes(zip_of({NAME: text}) if zipped else gzip.compress(text))

    with open_csv(path) as (lines, file, size):
        assert size == path.stat().st_size
        next(lines)
        first = file.tell()
        for _ in lines:
            pass
        assert first < size / 2 < file.tell() <= size


# --- when it was written --------------------------------------------------------------------


def test_the_day_in_a_container(path: Path) -> None:
    """A zip has a day, and gzip has a time in UTC if its program knew it."""
    for content, expected in (
        (zip_of({NAME: TEXT}), ("date in the zip", "2026-10-07")),
        (gzip.compress(BYTES, mtime=1_791_417_599), ("date in the gzip", "2026-10-07")),
        (gzip.compress(BYTES, mtime=1_791_417_600), ("date in the gzip", "2026-10-08")),
        (gzip.compress(BYTES, mtime=2**32 - 1), ("date in the gzip", "2106-02-07")),
        (gzip.compress(BYTES, mtime=0), None),
        (bz2.compress(BYTES), None),
        (lzma.compress(BYTES), None),
        (BYTES, None),
    ):
        path.write_bytes(content)
        assert written_on(path) == expected


@pytest.mark.parametrize(
    ("year", "month", "day"), [(26, 0, 0), (26, 15, 31), (26, 2, 30), (0, 1, 1)]
)
def test_a_zip_without_a_day(path: Path, year: int, month: int, day: int) -> None:
    """An impossible day does not count, and 1980-01-01 stands for an unknown day."""
    content = zip_of({NAME: TEXT})
    dos_day = (year << 9) | (month << 5) | day
    path.write_bytes(patched(content, CENTRAL, 14, "<H", dos_day))

    assert written_on(path) is None
    assert text_in(path) == TEXT


# --- damage ---------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_at_the_end(path: Path) -> None:
    """The checksum is wrong when the whole file has been read."""
    content = zip_of({NAME: LONG}, zipfile.ZIP_STORED)
    path.write_bytes(content.replace(b"50000,", b"50001,"))

    with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
        text_in(path)
    with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
        verify(path)
    assert unzipped_size(path) == len(LONG)


@every_method
def test_a_damaged_stream_in_a_zip(path: Path, method: int) -> None:
    """Bytes that cannot be unzipped are damage."""
    content = zip_of({NAME: os.urandom(5_000).hex()}, method)
    path.write_bytes(content[:1_000] + bytes(1_000) + content[2_000:])

    for read in (text_in, verify):
        with pytest.raises(UnreadableFileError, match="its zip"):
            read(path)


@pytest.mark.parametrize("kept", [4, 20, 45, 1000, -60, -22, -1])
def test_a_truncated_zip_is_rejected(path: Path, kept: int) -> None:
    """A zip that ends early is damaged."""
    content = zip_of({NAME: os.urandom(2_000).hex()})

    assert "its zip is damaged or cut off" in detail_of(path, content[:kept])


@every_method
def test_damage_anywhere_in_a_zip(path: Path, method: int) -> None:
    """Whatever byte is wrong, the error is named, and otherwise the text is right."""
    content = zip_of({"’.csv": TEXT}, method)
    valid = 0
    for at in range(len(LOCAL), len(content)):
        for value in (0, 0xFF, content[at] ^ 1, content[at] ^ 0x80):
            valid += reads_right(path, content[:at] + bytes([value]) + content[at + 1 :])
    assert valid > 0


@every_compression
def test_damage_anywhere_in_a_compressed_file(path: Path, name: str) -> None:
    """Whatever byte is wrong, the error is named, and otherwise the text is right."""
    content = COMPRESSIONS[name](BYTES)
    has_checksum = name != "lzma"
    for at in range(len(content)):
        for value in (0, 0xFF, content[at] ^ 1, content[at] ^ 0x80):
            changed = content[:at] + bytes([value]) + content[at + 1 :]
            reads_right(path, changed, is_checked=has_checksum and at >= 10)


def test_random_damage(path: Path) -> None:
    """Files that are cut, joined, or changed in many places have named errors."""
    draw = random.Random(17)  # noqa: S311 - not for security
    contents = [each(LONG[:20_000]) for each in COMPRESSIONS.values()]
    contents += [zip_of({NAME: LONG[:20_000]}, method) for method in METHODS.values()]
    for _ in range(soak(300)):
        changed = bytearray(draw.choice(contents))
        for _ in range(draw.randrange(4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        start, end = sorted(draw.choices(range(len(changed)), k=2))
        changed[start : end if draw.random() < 0.5 else start] = draw.choice(contents)[
            : end - start
        ]
        reads_right(path, bytes(changed), is_checked=False)


def reads_right(path: Path, content: bytes, *, is_checked: bool = True) -> bool:
    """Say whether a file is read. Its text must be right if it is checked, or its error named."""
    path.write_bytes(content)
    for read in (*READERS, written_on):
        with suppress(FileError):
            read(path)
    try:
        text = text_in(path)
    except FileError:
        return False
    assert text == TEXT or not is_checked
    return True


# --- what is not a file ---------------------------------------------------------------------


def test_a_file_that_does_not_exist(path: Path) -> None:
    """The error has the message of the operating system."""
    for read in (written_on, *READERS):
        with pytest.raises(UnreadableFileError, match="No such file or directory"):
            read(path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"it is a folder without a CSV\. .* Give --file a CSV or a zip\."),
        (["_SUCCESS", ".part-0.csv.crc", "a.txt"], "it is a folder without a CSV"),
        (["a.csv"], r"it is a folder\. .* Give --file the file 'a\.csv' in it\."),
        (["a.csv.gz", "_SUCCESS"], r"Give --file the file 'a\.csv\.gz' in it\."),
        (
            ["part-00002", "part-00000", "part-00001", "part-00003", "_SUCCESS"],
            "it is a folder with 4 CSVs: 'part-00000', 'part-00001', 'part-00002' and 1 more.*"
            "one by one",
        ),
    ],
)
def test_a_folder(tmp_path: Path, names: list[str], message: str) -> None:
    """The error names the CSVs in it, such as the part files that Spark writes."""
    for name in names:
        (tmp_path / name).write_text("x")

    for read in (written_on, *READERS):
        with pytest.raises(NotACsvError, match=message):
            read(tmp_path)


def test_a_pipe_and_a_device(path: Path) -> None:
    """They are refused without being opened, which could wait for ever."""
    os.mkfifo(path)
    for special, kind in ((path, "a pipe"), (path.parent / "socket", "a socket")):
        if kind == "a socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(str(special))
        for read in (written_on, *READERS):
            with pytest.raises(NotACsvError, match=f"it is {kind}, and not a file"):
                read(special)
    with pytest.raises(NotACsvError, match="it is a device, and not a file"):
        verify(path.__class__(os.devnull))


def test_an_error_of_the_system_without_a_message(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error then has the exception's own text."""
    content = zip_of({NAME: TEXT})

    def fail(*_: object) -> None:
        raise OSError("odd")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)

    assert detail_of(path, content) == "odd"


def test_a_stored_csv_that_is_cut_off_while_it_is_read(path: Path) -> None:
    """The file may change after it was opened."""
    path.write_bytes(zip_of({NAME: LONG}, zipfile.ZIP_STORED))

    def read_and_cut() -> None:
        with open_csv(path) as (lines, _, _):
            next(lines)
            os.truncate(path, 200_000)
            for _ in lines:
                pass

    with pytest.raises(UnreadableFileError, match="its zip is damaged or cut off"):
        read_and_cut()
