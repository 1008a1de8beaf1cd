"""The search API as a source: requests, updates, the rate limit, and the record of a load."""

from __future__ import annotations

import json
import pickle
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl import __version__
from cfpb_etl.emulator import Emulator, RawComplaint, generate_complaints, serve
from cfpb_etl.fetch.errors import AddressRefusedError, NothingToUpdateError
from cfpb_etl.fetch.http import errors
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.fetch.pages import Page
from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi
from cfpb_etl.model.age import Age
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import Watermark
from cfpb_etl.parse.dispatch import parse_part
from support import faults
from support.faults import Delayed, Faulty
from support.paging import COMPLAINTS, NEWEST_DAY, day_of, fetch_all, fetch_pages, ids_of

if TYPE_CHECKING:
    from cfpb_etl.model.part import RawPart


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator of 2,500 complaints."""
    return Emulator(COMPLAINTS)


# --- requests and pages ----------------------------------------------------------------------


def test_the_parameters_of_a_request(emulator: Emulator) -> None:
    """A request has the filters, no aggregations, no highlight, and an honest User-Agent."""
    query = Query(since="2024-01-01", state=("CA", "TX"), product=("Mortgage•FHA mortgage",))
    fetch_pages(emulator, query=query, limit=10)

    (request,) = emulator.requests
    assert request.parameters == (
        ("date_received_min", "2024-01-01"),
        ("state", "CA"),
        ("state", "TX"),
        ("product", "Mortgage•FHA mortgage"),
        ("size", "10"),
        ("sort", "created_date_desc"),
        ("no_aggs", "true"),
        ("no_highlight", "true"),
    )
    assert request.headers["user-agent"].startswith(f"cfpb-etl/{__version__} ")


@pytest.mark.parametrize("page_size", [777, 500, 2_500, 10_000])
def test_every_complaint_is_fetched_once(emulator: Emulator, page_size: int) -> None:
    """Without a limit all are fetched, the oldest first, with any page size."""
    fetched = ids_of(fetch_pages(emulator, page_size=page_size))

    assert sorted(fetched) == sorted(int(c["complaint_id"]) for c in COMPLAINTS)
    assert dict(emulator.requests[0].parameters)["sort"] == "created_date_asc"


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [
        (1, [1]),
        (777, [777]),
        (1_000, [777, 223]),
        (1_554, [777, 777]),
        (2_000, [777, 777, 446]),
        (9_999, [777] * 4),
    ],
)
def test_a_limit_fetches_the_newest(emulator: Emulator, limit: int, sizes: list[int]) -> None:
    """With a limit the newest are fetched, and no more than that are requested."""
    fetched = ids_of(fetch_pages(emulator, limit=limit, page_size=777))

    everything = ids_of(fetch_pages(Emulator(COMPLAINTS)))
    assert fetched == everything[::-1][:limit]
    requested = [int(dict(request.parameters)["size"]) for request in emulator.requests]
    assert requested == sizes


def test_filters_limit_what_is_fetched(emulator: Emulator) -> None:
    """Only complaints that match are fetched."""
    query = Query(state=("CA",), since="2024-01-01", until="2024-06-30")
    expected = {
        int(complaint["complaint_id"])
        for complaint in COMPLAINTS
        if complaint["state"] == "CA"
        and "2024-01-01" <= str(complaint["date_received"])[:10] <= "2024-06-30"
    }

    assert len(expected) > 5
    assert set(ids_of(fetch_pages(emulator, query=query, page_size=10))) == expected


def test_a_query_without_matches_is_an_empty_page(emulator: Emulator) -> None:
    """No match is not an error."""
    (page,) = fetch_pages(emulator, query=Query(until="2011-01-01"))

    assert (page.rows, page.info.matching, page.info.expected) == (0, 0, 0)
    assert tuple(page.next_parts) == ()
    assert page.info.age == Age.on(NEWEST_DAY, "_meta.last_updated")


def test_the_info_of_a_page(emulator: Emulator) -> None:
    """A page has its name, its counts, the age of the data and its columns."""
    first, *_ = fetch_pages(emulator, page_size=1_000)

    assert str(first) == first.info.name == "until 2024-11-05, page 1, 1,000 complaints"
    assert (first.rows, first.info.matching, first.info.expected) == (1_000, 2_500, 2_500)
    assert first.info.days == (None, NEWEST_DAY)
    assert first.info.part == Page(1_000, until=NEWEST_DAY)
    parsed = parse_part(first)
    assert "complaint_what_happened" in parsed.columns
    assert "consumer_disputed" not in parsed.columns
    assert parsed.unknown_columns == set()


def test_the_progress_of_paging(emulator: Emulator) -> None:
    """The next page has the number of complaints before it, and of those that are left."""
    places = [
        (page.number, page.before_it, page.left)
        for raw in fetch_pages(emulator, page_size=500)
        for page in raw.next_parts
        if isinstance(page, Page)
    ]

    # The sixth is empty: only that shows that the full page before it was the last.
    assert places == [(n + 1, 500 * n, 2_500 - 500 * n) for n in range(1, 6)]


def test_a_limit_is_what_is_expected(emulator: Emulator) -> None:
    """A query with a limit expects no more than that, and no more than match."""
    some, _ = fetch_pages(emulator, limit=1_200, page_size=1_000)
    everything, *_ = fetch_pages(emulator, limit=9_999, page_size=1_000)

    assert str(some) == "page 1, 1,000 complaints"
    assert (some.info.matching, some.info.expected) == (2_500, 1_200)
    assert everything.info.expected == 2_500


def test_the_seconds_of_a_page(emulator: Emulator) -> None:
    """They are those of the server, without the wait for the rate limit."""
    with serve(Delayed(emulator, 0.05)) as url:
        source = SearchApi(url=url, limit=10, rate_limit=None)
        assert source.fetch(source.parts()[0]).info.seconds >= 0.05
    with serve(emulator) as url:
        source = SearchApi(url=url, limit=10, rate_limit=None)
        began = time.monotonic()
        source.rate_limiter.pause(0.5)
        seconds = source.fetch(source.parts()[0]).info.seconds
        assert time.monotonic() - began - seconds >= 0.5


def test_sources_and_parts_can_be_pickled(emulator: Emulator) -> None:
    """They survive the transfer to another process."""
    source = SearchApi(Query(state=("CA",)), 10)
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - our own

    first, *_ = fetch_pages(emulator, page_size=1_000)
    copy: RawPart = pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    assert ids_of([copy]) == ids_of([first])


# --- updates --------------------------------------------------------------------------------

FILTERS = Query(
    since="2024-01-01",
    state=("CA", "TX"),
    product=("Mortgage•FHA mortgage",),
    issue=("Fraud or scam",),
    company=("EQUIFAX, INC.",),
    search="late fees",
)


def watermark(query: Query, until: str | None = NEWEST_DAY) -> Watermark:
    """Return the watermark of load 7 with this query."""
    return Watermark(Path("c.db"), 7, SearchApi(query).query_json(), until)


def test_an_update_repeats_the_query_for_the_newest_days() -> None:
    """It has the same filters, and starts `lookback` days before the newest stored day."""
    source = SearchApi(url="http://127.0.0.1/", lookback=60, page_size=77, rate_limit=None)

    update = source.resume_from(watermark(FILTERS))

    query = replace(FILTERS, since="2024-09-06")
    assert update == replace(source, query=query, lookback=None, updates_load_id=7)
    assert [*update.parts()] == [Page(77, "2024-09-06")]


@pytest.mark.parametrize(
    ("query", "until", "lookback", "days"),
    [
        (Query(), NEWEST_DAY, 60, ("2024-09-06", None)),
        (Query(), NEWEST_DAY, 1, ("2024-11-04", None)),
        (Query(), "2024-03-01", 1, ("2024-02-29", None)),
        (Query(since="2024-11-01"), NEWEST_DAY, 60, ("2024-11-01", None)),
        (Query(since="2024-09-06"), NEWEST_DAY, 60, ("2024-09-06", None)),
        (Query(since="2011-12-01"), NEWEST_DAY, 36_500, ("2011-12-01", None)),
        (Query(until="2024-06-30"), "2024-06-30", 10, ("2024-06-20", "2024-06-30")),
        (Query(until="2025-06-30"), NEWEST_DAY, 10, ("2024-10-26", "2025-06-30")),
        (Query("2024-06-30", "2024-06-30"), "2024-06-30", 9, ("2024-06-30", "2024-06-30")),
    ],
)
def test_an_update_stays_within_the_query(
    query: Query, until: str, lookback: int, days: tuple[str, str | None]
) -> None:
    """It starts no earlier than the query of the load, and has its last day."""
    query = SearchApi(lookback=lookback).resume_from(watermark(query, until)).query

    assert (query.since, query.until) == days


def test_the_parameters_of_an_update(emulator: Emulator) -> None:
    """The request has the days of the update and the filters of the load."""
    with serve(emulator) as url:
        source = SearchApi(url=url, lookback=60, rate_limit=None)
        pages = [*fetch_all(source.resume_from(watermark(Query(state=("CA", "TX")))))]

    assert emulator.requests[0].parameters[:3] == (
        ("date_received_min", "2024-09-06"),
        ("state", "CA"),
        ("state", "TX"),
    )
    expected = {
        int(complaint["complaint_id"])
        for complaint in COMPLAINTS
        if complaint["state"] in {"CA", "TX"} and day_of(complaint) >= "2024-09-06"
    }
    assert len(expected) > 5
    assert set(ids_of(pages)) == expected


@pytest.mark.parametrize("reached", [Watermark(Path("c.db")), watermark(Query(), None)])
def test_an_update_needs_a_complete_load(reached: Watermark) -> None:
    """Without a complete load that covers a day, it is an error."""
    with pytest.raises(NothingToUpdateError, match="no complete load"):
        SearchApi(lookback=60).resume_from(reached)


@pytest.mark.parametrize("reached", [Watermark(Path("c.db")), watermark(FILTERS)])
def test_other_sources_ignore_the_watermark(reached: Watermark) -> None:
    """Without a lookback the query stays the same."""
    source = SearchApi(Query(state=("CA",)), page_size=77)

    assert source.resume_from(reached) == source
    assert source.updates_load_id is None


@pytest.mark.parametrize(
    ("options", "proves"),
    [
        ({}, True),
        ({"query": Query("2024-01-01", "2024-06-30")}, True),
        ({"query": Query(state=("CA",))}, False),
        ({"query": Query("2024-01-01", search="fee")}, False),
        ({"limit": 5}, False),
        ({"query": Query("2024-01-01"), "limit": 5}, False),
    ],
)
def test_absence_is_proved_by_all_complaints_of_some_days(
    emulator: Emulator, options: dict[str, Any], *, proves: bool
) -> None:
    """With another filter or a limit, a complaint that is not fetched may still exist."""
    (page, *_) = fetch_pages(emulator, **options)

    assert SearchApi(**options).proves_absence is page.info.proves_absence is proves


# --- the rate limit and the page size -------------------------------------------------------


def test_the_rate_limit_is_kept() -> None:
    """A client within the rate limit never gets 429."""
    emulator = Emulator(COMPLAINTS, throttle=4, window_seconds=0.3)
    fetch_pages(emulator, page_size=250, rate_limit=RateLimit(4, 0.3))

    assert len(emulator.requests) == 11
    assert {request.status for request in emulator.requests} == {200}


def test_retry_after_is_kept() -> None:
    """After a 429 no request is made before the server's time."""
    emulator = Emulator(COMPLAINTS, throttle=1, window_seconds=0.8)
    with serve(emulator) as url:
        source = SearchApi(limit=10, url=url, rate_limit=None)
        first = source.parts()[0]
        source.fetch(first)
        with pytest.raises(errors.ThrottledError) as refused:
            source.fetch(first)
        source.fetch(first)

    assert refused.value.retry_after == 1
    assert [request.status for request in emulator.requests] == [200, 429, 200]
    assert emulator.requests[2].at - emulator.requests[1].at >= 1


