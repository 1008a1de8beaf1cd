"""CFPB's archive of narratives as a source: its page and its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from starlette.responses import HTMLResponse

from cfpb_etl.emulator import ARCHIVE_PATH, Emulator, serve
from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.archive import ARCHIVE_URL, ARCHIVED_UNTIL, Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.fetch.http import errors as http_errors
from cfpb_etl.fetch.http.addresses import whole
from cfpb_etl.model.file import FileVersion
from cfpb_etl.model.source import Watermark
from support import faults
from support.faults import Faulty

if TYPE_CHECKING:
    from support.faults import Fault

# --- the page -------------------------------------------------------------------------------


def files_on(page: str) -> list[str]:
    """Return the addresses of the files that a page links to, without the server."""
    with serve(HTMLResponse(page)) as url:
        address = urljoin(url, "/a/page/")
        raw = Archive(page=address).fetch(ArchivePage(address))
        return [whole(part.key).replace(urljoin(url, "/"), "/") for part in raw.next_parts]


LINKS = {
    "relative to the page": ('<a href="x.zip">', "/a/page/x.zip"),
    "relative to the server": ('<a href="/f/x.zip">', "/f/x.zip"),
    "absolute": ('<a href="https://cfpb.example/x.zip">', "https://cfpb.example/x.zip"),
    "of the same scheme": ('<a href="//cfpb.example/x.zip">', "http://cfpb.example/x.zip"),
    "with entities": ('<a href="x.zip?a=1&amp;b=2&#38;c">', "/a/page/x.zip?a=1&b=2&c"),
    "in capitals": ("<A HREF='X.ZIP'>", "/a/page/X.ZIP"),
    "without quotes": ("<a class=b href=x.zip>", "/a/page/x.zip"),
    "with white space": ('<a\n href="\n x.zip ">', "/a/page/x.zip"),
    "with an unusual name": ('<a href="a%20b é.zip">', "/a/page/a%20b é.zip"),
    "with a fragment": ('<a href="x.zip#top">', "/a/page/x.zip"),
}


@pytest.mark.parametrize(("link", "address"), LINKS.values(), ids=LINKS)
def test_a_link_is_found_in_any_form(link: str, address: str) -> None:
    """A link to a zip in a browser is one here."""
    assert files_on(f"<!DOCTYPE html><p>Files: {link}a file</a>.") == [address]


def test_each_file_is_found_once_in_the_order_of_the_page() -> None:
    """The page may link to it several times."""
    page = '<a href="2.zip"><a href="1.zip"><a href="/a/page/2.zip"><a href="1.zip#top">'

    assert files_on(page) == ["/a/page/2.zip", "/a/page/1.zip"]


OTHERS = """
<link href="style.zip"> <!-- <a href="old.zip"> --> <a>x.zip</a> <a name="x.zip"> <a href>
<a href=""> <a href="#x.zip"> <a href="x.zip.pdf"> <a href="?x.zip"> <a href="x.csv">
<a href="mailto:x@cfpb.example.zip"> <a href="ftp://cfpb.example/x.zip"> <a href="javascript:.zip">
<a href="http://[cfpb.example/x.zip"> <p href="p.zip"> x.zip
"""


def test_other_links_are_ignored() -> None:
    """A link that is not valid is ignored too."""
    assert files_on(f'{OTHERS}<a href="x.zip">') == ["/a/page/x.zip"]


@pytest.mark.parametrize(("name", "as_of"), [("1_July_2026.zip", "2026-07-31"), ("1.zip", None)])
def test_the_page_has_no_complaints(name: str, as_of: str | None) -> None:
    """Its files have the last month in a name as their age; the page itself has no age."""
    with serve(HTMLResponse(f'<a href="{name}">')) as url:
        raw = Archive(page=url).fetch(ArchivePage(url))

    (file,) = raw.next_parts
    assert isinstance(file, FilePart)
    assert file.as_of == as_of
    assert raw.info.age is None
    assert str(raw) == "archive page, 1 file"
    assert raw.take_content() is None


def test_a_page_without_files_is_an_error() -> None:
    """CFPB may have moved its archive; the error says what to do."""
    with pytest.raises(fetch_errors.NoArchiveError, match="--file") as raised:
        files_on(OTHERS)

    assert raised.value.url.endswith("/a/page/")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (faults.forbidden_html(), http_errors.AccessDeniedError),
        (None, http_errors.NotFoundError),
        (faults.unavailable_html(), http_errors.ServerFailureError),
    ],
    ids=["403", "404", "503"],
)
def test_a_page_that_cannot_be_fetched(
    fault: Fault | None, kind: type[http_errors.ServerError]
) -> None:
    """The error has its class, and names the page."""
    with serve(Faulty(Emulator([]), otherwise=fault)) as url:
        page = ArchivePage(urljoin(url, ARCHIVE_PATH))
        with pytest.raises(kind) as raised:
            Archive().fetch(page)

    assert raised.value.server is http_errors.ARCHIVE_PAGE


# --- the source -----------------------------------------------------------------------------


NAMES = {
    "the last of several": (
        ["CCDB_Export_20_July_2026.zip", "CCDB_Export_4_November_2022_through_August_2023.zip"],
        "2026-07-31",
    ),
    "of a range": (["Export_15_January_2024_through_February_2024.zip"], "2024-02-29"),
    "with spaces": (["Export%2021%20August%202026.zip"], "2026-08-31"),
    "in lower case": (["export-june-2026.zip"], "2026-06-30"),
    "without a gap": (["APRIL2026.zip"], "2026-04-30"),
    "beside names without a month": (
        ["CCDB_Export_1.zip", "CCDB_Export_2_May_2026.zip"],
        "2026-05-31",
    ),
    "no month": (["CCDB_Export_1.zip", "Mayor_2026.zip", "2026.zip"], None),
    "later than expected": (["Export_1.zip", "Export_22_September_2026.zip"], "2026-09-30"),
}


@pytest.mark.parametrize(("names", "day"), NAMES.values(), ids=NAMES)
def test_all_files_of_the_page_are_as_of_the_last_month(names: list[str], day: str | None) -> None:
    """All files were made then, also those of older years."""
    files = [f"https://cfpb.example/f/{name}" for name in names]
    page = "".join(f'<a href="{file}">' for file in files)

    with serve(HTMLResponse(page)) as url:
        raw = Archive(page=url).fetch(ArchivePage(url))
    assert raw.next_parts == [FilePart(file, day) for file in files]


@pytest.mark.parametrize(("names", "day"), NAMES.values(), ids=NAMES)
def test_given_files_are_as_old_as_their_names_show(names: list[str], day: str | None) -> None:
    """Only the archive's last file shows that all files were made in its last month."""
    files = tuple(f"https://cfpb.example/f/{name}" for name in names)

    has_last = day is not None and day >= ARCHIVED_UNTIL
    archived_by = ARCHIVED_UNTIL if day and not has_last else None
    assert Archive(files).parts() == [
        FilePart(file, day if has_last else None, archived_by) for file in files
    ]


def test_the_first_parts() -> None:
    """It starts with the page, or with given files; each part is restored from its JSON."""
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


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    """Different paths to it are the same file."""
    file = tmp_path / "x.zip"

    assert Archive((str(file), str(file), f"{tmp_path}/./x.zip")).parts() == [FilePart(str(file))]


def test_stored_versions_are_read_again_after_other_loads() -> None:
    """A stored file may fill the gaps of complaints that were added since."""
    stored = {"x.zip": FileVersion('"1"')}
    watermark = Watermark(Path("c.db"), versions=stored)

    assert Archive().resume_from(watermark).stored_versions == stored
    assert Archive().resume_from(replace(watermark, added_since=True)).stored_versions == {}


@pytest.mark.parametrize("source", [Archive(), BulkFile()])
def test_lines_are_compared_with_the_database_of_the_load(source: Archive | BulkFile) -> None:
    """A source that names another database would skip lines that this one does not have."""
    assert source.resume_from(Watermark(Path("c.db"))).database == Path("c.db")
