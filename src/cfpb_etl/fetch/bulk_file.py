"""CFPB's daily file as a source: one zip with all complaints that CFPB publishes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from cfpb_etl.fetch.complaint_file import (
    FilePart,
    FileSource,
    fetch_complaint_file,
)
from cfpb_etl.fetch.http.addresses import reference_to, refuse_unsafe_file
from cfpb_etl.model.file import FileVersion  # noqa: TC001 - Prefect reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.model.part import RawPart
    from cfpb_etl.model.source import SourceKind, Watermark

# docs/facts.md, "Daily file"
BULK_URL = "https://files.consumerfinance.gov/ccdb/complaints.csv.zip"
# The largest accepted share of withdrawn complaints. 0.2 % of the archive's complaints were not in
# the daily file (docs/facts.md, "Removed complaints").
MAX_WITHDRAWN = 1 / 100


@dataclass(frozen=True)
class BulkFile(FileSource):
    """CFPB's daily file. After its load, the database has the same complaints as the file.

    Attributes:
        file: The file's URL, or the path of such a file, zipped or not. A URL with a query must be
            given as `env:NAME`, `secret:NAME` or a reference (`cfpb_etl.fetch.http.addresses`).
        database: The SQLite file. The download is saved in the same folder.
        allow_withdrawals: Whether to accept the file even if it does not have many of the stored
            complaints.
        whole: Whether the file has all complaints that CFPB publishes; None to decide by its
            address and its complaints.
        stored_version: The version of the file that is stored; None if it is not read yet or no
            file is stored.

    Raises:
        AddressRefusedError, SecretAddressError: If the URL must not be stored.
    """

    file: str = BULK_URL
    database: Path = Path("complaints.db")
    allow_withdrawals: bool = False
    whole: bool | None = None
    stored_version: FileVersion | None = None

    kind: ClassVar[SourceKind] = "bulk"
    proves_absence: ClassVar[bool] = True

    def __post_init__(self) -> None:
        refuse_unsafe_file("file", self.file)

    @property
    def is_partial(self) -> bool:
        """Say whether the file has only some of all complaints. Its complaints can show this."""
        return self.whole is False

    @property
    def address(self) -> str:
        """Return the file's URL or path, as a load records it."""
        return self._part.address

    def query_json(self) -> str:
        """Return the query as JSON; it has no filters."""
        return "{}"

    def resume_from(self, watermark: Watermark) -> BulkFile:
        """Return this source with the version of the file that is stored."""
        # If the user says now what the file has, a stored version must be read again.
        stored = watermark.versions.get(self._part.key) if self.whole is None else None
        return self.resumed(watermark, database=watermark.database, stored_version=stored)

    @property
    def _part(self) -> FilePart:
        return FilePart.at(self.file)

    def parts(self) -> Sequence[FilePart]:
        """Return the file as the only part."""
        return [self._part]

    def part_from_json(self, text: str) -> FilePart:
        """Return the file from the JSON that `to_json` wrote."""
        return FilePart.from_json(text)

    def fetch(self, part: FilePart) -> RawPart:
        """Download the file, unless the same version is already stored.

        Raises:
            ServerError: If the download fails; each subclass is one kind of failure.
            FileError: If the file cannot be used, or the disk is too full.
        """
        path = urlsplit(reference_to(part.address)).path if part.is_remote else ""
        is_own = path == urlsplit(BULK_URL).path
        info = {
            "proves_absence": True,
            "is_whole": True if self.whole is None and is_own else self.whole,
            "max_withdrawn": 1.0 if self.allow_withdrawals else MAX_WITHDRAWN,
        }
        return fetch_complaint_file(self, part, self.database, self.stored_version, info)
