"""The views of the SQLite file, and today's names of products, for other databases."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from typing import NamedTuple

from cfpb_etl.read.descriptions import read_descriptions
from cfpb_etl.store.file.schema import create_schema, own_schema

PRODUCT_TODAY = "product_today"
NARRATIVES = "narratives"  # the one view that needs narratives


class View(NamedTuple):
    """A view.

    Attributes:
        name: The name.
        description: What one row is.
        columns: What each column contains, by its name.
        sql: The statement that creates the view.
    """

    name: str
    description: str
    columns: dict[str, str]
    sql: str


class ProductNames(NamedTuple):
    """The table `product_today`.

    Attributes:
        description: What one row is.
        columns: What each column contains, by its name.
        rows: The rows.
    """

    description: str
    columns: dict[str, str]
    rows: list[tuple[str, str, str]]


def views(month: str, *, narratives: bool) -> list[View]:
    """Return the views of complaints for another database, in the order of their creation.

    Only what differs in other databases is translated: the month of a date, the type of a sum, and
    where NULL is in an order.

    Args:
        month: The SQL of the month of `date_received`, as `YYYY-MM`.
        narratives: Whether the database has narratives.
    """
    described, _ = _own_descriptions()
    names = [key.removeprefix("view ") for key in own_schema() if key.startswith("view ")]
    return [
        View(name, *described[name], _translated(own_schema()[f"view {name}"][1], month))
        for name in names
        if narratives or name != NARRATIVES
    ]


def product_names() -> ProductNames:
    """Return today's names of products that CFPB has renamed."""
    described, rows = _own_descriptions()
    return ProductNames(*described[PRODUCT_TODAY], rows)


@cache
def _own_descriptions() -> tuple[dict[str, tuple[str, dict[str, str]]], list[tuple[str, str, str]]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        described = {name: (*each,) for name, each in read_descriptions(connection).items()}
        rows = connection.execute("SELECT product, sub_product, today FROM product_today")
        return described, rows.fetchall()


def _translated(sql: str, month: str) -> str:
    sql = sql.replace("SUBSTR(date_received, 1, 7)", month)
    sql = re.sub(r"SUM\((\w+)\)", r"CAST(SUM(\1) AS BIGINT)", sql)
    before, order, keys = sql.rpartition("ORDER BY ")
    if not order:
        return sql
    # NULL is the smallest value for SQLite.
    sorted_keys = (
        f"{key} NULLS {'LAST' if key.endswith(' DESC') else 'FIRST'}" for key in keys.split(", ")
    )
    return before + order + ", ".join(sorted_keys)
