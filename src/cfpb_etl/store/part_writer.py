"""What a part does to the complaints in the SQLite file, and what the file remembers of that."""

from __future__ import annotations

import json
from contextlib import closing
from functools import cache, lru_cache
from itertools import count, islice
from operator import itemgetter, lt
from typing import TYPE_CHECKING, Any

import msgspec
from pyroaring import BitMap64

from cfpb_etl.model.complaint import ALWAYS_SENT, Complaint
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.store import windows as progress
from cfpb_etl.store.errors import TooManyWithdrawnError
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.merge import (
    insertion,
    may_add_complaints,
    newer_loads,
    remember_changes,
    upsert,
)
from cfpb_etl.store.sqlite_file import (
    connect,
    drop_indexes,
    make_indexes,
    named_errors,
    transaction,
)
from cfpb_etl.store.views import LEARN_NARRATIVE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

_ROWS_AT_ONCE = 500  # so many decoded rows fit a processor's cache
_FEW = 100_000  # stored complaints, whose indexes are made again in a third of a second
_FEWEST = 2  # columns: an itemgetter of one makes no tuple
_ID, _DATE_RECEIVED = itemgetter(0), itemgetter(1)
_NARRATIVE = "complaint_what_happened"
_ID_AND_NARRATIVE = itemgetter(0, Complaint._fields.index(_NARRATIVE))


def store_part(parsed: ParsedPart, load_id: int, database: Path) -> LoadStats:
    """Store a part's complaints and the progress after it, both or neither.

    A complaint not known before is inserted. Of a known one, the columns that the part carries
    replace what is stored, unless a newer source wrote or saw it; any other value fills an empty
    place of which no newer source told that it is empty. A row that would not change is not
    written; what became another value is remembered.

    With the last part of a window its proof is made, and where the window proves it, complaints
    that their source no longer has are marked.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be written; nothing is stored then.
        FileError: One of its subclasses, if the part's file turns out to be none of complaints.
        TooManyWithdrawnError: If the part lacks more of what is stored than can be.
    """
    with (
        named_errors(database),
        closing(connect(database)) as connection,
        closing(connect(database)) as before,
        transaction(connection),
    ):
        storing = _Storing(connection, before, load_id, parsed)
        for batch in _batches(parsed.complaints()):
            storing.store(batch)
        report = storing.ended()
    parsed.release()
    return report


def _batches(complaints: Iterable[Complaint]) -> Iterator[list[Complaint]]:
    left = iter(complaints)
    while batch := [*islice(left, _ROWS_AT_ONCE)]:
        yield batch


