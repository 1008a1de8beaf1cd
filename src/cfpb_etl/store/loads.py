"""The loads of a database: start, resume, verify and end a load."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.source import Watermark
from cfpb_etl.plain_text import plain, without_secrets
from cfpb_etl.store import windows
from cfpb_etl.store.errors import (
    DatabaseError,
    IncompleteLoadError,
    OtherKindError,
    VanishedError,
)
from cfpb_etl.store.load_row import stored_stats
from cfpb_etl.store.lock import lock_for_loading
from cfpb_etl.store.merge.order import EVERYTHING
from cfpb_etl.store.replacement import remove_unfinished
from cfpb_etl.store.sqlite_file import connect, ensure_schema, named_errors, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Source


@dataclass(slots=True)
class Load:
    """A running load.

    Attributes:
        id: The load's `load_id`.
        source: The source, which loads what the database does not have yet.
        database: The SQLite file.
        stats: The stats of the load so far, including earlier runs.
        resumed_at: When the load was started, if this run resumes it; None if the load is new.
        flow_run_id: Prefect's id of the run.
    """

    id: int
    source: Source
    database: Path
    stats: LoadStats = field(default_factory=LoadStats)
    resumed_at: str | None = None
    flow_run_id: str | None = None

    def parts_left(self) -> Sequence[Part]:
        """Return the parts to fetch next, as the database records them."""
        with closing(connect(self.database)) as connection:
            left = windows.parts_left(connection, self.id)
        return [*map(self.source.part_from_json, left)]

    def verify(self) -> int:
        """Compare the received complaints with the source's counts, window by window.

        Returns:
            How many complaints were added or removed while a window was read for the second time.

        Raises:
            IncompleteLoadError: If the number of complaints received differs from the source's
                count, and changes of this count do not explain the difference. The next run reads
                these windows again.
        """
        with closing(connect(self.database)) as connection:
            found = windows.verification_of(connection, self.id)
        if found.left:
            raise IncompleteLoadError(
                expected=found.left_expected, received=found.left_received, windows=found.left
            )
        return found.moved


@contextmanager
def open_load(
    database: Path, source: Source, flow_run_id: str | None = None, *, restart: bool = False
) -> Iterator[Load]:
    """Start or resume a load. At the end, record whether the load is complete.

    The file is created if it does not exist. Only one load at a time can write to the file. If the
    newest load with the same request is not complete, it is resumed. A load with a limit is never
    resumed.

    Args:
        database: The SQLite file.
        source: The source of the complaints.
        flow_run_id: Prefect's id of the run.
        restart: Whether to start over instead of resuming a load.

    Raises:
        DatabaseError: If the file cannot take this load; each subclass is one reason.
        NothingToUpdateError: If an update finds no load to repeat.
    """
    with named_errors(database), closing(lock_for_loading(database)):
        remove_unfinished(database)
        load = _begin(database, source, flow_run_id, restart=restart)
        # Closing the last connection empties the write-ahead log, which must not happen after each
        # page. The first file can take the database's place only if the database is not open.
        has_pages = source.part_noun == "page"
        with closing(connect(database)) if has_pages else nullcontext():
            try:
                yield load
            except BaseException as error:
                outcome = "failed" if isinstance(error, Exception) else "interrupted"
                with suppress(sqlite3.Error, DatabaseError):  # the first error is more useful
                    failure = plain(without_secrets(str(error))) or type(error).__name__
                    _end(load, outcome, failure)
                raise
            _end(load, "complete", None)


def _begin(database: Path, source: Source, flow_run_id: str | None, *, restart: bool) -> Load:
    """Record that a load has started or is resumed."""
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)
        _refuse_other_kind(connection, database, source.kind)
        with transaction(connection):
            _repair_dead_loads(connection)
            source = source.resume_from(_watermark(connection, source.kind, database))
            load = _resume_or_start(connection, database, source, restart=restart)
            load.flow_run_id = flow_run_id
            connection.execute(
                "UPDATE load SET flow_run_id = ?, program_version = ? WHERE load_id = ?",
                (flow_run_id, __version__, load.id),
            )
    return load


def _refuse_other_kind(connection: sqlite3.Connection, database: Path, kind: str) -> None:
    sample = connection.execute(
        "SELECT source = 'sample' FROM load WHERE rows > 0 LIMIT 1"
    ).fetchone()
    if sample and sample[0] != (kind == "sample"):
        held, added = ("made-up", "real") if sample[0] else ("real", "made-up")
        raise OtherKindError(path=database, held=held, added=added)


def _repair_dead_loads(connection: sqlite3.Connection) -> None:
    """Record the end of loads whose process died. No load is running: the caller has the lock."""
    connection.execute(
        "UPDATE load SET outcome = 'interrupted', failure = 'the process died'"
        " WHERE outcome = 'running'"
    )
    # If such a load has one file and it was stored as a whole, only the outcome is missing.
    connection.execute(
        "UPDATE load SET outcome = 'complete', failure = NULL"
        " WHERE source = ? AND outcome <> 'complete' AND parts > 0 AND NOT EXISTS"
        " (SELECT 1 FROM load_part WHERE load_id = load.load_id AND next IS NOT NULL)",
        (EVERYTHING,),
    )


def _watermark(connection: sqlite3.Connection, kind: str, database: Path) -> Watermark:
    """Return what the database has from sources of this kind.

    An update by the search API can also start from a load of the daily file.
    """
    row = connection.execute(
        "SELECT base.load_id, base.query, MAX(covering.covers_until) FROM load AS base"
        " JOIN load AS covering ON base.load_id IN (covering.load_id, covering.updates_load_id)"
        " WHERE covering.outcome = 'complete' AND base.load_id ="
        " (SELECT MAX(load_id) FROM load WHERE outcome = 'complete'"
        " AND (source = :kind OR (source = :everything AND NOT is_partial AND rows > 0))"
        " AND row_limit IS NULL AND updates_load_id IS NULL)"
        " GROUP BY base.load_id",
        {"kind": kind, "everything": EVERYTHING if kind == "api" else None},
    ).fetchone()
    load_id, query, covers_until = row or (None, "{}", None)
    (added_since,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load AS later JOIN load AS own ON own.load_id ="
        " (SELECT MAX(load_id) FROM load"
        " WHERE source = :kind AND outcome = 'complete' AND rows > 0)"
        # A resumed load keeps its load_id.
        " WHERE (later.load_id > own.load_id OR later.ended_at > own.ended_at)"
        " AND later.source <> :kind AND (later.new > 0"
        " OR own.skipped AND later.source = :everything AND NOT later.is_partial"
        " AND later.outcome = 'complete'))",
        {"kind": kind, "everything": EVERYTHING},
    ).fetchone()
    last_ended, stored_until, newest = connection.execute(
        "SELECT SUBSTR(MAX(ended_at), 1, 10),"
        " MAX(CASE WHEN rows > 0 THEN COALESCE(as_of_latest, '9999-12-31') END),"
        " (SELECT MAX(date_received) FROM complaint) FROM load"
    ).fetchone()
    return Watermark(
        database,
        load_id,
        query,
        covers_until,
        windows.stored_versions(connection, kind),
        added_since=bool(added_since),
        last_ended=last_ended,
        stored_until=stored_until,
        newest=newest,
    )


def _resume_or_start(
    connection: sqlite3.Connection, database: Path, source: Source, *, restart: bool
) -> Load:
    unfinished = _unfinished(connection, source)
    if unfinished is not None and (restart or source.limit is not None):
        windows.forget_parts(connection, unfinished)
        unfinished = None
    return (
        _start(connection, database, source)
        if unfinished is None
        else _resume(connection, database, source, unfinished)
    )


def _unfinished(connection: sqlite3.Connection, source: Source) -> int | None:
    """Return the id of the newest load with the source's request, if this load can be resumed.

    Return None if the load has stored no parts or is complete.
    """
    row = connection.execute(
        "SELECT load_id, outcome <> 'complete' AND parts > 0 FROM load"
        " WHERE source = ? AND address = ? AND query = ? AND updates_load_id IS ?"
        " ORDER BY load_id DESC LIMIT 1",
        (source.kind, source.address, source.query_json(), source.updates_load_id),
    ).fetchone()
    return row[0] if row and row[1] else None


def _start(connection: sqlite3.Connection, database: Path, source: Source) -> Load:
    (load_id,) = connection.execute(
        "INSERT INTO load (source, address, query, is_partial, row_limit, updates_load_id,"
        " program_version, started_at) VALUES (?, ?, ?, ?, ?, ?, '', ?) RETURNING load_id",
        (
            source.kind,
            source.address,
            source.query_json(),
            source.is_partial,
            source.limit,
            source.updates_load_id,
            _now(),
        ),
    ).fetchone()
    windows.add_parts(connection, load_id, source.parts())
    return Load(load_id, source, database)


def _resume(connection: sqlite3.Connection, database: Path, source: Source, load_id: int) -> Load:
    windows.reset_unverified(connection, load_id)
    (started_at,) = connection.execute(
        "UPDATE load SET outcome = 'running', failure = NULL, ended_at = NULL WHERE load_id = ?"
        " RETURNING started_at",
        (load_id,),
    ).fetchone()
    found = windows.verification_of(connection, load_id)
    stats = stored_stats(connection, load_id) + LoadStats(
        windows=found.windows,
        expected=found.expected,
        received=found.received,
        proves_absence=source.proves_absence,
    )
    return Load(load_id, source, database, stats, started_at)


def _end(load: Load, outcome: str, failure: str | None) -> None:
    with closing(connect(load.database)) as connection, transaction(connection):
        ended = connection.execute(
            "UPDATE load SET outcome = ?, failure = ?, ended_at = ?"
            " WHERE load_id = ? AND outcome = 'running' AND flow_run_id IS ?",
            (outcome, failure, _now(), load.id, load.flow_run_id),
        )
        if not ended.rowcount:  # another database has this name now
            raise VanishedError(path=load.database)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