@pytest.mark.parametrize("complaints", [COMPLAINTS, generate_complaints(500)])
def test_search_words_are_found_in_all_fields(complaints: list[RawComplaint]) -> None:
    """Companies and products are searched too, also in the release without narratives."""
    expected = sum("EQUIFAX" in complaint["company"] for complaint in complaints)

    found = fetch_pages(Emulator(complaints), query=Query(search="equifax"))

    assert sum(page.info.rows or 0 for page in found) >= expected > 0


def test_a_first_page_may_be_too_large(emulator: Emulator) -> None:
    """After a 424 on a first page of 10,000 the pages have 1,000."""
    faulty = Faulty(emulator, otherwise=faults.too_large(1_000))
    assert len(ids_of(fetch_pages(faulty))) == 2_500

    sizes = [dict(parameters)["size"] for parameters in faulty.requests]
    assert sizes == ["10000", "1000", "1000", "1000"]


def test_a_424_on_a_later_page(emulator: Emulator) -> None:
    """It is not about the page size, but an error."""
    faulty = Faulty(emulator, {2: faults.backend_trouble()})
    with pytest.raises(errors.SearchBackendError):
        fetch_pages(faulty, page_size=1_001)

    assert len(faulty.requests) == 2


# --- the record of a load -------------------------------------------------------------------


