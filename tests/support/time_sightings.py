"""Makes the things that people load from a made-up CFPB, and serves what is on its servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from cfpb_etl.emulator import ARCHIVE_PATH, BULK_PATH, Emulator, write_bulk_file
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.query import Query
from support.time_world import (
    ARCHIVED,
    BEGIN,
    COLUMNS,
    COMPANIES,
    DISPUTED,
    FIRST_DAY,
    NARRATIVE,
    Sighting,
    csv_text,
    day_in,
    newest_day,
    newest_received,
    save,
    stored_row,
    touch,
    zip_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path
    from random import Random

    from starlette.types import Receive, Scope, Send

    from cfpb_etl.emulator import RawComplaint
    from support.time_world import Moment, Row, World

DOCUMENTS = "/f/documents/"
ZIPS = {  # the archive's files, each with its last day
    "CCDB_Export_1_December_2011_through_December_2017": "2017-12-31",
    "CCDB_Export_2_January_2018_through_May_2026": "2026-05-31",
    "CCDB_Export_3_June_2026_through_August_2026": "2026-08-31",
}
MANY_STATES = 50  # a part of this world has fewer


@dataclass
class Site:
    """CFPB's servers, which show one moment at a time.

    Attributes:
        api_url: The URL of the search API.
        app: The emulator of the moment.
    """

    api_url: str = ""
    app: Emulator = field(default_factory=lambda: Emulator([]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self.app(scope, receive, send)


def answer(moment: Moment, query: Query, limit: int | None) -> dict[int, Row]:
    """Return the complaints that the search API has for a query, without their paging."""

    def matches(raw: RawComplaint) -> bool:
        chosen = ((query.state, "state"), (query.product, "product"), (query.company, "company"))
        return (query.since or "") <= day_in(raw) <= (query.until or "9") and all(
            not values or raw[name] in values for values, name in chosen
        )

    found = [number for number, raw in moment.rows.items() if matches(raw)]
    if limit is not None:
        found.sort(key=lambda n: (day_in(moment.rows[n]), str(n)), reverse=True)
    return {number: stored_row(moment.rows[number]) for number in found[:limit]}


@dataclass
class Shelf:
    """Everything that a person can load at a moment: live data, and files saved before.

    Attributes:
        rng: Chooses.
        world: The made-up CFPB.
        folder: Where files are saved.
        site: The servers.
        database: The database that is loaded.
        now: The present moment. Live data are from this moment, and no file is from a later one.
        saved: How many files were saved.
    """

    rng: Random
    world: World
    folder: Path
    site: Site
    database: Path
    now: int = 1
    saved: int = 0

    @property
    def moment(self) -> Moment:
        """Return the present moment."""
        return self.world.moments[self.now]

    def pass_time(self) -> None:
        """Go to a later moment, or stay, and let the servers show it."""
        last = len(self.world.moments) - 1
        self.now = min(last, self.now + self.rng.choice((0, 0, 1, 1, 2, 4, 9)))
        files = self.folder / "served"
        rows = [
            {name: value for name, value in raw.items() if name != DISPUTED}
            for raw in [*self.moment.rows.values()][::-1]
        ]
        self.site.app = Emulator(rows, files=files, today=self.moment.day)
        path = write_bulk_file(files, rows, day=self.moment.day)
        touch(path, self.moment.day, self.now)

    def choose(self) -> Sighting:
        """Return something to load."""
        makers: list[Callable[[], Sighting]] = [
            *[self.download] * 2,
            *[self.daily] * 4,
            *[self.part] * 5,
            self.archive,
            *[self.pull] * 4,
        ]
        return self.rng.choice(makers)()

    def _earlier(self) -> Moment:
        """Return a moment whose files people still have."""
        return self.world.moments[self.rng.randint(1, self.now)]

    def _stem(self, name: str) -> Path:
        self.saved += 1
        stem = self.folder / str(self.saved) / name
        stem.parent.mkdir()
        return stem

    # --- files ------------------------------------------------------------------------------

    def download(self) -> Sighting:
        """Return the daily file on the server."""
        url = urljoin(self.site.api_url, BULK_PATH)
        rows = {n: stored_row(raw) for n, raw in self.moment.rows.items()}
        source = BulkFile(url, self.database, allow_withdrawals=True)
        return self._whole("download", source, self.moment, rows, url=url)

    def daily(self) -> Sighting:
        """Return a daily file that was saved, which people sometimes declare to be a part."""
        moment = self._earlier()
        rows = {n: stored_row(raw) for n, raw in moment.rows.items()}
        file = save(self.rng, self._stem("complaints"), csv_text(rows, COLUMNS), moment.day)
        # In this small world, more than 1 % is withdrawn between two files.
        source = BulkFile(str(file.path), self.database, allow_withdrawals=True, whole=True)
        if self.rng.random() < 0.85:
            return self._whole(f"daily file {file.days}", source, moment, rows)
        source = BulkFile(str(file.path), self.database, whole=False)
        latest = file.latest(newest_day(rows.values()))
        return _part(f"daily file as a part {file.days}", source, moment, rows, latest)

    def _whole(
        self, what: str, source: BulkFile, moment: Moment, rows: Mapping[int, Row], **facts: Any
    ) -> Sighting:
        return Sighting(
            *(what, source, moment, rows, frozenset(COLUMNS), moment.scale, moment.scale),
            is_whole=True,
            **facts,
        )

    def part(self) -> Sighting:
        """Return a file with a part of the complaints, some with one more column."""
        moment = self._earlier()
        columns, filtered = self._columns(), self._filtered(moment)
        rows = {number: stored_row(raw, columns) for number, raw in filtered.items()}
        text, rng = csv_text(rows, columns), self.rng
        received, newest = newest_received(rows.values()), newest_day(rows.values())
        how = rng.choice(("saved", "saved", "exported", "served", "stated"))
        if how == "stated" and newest <= moment.scale:
            path = self._stem("mine.csv")
            path.write_text(text, "utf-8", newline="")
            source = BulkFile(str(path), self.database, as_of=moment.scale)
            return Sighting(
                *("part --as-of", source, moment, rows, columns, moment.scale, moment.scale),
                may_cover=True,
                settles_ties=True,
            )
        if how == "served":
            self.saved += 1
            path = self.folder / "served" / "f" / "documents" / f"part{self.saved}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="")
            touch(path, moment.day)
            url = urljoin(self.site.api_url, DOCUMENTS + path.name)
            latest = str(moment.day)
            return _part("part by URL", BulkFile(url, self.database), moment, rows, latest, columns)
        start, exported = received, ""
        if how == "exported":
            file = save(rng, self._stem(f"complaints-{moment.day}_10_30"), text, moment.day)
            latest = file.latest(newest, str(moment.day))
            start = max(received, str(moment.day - timedelta(6)))
            exported = str(moment.day)  # CFPB's name for it
        else:
            file = save(rng, self._stem("mine"), text, moment.day)
            latest = file.latest(newest)
        source = BulkFile(str(file.path), self.database)
        return _part(
            *(f"part {file.path.name} {file.days}", source, moment, rows, latest, columns, start),
            exported=exported,
        )

    def _columns(self) -> frozenset[str]:
        return frozenset({*COLUMNS, *self.rng.choice(((), (DISPUTED,)))})

    def _filtered(self, moment: Moment) -> dict[int, RawComplaint]:
        rng = self.rng
        states = {*rng.sample(sorted({str(raw["state"]) for raw in moment.rows.values()}), 12)}
        company, since = rng.choice(COMPANIES), str(moment.day - timedelta(rng.choice((9, 30))))
        keep: Callable[[RawComplaint], bool] = rng.choice(
            (
                lambda raw: raw["state"] in states,
                lambda raw: raw["company"] == company,
                lambda raw: day_in(raw) >= since,
                lambda raw: day_in(raw)[:4] == "2026",
            )
        )
        found = {number: raw for number, raw in moment.rows.items() if keep(raw)}
        starts_late = min(map(day_in, found.values())) > "2011-12-31"
        assert starts_late or len({raw["state"] for raw in found.values()}) < MANY_STATES
        return found

    # --- archive ----------------------------------------------------------------------------

    def archive(self) -> Sighting:
        """Return the archive by its page or as local files, or one of its files."""
        moment, columns = self.world.moments[0], frozenset({*COLUMNS, NARRATIVE})
        every: dict[str, dict[int, Row]] = {name: {} for name in ZIPS}
        for number, raw in moment.rows.items():
            name = next(name for name, last in ZIPS.items() if day_in(raw) <= last)
            story = {NARRATIVE: self.world.narratives.get(number)}
            every[name][number] = stored_row(raw) | story
        folder = self.folder / "served" / "f" / "documents"
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{name}.zip" for name in ZIPS]
        for path in paths:
            if not path.exists():
                zip_text(path, csv_text(every[path.stem], columns), date(2026, 9, 1))
                touch(path, date(2026, 9, 1))
        if self.rng.random() < 0.4:
            path = self.rng.choice(paths)
            rows = every[path.stem]
            return Sighting(
                f"archive {path.stem}",
                Archive((str(path),), self.database),
                moment,
                rows,
                columns,
                earliest=newest_received(rows.values()),
                stated=str(ARCHIVED) if path is paths[-1] else newest_day(rows.values()),
                latest=str(ARCHIVED),
            )
        page = urljoin(self.site.api_url, ARCHIVE_PATH)
        local = self.rng.random() < 0.5
        source = Archive(tuple(map(str, paths)) if local else (), self.database, page)
        rows = {number: row for rows in every.values() for number, row in rows.items()}
        day = str(ARCHIVED)
        return Sighting(
            f"archive {'local' if local else ''}", source, moment, rows, columns, day, day
        )

    # --- the search API ---------------------------------------------------------------------

    def pull(self) -> Sighting:
        """Return a pull of the search API, which always shows the present."""
        rng, limit, lookback = self.rng, None, None
        match rng.choice(("all", "recent", "filter", "newest", "update", "update")):
            case "all":
                query = Query(since=str(FIRST_DAY))
            case "recent":
                query = Query(since=str(BEGIN - timedelta(rng.choice((0, 20, 60)))))
            case "filter":
                query = Query(since=str(FIRST_DAY), company=(rng.choice(COMPANIES),))
            case "newest":
                query, limit = Query(), 40
            case _:
                query, lookback = Query(), rng.choice((5, 30))
        source = SearchApi(
            query,
            limit,
            self.site.api_url,
            rate_limit=None,
            page_size=rng.choice((50, 10_000)),
            lookback=lookback,
        )
        return self.pulled(source)

    def pulled(self, source: SearchApi) -> Sighting:
        """Return a pull with a query that may have been found in the database."""
        query, moment = source.query, self.moment
        rows = answer(moment, query, source.limit)
        unfiltered = source.limit is None and not query.filters_more_than_days
        # If the newest day is not plausible, one more request finds the newest plausible day.
        earliest = latest = stated = moment.scale
        return Sighting(
            f"pull {query} limit {source.limit}{' update' * source.is_update}",
            *(source, moment, rows, frozenset(COLUMNS), earliest, latest, stated),
            since=(query.since or "0") if unfiltered else None,
            settles_ties=True,
        )


def _part(
    what: str,
    source: BulkFile,
    moment: Moment,
    rows: Mapping[int, Row],
    latest: str,
    columns: Collection[str] = COLUMNS,
    start: str = "",
    exported: str = "",
) -> Sighting:
    received, newest = newest_received(rows.values()), newest_day(rows.values())
    return Sighting(
        *(what, source, moment, rows, frozenset(columns), max(received, start), latest),
        stated=max(newest, exported),
        may_cover=True,
        url=source.file if source.file.startswith("http") else None,
    )
