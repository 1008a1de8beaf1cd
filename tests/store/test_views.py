"""The views count as a plain scan does, and the search has every narrative and no other."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.store.errors import TooManyWithdrawnError
from cfpb_etl.store.file.schema import create_schema
from cfpb_etl.store.sqlite_file import connect, ensure_schema
from support.loads import load, load_file, query
from support.parts import JANUARY, JUNE, MARCH, NO_NARRATIVE, complaint, complaints, part
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator

CARDS = "Credit card or prepaid card"


def renamed_products() -> list[tuple[str, str, str]]:
    """Return each name as filed, the sub-product or "", and today's name."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        return connection.execute(
            "SELECT product, sub_product, today FROM product_today"
        ).fetchall()


RENAMED_PRODUCTS = renamed_products()


def opened(path: Path) -> sqlite3.Connection:
    """Create a database, and open it as another program does."""
    with closing(connect(path, make=True)) as connection:
        ensure_schema(connection, path)
    return sqlite3.connect(path, isolation_level=None)


def insert(connection: sqlite3.Connection, number: int, **fields: str | None) -> None:
    """Insert a complaint as another program does."""
    names, places = ", ".join(fields), ", ?" * len(fields)
    connection.execute(
        "INSERT INTO complaint"  # noqa: S608
        f" (complaint_id, load_id, first_load_id, changed_load_id{', ' * bool(fields)}{names})"
        f" VALUES (?, 1, 1, 1{places})",
        (number, *fields.values()),
    )


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Return an empty database."""
    with closing(opened(path)) as connection:
        yield connection


# --- counts ---------------------------------------------------------------------------------

DAYS = ("2011-12-01", "2024-01-31", "2024-02-01", "2024-02-29", None)
PRODUCTS = (*dict.fromkeys(product for product, *_ in RENAMED_PRODUCTS), "Mortgage", None)
SUB_PRODUCTS = (*dict.fromkeys(sub for _, sub, _ in RENAMED_PRODUCTS if sub), "Another", None)


@settings(deadline=None, max_examples=soak(30))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "date_received": st.sampled_from(DAYS),
                "product": st.sampled_from(PRODUCTS),
                "sub_product": st.sampled_from(SUB_PRODUCTS),
                "company": st.sampled_from(("A", "a", "B’s", None)),
                "state": st.sampled_from(("CA", "UNITED STATES MINOR OUTLYING ISLANDS", None)),
                "timely": st.sampled_from(("Yes", "No", None)),
                "withdrawn_on": st.sampled_from((JUNE, None)),
            }
        ),
        max_size=40,
    )
)
def test_a_view_counts_as_a_plain_scan_does(rows: list[dict[str, str | None]]) -> None:
    """Every complaint is counted once, also those with NULL."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        for number, row in enumerate(rows):
            insert(connection, number, **row)

        def counted(view: str, *columns: str) -> dict[Any, int]:
            names = ", ".join(columns)
            return {
                row[0] if len(columns) == 1 else row[:-1]: row[-1]
                for row in connection.execute(f"SELECT {names}, complaints FROM {view}")  # noqa: S608
            }

        months = [row["date_received"] and row["date_received"][:7] for row in rows]
        products = [today(row["product"], row["sub_product"]) for row in rows]
        assert counted("complaints_by_month", "month") == Counter(months)
        assert counted("complaints_by_company", "company") == Counter(r["company"] for r in rows)
        assert counted("complaints_by_state", "state") == Counter(r["state"] for r in rows)
        assert counted("complaints_by_product", "product") == Counter(products)
        both = counted("complaints_by_month_and_product", "month", "product")
        assert both == Counter(zip(months, products, strict=True))
        late = dict(connection.execute("SELECT company, late FROM timeliness_by_company"))
        expected = Counter(row["company"] for row in rows if row["timely"] == "No")
        assert {company: count for company, count in late.items() if count} == expected
        assert counted("timeliness_by_company", "company") == Counter(r["company"] for r in rows)


def today(product: str | None, sub_product: str | None) -> str | None:
    """Return today's name of a product, by a plain reading of the table."""
    for filed, part_of, name in RENAMED_PRODUCTS:
        if product == filed and part_of in ("", sub_product):
            return name
    return product


def test_shares_and_days(connection: sqlite3.Connection) -> None:
    """Shares are in percent of the complaints with a value; each company has two days."""
    for number, (day, timely) in enumerate(
        (("2024-03-01", "No"), ("2023-01-01", "Yes"), ("2024-01-01", None))
    ):
        insert(connection, number, company="A", date_received=day, timely=timely)

    assert connection.execute("SELECT * FROM timeliness_by_company").fetchall() == [
        ("A", 3, 1, 50.0)
    ]
    assert connection.execute("SELECT * FROM complaints_by_company").fetchall() == [
        ("A", 3, "2023-01-01", "2024-03-01")
    ]