def test_the_query_as_json() -> None:
    """It has only the filters that are set, and the limit."""
    assert SearchApi(Query(state=("CA",), search="fee"), 5).query_json() == (
        '{"state": ["CA"], "search": "fee", "limit": 5}'
    )
    assert SearchApi().query_json() == "{}"


def test_the_query_of_an_update_as_json() -> None:
    """It has the days of the update, which a resumed update repeats."""
    text = SearchApi(lookback=60).resume_from(watermark(FILTERS)).query_json()

    query = replace(FILTERS, since="2024-09-06")
    assert Query.from_dict(json.loads(text)) == query


def test_the_address_of_the_sample() -> None:
    """The sample has another port each time, so the record has a name."""
    url = "http://127.0.0.1:54321/"

    assert SearchApi().address == SEARCH_URL
    assert SearchApi(url=url).address == url
    assert SearchApi(url=url, kind="sample").address == "local emulator"


def test_a_server_has_one_rate_limiter() -> None:
    """All queries of the same host and port share it."""
    one = SearchApi(url="http://127.0.0.1:1/a/")

    other = SearchApi(Query(state=("CA",)), url="http://127.0.0.1:1/b/")
    assert one.rate_limiter is other.rate_limiter
    assert one.rate_limiter is not SearchApi(url="http://127.0.0.1:2/a/").rate_limiter
    assert one.rate_limiter.rate_limit == one.rate_limit


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x/",
        "http://",
        "http://[::1/",
        "http://x:port/",
        "x",
        "http://me:secret@x/",
        "http://*/",
    ],
)
def test_an_address_must_be_valid(url: str) -> None:
    """It is checked before any request."""
    with pytest.raises(AddressRefusedError, match="url must"):
        SearchApi(url=url)


