"""What a database holds, how its last loads ended, and how far CFPB has moved on since."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.model.query import Query
from cfpb_etl.show.drift import Drift, fetch_drift, known_count
from cfpb_etl.store.lock import is_locked
from cfpb_etl.store.merge import MIRROR, is_mirrored
from cfpb_etl.store.sqlite_file import opened_for_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_LATELY = timedelta(days=7)
_MOST_ASKED = 3  # in the words for a person
_FILES = {MIRROR: "CFPB's daily file", "archive": "CFPB's archive of narratives"}
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Note(NamedTuple):
    """What a reader of the numbers must know.

    Attributes:
        headline: In a few words.
        words: In a sentence.
    """

    headline: str
    words: str


_MADE_UP = Note(
    "Made-up complaints, for trying cfpb-etl out.",
    "None of this happened, whichever company it names.",
)
_UNVERIFIED = Note(
    "Unverified complaints, not scaled by size.",
    "CFPB does not check what consumers tell, and large companies and states naturally have more"
    " complaints than small ones.",
)


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
class Status:
    """What a database holds.

    Attributes:
        database: The file.
        bytes: How large it is, with its log.
        is_made_up: Whether they are the sample's.
        as_of: The newest day of a source's data that came, or None.
        is_everything: Whether it holds all that CFPB's daily file had.
        asked: What was asked for, in words, the newest first.
        complaints: How many it holds, withdrawn ones too.
        oldest: The first day received, `YYYY-MM-DD`, or None.
        newest: The last day received, or None.
        narratives: How many have what the consumer wrote.
        withdrawn: How many CFPB has no more.
        updated_lately: How often a load of the last seven days changed one.
        loads: The newest load of each source, and its newest complete one, the newest first.
        drift: CFPB's own count; None where it was not asked, or has none of what was loaded.
    """

    database: str
    bytes: int
    is_made_up: bool
    as_of: str | None
    is_everything: bool
    asked: tuple[str, ...]
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
        return json.dumps(asdict(self), indent=2)

    @property
    def asked_for(self) -> str:
        """Return what was asked for, in words for a person."""
        more = len(self.asked) - _MOST_ASKED
        words = [*self.asked[:_MOST_ASKED], *([f"and {more:,} more"] if more > 0 else ())]
        return "; ".join(words) + ", made up" * self.is_made_up

    @property
    def title(self) -> str:
        """Return what its complaints are, in a few words."""
        return f"{'Made-up' if self.is_made_up else 'CFPB'} consumer complaints"

    @property
    def notes(self) -> Iterator[Note]:
        """Return what a reader of its numbers must know."""
        if self.is_made_up:
            yield _MADE_UP
            return
        yield _UNVERIFIED
        if self.asked and not self.is_everything:
            yield Note(
                "A part of CFPB's complaints.",
                f"The database holds what was asked for: {self.asked_for}. Counts are of these.",
            )

    def __str__(self) -> str:
        return "\n".join(
            f"{label:<11} {_printable(words)}".rstrip() for label, words in self._lines()
        )

    def _lines(self) -> Iterator[tuple[str, str]]:
        yield "database", f"{self.database}, {_size(self.bytes)}"
        if self.asked:
            yield "asked for", self.asked_for
        days = f", received {self.oldest} to {self.newest}" if self.oldest else ""
        yield "complaints", f"{self.complaints:,}{days}"
        yield "narratives", f"{self.narratives:,}"
        yield "withdrawn", f"{self.withdrawn:,}"
        yield "updated", f"{self.updated_lately:,} in the last {_LATELY.days} days"
        if self.drift is not None:
            yield "at CFPB", str(self.drift)
        for load in self.loads:
            yield f"load {load.load_id}", _outcome(load)


def _printable(words: str) -> str:
    """Return words without what would steer a terminal: a server or a path may hold such."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in words)


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1_000:  # noqa: PLR2004 - of each unit in the next
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} {_UNITS[-1]}"


def _outcome(load: LastLoad) -> str:
    moment = (load.ended_at or load.started_at)[:16].replace("T", " ")
    began = "" if load.ended_at else "since " if load.outcome == "running" else "after it began "
    said = f"{load.source}, {load.outcome} {began}{moment} UTC"
    if load.as_of:
        said += f", data of {load.as_of}"
    if load.complaints_read:
        said += f": {load.new:,} inserted, {load.changed:,} updated, {load.unchanged:,} unchanged"
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
        connection.execute("BEGIN")  # one state, whatever a load does meanwhile
        status = read_status(connection, database)
        address, known = known_count(connection)
    return status if known is None else replace(status, drift=fetch_drift(known, url or address))


def read_status(connection: sqlite3.Connection, database: Path) -> Status:
    """Read what a database holds."""
    claimed = is_locked(database)
    lately = (datetime.now(UTC) - _LATELY).isoformat(timespec="seconds")
    (updated,) = connection.execute(
        "SELECT COALESCE(SUM(updated), 0) FROM load WHERE COALESCE(ended_at, started_at) >= ?",
        (lately,),
    ).fetchone()
    (made_up,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE source = 'sample' AND complaints_read > 0)"
    ).fetchone()
    log = Path(f"{database.resolve()}-wal")
    names = ", ".join(LastLoad.__dataclass_fields__)
    loads = connection.execute(
        f"SELECT {names} FROM load WHERE load_id IN"  # noqa: S608 - names of ours
        " (SELECT MAX(load_id) FROM load GROUP BY source, outcome = 'complete')"
        " AND NOT EXISTS (SELECT 1 FROM load AS later WHERE later.source = load.source"
        " AND later.load_id > load.load_id AND later.outcome = 'complete')"
        " ORDER BY load_id DESC"
    )
    return Status(
        database=str(database),
        bytes=sum(each.stat().st_size for each in (database, log) if each.exists()),
        as_of=connection.execute("SELECT MAX(as_of) FROM load").fetchone()[0],
        is_made_up=bool(made_up),
        is_everything=is_mirrored(connection),
        asked=_asked(connection),
        **_counts(connection),
        updated_lately=updated,
        loads=tuple(_as_it_ended(LastLoad(*row), database, claimed=claimed) for row in loads),
    )


def _as_it_ended(load: LastLoad, database: Path, *, claimed: bool) -> LastLoad:
    # One that was killed could not write that it ended; the next load will. One that ended, or
    # began, while this was read had the database before or has it now.
    if load.outcome == "running" and not claimed and not is_locked(database):
        return replace(load, outcome="interrupted", failure="ended without a word")
    return load


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


def _asked(connection: sqlite3.Connection) -> tuple[str, ...]:
    loads = connection.execute(
        "SELECT source, query FROM load WHERE complaints_read > 0 AND updates IS NULL"
        " GROUP BY source, query ORDER BY MAX(load_id) DESC"
    )
    return tuple(
        dict.fromkeys(_query_in_words(source, json.loads(query)) for source, query in loads)
    )


def _query_in_words(source: str, asked: dict[str, Any]) -> str:
    if source in _FILES:
        return _FILES[source]
    limit = asked.pop("limit", None)
    newest = () if limit is None else (f"the newest {limit:,}",)
    return ", ".join((*newest, *filter(None, [str(Query.from_dict(asked))]))) or "everything"
