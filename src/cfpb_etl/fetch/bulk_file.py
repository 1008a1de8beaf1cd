"""CFPB's daily file as a source: all complaints that it publishes, in one zip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cfpb_etl.fetch.complaint_file import FilePart, fetch_complaint_file
from cfpb_etl.store.merge import MIRROR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.fetch.http.rate_limit import RateLimiter
    from cfpb_etl.model.part import Part, RawPart
    from cfpb_etl.model.source import Watermark

BULK_URL = "https://files.consumerfinance.gov/ccdb/complaints.csv.zip"  # DATA.md section 1
MOST_WITHDRAWN = 1 / 100  # of the stored complaints; of the archive, 0.2 % were gone (DATA.md 4)


@dataclass(frozen=True)
class BulkFile:
    """CFPB's daily file, after which the database equals it.

    Attributes:
        file: Its address, or the path of a file like it, zipped or not.
        database: The SQLite file, beside which it is downloaded.
        allow_withdrawals: Believe the file however many of the stored complaints it lacks.
        known: The version of it that the database holds, when that has been found.
    """

    file: str = BULK_URL
    database: Path = Path("complaints.db")
    allow_withdrawals: bool = False
    known: FileVersion | None = None

    kind: ClassVar[str] = MIRROR
    pace: ClassVar[RateLimiter | None] = None
    max_concurrency: ClassVar[int] = 1
    limit: ClassVar[int | None] = None
    updates: ClassVar[int | None] = None
    proves_absence: ClassVar[bool] = True

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        return self._part.address

    def described(self) -> str:
        """Return what is asked for, as JSON: everything."""
        return "{}"

    def resume_from(self, watermark: Watermark) -> BulkFile:
        """Return this, and the version of the file that the database holds."""
        return replace(self, known=watermark.versions.get(self._part.key))

    @property
    def _part(self) -> FilePart:
        return FilePart.at(self.file)

    def parts(self) -> Sequence[FilePart]:
        """Return the file."""
        return [self._part]

    def part_from_json(self, progress: str) -> FilePart:
        """Return the file that `to_json` told of."""
        return FilePart.from_json(progress)

    def fetch(self, part: FilePart) -> RawPart:
        """Bring the file here, unless the database holds this very version.

        Raises:
            ServerError: One of its subclasses, for every way in which a download can fail.
            FileError: One of its subclasses, if the file cannot be used or there is no room for it.
        """
        info = {
            "proves_absence": True,
            "most_withdrawn": 1.0 if self.allow_withdrawals else MOST_WITHDRAWN,
        }
        return fetch_complaint_file(part, self.database, self.known, info)

    def split(self, raw: RawPart, under_way: int) -> Sequence[Part]:  # noqa: ARG002
        """Return what follows the file, which is nothing."""
        return raw.following
