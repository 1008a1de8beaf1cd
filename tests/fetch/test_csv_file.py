"""CSV files and zips: how they are read, and which are rejected before they do harm."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.fetch import csv_file
from cfpb_etl.fetch.csv_file import is_zip, open_csv, unzipped_size, verify, zipped_on
from cfpb_etl.fetch.errors import FileError, UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "Date received,Issue\r\n2024-11-05,Can’t close\r\n2024-11-06,\n"
NAME = "complaints.csv"
CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"

READERS: list[Callable[[Path], object]] = [zipped_on, unzipped_size, verify]


def text_in(path: Path) -> str:
    """Return the whole text of a CSV."""
    with open_csv(path) as (lines, _, _):
        return "".join(lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a zip is written, alone in its folder."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder / "complaints.csv.zip"


def zip_of(members: dict[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
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


def detail_of(path: Path, content: bytes) -> str:
    """Return what is wrong with a zip, which is the same for each way to read it."""
    path.write_bytes(content)
    details = set()
    for read in (text_in, *READERS):
        with pytest.raises(UnreadableFileError) as caught:
            read(path)
        assert caught.value.path == path
        details.add(caught.value.detail)
    (detail,) = details
    return detail


# --- files that can be read ------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "name", [NAME, "COMPLAINTS.CSV", "folder/complaints.csv", "Beschwerden’.csv"]
)
def test_a_zip_of_one_csv(path: Path, name: str, method: int) -> None:
    """The text, its size and its day are those that were zipped."""
    path.write_bytes(zip_of({name: TEXT}, method))

    assert text_in(path) == TEXT
    assert is_zip(path)
    assert unzipped_size(path) == len(TEXT.encode())
    assert zipped_on(path) == "2026-10-07"
    verify(path)


def test_a_plain_csv(path: Path) -> None:
    """It is read as it is, and has no day of its own."""
    path.write_text(TEXT, "utf-8", newline="")

    assert text_in(path) == TEXT
    assert not is_zip(path)
    assert unzipped_size(path) == path.stat().st_size
    assert zipped_on(path) is None
    verify(path)


@pytest.mark.parametrize("content", [b"", b"P", b"PK", b"PKO,Issue\n", b"a\n"])
def test_a_file_with_other_first_bytes_is_not_a_zip(path: Path, content: bytes) -> None:
    """Only the first bytes of a zip make it one."""
    path.write_bytes(content)

    assert not is_zip(path)
    assert text_in(path) == content.decode()


def test_lines_keep_their_ends(path: Path) -> None:
    """Each line has its own line end."""
    path.write_bytes(b"a\r\nb\nc\rd")

    with open_csv(path) as (lines, _, _):
        assert [*lines] == ["a\r\n", "b\n", "c\r", "d"]


def test_a_long_line_is_read_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of one line is not read into memory as a whole."""
    monkeypatch.setattr(csv_file, "_MAX_LINE", 10)
    path.write_bytes(b"x" * 25 + b"\ny")

    with open_csv(path) as (lines, _, _):
        assert [*lines] == ["x" * 10, "x" * 10, "xxxxx\n", "y"]


def test_a_byte_order_mark_is_removed(path: Path) -> None:
    """It is not a part of the text, also in a zip."""
    path.write_bytes(zip_of({NAME: TEXT.encode("utf-8-sig")}))

    assert text_in(path) == TEXT


def test_invalid_utf8_does_not_end_the_file(path: Path) -> None:
    """Invalid bytes become lone surrogates, for which the row is rejected."""
    path.write_bytes(b"a\xff\nb\n")

    assert text_in(path) == "a\udcff\nb\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_the_position_shows_how_much_is_read(path: Path, *, zipped: bool) -> None:
    """The position of the file goes from its beginning to its end."""
    noise = os.urandom(200_000).hex().encode()
    text = b"\n".join(noise[at : at + 80] for at in range(0, len(noise), 80))
    path.write_bytes(zip_of({NAME: text}) if zipped else text)

    with open_csv(path) as (lines, file, size):
        assert size == path.stat().st_size
        next(lines)
        first = file.tell()
        for _ in lines:
            pass
        assert first < size / 2 < file.tell() <= size


def test_the_file_is_closed_early(path: Path) -> None:
    """It is closed even if it is not read to its end."""
    path.write_bytes(zip_of({NAME: TEXT}))

    with open_csv(path) as (lines, file, _):
        next(lines)

    assert file.closed


