"""What a file is read from, and what is refused before it can do harm."""

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
    """Return all text of a file's CSV."""
    with open_csv(path) as (lines, _, _):
        return "".join(lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a zip may be made, alone in its folder."""
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
    """Return a zip with a field of one of its records changed."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.index(signature) + at, *values)
    return bytes(changed)


def refused(path: Path, content: bytes) -> str:
    """Return what is wrong with a zip, which every way to read it has to say in the same words."""
    path.write_bytes(content)
    said = set()
    for read in (text_in, *READERS):
        with pytest.raises(UnreadableFileError) as caught:
            read(path)
        assert caught.value.path == path
        said.add(caught.value.detail)
    (detail,) = said
    return detail


# --- what is read ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(
    "name", [NAME, "COMPLAINTS.CSV", "folder/complaints.csv", "Beschwerden’.csv"]
)
def test_a_zip_of_one_csv(path: Path, name: str, method: int) -> None:
    """The text comes as it was zipped, and its size and day as they are told."""
    path.write_bytes(zip_of({name: TEXT}, method))

    assert text_in(path) == TEXT
    assert is_zip(path)
    assert unzipped_size(path) == len(TEXT.encode())
    assert zipped_on(path) == "2026-10-07"
    verify(path)


def test_a_plain_csv(path: Path) -> None:
    """A file that is not zipped is read as it is, and tells no day of its own."""
    path.write_text(TEXT, "utf-8", newline="")

    assert text_in(path) == TEXT
    assert not is_zip(path)
    assert unzipped_size(path) == path.stat().st_size
    assert zipped_on(path) is None
    verify(path)


@pytest.mark.parametrize("content", [b"", b"P", b"PK", b"PKO,Issue\n", b"a\n"])
def test_what_begins_otherwise_is_no_zip(path: Path, content: bytes) -> None:
    """Only a zip's own first bytes make a zip."""
    path.write_bytes(content)

    assert not is_zip(path)
    assert text_in(path) == content.decode()


def test_lines_keep_their_ends(path: Path) -> None:
    """Each line comes with the end that it has, whichever that is."""
    path.write_bytes(b"a\r\nb\nc\rd")

    with open_csv(path) as (lines, _, _):
        assert [*lines] == ["a\r\n", "b\n", "c\r", "d"]


def test_a_line_without_an_end_comes_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is one line does not come into memory whole."""
    monkeypatch.setattr(csv_file, "_MAX_LINE", 10)
    path.write_bytes(b"x" * 25 + b"\ny")

    with open_csv(path) as (lines, _, _):
        assert [*lines] == ["x" * 10, "x" * 10, "xxxxx\n", "y"]


def test_a_byte_order_mark_is_left_out(path: Path) -> None:
    """The mark at a file's beginning is no text, within a zip as well."""
    path.write_bytes(zip_of({NAME: TEXT.encode("utf-8-sig")}))

    assert text_in(path) == TEXT


def test_bytes_that_are_no_utf8_do_not_end_the_file(path: Path) -> None:
    """They come as halves of characters, for the row to be refused."""
    path.write_bytes(b"a\xff\nb\n")

    assert text_in(path) == "a\udcff\nb\n"


@pytest.mark.parametrize("zipped", [False, True])
def test_the_file_tells_how_far_it_is_read(path: Path, *, zipped: bool) -> None:
    """What lies beneath the lines goes from the file's beginning to its end."""
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


def test_the_file_is_closed_where_nobody_reads_on(path: Path) -> None:
    """Whoever leaves half way leaves no open file."""
    path.write_bytes(zip_of({NAME: TEXT}))

    with open_csv(path) as (lines, file, _):
        next(lines)

    assert file.closed


def test_a_folder_beside_the_csv_is_no_file(path: Path) -> None:
    """A zip may hold the folder that its one file lies in."""
    path.write_bytes(zip_of({"folder/": "", "folder/complaints.csv": TEXT}))

    assert text_in(path) == TEXT


@pytest.mark.parametrize("name", ["../../x.csv", "/tmp/x.csv", "C:\\x.csv", "..\\x.csv"])  # noqa: S108
def test_nothing_is_written_wherever_a_name_leads(path: Path, name: str) -> None:
    """A name that leads elsewhere is only a name."""
    path.write_bytes(zip_of({name: TEXT}))
    everything = sorted(path.parent.parent.rglob("*"))

    assert text_in(path) == TEXT
    verify(path)

    assert sorted(path.parent.parent.rglob("*")) == everything


