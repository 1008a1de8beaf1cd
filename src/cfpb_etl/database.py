"""What a load does to the SQLite file, and what the file remembers of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.claim import sole_writer
from cfpb_etl.complaint import OF_EVERY_RELEASE, Complaint
from cfpb_etl.errors import IncompleteLoadError, OtherKindError
from cfpb_etl.schema import connect, ensure_schema, named_errors, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.source import ParsedPart, Source


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load, or a part of it, did to the database; reports add up.

    Attributes:
        parts: Parts stored.
        rows: Complaints read.
        inserted: Of these, not known before.
        updated: Of these, known with other values.
        oldest: Earliest day received among those read, or None.
        newest: Latest day received among those read, or None.
        opening_count: How many complaints the source said match, when it was first asked.
        closing_count: The same, when it was last asked.
        repeated: Of the complaints read, further copies of one that the same part had already.
        unknown: Names in what came that are no column here.
        missing: Columns that every release has sent so far, and a part did not.
    """

    parts: int = 0
    rows: int = 0
    inserted: int = 0
    updated: int = 0
    oldest: str | None = None
    newest: str | None = None
    opening_count: int | None = None
    closing_count: int | None = None
    repeated: int = 0
    unknown: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()

    @property
    def unchanged(self) -> int:
        """Complaints read that the database held just so."""
        return self.rows - self.inserted - self.updated

    @property
    def counts(self) -> str:
        """Return what became of the complaints read, in words."""
        return f"{self.inserted:,} inserted, {self.updated:,} updated, {self.unchanged:,} unchanged"

    def __add__(self, later: LoadReport) -> LoadReport:
        return LoadReport(
            self.parts + later.parts,
            self.rows + later.rows,
            self.inserted + later.inserted,
            self.updated + later.updated,
            min(filter(None, (self.oldest, later.oldest)), default=None),
            max(filter(None, (self.newest, later.newest)), default=None),
            later.opening_count if self.opening_count is None else self.opening_count,
            self.closing_count if later.closing_count is None else later.closing_count,
            self.repeated + later.repeated,
            self.unknown | later.unknown,
            self.missing | later.missing,
        )


@dataclass(slots=True)
class Load:
    """A load under way.

    Attributes:
        id: Its `load_id`.
        limit: How many complaints were asked for, or None for all that match.
        report: What it has done so far.
    """

    id: int
    limit: int | None
    report: LoadReport = field(default_factory=LoadReport)

    def prove_complete(self) -> int:
        """Hold what came against the source's closing count, and return how many are missing.

        The source moves while it is read: a walk may miss as many complaints as its count changed
        meanwhile, and no more. A day's movement is far below one in a hundred.

        Raises:
            IncompleteLoadError: If more than that are missing.
        """
        closing = self.report.closing_count or 0
        moved = min(abs(closing - (self.report.opening_count or 0)), 100 + closing // 100)
        expected = closing if self.limit is None else min(self.limit, closing)
        came = self.report.rows - self.report.repeated
        if came + moved < expected:
            raise IncompleteLoadError(expected, came)
        return max(expected - came, 0)


@contextmanager
def begin_load(database: Path, source: Source, flow_run_id: str | None = None) -> Iterator[Load]:
    """Open a load, and close it as complete, failed or interrupted, however it ends.

    The file is made if it is missing, and brought to the newest schema. Only one load at a time may
    write to it; a load that was killed is marked as interrupted by the next.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot take this load.
    """
    with (
        named_errors(database),
        closing(sole_writer(database)),
        # Held open all the while: the last connection to close empties the write-ahead log, which
        # must not happen after each part.
        closing(connect(database, make=True)) as connection,
    ):
        ensure_schema(connection, database)
        _refuse_other_kind(connection, database, source.kind)
        with transaction(connection):
            connection.execute(
                "UPDATE load SET outcome = 'interrupted', failure = 'ended without a word'"
                " WHERE outcome = 'running'"
            )
            connection.execute(
                "INSERT INTO load"
                " (source, address, query, flow_run_id, program_version, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    source.kind,
                    source.address,
                    source.described(),
                    flow_run_id,
                    __version__,
                    _now(),
                ),
            )
            (load_id,) = connection.execute("SELECT last_insert_rowid()").fetchone()
        load = Load(load_id, source.limit)
        try:
            yield load
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
            with suppress(sqlite3.Error):  # the error on its way says more
                _end_load(connection, load_id, outcome, str(error) or type(error).__name__)
            raise
        _end_load(connection, load_id, "complete", None)


