"""The merge rules decide whose value counts if several sources have the same complaint.

For each column, the value of the newest source counts. An older source adds what the newer source
does not send: other columns, and other complaints (docs/design.md).

Functions whose names end in `_sql` return SQL: a condition for a stored row, or a whole statement.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.complaint import Complaint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cfpb_etl.model.source import SourceKind

EVERYTHING: SourceKind = "bulk"  # the kind of source with all complaints that CFPB publishes
_NARRATIVE = Complaint._fields.index("complaint_what_happened")
# A complete load of all complaints contains every complaint that is not marked as withdrawn. If
# this load did not change a complaint, the complaint's row still has the number of an earlier load.
_SEEN_SQL = "complaint.withdrawn_on IS NULL"


@dataclass(frozen=True)
class NewerLoads:
    """The loads of a database whose data are newer than those of the current load.

    Attributes:
        columns_sent: The columns that each newer load sent, as (`load_id`, columns).
        columns_of_all: The columns that were sent by newer complete loads of all complaints.
        all_as_of: The earliest day of the data of those complete loads; None if no such load
            exists. A complaint that is not stored yet was withdrawn by that day.
    """

    columns_sent: tuple[tuple[int, frozenset[str]], ...] = ()
    columns_of_all: frozenset[str] = frozenset()
    all_as_of: str | None = None

    def __bool__(self) -> bool:
        """Say whether any newer loads exist."""
        return bool(self.columns_sent)

    @property
    def wrote_sql(self) -> str:
        """Return an SQL condition that is true if a newer load wrote the row."""
        return _written_by_sql(load_id for load_id, _ in self.columns_sent)

    def sent_sql(self, column: str) -> str:
        """Return an SQL condition that is true if a newer load has set this column of a row."""
        wrote = _written_by_sql(load_id for load_id, sent in self.columns_sent if column in sent)
        return f"({wrote} OR {_SEEN_SQL})" if column in self.columns_of_all else wrote

    @property
    def have_sql(self) -> str:
        """Return an SQL condition that is true if a newer load has the complaint."""
        return f"({self.wrote_sql} OR {_SEEN_SQL})" if self.all_as_of else self.wrote_sql


def _written_by_sql(loads: Iterable[int]) -> str:
    return f"complaint.load_id IN ({', '.join(map(str, loads))})"


def newer_loads(connection: sqlite3.Connection, as_of: str) -> NewerLoads:
    """Return the loads whose data are newer than this day."""
    rows = connection.execute(
        "SELECT load_id, columns_sent, as_of, source = ? AND outcome = 'complete'"
        " FROM load WHERE as_of > ? AND rows > 0 ORDER BY load_id",
        (EVERYTHING, as_of),
    ).fetchall()
    sent = {load_id: frozenset(json.loads(columns or "[]")) for load_id, columns, _, _ in rows}
    of_all = [(load_id, day) for load_id, _, day, is_all in rows if is_all]
    return NewerLoads(
        tuple(sent.items()),
        frozenset().union(*(sent[load_id] for load_id, _ in of_all)),
        min((day for _, day in of_all), default=None),
    )


def is_everything_loaded(connection: sqlite3.Connection) -> bool:
    """Say whether the database has a complete load of all complaints that CFPB publishes."""
    (found,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE source = ? AND outcome = 'complete' AND rows > 0)",
        (EVERYTHING,),
    ).fetchone()
    return bool(found)


def may_add_complaints(connection: sqlite3.Connection, load_id: int) -> bool:
    """Say whether a load that only fills gaps may add complaints that are not stored yet.

    The load may add them if the daily file was loaded, because CFPB has then removed these
    complaints. It may also add them if all other loads are of the same kind. In any other database,
    the complaints may be missing because no load asked for them.
    """
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE rows > 0"
        " AND source <> (SELECT source FROM load WHERE load_id = ?))",
        (load_id,),
    ).fetchone()
    return not others or is_everything_loaded(connection)


def insert_sql(load_id: int, columns: tuple[str, ...], newer: NewerLoads) -> str:
    """Return the SQL statement that inserts a complaint with these columns."""
    withdrawn_on = "NULL" if newer.all_as_of is None else f"'{newer.all_as_of}'"
    return (
        f"INSERT INTO complaint ({', '.join(columns)},"  # noqa: S608 - our names and numbers
        " load_id, first_load_id, changed_load_id, withdrawn_on)"
        f" VALUES ({'?, ' * len(columns)}{load_id}, {load_id}, {load_id}, {withdrawn_on})"
    )


@lru_cache(maxsize=8)
def update_sql(
    load_id: int,
    columns: tuple[str, ...],
    may_replace: frozenset[str],
    newer: NewerLoads,
    as_of: str,
) -> str:
    """Return the SQL statement that merges a complaint into the stored row.

    The statement skips rows that would not change, so the cursor's `rowcount` is the number of
    changed rows. The statement is an upsert, so it binds the same values as the statement of
    `insert_sql`.

    Args:
        load_id: The current load.
        columns: The columns to bind, in this order.
        may_replace: Columns whose values may replace stored values. Other columns only fill gaps.
        newer: The loads with newer data.
        as_of: The day of the current load's data.
    """

    def value_of(column: str) -> str:
        incoming = f"excluded.{column}"
        filled = f"COALESCE(complaint.{column}, {incoming})"
        if column not in may_replace:
            return filled
        if not newer:
            return incoming
        return (
            f"CASE WHEN {newer.sent_sql(column)} THEN complaint.{column}"
            f" WHEN {newer.have_sql} THEN {filled} ELSE {incoming} END"
        )

    values = {column: value_of(column) for column in columns[1:]}
    # The source has the complaint, so the mark is removed, unless a newer source has set it.
    values["withdrawn_on"] = (
        f"CASE WHEN complaint.withdrawn_on > '{as_of}' THEN complaint.withdrawn_on END"
    )
    assignments = "".join(f"    {column} = {value},\n" for column, value in values.items())
    differences = "\n    OR ".join(f"complaint.{c} IS NOT {value}" for c, value in values.items())
    return (
        f"{insert_sql(load_id, columns, newer)}\n"
        f"ON CONFLICT (complaint_id) DO UPDATE SET\n{assignments}"
        f"    load_id = CASE WHEN {newer.wrote_sql} THEN complaint.load_id ELSE {load_id} END,\n"
        f"    changed_load_id = {load_id}\n"
        f"WHERE {differences}"
    )


def remember_changes_sql(load_id: int) -> str:
    """Return the SQL statement for a trigger that records each value that an update changes.

    The trigger lasts until the connection is closed. A value that replaces NULL is not a change if
    the load that wrote the row did not send the column. In this case CFPB may have had the value
    before.
    """
    pairs = "\n        UNION ALL ".join(
        f"SELECT '{column}' AS name, OLD.{column} AS old, NEW.{column} AS new"
        for column in (*Complaint._fields[1:], "withdrawn_on")
    )
    return f"""
