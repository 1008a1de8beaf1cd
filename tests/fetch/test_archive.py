"""CFPB's archive of narratives: its page, its files through the flow, and what they add."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from starlette.responses import HTMLResponse

from cfpb_etl.emulator import (
    ARCHIVE_PATH,
    BULK_PATH,
    Emulator,
    generate_complaints,
    serve,
    write_archive,
)
from cfpb_etl.fetch import errors as file_errors
from cfpb_etl.fetch.archive import ARCHIVE_URL, Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.complaint_file import FilePart, downloads_beside
from cfpb_etl.fetch.http import errors as server_errors
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import FileVersion
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import Watermark
from support import faults
from support.faults import Faulty
from support.prefect_runs import error_of, last_load, rows, run_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from cfpb_etl.emulator import RawComplaint
    from cfpb_etl.model.load_stats import LoadStats
    from support.faults import Fault

COMPLAINTS = generate_complaints(3_000, era="2024")
TOLD = "complaint_what_happened"
LAST_MONTH = "2024-12-31"  # of the archive that is made of these
EARLIER, LATER = date(2024, 11, 6), date(2025, 1, 15)  # than that
FIELDS = f"SELECT {', '.join(Complaint._fields)}, withdrawn_on FROM complaint ORDER BY 1"  # noqa: S608
CHANGES = "SELECT complaint_id, column_name, old, new FROM complaint_change"

through_the_flow = pytest.mark.usefixtures("prefect_server", "no_delays")


# --- the page -------------------------------------------------------------------------------


def files_on(page: str) -> list[str]:
    """Return the addresses of the files that a page tells, /page of a server."""
    with serve(HTMLResponse(page)) as url:
        address = urljoin(url, "/a/page/")
        raw = Archive(page=address).fetch(ArchivePage(address))
        return [part.key.replace(urljoin(url, "/"), "/") for part in raw.next_parts]


LINKS = {
    "relative to the page": ('<a href="x.zip">', "/a/page/x.zip"),
    "relative to the server": ('<a href="/f/x.zip">', "/f/x.zip"),
    "absolute": ('<a href="https://cfpb.example/x.zip">', "https://cfpb.example/x.zip"),
    "of the same scheme": ('<a href="//cfpb.example/x.zip">', "http://cfpb.example/x.zip"),
    "with entities": ('<a href="x.zip?a=1&amp;b=2&#38;c">', "/a/page/x.zip?a=1&b=2&c"),
    "in capitals": ("<A HREF='X.ZIP'>", "/a/page/X.ZIP"),
    "without quotes": ("<a class=b href=x.zip>", "/a/page/x.zip"),
    "with white space": ('<a\n href="\n x.zip ">', "/a/page/x.zip"),
    "of an odd name": ('<a href="a%20b é.zip">', "/a/page/a%20b é.zip"),
    "with a fragment": ('<a href="x.zip#top">', "/a/page/x.zip"),
}


@pytest.mark.parametrize(("link", "address"), LINKS.values(), ids=LINKS)
def test_a_link_is_found_however_it_is_written(link: str, address: str) -> None:
    """All that is a link to a zip in a browser is one here."""
    assert files_on(f"<!DOCTYPE html><p>Files: {link}a file</a>.") == [address]


def test_each_file_is_found_once_and_in_the_order_of_the_page() -> None:
    """However often the page links to it."""
    page = '<a href="2.zip"><a href="1.zip"><a href="/a/page/2.zip"><a href="1.zip#top">'

    assert files_on(page) == ["/a/page/2.zip", "/a/page/1.zip"]


OTHERS = """
<link href="style.zip"> <!-- <a href="old.zip"> --> <a>x.zip</a> <a name="x.zip"> <a href>
<a href=""> <a href="#x.zip"> <a href="x.zip.pdf"> <a href="?x.zip"> <a href="x.csv">
<a href="mailto:x@cfpb.example.zip"> <a href="ftp://cfpb.example/x.zip"> <a href="javascript:.zip">
<a href="http://[cfpb.example/x.zip"> <p href="p.zip"> x.zip
"""


def test_other_links_are_left_alone() -> None:
    """Nor does one that no browser could follow do harm."""
    assert files_on(f'{OTHERS}<a href="x.zip">') == ["/a/page/x.zip"]


def test_a_page_without_files_is_told() -> None:
    """CFPB may have moved its archive; the message says what to look for."""
    with pytest.raises(file_errors.NoArchiveError, match="--file") as raised:
        files_on(OTHERS)

    assert raised.value.url.endswith("/a/page/")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.forbidden_html(), server_errors.AccessDeniedError),
        (None, server_errors.NotFoundError),
        (faults.unavailable_html(), server_errors.ServerFailureError),
    ],
    ids=["403", "404", "503"],
)
def test_a_page_that_does_not_come(
    fault: Fault | None, kind: type[server_errors.ServerError]
) -> None:
    """Its failure has a name, and is said to be the page's."""
    with serve(Faulty(Emulator([]), otherwise=fault)) as url:
        page = ArchivePage(urljoin(url, ARCHIVE_PATH))
        with pytest.raises(kind) as raised:
            Archive().fetch(page)

    assert raised.value.server is server_errors.ARCHIVE_PAGE


