"""Which rows an export copies: all, or those that have changed since the last export.

And the statements that read them from SQLite.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from cfpb_etl.publish.postgres.schema import PRODUCTS, SCHEMA, own_tables
from cfpb_etl.read.selection import Statement

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    import psycopg

    from cfpb_etl.publish.postgres.contents import Contents
    from cfpb_etl.read.selection import Selection

_Loads = dict[int, dict[str, str | None]]
_ID = own_tables()["complaint"].columns[:1]
# Complaints that any program has changed or deleted since the last daily file. If a user changes a
# row, `changed_load_id` stays the same.
_EDITED = "SELECT complaint_id FROM line_outdated"
_NEVER_CHANGE = ("source", "address", "query", "started_at")  # of a load


class Plan(NamedTuple):
    """Which rows an export copies.

    Attributes:
        loads: The loads whose changes the target lacks or may lack; None if all rows are copied.
        reason: Why an earlier export is replaced; None if it is not.
    """

    loads: tuple[int, ...] | None
    reason: str | None = None


def selection_as_json(selection: Selection, tables: Iterable[str]) -> str:
    """Return what is selected as JSON, the same text for the same rows."""
    filters = selection.query.to_dict().items()
    selected = {
        "tables": sorted(tables),
        "filters": {
            name: each if isinstance(each, str) else sorted(each) for name, each in filters
        },
        "narratives": selection.narratives,
    }
    return json.dumps(selected, ensure_ascii=False)


def make_plan(
    connection: psycopg.Connection,
    source: sqlite3.Connection,
    contents: Contents,
    selection: str,
) -> Plan:
    """Return which rows must be copied.

    A load is never changed after it is complete. Until then, it can be resumed. Each row has the
    number of the load that changed it last, in `changed_load_id`, also if this load was resumed
    after a later one.
    """
    last = contents.last
    if last is None:
        return Plan(None)
    if contents.is_older:
        return Plan(None, f"cfpb-etl {last.version} had other tables")
    missing = [name for name in last.contents if name not in contents.kinds and last.contents[name]]
    if missing:
        return Plan(None, f"the table {missing[0]} was missing")
    exported, loads = _target_loads(connection), _source_loads(source)
    if not all(_is_same(load, loads.get(number)) for number, load in exported.items()):
        return Plan(None, "the last export was of another database")
    if last.selection != selection:
        return Plan(None, "the last export had other tables, filters or narratives")
    complete = {number for number, load in exported.items() if load["outcome"] == "complete"}
    return Plan(tuple(number for number in loads if number not in complete))


def _is_same(exported: Mapping[str, str | None], load: Mapping[str, str | None] | None) -> bool:
    """Say whether a load of the target is this load of the database."""
    if load is None:
        return False
    if exported["outcome"] == "complete":
        return exported == load
    return all(exported[name] == load[name] for name in _NEVER_CHANGE)


def _columns() -> list[str]:
    return [each.name for each in own_tables()["load"].columns]


def _target_loads(connection: psycopg.Connection) -> _Loads:
    names = ", ".join(f"{name}::text" for name in _columns())
    rows = connection.execute(f"SELECT load_id, {names} FROM {SCHEMA}.load")
    return {number: dict(zip(_columns(), row, strict=True)) for number, *row in rows}


def _source_loads(source: sqlite3.Connection) -> _Loads:
    names = ", ".join(f"CAST({name} AS TEXT)" for name in _columns())
    rows = source.execute(f"SELECT load_id, {names} FROM load ORDER BY load_id")
    return {
        number: {
            name: value and value.replace("\0", "\ufffd")
            for name, value in zip(_columns(), row, strict=True)
        }
        for number, *row in rows
    }


# --- the statements -------------------------------------------------------------------------


class SourceStatements:
    """The statements for a selection.

    Args:
        selection: What is selected.
        loads: The loads whose changes are copied; None for all rows.

    Attributes:
        is_filtered: Whether only some complaints are selected.
        loads: The loads for `IN`; None for all rows.
    """

    def __init__(self, selection: Selection, loads: tuple[int, ...] | None) -> None:
        self._selection = selection
        self.is_filtered = bool(selection.query)
        self.loads = None if loads is None else ", ".join(map(str, loads)) or "NULL"

    def rows(self, table: str) -> Statement:
        """Return the statement that reads the rows of a table to copy, each as a JSON array.

        Days are the first columns, as `CsvLines` needs them.
        Complaints are in the order of their ids, in which SQLite stores them.
        """
        columns = sorted(own_tables()[table].columns, key=lambda each: each.kind != "day")
        selected = columns if table == PRODUCTS else self._selection.columns_of(table)
        # A column that is not selected is empty in the target.
        names = ", ".join(each.name if each in selected else "NULL" for each in columns)
        condition, values = condition_of(self._selection, table)
        order = "complaint_id" if table == "complaint" else ", ".join(own_tables()[table].order)
        return Statement(
            f"SELECT json_array({names}) FROM {table}"
            f" WHERE ({self._changed(table)}) AND {condition} ORDER BY {order}",
            values,
            tuple(columns),
        )

    def count(self, table: str) -> Statement:
        """Return the statement that counts the selected rows of a table."""
        condition, values = condition_of(self._selection, table)
        return Statement(f"SELECT COUNT(*) FROM {table} WHERE {condition}", values, ())

    def touched(self) -> Statement:
        """Return the statement that reads the ids of complaints that may be in the target wrongly.

        Another program may have deleted them, or they may no longer match the filters.
        """
        ids = self._changed_ids if self.is_filtered else _EDITED
        return Statement(f"SELECT json_array(complaint_id) FROM ({ids})", [], _ID)

    @property
    def _changed_ids(self) -> str:
        return (
            "SELECT complaint_id FROM complaint"
            f" WHERE changed_load_id IN ({self.loads}) UNION {_EDITED}"
        )

    def _changed(self, table: str) -> str:
        """Return the condition on the rows that the loads have changed."""
        if self.loads is None or table not in ("complaint", "complaint_change"):
            return "1"
        if table == "complaint":
            return f"complaint_id IN ({self._changed_ids})"
        if not self.is_filtered:
            return f"load_id IN ({self.loads})"
        # A complaint may match the filters for the first time; then its whole history is copied.
        return f"load_id IN ({self.loads}) OR complaint_id IN ({self._changed_ids})"


def condition_of(selection: Selection, table: str) -> tuple[str, list[str]]:
    """Return the condition on the selected rows of a table, and the values of its parameters."""
    return ("1", []) if table == PRODUCTS else selection.condition(table)