CREATE TEMP TRIGGER remember_changes AFTER UPDATE ON main.complaint BEGIN
    INSERT INTO complaint_change (complaint_id, load_id, column_name, old, new)
    SELECT OLD.complaint_id, {load_id}, name, old, new FROM (
        {pairs}
    )
    WHERE old IS NOT new AND (
        old IS NOT NULL OR name = 'withdrawn_on'
        OR EXISTS (
            SELECT 1 FROM load WHERE load.load_id = OLD.load_id
            AND INSTR(load.columns_sent, '"' || name || '"')
        )
    );
END"""  # noqa: S608 - our names


@lru_cache(maxsize=8)
def stored_sql(columns: tuple[str, ...], rows: int, withdrawn_on: str) -> str:
    """Return the SQL statement that reads stored complaints, as rows shaped like a `Complaint`."""
    found = ", ".join(name if name in columns else "NULL" for name in Complaint._fields)
    return (
        f"SELECT {found} FROM complaint"  # noqa: S608 - our names
        f" WHERE complaint_id IN ({', '.join('?' * rows)}) AND withdrawn_on IS {withdrawn_on}"
        " ORDER BY complaint_id"
    )


def with_stored_white_space(complaint: Complaint, stored: tuple[Any, ...]) -> Complaint:
    """Return the complaint with the stored narrative if only white space differs.

    CFPB's files have one space where the API has the consumer's line breaks.
    """
    incoming: str | None = complaint.complaint_what_happened
    known: str | None = stored[_NARRATIVE]
    if incoming and known and incoming != known and incoming.split() == known.split():
        return complaint._replace(complaint_what_happened=known)
    return complaint
