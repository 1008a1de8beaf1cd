"""CFPB's archive of narratives through the flow: its files, and the gaps that they fill."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest

from cfpb_etl.emulator import (
    ARCHIVE_PATH,
    BULK_PATH,
    Emulator,
    generate_complaints,
    serve,
    write_archive,
)
from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.fetch.http import errors as http_errors
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.query import Query
from support import faults
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import error_of, last_load, rows, run_at
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from cfpb_etl.emulator import RawComplaint
    from cfpb_etl.model.load_stats import LoadStats

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = made_up(3_000, era="2024")
NARRATIVE = "complaint_what_happened"
LAST_MONTH = "2024-12-31"  # of the archive of these complaints
EARLIER, LATER = date(2024, 11, 6), date(2025, 1, 15)  # than the last month
FIELDS = f"SELECT {', '.join(Complaint._fields)}, withdrawn_on FROM complaint ORDER BY 1"  # noqa: S608
CHANGES = "SELECT complaint_id, column_name, old, new FROM complaint_change"


@dataclass
class Site:
    """CFPB's servers and a database.

    Attributes:
        folder: Where the database is.
        emulator: CFPB's servers.
        faulty: The application in front of them, with its faults.
        api_url: The address of the search API.
        zips: The files of the archive on the server.
    """

    folder: Path
    emulator: Emulator
    faulty: Faulty
    api_url: str
    zips: list[Path]

    @property
    def database(self) -> Path:
        """Return the database."""
        return self.folder / "complaints.db"

    @property
    def page(self) -> str:
        """Return the address of the archive's page."""
        return urljoin(self.api_url, ARCHIVE_PATH)

    def run(self, *files: Path | str) -> State[Any]:
        """Run the flow for these files, or for those of the page."""
        source = Archive(tuple(map(str, files)), self.database, self.page)
        return load_source(source, self.database)

    def load_archive(self, *files: Path | str) -> LoadStats:
        """Run the flow to its end."""
        stats: LoadStats = self.run(*files).result()
        return stats

    def load_bulk(self) -> LoadStats:
        """Load the daily file."""
        source = BulkFile(urljoin(self.api_url, BULK_PATH), self.database)
        stats: LoadStats = load_source(source, self.database).result()
        return stats

    def load_api(self, url: str | None = None, **filters: Any) -> LoadStats:
        """Load from the search API."""
        query = Query(since="2011-12-01", **filters)
        stats: LoadStats = run_at(url or self.api_url, self.folder, query=query).result()
        return stats

    def requested(self, since: int = 0) -> list[tuple[str, int]]:
        """Return the number of each requested file, or "page", with its status."""
        return [
            (request.path.rpartition("/")[2].lower()[12:14].strip("_") or "page", request.status)
            for request in self.emulator.file_requests[since:]
        ]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve an archive of six files."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    zips = write_archive(tmp_path / "files", COMPLAINTS)
    assert len(zips) == 6
    faulty = Faulty(emulator)
    with serve(faulty) as api_url:
        yield Site(tmp_path, emulator, faulty, api_url, zips)


def in_one_line(text: str | None) -> str | None:
    """Return a narrative as it is in the files."""
    return " ".join(text.split()) if text else None


def narratives(folder: Path) -> dict[str, str | None]:
    """Return the narrative of each stored complaint."""
    return {str(row["complaint_id"]): row[NARRATIVE] for row in rows(folder)}


ARCHIVED = {str(c["complaint_id"]): in_one_line(c[NARRATIVE]) for c in COMPLAINTS}


