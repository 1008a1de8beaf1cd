"""A file of complaints as a part: its names, its age, its room, its place beside the database."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile, ZipInfo

import pytest

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.fetch import complaint_file
from cfpb_etl.fetch.complaint_file import (
    FilePart,
    downloads_beside,
    fetch_complaint_file,
    is_url,
)
from cfpb_etl.fetch.errors import NotEnoughSpaceError, UnreadableFileError
from cfpb_etl.model.part import Age, FileVersion
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.errors import UnexpectedColumnsError

ADDRESS = "https://files.example/ccdb/complaints.csv.zip"
HEADER = (
    "Date received,Product,Sub-product,Issue,Sub-issue,Company public response,Company,State,"
    "ZIP code,Tags,Submitted via,Date sent to company,Company response to consumer,"
    "Timely response?,Complaint ID\n"
)


def write_csv(path: Path, *days: str) -> Path:
    """Write a plain file with a complaint of each day, in this order."""
    lines = [f"{day}{',' * 14}{number}\n" for number, day in enumerate(days, 1)]
    path.write_text(HEADER + "".join(lines), "utf-8")
    return path


def today() -> date:
    """Return the day, as the program counts it."""
    return datetime.now(UTC).date()


def age_of(path: Path, known_as_of: str | None = None) -> Age:
    """Return the age of a local file, as it is known once the file is parsed."""
    part = FilePart(str(path), known_as_of)
    age = parse_part(fetch_complaint_file(part, path.with_name("c.db"), None, {})).info.age
    assert age is not None
    return age


# --- parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        FilePart(ADDRESS),
        FilePart("/tmp/a b/complaints.csv", "2026-08-31"),  # noqa: S108 - never written
        FilePart('/odd/"quoted"\\\n\N{SNOWMAN}.zip'),
    ],
)
def test_the_progress_of_a_part_tells_all_of_it(part: FilePart) -> None:
    """What the database remembers becomes the same part."""
    assert FilePart.from_json(part.to_json()) == part


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (ADDRESS, "complaints.csv.zip"),
        ("https://files.example/a%20b/c%20d.zip?download=1#top", "c d.zip"),
        ("https://files.example/f/?name=/x/y.zip", "f"),
        ("https://files.example/", ""),
        ("https://files.example", ""),
        ("HTTPS://files.example/UPPER.ZIP", "UPPER.ZIP"),
        ("https://files.example/a%2Fb.zip", "b.zip"),
        ("https://files.example/%1B%5B31mred%0A%00.zip", "?[31mred??.zip"),
        ("https://files.example/%E2%98%83%FF.zip", "\N{SNOWMAN}\N{REPLACEMENT CHARACTER}.zip"),
        ("/data/100%25.csv", "100%25.csv"),
        ("/data/\udcff.csv", "?.csv"),
        ("/data/what?.csv", "what?.csv"),
        ("/data/a#b.csv", "a#b.csv"),
        ("/data/http:/complaints.csv", "complaints.csv"),
    ],
)
def test_a_part_is_named_after_its_file(place: str, name: str) -> None:
    """An address is decoded, and ends before its query; of a path every character counts.

    What would command the terminal is not shown.
    """
    part = FilePart.at(place)

    assert part.name == str(part) == name
    assert part.key == part.address == place


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is of use from any folder."""
    monkeypatch.chdir(tmp_path)

    assert FilePart.at("complaints.csv").address == str(tmp_path / "complaints.csv")


def test_an_address_stays_as_it_is() -> None:
    """It is no path, whatever it looks like."""
    assert FilePart.at("HTTP://files.example/../x").address == "HTTP://files.example/../x"


@pytest.mark.parametrize(
    ("place", "is_one"),
    [
        (ADDRESS, True),
        ("http://files.example", True),
        ("HTTPS://files.example", True),
        ("https:/files.example", False),
        ("ftp://files.example/x.zip", False),
        ("/data/https://x", False),
        ("httpss.csv", False),
        ("", False),
    ],
)
def test_what_is_an_address(place: str, is_one: bool) -> None:  # noqa: FBT001 - a case
    """Only http and https are downloaded."""
    assert is_url(place) is is_one
    assert FilePart(place).is_remote is is_one


def test_a_file_has_no_pages() -> None:
    """To read it again is to read it."""
    part = FilePart(ADDRESS)

    assert part.first() == part


# --- the age of a local file ----------------------------------------------------------------


