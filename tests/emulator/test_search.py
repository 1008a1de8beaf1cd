"""Tests of sorts, paging and filters (docs/facts.md, from "Parameters" to "Page size")."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from cfpb_etl.emulator import RawComplaint, generate_complaints

from .conftest import Api, ServeApi


@pytest.fixture(params=["deployed_api", "api_2024"])
def api(request: pytest.FixtureRequest) -> Api:
    """Return the emulator of each era in turn."""
    api: Api = request.getfixturevalue(request.param)
    return api


def epoch_ms(source: RawComplaint) -> int:
    """Return the time received in milliseconds since 1970, the sort value."""
    return int(datetime.fromisoformat(source["date_received"]).timestamp() * 1000)


def by_date(source: RawComplaint) -> tuple[int, str]:
    """Return the sort key of the API: the date, then the id as text."""
    return epoch_ms(source), source["complaint_id"]


def ids(hits: list[Any]) -> list[str]:
    """Return the ids of hits, in their order."""
    return [hit["_id"] for hit in hits]


@pytest.mark.parametrize("size", [777, 1000, 4000])
def test_paging_by_date_returns_each_complaint_once_in_order(api: Api, size: int) -> None:
    """The cursor of the last hit also continues inside ties, without gaps or repeats."""
    expected = [source["complaint_id"] for source in sorted(api.complaints, key=by_date)]

    ascending = api.all_hits(sort="created_date_asc", size=size, no_aggs="true")
    descending = api.all_hits(sort="created_date_desc", size=size, no_aggs="true")

    assert ids(ascending) == expected
    assert ids(descending) == expected[::-1]
    assert [hit["sort"] for hit in ascending] == [
        list(by_date(hit["_source"])) for hit in ascending
    ]


def test_paging_by_relevance_sorts_ids_as_text(api: Api) -> None:
    """All scores are equal, so the ids decide the order."""
    expected = sorted(source["complaint_id"] for source in api.complaints)

    assert ids(api.all_hits(sort="relevance_asc", size=777)) == expected
    assert ids(api.all_hits(sort="relevance_desc", size=777)) == expected[::-1]
    assert expected != sorted(expected, key=int)


def test_paging_continues_inside_a_tie_larger_than_a_page(serve_api: ServeApi) -> None:
    """In 2024 all complaints of a day had one sort value. As text, 999803 is above 10000282."""
    day = [
        {**complaint, "complaint_id": number, "date_received": "2024-11-05T12:00:00-05:00"}
        for number, complaint in zip(
            ["999803", "9997920", "28329883", "10000282", "10000283"],
            generate_complaints(5, era="2024"),
            strict=True,
        )
    ]
    api = serve_api(day)

    hits = api.all_hits(sort="created_date_desc", size=2)

    assert ids(hits) == ["999803", "9997920", "28329883", "10000283", "10000282"]
    assert {hit["sort"][0] for hit in hits} == {1730826000000}


def test_total_with_a_cursor_counts_all_matches(deployed_api: Api) -> None:
    """It does not shrink to the remaining matches."""
    newest = deployed_api.search(sort="created_date_desc", size=1)["hits"][0]
    cursor = "_".join(map(str, newest["sort"]))

    page = deployed_api.search(sort="created_date_desc", size=1, search_after=cursor)

    assert page["total"] == {"value": 4000, "relation": "eq"}


@pytest.mark.parametrize("parameter", [{"frm": 50}, {"page": 3}, {"from": 10}, {"offset": 10}])
def test_other_paging_parameters_have_no_effect(
    deployed_api: Api, parameter: dict[str, int]
) -> None:
    """`frm` and `page` are only checked, the others are unknown."""
    first = deployed_api.search(sort="created_date_desc", size=25)

    assert deployed_api.search(sort="created_date_desc", size=25, **parameter) == first


@pytest.mark.parametrize(
    "cursor",
    ["1791409173000", "1_2_3", "a_b", "_5", "-5_1", "1791409173000.0_x", "1.0_999803"],
)
def test_malformed_date_cursor_gets_424(deployed_api: Api, cursor: str) -> None:
    """The response has the same 49 bytes as an outage."""
    response = deployed_api.get(sort="created_date_desc", search_after=cursor)

    assert (response.status_code, response.content) == (
        424,
        b'{"error":"There was an error calling OpenSearch"}',
    )
    assert len(response.content) == 49


@pytest.mark.parametrize("cursor", ["x_1", "nonsense", "-1.0_5"])
def test_malformed_score_cursor_gets_424(deployed_api: Api, cursor: str) -> None:
    """Cursors by relevance begin with a score."""
    assert deployed_api.get(search_after=cursor).status_code == 424


def test_cursor_with_an_empty_id_skips_the_rest_of_the_tie(api_2024: Api) -> None:
    """In descending order it gets 200."""
    newest = api_2024.search(sort="created_date_desc", size=1)["hits"][0]
    milliseconds = newest["sort"][0]

    after = api_2024.search(sort="created_date_desc", search_after=f"{milliseconds}_")["hits"]

    assert api_2024.search(date_received_min="2024-11-05")["total"]["value"] > 1
    assert all(hit["sort"][0] < milliseconds for hit in after)


def test_cursor_beyond_the_end_returns_an_empty_page(deployed_api: Api) -> None:
    """The last page of a search is empty and has status 200."""
    assert deployed_api.search(sort="created_date_desc", search_after="1_1")["hits"] == []


def test_date_cursor_without_sort_returns_the_first_page_again(deployed_api: Api) -> None:
    """The date is parsed as a score above all others, so ascending order has no hits."""
    cursor = "1791409173000_17800720"

    assert deployed_api.search(search_after=cursor) == deployed_api.search()
    assert deployed_api.search(sort="relevance_asc", search_after=cursor)["hits"] == []


def test_size_0_with_a_cursor_gets_424(deployed_api: Api) -> None:
    """`size=0` alone gets an empty page."""
    failed = deployed_api.get(size=0, sort="created_date_desc", search_after="1791409173000_1")

    assert failed.status_code == 424
    assert deployed_api.search(size=0) == {
        "total": {"value": 4000, "relation": "eq"},
        "max_score": None,
        "hits": [],
    }


def test_a_page_has_at_most_10000_hits(deployed_api: Api) -> None:
    """Larger sizes up to 100,000 pass validation and then get 424."""
    assert deployed_api.get(size=10_000).status_code == 200
    assert deployed_api.get(size=10_001).status_code == 424
    assert deployed_api.get(size=100_000).status_code == 424


def test_hit_has_the_keys_of_its_era(deployed_api: Api, api_2024: Api) -> None:
    """It has a score only by relevance, and `_type` only in 2024."""
    by_relevance = deployed_api.search(size=1)["hits"][0]
    newest = api_2024.search(sort="created_date_desc", size=1)["hits"][0]

    assert list(by_relevance) == ["_index", "_id", "_score", "_source", "sort"]
    assert by_relevance["sort"] == [by_relevance["_score"], by_relevance["_id"]] != [None]
    assert list(newest) == ["_index", "_type", "_id", "_score", "_source", "sort"]
    assert (newest["_index"], newest["_score"]) == ("complaint-public-v1", None)


def test_date_range_has_whole_utc_days_and_includes_both_ends(deployed_api: Api) -> None:
    """CFPB's API description says that the end is excluded, which is wrong."""
    days = [source["date_received"][:10] for source in deployed_api.complaints]
    expected = sum("2026-09-01" <= day <= "2026-09-30" for day in days)

    assert (
        deployed_api.total(date_received_min="2026-09-01", date_received_max="2026-09-30")
        == expected
    )
    assert deployed_api.total(date_received_max="2026-09-30") == sum(
        day <= "2026-09-30" for day in days
    )
    assert deployed_api.total(date_received_min="2026-09-30", date_received_max="2026-09-01") == 0


