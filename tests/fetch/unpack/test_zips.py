"""Zips: how they are read, and which are rejected before they do harm."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.csv_file import unzipped_size, verify
from cfpb_etl.fetch.errors import NotACsvError, UnreadableFileError
from cfpb_etl.fetch.unpack import streams, zips
from cfpb_etl.fetch.unpack.containers import written_on
from support.containers import (
    BYTES,
    CENTRAL,
    END,
    LOCAL,
    LONG,
    NAME,
    TEXT,
    detail_of,
    error_of,
    every_method,
    patched,
    text_in,
    zip_of,
)

if TYPE_CHECKING:
    from pathlib import Path


# --- zips that can be read ------------------------------------------------------------------


@every_method
@pytest.mark.parametrize(
    "name", [NAME, "COMPLAINTS.CSV", "folder/complaints.csv", "Beschwerden’.csv", "complaints"]
)
def test_a_zip_of_one_csv(path: Path, name: str, method: int) -> None:
    """The text and its size are those that were zipped."""
    path.write_bytes(zip_of({name: TEXT}, method))

    assert text_in(path) == TEXT
    assert unzipped_size(path) == len(BYTES)
    verify(path)


@every_method
def test_a_zip_of_a_long_csv(path: Path, method: int) -> None:
    """It is read in many pieces."""
    path.write_bytes(zip_of({NAME: LONG}, method))

    assert text_in(path) == LONG.decode()


def test_lzma_with_a_marked_end(path: Path) -> None:
    """The mark shows the end, and not the size, as Python's own zips have it without the flag."""
    content = zip_of({NAME: LONG}, zipfile.ZIP_LZMA)
    assert struct.unpack_from("<H", content, content.index(CENTRAL) + 8)[0] & 2
    path.write_bytes(content)

    assert text_in(path) == LONG.decode()


@pytest.mark.parametrize(
    "others",
    [
        {"__MACOSX/._complaints.csv": b"\0\5\26\7", ".DS_Store": b"\0\0\0\1Bud1"},
        {"folder/": "", "folder/__MACOSX/._b.csv": "a,b\n"},
        {"README.txt": "1,2\n", "LICENSE": "", "data.xlsx": "PK"},
        {"Thumbs.db": "x", "folder\\desktop.ini": "x", "folder\\": ""},
        {"._complaints.csv": "x", ".hidden.csv": "x"},
        {"content.xml": "x", "xl/workbook.xml": "x"},
    ],
)
def test_other_files_beside_the_csv(path: Path, others: dict[str, str | bytes]) -> None:
    """The one CSV is read, wherever it is in the zip."""
    for members in ({NAME: TEXT, **others}, {**others, "folder/b.CSV": TEXT}):
        path.write_bytes(zip_of(members))

        assert text_in(path) == TEXT
        assert written_on(path) == ("date in the zip", "2026-10-07")


def test_a_zip_that_was_to_be_split(path: Path) -> None:
    """Four bytes come before the only part of such a zip."""
    for start in (b"PK00", b"PK\7\x08"):
        path.write_bytes(start + zip_of({NAME: TEXT}))
        assert text_in(path) == TEXT


@pytest.mark.parametrize("name", ["../../x.csv", "/tmp/x.csv", "C:\\x.csv", "..\\x.csv"])  # noqa: S108
def test_nothing_is_written_to_the_path_in_a_zip(path: Path, name: str) -> None:
    """A path in a zip is only a name."""
    path.write_bytes(zip_of({name: TEXT}))
    everything = sorted(path.parent.parent.rglob("*"))

    assert text_in(path) == TEXT
    verify(path)

    assert sorted(path.parent.parent.rglob("*")) == everything


