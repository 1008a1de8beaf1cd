"""Stores a part: its complaints and the progress of its load, in one transaction."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

from pyroaring import BitMap64

from cfpb_etl.model.age import Age, NewestDays, age_of_file, newest_of, oldest_of
from cfpb_etl.model.complaint import ALWAYS_SENT, Complaint
from cfpb_etl.model.events import Step, emit
from cfpb_etl.model.file import Scope
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.store import windows
from cfpb_etl.store.complaint_writer import ComplaintWriter, without_search_trigger
from cfpb_etl.store.errors import ContradictedAgeError, VanishedError
from cfpb_etl.store.file.indexes import create_indexes, drop_indexes
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.load_row import note_part
from cfpb_etl.store.merge.coverage import Coverage, count_stored, missing_complaints, why_part
from cfpb_etl.store.merge.order import is_everything_loaded, note_presence, precedence_of
from cfpb_etl.store.merge.rules import remember_changes_sql
from cfpb_etl.store.merge.withdrawals import mark_absent, mark_missing
from cfpb_etl.store.replacement import may_be_replaced, replaced
from cfpb_etl.store.sqlite_file import (
    connect,
    named_errors,
    open_beside,
    transaction,
)

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

_DEFER_INDEXES_BELOW = 100_000  # stored complaints; to index them takes a third of a second
_RECEIVED = itemgetter(Complaint._fields.index("date_received"))
_SENT = itemgetter(Complaint._fields.index("date_sent_to_company"))


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
        ContradictedAgeError: If the part has a day that is later than its day by `--as-of`.
        VanishedError: If the database does not have this load as a running one.
    """
    info = parsed.info
    with named_errors(database):
        if info.is_window and not info.is_unchanged and may_be_replaced(database):
            with replaced(database) as connection:
                stats = _write(connection, connection, load_id, parsed, database)
        else:
            with (
                closing(connect(database)) as connection,
                open_beside(connection, database) as before,
                transaction(connection),
            ):
                stats = _write(connection, before, load_id, parsed, database)
    if parsed.on_stored is not None:
        parsed.on_stored()
    return stats


def _write(
    connection: sqlite3.Connection,
    before: sqlite3.Connection,
    load_id: int,
    parsed: ParsedPart,
    database: Path,
) -> LoadStats:
    load = "SELECT outcome FROM load WHERE load_id = ?"
    if connection.execute(load, (load_id,)).fetchone() != ("running",):
        raise VanishedError(path=database)  # another database has this name now
    with without_search_trigger(connection):
        writer = _PartWriter(connection, before, load_id, parsed)
        writer.write()
        stats = writer.finish()
        note_part(connection, load_id, parsed, stats)
    return stats


