"""The tables that can be read and exported, with their columns."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from typing import Literal, NamedTuple

from cfpb_etl.read.descriptions import read_descriptions
from cfpb_etl.store.file.schema import create_schema

# A day is a text YYYY-MM-DD in SQLite. A category is a text of which many rows have the same.
Kind = Literal["integer", "day", "category", "text"]

NAMES = ("complaint", "complaint_change", "load")
NARRATIVE = "complaint_what_happened"

_DAYS = {
    *("date_received", "date_sent_to_company", "withdrawn_on"),
    *("as_of_earliest", "as_of_latest", "taken_from", "covers_until", "oldest", "newest"),
}
_CATEGORIES = {
    *("product", "sub_product", "issue", "sub_issue", "company", "company_response"),
    *("company_public_response", "state", "tags", "consumer_consent_provided"),
    *("submitted_via", "timely", "consumer_disputed", "column_name", "outcome", "source"),
}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: The name.
        kind: What values it has, if they are not NULL.
        description: What each value means.
    """

    name: str
    kind: Kind
    description: str


class Table(NamedTuple):
    """A table of the database.

    Attributes:
        name: The name.
        description: What one row is.
        columns: The columns, in the order of the database.
        order: The columns that sort its rows.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]


@cache
def tables() -> dict[str, Table]:
    """Return the tables that can be read and exported, by name, from the comments of schema.sql."""
    orders = {"complaint": ("date_received", "complaint_id"), "load": ("load_id",)}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        described = read_descriptions(connection)
        return {
            name: Table(
                name,
                described[name].text,
                tuple(
                    Column(column, _kind(column, stored), described[name].columns[column])
                    for _, column, stored, *_ in connection.execute(f"PRAGMA table_info({name})")
                ),
                orders.get(name, ("rowid",)),
            )
            for name in NAMES
        }


def _kind(column: str, stored: str) -> Kind:
    if stored == "INTEGER":
        return "integer"
    return "day" if column in _DAYS else "category" if column in _CATEGORIES else "text"
