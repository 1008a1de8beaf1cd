"""A file of complaints as a part: its name, its age, its disk space, and its download."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING
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

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "https://files.example/ccdb/complaints.csv.zip"
HEADER = (
    "Date received,Product,Sub-product,Issue,Sub-issue,Company public response,Company,State,"
    "ZIP code,Tags,Submitted via,Date sent to company,Company response to consumer,"
    "Timely response?,Complaint ID\n"
)


def write_csv(path: Path, *days: str) -> Path:
    """Write a plain CSV with a complaint for each day, in this order."""
    lines = [f"{day}{',' * 14}{number}\n" for number, day in enumerate(days, 1)]
    path.write_text(HEADER + "".join(lines), "utf-8")
    return path


def today() -> date:
    """Return the current day in UTC."""
    return datetime.now(UTC).date()


def age_of(path: Path, known_as_of: str | None = None) -> Age:
    """Return the age of a local file, once it is parsed."""
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
def test_a_part_is_restored_from_json(part: FilePart) -> None:
    """The JSON in the database has all of it."""
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
    """An address is decoded and ends before its query; a path is the name as it is.

    Characters that control a terminal are replaced.
    """
    part = FilePart.at(place)

    assert part.name == str(part) == name
    assert part.key == part.address == place


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the record is right for any current folder."""
    monkeypatch.chdir(tmp_path)

    assert FilePart.at("complaints.csv").address == str(tmp_path / "complaints.csv")


def test_an_address_is_not_changed() -> None:
    """It is not a path, even if it looks like one."""
    assert FilePart.at("HTTP://files.example/../x").address == "HTTP://files.example/../x"