# --- the source itself ----------------------------------------------------------------------


NAMES = {
    "the last of several": (
        ["CCDB_Export_20_July_2026.zip", "CCDB_Export_4_November_2022_through_August_2023.zip"],
        "2026-07-31",
    ),
    "of a range": (["Export_15_January_2024_through_February_2024.zip"], "2024-02-29"),
    "with spaces": (["Export%2021%20August%202026.zip"], "2026-08-31"),
    "in small letters": (["export-june-2026.zip"], "2026-06-30"),
    "without a gap": (["APRIL2026.zip"], "2026-04-30"),
    "beside names without": (["CCDB_Export_1.zip", "CCDB_Export_2_May_2026.zip"], "2026-05-31"),
    "none": (["CCDB_Export_1.zip", "Mayor_2026.zip", "2026.zip"], None),
}


@pytest.mark.parametrize(("names", "day"), NAMES.values(), ids=NAMES)
def test_all_files_are_of_the_last_month_that_a_name_tells(
    names: list[str], day: str | None
) -> None:
    """The archive was made then, also of its older years."""
    files = tuple(f"https://cfpb.example/f/{name}" for name in names)

    assert Archive(files).parts() == [FilePart(file, day) for file in files]


def test_where_it_begins() -> None:
    """With its page, unless its files are known; each of them is remembered."""
    page, files = Archive(), Archive(("https://cfpb.example/x.zip", "/y.zip"))

    assert page.parts() == [ArchivePage(ARCHIVE_URL)]
    assert (page.address, json.loads(page.query_json())) == (ARCHIVE_URL, {})
    assert files.address == "local files"
    assert json.loads(files.query_json()) == {"files": [*files.files]}
    for source in (page, files):
        for part in source.parts():
            assert source.part_from_json(part.to_json()) == part
            assert part.first() == part
    assert [str(part) for part in (*page.parts(), *files.parts())] == [
        *("archive page", "x.zip", "y.zip")
    ]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """By one path or by another."""
    file = tmp_path / "x.zip"

    assert Archive((str(file), str(file), f"{tmp_path}/./x.zip")).parts() == [FilePart(str(file))]


def test_what_is_known_is_forgotten_when_there_is_more_to_add_to() -> None:
    """Complaints that came since may be in files that were stored before."""
    known = {"x.zip": FileVersion('"1"')}

    assert Archive().resume_from(Watermark(versions=known)).stored_versions == known
    assert Archive().resume_from(Watermark(versions=known, added_since=True)).stored_versions == {}


# --- through the flow -----------------------------------------------------------------------