def test_the_archive_is_loaded_file_by_file(site: Site) -> None:
    """The page is the first part, and each file another; all are as of the last month."""
    stats = site.load_archive()

    assert (stats.parts, stats.rows, stats.new, stats.received) == (6, 3_000, 3_000, 3_000)
    assert site.requested() == [("page", 200), *((number, 200) for number in "45678"), ("3", 200)]
    assert narratives(site.folder) == ARCHIVED
    load = last_load(site.folder)
    columns = "source", "address", "query", "outcome", "as_of_latest", "parts", "new"
    assert tuple(load[name] for name in columns) == (
        *("archive", site.page, "{}", "complete", LAST_MONTH, 6, 3_000),
    )
    parts = rows(site.folder, "SELECT key, next, received FROM load_part ORDER BY key")
    assert [part["key"] for part in parts[:2]] == ["", urljoin(site.api_url, parts[1]["key"])]
    assert sum(part["received"] for part in parts) == 3_000
    assert {part["next"] for part in parts} == {None}
    assert {path.name for path in site.folder.iterdir()} == {"complaints.db", "files"}


@pytest.mark.slow
def test_unchanged_files_are_not_sent_again(site: Site) -> None:
    """The page is read and each file checked; no row is changed."""
    site.load_archive()
    rows_before = rows(site.folder)
    before = len(site.emulator.file_requests)

    stats = site.load_archive()

    assert (stats.unchanged_files, stats.rows) == (6, 0)
    assert [status for _, status in site.requested(before)] == [200, *[304] * 6]
    assert rows(site.folder) == rows_before
    assert last_load(site.folder)["outcome"] == "complete"


@pytest.mark.slow
def test_unchanged_files_stay_unchanged(site: Site) -> None:
    """The run after an unchanged one checks the same versions."""
    site.load_archive()
    site.load_archive()

    assert (site.load_archive().unchanged_files, site.load_archive().rows) == (6, 0)


@pytest.mark.slow
def test_a_changed_file_is_fetched(site: Site) -> None:
    """Only this file is; the others are unchanged."""
    one = next(c for c in COMPLAINTS if c[NARRATIVE] and c["date_received"] > "2024-08")
    changed = [{**c, NARRATIVE: "Another story."} if c is one else c for c in COMPLAINTS]
    site.load_archive()
    for path in write_archive(site.folder / "new", changed):
        old = site.folder / "files" / path.relative_to(site.folder / "new")
        if path.stat().st_size != old.stat().st_size:
            path.replace(old)

    stats = site.load_archive()

    assert (stats.unchanged_files, stats.new, stats.changed) == (5, 0, 1)
    assert narratives(site.folder) == ARCHIVED | {one["complaint_id"]: "Another story."}


@pytest.mark.slow
def test_a_load_without_new_complaints_does_not_matter(site: Site) -> None:
    """After it the files of the archive are still unchanged."""
    site.load_archive()
    site.emulator.publish(LATER, columns=15)
    assert site.load_bulk().new == 0

    assert site.load_archive().unchanged_files == 6


def test_an_interrupted_load_is_resumed(site: Site) -> None:
    """The page and the stored files are not requested again."""
    site.faulty.faults = {4: faults.forbidden_html()}

    assert isinstance(error_of(site.run()), http_errors.AccessDeniedError)

    of_two_files = len(rows(site.folder))
    assert 0 < of_two_files < 3_000
    assert last_load(site.folder)["outcome"] == "failed"

    before = len(site.emulator.file_requests)
    stats = site.load_archive()

    assert site.requested(before) == [(number, 200) for number in "6783"]
    assert (stats.parts, stats.rows, stats.new) == (6, 3_000, 3_000)
    assert narratives(site.folder) == ARCHIVED
    load = last_load(site.folder)
    assert (load["load_id"], load["outcome"], load["as_of_latest"]) == (1, "complete", LAST_MONTH)


@pytest.mark.slow
def test_a_load_without_its_page_is_not_resumed(site: Site) -> None:
    """The next run starts with the page."""
    site.faulty.faults = {1: faults.forbidden_html()}
    assert isinstance(error_of(site.run()), http_errors.AccessDeniedError)

    assert site.load_archive().new == 3_000
    assert last_load(site.folder)["load_id"] == 2


