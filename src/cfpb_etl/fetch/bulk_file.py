"""CFPB's daily file as a source: all complaints that it publishes, in one zip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cfpb_etl.fetch.complaint_file import FilePart, FileSource, fetch_complaint_file
from cfpb_etl.model.part import FileVersion  # noqa: TC001 - Prefect reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.model.part import RawPart
    from cfpb_etl.model.source import SourceKind, Watermark

# docs/facts.md, "Daily file"
BULK_URL = "https://files.consumerfinance.gov/ccdb/complaints.csv.zip"
# Of the stored complaints; of the archive's, 0.2 % were gone (docs/facts.md, "Removed complaints").
MAX_WITHDRAWN = 1 / 100


@dataclass(frozen=True)
class BulkFile(FileSource):
    """CFPB's daily file. After it is loaded, the database has the same complaints.

    Attributes:
        file: Its address, or the path of a file like it, zipped or not.
        database: The SQLite file; the download is saved beside it.
        allow_withdrawals: Accept the file however many of the stored complaints are missing.
        stored_version: The version of it that is stored, once that has been found.
    """

    file: str = BULK_URL
    database: Path = Path("complaints.db")
    allow_withdrawals: bool = False
    stored_version: FileVersion | None = None

    kind: ClassVar[SourceKind] = "bulk"
    is_partial: ClassVar[bool] = False
    proves_absence: ClassVar[bool] = True

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        return self._part.address

    def query_json(self) -> str:
        """Return the query as JSON: everything."""
        return "{}"

    def resume_from(self, watermark: Watermark) -> BulkFile:
        """Return this with the version of the file that is stored."""
        return replace(self, stored_version=watermark.versions.get(self._part.key))

    @property
    def _part(self) -> FilePart:
        return FilePart.at(self.file)

    def parts(self) -> Sequence[FilePart]:
        """Return the file."""
        return [self._part]

    def part_from_json(self, text: str) -> FilePart:
        """Return the file that `to_json` wrote."""
        return FilePart.from_json(text)

    def fetch(self, part: FilePart) -> RawPart:
        """Download the file, unless this version of it is stored.

        Raises:
            ServerError: One of its subclasses, for each way in which a download can fail.
            FileError: One of its subclasses, if the file cannot be used or the disk is too full.
        """
        info = {
            "proves_absence": True,
            "max_withdrawn": 1.0 if self.allow_withdrawals else MAX_WITHDRAWN,
        }
        return fetch_complaint_file(part, self.database, self.stored_version, info)