def test_a_zip_is_as_old_as_what_is_in_it(tmp_path: Path) -> None:
    """Its own time may be that of a copy."""
    path = write_bulk_file(tmp_path, generate_complaints(3), day=date(2025, 3, 14))
    os.utime(path)

    assert age_of(path) == Age("2025-03-14", "date in the zip")


def test_a_plain_file_is_as_old_as_its_newest_complaint(tmp_path: Path) -> None:
    """Wherever in the file that stands."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02", "2020-05-06", "2020-03-04")

    assert age_of(path) == Age("2020-05-06", "newest day received")


def test_a_plain_file_of_a_day_to_come_is_of_today(tmp_path: Path) -> None:
    """A mistyped day must not make the file the newest for ever."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02", "2999-01-01")

    before = today()
    assert before.isoformat() <= age_of(path).as_of <= today().isoformat()


def test_a_zip_of_a_day_to_come_is_of_today(tmp_path: Path) -> None:
    """Nor may a clock that was wrong."""
    path = write_bulk_file(tmp_path, generate_complaints(3), day=today() + timedelta(3))

    before = today()
    assert before.isoformat() <= age_of(path).as_of <= today().isoformat()


@pytest.mark.parametrize("days", [(), ("",), ("soon",)])
def test_a_plain_file_that_tells_no_day_is_of_today(days: tuple[str, ...], tmp_path: Path) -> None:
    """It was made at some time until now."""
    before = today()
    found = age_of(write_csv(tmp_path / "complaints.csv", *days))

    assert before.isoformat() <= found.as_of <= today().isoformat()
    assert found.evidence == "today"


def test_a_zip_whose_day_is_none_is_of_today(tmp_path: Path) -> None:
    """Some programs write noughts there."""
    path = tmp_path / "complaints.zip"
    info = ZipInfo("complaints.csv", (1980, 1, 1, 0, 0, 0))
    with ZipFile(path, "w") as archive:
        archive.writestr(info, HEADER)
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\3\4", 12), (b"PK\1\2", 14)):
        at = content.index(signature) + place
        content[at : at + 2] = b"\0\0"
    path.write_bytes(content)

    before = today()
    assert before.isoformat() <= age_of(path).as_of <= today().isoformat()


def test_the_day_that_a_source_knows_counts(tmp_path: Path) -> None:
    """The archive's files are told their day."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    assert age_of(path, "2019-12-31") == Age("2019-12-31", "the archive's last month")


# --- what comes -----------------------------------------------------------------------------


def test_a_local_file_is_named_with_its_size_and_day(tmp_path: Path) -> None:
    """So it stands in Prefect's log."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    raw = fetch_complaint_file(FilePart(str(path)), tmp_path / "c.db", None, {})

    assert str(raw) == f"complaints.csv, {path.stat().st_size} Bytes of complaints"
    assert (raw.rows, raw.info.version, raw.next_parts) == (None, FileVersion(), ())
    parsed = parse_part(raw)
    assert str(parsed) == f"{raw} as of 2020-01-02"


def test_what_its_source_knows_goes_with_it(tmp_path: Path) -> None:
    """By the names of `PartInfo`."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    info = {"fills_gaps_only": True, "max_withdrawn": 0.5}

    raw = fetch_complaint_file(FilePart(str(path)), tmp_path / "c.db", None, info)

    assert (raw.info.fills_gaps_only, raw.info.max_withdrawn) == (True, 0.5)


def test_a_local_file_stays_when_it_is_stored(tmp_path: Path) -> None:
    """It is the user's."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    raw = fetch_complaint_file(FilePart(str(path)), tmp_path / "c.db", None, {})

    assert raw.on_stored is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, UnreadableFileError),
        ("PK\3\4, but no zip", UnreadableFileError),
        ("PK,PK\n1,2\n", UnexpectedColumnsError),
        ("a,b\n1,2\n", UnexpectedColumnsError),
        ("", UnreadableFileError),
    ],
)
def test_a_local_file_that_is_none(
    content: str | None, error: type[Exception], tmp_path: Path
) -> None:
    """It is told by name."""
    path = tmp_path / "complaints.csv"
    if content is not None:
        path.write_text(content, "utf-8")

    with pytest.raises(error):
        age_of(path)


