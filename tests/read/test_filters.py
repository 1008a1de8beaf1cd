"""Filters select the same complaints in the database as in CFPB's search."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.errors import WrongParameterError
from cfpb_etl.fetch.search_api import fetch_count
from cfpb_etl.model.query import STATES, Query, StoredQuery
from cfpb_etl.read.connection import open_snapshot
from cfpb_etl.read.filters import conditions_of
from cfpb_etl.read.selection import Selection
from cfpb_etl.store.errors import ChangedDatabaseError
from cfpb_etl.store.sqlite_file import connect
from support.loads import execute, load_file
from support.made_up import made_up
from support.parts import ALL, complaint
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint

SERVED = made_up(500, era="deployed")
LISTS = ("state", "company", "product", "issue", "tag", "submitted_via", "company_response")
LONG_STATE = "UNITED STATES MINOR OUTLYING ISLANDS"


def stored(raw: dict[str, Any]) -> Complaint:
    """Return a complaint of the search API as it is stored, without its narrative."""
    days = {name: raw[name][:10] for name in ("date_received", "date_sent_to_company")}
    fields = {name: raw.get(name) for name in ALL[1:] if name != "complaint_what_happened"}
    return complaint(int(raw["complaint_id"]), **fields | days)


def matching(path: Path, **filters: Any) -> list[int]:
    """Return the ids of the complaints that match."""
    statement = Selection(StoredQuery(**filters), columns=("complaint_id",)).statement("complaint")
    with open_snapshot(path) as connection:
        return sorted(number for (number,) in connection.execute(*statement[:2]))


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """Serve 500 complaints as CFPB does."""
    with serve(Emulator(SERVED)) as url:
        yield url


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the same 500 complaints."""
    path = tmp_path_factory.mktemp("filters") / "complaints.db"
    load_file(path, *map(stored, SERVED))
    return path


def random_query(randomly: random.Random) -> Query:
    """Return a query with filters that match some complaint."""
    filters: dict[str, Any] = {}
    for name in randomly.sample(LISTS, randomly.choice((1, 1, 2))):
        column = {"tag": "tags"}.get(name, name)
        chosen = {randomly.choice(SERVED)[column] for _ in range(randomly.choice((1, 2, 5)))}
        filters[name] = {*filter(None, chosen)} & {*STATES} if name == "state" else chosen
        if name in ("product", "issue"):
            for each in randomly.sample(SERVED, 3):
                if each[f"sub_{name}"]:
                    filters[name].add(f"{each[name]}•{each[f'sub_{name}']}")
        filters[name] = tuple(sorted(filter(None, filters[name])))
    if randomly.random() < 0.3:
        days = sorted(each["date_received"][:10] for each in randomly.sample(SERVED, 2))
        filters |= {"since": days[0], "until": days[1]}
    if randomly.random() < 0.3:
        filters["timely"] = randomly.choice(("Yes", "No"))
    return Query(**filters)


def test_filters_match_as_in_the_search(database: Path, api_url: str) -> None:
    """CFPB counts as many complaints, with one filter and with several."""
    counts = []
    for number in range(soak(60)):
        query = random_query(random.Random(number))  # noqa: S311
        conditions, values = conditions_of(query)
        where = " AND ".join(conditions) or "1"
        with closing(connect(database)) as connection:
            (count,) = connection.execute(
                f"SELECT COUNT(*) FROM complaint WHERE {where}",  # noqa: S608 - our names
                values,
            ).fetchone()
        assert count == fetch_count(query, api_url), query
        counts.append(count)
    assert len({*counts}) > 10


def test_a_list_can_be_long(database: Path) -> None:
    """Thousands of values are one filter, and pairs of products and sub-products are too."""
    everything = len(SERVED)
    companies = tuple({each["company"] for each in SERVED})
    made_up_names = tuple(f"No company {number}" for number in range(5_000))
    levels = tuple({f"{each['product']}•{each['sub_product']}" for each in SERVED})
    other_levels = tuple(f"Mortgage•Kind {number}" for number in range(5_000))

    assert len(matching(database, company=(*made_up_names, *companies))) == everything
    assert len(matching(database, product=(*other_levels, *levels))) == sum(
        each["sub_product"] is not None for each in SERVED
    )


@pytest.mark.parametrize(
    "filters",
    [{"company": ("A", "B")}, {"product": ("A", "B•C")}, {"product": ("B•C",)}],
)
def test_an_index_is_used(database: Path, filters: dict[str, Any]) -> None:
    """A filter by companies or products does not read every complaint."""
    sql, values, _ = Selection(StoredQuery(**filters)).statement("complaint")
    with open_snapshot(database) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    assert any("INDEX complaint_" in step for step in plan)
    assert not any(step.startswith("SCAN complaint") for step in plan)


def test_states_of_the_data(path: Path) -> None:
    """Also those by which CFPB's search cannot filter; a typing mistake is refused."""
    states = ("CA", "FM", "PW", LONG_STATE, None)
    load_file(path, *(complaint(number, state=state) for number, state in enumerate(states, 1)))

    assert matching(path, state=("FM", LONG_STATE)) == [2, 4]
    assert matching(path, state=("PW", "CA")) == [1, 3]
    with pytest.raises(WrongParameterError, match=r"`state` 'CAL' is not valid; CFPB's data have"):
        StoredQuery(state=("CAL",))
    with pytest.raises(WrongParameterError, match="`state` 'FM' is not valid; CFPB filters by"):
        Query(state=("FM",))


NARRATIVES = {
    1: "They stole my identity, and a theft followed.",
    2: 'IDENTITY THEFT! I said "identity theft" twice.',
    3: "It's the bank's mistake: account #12-34, NOT mine. OR? Ça va",
    4: None,
    5: "",
}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("identity", [1, 2]),
        ("IDENTITY  theft\n", [1, 2]),
        ("theft identity", [1, 2]),
        ("identity-theft", [2]),
        ('"identity theft"', [1, 2]),
        ('say"', []),
        ("identity & theft !", [1, 2]),
        ("it's", [3]),
        ("12-34", [3]),
        ("NOT mine", [3]),
        ("OR", [3]),
        ("ca", [3]),
        ("bank NEAR(mistake", []),
        ("narrative:identity", []),
        ("identit*", []),
        ("^they", [1]),
        ("- theft", [1, 2]),
        ("{identity} AND", [1]),
        (";--", None),
        ("'\"'", None),
        ("*", None),
        ("•", None),
    ],
)
def test_search_words(path: Path, words: str, found: list[int] | None) -> None:
    """All words must be in the narrative. No character is part of a search language.

    A search without a letter or a digit is refused, because nothing can match.
    """
    load_file(path, *(complaint(n, complaint_what_happened=text) for n, text in NARRATIVES.items()))

    if found is None:
        with pytest.raises(WrongParameterError, match=r"`search` .* letters or digits"):
            StoredQuery(search=words)
    else:
        assert matching(path, search=words) == found


def test_a_search_without_narratives(database: Path) -> None:
    """Nothing is found if the database has no narratives."""
    assert matching(database, search="identity") == []


def test_a_search_without_the_index(path: Path) -> None:
    """An error names what is missing."""
    load_file(path, complaint(1, complaint_what_happened="identity"))
    execute(path, "DROP TABLE narrative_search")

    with pytest.raises(ChangedDatabaseError, match="narrative_search is missing"):
        matching(path, search="identity")
