"""A query has only values that the search API accepts."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.model.query import STATES, Query


def test_an_empty_query_is_falsy() -> None:
    """Without a filter only the newest complaints are loaded, which the caller must know."""
    assert not Query()
    assert Query().parameters() == []


@pytest.mark.parametrize(
    "filters",
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
def test_any_filter_makes_it_truthy(filters: dict[str, Any]) -> None:
    """Each filter alone makes a query truthy, and becomes exactly one parameter."""
    assert Query(**filters)
    assert len(Query(**filters).parameters()) == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
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
def test_whether_a_query_filters_more_than_days(filters: dict[str, Any], *, expected: bool) -> None:
    """A query of days alone matches every complaint of these days; other filters do not."""
    assert Query(**filters).filters_more_than_days is expected


FULL = Query(
    since="2026-10-01",
    until="2026-10-07",
    state=("CA", "NY"),
    product=("Mortgage•FHA mortgage", "Debt collection"),
    issue=("Fraud or scam",),
    company=("EQUIFAX, INC.",),
    search="late fees",
    tag=("Older American, Servicemember",),
    zip_code=("391XX",),
    timely="No",
    submitted_via=("Phone",),
    company_response=("In progress",),
)


@pytest.mark.parametrize(
    "query",
    [Query(), FULL, Query(since="2026-10-01"), Query(state=("CA",)), Query(search="Traveler’s")],
)
def test_a_query_survives_a_round_trip(query: Query) -> None:
    """The record of a load has every filter, also after a round trip through JSON."""
    assert Query.from_dict(query.to_dict()) == query
    assert Query.from_dict(json.loads(json.dumps(query.to_dict()))) == query


def test_recorded_filters_are_checked() -> None:
    """A record that was changed by hand cannot contain a value that the API rejects."""
    with pytest.raises(WrongParameterError, match="state"):
        Query.from_dict({"state": ["ZZ"]})


def test_parameters_repeat_the_key_of_a_list() -> None:
    """Each value of a list has its own parameter; commas and bullets are not changed."""
    assert FULL.parameters() == [
        ("date_received_min", "2026-10-01"),
        ("date_received_max", "2026-10-07"),
        ("state", "CA"),
        ("state", "NY"),
        ("product", "Mortgage•FHA mortgage"),
        ("product", "Debt collection"),
        ("issue", "Fraud or scam"),
        ("company", "EQUIFAX, INC."),
        ("search_term", "late fees"),
        ("tags", "Older American, Servicemember"),
        ("zip_code", "391XX"),
        ("timely", "No"),
        ("submitted_via", "Phone"),
        ("company_response", "In progress"),
    ]
    assert "product=Mortgage%E2%80%A2FHA+mortgage&product=Debt" in urlencode(FULL.parameters())


def test_the_states_are_the_59_of_the_api() -> None:
    """The API accepts 50 states, DC, five territories and three military codes."""
    assert len(STATES) == len(set(STATES)) == 59
    assert {"DC", "AS", "GU", "MP", "PR", "VI", "AA", "AE", "AP"} < set(STATES)
    assert Query(state=STATES).parameters() == [("state", code) for code in STATES]


@pytest.mark.parametrize(
    "code", ["ZZ", "ca", "", " CA", "FM", "MH", "PW", "UNITED STATES MINOR OUTLYING ISLANDS"]
)
def test_a_state_that_the_api_rejects(code: str) -> None:
    """Other codes raise an error, even those that occur in the data."""
    with pytest.raises(WrongParameterError) as caught:
        Query(state=("CA", code))

    assert caught.value.parameter == "state"
    assert repr(code)[:100] in caught.value.reason
    assert "WY" in caught.value.reason


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
        "\uff12026-10-07",  # starts with a full-width 2
        "yesterday",
        "",
    ],
)
def test_an_invalid_day(field: str, text: str) -> None:
    """A day must be in the calendar, and have the format YYYY-MM-DD."""
    with pytest.raises(WrongParameterError) as caught:
        Query(**{field: text})  # type: ignore[arg-type]

    assert caught.value.parameter == field
    assert repr(text)[:100] in caught.value.reason


def test_since_must_not_be_after_until() -> None:
    """A range of a single day is valid, and an empty range is not."""
    assert Query(since="2026-10-07", until="2026-10-07")
    with pytest.raises(WrongParameterError, match="after `until` 2026-10-06") as caught:
        Query(since="2026-10-07", until="2026-10-06")

    assert caught.value.parameter == "since"


LISTS = ["product", "issue", "company"]


@pytest.mark.parametrize("field", [*LISTS, "search"])
@pytest.mark.parametrize("text", ["", "   ", "\t\n", "x" * 201, "a\0b", "\udcff"])
def test_a_text_that_the_api_rejects(field: str, text: str) -> None:
    """A text must not be blank, longer than 200 characters, or impossible to send."""
    with pytest.raises(WrongParameterError) as caught:
        Query(**{field: text if field == "search" else ("Mortgage", text)})  # type: ignore[arg-type]

    assert caught.value.parameter == field
    assert repr(text)[:100] in caught.value.reason


@pytest.mark.parametrize("field", [*LISTS, "search"])
@pytest.mark.parametrize("text", ["x", "é" * 200, "Traveler’s/Cashier’s checks", "a, b; c&d=e"])
def test_a_text_that_the_api_accepts(field: str, text: str) -> None:
    """Any other text of 1 to 200 characters is sent unchanged."""
    query = Query(**{field: text if field == "search" else (text,)})  # type: ignore[arg-type]

    assert [value for _, value in query.parameters()] == [text]


@pytest.mark.parametrize("field", ["product", "issue"])
@pytest.mark.parametrize("text", ["A•B•C", "A••B", "Mortgage•", "•FHA mortgage", "•", "A• "])
def test_levels_that_match_nothing(field: str, text: str) -> None:
    """The API rejects a second bullet, and an empty level would match nothing."""
    with pytest.raises(WrongParameterError, match="with one •") as caught:
        Query(**{field: (text,)})  # type: ignore[arg-type]

    assert caught.value.parameter == field


def test_a_company_can_have_bullets() -> None:
    """Only products and issues have levels."""
    assert Query(company=("A•B•C",)).parameters() == [("company", "A•B•C")]


def test_a_query_in_words() -> None:
    """The words name each filter that is set, and join the values of a list."""
    assert str(Query()) == ""
    assert str(Query(since="2026-10-01", state=("CA", "NY"))) == "since 2026-10-01, state CA or NY"
    assert str(Query(zip_code=("391XX",), timely="No")) == "zip code 391XX, timely No"


@pytest.mark.parametrize("code", ["9410", "941033", "9410-", "391xx", "", "\uff1094103", "94103\n"])
def test_a_zip_code_that_no_complaint_has(code: str) -> None:
    """A code has five digits, or capital X for masked digits."""
    with pytest.raises(WrongParameterError, match="such as 391XX"):
        Query(zip_code=("94103", code))


@pytest.mark.parametrize("answer", ["yes", "No ", "", "Late"])
def test_an_answer_that_no_complaint_has(answer: str) -> None:
    """An answer is in time or not."""
    with pytest.raises(WrongParameterError, match="give Yes or No"):
        Query(timely=answer)