class _Storing:
    """A part on its way into the database, within one transaction.

    Args:
        connection: The one that writes.
        before: Another, which sees the database as it was, to compare a file's rows with. What the
            first has changed fills its cache: after 10,000 rows, a million took 790,000 reads.
        load_id: The load that the part belongs to.
        parsed: The part.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        before: sqlite3.Connection,
        load_id: int,
        parsed: ParsedPart,
    ) -> None:
        self._connection = connection
        self._before = before
        self._load_id = load_id
        self._parsed = parsed
        self._facts = parsed.info
        self._carried = frozenset(parsed.columns)
        self._newer = newer_loads(connection, parsed.info.as_of)
        (known,) = connection.execute(
            "SELECT COUNT(*) FROM (SELECT 1 FROM complaint LIMIT ?)", (_FEW + 1,)
        ).fetchone()
        self._began_empty = known == 0
        self._adds = not parsed.info.fills_gaps_only or may_add_complaints(connection, load_id)
        self._rows = self._inserted = 0
        self._left_out = BitMap64()
        self._oldest: str | None = None
        self._newest: str | None = None
        self._ids: list[int] = []
        # Not a function of ours: a Ctrl-C that arrives within one SQLite takes for its failure.
        self._updates = count()
        connection.create_function("note_update", 0, self._updates.__next__)
        connection.execute(remember_changes(load_id))
        self._lines = LineHashWriter(connection)
        if not self._newer.carried:  # what they told stands, whatever a line says
            parsed.reading.keep = self._lines.keep
        # A file may bring millions: an index that is made after them takes less time and room, and
        # a trigger that may write to the search had SQLite keep a journal for each: 4.7 us.
        is_file = self._facts.rows is None and not self._facts.is_known
        self._upkeep = drop_indexes(connection) if is_file and known <= _FEW else None

    def store(self, batch: list[Complaint]) -> None:
        """Store some complaints, in the order in which they came."""
        self._rows += len(batch)
        days = [*filter(None, map(_DATE_RECEIVED, batch))]
        self._oldest = min(filter(None, (self._oldest, *days)), default=None)
        self._newest = max(filter(None, (self._newest, *days)), default=None)
        brought = self._brought(batch)
        if self._facts.rows is not None:
            self._ids += map(_ID, batch)
        elif self._began_empty and self._came_once:
            self._insert(batch, brought)  # none of them can be known
            batch = []
        while batch:
            # The later copy of a complaint counts, after the earlier one has.
            first, batch = _distinct(batch)
            self._store_distinct(first, brought)

    @property
    def _came_once(self) -> bool:
        """Say whether no complaint came twice so far, which only a file's reader tells."""
        return self._facts.rows is None and not self._parsed.reading.repeated

    def _brought(self, batch: Sequence[Complaint]) -> tuple[str, ...]:
        """Return the columns that are carried, or have a value in one of these all the same."""
        return tuple(
            name
            for place, name in enumerate(Complaint._fields)
            if place < _FEWEST or name in self._carried or any(map(itemgetter(place), batch))
        )

    def _store_distinct(self, complaints: list[Complaint], brought: tuple[str, ...]) -> None:
        """Store complaints, each another, in the order of their ids.

        They are compared here rather than by the upsert, for whose change record SQLite keeps a
        journal of its own for each row that it tries: that took twice as long.
        """
        ids = [*map(_ID, complaints)]
        looked_at = self._before if self._came_once else self._connection
        present = looked_at.execute(_present(brought, len(ids)), ids).fetchall()
        if present == complaints:
            return
        known = dict(zip(map(_ID, present), present, strict=True))
        differing = [each for each in complaints if known.get(each[0]) != each]
        withdrawn = set()
        if len(present) < len(ids):
            withdrawn = {number for (number,) in looked_at.execute(_withdrawn(len(ids)), ids)}
        stored = known.keys() | withdrawn
        self._insert([each for each in differing if each[0] not in stored], brought)
        statement = upsert(self._load_id, brought, self._carried, self._newer, self._facts.as_of)
        changed = (each for each in differing if each[0] in stored)
        self._connection.executemany(statement, map(_values_of(brought), changed))

    def _insert(self, complaints: list[Complaint], brought: tuple[str, ...]) -> None:
        if not self._adds:
            self._left_out.update(map(_ID, complaints))
            return
        statement = insertion(self._load_id, brought, self._newer)
        self._connection.executemany(statement, map(_values_of(brought), complaints))
        if self._upkeep is not None and _NARRATIVE in brought:
            told = (each for each in map(_ID_AND_NARRATIVE, complaints) if each[1] is not None)
            self._connection.executemany(LEARN_NARRATIVE, told)
        self._inserted += len(complaints)

    def ended(self) -> LoadStats:
        """Draw the consequences of the part's end, and return what it did."""
        reading, parsed = self._parsed.reading, self._parsed
        reading.keep = None
        if self._upkeep is not None:
            make_indexes(self._connection, self._upkeep)
        self._lines.end(reading.duplicate_ids)
        rows = self._rows + reading.known
        report = LoadStats(
            parts=1,
            rows=rows,
            inserted=self._inserted,
            updated=next(self._updates),
            left_out=len(self._left_out),
            repeated=reading.repeated,
            rejected=reading.rejected,
            nameless=reading.without_id,
            headers=reading.headers,
            remarks=tuple(f"{self._facts.part}, {each}" for each in reading.warnings) or None,
            oldest=min(filter(None, (self._oldest, *reading.days)), default=None),
            newest=max(filter(None, (self._newest, *reading.days)), default=None),
            matching=self._facts.matching,
            proves_absence=self._facts.proves_absence,
            known_files=int(self._facts.is_known),
            unknown=frozenset(parsed.unknown),
            missing=ALWAYS_SENT - self._carried if rows else frozenset(),
        )
        window: progress.Window | None
        if self._facts.matching is None:
            distinct = rows - reading.repeated - len(self._left_out)
            window = progress.note_whole(self._connection, self._load_id, parsed, distinct)
            withdrawn = self._mark_vanished() if self._facts.proves_absence else 0
        else:
            window = progress.note(self._connection, self._load_id, parsed, self._ids)
            withdrawn = 0 if window is None else self._mark_absent(window)
        if window is not None:
            progress.forget_seen(self._connection, window.part_id)
            report += LoadStats(
                withdrawn=withdrawn, windows=1, expected=window.expected, received=window.received
            )
        self._note_load(report)
        return report

    def _mark_absent(self, window: progress.Window) -> int:
        """Mark what the database has in a window, and its source has not, unless a newer one had.

        The row stays. A mark is taken back when the complaint comes again.
        """
        info = self._facts
        if not info.proves_absence or window.received < window.expected or self._newer.mirror_day:
            return 0
        (others,) = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM load WHERE load_id <> ? AND inserted)", (self._load_id,)
        ).fetchone()
        if not (others or window.was_read_again):
            return 0  # every row is this load's own, and was seen
        since, until = info.days
        return self._connection.execute(
            "UPDATE complaint SET withdrawn_on = :as_of, load_id = :load_id"  # noqa: S608 - numbers of ours
            " WHERE date_received BETWEEN COALESCE(:since, '') AND COALESCE(:until, '9999-12-31')"
            " AND withdrawn_on IS NULL"
            # What this load wrote it has seen; only in a second reading that may be gone again.
            " AND (:again OR load_id <> :load_id)"
            " AND NOT EXISTS (SELECT 1 FROM load_seen"
            " WHERE part_id = :part_id AND load_seen.complaint_id = complaint.complaint_id)"
            f" AND NOT {self._newer.wrote}",
            {
                "as_of": info.as_of,
                "load_id": self._load_id,
                "since": since,
                "until": until,
                "again": window.was_read_again,
                "part_id": window.part_id,
            },
        ).rowcount

    def _mark_vanished(self) -> int:
        """Mark what the database has, and a file of all complaints has not, as `_mark_absent` does.

        Raises:
            TooManyWithdrawnError: If that is more than can be.
        """
        reading, info = self._parsed.reading, self._facts
        # A row that does not tell its complaint may be of any that the file seems to lack.
        if self._began_empty or info.is_known or self._newer.mirror_day or reading.without_id:
            return 0
        gone = BitMap64()
        # Handed over a day at a time: that took half as long as id by id.
        for (ids,) in self._connection.execute(
            "SELECT json_group_array(complaint_id) FROM complaint"
            " INDEXED BY complaint_date_received GROUP BY date_received"
        ):
            gone.update(msgspec.json.decode(ids, type=list[int]))
        gone -= reading.ids or BitMap64()
        withdrawn = self._connection.executemany(
            f"UPDATE complaint SET withdrawn_on = '{info.as_of}', load_id = {self._load_id}"  # noqa: S608 - of ours
            f" WHERE complaint_id = ? AND withdrawn_on IS NULL AND NOT {self._newer.wrote}",
            zip(gone, strict=True),
        ).rowcount
        if withdrawn > 0:
            (left,) = self._connection.execute(
                "SELECT COUNT(*) - (SELECT COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL)"
                " - ? FROM complaint",
                (self._inserted,),
            ).fetchone()
            if withdrawn > info.most_withdrawn * (left + withdrawn):
                raise TooManyWithdrawnError(withdrawn, left + withdrawn)
        return max(withdrawn, 0)

    def _note_load(self, report: LoadStats) -> None:
        (carried,) = self._connection.execute(
            "SELECT carried FROM load WHERE load_id = ?", (self._load_id,)
        ).fetchone()
        if report.rows:
            columns = self._carried.intersection(json.loads(carried) if carried else self._carried)
            carried = json.dumps(sorted(columns))
        self._connection.execute(
            "UPDATE load SET parts = parts + 1, complaints_read = complaints_read + :rows,"
            " inserted = inserted + :inserted, updated = updated + :updated,"
            " unchanged = unchanged + :unchanged, withdrawn = withdrawn + :withdrawn,"
            " left_out = left_out + :left_out, repeated = repeated + :repeated,"
            " rejected = rejected + :rejected,"
            " remarks = COALESCE(remarks || CHAR(10) || :remarks, remarks, :remarks),"
            " oldest = MIN(COALESCE(oldest, :oldest), COALESCE(:oldest, oldest)),"
            " newest = MAX(COALESCE(newest, :newest), COALESCE(:newest, newest)),"
            " matching = COALESCE(matching, :matching), carried = :carried,"
            " as_of = MIN(COALESCE(as_of, :as_of), :as_of),"
            " until = MAX(COALESCE(until, :until), COALESCE(:until, until))"
            " WHERE load_id = :load_id",
            {
                "rows": report.rows,
                "inserted": report.new,
                "updated": report.changed,
                "unchanged": report.unchanged,
                "withdrawn": report.withdrawn,
                "left_out": report.skipped,
                "repeated": report.duplicates,
                "rejected": report.rejected,
                "remarks": "\n".join(report.warnings) if report.warnings else None,
                "oldest": report.oldest,
                "newest": report.newest,
                "matching": report.matching,
                "carried": carried,
                "as_of": self._facts.as_of,
                # A file covers what it has.
                "until": report.newest if self._facts.matching is None else self._facts.days[1],
                "load_id": self._load_id,
            },
        )