def test_date_range_includes_the_last_second_of_a_day(serve_api: ServeApi) -> None:
    """The upper bound includes 23:59:59.999Z."""
    late, midnight = generate_complaints(2)
    late["date_received"] = "2026-10-05T23:59:59.999Z"
    midnight["date_received"] = "2026-10-06T00:00:00.000Z"
    api = serve_api([late, midnight])

    hits = api.search(date_received_min="2026-10-05", date_received_max="2026-10-05")["hits"]

    assert ids(hits) == [late["complaint_id"]]


def test_complaints_are_filtered_by_the_day_sent_to_the_company(deployed_api: Api) -> None:
    """The parameters are `company_received_min` and `company_received_max`."""
    days = [source["date_sent_to_company"][:10] for source in deployed_api.complaints]

    assert deployed_api.total(company_received_min="2026-09-01") == sum(
        day >= "2026-09-01" for day in days
    )
    assert deployed_api.total(company_received_max="2026-09-01") == sum(
        day <= "2026-09-01" for day in days
    )


def mortgage(source: RawComplaint) -> bool:
    """Return whether the product is a mortgage."""
    return bool(source["product"] == "Mortgage")


def fha(source: RawComplaint) -> bool:
    """Return whether the sub-product is an FHA mortgage."""
    return mortgage(source) and bool(source["sub_product"] == "FHA mortgage")