@every_method
def test_a_size_without_its_highest_bits(
    path: Path, method: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs write only the lowest 32 bits of the size of a large CSV."""
    monkeypatch.setattr(zips, "_32_BITS", 0xFFFF)
    content = patched(zip_of({NAME: LONG}, method), CENTRAL, 24, "<I", len(LONG) & 0xFFFF)
    path.write_bytes(content)

    if method == zipfile.ZIP_STORED:  # then the size of the zipped file lacks these bits too
        with pytest.raises(UnreadableFileError, match=r"declares .* for a stored file of"):
            verify(path)
    else:
        assert text_in(path) == LONG.decode()


# --- zips that are refused ------------------------------------------------------------------


def test_a_zip_with_several_csvs(path: Path) -> None:
    """They are named, because it is not known which is meant."""
    error = error_of(path, zip_of({f"{n}.csv": TEXT for n in range(5)} | {"README": "x"}))

    assert isinstance(error, NotACsvError)
    assert error.detail == "it is a zip with 5 CSVs: '0.csv', '1.csv', '2.csv' and 2 more"
    assert str(error).endswith("Unzip it, and load the CSVs one by one with --file.")


def test_a_zip_with_several_files_and_no_csv(path: Path) -> None:
    """The names are shown without characters that control a terminal."""
    detail = detail_of(path, zip_of({"a\x1b[2J": "x", "b.txt": "x", ".c": "x"}))

    assert detail == r"it is a zip with 2 files, none of them a CSV: 'a\x1b[2J', 'b.txt'"


@pytest.mark.parametrize("members", [{}, {"folder/": ""}, {".DS_Store": "x"}])
def test_an_empty_zip(path: Path, members: dict[str, str | bytes]) -> None:
    """It is a zip without a file."""
    assert detail_of(path, zip_of(members)) == "it is a zip without a file"


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("xl/workbook.xml", "an Excel workbook (.xlsx)"),
        ("xl/workbook.bin", "an Excel workbook (.xlsb)"),
        ("content.xml", "an OpenDocument spreadsheet (.ods) or another document"),
        ("Index/Document.iwa", "a document of Apple Numbers"),
        ("word/document.xml", "a Word document"),
    ],
)
def test_a_zip_that_is_a_document(path: Path, member: str, kind: str) -> None:
    """The files in it show what it is."""
    error = error_of(path, zip_of({"[Content_Types].xml": "x", member: "x", "a.xml": "x"}))

    assert error.detail == f"it is {kind}"
    assert str(error).endswith("Save it as CSV UTF-8, and give --file the CSV.")


def test_an_encrypted_zip(path: Path) -> None:
    """The program has no password for it."""
    content = zip_of({NAME: TEXT})
    for flags in (1, 0x40, 0x41):
        encrypted = patched(content, CENTRAL, 8, "<H", flags)
        error = error_of(path, patched(encrypted, LOCAL, 6, "<H", flags))
        assert error.detail == "it is an encrypted zip"
        assert "Unzip it with its password" in str(error)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (9, "Deflate64 (as Windows zips large files)"),
        (93, "zstd"),
        (1, "method 1"),
        (77, "method 77"),
    ],
)
def test_a_zip_of_an_unknown_method(path: Path, method: int, name: str) -> None:
    """Windows zips large files by Deflate64."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 10, "<H", method)

    detail = detail_of(path, patched(content, LOCAL, 8, "<H", method))

    assert detail == f"it is zipped by {name}, which this program cannot unzip"


def test_a_file_without_a_name(path: Path) -> None:
    """A zip may contain a file without a name, which can be its only file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = zip_of({"\0": TEXT})
    path.write_bytes(content)

    assert text_in(path) == TEXT


def test_a_name_of_invalid_utf8(path: Path) -> None:
    """It counts as damage."""
    content = zip_of({"Beschwerden’.csv": TEXT})

    assert "of an unknown type" in detail_of(path, content.replace("’".encode(), b"\xff\xff\xff"))


def test_a_zip_that_declares_too_many_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip that declares more than 250 times its size is not read."""
    monkeypatch.setattr(streams, "HARMLESS", 0)
    content = zip_of({NAME: b"a" * 2_000_000})

    detail = "its zip declares 2,000,000 unzipped bytes, too many for a CSV"
    assert detail_of(path, content) == detail


def test_the_largest_csv(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unzipped size has a limit for a zip of any size."""
    content = zip_of({NAME: TEXT})
    monkeypatch.setattr(streams, "MAX_CSV", len(BYTES))
    path.write_bytes(content)
    assert text_in(path) == TEXT

    monkeypatch.setattr(streams, "MAX_CSV", len(BYTES) - 1)

    assert "unzipped bytes, too many for a CSV" in detail_of(path, content)


@every_method
@pytest.mark.parametrize("declared", [10, len(LONG) - 1, len(LONG) + 1])
def test_a_zip_that_declares_another_size(path: Path, method: int, declared: int) -> None:
    """The file is damaged, and no more than the declared bytes are read."""
    content = patched(zip_of({NAME: LONG}, method), CENTRAL, 24, "<I", declared)
    path.write_bytes(content)

    with pytest.raises(UnreadableFileError, match="its zip"):
        verify(path)


@every_method
def test_a_zip_bomb_does_not_fill_the_memory(path: Path, method: int) -> None:
    """Of 15 MB that are declared as 1,000 bytes, only a block is unzipped."""
    content = zip_of({NAME: b"0,0\n" * 3_750_000}, method)
    path.write_bytes(patched(content, CENTRAL, 24, "<I", 1_000))

    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFileError, match="its zip"):
            verify(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
    finally:
        tracemalloc.stop()


def test_a_directory_that_fills_the_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of the files in a zip is bounded."""
    monkeypatch.setattr(zips, "_MAX_DIRECTORY", 2_000)

    content = zip_of({f"{n}.txt": "" for n in range(50)})

    assert "the list of its files has" in detail_of(path, content)


@pytest.mark.parametrize(("signature", "at"), [(END, 16), (END, 12), (CENTRAL, 42)])
@pytest.mark.parametrize("offset", [0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE])
def test_invalid_offsets_are_damage(path: Path, signature: bytes, at: int, offset: int) -> None:
    """Records may point beyond the end, or before the beginning."""
    content = patched(zip_of({NAME: TEXT}), signature, at, "<I", offset)

    assert detail_of(path, content)