def test_views_are_sorted(connection: sqlite3.Connection) -> None:
    """The largest or the earliest come first, without ORDER BY."""
    for number, (company, day) in enumerate(
        (("B", "2024-02-01"), ("A", "2024-01-01"), ("C", "2024-03-01"), ("C", "2024-03-01"))
    ):
        insert(connection, number, company=company, date_received=day)

    companies = connection.execute("SELECT company FROM complaints_by_company").fetchall()
    assert companies == [("C",), ("A",), ("B",)]
    months = connection.execute("SELECT month FROM complaints_by_month").fetchall()
    assert months == [("2024-01",), ("2024-02",), ("2024-03",)]


@pytest.mark.parametrize("view", ["complaints_by_product", "complaints_by_month_and_product"])
@pytest.mark.parametrize("sub_product", ["Store credit card", "Gift card", None])
def test_a_product_that_was_divided(
    connection: sqlite3.Connection, view: str, sub_product: str | None
) -> None:
    """A complaint filed about both cards counts for one, if the sub-product shows which."""
    insert(connection, 1, product=CARDS, sub_product=sub_product, date_received="2020-01-01")

    names = {"Store credit card": "Credit card", "Gift card": "Prepaid card", None: CARDS}
    found = connection.execute(f"SELECT product FROM {view}").fetchall()  # noqa: S608
    assert found == [(names[sub_product],)]
    assert connection.execute("SELECT product FROM complaint").fetchall() == [(CARDS,)]


def test_todays_names_were_not_renamed() -> None:
    """Today's name of a product is not itself an earlier name."""
    filed = {product for product, *_ in RENAMED_PRODUCTS}

    assert not filed & {name for *_, name in RENAMED_PRODUCTS}


def test_every_view_reads_an_index(connection: sqlite3.Connection) -> None:
    """No view that counts reads the complaints themselves, except for the divided product."""
    views = [
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'view' AND name <> 'narratives'"
        )
    ]
    assert len(views) == 7
    for view in views:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view}")]  # noqa: S608
        read = [step for step in plan if " complaint " in step]
        assert read
        for step in read:
            assert "COVERING INDEX" in step or "complaint_product (product=?)" in step


@pytest.mark.parametrize(
    "condition",
    [
        "company = 'A'",
        "company = 'A' AND date_received >= '2026-01-01'",
        "product = 'A'",
        "product = 'A' AND date_received >= '2026-01-01'",
        "state = 'CA'",
        "state = 'CA' AND date_received >= '2026-01-01'",
        "date_received BETWEEN '2026-01-01' AND '2026-01-31'",
        "withdrawn_on IS NOT NULL",
    ],
)
def test_the_usual_questions_read_an_index(connection: sqlite3.Connection, condition: str) -> None:
    """Complaints of a company, product, state or month are counted in an index."""
    sql = f"SELECT COUNT(*) FROM complaint WHERE {condition}"  # noqa: S608
    ((*_, plan),) = connection.execute(f"EXPLAIN QUERY PLAN {sql}")

    assert "COVERING INDEX" in plan


# --- the search -----------------------------------------------------------------------------


def found(path: Path, words: str) -> list[int]:
    """Return which complaints the search finds."""
    sql = f"SELECT rowid FROM narrative_search WHERE narrative_search MATCH '{words}' ORDER BY 1"  # noqa: S608
    return [number for (number,) in query(path, sql)]


def check_search(connection: sqlite3.Connection) -> None:
    """Let SQLite compare the search with the narratives."""
    connection.execute("INSERT INTO narrative_search (narrative_search) VALUES ('integrity-check')")


def searchable(path: Path) -> int:
    """Return how many complaints the search has."""
    return int(query(path, "SELECT COUNT(*) FROM narrative_search_docsize")[0][0])


def test_every_load_keeps_the_search_current(path: Path) -> None:
    """A narrative is found by its newest words."""
    load_file(path, complaint(1, complaint_what_happened="They lost my payment"), as_of=JANUARY)
    assert (found(path, "payment"), found(path, "refund")) == ([1], [])

    load(path, part(complaint(1, complaint_what_happened="They owe me a refund"), as_of=MARCH))
    assert (found(path, "payment"), found(path, "refund")) == ([], [1])

    # A source without narratives leaves them, and those of the archive fill gaps.
    load_file(path, *complaints(1, 2), columns=NO_NARRATIVE)
    wrote = complaint(2, complaint_what_happened="No refund to this day")
    load_file(path, wrote, kind="archive", as_of=MARCH)
    assert found(path, "refund") == [1, 2]
    with closing(sqlite3.connect(path)) as connection:
        check_search(connection)