FILTERS: list[tuple[str, Callable[[RawComplaint], bool]]] = [
    ("state=CA&state=NY", lambda s: s["state"] in {"CA", "NY"}),
    ("state=CA&product=Mortgage", lambda s: s["state"] == "CA" and mortgage(s)),
    ("company=EQUIFAX,%20INC.,MOHELA", lambda _: False),
    ("product=mortgage", lambda _: False),
    ("product=%20Mortgage%20", mortgage),
    ("product[]=Mortgage", lambda _: True),
    ("product=Mortgage%E2%80%A2FHA%20mortgage", fha),
    ("product=Mortgage&product=Mortgage%E2%80%A2FHA%20mortgage", fha),
    (
        "product=Mortgage%E2%80%A2FHA%20mortgage&product=Student%20loan",
        lambda s: fha(s) or s["product"] == "Student loan",
    ),
    ("product=Mortgage%E2%80%A2", lambda _: False),
    ("issue=Closing%20an%20account", lambda s: s["issue"] == "Closing an account"),
    ("tags=Older%20American,%20Servicemember", lambda s: s["tags"] and "," in s["tags"]),
    ("company=EQUIFAX,%20INC.", lambda s: s["company"] == "EQUIFAX, INC."),
    ("submitted_via=Phone", lambda s: s["submitted_via"] == "Phone"),
    ("timely=No", lambda s: s["timely"] == "No"),
    ("company_response=In%20progress", lambda s: s["company_response"] == "In progress"),
    ("not_state=CA", lambda s: s["state"] != "CA"),
    ("not_product=Mortgage", lambda s: not mortgage(s)),
    ("not_state=CA&not_product=Mortgage", lambda s: not (s["state"] == "CA" and mortgage(s))),
    ("not_timely=Yes&not_submitted_via=Web&not_zip_code=90210", lambda _: True),
    ("sub_product=FHA%20mortgage&complaint_id=1&date_received=2026-01-01", lambda _: True),
]


@pytest.mark.parametrize(("query", "matches"), FILTERS, ids=[query for query, _ in FILTERS])
def test_filter_returns_the_matching_complaints(
    deployed_api: Api, query: str, matches: Callable[[RawComplaint], bool]
) -> None:
    """Values of a key are joined with OR, keys with AND; unknown keys are ignored."""
    assert deployed_api.total(query) == sum(map(bool, map(matches, deployed_api.complaints)))


def test_masked_zip_code_matches_exactly(deployed_api: Api) -> None:
    """The filter compares the text, with its X."""
    masked = next(
        s["zip_code"] for s in deployed_api.complaints if (s["zip_code"] or "")[3:] == "XX"
    )

    assert deployed_api.total(zip_code=masked) == sum(
        source["zip_code"] == masked for source in deployed_api.complaints
    )


def test_paging_with_a_filter_is_complete(api: Api) -> None:
    """Filters and cursors can be combined."""
    expected = {s["complaint_id"] for s in api.complaints if s["state"] == "FL"}

    hits = api.all_hits(state="FL", sort="created_date_asc", size=77)

    assert set(ids(hits)) == expected
    assert len(hits) == len(expected)


def test_many_different_filters_work(serve_api: ServeApi) -> None:
    """The cache for the next page is limited, but later filters still work."""
    api = serve_api(generate_complaints(20))

    for day in range(1, 21):
        assert api.total(date_received_min=f"2020-01-{day:02}") == 20


def test_plain_term_matches_all_its_words(deployed_api: Api) -> None:
    """Words match in any field, in upper or lower case."""
    expected = sum(
        "EQUIFAX" in (text := " ".join(filter(None, source.values())).upper()) and "PHONE" in text
        for source in deployed_api.complaints
    )

    assert deployed_api.total(search_term="equifax PHONE", field="all") == expected > 0


