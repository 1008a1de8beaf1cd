"""CFPB's archive of narratives as a source: what it published until August 2026, in some zips.

The archive's page is the first part: it tells the files, whose names follow no rule that lasts
(DATA.md section 1).
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

from cfpb_etl.fetch.complaint_file import FilePart, fetch_complaint_file, read_nothing
from cfpb_etl.fetch.errors import NoArchiveError
from cfpb_etl.fetch.http.client import get_page
from cfpb_etl.fetch.http.errors import ARCHIVE_PAGE
from cfpb_etl.model.part import FileVersion, PartInfo, RawPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cfpb_etl.fetch.http.rate_limit import RateLimiter
    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Watermark

ARCHIVE_URL = (  # DATA.md section 1
    "https://www.consumerfinance.gov/foia-requests/foia-electronic-reading-room/"
    "cfpb-consumer-complaint-database-narratives-archive/"
)
_MONTHS = {name: number for number, name in enumerate(calendar.month_name) if name}
_MONTH = re.compile(rf"({'|'.join(_MONTHS)})[_ -]?(20\d\d)", re.IGNORECASE)


@dataclass(frozen=True)
class ArchivePage:
    """The page that tells where the archive's files are."""

    address: str
    key: ClassVar[str] = ""

    def __str__(self) -> str:
        return "archive page"

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({"page": self.address})

    def first(self) -> ArchivePage:
        """Return this: there is one."""
        return self


@dataclass(frozen=True)
class Archive:
    """CFPB's archive of narratives, which adds what newer sources no longer have.

    Attributes:
        files: Its files, addresses or paths; none to look for them on its page.
        database: The SQLite file, beside which they are downloaded.
        page: The address of its page.
        known: The version of each file that the database holds, when these have been found.
    """

    files: tuple[str, ...] = ()
    database: Path = Path("complaints.db")
    page: str = ARCHIVE_URL
    known: Mapping[str, FileVersion] = field(default_factory=dict)

    kind: ClassVar[str] = "archive"
    pace: ClassVar[RateLimiter | None] = None
    max_concurrency: ClassVar[int] = 1
    limit: ClassVar[int | None] = None
    updates: ClassVar[int | None] = None
    proves_absence: ClassVar[bool] = False

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        return "local files" if self.files else self.page

    def described(self) -> str:
        """Return which files are asked for, as JSON; a path says little without its folder."""
        files = [FilePart.at(file).address for file in self.files]
        return json.dumps({"files": files} if files else {})

    def resume_from(self, watermark: Watermark) -> Archive:
        """Return this, and the versions that need not be read again.

        A file has something to add to complaints that came since it was stored.
        """
        return replace(self, known={} if watermark.added_since else watermark.versions)

    def parts(self) -> Sequence[Part]:
        """Return the page, or the files where these are known."""
        return _dated(self.files) if self.files else [ArchivePage(self.page)]

    def part_from_json(self, progress: str) -> Part:
        """Return the part that `to_json` told of."""
        told = json.loads(progress)
        return ArchivePage(told["page"]) if "page" in told else FilePart(**told)

    def fetch(self, part: ArchivePage | FilePart) -> RawPart:
        """Bring one file here, or find out where they are.

        Raises:
            ServerError: One of its subclasses, for every way in which that can fail.
            FileError: One of its subclasses, if a file cannot be used or there is no room for it.
            NoArchiveError: If the page tells no files.
        """
        if isinstance(part, ArchivePage):
            return _files_of(part)
        return fetch_complaint_file(
            part, self.database, self.known.get(part.key), {"fills_gaps_only": True}
        )

    def split(self, raw: RawPart, under_way: int) -> Sequence[Part]:  # noqa: ARG002
        """Return what follows a part."""
        return raw.following


def _files_of(page: ArchivePage) -> RawPart:
    links = _Links()
    links.feed(get_page(page.address, ARCHIVE_PAGE))
    files = _dated(filter(None, (_zip_at(page.address, link) for link in links.found)))
    if not files:
        raise NoArchiveError(page.address)
    name = f"archive page, {len(files)} files"
    info = PartInfo(page, name, None, None, None, files[0].as_of or date.max.isoformat())
    return RawPart(None, read_nothing, info, files)


def _zip_at(page: str, link: str) -> str | None:
    """Return the address of the zip that a page links to, or None if it is another link."""
    try:
        address = urldefrag(urljoin(page, link.strip())).url
        parts = urlsplit(address)
    except ValueError:  # of a host that cannot be one
        return None
    is_zip = parts.scheme in ("http", "https") and parts.path.lower().endswith(".zip")
    return address if is_zip else None


def _dated(addresses: Iterable[str]) -> list[FilePart]:
    """Return the files, each of the archive's last month: it was made then, of all its years."""
    files = [*dict.fromkeys(map(FilePart.at, addresses))]
    months = [
        (int(year), _MONTHS[month.title()])
        for file in files
        for month, year in _MONTH.findall(file.name)
    ]
    if not months:
        return files
    year, month = max(months)
    last_day = date(year, month, calendar.monthrange(year, month)[1]).isoformat()
    return [replace(file, as_of=last_day) for file in files]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [link for name, link in attrs if name == "href" and link]
