"""CSV files: their encodings, and the names of files that are no CSV."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import pickle
import random
import sqlite3
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch import csv_file
from cfpb_etl.fetch.csv_file import open_csv, unzipped_size, verify
from cfpb_etl.fetch.errors import FileError, NotACsvError, UnreadableFileError
from cfpb_etl.fetch.unpack.containers import written_on
from support.containers import BYTES, NAME, READERS, TEXT, error_of, text_in, zip_of
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = "Date received,Product,Issue,Company,State,Complaint ID\n"
CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "zip": lambda content: zip_of({NAME: content}),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a file is written."""
    return tmp_path / "complaints.csv"


# --- files that can be read ------------------------------------------------------------------


def test_a_plain_csv(path: Path) -> None:
    """It is read as it is, and has no day of its own."""
    path.write_text(TEXT, "utf-8", newline="")

    assert text_in(path) == TEXT
    assert unzipped_size(path) == path.stat().st_size
    assert written_on(path) is None
    verify(path)


def test_a_zip(path: Path) -> None:
    """It has a day."""
    path.write_bytes(zip_of({NAME: TEXT}))

    assert written_on(path) == ("date in the zip", "2026-10-07")


@pytest.mark.parametrize("content", [b"P", b"PK", b"PKO,Issue\n", b"a\n", b"BZh,a\n", b"MZ,a\n"])
def test_a_header_of_any_letters(path: Path, content: bytes) -> None:
    """The first letters of a container do not make it one."""
    path.write_bytes(content)

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


def test_invalid_utf8_does_not_end_the_file(path: Path) -> None:
    """Invalid bytes become lone surrogates, for which the row is rejected."""
    path.write_bytes(b"a\xff\nb\n")

    assert text_in(path) == "a\udcff\nb\n"


def test_the_position_of_a_plain_file(path: Path) -> None:
    """The position of the file goes from its beginning to its end."""
    path.write_bytes(b"0123456789\n" * 100_000)

    with open_csv(path) as (lines, file, size):
        assert size == path.stat().st_size
        next(lines)
        first = file.tell()
        for _ in lines:
            pass
        assert first < size / 2 < file.tell() <= size


@pytest.mark.parametrize("container", [None, "gzip", "zip"])
def test_the_file_is_closed_early(path: Path, container: str | None) -> None:
    """It is closed even if it is not read to its end."""
    path.write_bytes(CONTAINERS[container](BYTES * 50_000) if container else BYTES)

    with open_csv(path) as (lines, file, _):
        next(lines)

    assert file.closed


# --- encodings ------------------------------------------------------------------------------

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be with a mark"]


def encoded(text: str, encoding: str) -> bytes:
    """Return a text in an encoding."""
    name, _, mark = encoding.partition(" ")
    return (("\ufeff" if mark else "") + text).encode(name)


@pytest.mark.parametrize("container", [None, *CONTAINERS])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding(path: Path, encoding: str, container: str | None) -> None:
    """The text is the same in each, and has no byte order mark."""
    text = HEADER + "Can’t, \U0001f600, \u2028 and é\r\n" * 5_000
    content = encoded(text, encoding)
    path.write_bytes(CONTAINERS[container](content) if container else content)

    assert text_in(path) == text
    verify(path)


def test_the_size_of_utf16(path: Path) -> None:
    """It is about twice as large as in UTF-8, and so than in the database."""
    path.write_bytes((HEADER * 100).encode("utf-16-le"))

    assert unzipped_size(path) == len(HEADER) * 100


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf16_that_ends_within_a_character(path: Path, encoding: str) -> None:
    """The file is cut off."""
    for end in ("x", "\U0001f600"):
        path.write_bytes((HEADER * 10_000 + end).encode(encoding)[:-1])
        with pytest.raises(UnreadableFileError, match="UTF-16 ends within a character"):
            text_in(path)


def test_half_a_character_in_utf16(path: Path) -> None:
    """It makes only its row invalid."""
    text = f"{HEADER}a\ud83db\nc\n"
    path.write_bytes(text.encode("utf-16-le", "surrogatepass"))

    assert text_in(path) == text


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be"])
def test_utf32_is_named(path: Path, encoding: str) -> None:
    """It is not read, because no program writes it by itself."""
    error = error_of(path, HEADER.encode(encoding))

    assert error.detail == "it is text in UTF-32"
    assert "Save it as CSV UTF-8" in str(error)