@dataclass
class Site:
    """CFPB's servers and a database.

    Attributes:
        folder: Where the database is.
        emulator: CFPB.
        faulty: What stands between.
        api_url: The address of the search API.
        zips: The files of the archive, as they lie on the server.
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
        """Run the flow, over these files or those of the page."""
        source = Archive(tuple(map(str, files)), self.database, self.page)
        state: State[Any] = load_complaints(source, self.database, None, return_state=True)
        return state

    def archive(self, *files: Path | str) -> LoadStats:
        """Run the flow, which ends well."""
        report: LoadStats = self.run(*files).result()
        return report

    def bulk(self) -> LoadStats:
        """Load the daily file."""
        source = BulkFile(urljoin(self.api_url, BULK_PATH), self.database)
        report: LoadStats = load_complaints(source, self.database, None)
        return report

    def pull(self, url: str | None = None, **filters: Any) -> LoadStats:
        """Load what the search API has."""
        query = Query(since="2011-12-01", **filters)
        report: LoadStats = run_at(url or self.api_url, self.folder, query=query).result()
        return report

    def asked(self, since: int = 0) -> list[tuple[str, int]]:
        """Return which files were asked for, by their numbers or "page", and with what answer."""
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
    """Return a narrative as the files have it."""
    return " ".join(text.split()) if text else None


def narratives(folder: Path) -> dict[str, str | None]:
    """Return the narrative of each complaint that is stored."""
    return {str(row["complaint_id"]): row[TOLD] for row in rows(folder)}


ARCHIVED = {str(c["complaint_id"]): in_one_line(c[TOLD]) for c in COMPLAINTS}


@through_the_flow
def test_the_archive_comes_file_by_file(site: Site) -> None:
    """The page is the first part, each file another; all are as of the archive's last month."""
    report = site.archive()

    assert (report.parts, report.rows, report.new, report.received) == (7, 3_000, 3_000, 3_000)
    assert site.asked() == [("page", 200), *((number, 200) for number in "45678"), ("3", 200)]
    assert narratives(site.folder) == ARCHIVED
    load = last_load(site.folder)
    told = "source", "address", "query", "outcome", "as_of", "parts", "new"
    assert tuple(load[name] for name in told) == (
        *("archive", site.page, "{}", "complete", LAST_MONTH, 7, 3_000),
    )
    parts = rows(site.folder, "SELECT key, next, received FROM load_part ORDER BY key")
    assert [part["key"] for part in parts[:2]] == ["", urljoin(site.api_url, parts[1]["key"])]
    assert sum(part["received"] for part in parts) == 3_000
    assert {part["next"] for part in parts} == {None}
    assert {path.name for path in site.folder.iterdir()} == {"complaints.db", "files"}


@pytest.mark.slow
@through_the_flow
def test_what_did_not_change_is_not_fetched_again(site: Site) -> None:
    """The page is read, and each file asked about; no row is touched."""
    site.archive()
    before = rows(site.folder)
    asked = len(site.emulator.file_requests)

    report = site.archive()

    assert (report.unchanged_files, report.rows) == (6, 0)
    assert [status for _, status in site.asked(asked)] == [200, *[304] * 6]
    assert rows(site.folder) == before
    assert last_load(site.folder)["outcome"] == "complete"


@pytest.mark.slow
@through_the_flow
def test_a_run_that_found_nothing_new_forgets_nothing(site: Site) -> None:
    """The one after it asks about the same versions."""
    site.archive()
    site.archive()

    assert (site.archive().unchanged_files, site.archive().rows) == (6, 0)


@pytest.mark.slow
@through_the_flow
def test_a_file_that_changed_is_fetched(site: Site) -> None:
    """It alone; the others are as they were."""
    one = next(c for c in COMPLAINTS if c[TOLD] and c["date_received"] > "2024-08")
    changed = [{**c, TOLD: "Another story."} if c is one else c for c in COMPLAINTS]
    site.archive()
    for path in write_archive(site.folder / "new", changed):
        old = site.folder / "files" / path.relative_to(site.folder / "new")
        if path.stat().st_size != old.stat().st_size:
            path.replace(old)

    report = site.archive()

    assert (report.unchanged_files, report.new, report.changed) == (5, 0, 1)
    assert narratives(site.folder) == ARCHIVED | {one["complaint_id"]: "Another story."}


@pytest.mark.slow
@through_the_flow
def test_others_that_add_nothing_are_no_reason_to_read_again(site: Site) -> None:
    """After a daily file without new complaints the archive is still up to date."""
    site.archive()
    site.emulator.publish(LATER, columns=15)
    assert site.bulk().new == 0

    assert site.archive().unchanged_files == 6


