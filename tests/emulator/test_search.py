"""The walks and filters of CCDB_API.md sections 3 and 4, asked over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from cfpb_etl.emulator import Source, made_complaints

from .conftest import Api, Serve


@pytest.fixture(params=["deployed", "of_2024"])
def api(request: pytest.FixtureRequest) -> Api:
    """Return the emulator of either era."""
    api: Api = request.getfixturevalue(request.param)
    return api


def epoch_ms(source: Source) -> int:
    """Return when a complaint was received, as a sort value."""
    return int(datetime.fromisoformat(source["date_received"]).timestamp() * 1000)


def by_date(source: Source) -> tuple[int, str]:
    """Return what the API sorts by: the date, then the id as a string."""
    return epoch_ms(source), source["complaint_id"]


def ids(hits: list[Any]) -> list[str]:
    """Return the ids of hits, in their order."""
    return [hit["_id"] for hit in hits]


@pytest.mark.parametrize("size", [777, 1000, 4000])
def test_a_walk_by_date_meets_every_complaint_once_in_order(api: Api, size: int) -> None:
    """A cursor of the last hit leads on, through ties, with no gap and no repeat."""
    expected = [source["complaint_id"] for source in sorted(api.complaints, key=by_date)]

    upwards = api.walk(sort="created_date_asc", size=size, no_aggs="true")
    downwards = api.walk(sort="created_date_desc", size=size, no_aggs="true")

    assert ids(upwards) == expected
    assert ids(downwards) == expected[::-1]
    assert [hit["sort"] for hit in upwards] == [list(by_date(hit["_source"])) for hit in upwards]


def test_a_walk_by_relevance_goes_by_the_ids_as_strings(api: Api) -> None:
    """All scores are equal, so the tie-break shows."""
    expected = sorted(source["complaint_id"] for source in api.complaints)

    assert ids(api.walk(sort="relevance_asc", size=777)) == expected
    assert ids(api.walk(sort="relevance_desc", size=777)) == expected[::-1]
    assert expected != sorted(expected, key=int)


def test_a_tie_larger_than_a_page_is_walked_by_its_ids(served: Serve) -> None:
    """In 2024 every complaint of a day had one sort value; strings order 999803 above 10000282."""
    day = [
        {**complaint, "complaint_id": number, "date_received": "2024-11-05T12:00:00-05:00"}
        for number, complaint in zip(
            ["999803", "9997920", "28329883", "10000282", "10000283"],
            made_complaints(5, era="2024"),
            strict=True,
        )
    ]
    api = served(day)

    hits = api.walk(sort="created_date_desc", size=2)

    assert ids(hits) == ["999803", "9997920", "28329883", "10000283", "10000282"]
    assert {hit["sort"][0] for hit in hits} == {1730826000000}


def test_the_total_with_a_cursor_is_the_full_one(deployed: Api) -> None:
    """It is not what remains."""
    newest = deployed.found(sort="created_date_desc", size=1)["hits"][0]
    cursor = "_".join(map(str, newest["sort"]))

    found = deployed.found(sort="created_date_desc", size=1, search_after=cursor)

    assert found["total"] == {"value": 4000, "relation": "eq"}


@pytest.mark.parametrize("nothing", [{"frm": 50}, {"page": 3}, {"from": 10}, {"offset": 10}])
def test_only_the_cursor_pages(deployed: Api, nothing: dict[str, int]) -> None:
    """`frm` and `page` are checked and do nothing, the others are unknown."""
    first = deployed.found(sort="created_date_desc", size=25)

    assert deployed.found(sort="created_date_desc", size=25, **nothing) == first


@pytest.mark.parametrize(
    "cursor",
    ["1791409173000", "1_2_3", "a_b", "_5", "-5_1", "1791409173000.0_x", "1.0_999803"],
)
def test_a_cursor_that_cannot_be_read_is_backend_trouble(deployed: Api, cursor: str) -> None:
    """It is told from an outage by nothing: 424 and the same 49 bytes."""
    response = deployed.get(sort="created_date_desc", search_after=cursor)

    assert (response.status_code, response.content) == (
        424,
        b'{"error":"There was an error calling OpenSearch"}',
    )
    assert len(response.content) == 49


@pytest.mark.parametrize("cursor", ["x_1", "nonsense", "-1.0_5"])
def test_so_is_one_that_is_no_score(deployed: Api, cursor: str) -> None:
    """Relevance cursors begin with a score."""
    assert deployed.get(search_after=cursor).status_code == 424


def test_a_cursor_without_its_id_skips_the_rest_of_the_tie(of_2024: Api) -> None:
    """Downwards, that is; it is a 200."""
    newest = of_2024.found(sort="created_date_desc", size=1)["hits"][0]
    milliseconds = newest["sort"][0]

    after = of_2024.found(sort="created_date_desc", search_after=f"{milliseconds}_")["hits"]

    assert of_2024.found(date_received_min="2024-11-05")["total"]["value"] > 1
    assert all(hit["sort"][0] < milliseconds for hit in after)


def test_past_the_end_there_is_nothing(deployed: Api) -> None:
    """A walk ends with an empty page, which is a 200."""
    assert deployed.found(sort="created_date_desc", search_after="1_1")["hits"] == []


def test_a_date_cursor_without_its_sort_is_page_one_for_ever(deployed: Api) -> None:
    """The default sort reads the date as a score above all; upwards nothing is above it."""
    cursor = "1791409173000_17800720"

    assert deployed.found(search_after=cursor) == deployed.found()
    assert deployed.found(sort="relevance_asc", search_after=cursor)["hits"] == []


def test_no_rows_and_a_cursor_is_backend_trouble(deployed: Api) -> None:
    """size=0 alone is well."""
    trouble = deployed.get(size=0, sort="created_date_desc", search_after="1791409173000_1")

    assert trouble.status_code == 424
    assert deployed.found(size=0) == {
        "total": {"value": 4000, "relation": "eq"},
        "max_score": None,
        "hits": [],
    }


def test_the_window_is_ten_thousand_rows(deployed: Api) -> None:
    """More passes validation up to 100,000 and then is a 424."""
    assert deployed.get(size=10_000).status_code == 200
    assert deployed.get(size=10_001).status_code == 424
    assert deployed.get(size=100_000).status_code == 424


def test_a_hit_has_the_keys_of_its_time(deployed: Api, of_2024: Api) -> None:
    """A score only by relevance, `_type` only in 2024."""
    by_relevance = deployed.found(size=1)["hits"][0]
    newest = of_2024.found(sort="created_date_desc", size=1)["hits"][0]

    assert list(by_relevance) == ["_index", "_id", "_score", "_source", "sort"]
    assert by_relevance["sort"] == [by_relevance["_score"], by_relevance["_id"]] != [None]
    assert list(newest) == ["_index", "_type", "_id", "_score", "_source", "sort"]
    assert (newest["_index"], newest["_score"]) == ("complaint-public-v1", None)


def test_days_are_whole_utc_days_and_both_ends_belong(deployed: Api) -> None:
    """The documentation of the API says that the end does not; it does."""
    days = [source["date_received"][:10] for source in deployed.complaints]
    expected = sum("2026-09-01" <= day <= "2026-09-30" for day in days)

    assert (
        deployed.total(date_received_min="2026-09-01", date_received_max="2026-09-30") == expected
    )
    assert deployed.total(date_received_max="2026-09-30") == sum(
        day <= "2026-09-30" for day in days
    )
    assert deployed.total(date_received_min="2026-09-30", date_received_max="2026-09-01") == 0


def test_the_last_second_of_a_day_belongs_to_it(served: Serve) -> None:
    """The upper bound covers 23:59:59.999Z."""
    late, midnight = made_complaints(2)
    late["date_received"] = "2026-10-05T23:59:59.999Z"
    midnight["date_received"] = "2026-10-06T00:00:00.000Z"
    api = served([late, midnight])

    hits = api.found(date_received_min="2026-10-05", date_received_max="2026-10-05")["hits"]

    assert ids(hits) == [late["complaint_id"]]


def test_complaints_are_found_by_the_day_they_were_sent_on(deployed: Api) -> None:
    """The parameters are called company_received_*."""
    days = [source["date_sent_to_company"][:10] for source in deployed.complaints]

    assert deployed.total(company_received_min="2026-09-01") == sum(
        day >= "2026-09-01" for day in days
    )
    assert deployed.total(company_received_max="2026-09-01") == sum(
        day <= "2026-09-01" for day in days
    )


def mortgage(source: Source) -> bool:
    """Tell whether it is about a mortgage."""
    return bool(source["product"] == "Mortgage")


def fha(source: Source) -> bool:
    """Tell whether it is about an FHA mortgage."""
    return mortgage(source) and bool(source["sub_product"] == "FHA mortgage")


FILTERS: list[tuple[str, Callable[[Source], bool]]] = [
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
def test_a_filter_finds_what_matches(
    deployed: Api, query: str, matches: Callable[[Source], bool]
) -> None:
    """OR within a key, AND between keys, exact; what is not known is silently ignored."""
    assert deployed.total(query) == sum(map(bool, map(matches, deployed.complaints)))


def test_a_zip_code_is_found_as_it_is_written(deployed: Api) -> None:
    """Masked ones too."""
    masked = next(s["zip_code"] for s in deployed.complaints if (s["zip_code"] or "")[3:] == "XX")

    assert deployed.total(zip_code=masked) == sum(
        source["zip_code"] == masked for source in deployed.complaints
    )


def test_a_filtered_walk_is_complete(api: Api) -> None:
    """Filters and cursor go together."""
    expected = {s["complaint_id"] for s in api.complaints if s["state"] == "FL"}

    hits = api.walk(state="FL", sort="created_date_asc", size=77)

    assert set(ids(hits)) == expected
    assert len(hits) == len(expected)


def test_many_different_filters_are_answered(served: Serve) -> None:
    """What is kept for the next page of a walk is not kept without end."""
    api = served(made_complaints(20))

    for day in range(1, 21):
        assert api.total(date_received_min=f"2020-01-{day:02}") == 20


def test_all_words_of_a_plain_term_must_occur(deployed: Api) -> None:
    """Case does not matter, nor in which field they stand."""
    expected = sum(
        "EQUIFAX" in (said := " ".join(filter(None, source.values())).upper()) and "PHONE" in said
        for source in deployed.complaints
    )

    assert deployed.total(search_term="equifax PHONE") == expected > 0


def test_a_term_with_other_signs_or_an_operator_finds_any_of_its_words(deployed: Api) -> None:
    """Lucene's default is OR, and an upper-case TO inside a word is enough to be its query."""
    equifax = sum(source["company"] == "EQUIFAX, INC." for source in deployed.complaints)

    assert deployed.total(search_term="equifax-nonsense") == equifax
    assert deployed.total(search_term="equifax NOnsenseTO") == equifax
    assert deployed.total(search_term="equifax nonsense") == 0