def test_lucene_term_matches_any_of_its_words(deployed_api: Api) -> None:
    """A hyphen or an upper-case TO, even inside a word, makes a Lucene query with OR."""
    equifax = sum(source["company"] == "EQUIFAX, INC." for source in deployed_api.complaints)

    assert deployed_api.total(search_term="equifax-nonsense", field="all") == equifax
    assert deployed_api.total(search_term="equifax NOnsenseTO", field="all") == equifax
    assert deployed_api.total(search_term="equifax nonsense", field="all") == 0


@pytest.mark.parametrize("term", ['"equifax', "(equifax", "equifax)"])
def test_unbalanced_term_gets_424(deployed_api: Api, term: str) -> None:
    """The client's invalid query looks like an outage."""
    assert deployed_api.get(search_term=term).status_code == 424


def test_term_is_searched_in_its_field(api_2024: Api) -> None:
    """In 2024 this can be the narrative."""
    matching = sum("certified" in s["complaint_what_happened"] for s in api_2024.complaints)
    equifax = sum("EQUIFAX" in s["company"] for s in api_2024.complaints)

    assert api_2024.total(search_term="certified") == matching > 0
    assert api_2024.total(search_term="certified", field="company") == 0
    assert api_2024.total(search_term="equifax", field="company") == equifax
    assert api_2024.total(search_term="equifax", field="all") >= equifax


def test_without_a_field_only_narratives_are_searched(api: Api) -> None:
    """CFPB's default is the narrative, also where no complaint has one."""
    narratives = sum(
        "mortgage" in (s.get("complaint_what_happened") or "").lower() for s in api.complaints
    )

    assert api.total(search_term="mortgage") == narratives
    assert api.total(search_term="mortgage", field="all") > narratives


def test_complaint_that_was_not_sent_to_the_company(serve_api: ServeApi) -> None:
    """A range of days never matches a missing day, and the answer is not an error."""
    sent, waiting = generate_complaints(2)
    waiting["date_sent_to_company"] = None
    api = serve_api([sent, waiting])

    for name in ("company_received_min", "company_received_max"):
        day = "2011-12-01" if name.endswith("min") else "2030-01-01"
        assert ids(api.search(**{name: day})["hits"]) == [sent["complaint_id"]]


def test_has_narrative_is_a_filter_in_2024(api_2024: Api, deployed_api: Api) -> None:
    """The deployed release ignores it."""
    matching = sum(bool(source["complaint_what_happened"]) for source in api_2024.complaints)

    assert api_2024.total(has_narrative="true") == matching
    assert api_2024.total("has_narrative=true&has_narrative=false") == 4000
    assert api_2024.get(has_narrative="yes").status_code == 424
    assert deployed_api.total(has_narrative="true") == 4000


def test_index_can_change_between_two_requests(serve_api: ServeApi) -> None:
    """Complaints are added, changed and removed, as during a real load."""
    complaints = generate_complaints(10)
    api = serve_api(complaints)
    later = {**complaints[-1], "complaint_id": "99999999"}
    changed = {**complaints[0], "state": "GU", "date_received": "2026-10-07T23:59:59.000Z"}

    assert api.total(state="GU") == 0
    api.emulator.put(later)
    api.emulator.put(changed)
    api.emulator.withdraw(complaints[1]["complaint_id"])
    hits = api.all_hits(sort="created_date_asc", size=3)

    assert len(hits) == 10
    assert hits[-1]["_source"] == changed
    assert later["complaint_id"] in ids(hits)
    assert complaints[1]["complaint_id"] not in ids(hits)
    assert api.total(state="GU") == 1


def test_last_complaint_with_an_id_counts(serve_api: ServeApi) -> None:
    """An id occurs once in the index."""
    (complaint,) = generate_complaints(1)

    api = serve_api([complaint, {**complaint, "state": "GU"}])

    assert [hit["_source"]["state"] for hit in api.search()["hits"]] == ["GU"]


def test_empty_index_gets_500(serve_api: ServeApi) -> None:
    """The real server cannot compute the newest date."""
    response = serve_api([]).get()

    assert response.status_code == 500
    assert response.json() == {"error": "There was a problem retrieving your request"}
