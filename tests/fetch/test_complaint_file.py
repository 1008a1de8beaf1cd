"""A file of complaints as a part: its name, its age, its disk space, and its download."""

from __future__ import annotations

import os
import shutil
from datetime import date, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

import pytest

from cfpb_etl.emulator import generate_complaints, write_bulk_file
from cfpb_etl.fetch import complaint_file
from cfpb_etl.fetch.complaint_file import (
    FilePart,
    FileSource,
    downloads_beside,
    fetch_complaint_file,
)
from cfpb_etl.fetch.errors import NotEnoughSpaceError, UnreadableFileError
from cfpb_etl.fetch.http.addresses import is_url
from cfpb_etl.model.age import Age, Evidence
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.file import CsvFile, FileVersion
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.errors import UnexpectedColumnsError

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.part import RawPart

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


def fetch(path: Path, part: FilePart | None = None, **options: Any) -> RawPart:
    """Fetch a local file."""
    source = FileSource(**options)
    return fetch_complaint_file(
        source, part or FilePart(str(path)), path.with_name("c.db"), None, {}
    )


def evidence_for(path: Path, part: FilePart | None = None, **options: Any) -> Evidence:
    """Return what shows the age of a local file."""
    evidence = fetch(path, part, **options).info.evidence
    assert evidence is not None
    return evidence


def written(path: Path, day: str) -> str:
    """Set the time of a file to noon of a day."""
    noon = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
    os.utime(path, (noon, noon))
    return day


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


# --- what shows the age of a local file ------------------------------------------------------


def test_a_zip_has_two_times(tmp_path: Path) -> None:
    """The file was not written before the CSV in it."""
    path = write_bulk_file(tmp_path, generate_complaints(3), day=date(2025, 3, 14))
    copied = written(path, "2025-04-01")

    assert evidence_for(path).not_after == (
        ("2025-03-14", "date in the zip"),
        (copied, "time of the file"),
    )


def test_a_zip_without_a_valid_day(tmp_path: Path) -> None:
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
    copied = written(path, "2025-04-01")

    assert evidence_for(path).not_after == ((copied, "time of the file"),)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("complaints-2026-10-07_14_05.csv", "2026-10-07"),
        ("complaints-2026-10-07_14_05 (1).csv", "2026-10-07"),
        ("complaints-2026-10-07.csv", None),
        ("my complaints-2026-10-07_14_05.csv", None),
        ("complaints-2026-10-07_14_055.csv", None),
        ("complaints.csv", None),
    ],
)
def test_the_name_of_an_export(name: str, day: str | None, tmp_path: Path) -> None:
    """CFPB names an export with its time; a browser adds a number to a second one."""
    path = write_csv(tmp_path / name, "2020-01-02")

    assert evidence_for(path).exported_on == day


def test_the_day_that_the_user_states(tmp_path: Path) -> None:
    """It counts before the day of the archive."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    part = FilePart(str(path), "2019-12-31")

    assert evidence_for(path, part).stated == Age.on("2019-12-31", "the archive's last month")
    stated = evidence_for(path, part, as_of="2020-02-01").stated
    assert stated == Age.on("2020-02-01", "--as-of")
    assert evidence_for(path).stated is None


def test_stored_data_do_not_matter_if_the_age_is_stated(tmp_path: Path) -> None:
    """A file whose age is known need not be read twice."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    for as_of, expected in ((None, "2020-01-01"), ("2020-02-01", None)):
        content = fetch(path, as_of=as_of, stored_until="2020-01-01").take_content()
        assert isinstance(content, CsvFile)
        assert content.stored_until == expected


def test_today_is_the_latest_day_that_is_known(tmp_path: Path) -> None:
    """A clock that is behind the last load does not count."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    assert fetch(path, last_ended="2031-05-06").info.today == "2031-05-07"
    assert fetch(path, last_ended="2001-05-06").info.today == latest_plausible_day()


# --- the fetched part -----------------------------------------------------------------------


def test_a_local_file_is_named_with_its_size(tmp_path: Path) -> None:
    """The name of the parsed file is the same."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")

    raw = fetch(path)

    assert str(raw) == f"complaints.csv, {path.stat().st_size} Bytes of complaints"
    assert (raw.rows, raw.info.version, raw.next_parts) == (None, FileVersion(), ())
    assert str(parse_part(raw)) == str(raw)


def test_the_info_of_the_source(tmp_path: Path) -> None:
    """It has the names of `PartInfo`'s fields."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    info = {"fills_gaps_only": True, "max_withdrawn": 0.5}

    part = FilePart(str(path))
    raw = fetch_complaint_file(FileSource(), part, tmp_path / "c.db", None, info)

    assert (raw.info.fills_gaps_only, raw.info.max_withdrawn) == (True, 0.5)


def test_a_local_file_is_not_removed(tmp_path: Path) -> None:
    """It belongs to the user."""
    path = write_csv(tmp_path / "complaints.csv", "2020-01-02")
    raw = fetch(path)

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
        parse_part(fetch(path))


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
    address = f"https://files.example/{name}"

    with pytest.raises(NotEnoughSpaceError) as caught:
        complaint_file._ensure_space(tmp_path / "c.db", address, 100, 50)

    assert caught.value.needed == needed


def test_the_space_for_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked before anything is stored."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    path = write_csv(tmp_path / "complaints.csv", *["2020-01-02"] * 100)

    with pytest.raises(NotEnoughSpaceError):
        fetch(path)


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