def test_a_zip_with_a_folder(path: Path) -> None:
    """A zip may contain the folder of its only file."""
    path.write_bytes(zip_of({"folder/": "", "folder/complaints.csv": TEXT}))

    assert text_in(path) == TEXT


@pytest.mark.parametrize("name", ["../../x.csv", "/tmp/x.csv", "C:\\x.csv", "..\\x.csv"])  # noqa: S108
def test_nothing_is_written_to_the_path_in_a_zip(path: Path, name: str) -> None:
    """A path in a zip is only a name."""
    path.write_bytes(zip_of({name: TEXT}))
    everything = sorted(path.parent.parent.rglob("*"))

    assert text_in(path) == TEXT
    verify(path)

    assert sorted(path.parent.parent.rglob("*")) == everything


def test_an_invalid_day(path: Path) -> None:
    """A zip may have month 0 or 15; that is not a day."""
    content = zip_of({NAME: TEXT})
    for month, day in ((0, 0), (15, 31), (2, 30)):
        path.write_bytes(patched(content, CENTRAL, 14, "<H", (46 << 9) | (month << 5) | day))

        assert zipped_on(path) is None
        assert text_in(path) == TEXT


# --- files that are rejected -----------------------------------------------------------------


def test_several_files_are_rejected(path: Path) -> None:
    """It is not known which of two files is meant."""
    assert detail_of(path, zip_of({NAME: TEXT, "b.csv": TEXT})).startswith("it contains 2 files")


@pytest.mark.parametrize("members", [{}, {"folder/": ""}])
def test_an_empty_zip_is_rejected(path: Path, members: dict[str, str | bytes]) -> None:
    """It is a zip without a file."""
    content = zip_of(members)

    assert detail_of(path, content) == "it contains 0 files where one CSV was expected"
    assert is_zip(path)


@pytest.mark.parametrize("name", ["complaints.json", "complaints.csv.exe", "csv", "a\x1b[2J"])
def test_another_type_of_file_is_rejected(path: Path, name: str) -> None:
    """The error has the name, without characters that control a terminal."""
    detail = detail_of(path, zip_of({name: TEXT}))

    assert detail == f"it contains {name!r}, which is not a CSV"
    assert detail.isprintable()


def test_a_file_without_a_name_is_rejected(path: Path) -> None:
    """A zip may contain a file without a name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = zip_of({"\0": TEXT})

    assert detail_of(path, content) == "it contains '', which is not a CSV"


def test_a_name_of_invalid_utf8_is_rejected(path: Path) -> None:
    """It counts as damage."""
    content = zip_of({"Beschwerden’.csv": TEXT})

    assert "of an unknown type" in detail_of(path, content.replace("’".encode(), b"\xff\xff\xff"))


def test_a_zip_that_unzips_to_too_much_is_rejected(path: Path) -> None:
    """A zip that declares more than 250 times its size is not read."""
    content = zip_of({NAME: b"a" * 2_000_000})

    assert detail_of(path, content) == (
        "it declares 2,000,000 unzipped bytes, too many for a CSV from CFPB"
    )


def test_the_largest_csv(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The unzipped size has a limit for a zip of any size."""
    content = zip_of({NAME: TEXT})
    size = len(TEXT.encode())
    monkeypatch.setattr(csv_file, "MAX_CSV", size)
    path.write_bytes(content)
    assert text_in(path) == TEXT

    monkeypatch.setattr(csv_file, "MAX_CSV", size - 1)

    assert "unzipped bytes, too many for a CSV" in detail_of(path, content)


def test_a_zip_that_declares_too_little(path: Path) -> None:
    """It is read up to the declared size, and the checksum is wrong."""
    path.write_bytes(patched(zip_of({NAME: b"a\n" * 50_000}), CENTRAL, 24, "<I", 10))
    lines_read: list[str] = []

    with pytest.raises(UnreadableFileError, match="Bad CRC-32"), open_csv(path) as (lines, _, _):
        lines_read.extend(lines)

    assert len("".join(lines_read)) <= 10


def test_a_zip_bomb_does_not_fill_the_memory(path: Path) -> None:
    """Of 80 MB that are declared as 1,000 bytes, only what is read is unzipped."""
    path.write_bytes(patched(zip_of({NAME: b"0,0\n" * 20_000_000}), CENTRAL, 24, "<I", 1_000))

    for read in (text_in, verify):
        tracemalloc.start()
        try:
            with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 10**7
        finally:
            tracemalloc.stop()


