"""What a database holds, how its last loads ended, and how far CFPB has moved on since."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.precedence import MIRROR
from cfpb_etl.query import Query
from cfpb_etl.schema import opened_for_reading
from cfpb_etl.search_api import SEARCH_URL, fetch_count

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_LATELY = timedelta(days=7)
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class LastLoad:
    """The newest load of one source.

    Attributes:
        load_id: Its number.
        source: `api`, `bulk`, `archive` or `sample`.
        outcome: `running`, `complete`, `failed` or `interrupted`.
        as_of: The day of the source's data, or None where nothing came.
        started_at: When it began, UTC.
        ended_at: When it ended, UTC, or None.
        complaints_read: Complaints that came.
        inserted: Of these, not known before.
        updated: Of these, known with other values.
        unchanged: Of these, known just so.
        withdrawn: Complaints that its source was first seen not to have any more.
        failure: What went wrong, in words, or None.
    """

    load_id: int
    source: str
    outcome: str
    as_of: str | None
    started_at: str
    ended_at: str | None
    complaints_read: int
    inserted: int
    updated: int
    unchanged: int
    withdrawn: int
    failure: str | None


@dataclass(frozen=True)
class Drift:
    """CFPB's own count, beside the database's.

    Attributes:
        query: What is counted, as a load records it; empty for all complaints.
        known: How many the database holds that CFPB still has; of a partial pull, how many CFPB
            counted for its query when it was pulled.
        load_id: The load of that partial pull, or None.
        counted: How many CFPB counts now, or None where it could not be asked.
        failure: Why it could not, or None.
    """

    query: dict[str, Any]
    known: int
    load_id: int | None = None
    counted: int | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Status:
    """What a database holds.

    Attributes:
        database: The file.
        bytes: How large it is, its log not counted.
        complaints: How many it holds, withdrawn ones too.
        oldest: The first day received, `YYYY-MM-DD`, or None.
        newest: The last day received, or None.
        narratives: How many have what the consumer wrote.
        withdrawn: How many CFPB has no more.
        updated_lately: How often a load of the last seven days changed one.
        loads: The newest load of each source, the newest first.
        drift: CFPB's own count; None where it was not asked, or has none of what was loaded.
    """

    database: str
    bytes: int
    complaints: int
    oldest: str | None
    newest: str | None
    narratives: int
    withdrawn: int
    updated_lately: int
    loads: tuple[LastLoad, ...]
    drift: Drift | None = None

    def as_json(self) -> str:
        """Return all of it for a program."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return "\n".join(f"{label:<11} {words}".rstrip() for label, words in self._lines())

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "database", f"{self.database}, {_size(self.bytes)}"
        days = f", received {self.oldest} to {self.newest}" if self.oldest else ""
        yield "complaints", f"{self.complaints:,}{days}"
        yield "narratives", f"{self.narratives:,}"
        yield "withdrawn", f"{self.withdrawn:,}"
        yield "updated", f"{self.updated_lately:,} in the last {_LATELY.days} days"
        if self.drift is not None:
            yield "at CFPB", _in_words(self.drift)
        for load in self.loads:
            yield f"load {load.load_id}", _outcome(load)


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1_000:  # noqa: PLR2004 - of each unit in the next
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} {_UNITS[-1]}"


def _in_words(drift: Drift) -> str:
    if drift.counted is None:
        return f"unknown; {drift.failure}"
    what = f"match {json.dumps(drift.query, ensure_ascii=False)}" if drift.query else "complaints"
    where = "here" if drift.load_id is None else f"when load {drift.load_id} asked"
    moved = drift.counted - drift.known
    than = f"{abs(moved):,} {'more' if moved > 0 else 'fewer'} than" if moved else "as many as"
    return f"{drift.counted:,} {what}, {than} {where}"


def _outcome(load: LastLoad) -> str:
    moment = (load.ended_at or load.started_at)[:16].replace("T", " ")
    said = f"{load.source}, {load.outcome} {'since ' * (load.ended_at is None)}{moment} UTC"
    if load.as_of:
        said += f", data of {load.as_of}"
    if load.complaints_read:
        said += (
            f": {load.inserted:,} inserted, {load.updated:,} updated, {load.unchanged:,} unchanged"
        )
        said += f", {load.withdrawn:,} withdrawn" if load.withdrawn else ""
    return f"{said}; {' '.join(load.failure.split())}" if load.failure else said


def get_status(database: Path, url: str | None = None) -> Status:
    """Read what a database holds, and ask CFPB for its own count.

    That CFPB cannot be asked is part of the answer, not an error.

    Args:
        database: The SQLite file.
        url: The search API, where it is not the one that the last load asked.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read as one of ours.
    """
    with opened_for_reading(database) as connection:
        status = read_status(connection, database)
        address, known = _countable(connection, status.complaints - status.withdrawn)
    return status if known is None else replace(status, drift=_fetch_drift(known, url or address))


def read_status(connection: sqlite3.Connection, database: Path) -> Status:
    """Read what a database holds."""
    lately = (datetime.now(UTC) - _LATELY).isoformat(timespec="seconds")
    (updated,) = connection.execute(
        "SELECT COALESCE(SUM(updated), 0) FROM load WHERE COALESCE(ended_at, started_at) >= ?",
        (lately,),
    ).fetchone()
    names = ", ".join(LastLoad.__dataclass_fields__)
    loads = connection.execute(
        f"SELECT {names} FROM load WHERE load_id IN"  # noqa: S608 - names of ours
        " (SELECT MAX(load_id) FROM load GROUP BY source) ORDER BY load_id DESC"
    )
    return Status(
        database=str(database),
        bytes=database.stat().st_size,
        **_counts(connection),
        updated_lately=updated,
        loads=tuple(LastLoad(*row) for row in loads),
    )


def _counts(connection: sqlite3.Connection) -> dict[str, Any]:
    # Each by itself: then SQLite reads one end of an index, and not the complaints.
    asked = {
        "complaints": "COUNT(*) FROM complaint",
        "oldest": "MIN(date_received) FROM complaint",
        "newest": "MAX(date_received) FROM complaint",
        "narratives": "COUNT(*) FROM narrative_search_docsize",
        "withdrawn": "COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL",
    }
    return {
        name: connection.execute(f"SELECT {question}").fetchone()[0]
        for name, question in asked.items()
    }


def _countable(connection: sqlite3.Connection, present: int) -> tuple[str, Drift | None]:
    """Return what CFPB can count that the database knows too, and where it was asked."""
    mirrored = connection.execute(
        "SELECT 1 FROM load WHERE source = ? AND outcome = 'complete' AND complaints_read > 0",
        (MIRROR,),
    ).fetchone()
    if mirrored:
        return SEARCH_URL, Drift({}, present)
    asked = connection.execute(
        "SELECT load_id, address, query, matching FROM load"
        " WHERE source = 'api' AND outcome = 'complete' AND matching IS NOT NULL"
        " ORDER BY load_id DESC LIMIT 1"
    ).fetchone()
    if asked is None:
        return SEARCH_URL, None
    load_id, address, query, matching = asked
    query = {name: value for name, value in json.loads(query).items() if name != "limit"}
    return address, Drift(query, matching, load_id)


def _fetch_drift(drift: Drift, url: str) -> Drift:
    try:
        return replace(drift, counted=fetch_count(Query.of_description(drift.query), url))
    except CfpbEtlError as error:
        return replace(drift, failure=error.brief)
