"""The row of a load in the table `load`: the results of the load's parts so far."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.age import LAST_UPDATED, Age
from cfpb_etl.model.load_stats import STORED_STATS, LoadStats
from cfpb_etl.store.merge.order import EVERYTHING

if TYPE_CHECKING:
    from cfpb_etl.model.part import ParsedPart


def stored_stats(connection: sqlite3.Connection, load_id: int) -> LoadStats:
    """Return the stats of a load so far."""
    return _stats_in(_row(connection, load_id))


def note_part(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, stats: LoadStats
) -> None:
    """Add the stats of a part, and facts about the part, to the load's row in the table `load`."""
    row, info = _row(connection, load_id), parsed.info
    total = _stats_in(row) + stats
    values = {name: getattr(total, name) for name in (*STORED_STATS, "unchanged")}
    # A file covers the days of its complaints, up to the newest plausible day.
    until = info.days[1]
    if (
        info.is_window
        or (until is not None and until > info.today)
        or (info.age and info.age.evidence != LAST_UPDATED)
    ):
        until = total.newest
    values["covers_until"] = _largest(row["covers_until"], until)
    if stats.rows:
        sent = json.loads(row["columns_sent"]) if row["columns_sent"] else parsed.columns
        values["columns_sent"] = json.dumps(sorted({*sent} & {*parsed.columns}))
    if info.source_total is not None:
        values["source_total"] = info.source_total
    elif row["source"] == EVERYTHING and not info.is_unchanged:
        values["is_partial"] = stats.part_reason is not None
        if stats.part_reason is None:
            values["source_total"] = stats.rows - stats.duplicates
    values["warnings"] = "\n".join(filter(None, (row["warnings"], *(stats.warnings or ())))) or None
    if (age := total.age) is not None:
        values |= {
            "as_of_earliest": age.earliest,
            "as_of_latest": age.latest,
            "as_of_evidence": age.evidence,
            "taken_from": age.taken_from,
        }
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(
        f"UPDATE load SET {assignments} WHERE load_id = :load_id",  # noqa: S608 - our names
        values | {"load_id": load_id},
    )


def _row(connection: sqlite3.Connection, load_id: int) -> dict[str, Any]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return dict(cursor.execute("SELECT * FROM load WHERE load_id = ?", (load_id,)).fetchone())


def _stats_in(row: dict[str, Any]) -> LoadStats:
    age = None
    if row["as_of_latest"] is not None:
        age = Age(
            row["as_of_earliest"], row["as_of_latest"], row["as_of_evidence"], row["taken_from"]
        )
    return LoadStats(**{name: row[name] for name in STORED_STATS}, age=age)


def _largest(*days: str | None) -> str | None:
    return max(filter(None, days), default=None)