def test_a_day_that_is_none(path: Path) -> None:
    """A zip may tell of month 0 or 15, and then tells nothing."""
    content = zip_of({NAME: TEXT})
    for month, day in ((0, 0), (15, 31), (2, 30)):
        path.write_bytes(patched(content, CENTRAL, 14, "<H", (46 << 9) | (month << 5) | day))

        assert zipped_on(path) is None
        assert text_in(path) == TEXT


# --- what is refused ------------------------------------------------------------------------


def test_several_files_are_refused(path: Path) -> None:
    """Nobody can know which of two files is meant."""
    assert refused(path, zip_of({NAME: TEXT, "b.csv": TEXT})).startswith("it contains 2 files")


@pytest.mark.parametrize("members", [{}, {"folder/": ""}])
def test_a_zip_of_no_file_is_refused(path: Path, members: dict[str, str | bytes]) -> None:
    """An empty zip is one, and has no complaints."""
    content = zip_of(members)

    assert refused(path, content) == "it contains 0 files where one CSV was expected"
    assert is_zip(path)


@pytest.mark.parametrize("name", ["complaints.json", "complaints.csv.exe", "csv", "a\x1b[2J"])
def test_another_kind_of_file_is_refused(path: Path, name: str) -> None:
    """What is no CSV by its name is named, without what it could do to a screen."""
    detail = refused(path, zip_of({name: TEXT}))

    assert detail == f"it contains {name!r}, which is not a CSV"
    assert detail.isprintable()


def test_a_file_without_a_name_is_refused(path: Path) -> None:
    """A zip may hold a file that has no name, or an odd one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = zip_of({"\0": TEXT})

    assert refused(path, content) == "it contains '', which is not a CSV"


def test_a_name_that_is_no_text_is_refused(path: Path) -> None:
    """A name that says to be UTF-8, and is not, is damage."""
    content = zip_of({"Beschwerden’.csv": TEXT})

    assert "of an unknown type" in refused(path, content.replace("’".encode(), b"\xff\xff\xff"))


def test_what_unzips_to_far_too_much_is_refused(path: Path) -> None:
    """A zip that claims more than 250 times its own size is not read at all."""
    content = zip_of({NAME: b"a" * 2_000_000})

    assert refused(path, content) == (
        "it declares 2,000,000 unzipped bytes, too many for a CSV from CFPB"
    )


def test_the_largest_csv(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a zip is, what comes out of it has a limit."""
    content = zip_of({NAME: TEXT})
    size = len(TEXT.encode())
    monkeypatch.setattr(csv_file, "MAX_CSV", size)
    path.write_bytes(content)
    assert text_in(path) == TEXT

    monkeypatch.setattr(csv_file, "MAX_CSV", size - 1)

    assert "unzipped bytes, too many for a CSV" in refused(path, content)


def test_a_zip_that_claims_less_than_it_holds(path: Path) -> None:
    """What is declared small ends there, and its checksum tells that it is damaged."""
    path.write_bytes(patched(zip_of({NAME: b"a\n" * 50_000}), CENTRAL, 24, "<I", 10))
    came: list[str] = []

    with pytest.raises(UnreadableFileError, match="Bad CRC-32"), open_csv(path) as (lines, _, _):
        came.extend(lines)

    assert len("".join(came)) <= 10


def test_a_bomb_that_claims_to_be_small_does_not_fill_the_memory(path: Path) -> None:
    """Of 80 MB that say to be 1,000 bytes, no more is unzipped than is read at a time."""
    path.write_bytes(patched(zip_of({NAME: b"0,0\n" * 20_000_000}), CENTRAL, 24, "<I", 1_000))

    for read in (text_in, verify):
        tracemalloc.start()
        try:
            with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
                read(path)
            assert tracemalloc.get_traced_memory()[1] < 10**7
        finally:
            tracemalloc.stop()