class _PartWriter:
    """Writes a part within one transaction.

    Args:
        connection: The connection that writes.
        before: A connection that reads the state before; in WAL mode a second one.
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
        self._load_id = load_id
        self._parsed = parsed
        self._info = info = parsed.info
        (stored,) = connection.execute(
            "SELECT COUNT(*) FROM (SELECT 1 FROM complaint LIMIT ?)", (_DEFER_INDEXES_BELOW + 1,)
        ).fetchone()
        self._was_empty = stored == 0
        # A file can have millions of complaints. Indexes take less time and space if created last.
        self._defers_indexes = (
            info.is_window and not info.is_unchanged and stored <= _DEFER_INDEXES_BELOW
        )
        self._precedence = precedence_of(connection, load_id, info, self._age_so_far())
        self._complaints = ComplaintWriter(
            connection,
            before,
            load_id,
            parsed,
            self._precedence,
            was_empty=self._was_empty,
        )
        self._scope, self._coverage = Scope(), Coverage()
        self._received: set[str | None] = set()
        self._sent: set[str | None] = set()
        self._after_today: set[str | None] = set()
        self._late = 0
        self._oldest: str | None = None

    def _age_so_far(self) -> Age | None:
        """Return the age of the part before its complaints are read.

        A file whose first reading ended early is newer than all stored data.
        """
        info, survey = self._info, self._parsed.survey
        if info.age is not None or info.evidence is None:
            return info.age
        if survey is None:
            return info.evidence.stated
        is_whole = info.is_whole
        if is_whole is None and survey.is_complete:
            is_whole = survey.scope.why_part(survey.oldest, survey.newest.received) is None
        return age_of_file(info.evidence, survey.newest, info.today, is_whole=bool(is_whole))

    def write(self) -> None:
        """Write the complaints, their indexes and the hashes of their lines."""
        for statement in remember_changes_sql(self._load_id):
            self._connection.execute(statement)
        dropped = drop_indexes(self._connection) if self._defers_indexes else []
        keeps_lines = is_everything_loaded(self._connection)
        line_hashes = LineHashWriter(self._connection)
        for batch in self._parsed.take_batches():
            if batch.complaints:
                self._note_days(batch.complaints)
                self._complaints.write(batch.complaints)
            # A value of another load may be kept, so a stored complaint may differ from its line.
            if batch.line_hashes and not self._precedence:
                line_hashes.write(batch.line_hashes)
        if dropped:
            emit(Step("Creating indexes", "Creating indexes"))
            create_indexes(self._connection, dropped)
        self._settle()
        line_hashes.finish(
            self._parsed.read_stats.duplicate_ids,
            keep_old=keeps_lines and self._coverage.part_reason is not None,
        )

    def _note_days(self, complaints: list[Complaint]) -> None:
        received, sent = {*map(_RECEIVED, complaints)}, {*map(_SENT, complaints)}
        found = (received - self._received) | (sent - self._sent)
        self._after_today |= {day for day in found if day is not None and day > self._info.today}
        self._received |= received
        self._sent |= sent
        if not self._after_today.isdisjoint(received | sent):
            self._late += sum(
                _RECEIVED(each) in self._after_today or _SENT(each) in self._after_today
                for each in complaints
            )
        if self._info.is_window and (not self._was_empty or not self._scope.is_varied):
            self._scope.add(complaints)

    def _settle(self) -> None:
        """Find out which complaints a file has and lacks, and how old its data are."""
        info, read = self._info, self._parsed.read_stats
        known = [day for day in (*self._received, *read.days) if day is not None]
        self._oldest = min(known, default=None)
        days = oldest_of(known), newest_of(known, info.today)
        self._coverage = Coverage(days)
        if info.proves_absence and info.is_window and not info.is_unchanged:
            self._coverage = self._covered(days, read.ids or BitMap64())
        evidence = info.evidence
        if evidence is None:
            return
        newest = NewestDays(days[1], newest_of({days[1], *self._sent}, info.today))
        if evidence.as_of is not None and evidence.as_of < (newest.any or ""):
            raise ContradictedAgeError(path=info.part, as_of=evidence.as_of, newest=newest.any)
        is_whole = info.proves_absence and self._coverage.part_reason is None
        self._info = replace(info, age=age_of_file(evidence, newest, info.today, is_whole=is_whole))

    def _covered(self, days: tuple[str | None, str | None], ids: BitMap64) -> Coverage:
        if self._was_empty:
            coverage = Coverage(days)
        else:
            added = self._complaints.new - self._complaints.born_withdrawn
            stored = count_stored(self._connection) - added
            coverage = Coverage(days, *missing_complaints(self._connection, ids), stored)
        reason = why_part(self._connection, self._parsed, self._scope, coverage)
        return coverage._replace(part_reason=reason)

    def finish(self) -> LoadStats:
        """Record the part's progress. At the end of a window, verify it and mark withdrawals.

        Returns:
            The stats of the part.
        """
        connection, load_id, info = self._connection, self._load_id, self._info
        stats, withdrawn = self._stats(), 0
        if not info.is_window:
            window = windows.note_page(connection, load_id, self._parsed, self._complaints.ids)
            if window is not None:
                withdrawn = mark_absent(connection, load_id, info, window, self._precedence)
        else:
            distinct = stats.rows - stats.duplicates - stats.skipped
            window = windows.note_file(connection, load_id, self._parsed, distinct)
            # A rejected row without an id may belong to any complaint that seems to be missing.
            if not self._parsed.read_stats.without_id:
                withdrawn = mark_missing(
                    connection, load_id, info, self._coverage, self._precedence
                )
        self._note_present()
        if window is None:
            return stats
        windows.forget_seen(connection, window.part_id)
        return stats + LoadStats(
            withdrawn=withdrawn, windows=1, expected=window.expected, received=window.received
        )

    def _note_present(self) -> None:
        """Record which stored complaints a part has. A file of all complaints has every one."""
        info, complaints = self._info, self._complaints
        is_all = info.proves_absence and info.is_window and self._coverage.part_reason is None
        if not self._was_empty and not is_all:
            ids = self._parsed.read_stats.ids or BitMap64(complaints.ids)
            present = ids - complaints.set_here - complaints.skipped
            note_presence(self._connection, self._load_id, present, is_present=True)

    def _stats(self) -> LoadStats:
        info, read, complaints = self._info, self._parsed.read_stats, self._complaints
        rows = complaints.rows + read.unchanged
        _, newest = self._coverage.days
        return LoadStats(
            parts=int(info.has_complaints),
            rows=rows,
            new=complaints.new,
            changed=complaints.changed,
            skipped=len(complaints.skipped),
            duplicates=read.duplicates,
            rejected=read.rejected,
            not_applied=complaints.not_applied,
            values_not_applied=complaints.values_not_applied,
            uncertain=complaints.uncertain,
            born_withdrawn=complaints.born_withdrawn,
            after_today=self._late + read.after_today,
            today=info.today,
            part_reason=self._coverage.part_reason,
            age=info.age,
            without_id=read.without_id,
            repeated_headers=read.repeated_headers,
            warnings=tuple(f"{info.part}, {each}" for each in read.warnings) or None,
            unchanged_files=int(info.is_unchanged),
            oldest=self._oldest,
            newest=newest,
            matching=info.matching,
            proves_absence=info.proves_absence,
            unknown_columns=frozenset(self._parsed.unknown_columns),
            missing_columns=ALWAYS_SENT - {*self._parsed.columns} if rows else frozenset(),
        )
