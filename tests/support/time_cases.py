"""A small CFPB for named cases of the order in time: tests change it, save files of it and load."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cfpb_etl.emulator import ARCHIVE_PATH, BULK_PATH, Emulator, write_bulk_file
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.query import Query
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.time_world import (
    ARCHIVED,
    COLUMNS,
    DISPUTED,
    NARRATIVE,
    csv_text,
    day_in,
    make_world,
    stored_row,
    touch,
    zip_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from cfpb_etl.emulator import RawComplaint
    from cfpb_etl.fetch.sources import AnySource
    from cfpb_etl.store.loads import Load
    from support.time_sightings import Site
    from support.time_world import Row

C, OTHER = 20_000_350, 20_000_357  # two complaints of summer 2026 that cases change
ARCHIVE_FILES = {  # each with its first and its last day
    "CCDB_Export_1_December_2011_through_December_2013": ("2011-12-01", "2013-12-31"),
    "CCDB_Export_2_January_2014_through_August_2026": ("2014-01-01", "2026-08-31"),
}


def load(database: Path, source: AnySource) -> LoadStats:
    """Load a source without Prefect."""
    return load_with(database, source)[0]


def load_with(database: Path, source: AnySource) -> tuple[LoadStats, Load]:
    """Load a source without Prefect, and return the numbers and the load."""
    stats = LoadStats()
    with open_load(database, source) as running:
        while parts := running.parts_left():
            raw = running.source.fetch(parts[0])
            raw.next_parts = running.source.split(raw, 0)
            stats += store_part(parse_part(raw), running.id, database)
        assert running.verify() == 0
    return stats, running


@dataclass
class Cfpb:
    """What CFPB has, and a database that is loaded from it.

    Attributes:
        folder: The folder of the database and of saved files.
        site: The servers.
        rows: The complaints by id.
        saved: How many files were saved.
        received: How many complaints were received.
    """

    folder: Path
    site: Site
    rows: dict[int, RawComplaint] = field(
        default_factory=lambda: dict(make_world(Random(2026), days=0).moments[0].rows)  # noqa: S311
    )
    saved: int = 0
    received: int = 0
    _last: RawComplaint = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """Return the path of the database."""
        return self.folder / "complaints.db"

    # --- what happens at CFPB ---------------------------------------------------------------

    def receive(self, day: str, sent: str = "", number: int = 0, **values: str | None) -> int:
        """Publish a new complaint, and return its id."""
        self.received += 1
        number = number or 30_000_000 + self.received
        days = {"date_received": day, "date_sent_to_company": sent or day}
        times = {name: f"{each}T12:00:00.000Z" for name, each in days.items()}
        changed = {"complaint_id": str(number), **times, **values}
        self.rows[number] = self.rows.get(C, self._last) | changed
        self._last = self.rows[number]
        return number

    def change(self, number: int = C, **values: str | None) -> None:
        """Change a complaint."""
        self.rows[number] = self.rows[number] | values

    def withdraw(self, number: int = C) -> RawComplaint:
        """Remove a complaint, and return it."""
        self._last = self.rows.pop(number)
        return self._last

    def publish(self, today: str, *, last_modified: str = "") -> None:
        """Show the complaints on the servers."""
        files = self.folder / "served"
        rows = [
            {name: value for name, value in raw.items() if name != DISPUTED}
            for raw in self.rows.values()
        ]
        day = date.fromisoformat(today)
        self.site.app = Emulator(rows, files=files, today=day)
        path = write_bulk_file(files, rows, day=min(day, date(2099, 1, 1)))
        touch(path, date.fromisoformat(last_modified or today))

    # --- files that people keep -------------------------------------------------------------

    def text(
        self,
        keep: Callable[[RawComplaint], bool] = lambda _: True,
        columns: Collection[str] = COLUMNS,
    ) -> str:
        """Return the present complaints, or some of them, as CSV."""
        kept = {number: raw for number, raw in self.rows.items() if keep(raw)}
        return csv_text({n: stored_row(raw, columns) for n, raw in kept.items()}, columns)

    def csv(self, text: str, changed: str = "", name: str = "complaints.csv") -> str:
        """Save a CSV with a modification time; by default, it is the present."""
        path = self._path(name)
        path.write_text(text, "utf-8", newline="")
        if changed:
            touch(path, date.fromisoformat(changed))
        return str(path)

    def zip(self, text: str, day: str, changed: str = "") -> str:
        """Save a zip with a day in the zip and a modification time."""
        path = self._path("complaints.zip")
        zip_text(path, text, date.fromisoformat(day))
        if changed:
            touch(path, date.fromisoformat(changed))
        return str(path)

    def _path(self, name: str) -> Path:
        self.saved += 1
        path = self.folder / f"saved{self.saved}" / name
        path.parent.mkdir()
        return path

    def archive(self) -> list[str]:
        """Put an archive with narratives on the server, and return the paths of its files."""
        folder = self.folder / "served" / "f" / "documents"
        folder.mkdir(parents=True)
        columns, paths = {*COLUMNS, NARRATIVE}, []
        for name, (first, last) in ARCHIVE_FILES.items():
            rows: dict[int, Row] = {
                number: stored_row(raw) | {NARRATIVE: f"Story {number}"}
                for number, raw in self.rows.items()
                if first <= day_in(raw) <= last
            }
            path = folder / f"{name}.zip"
            zip_text(path, csv_text(rows, columns), ARCHIVED)
            paths.append(str(path))
        return paths

    # --- loads ------------------------------------------------------------------------------

    def load_file(self, file: str, **options: Any) -> LoadStats:
        """Load a file."""
        return load(self.database, BulkFile(file, self.database, **options))

    def download(self, **options: Any) -> LoadStats:
        """Load the daily file from the server."""
        return self.load_file(urljoin(self.site.api_url, BULK_PATH), **options)

    def load_archive(self, *files: str) -> LoadStats:
        """Load the archive's page, or some files of the archive."""
        page = urljoin(self.site.api_url, ARCHIVE_PATH)
        return load(self.database, Archive(files, self.database, page))

    def api(self, limit: int | None = None, lookback: int | None = None, **query: Any) -> SearchApi:
        """Return a pull of the search API."""
        chosen = Query(**query)
        return SearchApi(chosen, limit, self.site.api_url, rate_limit=None, lookback=lookback)

    def pull(self, since: str = "2011-12-01", **query: Any) -> LoadStats:
        """Load from the search API."""
        return load(self.database, self.api(since=since, **query))

    # --- what is stored ---------------------------------------------------------------------

    def query(self, sql: str) -> list[Any]:
        """Query the database."""
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(sql).fetchall()

    def value(self, column: str = "timely", number: int = C) -> str | None:
        """Return a stored value of a complaint."""
        ((value,),) = self.query(f"SELECT {column} FROM complaint WHERE complaint_id = {number}")  # noqa: S608
        return None if value is None else str(value)

    def marks(self) -> dict[int, str]:
        """Return the complaints that are marked as withdrawn, with their marks."""
        marked = "SELECT complaint_id, withdrawn_on FROM complaint WHERE withdrawn_on IS NOT NULL"
        return dict(self.query(marked))