@cache
def _values_of(columns: tuple[str, ...]) -> Callable[[Complaint], tuple[Any, ...]]:
    """Return what takes these columns out of a complaint.

    sqlite3 binds an exact tuple faster than a namedtuple, and a None slowest of all.
    """
    return itemgetter(*map(Complaint._fields.index, columns))


def _distinct(complaints: list[Complaint]) -> tuple[list[Complaint], list[Complaint]]:
    """Return the first copy of each complaint in the order of their ids, and the later copies."""
    ordered = sorted(complaints, key=_ID)
    ids = [*map(_ID, ordered)]
    if all(map(lt, ids, ids[1:])):
        return ordered, []
    first = {each[0]: each for each in reversed(complaints)}
    later = [each for each in complaints if first[each[0]] is not each]
    return [first[number] for number in sorted(first)], later


@lru_cache(maxsize=8)
def _present(columns: tuple[str, ...], rows: int) -> str:
    """Return the statement that finds complaints as they would be stored again."""
    found = ", ".join(name if name in columns else "NULL" for name in Complaint._fields)
    return (
        f"SELECT {found} FROM complaint"  # noqa: S608 - names of ours
        f" WHERE complaint_id IN ({', '.join('?' * rows)}) AND withdrawn_on IS NULL"
        " ORDER BY complaint_id"
    )


@lru_cache(maxsize=8)
def _withdrawn(rows: int) -> str:
    return (
        "SELECT complaint_id FROM complaint"  # noqa: S608 - places only
        f" WHERE complaint_id IN ({', '.join('?' * rows)}) AND withdrawn_on IS NOT NULL"
    )


def count_complaints(database: Path) -> int:
    """Return how many complaints the database holds.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read.
    """
    with named_errors(database), closing(connect(database)) as connection:
        (complaints,) = connection.execute("SELECT COUNT(*) FROM complaint").fetchone()
        return int(complaints)
