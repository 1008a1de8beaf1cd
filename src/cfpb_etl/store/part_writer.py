"""Stores a part: its complaints and the progress of its load, in one transaction."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from functools import cache
from itertools import compress
from operator import itemgetter, lt, ne
from typing import TYPE_CHECKING, Any

from pyroaring import BitMap64

from cfpb_etl.model.complaint import ALWAYS_SENT, Complaint
from cfpb_etl.model.events import Step, emit
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.store import merge, windows
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.load_row import note_part
from cfpb_etl.store.sqlite_file import (
    connect,
    create_indexes,
    drop_indexes,
    named_errors,
    open_beside,
    transaction,
)
from cfpb_etl.store.withdrawals import mark_absent, mark_vanished

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

_DEFER_INDEXES_BELOW = 100_000  # stored complaints; to index them takes a third of a second
_ALWAYS_WRITTEN = 2  # columns, because an itemgetter of one column does not return a tuple
_ID, _DATE_RECEIVED = itemgetter(0), itemgetter(1)
_NARRATIVE = "complaint_what_happened"
_ID_AND_NARRATIVE = itemgetter(0, Complaint._fields.index(_NARRATIVE))


def store_part(parsed: ParsedPart, load_id: int, database: Path) -> LoadStats:
    """Store the complaints of a part and the progress of the load; if storing fails, store nothing.

    New complaints are inserted. Stored complaints are merged by the rules of `merge`. Unchanged
    rows are not written. Changed values are recorded in `complaint_change`. With the last part of a
    window, the window is verified, and complaints that the source no longer has are marked.

    Args:
        parsed: The part. Its complaints can be stored only once.
        load_id: The load.
        database: The SQLite file.

    Raises:
        DatabaseError: If the file cannot be written. Nothing is stored then.
        FileError: If the part's file is not valid; each subclass is one reason.
        TooManyWithdrawnError: If the part lacks too large a share of the stored complaints.
    """
    with (
        named_errors(database),
        closing(connect(database)) as connection,
        open_beside(connection, database) as before,
        transaction(connection),
    ):
        writer = _PartWriter(connection, before, load_id, parsed)
        writer.write()
        stats = writer.stats()
        stats += writer.finish_window(stats)
        note_part(connection, load_id, parsed, stats)
    if parsed.on_stored is not None:
        parsed.on_stored()
    return stats


class _PartWriter:
    """Writes a part within one transaction.

    Args:
        connection: The connection that writes.
        before: Reads the rows to compare; in WAL mode a second connection with the old state. On
            `connection`, changed pages fill the cache: a million complaints took 790,000 reads.
        load_id: The load.
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
        self._info = parsed.info
        self._may_replace = frozenset(parsed.columns)
        age = parsed.info.age
        # Only a part without complaints has an unknown age.
        self._as_of = date.max.isoformat() if age is None else age.as_of
        self._newer = merge.newer_loads(connection, self._as_of)
        self._adds = not parsed.info.fills_gaps_only or merge.may_add_complaints(
            connection, load_id
        )
        (stored,) = connection.execute(
            "SELECT COUNT(*) FROM (SELECT 1 FROM complaint LIMIT ?)", (_DEFER_INDEXES_BELOW + 1,)
        ).fetchone()
        self._was_empty = stored == 0
        # A file can have millions of complaints. Indexes take less time and space if created last.
        # The search's trigger costs 4.7 us for each insertion, because it needs a journal.
        self._defers_indexes = (
            self._info.is_window and not self._info.is_unchanged and stored <= _DEFER_INDEXES_BELOW
        )
        self._rows = self._new = self._changed = self._not_applied = 0
        self._skipped = BitMap64()
        self._days: set[str | None] = set()
        self._ids: list[int] = []

    def write(self) -> None:
        """Write the complaints, their indexes and the hashes of their lines."""
        self._connection.execute(merge.remember_changes_sql(self._load_id))
        dropped = drop_indexes(self._connection) if self._defers_indexes else []
        line_hashes = LineHashWriter(self._connection)
        for batch in self._parsed.take_batches():
            if batch.complaints:
                self._write_batch(batch.complaints)
            # A value of a newer load is kept, so a stored complaint may differ from its line.
            if batch.line_hashes and not self._newer:
                line_hashes.write(batch.line_hashes)
        if dropped:
            emit(Step("Creating indexes", "Creating indexes"))
            create_indexes(self._connection, dropped)
        line_hashes.finish(self._parsed.read_stats.duplicate_ids)

    def stats(self) -> LoadStats:
        """Return the stats of the part, without the counts of its window."""
        info, read = self._info, self._parsed.read_stats
        rows = self._rows + read.unchanged
        days = [*filter(None, (*self._days, *read.days))]
        return LoadStats(
            parts=int(info.age is not None),  # the archive's page has no age, and is not a file
            rows=rows,
            new=self._new,
            changed=self._changed,
            skipped=len(self._skipped),
            duplicates=read.duplicates,
            rejected=read.rejected,
            not_applied=self._not_applied,
            without_id=read.without_id,
            repeated_headers=read.repeated_headers,
            warnings=tuple(f"{info.part}, {each}" for each in read.warnings) or None,
            unchanged_files=int(info.is_unchanged),
            oldest=min(days, default=None),
            newest=max(days, default=None),
            matching=info.matching,
            proves_absence=info.proves_absence,
            unknown_columns=frozenset(self._parsed.unknown_columns),
            missing_columns=ALWAYS_SENT - self._may_replace if rows else frozenset(),
        )

    def finish_window(self, stats: LoadStats) -> LoadStats:
        """Record the part's progress. At the end of a window, verify it and mark withdrawals.

        Args:
            stats: The stats of the part so far.

        Returns:
            The stats to add.
        """
        connection, load_id, info = self._connection, self._load_id, self._info
        withdrawn = 0
        if not info.is_window:
            window = windows.note_page(connection, load_id, self._parsed, self._ids)
            if window is not None:
                withdrawn = mark_absent(connection, load_id, info, window, self._newer)
        else:
            distinct = stats.rows - stats.duplicates - stats.skipped
            window = windows.note_file(connection, load_id, self._parsed, distinct)
            if not self._was_empty:
                withdrawn = mark_vanished(connection, load_id, self._parsed, self._newer, self._new)
        if window is None:
            return LoadStats()
        windows.forget_seen(connection, window.part_id)
        return LoadStats(
            withdrawn=withdrawn, windows=1, expected=window.expected, received=window.received
        )

    # --- complaints -------------------------------------------------------------------------

    def _write_batch(self, complaints: list[Complaint]) -> None:
        self._rows += len(complaints)
        self._days.update(map(_DATE_RECEIVED, complaints))
        columns = self._columns_to_write(complaints)
        if not self._info.is_window:
            self._ids += map(_ID, complaints)
        elif self._was_empty and self._has_no_duplicates:
            self._insert(complaints, columns)  # none of the complaints can be stored already
            return
        while complaints:
            # The later copy of a complaint counts, so it is merged after the earlier copy.
            first, complaints = _distinct(complaints)
            self._write_distinct(first, columns)

    @property
    def _has_no_duplicates(self) -> bool:
        """Say whether no complaint has occurred twice so far. For a page this is not known."""
        return self._info.is_window and not self._parsed.read_stats.duplicates

    def _columns_to_write(self, complaints: Sequence[Complaint]) -> tuple[str, ...]:
        """Return the part's columns, and any other column that has a value in these complaints."""
        return tuple(
            name
            for place, name in enumerate(Complaint._fields)
            if place < _ALWAYS_WRITTEN
            or name in self._may_replace
            or any(map(itemgetter(place), complaints))
        )

    def _write_distinct(self, complaints: list[Complaint], columns: tuple[str, ...]) -> None:
        """Write complaints with different ids, in the order of the ids.

        The complaints are compared here. If the upsert compared them, SQLite would keep a journal
        for each row because of the trigger, which took twice as long.
        """
        ids = [*map(_ID, complaints)]
        reader = self._before if self._has_no_duplicates else self._connection
        rows = reader.execute(merge.stored_sql(columns, len(ids), "NULL"), ids).fetchall()
        if rows == complaints:
            return
        stored = dict(zip(map(_ID, rows), rows, strict=True))
        differing = [each for each in complaints if stored.get(each[0]) != each]
        if len(stored) < len(ids):
            marked = reader.execute(merge.stored_sql(columns, len(ids), "NOT NULL"), ids).fetchall()
            stored |= zip(map(_ID, marked), marked, strict=True)
            self._insert([each for each in differing if each[0] not in stored], columns)
        self._merge([each for each in differing if each[0] in stored], stored, columns)

    def _insert(self, complaints: list[Complaint], columns: tuple[str, ...]) -> None:
        if not self._adds:
            self._skipped.update(map(_ID, complaints))
            return
        statement = merge.insert_sql(self._load_id, columns, self._newer)
        self._connection.executemany(statement, map(_values_of(columns), complaints))
        self._new += len(complaints)
        if self._defers_indexes and _NARRATIVE in columns:  # the search's trigger was dropped
            self._connection.executemany(
                "INSERT INTO narrative_search (rowid, narrative) VALUES (?, ?)",
                [each for each in map(_ID_AND_NARRATIVE, complaints) if each[1] is not None],
            )

    def _merge(
        self,
        complaints: list[Complaint],
        stored: dict[int, tuple[Any, ...]],
        columns: tuple[str, ...],
    ) -> None:
        """Merge complaints into stored rows, and count those that differ but were not applied."""
        replaceable = [name in self._may_replace for name in Complaint._fields]
        replacing: list[Complaint] = []
        others: list[Complaint] = []  # these may fill gaps, or remove the mark of a withdrawal
        for each in complaints:
            row = stored[each[0]]
            incoming = merge.with_stored_white_space(each, row)
            differs = any(compress(map(ne, incoming, row), replaceable))
            (replacing if differs else others).append(incoming)
        changed = self._update(replacing, columns)
        self._not_applied += len(replacing) - changed
        self._changed += changed + self._update(others, columns)

    def _update(self, complaints: list[Complaint], columns: tuple[str, ...]) -> int:
        """Update the rows of complaints, and return how many rows have changed."""
        if not complaints:
            return 0
        statement = merge.update_sql(
            self._load_id, columns, self._may_replace, self._newer, self._as_of
        )
        values = map(_values_of(columns), complaints)
        return self._connection.executemany(statement, values).rowcount


@cache
def _values_of(columns: tuple[str, ...]) -> Callable[[Complaint], tuple[Any, ...]]:
    """Return a function that returns these columns of a complaint.

    sqlite3 binds a tuple faster than a namedtuple. Binding None takes the longest.
    """
    return itemgetter(*map(Complaint._fields.index, columns))


def _distinct(complaints: list[Complaint]) -> tuple[list[Complaint], list[Complaint]]:
    """Return the first copy of each complaint in the order of the ids, and the later copies."""
    ordered = sorted(complaints, key=_ID)
    ids = [*map(_ID, ordered)]
    if all(map(lt, ids, ids[1:])):
        return ordered, []
    first = {each[0]: each for each in reversed(complaints)}
    later = [each for each in complaints if first[each[0]] is not each]
    return [first[number] for number in sorted(first)], later
