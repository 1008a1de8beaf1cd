"""A server of the daily file, and loads of it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cfpb_etl.emulator import BULK_PATH, Emulator, serve
from cfpb_etl.fetch.bulk_file import BulkFile
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import rows
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from cfpb_etl.emulator import FileRequest, RawComplaint

YESTERDAY, TODAY, TOMORROW = date(2026, 10, 7), date(2026, 10, 8), date(2026, 10, 9)
COMPLAINTS = made_up(3_000)
CHANGES = "SELECT complaint_id, load_id, column_name, old, new FROM complaint_change ORDER BY rowid"


@dataclass
class DailyFile:
    """A server of the daily file, and the folder of the database that loads the file.

    Attributes:
        emulator: The emulator of CFPB.
        api_url: The URL of the search API.
        folder: The folder of the database.
    """

    emulator: Emulator
    api_url: str
    folder: Path

    @property
    def url(self) -> str:
        """Return the URL of the daily file."""
        return urljoin(self.api_url, BULK_PATH)

    @property
    def zip(self) -> Path:
        """Return the path of the daily file on the server."""
        return self.folder / "files" / BULK_PATH.lstrip("/")

    @property
    def requests(self) -> list[FileRequest]:
        """Return the requests for the daily file."""
        return self.emulator.file_requests

    @property
    def statuses(self) -> list[int]:
        """Return the status of each request for the daily file."""
        return [request.status for request in self.requests]

    @property
    def downloads(self) -> list[str]:
        """Return the names of all downloads in the folder of the database."""
        return sorted(path.name for path in self.folder.glob("complaints.db-download-*"))

    def load(self, **options: Any) -> State[Any]:
        """Run the flow for the daily file."""
        return load(self.url, self.folder, **options)


def load(file: str, folder: Path, **options: Any) -> State[Any]:
    """Run the flow for a file."""
    database = folder / "complaints.db"
    return load_source(BulkFile(file, database, **options), database, folder / "flow.svg")


@contextmanager
def serve_daily_file(
    folder: Path, complaints: list[RawComplaint] | None = None, **faults: Any
) -> Iterator[DailyFile]:
    """Serve complaints, with faults if any are given. No file is published yet."""
    emulator = Emulator(COMPLAINTS if complaints is None else complaints, files=folder / "files")
    with serve(Faulty(emulator, **faults) if faults else emulator) as api_url:
        yield DailyFile(emulator, api_url, folder)


def by_id(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the rows of the database by complaint id."""
    return {row["complaint_id"]: row for row in rows(folder)}


def id_of(complaint: Mapping[str, Any]) -> int:
    """Return the id of a complaint as a number."""
    return int(complaint["complaint_id"])