@pytest.mark.parametrize(
    ("place", "expected"),
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
def test_which_places_are_addresses(place: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """Only http and https are downloaded."""
    assert is_url(place) is expected
    assert FilePart(place).is_remote is expected


def test_a_file_has_no_pages() -> None:
    """Its first part is the file itself."""
    part = FilePart(ADDRESS)

    assert part.first() == part


# --- the age of a local file ----------------------------------------------------------------


def test_the_age_of_a_zip(tmp_path: Path) -> None:
    """It is the date in the zip; the file's own time may be that of a copy."""
    path = write_bulk_file(tmp_path, generate_complaints(3), day=date(2025, 3, 14))
    os.utime(path)

    assert age_of(path) == Age("2025-03-14", "date in the zip")


def test_the_age_of_a_plain_file(tmp_path: Path) -> None:
    """It is the newest day received, in any row."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02", "2020-05-06", "2020-03-04")

    assert age_of(path) == Age("2020-05-06", "newest day received")


def test_a_plain_file_is_not_from_the_future(tmp_path: Path) -> None:
    """A mistyped day must not make the file the newest for ever."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02", "2999-01-01")

    before = today()
    assert before.isoformat() <= age_of(path).as_of <= today().isoformat()


def test_a_zip_is_not_from_the_future(tmp_path: Path) -> None:
    """A wrong clock must not do so either."""
    path = write_bulk_file(tmp_path, generate_complaints(3), day=today() + timedelta(3))

    before = today()
    assert before.isoformat() <= age_of(path).as_of <= today().isoformat()


@pytest.mark.parametrize("days", [(), ("",), ("soon",)])
def test_a_plain_file_without_a_day_is_of_today(days: tuple[str, ...], tmp_path: Path) -> None:
    """It was made at some time before now."""
    before = today()
    found = age_of(write_csv(tmp_path / "complaints.csv", *days))

    assert before.isoformat() <= found.as_of <= today().isoformat()
    assert found.evidence == "today"


def test_a_zip_without_a_valid_day_is_of_today(tmp_path: Path) -> None:
    """Some programs write zeros there."""
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


def test_the_day_of_the_source_counts(tmp_path: Path) -> None:
    """The files of the archive have the day of its last month."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    assert age_of(path, "2019-12-31") == Age("2019-12-31", "the archive's last month")


# --- the fetched part -----------------------------------------------------------------------


def test_a_local_file_is_named_with_its_size_and_day(tmp_path: Path) -> None:
    """The day follows once the file is parsed."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    raw = fetch_complaint_file(FilePart(str(path)), tmp_path / "c.db", None, {})

    assert str(raw) == f"complaints.csv, {path.stat().st_size} Bytes of complaints"
    assert (raw.rows, raw.info.version, raw.next_parts) == (None, FileVersion(), ())
    parsed = parse_part(raw)
    assert str(parsed) == f"{raw} as of 2020-01-02"


def test_the_info_of_the_source(tmp_path: Path) -> None:
    """It has the names of `PartInfo`'s fields."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    info = {"fills_gaps_only": True, "max_withdrawn": 0.5}

    raw = fetch_complaint_file(FilePart(str(path)), tmp_path / "c.db", None, info)

    assert (raw.info.fills_gaps_only, raw.info.max_withdrawn) == (True, 0.5)


def test_a_local_file_is_not_removed(tmp_path: Path) -> None:
    """It belongs to the user."""
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
def test_a_local_file_that_is_not_valid(
    content: str | None, error: type[Exception], tmp_path: Path
) -> None:
    """Each fault has its error."""
    path = tmp_path / "complaints.csv"
    if content is not None:
        path.write_text(content, "utf-8")

    with pytest.raises(error):
        age_of(path)


# --- disk space -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "needed"),
    [("c.csv.zip", 50 + 16 * 360), ("c.csv", 50 + 360), ("C.CSV", 50 + 360)],
)
def test_the_space_for_a_download(
    name: str, needed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zip counts as 16 times its size until it is downloaded, and a plain file as its size."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    part = FilePart(f"https://files.example/{name}")

    with pytest.raises(NotEnoughSpaceError) as caught:
        complaint_file._ensure_space(tmp_path / "c.db", part, 100, 50)

    assert caught.value.needed == needed


def test_the_space_for_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked before anything is stored."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    path = write_csv(tmp_path / "complaints.csv", *["2020-01-02"] * 100)

    with pytest.raises(NotEnoughSpaceError):
        age_of(path)


# --- downloads beside the database -----------------------------------------------------------


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
def test_a_download_is_beside_the_database(address: str, tmp_path: Path) -> None:
    """It has a valid name there, for any address."""
    database = tmp_path / "complaints.db"

    path = complaint_file._download_path(FilePart(address), database)

    path.with_name(f"{path.name}.json.new").write_text("{}")
    assert path.parent == tmp_path
    assert path.name.startswith("complaints.db-download-")
    assert len(path.name.encode()) < 150


def test_downloads_with_the_same_name(tmp_path: Path) -> None:
    """Each address has a path of its own, which is always the same."""
    places = [
        complaint_file._download_path(FilePart(f"https://{host}/x.zip"), tmp_path / "c.db")
        for host in ("one.example", "two.example", "one.example")
    ]

    assert places[0] == places[2] != places[1]


def test_downloads_are_found_by_their_notes(tmp_path: Path) -> None:
    """Downloads of another database are not found."""
    database, other = tmp_path / "c.db", tmp_path / "c.db2"
    for one in (database, other):
        path = complaint_file._download_path(FilePart(ADDRESS), one)
        path.with_name(f"{path.name}.json").write_text("{}")
        path.with_name(f"{path.name}.part").write_text("PK")

    (found,) = downloads_beside(database)

    assert found.name.startswith("c.db-download-")
    assert found.suffix == ".json"


def test_downloads_beside_a_database_with_an_unusual_name(tmp_path: Path) -> None:
    """Wildcards in its name are not used as such."""
    database = tmp_path / "c[1]*.db"
    path = complaint_file._download_path(FilePart(ADDRESS), database)
    note = path.with_name(f"{path.name}.json")
    note.write_text("{}")

    assert downloads_beside(database) == [note]


def test_no_downloads_beside_a_database(tmp_path: Path) -> None:
    """The folder may not exist, and at first it has no downloads."""
    assert downloads_beside(tmp_path / "c.db") == []
    assert downloads_beside(tmp_path / "nowhere" / "c.db") == []