@through_the_flow
def test_a_load_that_broke_off_is_gone_on_with(site: Site) -> None:
    """Neither the page nor the files that are stored are asked for again."""
    site.faulty.faults = {4: faults.forbidden_html()}

    assert isinstance(error_of(site.run()), server_errors.AccessDeniedError)

    of_two_files = len(rows(site.folder))
    assert 0 < of_two_files < 3_000
    assert last_load(site.folder)["outcome"] == "failed"

    asked = len(site.emulator.file_requests)
    report = site.archive()

    assert site.asked(asked) == [(number, 200) for number in "6783"]
    assert (report.parts, report.rows, report.new) == (7, 3_000, 3_000)
    assert narratives(site.folder) == ARCHIVED
    load = last_load(site.folder)
    assert (load["load_id"], load["outcome"], load["as_of"]) == (1, "complete", LAST_MONTH)


@pytest.mark.slow
@through_the_flow
def test_a_page_that_fails_leaves_nothing_to_go_on_with(site: Site) -> None:
    """The next run begins with the page."""
    site.faulty.faults = {1: faults.forbidden_html()}
    assert isinstance(error_of(site.run()), server_errors.AccessDeniedError)

    assert site.archive().new == 3_000
    assert last_load(site.folder)["load_id"] == 2


@through_the_flow
def test_the_daily_file_and_the_archive_in_any_order(site: Site, tmp_path: Path) -> None:
    """All columns but the load are the same: the newest values, all narratives, the same marks."""
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

    site.bulk()
    then = site.archive()
    other.archive()
    other.bulk()

    assert rows(site.folder, FIELDS) == rows(other.folder, FIELDS)
    stored = {str(row["complaint_id"]): row for row in rows(site.folder)}
    assert len(stored) == 3_005
    assert {number: row[TOLD] for number, row in stored.items() if number in ARCHIVED} == ARCHIVED
    assert {number for number, row in stored.items() if row["withdrawn_on"] == "2025-01-15"} == {
        c["complaint_id"] for c in gone
    }
    for each in changed:
        assert stored[each["complaint_id"]]["company_response"] == "Closed with relief"
    told = sum(text is not None for text in ARCHIVED.values())
    lost = sum(ARCHIVED[c["complaint_id"]] is not None for c in gone)
    assert (then.new, then.changed, then.skipped) == (20, told - lost, 0)
    assert rows(site.folder, CHANGES) == []


@pytest.mark.slow
@through_the_flow
def test_a_daily_file_that_is_older_and_the_archive_in_any_order(
    site: Site, tmp_path: Path
) -> None:
    """What an older file lacks is not marked, and what it tells otherwise does not count."""
    for each in COMPLAINTS[:20]:
        site.emulator.withdraw(each["complaint_id"])
    for each in COMPLAINTS[20:120]:
        site.emulator.put({**each, "company_response": "In progress"})
    site.emulator.publish(EARLIER, columns=15)
    other = Site(tmp_path / "other", site.emulator, site.faulty, site.api_url, site.zips)
    other.folder.mkdir()

    site.bulk()
    site.archive()
    other.archive()
    other.bulk()

    assert rows(site.folder, FIELDS) == rows(other.folder, FIELDS)
    stored = {str(row["complaint_id"]): row for row in rows(site.folder)}
    assert {row["withdrawn_on"] for row in stored.values()} == {None}
    for each in COMPLAINTS:
        told = stored[each["complaint_id"]]["company_response"]
        assert told == each["company_response"]


