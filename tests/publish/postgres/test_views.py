"""The views have the same rows in the same order as those of SQLite."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.publish.postgres.schema import PRODUCTS, own_tables, own_views
from cfpb_etl.read.selection import Selection
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.file.schema import own_schema
from support.loads import load_file, query
from support.parts import JUNE, MARCH, complaint
from support.postgres_rows import assert_same_views
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import PostgresDatabase

DAYS = ("2011-12-01", "2024-01-31", "2024-02-01", "2024-02-29", "0099-01-01", None)
COMPANIES = ("A", "a", "B", "É", "É", "Ä", "Z", "_", "", " A", "A b", "Ab", "’", None)
STATES = ("CA", "ca", "NY", "UNITED STATES MINOR OUTLYING ISLANDS", "", None)


def test_every_view_is_translated() -> None:
    """Each view of SQLite has a translation, without what only SQLite understands."""
    views = {name.removeprefix("view ") for name in own_schema() if name.startswith("view ")}

    assert {*own_views()} == views
    for statement in own_views().values():
        assert "SUBSTR" not in statement
        lines = statement.splitlines()
        for line in lines:
            keys = line.removeprefix("ORDER BY ").split(", ") if line.startswith("ORDER BY") else ()
            assert all(each.endswith(("DESC", "NULLS FIRST")) for each in keys)


@pytest.mark.slow
def test_rows_of_any_values(path: Path, target: PostgresDatabase) -> None:
    """The rows are the same for texts of any letters, renamed products, old days and NULL."""
    dice = random.Random()  # noqa: S311 - values, not secrets
    named = query_products()
    products = [*dict.fromkeys(product for product, _ in named), "Mortgage", "", None]
    sub_products = [*dict.fromkeys(sub_product for _, sub_product in named), "Another", None]
    first = 0
    for _ in range(soak(3)):
        rows = [
            complaint(
                number,
                date_received=dice.choice(DAYS),
                product=dice.choice(products),
                sub_product=dice.choice(sub_products),
                company=dice.choice(COMPANIES),
                state=dice.choice(STATES),
                timely=dice.choice(("Yes", "No", None)),
                issue=dice.choice(("", "Late", None)),
                complaint_what_happened=dice.choice(("", "Why?", None)),
            )
            for number in range(first, first + 2_000)
        ]
        load_file(path, *rows, as_of=JUNE, proves_absence=False)
        first += 1_000

        export_postgres(path, target.url(), Selection())

        assert_same_views(path, target)


def query_products() -> list[tuple[str, str]]:
    """Return the products that CFPB has renamed, with their sub-products."""
    import sqlite3

    from cfpb_etl.store.file.schema import create_schema

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_schema(connection)
        return connection.execute(f"SELECT product, sub_product FROM {PRODUCTS}").fetchall()  # noqa: S608


@pytest.mark.slow
def test_shares_are_rounded_in_the_same_way(path: Path, target: PostgresDatabase) -> None:
    """`late_percent` is the same number for every share of up to 100 complaints."""
    number, rows = 0, []
    for total in range(1, 101):
        for late in range(0, total + 1, 7):
            for place in range(total):
                number += 1
                rows.append(
                    complaint(
                        number, company=f"{late}/{total}", timely="No" if place < late else "Yes"
                    )
                )
    load_file(path, *rows, as_of=MARCH)

    export_postgres(path, target.url(), Selection(tables=("complaint",)))

    assert_same_views(path, target)


@pytest.mark.slow
def test_the_five_questions(path: Path, target: PostgresDatabase) -> None:
    """docs/reading.md's questions have the same answers; for the search, its own SQL is needed."""
    from publish.postgres.test_export import load_history

    load_history(path)
    export_postgres(path, target.url(), Selection())

    for question in QUESTIONS:
        if "MATCH" in question.sql:
            found = target.query(
                "SELECT complaint_id FROM cfpb.narratives"
                r" WHERE narrative ~* '\midentity\W+theft\M' ORDER BY complaint_id DESC LIMIT 3"
            )
            expected: list[Any] = [(number,) for number, *_ in query(path, question.sql)]
            assert len(found) == 3
        else:
            with closing(target.connect()) as connection:
                connection.execute("SET search_path TO cfpb")
                rows = connection.execute(question.sql.encode()).fetchall()
            found = [tuple(map(str, row)) for row in rows]
            expected = [tuple(map(str, row)) for row in query(path, question.sql)]
        assert found == expected, question.name


def test_the_tables_are_those_of_sqlite() -> None:
    """The renamed products have the columns of SQLite, and all of them are texts."""
    columns = {f"column {PRODUCTS}.{each.name}" for each in own_tables()[PRODUCTS].columns}

    assert columns == {name for name in own_schema() if name.startswith(f"column {PRODUCTS}.")}
    assert all(own_schema()[name][1].startswith("TEXT") for name in columns)