@pytest.mark.parametrize("term", ['"equifax', "(equifax", "equifax)"])
def test_an_unbalanced_term_is_backend_trouble(deployed: Api, term: str) -> None:
    """It is our own bad query, and looks like an outage."""
    assert deployed.get(search_term=term).status_code == 424


def test_a_term_is_looked_for_in_its_field(of_2024: Api) -> None:
    """In 2024 that is the narrative unless said otherwise."""
    told = sum("certified" in s["complaint_what_happened"] for s in of_2024.complaints)
    equifax = sum("EQUIFAX" in s["company"] for s in of_2024.complaints)

    assert of_2024.total(search_term="certified") == told > 0
    assert of_2024.total(search_term="certified", field="company") == 0
    assert of_2024.total(search_term="equifax", field="company") == equifax
    assert of_2024.total(search_term="equifax", field="all") >= equifax


def test_complaints_with_narratives_are_found_in_2024(of_2024: Api, deployed: Api) -> None:
    """The deployed release does not know the filter and ignores it."""
    told = sum(bool(source["complaint_what_happened"]) for source in of_2024.complaints)

    assert of_2024.total(has_narrative="true") == told
    assert of_2024.total("has_narrative=true&has_narrative=false") == 4000
    assert of_2024.get(has_narrative="yes").status_code == 424
    assert deployed.total(has_narrative="true") == 4000


