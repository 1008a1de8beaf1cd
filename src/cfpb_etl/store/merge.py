"""Which source's word counts where several know a complaint (DESIGN.md, decision 4).

The newest one's does, column by column. Older ones add what it is silent about: columns that it did
not carry, complaints that it does not have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cfpb_etl.model.complaint import Complaint

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

MIRROR = "bulk"  # the kind of source that has all that CFPB publishes
_NARRATIVE = "complaint_what_happened"


@dataclass(frozen=True)
class NewerLoads:
    """The loads of a database whose data are newer than those of the load under way.

    Attributes:
        carried: What each carried, as (`load_id`, columns).
        mirrored: What those carried that are complete and of all that CFPB has. They have seen
            every complaint that is not marked as withdrawn, also where they found it unchanged.
        mirror_day: The first day of these, or None: what it lacks was withdrawn by then.
    """

    carried: tuple[tuple[int, frozenset[str]], ...] = ()
    mirrored: frozenset[str] = frozenset()
    mirror_day: str | None = None

    @property
    def wrote(self) -> str:
        """Return the SQL condition that one of them wrote a row."""
        return _written_by(load_id for load_id, _ in self.carried)

    def told(self, column: str) -> str:
        """Return the SQL condition that one of them told what stands in a column of a row."""
        wrote = _written_by(load_id for load_id, carried in self.carried if column in carried)
        return f"({wrote} OR {self._saw})" if column in self.mirrored else wrote

    @property
    def know(self) -> str:
        """Return the SQL condition that one of them wrote or saw a row."""
        return f"({self.wrote} OR {self._saw})" if self.mirror_day else self.wrote

    _saw = "complaint.withdrawn_on IS NULL"


def _written_by(loads: Iterable[int]) -> str:
    return f"complaint.load_id IN ({', '.join(map(str, loads))})"


def newer_loads(connection: sqlite3.Connection, as_of: str) -> NewerLoads:
    """Return the loads whose data are newer than this day's."""
    rows = connection.execute(
        "SELECT load_id, carried, as_of, source = ? AND outcome = 'complete'"
        " FROM load WHERE as_of > ? AND complaints_read > 0 ORDER BY load_id",
        (MIRROR, as_of),
    ).fetchall()
    carried = tuple((row[0], frozenset(json.loads(row[1] or "[]"))) for row in rows)
    mirrors = [(columns, row[2]) for (_, columns), row in zip(carried, rows, strict=True) if row[3]]
    return NewerLoads(
        carried,
        frozenset().union(*(columns for columns, _ in mirrors)),
        min((day for _, day in mirrors), default=None),
    )


def is_mirrored(connection: sqlite3.Connection) -> bool:
    """Say whether all that CFPB has was loaded."""
    (there,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load"
        " WHERE source = ? AND outcome = 'complete' AND complaints_read > 0)",
        (MIRROR,),
    ).fetchone()
    return bool(there)


def may_add_complaints(connection: sqlite3.Connection, load_id: int) -> bool:
    """Say whether a complaint that the database lacks may come from a source that fills_gaps_only it.

    That is so where all that CFPB has was loaded, so that it is known to be gone, and where the
    database holds nothing but what this kind of source brought. In a partial pull nothing tells
    whether CFPB still has it or it was not asked for.
    """
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE complaints_read > 0"
        " AND source <> (SELECT source FROM load WHERE load_id = ?))",
        (load_id,),
    ).fetchone()
    return not others or is_mirrored(connection)


def insertion(load_id: int, brought: tuple[str, ...], newer: NewerLoads) -> str:
    """Return the statement that inserts a complaint, given the columns that are brought."""
    withdrawn_on = "NULL" if newer.mirror_day is None else f"'{newer.mirror_day}'"
    return (
        f"INSERT INTO complaint ({', '.join(brought)}, load_id, withdrawn_on)"  # noqa: S608 - names and numbers of ours
        f" VALUES ({'?, ' * len(brought)}{load_id}, {withdrawn_on})"
    )


@lru_cache(maxsize=8)
def upsert(
    load_id: int,
    brought: tuple[str, ...],
    carried: frozenset[str],
    newer: NewerLoads,
    as_of: str,
) -> str:
    """Return the statement that stores a complaint over what may be known of it.

    SQLite evaluates `note_update` for each row that it updates, and for no other, which tells
    how many it did.

    Args:
        load_id: The load that stores.
        brought: The columns to be bound, in this order.
        carried: Those that may replace what is stored.
        newer: The loads that know better.
        as_of: The day of the source's data.
    """

    def value_of(column: str) -> str:
        incoming = f"excluded.{column}"
        if column == _NARRATIVE:
            # CFPB's files have one space where its API has the writer's paragraphs.
            incoming = (
                f"CASE WHEN {_squeezed(f'complaint.{column}')} = {_squeezed(incoming)}"
                f" THEN complaint.{column} ELSE {incoming} END"
            )
        filled = f"COALESCE(complaint.{column}, {incoming})"
        if column not in carried:
            return filled
        if not newer.carried:
            return incoming
        return (
            f"CASE WHEN {newer.told(column)} THEN complaint.{column}"
            f" WHEN {newer.know} THEN {filled} ELSE {incoming} END"
        )

    values = {column: value_of(column) for column in brought[1:]}
    # It is there again, unless its source is older than the one that lacked it.
    values["withdrawn_on"] = (
        f"CASE WHEN complaint.withdrawn_on > '{as_of}' THEN complaint.withdrawn_on END"
    )
    load = f"CASE WHEN {newer.wrote} THEN complaint.load_id ELSE excluded.load_id END"
    assignments = ",\n    ".join(f"{column} = {value}" for column, value in values.items())
    differences = "\n    OR ".join(f"complaint.{c} IS NOT {value}" for c, value in values.items())
    return (
        f"{insertion(load_id, brought, newer)}\n"
        f"ON CONFLICT (complaint_id) DO UPDATE SET\n    {assignments},\n"
        f"    load_id = {load} + 0 * note_update()\n"
        f"WHERE {differences}"
    )


def _squeezed(text: str) -> str:
    """Return the SQL of a text with each run of white space as one space.

    A function in Python would do, but a Ctrl-C that arrives within one SQLite takes for its
    failure. Pairs of two letters that no text has stand for the spaces meanwhile.
    """
    for code in (9, 10, 13):
        text = f"REPLACE({text}, CHAR({code}), ' ')"
    paired = f"REPLACE({text}, ' ', CHAR(1, 2))"
    return f"TRIM(REPLACE(REPLACE({paired}, CHAR(2, 1), ''), CHAR(1, 2), ' '))"


def remember_changes(load_id: int) -> str:
    """Return the trigger that keeps what an update replaces; it is gone with its connection.

    Where nothing stood and the load that wrote the row did not carry the column, something now is
    no change: nobody had looked.
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
            AND INSTR(load.carried, '"' || name || '"')
        )
    );
END"""  # noqa: S608 - names of ours
