"""Tests of validation: the messages are those of the real server (docs/facts.md, "Parameters")."""

from typing import Any

import pytest

from .conftest import Api

INTEGER = ["A valid integer is required."]
DAY = ["Date has wrong format. Use one of these formats instead: YYYY-MM-DD."]
BLANK = ["This field may not be blank."]
BOOLEAN = ["Must be a valid boolean."]

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("size=x", {"size": INTEGER}),
    ("size=", {"size": INTEGER}),
    ("size=1e3", {"size": INTEGER}),
    ("size=100001", {"size": ["Ensure this value is less than or equal to 100000."]}),
    ("size=-1", {"size": ["Ensure this value is greater than or equal to 0."]}),
    ("size=10&size=x", {"size": INTEGER}),
    ("frm=10001", {"frm": ["Ensure this value is less than or equal to 10000."]}),
    ("frm=10", {"non_field_errors": ["frm is not zero or a multiple of size"]}),
    ("size=10&frm=15", {"non_field_errors": ["frm is not zero or a multiple of size"]}),
    ("page=0", {"page": ["Ensure this value is greater than or equal to 1."]}),
    ("sort=date", {"sort": ['"date" is not a valid choice.']}),
    ("sort=", {"sort": ['"" is not a valid choice.']}),
    ("date_received_min=2026-10-07T00:00:00", {"date_received_min": DAY}),
    ("date_received_max=2026-02-30", {"date_received_max": DAY}),
    ("company_received_min=10/07/2026", {"company_received_min": DAY}),
    ("company_received_max=", {"company_received_max": DAY}),
    ("search_term=", {"search_term": BLANK}),
    (
        "search_term=" + 201 * "a",
        {"search_term": ["Ensure this field has no more than 200 characters."]},
    ),
    ("search_term=a%00b", {"search_term": ["Null characters are not allowed."]}),
    ("search_after=", {"search_after": BLANK}),
    ("field=issue", {"field": ['"issue" is not a valid choice.']}),
    (
        "field=complaint_what_happened",
        {"field": ['"complaint_what_happened" is not a valid choice.']},
    ),
    ("no_aggs=maybe", {"no_aggs": BOOLEAN}),
    ("no_highlight=", {"no_highlight": BOOLEAN}),
    ("state=XX", {"state": {"0": ['"XX" is not a valid choice.']}}),
    ("state=ca", {"state": {"0": ['"ca" is not a valid choice.']}}),
    (
        "state=CA&state=FM&state=NY&state=MH",
        {
            "state": {
                "1": ['"FM" is not a valid choice.'],
                "3": ['"MH" is not a valid choice.'],
            }
        },
    ),
    (
        "state=UNITED%20STATES%20MINOR%20OUTLYING%20ISLANDS",
        {"state": {"0": ['"UNITED STATES MINOR OUTLYING ISLANDS" is not a valid choice.']}},
    ),
    ("not_state=PW", {"not_state": {"0": ['"PW" is not a valid choice.']}}),
    ("company=", {"company": {"0": BLANK}}),
    ("zip_code=1234", {"zip_code": {"0": ["Ensure this field has at least 5 characters."]}}),
    ("zip_code=123456", {"zip_code": {"0": ["Ensure this field has no more than 5 characters."]}}),
    (
        "product=a%E2%80%A2b%E2%80%A2c",
        {
            "product": [
                'Product is malformed, it needs to be "product" or "product•subproduct"',
            ]
        },
    ),
    (
        "issue=a&issue=a%E2%80%A2b%E2%80%A2c",
        {"issue": ['Issue is malformed, it needs to be "issue" or "issue•subissue"']},
    ),
    (
        "size=x&frm=3&state=XX&sort=date",
        {
            "size": INTEGER,
            "sort": ['"date" is not a valid choice.'],
            "state": {"0": ['"XX" is not a valid choice.']},
        },
    ),
]


@pytest.mark.parametrize(("query", "body"), REFUSED, ids=[query[:40] for query, _ in REFUSED])
def test_invalid_value_gets_400_with_the_real_message(
    deployed_api: Api, query: str, body: dict[str, Any]
) -> None:
    """One body has the errors of all parameters, and the index of each invalid item."""
    response = deployed_api.get(query)

    assert (response.status_code, response.json()) == (400, body)
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "query",
    [
        "size=10.0",
        "size=x&size=10",
        "size=0&frm=7",
        "size=10&frm=30&page=4",
        "date_received_min=2026-9-5",
        "date_received_min=20261007",
        "date_received_min=2026-W40-1",
        "no_aggs=True&no_highlight=yes",
        "no_aggs=1",
        "no_aggs=off",
        "field=_all",
        "field=company",
        "state=AE&state=PR&state=DC",
        "from=x&limit=y&format=",
        "format=default",
    ],
)
def test_accepted_value_gets_200(deployed_api: Api, query: str) -> None:
    """The real server accepts all of these, even unusual ones."""
    assert deployed_api.get(query).status_code == 200


@pytest.mark.parametrize("day", ["2026-9-5", "20260905", "2026-W36-6"])
def test_all_formats_of_a_day_are_equal(deployed_api: Api, day: str) -> None:
    """The formats are single digits, no hyphens, and ISO weeks."""
    expected = deployed_api.total(date_received_min="2026-09-05")

    assert deployed_api.total(date_received_min=day) == expected < 4000


def test_narrative_field_is_valid_in_2024(api_2024: Api) -> None:
    """It was the default of that release."""
    assert api_2024.get(field="complaint_what_happened").status_code == 200