def test_the_daily_file_and_the_archive_in_any_order(site: Site, tmp_path: Path) -> None:
    """The rows are the same: the newest values, all narratives, the same withdrawals."""
    gone, changed, late = COMPLAINTS[:20], COMPLAINTS[20:120], generate_complaints(5, seed=7)
    for each in gone:
        site.emulator.withdraw(each["complaint_id"])
    for each in changed:
        site.emulator.put({**each, "company_response": "Closed with relief"})
    for each in late:
        site.emulator.put(each)
    site.emulator.publish(LATER, columns=15)
    other = Site(tmp_path / "other", site.emulator, site.faulty, site.api_url, site.zips)
    other.folder.mkdir()

    site.load_bulk()
    then = site.load_archive()
    other.load_archive()
    other.load_bulk()

    assert rows(site.folder, FIELDS) == rows(other.folder, FIELDS)
    stored = {str(row["complaint_id"]): row for row in rows(site.folder)}
    assert len(stored) == 3_005
    assert {
        number: row[NARRATIVE] for number, row in stored.items() if number in ARCHIVED
    } == ARCHIVED
    newest = max(row["date_received"] for row in stored.values())
    assert {number for number, row in stored.items() if row["withdrawn_on"] == newest} == {
        c["complaint_id"] for c in gone
    }
    for each in changed:
        assert stored[each["complaint_id"]]["company_response"] == "Closed with relief"
    narratives_sent = sum(text is not None for text in ARCHIVED.values())
    lost = sum(ARCHIVED[c["complaint_id"]] is not None for c in gone)
    assert (then.new, then.changed, then.skipped) == (20, narratives_sent - lost, 0)
    assert rows(site.folder, CHANGES) == []


@pytest.mark.slow
def test_an_older_daily_file_and_the_archive_in_any_order(site: Site, tmp_path: Path) -> None:
    """Complaints that an older file lacks are not withdrawn, and its other values do not count."""
    for each in COMPLAINTS[:20]:
        site.emulator.withdraw(each["complaint_id"])
    for each in COMPLAINTS[20:120]:
        site.emulator.put({**each, "company_response": "In progress"})
    site.emulator.publish(EARLIER, columns=15)
    other = Site(tmp_path / "other", site.emulator, site.faulty, site.api_url, site.zips)
    other.folder.mkdir()

    site.load_bulk()
    site.load_archive()
    other.load_archive()
    other.load_bulk()

    assert rows(site.folder, FIELDS) == rows(other.folder, FIELDS)
    stored = {str(row["complaint_id"]): row for row in rows(site.folder)}
    assert {row["withdrawn_on"] for row in stored.values()} == {None}
    for each in COMPLAINTS:
        response = stored[each["complaint_id"]]["company_response"]
        assert response == each["company_response"]