# --- files that are no CSV ------------------------------------------------------------------


def tar_of(**files: bytes) -> bytes:
    """Return a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


NOISE = random.Random(3).randbytes(400)  # noqa: S311 - not for security
_JSON = "it is JSON, as the API and CFPB's JSON download are"
KINDS = [
    (b"", "it is empty"),
    (b"\xef\xbb\xbf", "it is empty but for white space"),
    (b" \r\n\n\t", "it is empty but for white space"),
    ("\ufeff\r\n".encode("utf-16-le"), "it is empty but for white space"),
    (bytes(3), "it starts with zero bytes, so it was never written in full"),
    (bytes(300_000), "it starts with zero bytes, so it was never written in full"),
    (BYTES * 9_999 + bytes(512), "it ends with zero bytes, so it was never written in full"),
    (b"\x28\xb5\x2f\xfd\x04\x58" + NOISE, "it is compressed by zstd"),
    (b"\x50\x2a\x4d\x18" + NOISE, "it is compressed by zstd"),
    (b"7z\xbc\xaf\x27\x1c\0\4" + NOISE, "it is a 7z archive"),
    (b"Rar!\x1a\7\1\0" + NOISE, "it is a rar archive"),
    (b"Rar!\x1a\7\0" + NOISE, "it is a rar archive"),
    (b"\x04\x22\x4d\x18" + NOISE, "it is compressed by lz4"),
    (b"\x1f\x9d\x90" + NOISE, "it is compressed by compress (.Z)"),
    (b"PK\7\x08" + NOISE, "it is a part of a split zip"),
    (tar_of(a=BYTES), "it is a tar archive"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + NOISE,
        "it is an old Excel workbook (.xls), or an encrypted one",
    ),
    (b"\t\x08\x10\0\0\6\5\0" + NOISE, "it is an old Excel workbook (.xls)"),
    (b"{\\rtf1\\ansi Date received}", "it is a document in rich text (.rtf)"),
    (b"PAR1\x15\4" + NOISE + b"PAR1", "it is a Parquet file"),
    (b"ARROW1\0\0" + NOISE, "it is an Arrow or Feather file"),
    (b"\xff\xff\xff\xff\x70\0\0\0\x10\0\0\0" + NOISE, "it is an Arrow or Feather file"),
    (b"ORC\n\x0b" + NOISE, "it is an ORC file"),
    (b"Obj\1\4" + NOISE, "it is an Avro file"),
    (NOISE[:8] + b"DUCK\x40\0\0\0\0\0\0\0" + NOISE, "it is a DuckDB file"),
    (b"\0\1\0\0Standard ACE DB\0" + NOISE, "it is a database of Microsoft Access"),
    (b"RDX3\nX\n" + NOISE, "it is a data file of R (.rds or .RData)"),
    (pickle.dumps([TEXT]), "it is a pickle of Python"),
    (b"\x89HDF\r\n\x1a\n" + NOISE, "it is an HDF5 file"),
    (b"<stata_dta><header>", "it is a Stata file (.dta)"),
    (b"$FL2@(#) SPSS DATA FILE", "it is an SPSS file (.sav)"),
    (b"A\n3\n262657\n197888\n", "it is a data file of R (.rds or .RData)"),
    (b"%PDF-1.7\n%\xb5\xb5", "it is a PDF"),
    (b"bplist00" + NOISE, "it is a web archive or property list of Apple"),
    (b"\x89PNG\r\n\x1a\n" + NOISE, "it is an image"),
    (b"MZ\x90\0\3\0\0\0" + NOISE, "it is a program"),
    (b"\n<!DOCTYPE html>\n<html>", "it is a web page, and not the file to which it links"),
    (b"\xef\xbb\xbf<HTML><p>", "it is a web page, and not the file to which it links"),
    ("<html>".encode("utf-16"), "it is a web page, and not the file to which it links"),
    (b'<?xml version="1.0"?><Error>', "it is XML, perhaps a server's error message"),
    (b"<Error><Code>AccessDenied", "it is XML, perhaps a server's error message"),
    (json.dumps({"hits": {"hits": []}}).encode(), _JSON),
    (json.dumps([{"a": 1}], indent=1).encode(), _JSON),
    (b"[[1, 2]]", _JSON),
    (b"{}", _JSON),
    (b"MIME-Version: 1.0\r\n", "it is a saved web page (.mhtml)"),
    (b"[InternetShortcut]\r\nURL=https://x", "it is a link to a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid", "it is a pointer of Git LFS"),
    (NOISE, "it is not text in UTF-8 or UTF-16"),
    ((HEADER * 9).encode("cp500"), "it is not text in UTF-8 or UTF-16"),  # a mainframe's EBCDIC
    (b"Date received\0,Issue\n", "it is not text in UTF-8 or UTF-16"),
    (b"a\x05b,c\n1,2\n", "it is not text in UTF-8 or UTF-16"),
]


@pytest.mark.parametrize(("content", "detail"), KINDS)
def test_each_kind_of_file_is_named(path: Path, content: bytes, detail: str) -> None:
    """The error says what the file is and what to do, for each way to read it."""
    error = error_of(path, content)

    assert isinstance(error, NotACsvError)
    assert error.detail == detail
    assert str(error) == (
        f"{path} cannot be read: {detail}. Nothing of it was stored. {error.advice}"
    )
    assert error.advice.endswith(".")


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("content", "detail"), KINDS)
def test_each_kind_within_a_container_is_named(
    path: Path, content: bytes, detail: str, container: str
) -> None:
    """Also what was compressed is named."""
    if detail.startswith("it ends"):
        pytest.skip("a container has a checksum for this")

    assert error_of(path, CONTAINERS[container](content)).detail == f"{detail} within {container}"


def test_a_container_within_a_container(path: Path) -> None:
    """It must be unpacked by hand."""
    for outer, pack_again in CONTAINERS.items():
        for inner, pack in CONTAINERS.items():
            error = error_of(path, pack_again(pack(BYTES)))
            kind = "a zip" if inner == "zip" else f"compressed by {inner}"
            assert error.detail == f"it is {kind} within {outer}"
            assert "Unpack it, and give --file the CSV." in str(error)


def test_real_files_of_other_programs(path: Path) -> None:
    """A SQLite file may be the user's own database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE complaint (a)")
    error = error_of(path, path.read_bytes())

    assert error.detail == "it is a SQLite file; it may be a database of cfpb-etl"