def test_a_zip_that_claims_more_than_it_holds(path: Path) -> None:
    """A size that is too large is only a size: what there is comes, and its checksum is right."""
    path.write_bytes(patched(zip_of({NAME: TEXT}), CENTRAL, 24, "<I", len(TEXT.encode()) + 1))

    assert text_in(path) == TEXT
    verify(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_method_is_refused(path: Path, method: int) -> None:
    """What Python would unzip in one piece, however large, is not read."""
    assert refused(path, zip_of({NAME: TEXT}, method)) == (
        f"it is zipped by method {method}, which CFPB does not use"
    )


def test_a_method_that_nobody_knows_is_refused(path: Path) -> None:
    """Method 99 is that of another kind of encryption."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 10, "<H", 99)

    assert "method 99" in refused(path, patched(content, LOCAL, 8, "<H", 99))


def test_an_encrypted_zip_is_refused(path: Path) -> None:
    """Nobody has the password."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 8, "<H", 1)

    assert "encrypted" in refused(path, patched(content, LOCAL, 6, "<H", 1))


@pytest.mark.parametrize("flag", [0x20, 0x40], ids=["patch", "strong encryption"])
def test_flags_that_python_does_not_know_are_refused(path: Path, flag: int) -> None:
    """A zip of patches, or of another encryption, is of no known kind."""
    content = patched(zip_of({NAME: TEXT}), CENTRAL, 8, "<H", flag)

    assert "of an unknown type" in refused(path, patched(content, LOCAL, 6, "<H", flag))


@pytest.mark.parametrize(("signature", "at"), [(END, 16), (END, 12), (CENTRAL, 42)])
@pytest.mark.parametrize("offset", [0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFE])
def test_offsets_that_lead_nowhere_are_damage(
    path: Path, signature: bytes, at: int, offset: int
) -> None:
    """A zip may say that its parts lie where there is nothing, or before its beginning."""
    content = patched(zip_of({NAME: TEXT}), signature, at, "<I", offset)

    assert refused(path, content)


# --- what is damaged ------------------------------------------------------------------------


def test_a_flipped_byte_is_found_at_the_end(path: Path) -> None:
    """A byte that is wrong shows by the checksum, when all of the file is read."""
    content = zip_of({NAME: TEXT}, zipfile.ZIP_STORED)
    path.write_bytes(content.replace(b"2024-11-06", b"2024-11-07"))

    with pytest.raises(UnreadableFileError, match="Bad CRC-32"), open_csv(path) as (lines, _, _):
        for _ in lines:
            pass
    with pytest.raises(UnreadableFileError, match="Bad CRC-32"):
        verify(path)
    assert unzipped_size(path) == len(TEXT.encode())


def test_a_damaged_stream_is_told(path: Path) -> None:
    """What can no longer be unzipped is damage, wherever it shows."""
    content = zip_of({NAME: os.urandom(5000).hex()})
    path.write_bytes(content[:1000] + bytes(1000) + content[2000:])

    for read in (text_in, verify):
        with pytest.raises(UnreadableFileError, match="its zip is damaged"):
            read(path)


@pytest.mark.parametrize("kept", [4, 20, 45, 1000, -60, -22, -1])
def test_a_truncated_zip_is_refused(path: Path, kept: int) -> None:
    """A download that ended early, wherever, is no zip."""
    content = zip_of({NAME: os.urandom(2000).hex()})

    assert "its zip is damaged" in refused(path, content[:kept])


def test_damage_anywhere_is_told_by_our_own_error(path: Path) -> None:
    """Whatever byte of a zip's records is wrong, no other error comes out."""
    content = zip_of({"’.csv": TEXT})
    came = 0
    for at in range(len(LOCAL), len(content)):
        for value in (0, 0xFF, content[at] ^ 1, content[at] ^ 0x80):
            path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
            for read in (text_in, *READERS):
                try:
                    read(path)
                    came += 1
                except FileError:
                    pass
    assert came > 0


def test_a_file_that_is_not_there(path: Path) -> None:
    """What the system says is what is wrong."""
    for read in (text_in, is_zip, *READERS):
        with pytest.raises(UnreadableFileError, match="No such file or directory"):
            read(path)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in a file's place is told as one."""
    for read in (text_in, is_zip, *READERS):
        with pytest.raises(UnreadableFileError, match="Is a directory"):
            read(tmp_path)


def test_an_error_of_the_system_without_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system gives no reason, the error's own text is what is wrong."""
    path.write_bytes(zip_of({NAME: TEXT}))

    def fail(*_: object) -> None:
        raise OSError("odd")

    monkeypatch.setattr(zipfile.ZipFile, "open", fail)

    assert refused(path, path.read_bytes()) == "odd"


def test_errors_of_who_reads_stay_what_they_are(path: Path) -> None:
    """A pipe that is broken, or a mistake of ours, is not the file's."""
    path.write_bytes(zip_of({NAME: TEXT}))

    for kind in (BrokenPipeError, RuntimeError, ValueError):
        with pytest.raises(kind), open_csv(path):
            raise kind
