"""A query holds what the search API accepts, and nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from cfpb_etl.model.errors import InvalidQueryError
from cfpb_etl.model.query import STATES, Query


def test_an_empty_query_is_falsy() -> None:
    """A query that narrows nothing down is falsy, which is how the newest are asked for."""
    assert not Query()
    assert Query().parameters() == []


@pytest.mark.parametrize(
    "asked",
    [
        {"since": "2026-10-01"},
        {"until": "2026-10-01"},
        {"state": ("CA",)},
        {"product": ("Mortgage",)},
        {"issue": ("Fraud or scam",)},
        {"company": ("EQUIFAX, INC.",)},
        {"search": "fees"},
    ],
)
def test_any_filter_makes_it_truthy(asked: dict[str, Any]) -> None:
    """Each of the filters counts as one, and sends exactly one parameter."""
    assert Query(**asked)
    assert len(Query(**asked).parameters()) == 1


@pytest.mark.parametrize(
    ("asked", "narrows"),
    [
        ({}, False),
        ({"since": "2026-10-01"}, False),
        ({"since": "2026-10-01", "until": "2026-10-07"}, False),
        ({"state": ("CA",)}, True),
        ({"product": ("Mortgage",)}, True),
        ({"issue": ("Fraud or scam",)}, True),
        ({"company": ("EQUIFAX, INC.",)}, True),
        ({"search": "fees"}, True),
        ({"since": "2026-10-01", "state": ("CA",)}, True),
    ],
)
def test_days_alone_do_not_narrow(asked: dict[str, Any], *, narrows: bool) -> None:
    """A query of days alone wants every complaint of them; any other filter leaves some out."""
    assert Query(**asked).narrows is narrows


WHOLE = Query(
    since="2026-10-01",
    until="2026-10-07",
    state=("CA", "NY"),
    product=("Mortgage•FHA mortgage", "Debt collection"),
    issue=("Fraud or scam",),
    company=("EQUIFAX, INC.",),
    search="late fees",
)


@pytest.mark.parametrize(
    "query",
    [Query(), WHOLE, Query(since="2026-10-01"), Query(state=("CA",)), Query(search="Traveler’s")],
)
def test_a_query_is_remembered_whole(query: Query) -> None:
    """What the record of a load says of a query is all of it, also after a way through JSON."""
    assert Query.from_dict(query.described()) == query
    assert Query.from_dict(json.loads(json.dumps(query.described()))) == query


def test_what_is_remembered_is_held_to_the_same() -> None:
    """A record that was changed by hand is no way around what the API accepts."""
    with pytest.raises(InvalidQueryError, match="state"):
        Query.from_dict({"state": ["ZZ"]})


def test_parameters_repeat_the_key_of_a_list() -> None:
    """Dates and words go once, lists as their key repeated, commas and bullets as they are."""
    assert WHOLE.parameters() == [
        ("date_received_min", "2026-10-01"),
        ("date_received_max", "2026-10-07"),
        ("search_term", "late fees"),
        ("state", "CA"),
        ("state", "NY"),
        ("product", "Mortgage•FHA mortgage"),
        ("product", "Debt collection"),
        ("issue", "Fraud or scam"),
        ("company", "EQUIFAX, INC."),
    ]
    assert "product=Mortgage%E2%80%A2FHA+mortgage&product=Debt" in urlencode(WHOLE.parameters())


def test_the_states_are_the_59_of_the_api() -> None:
    """The closed list has 50 states, DC, five territories and three military ones."""
    assert len(STATES) == len(set(STATES)) == 59
    assert {"DC", "AS", "GU", "MP", "PR", "VI", "AA", "AE", "AP"} < set(STATES)
    assert Query(state=STATES).parameters() == [("state", code) for code in STATES]


@pytest.mark.parametrize(
    "code", ["ZZ", "ca", "", " CA", "FM", "MH", "PW", "UNITED STATES MINOR OUTLYING ISLANDS"]
)
def test_a_state_that_the_api_refuses(code: str) -> None:
    """Codes outside of the list are refused, even those that stand in the data."""
    with pytest.raises(InvalidQueryError) as caught:
        Query(state=("CA", code))

    assert (caught.value.field, caught.value.value) == ("state", code)
    assert "WY" in caught.value.allowed


@pytest.mark.parametrize("field", ["since", "until"])
@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01",
        "2026-02-29",
        "2026-9-5",
        "20261007",
        "2026-W40-1",
        "2026-10-07T00:00:00",
        "2026-10-07\n",
        "\uff12026-10-07",  # begins with a full-width 2
        "yesterday",
        "",
    ],
)
def test_a_day_that_is_none(field: str, text: str) -> None:
    """Only a day of the calendar, spelled as we spell days, is one."""
    with pytest.raises(InvalidQueryError) as caught:
        Query(**{field: text})  # type: ignore[arg-type]

    assert (caught.value.field, caught.value.value) == (field, text)


def test_since_must_not_be_after_until() -> None:
    """A range that holds no day is refused, one that holds a single day is not."""
    assert Query(since="2026-10-07", until="2026-10-07")
    with pytest.raises(InvalidQueryError, match="after --until 2026-10-06") as caught:
        Query(since="2026-10-07", until="2026-10-06")

    assert caught.value.field == "since"


LISTS = ["product", "issue", "company"]


@pytest.mark.parametrize("field", [*LISTS, "search"])
@pytest.mark.parametrize("text", ["", "   ", "\t\n", "x" * 201, "a\0b", "\udcff"])
def test_a_text_that_the_api_refuses(field: str, text: str) -> None:
    """A blank text, one of 201 characters, and one that cannot be sent are refused."""
    with pytest.raises(InvalidQueryError) as caught:
        Query(**{field: text if field == "search" else ("Mortgage", text)})  # type: ignore[arg-type]

    assert (caught.value.field, caught.value.value) == (field, text)


@pytest.mark.parametrize("field", [*LISTS, "search"])
@pytest.mark.parametrize("text", ["x", "é" * 200, "Traveler’s/Cashier’s checks", "a, b; c&d=e"])
def test_a_text_that_the_api_accepts(field: str, text: str) -> None:
    """Anything else of 1 to 200 characters is sent as it is."""
    query = Query(**{field: text if field == "search" else (text,)})  # type: ignore[arg-type]

    assert [value for _, value in query.parameters()] == [text]


@pytest.mark.parametrize("field", ["product", "issue"])
@pytest.mark.parametrize("text", ["A•B•C", "A••B", "Mortgage•", "•FHA mortgage", "•", "A• "])
def test_levels_that_match_nothing(field: str, text: str) -> None:
    """A second bullet is refused by the API, an empty level would match nothing."""
    with pytest.raises(InvalidQueryError, match="with one •") as caught:
        Query(**{field: (text,)})  # type: ignore[arg-type]

    assert caught.value.field == field


def test_a_company_may_have_bullets() -> None:
    """Only products and issues have levels."""
    assert Query(company=("A•B•C",)).parameters() == [("company", "A•B•C")]