def test_rows_come_change_and_go_between_two_requests(served: Serve) -> None:
    """As they do while a client walks."""
    complaints = made_complaints(10)
    api = served(complaints)
    later = {**complaints[-1], "complaint_id": "99999999"}
    changed = {**complaints[0], "state": "GU", "date_received": "2026-10-07T23:59:59.000Z"}

    assert api.total(state="GU") == 0
    api.emulator.put(later)
    api.emulator.put(changed)
    api.emulator.withdraw(complaints[1]["complaint_id"])
    hits = api.walk(sort="created_date_asc", size=3)

    assert len(hits) == 10
    assert hits[-1]["_source"] == changed
    assert later["complaint_id"] in ids(hits)
    assert complaints[1]["complaint_id"] not in ids(hits)
    assert api.total(state="GU") == 1


def test_an_id_given_twice_is_one_complaint(served: Serve) -> None:
    """The later copy is the one."""
    (complaint,) = made_complaints(1)

    api = served([complaint, {**complaint, "state": "GU"}])

    assert [hit["_source"]["state"] for hit in api.found()["hits"]] == ["GU"]


def test_an_empty_index_is_a_failure(served: Serve) -> None:
    """The real server cannot take the newest of no dates."""
    response = served([]).get()

    assert response.status_code == 500
    assert response.json() == {"error": "There was a problem retrieving your request"}