def _end_load(
    connection: sqlite3.Connection, load_id: int, outcome: str, failure: str | None
) -> None:
    with transaction(connection):
        connection.execute(
            "UPDATE load SET outcome = ?, failure = ?, ended_at = ? WHERE load_id = ?",
            (outcome, failure, _now(), load_id),
        )


def store_part(parsed: ParsedPart, load_id: int, database: Path) -> LoadReport:
    """Store a part's complaints and the progress after it, both or neither.

    A complaint not known before is inserted. Of a known one, the columns that the part carries
    replace what is stored, unless a newer source wrote it; any other value fills an empty place. A
    row that would not change is not written.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be written; nothing is stored then.
    """
    complaints = parsed.complaints()
    # Not a function of ours: a Ctrl-C that arrives within one SQLite would take for its failure.
    updates = count()
    with named_errors(database), closing(connect(database)) as connection:
        connection.create_function("note_update", 0, updates.__next__)
        with transaction(connection):
            newer = connection.execute(
                "SELECT load_id FROM load WHERE as_of > ? ORDER BY load_id", (parsed.as_of,)
            )
            statement = _upsert(load_id, frozenset(parsed.columns), tuple(row[0] for row in newer))
            written = connection.executemany(statement, complaints).rowcount
            updated = next(updates)
            days = [c.date_received for c in complaints if c.date_received]
            report = LoadReport(
                parts=1,
                rows=len(complaints),
                inserted=max(written, 0) - updated,
                updated=updated,
                oldest=min(days, default=None),
                newest=max(days, default=None),
                opening_count=parsed.matching,
                closing_count=parsed.matching,
                repeated=len(complaints) - len({c.complaint_id for c in complaints}),
                unknown=frozenset(parsed.unknown),
                missing=OF_EVERY_RELEASE - set(parsed.columns) if complaints else frozenset(),
            )
            connection.execute(
                "UPDATE load SET parts = parts + 1, complaints_read = complaints_read + ?,"
                " inserted = inserted + ?, updated = updated + ?, unchanged = unchanged + ?,"
                " matching = ?, as_of = MIN(?, COALESCE(as_of, ?)), next_part = ?"
                " WHERE load_id = ?",
                (
                    report.rows,
                    report.inserted,
                    report.updated,
                    report.unchanged,
                    parsed.matching,
                    parsed.as_of,
                    parsed.as_of,
                    parsed.following and parsed.following.as_progress(),
                    load_id,
                ),
            )
    return report


def count_complaints(database: Path) -> int:
    """Return how many complaints the database holds.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot be read.
    """
    with named_errors(database), closing(connect(database)) as connection:
        (complaints,) = connection.execute("SELECT COUNT(*) FROM complaint").fetchone()
        return int(complaints)


@lru_cache(maxsize=8)
def _upsert(load_id: int, carried: frozenset[str], newer_loads: tuple[int, ...]) -> str:
    """Return the statement that stores one complaint.

    SQLite evaluates `note_update` for each row that it updates, and for no other, which tells
    updates from inserts without a look at the table before.
    """
    written_by_newer = f"complaint.load_id IN ({', '.join(map(str, newer_loads))})"

    def value_of(column: str) -> str:
        filled = f"COALESCE(complaint.{column}, excluded.{column})"
        if column not in carried:
            return filled
        if newer_loads:
            return f"CASE WHEN {written_by_newer} THEN {filled} ELSE excluded.{column} END"
        return f"excluded.{column}"

    columns = Complaint._fields[1:]
    load = f"CASE WHEN {written_by_newer} THEN complaint.load_id ELSE excluded.load_id END"
    assignments = ",\n    ".join(f"{column} = {value_of(column)}" for column in columns)
    differences = "\n    OR ".join(f"complaint.{c} IS NOT {value_of(c)}" for c in columns)
    return (
        f"INSERT INTO complaint ({', '.join(Complaint._fields)}, load_id)\n"
        f"VALUES ({'?, ' * len(Complaint._fields)}{load_id})\n"
        f"ON CONFLICT (complaint_id) DO UPDATE SET\n    {assignments},\n"
        f"    load_id = {load} + 0 * note_update()\n"
        f"WHERE {differences}"
    )


def _refuse_other_kind(connection: sqlite3.Connection, database: Path, kind: str) -> None:
    made_up = connection.execute(
        "SELECT source = 'sample' FROM load WHERE complaints_read > 0 LIMIT 1"
    ).fetchone()
    if made_up and made_up[0] != (kind == "sample"):
        held = "made-up" if made_up[0] else "real"
        raise OtherKindError(
            database,
            f"holds {held} complaints, which are never mixed with"
            f" {'real' if made_up[0] else 'made-up'} ones. Choose another --database.",
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
