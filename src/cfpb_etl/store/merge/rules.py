"""The merge rules decide whose value counts if several loads have the same complaint.

For each column, the value of the newest load counts. An older load adds what the newer load does
not send: other columns, and other complaints. If the order of two loads is not certain, the stored
value is kept (docs/design.md, "Merge rules").

Functions whose names end in `_sql` return SQL statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.model.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.store.merge.order import Precedence

_NARRATIVE = Complaint._fields.index("complaint_what_happened")


class StoredRow(NamedTuple):
    """A stored complaint.

    Attributes:
        values: The values, in the order of `Complaint`; None for columns that are not compared.
        load_id: The load whose values count.
        withdrawn_on: The day by which the complaint was withdrawn; None if it is not withdrawn.
    """

    values: tuple[Any, ...]
    load_id: int
    withdrawn_on: str | None

    def changed_from(self, stored: StoredRow) -> dict[str, str | None]:
        """Return the values, and the mark, that differ from a stored row, by their columns."""
        names = (*Complaint._fields, "withdrawn_on")
        pairs = zip(
            names,
            (*self.values, self.withdrawn_on),
            (*stored.values, stored.withdrawn_on),
            strict=True,
        )
        return {name: new for name, new, old in pairs if new != old}


class Merged(NamedTuple):
    """A complaint after the merge.

    Attributes:
        row: The values to store; the load and the mark to store with them.
        is_changed: Whether a value or the mark differs from the stored row.
        not_applied: How many values of the part differ from the values to store.
        uncertain: How many of these may be newer than the stored values.
    """

    row: StoredRow
    is_changed: bool
    not_applied: int
    uncertain: int


@dataclass(frozen=True)
class MergeRules:
    """The rules for the complaints of one part.

    Attributes:
        load_id: The current load.
        may_replace: The columns that the part has. Other columns only fill gaps.
        precedence: The loads whose values may not be replaced.
    """

    load_id: int
    may_replace: frozenset[str]
    precedence: Precedence

    def merge(self, complaint: Complaint, stored: StoredRow) -> Merged:
        """Merge a complaint of the part into the stored row."""
        row = complaint.complaint_id, stored.load_id, stored.withdrawn_on
        newer = [load for load in self.precedence.newer if load.has(*row)]
        uncertain = any(load.has(*row) for load in self.precedence.uncertain)
        kept = frozenset[str]().union(*(load.columns for load in newer))
        is_protected = bool(newer) or uncertain
        values: list[Any] = []
        not_applied = maybe_newer = 0
        for name, incoming, old in zip(Complaint._fields, complaint, stored.values, strict=True):
            value = incoming
            if name in kept or (old is not None and (is_protected or name not in self.may_replace)):
                value = old
            values.append(value)
            if value != incoming and (name in self.may_replace or incoming is not None):
                not_applied += 1
                maybe_newer += uncertain and name not in kept
        mark = stored.withdrawn_on
        if mark is not None:
            order = self.precedence.order_of_mark(complaint.complaint_id, mark)
            if order == "older":
                mark = None
            elif order == "uncertain":
                not_applied += 1
                maybe_newer += 1
        is_changed = tuple(values) != stored.values or mark != stored.withdrawn_on
        load_id = stored.load_id if is_protected else self.load_id
        return Merged(StoredRow(tuple(values), load_id, mark), is_changed, not_applied, maybe_newer)


def insert_sql(load_id: int, columns: tuple[str, ...], withdrawn_on: str | None) -> str:
    """Return the SQL statement that inserts a complaint with these columns.

    Args:
        load_id: The current load.
        columns: The columns to bind, in this order.
        withdrawn_on: The day by which the complaint was withdrawn; None if it is not withdrawn.
    """
    mark = "NULL" if withdrawn_on is None else f"'{withdrawn_on}'"
    return (
        f"INSERT INTO complaint ({', '.join(columns)},"  # noqa: S608 - our names and numbers
        " load_id, first_load_id, changed_load_id, withdrawn_on)"
        f" VALUES ({'?, ' * len(columns)}{load_id}, {load_id}, {load_id}, {mark})"
    )


@lru_cache(maxsize=256)
def update_sql(load_id: int, columns: tuple[str, ...]) -> str:
    """Return the SQL statement that stores the changed values of a merged complaint.

    It binds the changed columns, the load whose values count, and the id. SQLite writes each index
    that has one of the columns, and runs each trigger on one of them, even if their values stay.

    Args:
        load_id: The current load.
        columns: The changed columns.
    """
    assignments = "".join(f"{name} = ?, " for name in columns)
    return (
        f"UPDATE complaint SET {assignments}load_id = ?, changed_load_id = {load_id}"  # noqa: S608 - our names
        " WHERE complaint_id = ?"
    )


def remember_changes_sql(load_id: int) -> Iterator[str]:
    """Yield the SQL statements for triggers that record each value that an update changes.

    The triggers last until the connection is closed. A value that replaces NULL is not a change if
    the load that wrote the row did not send the column. In this case CFPB may have had the value
    before.
    """
    for column in (*Complaint._fields[1:], "withdrawn_on"):
        yield f"""
CREATE TEMP TRIGGER remember_{column} AFTER UPDATE OF {column} ON main.complaint
WHEN OLD.{column} IS NOT NEW.{column} AND (
    OLD.{column} IS NOT NULL OR '{column}' = 'withdrawn_on'
    OR EXISTS (
        SELECT 1 FROM load WHERE load.load_id = OLD.load_id
        AND INSTR(load.columns_sent, '"{column}"')
    )
) BEGIN
    INSERT INTO complaint_change (complaint_id, load_id, column_name, old, new)
        VALUES (OLD.complaint_id, {load_id}, '{column}', OLD.{column}, NEW.{column});
END"""  # noqa: S608 - our names


@lru_cache(maxsize=8)
def stored_sql(columns: tuple[str, ...], rows: int) -> str:
    """Return the SQL statement that reads stored complaints that are not marked as withdrawn.

    Each row of the result is shaped like a `Complaint`.
    """
    found = ", ".join(name if name in columns else "NULL" for name in Complaint._fields)
    return (
        f"SELECT {found} FROM complaint"  # noqa: S608 - our names
        f" WHERE complaint_id IN ({', '.join('?' * rows)}) AND withdrawn_on IS NULL"
        " ORDER BY complaint_id"
    )


@lru_cache(maxsize=8)
def stored_rows_sql(columns: tuple[str, ...]) -> str:
    """Return the SQL statement that reads complaints as `StoredRow`s. It binds ids as JSON."""
    found = ", ".join(name if name in columns else "NULL" for name in Complaint._fields)
    return (
        f"SELECT {found}, load_id, withdrawn_on FROM complaint"  # noqa: S608 - our names
        " WHERE complaint_id IN (SELECT value FROM json_each(?))"
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