# --- room -----------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Leave 1,000 bytes on every disk, and return the folders whose disk was asked about."""
    folders: list[Path] = []

    def disk_usage(folder: Path) -> SimpleNamespace:
        folders.append(folder)
        return SimpleNamespace(free=1_000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    return folders


def test_room_is_needed_for_what_is_to_come_and_twice_the_csv(
    tmp_path: Path, asked: list[Path]
) -> None:
    """The database grows by the CSV, and its log by as much."""
    complaint_file._ensure_space_for(tmp_path / "c.db", 400, 300)
    with pytest.raises(NotEnoughSpaceError) as caught:
        complaint_file._ensure_space_for(tmp_path / "c.db", 401, 300)

    assert (caught.value.needed, caught.value.free) == (1_001, 1_000)
    assert asked == [tmp_path, tmp_path]


def test_what_the_database_has_needs_no_room(tmp_path: Path, asked: list[Path]) -> None:
    """A file that is mostly known adds little."""
    database = tmp_path / "c.db"
    database.write_bytes(bytes(5_000))

    complaint_file._ensure_space_for(database, 0, 5_500)
    complaint_file._ensure_space_for(database, 1_000, 10)
    with pytest.raises(NotEnoughSpaceError):
        complaint_file._ensure_space_for(database, 0, 5_501)


def test_the_room_is_that_of_the_databases_disk(
    tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a database in the current folder too."""
    monkeypatch.chdir(tmp_path)

    complaint_file._ensure_space_for(Path("c.db"), 0, 0)

    assert asked == [tmp_path]


@pytest.mark.parametrize(
    ("name", "needed"),
    [("c.csv.zip", 50 + 2 * 16 * 100), ("c.csv", 50 + 2 * 100), ("C.CSV", 50 + 2 * 100)],
)
def test_a_zip_to_come_unzips_to_more(
    name: str, needed: int, tmp_path: Path, asked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is here, so many times its size are taken for its CSV; a plain file is one."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    part = FilePart(f"https://files.example/{name}")

    with pytest.raises(NotEnoughSpaceError) as caught:
        complaint_file._ensure_space(tmp_path / "c.db", part, 100, 50)

    assert caught.value.needed == needed


def test_a_local_file_needs_room_too(tmp_path: Path, asked: list[Path]) -> None:
    """It is told before anything is stored."""
    path = write_csv(tmp_path / "complaints.csv", *["2020-01-02"] * 100)

    with pytest.raises(NotEnoughSpaceError):
        age_of(path)


# --- beside the database --------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        "https://files.example/",
        "https://files.example/a%2F..%2F..%2Fb.zip",
        "https://files.example/%2e%2e",
        "https://files.example/%00%0a*?[x].zip",
        f"https://files.example/{'x' * 1_000}.zip",
        f"https://files.example/{'%E2%98%83' * 300}.zip",
    ],
)
def test_a_download_lies_beside_the_database(address: str, tmp_path: Path) -> None:
    """Whatever its address says, it has a sound name there."""
    database = tmp_path / "complaints.db"

    path = complaint_file._download_path(FilePart(address), database)

    path.with_name(f"{path.name}.json.new").write_text("{}")
    assert path.parent == tmp_path
    assert path.name.startswith("complaints.db-download-")
    assert len(path.name.encode()) < 150


def test_files_of_one_name_lie_apart(tmp_path: Path) -> None:
    """Each address has a place of its own, and always the same."""
    places = [
        complaint_file._download_path(FilePart(f"https://{host}/x.zip"), tmp_path / "c.db")
        for host in ("one.example", "two.example", "one.example")
    ]

    assert places[0] == places[2] != places[1]


def test_downloads_are_found_by_their_notes(tmp_path: Path) -> None:
    """Those of another database are another's."""
    database, other = tmp_path / "c.db", tmp_path / "c.db2"
    for one in (database, other):
        path = complaint_file._download_path(FilePart(ADDRESS), one)
        path.with_name(f"{path.name}.json").write_text("{}")
        path.with_name(f"{path.name}.part").write_text("PK")

    (found,) = downloads_beside(database)

    assert found.name.startswith("c.db-download-")
    assert found.suffix == ".json"


def test_downloads_beside_a_database_of_an_odd_name(tmp_path: Path) -> None:
    """What a pattern would take for its own is a name here."""
    database = tmp_path / "c[1]*.db"
    path = complaint_file._download_path(FilePart(ADDRESS), database)
    note = path.with_name(f"{path.name}.json")
    note.write_text("{}")

    assert downloads_beside(database) == [note]


def test_nothing_beside_a_database(tmp_path: Path) -> None:
    """None is there at first, nor a folder perhaps."""
    assert downloads_beside(tmp_path / "c.db") == []
    assert downloads_beside(tmp_path / "nowhere" / "c.db") == []