@through_the_flow
def test_in_a_partial_pull_the_rest_is_left_out(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The archive fills what is there, counts what is not, and says how to have that too."""
    pulled = site.pull(state=("CA",)).rows

    report = site.archive()

    assert 0 < pulled < 1_000
    assert (report.rows, report.new, report.skipped) == (3_000, 0, 3_000 - pulled)
    assert report.received == pulled
    assert last_load(site.folder)["skipped"] == 3_000 - pulled
    assert f"Skipped {3_000 - pulled:,} complaints that only the archive has" in caplog.text
    assert len(rows(site.folder)) == pulled


@pytest.mark.slow
@through_the_flow
def test_what_came_since_is_rounded_off_too(site: Site) -> None:
    """After another load has added complaints, the files are read again, for their narratives."""
    site.pull(state=("CA",))
    site.archive()
    site.emulator.publish(LATER, columns=15)
    site.bulk()
    assert narratives(site.folder) != ARCHIVED
    asked = len(site.emulator.file_requests)

    report = site.archive()

    assert {status for _, status in site.asked(asked)} == {200}
    assert (report.unchanged_files, report.skipped, report.new) == (0, 0, 0)
    assert {number: in_one_line(text) for number, text in narratives(site.folder).items()} == (
        ARCHIVED
    )
    assert site.archive().unchanged_files == 6


@pytest.mark.slow
@through_the_flow
def test_narratives_fill_empty_places_only(site: Site) -> None:
    """One that is stored stays, also where the archive has another."""
    site.emulator.publish(LATER, columns=15)
    site.bulk()
    other: list[RawComplaint] = [
        {**c, TOLD: "Another story."} for c in COMPLAINTS if c["state"] == "CA"
    ]
    with serve(Emulator(other, today=LATER)) as url:
        assert site.pull(url, state=("CA",)).changed == len(other)

    site.archive()

    assert narratives(site.folder) == ARCHIVED | {c["complaint_id"]: c[TOLD] for c in other}


# --- local files ----------------------------------------------------------------------------


@pytest.mark.slow
@through_the_flow
def test_files_that_are_here(site: Site) -> None:
    """They are read by their paths, each time, and stay where they are."""
    report = site.archive(*site.zips)

    assert (report.parts, report.new) == (6, 3_000)
    assert narratives(site.folder) == ARCHIVED
    assert all(path.exists() for path in site.zips)
    load = last_load(site.folder)
    assert (load["address"], load["as_of"]) == ("local files", LAST_MONTH)
    assert site.archive(*site.zips).unchanged == 3_000
    assert site.faulty.requests == []


@pytest.mark.slow
@through_the_flow
def test_files_whose_names_tell_no_month(site: Site) -> None:
    """Each is as old as CFPB says within it."""
    names = [site.folder / f"{number}.zip" for number in range(6)]
    for path, name in zip(site.zips, names, strict=True):
        shutil.copy(path, name)

    assert site.archive(*names).new == 3_000

    assert last_load(site.folder)["as_of"] == "2026-09-01"


@pytest.mark.slow
@through_the_flow
def test_a_page_whose_names_tell_no_month(site: Site) -> None:
    """Each file is as old as the server says."""
    for number, path in enumerate(site.zips):
        path.rename(path.with_name(f"{number}.zip"))

    assert site.archive().new == 3_000

    assert last_load(site.folder)["as_of"] == "2026-09-01"


@pytest.mark.slow
@through_the_flow
def test_one_of_the_files_is_broken(site: Site) -> None:
    """Those before it are stored; once it is mended, the same command goes on with it."""
    whole = site.zips[3].read_bytes()
    site.zips[3].write_bytes(whole[: len(whole) // 2])

    error = error_of(site.run(*site.zips))

    assert isinstance(error, file_errors.UnreadableFileError)
    assert error.path == site.zips[3]
    assert last_load(site.folder)["outcome"] == "failed"
    stored = len(rows(site.folder))
    assert 0 < stored < 3_000

    site.zips[3].write_bytes(whole)
    assert site.archive(*site.zips).new == 3_000
    assert last_load(site.folder)["load_id"] == 1
    assert downloads_beside(site.database) == []


@pytest.mark.slow
@through_the_flow
def test_a_file_by_its_address(site: Site) -> None:
    """It is downloaded, and known when it is asked for again; the page is not."""
    file = urljoin(site.api_url, f"/f/documents/{site.zips[-1].name}")

    assert site.archive(file).new > 0
    assert site.archive(file).unchanged_files == 1
    assert [status for _, status in site.asked()] == [200, 304]


@pytest.mark.slow
@through_the_flow
def test_files_of_one_name_in_other_folders(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load that failed is not gone on with for the files of another folder."""
    for name in ("one", "other"):
        (site.folder / name).mkdir()
        for number, path in enumerate(site.zips[:2]):
            shutil.copy(path, site.folder / name / f"{number}.zip")
    (site.folder / "one" / "1.zip").write_bytes(b"broken")
    monkeypatch.chdir(site.folder / "one")
    assert site.run("0.zip", "1.zip").is_failed()
    monkeypatch.chdir(site.folder / "other")

    report = site.archive("0.zip", "1.zip")

    assert (report.parts, last_load(site.folder)["load_id"]) == (2, 2)
