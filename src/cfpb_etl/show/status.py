"""The contents of a database, the last loads, and how many complaints CFPB has now."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import humanize

from cfpb_etl.model.age import days_in_words
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.wording import counts, request_in_words
from cfpb_etl.plain_text import plain
from cfpb_etl.show.drift import Drift, fetch_drift, read_drift
from cfpb_etl.store.lock import is_locked
from cfpb_etl.store.merge.order import is_everything_loaded
from cfpb_etl.store.sqlite_file import open_for_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_RECENT = timedelta(days=7)
_MAX_REQUESTS = 3  # the text shows at most three requests; JSON has all


class Caveat(NamedTuple):
    """A fact that the reader of the numbers must know.

    Attributes:
        headline: The caveat in a few words.
        text: The caveat in a sentence.
    """

    headline: str
    text: str


_SAMPLE = Caveat(
    "Made-up complaints, for trying out cfpb-etl.",
    "None of this happened, even where a real company is named.",
)
_UNVERIFIED = Caveat(
    "Unverified complaints, not scaled by size.",
    "CFPB does not verify what consumers write, and large companies and states naturally have more"
    " complaints than small ones.",
)


@dataclass(frozen=True)
class LastLoad:
    """The newest load of one source, with the columns of the same names in the table `load`.

    Attributes:
        load_id: The number of the load.
        source: `api`, `bulk`, `archive` or `sample`.
        outcome: `running`, `complete`, `failed` or `interrupted`.
        as_of_earliest, as_of_latest: The earliest and the latest possible day of the data; None if
            nothing was received.
        started_at: When the load started, in UTC.
        ended_at: When the load ended, in UTC; None if it has not ended.
        failure: What went wrong; None if nothing went wrong.
        rows: Complaints read.
        new: Complaints read that the database did not have.
        changed: Complaints read whose stored values were different.
        unchanged: Complaints read whose stored values were the same.
        withdrawn: Stored complaints that the source no longer has.
        skipped: Complaints read that were not stored, because the database is partial.
        rejected: Rows in files that are not valid complaints.
        not_applied: Complaints read that differ from the stored complaints, whose values were kept.
    """

    load_id: int
    source: str
    outcome: str
    as_of_earliest: str | None
    as_of_latest: str | None
    started_at: str
    ended_at: str | None
    failure: str | None
    rows: int
    new: int
    changed: int
    unchanged: int
    withdrawn: int
    skipped: int
    rejected: int
    not_applied: int

    def __str__(self) -> str:
        """Return how the load ended, in words."""
        time = (self.ended_at or self.started_at)[:16].replace("T", " ")
        if not self.ended_at:
            time = f"since {time}" if self.outcome == "running" else f"(started {time})"
        text = f"{self.source}, {self.outcome} {time} UTC"
        if self.as_of_earliest and self.as_of_latest:
            text += f", data of {days_in_words(self.as_of_earliest, self.as_of_latest)}"
        if self.rows:
            stats = LoadStats(
                rows=self.rows,
                new=self.new,
                changed=self.changed,
                withdrawn=self.withdrawn,
                skipped=self.skipped,
                rejected=self.rejected,
                not_applied=self.not_applied,
            )
            text += f": {counts(stats)}"
        return f"{text}; {' '.join(self.failure.split())}" if self.failure else text


@dataclass(frozen=True)
class Status:
    """The contents of a database.

    Attributes:
        database: The file.
        bytes: The size of the file, with its write-ahead log.
        is_sample: Whether the complaints are made up.
        as_of: The day that the newest data in any load have at least; None if nothing was loaded.
        is_everything_loaded: Whether the daily file of all complaints was loaded.
        requests: The queries of the loads, in words, the newest first.
        complaints: The number of complaints, including withdrawn ones.
        oldest: The first day received, `YYYY-MM-DD`; None if there are no complaints.
        newest: The last plausible day received; None if there are no complaints.
        narratives: The number of complaints with a narrative.
        withdrawn: The number of complaints that CFPB no longer has.
        recently_changed: The number of changes by loads of the last seven days.
        loads: The newest load and the newest complete load of each source, the newest first.
        drift: How far CFPB is ahead. None if CFPB was not asked or cannot count these complaints.
    """

    database: str
    bytes: int
    is_sample: bool
    as_of: str | None
    is_everything_loaded: bool
    requests: tuple[str, ...]
    complaints: int
    oldest: str | None
    newest: str | None
    narratives: int
    withdrawn: int
    recently_changed: int
    loads: tuple[LastLoad, ...]
    drift: Drift | None = None

    def to_json(self) -> str:
        """Return all fields as JSON, for programs."""
        return json.dumps(asdict(self), indent=2)

    @property
    def request(self) -> str:
        """Return the queries of the newest loads in one line."""
        more = len(self.requests) - _MAX_REQUESTS
        shown = [*self.requests[:_MAX_REQUESTS], *([f"and {more:,} more"] if more > 0 else [])]
        return "; ".join(shown) + (" (made up)" if self.is_sample else "")

    @property
    def title(self) -> str:
        """Return a few words that describe the complaints."""
        return f"{'Made-up' if self.is_sample else 'CFPB'} consumer complaints"

    @property
    def caveats(self) -> list[Caveat]:
        """Return the facts that the reader of the numbers must know."""
        if self.is_sample:
            return [_SAMPLE]
        if self.is_everything_loaded or not self.requests:
            return [_UNVERIFIED]
        text = f"The database contains only these: {self.request}. Counts cover nothing else."
        return [_UNVERIFIED, Caveat("Only a selection of complaints.", text)]

    def __str__(self) -> str:
        return "\n".join(f"{label:<11} {plain(text)}".rstrip() for label, text in self._lines)

    @property
    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "database", f"{self.database}, {humanize.naturalsize(self.bytes)}"
        if self.requests:
            yield "requests", self.request
        days = f", received {self.oldest} to {self.newest}" if self.oldest and self.newest else ""
        yield "complaints", f"{self.complaints:,}{days}"
        yield "narratives", f"{self.narratives:,}"
        yield "withdrawn", f"{self.withdrawn:,}"
        yield "changed", f"{self.recently_changed:,} in the last {_RECENT.days} days"
        if self.drift is not None:
            yield "at CFPB", str(self.drift)
        for load in self.loads:
            yield f"load {load.load_id}", str(load)


def get_status(database: Path, url: str | None = None) -> Status:
    """Read the contents of a database, and ask CFPB for its current count.

    If CFPB cannot be reached, the status contains the reason. No error is raised.

    Args:
        database: The SQLite file.
        url: The URL of the search API to ask; None to ask the search API of the last load.

    Raises:
        DatabaseError: If the file cannot be read as a cfpb-etl database; each subclass is one
            reason.
    """
    with open_for_reading(database) as connection:
        connection.execute("BEGIN")  # all queries read the same state, even during a load
        status = read_status(connection, database)
        drift = read_drift(connection, status.complaints - status.withdrawn)
    return status if drift is None else replace(status, drift=fetch_drift(drift, url))


def read_status(connection: sqlite3.Connection, database: Path) -> Status:
    """Read the contents of a database."""

    def value(sql: str, *parameters: str) -> Any:  # noqa: ANN401 - of the column's type
        return connection.execute(f"SELECT {sql}", parameters).fetchone()[0]

    log = Path(f"{database.resolve()}-wal")
    # Each figure has its own query. SQLite then reads one end of an index, not all complaints.
    return Status(
        loads=_last_loads(connection, database),  # first, because the lock must be checked first
        database=str(database),
        bytes=sum(each.stat().st_size for each in (database, log) if each.exists()),
        as_of=value("MAX(as_of_earliest) FROM load"),
        is_sample=bool(value("EXISTS (SELECT 1 FROM load WHERE source = 'sample' AND rows > 0)")),
        is_everything_loaded=is_everything_loaded(connection),
        requests=_requests(connection),
        complaints=value("COUNT(*) FROM complaint"),
        oldest=value("MIN(date_received) FROM complaint"),
        newest=value(
            "MAX(date_received) FROM complaint WHERE date_received <= ?", _latest_day(connection)
        ),
        narratives=value("COUNT(*) FROM narrative_search_docsize"),
        withdrawn=value("COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL"),
        recently_changed=value(
            "COALESCE(SUM(changed), 0) FROM load WHERE COALESCE(ended_at, started_at) >= ?",
            (datetime.now(UTC) - _RECENT).isoformat(timespec="seconds"),
        ),
    )


def _latest_day(connection: sqlite3.Connection) -> str:
    """Return the latest plausible day. Complaints of later days are stored, but they are wrong."""
    (ended,) = connection.execute("SELECT SUBSTR(MAX(ended_at), 1, 10) FROM load").fetchone()
    return latest_plausible_day(ended)


def _last_loads(connection: sqlite3.Connection, database: Path) -> tuple[LastLoad, ...]:
    was_locked = is_locked(database)
    rows = connection.execute(
        f"SELECT {', '.join(each.name for each in fields(LastLoad))} FROM load"  # noqa: S608 - fixed names
        " WHERE load_id IN (SELECT MAX(load_id) FROM load GROUP BY source, outcome = 'complete')"
        " AND NOT EXISTS (SELECT 1 FROM load AS later WHERE later.source = load.source"
        " AND later.load_id > load.load_id AND later.outcome = 'complete')"
        " ORDER BY load_id DESC"
    )
    loads = tuple(LastLoad(*row) for row in rows)
    # A load that starts or ends between these lines holds the lock before or after them.
    if was_locked or is_locked(database):
        return loads
    # A killed load cannot record its end. The next load records this end.
    return tuple(
        replace(each, outcome="interrupted", failure="the process died")
        if each.outcome == "running"
        else each
        for each in loads
    )


def _requests(connection: sqlite3.Connection) -> tuple[str, ...]:
    loads = connection.execute(
        "SELECT source, query, row_limit, is_partial FROM load"
        " WHERE rows > 0 AND updates_load_id IS NULL"
        " GROUP BY source, query, row_limit, is_partial ORDER BY MAX(load_id) DESC"
    )
    return tuple(
        dict.fromkeys(
            request_in_words(*load, is_part=bool(is_partial)) for *load, is_partial in loads
        )
    )
