"""The loads that a database remembers: begun, gone on with where they stopped, proved, ended."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cfpb_etl import __version__
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.source import Watermark
from cfpb_etl.store import windows as progress
from cfpb_etl.store.errors import IncompleteLoadError, OtherKindError
from cfpb_etl.store.lock import lock_for_loading
from cfpb_etl.store.merge import MIRROR
from cfpb_etl.store.sqlite_file import connect, ensure_schema, named_errors, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Source


@dataclass(slots=True)
class Load:
    """A load under way.

    Attributes:
        id: Its `load_id`.
        source: Where it reads.
        report: What it has done so far, in earlier runs too.
        began: When the load that this run goes on with began; None where it begins one.
    """

    id: int
    source: Source
    _connection: sqlite3.Connection
    report: LoadStats = field(default_factory=LoadStats)
    began: str | None = None

    def parts_left(self) -> Sequence[Part]:
        """Return the parts to fetch next, as the database has them."""
        return [*map(self.source.part_from_json, progress.progress_left(self._connection, self.id))]

    def prove_complete(self) -> int:
        """Hold what came against the source's closing counts, window by window.

        Returns:
            How many complaints came or went while they were read, a second time too.

        Raises:
            IncompleteLoadError: If a window's complaints are not as many as its source counts, and
                that count did not move so far meanwhile. The window is then left to be read again.
        """
        proof = progress.proof_of(self._connection, self.id)
        if proof.left:
            raise IncompleteLoadError(proof.left_expected, proof.left_kept, proof.left)
        return proof.moved


@contextmanager
def begin_load(
    database: Path, source: Source, flow_run_id: str | None = None, *, restart: bool = False
) -> Iterator[Load]:
    """Open a load, or go on with one, and close it as complete, failed or interrupted.

    The file is made if it is missing, and brought to the newest schema. Only one load at a time may
    write to it; a load that was killed is marked as interrupted by the next. The newest load that
    asked for the same is gone on with where it did not end well, unless it was limited or this is
    to `restart`.

    Raises:
        DatabaseError: One of its subclasses, if the file cannot take this load.
        NothingToUpdateError: If an update finds nothing to bring up to date.
    """
    with (
        named_errors(database),
        closing(lock_for_loading(database)),
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
            # Its file is in; only that could not be written any more.
            connection.execute(
                "UPDATE load SET outcome = 'complete', failure = NULL"
                " WHERE source = ? AND outcome <> 'complete' AND parts > 0 AND NOT EXISTS"
                " (SELECT 1 FROM load_part WHERE load_id = load.load_id AND next IS NOT NULL)",
                (MIRROR,),
            )
            source = source.resume_from(_reached(connection, source.kind))
            unended = _unended(connection, source)
            if unended is not None and (restart or source.limit is not None):
                progress.forget(connection, unended)
                unended = None
            if unended is None:
                load = _begun(connection, source)
            else:
                load = _gone_on_with(connection, source, unended)
            connection.execute(
                "UPDATE load SET flow_run_id = ?, program_version = ? WHERE load_id = ?",
                (flow_run_id, __version__, load.id),
            )
        try:
            yield load
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
            with suppress(sqlite3.Error):  # the error on its way says more
                _end_load(connection, load.id, outcome, str(error) or type(error).__name__)
            raise
        _end_load(connection, load.id, "complete", None)


def _reached(connection: sqlite3.Connection, kind: str) -> Watermark:
    """Return how far the database has come: an update may also follow a load of all there is."""
    row = connection.execute(
        "SELECT base.load_id, base.query, MAX(covering.until) FROM load AS base"
        " JOIN load AS covering ON base.load_id IN (covering.load_id, covering.updates)"
        " WHERE covering.outcome = 'complete' AND base.load_id ="
        " (SELECT MAX(load_id) FROM load WHERE outcome = 'complete'"
        " AND (source = :kind OR (source = :mirror AND complaints_read > 0))"
        " AND complaint_limit IS NULL AND updates IS NULL)"
        " GROUP BY base.load_id",
        {"kind": kind, "mirror": MIRROR if kind == "api" else None},
    ).fetchone()
    load_id, query, until = row or (None, "{}", None)
    (added_since,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load AS later JOIN load AS own ON own.load_id ="
        " (SELECT MAX(load_id) FROM load"
        " WHERE source = :kind AND outcome = 'complete' AND complaints_read > 0)"
        # A load that was gone on with keeps its place among the others.
        " WHERE (later.load_id > own.load_id OR later.ended_at > own.ended_at)"
        " AND later.source <> :kind AND (later.new > 0"
        " OR own.left_out AND later.source = :mirror AND later.outcome = 'complete'))",
        {"kind": kind, "mirror": MIRROR},
    ).fetchone()
    versions = progress.versions_of(connection, kind)
    return Watermark(load_id, query, until, versions, bool(added_since))


def _unended(connection: sqlite3.Connection, source: Source) -> int | None:
    """Return the newest load that asked for the same, if it stored something and did not end."""
    row = connection.execute(
        "SELECT load_id, outcome <> 'complete' AND parts > 0"
        # A load of the first schema has no windows to go on with.
        " AND EXISTS (SELECT 1 FROM load_part WHERE load_part.load_id = load.load_id) FROM load"
        " WHERE source = ? AND address = ? AND query = ? AND updates IS ?"
        " ORDER BY load_id DESC LIMIT 1",
        (source.kind, source.address, source.described(), source.updates),
    ).fetchone()
    return row[0] if row and row[1] else None


def _begun(connection: sqlite3.Connection, source: Source) -> Load:
    connection.execute(
        "INSERT INTO load"
        " (source, address, query, complaint_limit, updates, program_version, started_at)"
        " VALUES (?, ?, ?, ?, ?, '', ?)",
        (
            *(source.kind, source.address, source.described(), source.limit, source.updates),
            _now(),
        ),
    )
    (load_id,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    progress.await_parts(connection, load_id, source.parts())
    return Load(load_id, source, connection)


def _gone_on_with(connection: sqlite3.Connection, source: Source, load_id: int) -> Load:
    progress.read_again(connection, load_id)
    connection.execute(
        "UPDATE load SET outcome = 'running', failure = NULL, ended_at = NULL WHERE load_id = ?",
        (load_id,),
    )
    began, *counts = connection.execute(
        "SELECT started_at, parts, complaints_read, inserted, updated, withdrawn, left_out,"
        " repeated, rejected, oldest, newest, matching FROM load WHERE load_id = ?",
        (load_id,),
    ).fetchone()
    names = (
        *("parts", "rows", "inserted", "updated", "withdrawn", "left_out"),
        *("repeated", "rejected", "oldest", "newest", "matching"),
    )
    proof = progress.proof_of(connection, load_id)
    report = LoadStats(**dict(zip(names, counts, strict=True))) + LoadStats(
        windows=proof.windows,
        expected=proof.expected,
        received=proof.received,
        proves_absence=source.proves_absence,
    )
    return Load(load_id, source, connection, report, began)


def _end_load(
    connection: sqlite3.Connection, load_id: int, outcome: str, failure: str | None
) -> None:
    with transaction(connection):
        connection.execute(
            "UPDATE load SET outcome = ?, failure = ?, ended_at = ? WHERE load_id = ?",
            (outcome, failure, _now(), load_id),
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