def test_the_use_of_the_rate_limit(emulator: Emulator) -> None:
    """It is shown in words; a server without a limit has none."""
    with serve(emulator) as url:
        source = SearchApi(url=url, limit=10, rate_limit=RateLimit(20, 60))
        source.fetch(source.parts()[0])

    assert source.rate_limit_use() == "1 of 20 searches in 60 s"
    assert SearchApi(rate_limit=None).rate_limit_use() == ""


@pytest.mark.parametrize(
    ("source", "is_partial", "is_update"),
    [
        (SearchApi(), False, False),
        (SearchApi(limit=1_000), True, False),
        (SearchApi(Query(since="2024-01-01")), True, False),
        (SearchApi(Query(state=("CA",))), True, False),
        (SearchApi(lookback=60), False, True),
        (SearchApi(updates_load_id=7), False, True),
    ],
)
def test_what_a_source_says_of_itself(
    source: SearchApi, *, is_partial: bool, is_update: bool
) -> None:
    """It is partial with a filter or a limit, and an update before and after it is resolved."""
    assert (source.is_partial, source.is_update) == (is_partial, is_update)
    assert source.part_noun == "page"


@pytest.mark.parametrize(
    ("total", "expected"),
    [(18_239_728, 18_239_728), (None, None), ("7", None), (True, None), (-1, None), (2**63, None)],
)
def test_the_total_of_the_source(emulator: Emulator, total: object, expected: int | None) -> None:
    """A total that is absent or odd is None, and not an error."""
    meta: dict[str, object] = {"last_indexed": "2024-11-06", "last_updated": "2024-11-05"}
    if total is not None:
        meta |= {"total_record_count": total}
    body = {"hits": {"total": {"value": 0}, "hits": []}, "_meta": meta}

    (page,) = fetch_pages(Faulty(emulator, otherwise=faults.wrong_shape(body)))

    assert page.info.source_total == expected