@pytest.mark.parametrize("before", [0, 1], ids=["empty", "known"])
def test_a_complaint_twice_in_a_first_file(path: Path, before: int) -> None:
    """The search has only the words of the later copy, although its trigger is dropped."""
    if before:
        load_file(path, complaint(1, complaint_what_happened="They lost it"), as_of=JANUARY)
    between = complaints(*range(2, 1_200), complaint_what_happened="A letter")
    first = complaint(1, complaint_what_happened="My payment")
    load_file(path, first, *between, first._replace(complaint_what_happened="My refund"))

    assert (found(path, "refund"), found(path, "payment OR lost")) == ([1], [])
    assert searchable(path) == 1_199
    with closing(sqlite3.connect(path)) as connection:
        check_search(connection)


def test_complaints_without_narratives_are_not_searchable(path: Path) -> None:
    """A file without narratives adds nothing to the search."""
    load_file(path, *complaints(*range(1_000), company="A"))

    assert searchable(path) == 0


def test_a_failed_load_does_not_change_the_search(path: Path) -> None:
    """The search is rolled back with the complaints."""
    first = complaint(1, complaint_what_happened="payment")
    load_file(path, first, *complaints(*range(2, 100)), as_of=JANUARY)
    with pytest.raises(TooManyWithdrawnError):
        load_file(path, complaint(1, complaint_what_happened="refund"), max_withdrawn=0.01)

    assert (found(path, "payment"), found(path, "refund")) == ([1], [])


def test_the_search_does_not_multiply_what_a_load_writes(path: Path) -> None:
    """SQLite does not copy pages to a temporary file before each insertion."""
    if not (counts := Path("/proc/self/io")).exists():
        pytest.skip("only Linux counts the bytes that a process writes")

    def written() -> int:
        return int(counts.read_text().partition("wchar: ")[2].split()[0])

    before = written()
    load(path, part(*complaints(*range(5_000), state="x" * 100)))
    assert written() - before < 10 * path.stat().st_size  # with the trigger, a hundred times


NARRATIVES = st.sampled_from((None, "", "payment", "refund of my payment", "Überweisung", "’s"))
EDITS = st.lists(
    st.tuples(
        st.sampled_from(("insert", "update", "delete", "renumber")),
        st.integers(1, 4),
        NARRATIVES,
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=soak(50))
@given(EDITS)
def test_the_search_follows_changes_by_hand(edits: list[tuple[str, int, str | None]]) -> None:
    """After any change the search has the words of the narratives."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        for edit, number, narrative in edits:
            if edit == "insert":
                connection.execute(
                    "INSERT INTO complaint"
                    " (complaint_id, load_id, first_load_id, changed_load_id,"
                    " complaint_what_happened) VALUES (?, 1, 1, 1, ?) ON CONFLICT DO UPDATE"
                    " SET complaint_what_happened = excluded.complaint_what_happened",
                    (number, narrative),
                )
            elif edit == "update":
                sql = "UPDATE complaint SET complaint_what_happened = ? WHERE complaint_id = ?"
                connection.execute(sql, (narrative, number))
            elif edit == "delete":
                connection.execute("DELETE FROM complaint WHERE complaint_id = ?", (number,))
            else:
                sql = "UPDATE OR IGNORE complaint SET complaint_id = ? WHERE complaint_id = ?"
                connection.execute(sql, (number % 4 + 1, number))

        check_search(connection)
        there = connection.execute("SELECT complaint_id, narrative FROM narratives ORDER BY 1")
        known = connection.execute("SELECT rowid, narrative FROM narrative_search ORDER BY 1")
        assert known.fetchall() == there.fetchall()
        matching = "SELECT rowid FROM narrative_search WHERE narrative_search MATCH 'payment'"
        plain = "SELECT complaint_id FROM narratives WHERE narrative LIKE '%payment%'"
        assert {*connection.execute(matching)} == {*connection.execute(plain)}


def test_the_view_of_narratives(connection: sqlite3.Connection) -> None:
    """It has the company and today's product of each."""
    insert(connection, 1, company="A", product="Credit reporting", complaint_what_happened="Why")
    insert(connection, 2, company="A", product=CARDS, sub_product="Gift card")
    wrote = "Where"
    insert(connection, 3, product=CARDS, sub_product="Gift card", complaint_what_happened=wrote)

    rows = connection.execute("SELECT complaint_id, company, product, narrative FROM narratives")
    assert rows.fetchall() == [
        (1, "A", "Credit reporting or other personal consumer reports", "Why"),
        (3, None, "Prepaid card", "Where"),
    ]