def test_text_in_another_encoding_is_left_to_the_parser(path: Path) -> None:
    """The first bytes of such a file do not show its encoding for certain."""
    text = HEADER + "2020-01-02,Crédit,ça va,Société Générale,CA,1\n" * 100
    path.write_bytes(text.encode("cp1252"))

    assert text_in(path).startswith(HEADER)


def test_a_word_of_tar(path: Path) -> None:
    """A tar archive has this word at the same place, but also zero bytes before it."""
    text = HEADER + "x" * (257 - len(HEADER)) + "ustard\n"
    path.write_text(text, "utf-8")

    assert text_in(path) == text


def test_a_zero_byte_within_the_text(path: Path) -> None:
    """Only its row can be invalid."""
    path.write_bytes(HEADER.encode() + b"2020-01-02,a\0b\n" + bytes(300) + b"\n")

    assert "a\0b" in text_in(path)


def test_any_bytes_have_a_named_error(path: Path) -> None:
    """Whatever a file holds, it is read or its error is named."""
    draw = random.Random(5)  # noqa: S311 - not for security
    starts = [content[:40] for content, _ in KINDS] + [HEADER.encode(name) for name in ("utf-16",)]
    for _ in range(soak(400)):
        content = draw.choice(starts) + draw.randbytes(draw.choice([0, 3, 100, 3_000]))
        at = draw.randrange(len(content) + 1)
        content = content[:at] + draw.randbytes(draw.randrange(3)) + content[at:]
        path.write_bytes(draw.choice([bytes, gzip.compress, CONTAINERS["zip"]])(content))
        for read in READERS:
            try:
                read(path)
            except FileError as error:
                message = str(error)
                assert message.isprintable(), message


# --- errors of the reader -------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_errors_of_the_reader_are_not_changed(path: Path, encoding: str) -> None:
    """A broken pipe, or a bug, is not an error of the file."""
    path.write_bytes(TEXT.encode(encoding))

    for kind in (BrokenPipeError, RuntimeError, ValueError):
        with pytest.raises(kind), open_csv(path):
            raise kind


def test_decoding_elsewhere_is_not_an_error_of_the_file(path: Path) -> None:
    """A file in UTF-8 itself causes no such error."""
    path.write_bytes(BYTES)

    with pytest.raises(UnicodeDecodeError), open_csv(path):
        b"\xff".decode()
