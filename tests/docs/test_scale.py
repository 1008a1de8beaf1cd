"""The examples of docs/scale.md have the answers of SQLite."""

from __future__ import annotations

import random
from operator import itemgetter
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.publish.export import export_complaints
from support.loads import load_file, query
from support.parts import JANUARY, MARCH, complaint
from support.postgres import postgres_server
from support.scale import (
    FOLDER,
    POSTGRES,
    PYTHON,
    ask_sqlite,
    examples,
    run_postgres,
    run_python,
    without_limits,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from support.scale import Answers

ENGINES = [*PYTHON, POSTGRES]

# With the number of complaints, how many of them are late and how many have a value.
COMPANIES = {
    "ROUND, INC.": (2_000, 3, 2_000),  # 0.15 percent
    "SIXTEEN, INC.": (16, 1, 16),  # 6.25 percent
    "A third": (16, 5, 15),
    "a": (16, 16, 16),
    "Émile": (16, 0, 16),
    "no values": (16, 0, 0),
    None: (16, 7, 9),
    "One": (1, 1, 1),
}
PRODUCTS = (
    ("Payday loan", None),  # renamed
    ("Payday loan", "Payday loan"),
    ("Payday loan, title loan, personal loan, or advance loan", "Payday loan"),
    ("Credit card or prepaid card", "Gift card"),  # divided
    ("Credit card or prepaid card", "Store credit card"),
    ("Credit card or prepaid card", "Another"),
    ("Credit card or prepaid card", None),
    ("Credit card", "Gift card"),
    ("Mortgage", None),
    (None, "Gift card"),
    (None, None),
)
DAYS = ("2011-12-01", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "2024-03-02", None)
MENTIONS = (
    *(
        "Identity theft",
        "identity, theft",
        "IDENTITY\nTHEFT",
        "my identity_theft!",
        "identity--theft",
    ),
    *(
        "The identity theft",
        "'identity' \"theft\"",
        "no. Identity\u00a0theft\n",
        "identity\u0301 theft",
    ),
    *("identity theft identity thefts", "an identity theft, and identity theft", "(identity)theft"),
)
OTHERS = (
    *(
        "identity thefts",
        "identities theft",
        "nonidentity theft",
        "éidentity theft",
        "identity theft2",
    ),
    *(
        "identity of theft",
        "theft identity",
        "identitytheft",
        "identity",
        "theft",
        "",
        "identity 1 theft",
    ),
    *("identity theftй", "2identity theft", None),
)


def all_complaints() -> Iterator[Complaint]:
    """Yield complaints of which each question has several kinds, in no order."""
    dice = random.Random(21)  # noqa: S311 - values, not secrets
    numbers = iter(dice.sample(range(1, 10_000), 5_000))
    texts = [*MENTIONS, *OTHERS] * 2
    for company, (total, late, answered) in COMPANIES.items():
        for place in range(total):
            product, sub_product = dice.choice(PRODUCTS)
            yield complaint(
                next(numbers),
                company=company,
                timely="No" if place < late else "Yes" if place < answered else None,
                product=product,
                sub_product=sub_product,
                date_received=dice.choice(DAYS),
                complaint_what_happened=dice.choice(texts),
            )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Load complaints twice, and export them to a folder beside the database."""
    database = tmp_path_factory.mktemp("scale") / "complaints.db"
    first = [*all_complaints()]
    changed = [each._replace(timely="Yes") for each in first[:7]]
    load_file(database, *changed, *first[7:-5], as_of=JANUARY)
    load_file(database, *first, as_of=MARCH)
    export_complaints(str(database.parent / FOLDER), database=database)
    return database


def answers_of(engine: str, code: str, database: Path) -> Answers:
    """Run an example."""
    if engine in PYTHON:
        return run_python(code, database.parent)
    with postgres_server() as server, server.database() as target:
        export_complaints(target.url(), database=database)
        return run_postgres(code, target)


def test_each_engine_has_an_example() -> None:
    """Five engines are run here."""
    assert [*examples()][:5] == ENGINES


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_the_answers_are_those_of_sqlite(engine: str, exported: Path) -> None:
    """Each of the five questions has the same rows in the same order."""
    found = answers_of(engine, examples()[engine], exported)

    expected = ask_sqlite(exported)
    assert found.rows == expected.rows
    assert [*map(len, expected.rows)] == [5, 5, 5, 3, 2]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_all_rows_are_those_of_sqlite(engine: str, exported: Path) -> None:
    """The rows beyond the limits of the examples are the same, too."""
    found = answers_of(engine, without_limits(examples()[engine]), exported)

    expected = ask_sqlite(exported, limits=False)
    assert found.rows == expected.rows
    products, companies, days, thefts, _ = expected.rows
    assert {None, "Prepaid card"} < {*map(itemgetter(0), products)}
    assert len(companies) == len(COMPANIES)
    assert {0.2, 6.3, None} < {*map(itemgetter(2), companies)}
    assert days[-1][0] is None
    assert len(thefts) > 100


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_no_complaints(engine: str, path: Path) -> None:
    """A database without complaints has the answers of SQLite: the load and no other row."""
    load_file(path, as_of=JANUARY)
    export_complaints(str(path.parent / FOLDER), database=path)

    found = answers_of(engine, examples()[engine], path)

    assert found.rows == ask_sqlite(path).rows
    assert [*map(len, found.rows)] == [0, 0, 0, 0, 1]


@pytest.mark.slow
def test_the_searches_are_about_every_kind_of_text(exported: Path) -> None:
    """SQLite finds the texts that mention identity theft, and none of the others."""
    match = "narrative_search MATCH '\"identity theft\"'"
    rowids = f"SELECT rowid FROM narrative_search WHERE {match}"  # noqa: S608 - our own text
    found, others = (
        query(exported, f"SELECT narrative FROM narratives WHERE complaint_id {within} ({rowids})")  # noqa: S608 - as above
        for within in ("IN", "NOT IN")
    )

    assert {text for (text,) in found} == {*MENTIONS}
    assert {None, *(text for (text,) in others)} == {*OTHERS}
