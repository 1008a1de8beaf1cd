"""The tables, indexes and views of the schema `cfpb`, in PostgreSQL's SQL.

They are made from those of SQLite, so that each has its definition and its comments only once.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

from psycopg import sql

from cfpb_etl.read.descriptions import Description, read_descriptions
from cfpb_etl.read.tables import Column, Table, tables
from cfpb_etl.store.file.schema import create_schema, own_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = "cfpb"
LAYOUT = 1  # a change of this module that changes tables or views needs a new number
PRODUCTS = "product_today"
KEYS = {
    "complaint": ("complaint_id",),
    "load": ("load_id",),
    PRODUCTS: ("product", "sub_product"),
}
# The collation C sorts and compares texts by their bytes, as SQLite does.
TYPES = {
    "integer": "bigint",
    "day": "date",
    "category": 'text COLLATE "C"',
    "text": 'text COLLATE "C"',
}
EXPORT = Table(
    "export",
    "one row: what cfpb-etl has exported to this schema",
    (
        Column("exported_at", "text", "when this was, UTC"),
        Column("program_version", "text", "version of cfpb-etl"),
        Column("schema_number", "integer", "number of the schema of the SQLite file"),
        Column("layout", "integer", "number of the tables and views in PostgreSQL"),
        Column("database_file", "text", "name of the SQLite file"),
        Column("selection", "text", "tables, filters and narratives that were selected, JSON"),
        Column("sources", "text", "sources of the loads, such as api and bulk"),
        Column("newest_load_id", "integer", "the newest load"),
        Column("as_of", "day", "day that the newest data have at least"),
        Column("is_sample", "integer", "1 if the complaints are made up"),
        Column("license", "text", "licence of the data"),
        Column("contents", "text", "tables and views of cfpb-etl with their columns, JSON"),
    ),
    (),
)
# What SQLite and PostgreSQL spell differently. A sum of counts is a numeric in PostgreSQL, and a
# rounded share too. SQLite sorts NULL before other values. Before version 16, PostgreSQL needs a
# name for a query in FROM.
_TRANSLATIONS = (
    (r"SUBSTR\(date_received, 1, 7\)", "TO_CHAR(date_received, 'YYYY-MM') COLLATE \"C\""),
    (r"SUM\(complaints\)", r"CAST(SUM(complaints) AS bigint)"),
    (r"ROUND\((.*?\n    )\)", r"CAST(ROUND(\1) AS double precision)"),
    (r"\)\n(?=GROUP BY)", r") AS counted\n"),
    (r"(?<=\n)(ORDER BY .*)", lambda found: re.sub(r"(\w+)(?=,|$)", _nulls_first, found[1])),
)


def _nulls_first(found: re.Match[str]) -> str:
    return found[1] if found[1] == "DESC" else f"{found[1]} NULLS FIRST"


@cache
def _descriptions() -> dict[str, Description]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        return read_descriptions(connection)


@cache
def own_tables() -> dict[str, Table]:
    """Return the tables that can be in the schema, by name."""
    text, columns = _descriptions()[PRODUCTS]
    products = tuple(Column(name, "text", each) for name, each in columns.items())
    return {
        **tables(),
        PRODUCTS: Table(PRODUCTS, text, products, KEYS[PRODUCTS]),
        EXPORT.name: EXPORT,
    }


@cache
def own_views() -> dict[str, str]:
    """Return the statements that create the views, by name, in an order that works."""
    statements = {}
    for name, (_, statement) in own_schema().items():
        if name.startswith("view "):
            for pattern, replacement in _TRANSLATIONS:
                statement = re.sub(pattern, replacement, statement, flags=re.DOTALL)  # noqa: PLW2901
            statements[name.removeprefix("view ")] = statement
    return statements


def create_table_sql(table: Table) -> str:
    """Return the statement that creates a table, without its key and indexes."""
    columns = ", ".join(f"{each.name} {TYPES[each.kind]}" for each in table.columns)
    return f"CREATE TABLE {SCHEMA}.{table.name} ({columns})"


def index_sqls(table: str) -> dict[str, str]:
    """Return the statements that create the key and the indexes of a table, by index name."""
    statements = {}
    if table in KEYS:
        key = ", ".join(KEYS[table])
        statements[f"{table}_pkey"] = f"ALTER TABLE {SCHEMA}.{table} ADD PRIMARY KEY ({key})"
    for name, (indexed, statement) in own_schema().items():
        if indexed == table and name.startswith("index "):
            statements[name.removeprefix("index ")] = statement
    return statements


def comment_sqls(name: str) -> Iterator[sql.Composed]:
    """Yield the statements that describe a table or a view, and its columns."""
    is_view = name in own_views()
    if is_view:
        text, columns = _descriptions()[name]
    else:
        table = own_tables()[name]
        text, columns = table.description, {each.name: each.description for each in table.columns}
    kind = sql.SQL("VIEW" if is_view else "TABLE")
    place = sql.Identifier(SCHEMA, name)
    yield sql.SQL("COMMENT ON {} {} IS {}").format(kind, place, sql.Literal(text))
    for column, description in columns.items():
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(
            sql.Identifier(SCHEMA, name, column), sql.Literal(description)
        )