def test_a_zip_that_declares_too_much(path: Path) -> None:
    """The whole text is read, and the checksum is right."""
    path.write_bytes(patched(zip_of({NAME: TEXT}), CENTRAL, 24, "<I", len(TEXT.encode()) + 1))

    assert text_in(path) == TEXT
    verify(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_method_is_rejected(path: Path, method: int) -> None:
    """Python would unzip a block of any size as a whole."""
    assert detail_of(path, zip_of({NAME: TEXT}, method)) == (
        f"it is zipped by method {method}, which CFPB does not use"
    )


def test_an_unknown_method_is_rejected(path: Path) -> None:
    """Method 99 is another type of encryption."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 10, "<H", 99)

    assert "method 99" in detail_of(path, patched(content, LOCAL, 8, "<H", 99))


def test_an_encrypted_zip_is_rejected(path: Path) -> None:
    """The program has no password for it."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 8, "<H", 1)

    assert "encrypted" in detail_of(path, patched(content, LOCAL, 6, "<H", 1))


@pytest.mark.parametrize("flag", [0x20, 0x40], ids=["patch", "strong encryption"])
def test_unknown_flags_are_rejected(path: Path, flag: int) -> None:
    """They mean a zip of patches, or another encryption."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 8, "<H", flag)

    assert "of an unknown type" in detail_of(path, patched(content, LOCAL, 6, "<H", flag))


@pytest.mark.parametrize(("signature", "at"), [(END, 16), (END, 12), (CENTRAL, 42)])
@pytest.mark.parametrize("offset", [0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE])
def test_invalid_offsets_are_damage(path: Path, signature: bytes, at: int, offset: int) -> None:
    """Records may point beyond the end, or before the beginning."""
    content = patched(zip_of({NAME: TEXT}), signature, at, "<I", offset)

    assert detail_of(path, content)


# --- damage ---------------------------------------------------------------------------------


def test_a_flipped_byte_is_found_at_the_end(path: Path) -> None:
    """The checksum is wrong when the whole file has been read."""
    content = zip_of({NAME: TEXT}, zipfile.ZIP_STORED)
    path.write_bytes(content.replace(b"2024-11-06", b"2024-11-07"))

    with pytest.raises(UnreadableFileError, match="Bad CRC-32"), open_csv(path) as (lines, _, _):
        for _ in lines:
            pass
    with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
        verify(path)
    assert unzipped_size(path) == len(TEXT.encode())


def test_a_damaged_stream_is_an_error(path: Path) -> None:
    """Bytes that cannot be unzipped are damage."""
    content = zip_of({NAME: os.urandom(5000).hex()})
    path.write_bytes(content[:1000] + bytes(1000) + content[2000:])

    for read in (text_in, verify):
        with pytest.raises(UnreadableFileError, match="its zip is damaged"):
            read(path)


@pytest.mark.parametrize("kept", [4, 20, 45, 1000, -60, -22, -1])
def test_a_truncated_zip_is_rejected(path: Path, kept: int) -> None:
    """A zip that ends early is damaged."""
    content = zip_of({NAME: os.urandom(2000).hex()})

    assert "its zip is damaged" in detail_of(path, content[:kept])


def test_damage_anywhere_is_a_file_error(path: Path) -> None:
    """With any wrong byte in a record, no other error is raised."""
    content = zip_of({"’.csv": TEXT})
    valid = 0
    for at in range(len(LOCAL), len(content)):
        for value in (0, 0xFF, content[at] ^ 1, content[at] ^ 0x80):
            path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
            for read in (text_in, *READERS):
                try:
                    read(path)
                    valid += 1
                except FileError:
                    pass
    assert valid > 0


def test_a_file_that_does_not_exist(path: Path) -> None:
    """The error has the message of the operating system."""
    for read in (text_in, is_zip, *READERS):
        with pytest.raises(UnreadableFileError, match="No such file or directory"):
            read(path)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    """The error says that it is a folder."""
    for read in (text_in, is_zip, *READERS):
        with pytest.raises(UnreadableFileError, match="Is a directory"):
            read(tmp_path)


def test_an_error_of_the_system_without_a_message(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error then has the exception's own text."""
    path.write_bytes(zip_of({NAME: TEXT}))

    def fail(*_: object) -> None:
        raise OSError("odd")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)

    assert detail_of(path, path.read_bytes()) == "odd"


def test_errors_of_the_reader_are_not_changed(path: Path) -> None:
    """A broken pipe, or a bug, is not an error of the file."""
    path.write_bytes(zip_of({NAME: TEXT}))

    for kind in (BrokenPipeError, RuntimeError, ValueError):
        with pytest.raises(kind), open_csv(path):
            raise kind
