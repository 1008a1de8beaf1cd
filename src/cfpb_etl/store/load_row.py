"""The row of a load in the table `load`: the results of the load's parts so far."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.load_stats import STORED_STATS, LoadStats
from cfpb_etl.store.merge import EVERYTHING

if TYPE_CHECKING:
    from cfpb_etl.model.part import ParsedPart


def stored_stats(connection: sqlite3.Connection, load_id: int) -> LoadStats:
    """Return the stats of a load so far."""
    return _stats_in(_row(connection, load_id))


def note_part(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, stats: LoadStats
) -> None:
    """Add the stats of a part, and facts about the part, to the load's row in the table `load`."""
    row, info, age = _row(connection, load_id), parsed.info, parsed.info.age
    total = _stats_in(row) + stats
    values = {name: getattr(total, name) for name in (*STORED_STATS, "unchanged")}
    # A file covers the days of its complaints, up to the newest day.
    until = stats.newest if info.is_window else info.days[1]
    values["covers_until"] = _largest(row["covers_until"], until)
    if stats.rows:
        sent = json.loads(row["columns_sent"]) if row["columns_sent"] else parsed.columns
        values["columns_sent"] = json.dumps(sorted({*sent} & {*parsed.columns}))
    if info.source_total is not None:
        values["source_total"] = info.source_total
    elif row["source"] == EVERYTHING and not info.is_unchanged:
        values["source_total"] = stats.rows - stats.duplicates
    values["warnings"] = "\n".join(filter(None, (row["warnings"], *(stats.warnings or ())))) or None
    if age is not None:
        evidence = (row["as_of_evidence"] or age.evidence).split(", ")
        earliest = _smallest(age.earliest or stats.newest, age.as_of)
        values |= {
            "as_of": _smallest(row["as_of"], age.as_of),
            "as_of_earliest": _smallest(row["as_of_earliest"], earliest),
            "as_of_latest": _largest(row["as_of_latest"], age.as_of),
            "as_of_evidence": ", ".join(dict.fromkeys((*evidence, age.evidence))),
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
    return LoadStats(**{name: row[name] for name in STORED_STATS})


def _smallest(*days: str | None) -> str | None:
    return min(filter(None, days), default=None)


def _largest(*days: str | None) -> str | None:
    return max(filter(None, days), default=None)
