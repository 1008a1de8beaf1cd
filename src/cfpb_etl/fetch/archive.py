"""CFPB's archive of narratives as a source: zips of the complaints published until August 2026.

The archive's web page is the first part. The page links to the zips, because their names follow no
fixed rule (docs/facts.md, "Archive of narratives").
"""

from __future__ import annotations

import calendar
import json
import re
from collections.abc import Mapping  # noqa: TC003 - Prefect reads the annotations
from dataclasses import dataclass, field, replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urldefrag, urljoin, urlsplit

from cfpb_etl.fetch.complaint_file import (
    FilePart,
    FileSource,
    fetch_complaint_file,
)
from cfpb_etl.fetch.errors import AddressRefusedError, NoArchiveError
from cfpb_etl.fetch.http.addresses import (
    fault_of,
    is_unknown,
    keep,
    reference_to,
    refuse_unsafe,
    refuse_unsafe_file,
    whole,
)
from cfpb_etl.fetch.http.client import get_page
from cfpb_etl.fetch.http.errors import ARCHIVE_PAGE
from cfpb_etl.fetch.http.rate_limit import rate_limiter_for
from cfpb_etl.model.file import FileVersion  # noqa: TC001 - Prefect reads the annotations
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.model.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import SourceKind, Watermark

ARCHIVE_URL = (  # docs/facts.md, "Archive of narratives"
    "https://www.consumerfinance.gov/foia-requests/foia-electronic-reading-room/"
    "cfpb-consumer-complaint-database-narratives-archive/"
)
ARCHIVED_UNTIL = "2026-08-31"  # docs/facts.md, "Archive of narratives"
_MONTHS = {name: number for number, name in enumerate(calendar.month_name) if name}
_MONTH = re.compile(rf"({'|'.join(_MONTHS)})[_ -]?(20\d\d)", re.IGNORECASE)


@dataclass(frozen=True)
class ArchivePage:
    """The web page with the links to the archive's files."""

    address: str
    key: ClassVar[str] = ""

    def __str__(self) -> str:
        return "archive page"

    def to_json(self) -> str:
        """Return the page as JSON."""
        return json.dumps({"page": self.address})

    def first(self) -> ArchivePage:
        """Return this page, because the archive has only one page."""
        return self


@dataclass(frozen=True)
class Archive(FileSource):
    """CFPB's archive of narratives, which fills empty values that newer sources leave.

    Attributes:
        files: The URLs or paths of the archive's files; empty if the files must be found on the
            page. A URL with a query must be given as for `BulkFile`, also that of the page.
        database: The SQLite file. Downloads are saved in the same folder.
        page: The URL of the archive's web page.
        stored_versions: The stored version of each file; empty if the versions are not read yet.

    Raises:
        AddressRefusedError, SecretAddressError: If a URL must not be stored.
    """

    files: tuple[str, ...] = ()
    database: Path = Path("complaints.db")
    page: str = ARCHIVE_URL
    stored_versions: Mapping[str, FileVersion] = field(default_factory=dict)

    kind: ClassVar[SourceKind] = "archive"
    is_partial: ClassVar[bool] = True
    proves_absence: ClassVar[bool] = False

    def __post_init__(self) -> None:
        refuse_unsafe("file", self.page)
        for file in self.files:
            refuse_unsafe_file("file", file)

    @property
    def address(self) -> str:
        """Return the page's URL or `local files`, as a load records it."""
        return "local files" if self.files else self.page

    def query_json(self) -> str:
        """Return the given files as JSON, with absolute paths."""
        files = [FilePart.at(file).address for file in self.files]
        return json.dumps({"files": files} if files else {})

    def resume_from(self, watermark: Watermark) -> Archive:
        """Return this source with the stored versions of its files, which need not be read again.

        If a later load has added complaints, all files are read again to fill empty values.
        """
        stored = {} if watermark.added_since else watermark.versions
        return self.resumed(watermark, database=watermark.database, stored_versions=stored)

    def parts(self) -> Sequence[Part]:
        """Return the given files; if no files are given, return the page."""
        return _dated_files(self.files) if self.files else [ArchivePage(self.page)]

    def part_from_json(self, text: str) -> Part:
        """Return the part from the JSON that `to_json` wrote."""
        values = json.loads(text)
        return ArchivePage(values["page"]) if "page" in values else FilePart(**values)

    def fetch(self, part: ArchivePage | FilePart) -> RawPart:
        """Download one file, or find the files on the page.

        Raises:
            ServerError: If the request fails; each subclass is one kind of failure.
            FileError: If a file cannot be used, or the disk is too full.
            NoArchiveError: If the page has no link to a file.
        """
        if isinstance(part, ArchivePage):
            return _fetch_page(part)
        if is_unknown(part.address) and not self.files:
            _fetch_page(ArchivePage(self.page))  # an earlier run has found the file there
        stored = self.stored_versions.get(part.key)
        return fetch_complaint_file(self, part, self.database, stored, {"fills_gaps_only": True})


def _fetch_page(page: ArchivePage) -> RawPart:
    address = reference_to(page.address)
    parser = _LinkParser()
    with rate_limiter_for(address).request():
        parser.feed(get_page(address, ARCHIVE_PAGE))
    files = _files_of_page(filter(None, (_zip_url(whole(address), link) for link in parser.links)))
    if not files:
        raise NoArchiveError(url=address.partition("?")[0])
    name = f"archive page, {counted(len(files), 'file')}"
    return RawPart(None, PartInfo(page, name, None, None, None, None), files)


def _zip_url(page: str, link: str) -> str | None:
    """Return a reference to the zip of a link; None if the link points to anything else.

    Raises:
        AddressRefusedError: If the link has a user name or password.
    """
    try:
        address = urldefrag(urljoin(page, link.strip())).url
        parts = urlsplit(address)
    except ValueError:  # an invalid host name
        return None
    if parts.scheme not in ("http", "https") or not parts.path.lower().endswith(".zip"):
        return None
    # Some names of files are not valid in a URL, and requests encodes them.
    if parts.username is not None and (fault := fault_of(address)):
        raise AddressRefusedError(field="a link to a zip on the archive's page", fault=fault)
    return keep(address)


def _files_of_page(addresses: Iterable[str]) -> list[FilePart]:
    """Return the zips of the archive's page, each with the last day of the archive's last month."""
    files, last_day = _with_last_day(addresses)
    return [replace(file, as_of=last_day) for file in files]


def _dated_files(addresses: Iterable[str]) -> list[FilePart]:
    """Return given files of the archive, each with the days that their names show.

    CFPB wrote all zips of the archive when the archive was complete. Only the name of the last zip
    shows the archive's last month. Without that zip, the files may be as old as their complaints.
    """
    files, last_day = _with_last_day(addresses)
    if last_day is None:
        return files
    if last_day >= ARCHIVED_UNTIL:
        return [replace(file, as_of=last_day) for file in files]
    return [replace(file, archived_by=ARCHIVED_UNTIL) for file in files]


def _with_last_day(addresses: Iterable[str]) -> tuple[list[FilePart], str | None]:
    """Return the files, and the last day of the last month in their names; None if no month."""
    files = [*dict.fromkeys(map(FilePart.at, addresses))]
    months = [
        (int(year), _MONTHS[month.title()])
        for file in files
        for month, year in _MONTH.findall(file.name)
    ]
    if not months:
        return files, None
    year, month = max(months)
    return files, date(year, month, calendar.monthrange(year, month)[1]).isoformat()


class _LinkParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [link for name, link in attrs if name == "href" and link]