def test_a_partial_database_skips_other_complaints(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The archive fills gaps, counts skipped complaints, and says how to add them."""
    stored = site.load_api(state=("CA",)).rows

    stats = site.load_archive()

    assert 0 < stored < 1_000
    assert (stats.rows, stats.new, stats.skipped) == (3_000, 0, 3_000 - stored)
    assert stats.received == stored
    assert last_load(site.folder)["skipped"] == 3_000 - stored
    assert f"Skipped {3_000 - stored:,} complaints that only the archive has" in caplog.text
    assert len(rows(site.folder)) == stored


@pytest.mark.slow
def test_gaps_of_later_loads_are_filled_too(site: Site) -> None:
    """After another load has added complaints, the files are read again."""
    site.load_api(state=("CA",))
    site.load_archive()
    site.emulator.publish(LATER, columns=15)
    site.load_bulk()
    assert narratives(site.folder) != ARCHIVED
    before = len(site.emulator.file_requests)

    stats = site.load_archive()

    assert {status for _, status in site.requested(before)} == {200}
    assert (stats.unchanged_files, stats.skipped, stats.new) == (0, 0, 0)
    assert {number: in_one_line(text) for number, text in narratives(site.folder).items()} == (
        ARCHIVED
    )
    assert site.load_archive().unchanged_files == 6


@pytest.mark.slow
def test_narratives_only_fill_gaps(site: Site) -> None:
    """A stored narrative stays, even if the archive has another one."""
    late = {**COMPLAINTS[0], "complaint_id": "1", "date_received": f"{LATER}T12:00:00-05:00"}
    late |= {"state": "NY", NARRATIVE: ""}
    site.emulator.put(late)
    site.emulator.publish(LATER, columns=15)
    site.load_bulk()
    other: list[RawComplaint] = [
        {**c, NARRATIVE: "Another story."} for c in COMPLAINTS if c["state"] == "CA"
    ]
    with serve(Emulator([*other, late], today=LATER)) as url:
        assert site.load_api(url, state=("CA",)).changed == len(other)

    site.load_archive()

    changed = {c["complaint_id"]: c[NARRATIVE] for c in other}
    assert narratives(site.folder) == ARCHIVED | changed | {"1": None}


# --- local files ----------------------------------------------------------------------------


@pytest.mark.slow
def test_local_files(site: Site) -> None:
    """They are read each time, and stay in place. They are not newer than the archive."""
    stats = site.load_archive(*site.zips)

    assert (stats.parts, stats.new) == (6, 3_000)
    assert narratives(site.folder) == ARCHIVED
    assert all(path.exists() for path in site.zips)
    load = last_load(site.folder)
    assert (load["address"], load["as_of_latest"]) == ("local files", "2026-08-31")
    assert site.load_archive(*site.zips).unchanged == 3_000
    assert site.faulty.requests == []


@pytest.mark.slow
def test_local_files_without_a_month_in_their_names(site: Site) -> None:
    """They are not newer than the date in the zip."""
    names = [site.folder / f"{number}.zip" for number in range(6)]
    for path, name in zip(site.zips, names, strict=True):
        shutil.copy(path, name)

    assert site.load_archive(*names).new == 3_000

    assert last_load(site.folder)["as_of_latest"] == "2026-09-01"


@pytest.mark.slow
def test_a_page_without_a_month_in_its_names(site: Site) -> None:
    """The files are not newer than the Last-Modified of the server."""
    for number, path in enumerate(site.zips):
        path.rename(path.with_name(f"{number}.zip"))

    assert site.load_archive().new == 3_000

    assert last_load(site.folder)["as_of_latest"] == "2026-09-01"


@pytest.mark.slow
def test_one_damaged_file(site: Site) -> None:
    """The files before it are stored; once it is repaired, the same command resumes there."""
    whole = site.zips[3].read_bytes()
    site.zips[3].write_bytes(whole[: len(whole) // 2])

    error = error_of(site.run(*site.zips))

    assert isinstance(error, fetch_errors.UnreadableFileError)
    assert error.path == site.zips[3]
    assert last_load(site.folder)["outcome"] == "failed"
    stored = len(rows(site.folder))
    assert 0 < stored < 3_000

    site.zips[3].write_bytes(whole)
    assert site.load_archive(*site.zips).new == 3_000
    assert last_load(site.folder)["load_id"] == 1
    assert downloads_beside(site.database) == []


@pytest.mark.slow
def test_a_file_at_an_address(site: Site) -> None:
    """It is downloaded without the page, and the second time it is unchanged."""
    file = urljoin(site.api_url, f"/f/documents/{site.zips[-1].name}")

    assert site.load_archive(file).new > 0
    assert site.load_archive(file).unchanged_files == 1
    assert [status for _, status in site.requested()] == [200, 304]


@pytest.mark.slow
def test_files_with_the_same_names_in_another_folder(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed load is not resumed for the files of another folder."""
    for name in ("one", "other"):
        (site.folder / name).mkdir()
        for number, path in enumerate(site.zips[:2]):
            shutil.copy(path, site.folder / name / f"{number}.zip")
    (site.folder / "one" / "1.zip").write_bytes(b"broken")
    monkeypatch.chdir(site.folder / "one")
    assert site.run("0.zip", "1.zip").is_failed()
    monkeypatch.chdir(site.folder / "other")

    stats = site.load_archive("0.zip", "1.zip")

    assert (stats.parts, last_load(site.folder)["load_id"]) == (2, 2)
