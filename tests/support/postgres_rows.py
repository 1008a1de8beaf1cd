"""The rows of an export in PostgreSQL, compared field by field with those of SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cfpb_etl.publish.origin import notes_of
from cfpb_etl.publish.postgres.schema import own_tables, own_views
from cfpb_etl.read.connection import open_snapshot
from cfpb_etl.read.provenance import read_provenance
from cfpb_etl.read.selection import Selection
from cfpb_etl.store.file.schema import find_additions
from support.loads import query

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.publish.export import ExportStats
    from support.postgres import PostgresDatabase

NARRATIVE = "complaint_what_happened"
# The history has no key. Both databases sort texts by their bytes, but NULL differently.
ORDERS = {
    "complaint": "complaint_id",
    "complaint_change": "load_id, complaint_id, column_name, COALESCE(old, ''), COALESCE(new, '')",
    "load": "load_id",
}


def assert_same_rows(
    path: Path, target: PostgresDatabase, selection: Selection | None = None
) -> None:
    """Compare every value of the selected rows, and the rows of every view, in their order."""
    selection = selection or Selection()
    for table in selection.tables:
        assert rows_of(target, table) == expected_rows(path, table, selection), table
    if not selection.query and "complaint" in selection.tables and selection.narratives:
        assert_same_views(path, target)


def notes_about_target(path: Path, stats: ExportStats, selection: Selection) -> tuple[str, ...]:
    """Return the notes without those about the source, which every kind of target has."""
    with open_snapshot(path) as connection:
        origin = read_provenance(connection)
        of_source = notes_of(origin, selection, stats.tables, find_additions(connection))
    assert {*of_source} <= {*stats.notes}
    return tuple(each for each in stats.notes if each not in of_source)


def rows_of(target: PostgresDatabase, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table in PostgreSQL, with days as texts."""
    columns = ", ".join(
        f"{each.name}::text" if each.kind == "day" else each.name
        for each in own_tables()[table].columns
    )
    return target.query(f"SELECT {columns} FROM cfpb.{table} ORDER BY {ORDERS[table]}")  # noqa: S608


def expected_rows(path: Path, table: str, selection: Selection) -> list[tuple[Any, ...]]:
    """Return the selected rows of a table in SQLite, as they must be in PostgreSQL."""
    hidden = () if selection.narratives or table != "complaint" else (NARRATIVE,)
    columns = ", ".join(
        "NULL" if each.name in hidden else each.name for each in own_tables()[table].columns
    )
    condition, values = selection.condition(table)
    for value in values:
        condition = condition.replace("?", "'" + value.replace("'", "''") + "'", 1)
    sql = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY {ORDERS[table]}"  # noqa: S608
    return query_without_nul(path, sql)


def query_without_nul(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Query SQLite, and replace U+0000 as an export does."""
    return [
        tuple(each.replace("\0", "\ufffd") if isinstance(each, str) else each for each in row)
        for row in query(path, sql)
    ]


def assert_same_views(path: Path, target: PostgresDatabase) -> None:
    """Compare the rows of every view, in their order if the view is sorted."""
    for view, statement in own_views().items():
        found = [
            tuple(each.isoformat() if hasattr(each, "isoformat") else each for each in row)
            for row in target.query(f"SELECT * FROM cfpb.{view}")  # noqa: S608
        ]
        expected = query_without_nul(path, f"SELECT * FROM {view}")  # noqa: S608
        if "\nORDER BY" not in statement:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        assert found == expected, view
