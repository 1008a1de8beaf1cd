"""Tests of the client, over real HTTP against the emulator and its faults."""

from __future__ import annotations

import json
import pickle
import socketserver
import threading
import time
from collections import deque
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import RedirectResponse, Response

from cfpb_etl import __version__
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.fetch import errors
from cfpb_etl.fetch.http import client
from cfpb_etl.fetch.http import errors as server_errors
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.fetch.pages import Page
from cfpb_etl.fetch.search_api import MAX_CONCURRENCY, SEARCH_URL, SearchApi
from cfpb_etl.model import errors as model_errors
from cfpb_etl.model.part import Age, PartInfo, RawPart
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import Watermark
from cfpb_etl.parse import errors as parse_errors
from cfpb_etl.parse.dispatch import parse_part
from support import faults
from support.faults import Delayed, Faulty
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from cfpb_etl.emulator import Era, RawComplaint

COMPLAINTS = generate_complaints(2_500, era="2024")
NEWEST_DAY = "2024-11-05"


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator of 2,500 complaints."""
    return Emulator(COMPLAINTS)


def walked(source: SearchApi) -> Iterator[RawPart]:
    """Fetch page after page, window after window, as the flow does where one lane is enough."""
    waiting = deque[Any](source.parts())
    while waiting:
        raw = source.fetch(waiting.popleft())
        raw.next_parts = source.split(raw, len(waiting))
        waiting.extendleft(reversed(raw.next_parts))
        yield raw


def walk(app: ASGIApp, **asked: Any) -> list[RawPart]:
    """Walk all pages of what is asked of an application."""
    with serve(app) as url:
        return list(walked(SearchApi(**{"url": url, "rate_limit": None, **asked})))


def ids(pages: list[RawPart]) -> list[int]:
    """Return the ids on pages, in their order."""
    return [
        complaint.complaint_id
        for raw in pages
        for batch in parse_part(raw).take_batches()
        for complaint in batch.complaints
    ]


# --- what is asked --------------------------------------------------------------------------


def test_a_request_asks_for_what_the_contract_wants(emulator: Emulator) -> None:
    """A request carries the filters, no aggregations and no highlight, and an honest name."""
    query = Query(since="2024-01-01", state=("CA", "TX"), product=("Mortgage•FHA mortgage",))
    walk(emulator, query=query, limit=10)

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
def test_a_walk_meets_every_complaint_once(emulator: Emulator, page_size: int) -> None:
    """Without a limit a walk meets every complaint once, oldest first, whatever the page size."""
    met = ids(walk(emulator, page_size=page_size))

    assert sorted(met) == sorted(int(c["complaint_id"]) for c in COMPLAINTS)
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
def test_a_limit_takes_the_newest(emulator: Emulator, limit: int, sizes: list[int]) -> None:
    """A limit takes so many of the newest, and never asks for more."""
    met = ids(walk(emulator, limit=limit, page_size=777))

    everything = ids(walk(Emulator(COMPLAINTS)))
    assert met == everything[::-1][:limit]
    asked = [int(dict(request.parameters)["size"]) for request in emulator.requests]
    assert asked == sizes


def test_filters_narrow_the_walk(emulator: Emulator) -> None:
    """What comes is what the filters say."""
    query = Query(state=("CA",), since="2024-01-01", until="2024-06-30")
    expected = {
        int(complaint["complaint_id"])
        for complaint in COMPLAINTS
        if complaint["state"] == "CA"
        and "2024-01-01" <= str(complaint["date_received"])[:10] <= "2024-06-30"
    }

    assert len(expected) > 5
    assert set(ids(walk(emulator, query=query, page_size=10))) == expected


def test_a_query_that_matches_nothing_is_an_empty_page(emulator: Emulator) -> None:
    """Nothing that matches is no error."""
    (page,) = walk(emulator, query=Query(until="2011-01-01"))

    assert (page.rows, page.info.matching, page.info.expected) == (0, 0, 0)
    assert tuple(page.next_parts) == ()
    assert page.info.age == Age("2024-11-06", "_meta.last_indexed", NEWEST_DAY)


def test_a_page_says_what_it_is(emulator: Emulator) -> None:
    """A page carries its name, its counts, the data's day and its columns."""
    first, *_ = walk(emulator, page_size=1_000)

    assert str(first) == first.info.name == "…2024-11-05, page 1, 1,000 complaints"
    assert (first.rows, first.info.matching, first.info.expected) == (1_000, 2_500, 2_500)
    assert first.info.days == (None, NEWEST_DAY)
    assert first.info.part == Page(1_000, until=NEWEST_DAY)
    parsed = parse_part(first)
    assert "complaint_what_happened" in parsed.columns
    assert "consumer_disputed" not in parsed.columns
    assert parsed.unknown_columns == set()


def test_a_page_says_how_far_it_is(emulator: Emulator) -> None:
    """What follows a page knows how many came before it, and how many are still to come."""
    places = [
        (page.number, page.before_it, page.left)
        for raw in walk(emulator, page_size=500)
        for page in raw.next_parts
        if isinstance(page, Page)
    ]

    # The sixth is empty: that a full page was the last one shows only there.
    assert places == [(n + 1, 500 * n, 2_500 - 500 * n) for n in range(1, 6)]


def test_of_a_limited_query_so_many_are_expected(emulator: Emulator) -> None:
    """What is wanted of a query with a limit is no more than that, or than there is."""
    some, _ = walk(emulator, limit=1_200, page_size=1_000)
    everything, *_ = walk(emulator, limit=9_999, page_size=1_000)

    assert str(some) == "page 1, 1,000 complaints"
    assert (some.info.matching, some.info.expected) == (2_500, 1_200)
    assert everything.info.expected == 2_500


def test_a_page_says_how_long_the_server_took(emulator: Emulator) -> None:
    """The seconds of a page are those of the server, without those that the pace held it back."""
    with serve(Delayed(emulator, 0.05)) as url:
        source = SearchApi(url=url, limit=10, rate_limit=None)
        assert source.fetch(source.parts()[0]).info.seconds >= 0.05
    with serve(emulator) as url:
        source = SearchApi(url=url, limit=10, rate_limit=None)
        began = time.monotonic()
        source.rate_limiter.pause(0.5)
        seconds = source.fetch(source.parts()[0]).info.seconds
        assert time.monotonic() - began - seconds >= 0.5


def test_what_travels_is_picklable(emulator: Emulator) -> None:
    """Source, part and what came survive a trip to another process."""
    source = SearchApi(Query(state=("CA",)), 10)
    assert pickle.loads(pickle.dumps(source)) == source  # noqa: S301 - our own

    first, *_ = walk(emulator, page_size=1_000)
    copy: RawPart = pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    assert ids([copy]) == ids([first])


# --- windows --------------------------------------------------------------------------------

FAST = RateLimit(requests=1_000, seconds=1)
"""An rate_limit that no test uses up, so that only the seconds of an answer decide."""


def day_of(complaint: RawComplaint) -> str:
    """Return the day on which a complaint was received."""
    return str(complaint["date_received"])[:10]


@pytest.fixture(scope="module", params=["2024", "deployed"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[list[RawComplaint], str]]:
    """Serve 2,500 complaints of an era to all examples of a test, and say where."""
    era: Era = request.param
    complaints = generate_complaints(2_500, era=era)
    with serve(Emulator(complaints)) as url:
        yield complaints, url


@given(
    data=st.data(),
    page_size=st.integers(60, 700),
    query=st.sampled_from([Query(), Query(since="2024-06-01"), Query(until="2024-08-31")]),
)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=soak(12),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_windows_meet_every_complaint_once(
    served: tuple[list[RawComplaint], str], data: st.DataObject, page_size: int, query: Query
) -> None:
    """However a walk is divided, and in whatever order its windows go on, all come, and once."""
    complaints, url = served
    days = (query.since or "", query.until or "9999")
    wanted = [int(c["complaint_id"]) for c in complaints if days[0] <= day_of(c) <= days[1]]
    source = SearchApi(query, url=url, page_size=page_size, rate_limit=FAST)

    met: list[int] = []
    last: dict[str, PartInfo] = {}
    waiting: list[Any] = [*source.parts()]
    while waiting:
        raw = source.fetch(waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
        seconds = data.draw(st.sampled_from([0, 0.001, 0.002, 0.003, 1]))
        raw.info = replace(raw.info, seconds=seconds)
        waiting += source.split(raw, len(waiting))
        assert len(waiting) <= MAX_CONCURRENCY
        last[raw.info.part.key] = raw.info
        met += ids([raw])

    assert sorted(met) == sorted(wanted)
    assert sum(info.matching or 0 for info in last.values()) == len(wanted)
    windows = sorted((info.days[0] or "", info.days[1] or "") for info in last.values())
    assert all(end < begin for (_, end), (begin, _) in pairwise(windows))
    newest = max(map(day_of, complaints))
    assert (windows[0][0], windows[-1][1]) == (days[0], min(days[1], newest))


def test_a_day_of_one_timestamp_is_walked_whole() -> None:
    """A day that no window can divide, all of it at one noon, is walked by its ids, page by page.

    The ids pass from 7 to 8 digits within it, and are ordered as text.
    """
    noon = {**COMPLAINTS[-1], "date_received": f"{NEWEST_DAY}T12:00:00-05:00"}
    that_day = [{**noon, "complaint_id": str(9_990_000 + 7 * n)} for n in range(4_000)]
    before = [complaint for complaint in COMPLAINTS if day_of(complaint) < NEWEST_DAY][-300:]
    emulator = Emulator([*before, *that_day])

    with serve(emulator) as url:
        source = SearchApi(url=url, page_size=100, rate_limit=FAST)
        waiting = deque[Any](source.parts())
        met: list[int] = []
        while waiting:
            raw = source.fetch(waiting.popleft())
            raw.info = replace(raw.info, seconds=1)
            waiting.extend(source.split(raw, len(waiting)))
            met += ids([raw])

    assert sorted(met) == sorted(int(c["complaint_id"]) for c in [*before, *that_day])
    asked = {dict(request.parameters).get("date_received_min") for request in emulator.requests}
    assert 1 < len(asked) <= MAX_CONCURRENCY


@pytest.mark.parametrize(
    ("typed", "settled"),
    [(None, NEWEST_DAY), ("2024-08-31", "2024-08-31"), ("2025-06-30", NEWEST_DAY)],
)
def test_the_last_day_is_settled_by_the_first_answer(
    emulator: Emulator, typed: str | None, settled: str
) -> None:
    """From page 2 on no page asks beyond the day of the data: what comes meanwhile stays away."""
    newer = {**COMPLAINTS[-1], "complaint_id": "99999999", "date_received": "2024-11-06"}
    pages: list[RawPart] = []
    with serve(emulator) as url:
        for page in walked(SearchApi(Query(until=typed), url=url, page_size=700, rate_limit=None)):
            pages.append(page)
            emulator.put(newer)

    asked = [dict(request.parameters).get("date_received_max") for request in emulator.requests]
    assert asked == [typed] + [settled] * (len(asked) - 1)
    assert len(asked) > 2
    assert {page.info.days for page in pages} == {(None, settled)}
    assert {page.info.part.first() for page in pages} == {Page(700, until=settled)}
    expected = [int(c["complaint_id"]) for c in COMPLAINTS if day_of(c) <= settled]
    assert sorted(ids(pages)) == sorted(expected)
    assert pages[-1].info.matching == len(expected)


def test_the_newest_have_no_last_day(emulator: Emulator) -> None:
    """With a limit a walk goes back from the newest, where nothing that arrives is in its way."""
    pages = walk(emulator, limit=1_500, page_size=500)

    asked = [dict(request.parameters) for request in emulator.requests]
    assert not any("date_received_max" in parameters for parameters in asked)
    assert {page.info.days for page in pages} == {(None, None)}


def came(seconds: float, *following: Page) -> RawPart:
    """Make a page that took the server so long."""
    part = Page(100)
    info = PartInfo(part, "page 1", 0, 0, 0, None, proves_absence=True, seconds=seconds)
    return RawPart([], info, following)


LONG_WAY = Page(100, "2024-10-01", "2024-10-31", 2, (1_727_784_000_000, "7"), 100, 9_000)
"""A page of 2024-10-01 with 31 days and 90 pages to come."""


@pytest.mark.parametrize(
    ("seconds", "under_way", "windows"),
    [
        (0.2, 0, 1),
        (2, 0, 1),
        (3, 0, 2),
        (5, 0, 3),
        (5, 1, 2),
        (5, 2, 1),
        (14, 0, 6),
        (14, 4, 2),
        (14, 5, 1),
        (14, 6, 1),
        (80, 0, MAX_CONCURRENCY),
    ],
)
def test_a_window_is_divided_where_lanes_are_wanted(
    seconds: float, under_way: int, windows: int
) -> None:
    """So many windows are under way as use up 20 searches a minute, each taking so long."""
    divided = SearchApi().split(came(seconds, LONG_WAY), under_way)

    assert [*divided] == [*LONG_WAY.split(windows)]
    assert len(divided) == windows


def test_a_faster_server_wants_more_lanes() -> None:
    """It is the requests a second that count, and not how they are spelled."""
    raw = came(1, LONG_WAY)

    divided = [
        len(SearchApi(rate_limit=RateLimit(*rate_limit)).split(raw, 0))
        for rate_limit in ((20, 60), (60, 60), (1, 1), (180, 60))
    ]
    assert divided == [1, 2, 2, 4]


@pytest.mark.parametrize("asked", [{"limit": 5_000}, {"rate_limit": None}])
def test_what_needs_one_lane_is_not_divided(asked: dict[str, Any]) -> None:
    """The newest are walked back in one window, and a server that does not count is kept to one."""
    raw = came(80, LONG_WAY)

    assert SearchApi(**asked).split(raw, 0) is raw.next_parts


def test_after_the_last_page_there_is_nothing_to_divide() -> None:
    """A window at its end is followed by nothing, however slow the server is."""
    assert tuple(SearchApi().split(came(80), 0)) == ()


def test_a_limit_has_one_lane() -> None:
    """The newest are walked back one page after the other."""
    assert (SearchApi().max_concurrency, SearchApi(limit=5).max_concurrency) == (MAX_CONCURRENCY, 1)


def test_a_walk_goes_on_from_what_is_remembered(emulator: Emulator) -> None:
    """A page that was remembered is the same page, and leads to the same complaints."""
    with serve(emulator) as url:
        source = SearchApi(url=url, page_size=900, rate_limit=None)
        first, *others = walked(source)
        (following,) = first.next_parts
        again = source.part_from_json(following.to_json())

        assert again == following
        assert ids([source.fetch(again)]) == ids(others[:1])


# --- updates --------------------------------------------------------------------------------

FILTERS = Query(
    since="2024-01-01",
    state=("CA", "TX"),
    product=("Mortgage•FHA mortgage",),
    issue=("Fraud or scam",),
    company=("EQUIFAX, INC.",),
    search="late fees",
)


def reached(query: Query, until: str | None = NEWEST_DAY) -> Watermark:
    """Say that load 7 asked this, and how far the database has come since."""
    return Watermark(7, SearchApi(query).query_json(), until)


def test_an_update_repeats_what_was_asked_for_the_newest_days() -> None:
    """It asks with the same filters, from so many days before the last that is covered."""
    source = SearchApi(url="http://127.0.0.1/", lookback=60, page_size=77, rate_limit=FAST)

    given_this = source.resume_from(reached(FILTERS))

    query = replace(FILTERS, since="2024-09-06")
    assert given_this == replace(source, query=query, lookback=None, updates_load_id=7)
    assert [*given_this.parts()] == [Page(77, "2024-09-06")]


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
def test_an_update_stays_within_what_was_asked(
    query: Query, until: str, lookback: int, days: tuple[str, str | None]
) -> None:
    """It looks back from the last day covered, no further than the load did, and to its end."""
    asked = SearchApi(lookback=lookback).resume_from(reached(query, until)).query

    assert (asked.since, asked.until) == days


def test_an_update_asks_the_server_that(emulator: Emulator) -> None:
    """What goes over the wire has the days of the update and the filters of the load."""
    with serve(emulator) as url:
        source = SearchApi(url=url, lookback=60, rate_limit=None)
        pages = [*walked(source.resume_from(reached(Query(state=("CA", "TX")))))]

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
    assert set(ids(pages)) == expected


@pytest.mark.parametrize("covered", [Watermark(), reached(Query(), None)])
def test_without_a_complete_load_there_is_nothing_to_update(covered: Watermark) -> None:
    """A database in which no load is complete, or none that covers a day, is refused."""
    with pytest.raises(errors.NothingToUpdateError, match="no complete load"):
        SearchApi(lookback=60).resume_from(covered)


@pytest.mark.parametrize("covered", [Watermark(), reached(FILTERS)])
def test_what_is_no_update_stays_what_it_is(covered: Watermark) -> None:
    """Without a lookback it does not matter how far the database has come."""
    source = SearchApi(Query(state=("CA",)), page_size=77)

    assert source.resume_from(covered) is source
    assert source.updates_load_id is None


@pytest.mark.parametrize(
    ("asked", "proves"),
    [
        ({}, True),
        ({"query": Query("2024-01-01", "2024-06-30")}, True),
        ({"query": Query(state=("CA",))}, False),
        ({"query": Query("2024-01-01", search="fee")}, False),
        ({"limit": 5}, False),
        ({"query": Query("2024-01-01"), "limit": 5}, False),
    ],
)
def test_only_all_of_some_days_prove_absence(
    emulator: Emulator, asked: dict[str, Any], *, proves: bool
) -> None:
    """What a filter or a limit leaves out is not gone; each page says so too."""
    (page, *_) = walk(emulator, **asked)

    assert SearchApi(**asked).proves_absence is page.info.proves_absence is proves


# --- the server's pace and window -----------------------------------------------------------


def test_the_allowance_is_kept() -> None:
    """A client that keeps to what the server allows is never refused."""
    emulator = Emulator(COMPLAINTS, throttle=4, window_seconds=0.3)
    # The client's window is the longer: on a busy machine a request may arrive late, the next not.
    walk(emulator, page_size=250, rate_limit=RateLimit(4, 0.6))

    assert len(emulator.requests) == 11
    assert {request.status for request in emulator.requests} == {200}


def test_retry_after_is_waited_for() -> None:
    """After a 429 nobody gets through before the server's time."""
    emulator = Emulator(COMPLAINTS, throttle=1, window_seconds=0.8)
    with serve(emulator) as url:
        source = SearchApi(limit=10, url=url, rate_limit=None)
        first = source.parts()[0]
        source.fetch(first)
        with pytest.raises(server_errors.ThrottledError) as refused:
            source.fetch(first)
        source.fetch(first)

    assert refused.value.retry_after == 1
    assert [request.status for request in emulator.requests] == [200, 429, 200]
    assert emulator.requests[2].at - emulator.requests[1].at >= 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("", 60), ("soon", 60), ("-1", 60), ("9999", 3600)]
)
def test_an_odd_retry_after_is_the_whole_window(
    header: str, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Retry-After that is no whole number of seconds waits for the whole window."""
    held: list[float] = []
    monkeypatch.setattr(
        "cfpb_etl.fetch.http.rate_limit.RateLimiter.pause", lambda _self, wait: held.append(wait)
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}", 429, {"Retry-After": header})(scope, receive, send)

    with pytest.raises(server_errors.ThrottledError):
        walk(app)

    assert held == [seconds]


def test_a_smaller_window_is_found_on_the_first_page(emulator: Emulator) -> None:
    """A 424 on a first page of 10,000 is tried with 1,000, and the walk goes on with that."""
    faulty = Faulty(emulator, otherwise=faults.too_large(1_000))
    assert len(ids(walk(faulty))) == 2_500

    sizes = [dict(parameters)["size"] for parameters in faulty.requests]
    assert sizes == ["10000", "1000", "1000", "1000"]


def test_a_424_later_is_not_about_the_window(emulator: Emulator) -> None:
    """A 424 on a later page is an error of its own."""
    faulty = Faulty(emulator, {2: faults.backend_trouble()})
    with pytest.raises(server_errors.SearchBackendError):
        walk(faulty, page_size=1_001)

    assert len(faulty.requests) == 2


# --- what can go wrong ----------------------------------------------------------------------

SITUATIONS = [
    (faults.throttled(2), server_errors.ThrottledError, 429, "throttled"),
    (faults.backend_trouble(), server_errors.SearchBackendError, 424, "OpenSearch"),
    (faults.server_error(), server_errors.ServerFailureError, 500, "problem"),
    (faults.unavailable_html(), server_errors.ServerFailureError, 503, "503 Service Unavailable"),
    (faults.forbidden_html(), server_errors.AccessDeniedError, 403, "Access Denied"),
    (faults.html_page(), server_errors.WrongContentError, 200, "<!DOCTYPE html>"),
    (faults.invalid_json(), server_errors.UnexpectedBodyError, None, '{"took":'),
    (faults.wrong_shape(), server_errors.UnexpectedBodyError, None, ""),
    (faults.wrong_shape({"timed_out": True}), server_errors.PartialAnswerError, None, ""),
    (faults.wrong_shape({"_shards": {"failed": 2}}), server_errors.PartialAnswerError, None, ""),
    (faults.cut_body(), server_errors.CutBodyError, None, ""),
]


@pytest.mark.parametrize(("fault", "error", "status", "beginning"), SITUATIONS)
def test_each_situation_has_its_error(
    emulator: Emulator,
    fault: faults.Fault,
    error: type[server_errors.ServerError],
    status: int | None,
    beginning: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every way to fail has its class, with URL, status and the beginning of the body."""
    monkeypatch.setattr(
        "cfpb_etl.fetch.http.rate_limit.RateLimiter.pause", lambda _self, _wait: None
    )

    with pytest.raises(error) as failed:
        walk(Faulty(emulator, otherwise=fault), limit=10)

    assert type(failed.value) is error
    assert failed.value.status == status
    assert beginning in failed.value.body_start
    assert "size=10&sort=created_date_desc" in failed.value.url
    assert str(failed.value).count("\n") == 0
    assert len(failed.value.body_start) <= 120


def page_like(
    hits: list[object] | None,
    last_indexed: object = "2024-11-06T12:00:00-05:00",
    matching: object = 99,
    last_updated: object = "2024-11-05T12:00:00-05:00",
) -> object:
    """Return what the contract says a page is, with these hits."""
    return {
        "hits": {"total": {"value": matching, "relation": "eq"}, "hits": hits},
        "_meta": {"last_indexed": last_indexed, "last_updated": last_updated},
    }


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (page_like([], last_indexed=None), "date in _meta is missing"),
        (page_like([], last_indexed="yesterday"), "date in _meta is not a date: 'yesterday'"),
        (page_like([], last_updated=None), "date in _meta is missing"),
        (page_like([], last_updated="2024-02-30"), "date in _meta is .*day"),
        ({"hits": {"total": {"value": 0}, "hits": []}, "_meta": {}}, "date in _meta is missing"),
        ({"hits": {"total": {"value": 0}, "hits": []}}, "date in _meta is missing"),
        ({"hits": {"total": 9, "hits": []}}, "hits.total.value"),
        (page_like(None, matching=0), "hits.hits"),
        (page_like([{"_source": {}}]), "sort"),
        (page_like([], matching=-1), "hits.total.value"),
        (page_like([{"sort": [1, "7"]}] * 2, matching=1), "hits.total.value"),
        (page_like([], matching=2**63), "hits.total.value"),
        (page_like(["complaint"]), "sort"),
        (page_like([{"sort": [1.5, "7"]}]), "sort"),
        (page_like([{"sort": [1, "7"]}] * 11), "11 hits where 10"),
    ],
)
def test_a_body_of_another_shape_is_named(emulator: Emulator, body: object, named: str) -> None:
    """A body that is not as the contract says is an error that says where."""
    with pytest.raises(server_errors.UnexpectedBodyError, match=named):
        walk(Faulty(emulator, otherwise=faults.wrong_shape(body)), limit=10)


def test_a_status_that_nobody_knows() -> None:
    """A status beyond the contract is named."""

    async def teapot(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("short and stout", 418)(scope, receive, send)

    with pytest.raises(server_errors.UnexpectedStatusError, match="418"):
        walk(teapot)


def test_a_query_that_the_server_refuses(emulator: Emulator) -> None:
    """A 400 carries the server's own words: here of a size beyond its validation."""
    with pytest.raises(server_errors.RefusedQueryError) as refused:
        walk(emulator, limit=100_001, page_size=100_001)

    assert refused.value.status == 400
    assert "less than or equal to 100000" in str(refused.value)


def test_a_host_that_can_have_no_address() -> None:
    """A host name that cannot be one is told like one that does not resolve."""
    with pytest.raises(server_errors.UnreachableError, match="label"):
        list(walked(SearchApi(url="http://a..b/", rate_limit=None)))


@pytest.mark.parametrize("kind", ["application/jsonp", "", "text/json"])
def test_only_json_is_json(kind: str) -> None:
    """What resembles JSON by its name is not taken for it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(b"{}", headers={"Content-Type": kind})(scope, receive, send)

    with pytest.raises(server_errors.WrongContentError):
        walk(app)


def test_a_wrong_address_sends_the_website(emulator: Emulator) -> None:
    """Without its trailing slash the address sends a web page, and the error says so."""
    with (
        serve(emulator) as url,
        pytest.raises(server_errors.WrongContentError, match="last slash included"),
    ):
        list(walked(SearchApi(url=url.rstrip("/"), rate_limit=None)))


def test_an_address_where_nobody_listens() -> None:
    """No connection is worth a retry, and says why."""
    with pytest.raises(
        server_errors.UnreachableError, match=r"Connection refused.*--source sample"
    ):
        list(walked(SearchApi(url="http://127.0.0.1:1/", rate_limit=None)))


def test_a_server_that_hangs_up() -> None:
    """A connection that ends before an answer says so in words, not in nested exceptions."""

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)

    with socketserver.TCPServer(("127.0.0.1", 0), HangUp) as server:
        threading.Thread(target=server.handle_request).start()
        source = SearchApi(url=f"http://127.0.0.1:{server.server_address[1]}/", rate_limit=None)
        with pytest.raises(server_errors.UnreachableError) as hung_up:
            list(walked(source))

    assert hung_up.value.detail == "Remote end closed connection without response"


def test_a_redirect_is_not_followed() -> None:
    """A redirect is told with where it leads; following it would read its body without bounds."""

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse("/elsewhere")(scope, receive, send)

    with pytest.raises(server_errors.UnexpectedStatusError, match="307: /elsewhere"):
        walk(elsewhere)


def test_an_answer_that_never_comes(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is given up after the read timeout."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.05)

    with pytest.raises(server_errors.UnreachableError, match=r"within 0\.05 s"):
        walk(Faulty(emulator, otherwise=faults.stalled()))


def test_an_answer_that_trickles(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that keeps coming without an end is given up as well."""
    monkeypatch.setattr(client, "MAX_ANSWER_SECONDS", 0.2)

    with pytest.raises(server_errors.UnreachableError, match=r"not complete within 0\.2 s"):
        walk(Faulty(emulator, otherwise=faults.trickling()))


def test_a_body_without_bounds(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond what a page can be is refused while it comes."""
    monkeypatch.setattr(client, "MAX_BODY", 100_000)

    with pytest.raises(server_errors.TooLargeError) as refused:
        walk(emulator)

    assert refused.value.status == 200


@pytest.mark.parametrize("limit", [None, 2_000])
def test_a_page_again_is_no_walk(emulator: Emulator, limit: int | None) -> None:
    """A page that comes again ends the walk with an error, in either order."""
    with pytest.raises(server_errors.NoAdvanceError):
        walk(Faulty(emulator, {2: faults.repeated_page()}), limit=limit, page_size=500)


def test_a_page_in_the_wrong_order_is_no_walk() -> None:
    """A page whose last complaint comes before its first is refused."""
    backwards = page_like([{"sort": [2, "7"]}, {"sort": [1, "8"]}])
    with pytest.raises(server_errors.NoAdvanceError):
        walk(Faulty(Emulator(COMPLAINTS), otherwise=faults.wrong_shape(backwards)))


@pytest.mark.parametrize(
    ("fault", "field"),
    [(faults.hit_without_id(), "complaint_id"), (faults.wrong_type("state", 7), "state")],
)
def test_a_hit_that_is_no_complaint_is_named(
    emulator: Emulator, fault: faults.Fault, field: str
) -> None:
    """A hit that cannot be a complaint is found when the page is read, by place and field."""
    (page,) = walk(Faulty(emulator, otherwise=fault), limit=10)

    with pytest.raises(parse_errors.InvalidHitError) as invalid:
        parse_part(page)

    assert (invalid.value.hit, invalid.value.field) == (1, field)
    assert invalid.value.part == "page 1, 10 complaints"


def test_a_field_that_nobody_knows_is_told() -> None:
    """What a newer release sends beyond our columns is not lost from sight."""
    newer = [{**complaint, "event_tag": "storm"} for complaint in COMPLAINTS[:3]]
    (page,) = walk(Emulator(newer))

    assert parse_part(page).unknown_columns == {"event_tag"}


# --- what it remembers ----------------------------------------------------------------------


def test_what_is_asked_is_told_as_json() -> None:
    """The record of a load says what was asked, and nothing that was not."""
    assert SearchApi(Query(state=("CA",), search="fee"), 5).query_json() == (
        '{"state": ["CA"], "search": "fee", "limit": 5}'
    )
    assert SearchApi().query_json() == "{}"


def test_an_update_is_told_as_what_it_asks() -> None:
    """The record of an update has the days that it asked for, which an interrupted one repeats."""
    told = SearchApi(lookback=60).resume_from(reached(FILTERS)).query_json()

    query = replace(FILTERS, since="2024-09-06")
    assert Query.from_dict(json.loads(told)) == query


def test_the_sample_has_no_address() -> None:
    """The sample's port is another each time, and the record has a name in its place."""
    url = "http://127.0.0.1:54321/"

    assert SearchApi().address == SEARCH_URL
    assert SearchApi(url=url).address == url
    assert SearchApi(url=url, kind="sample").address == "local emulator"


def test_a_server_is_asked_at_one_pace() -> None:
    """Whatever is asked of a server goes through one gate, that of its host and port."""
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
def test_an_address_must_be_one(url: str) -> None:
    """An address that cannot be asked is refused before anything is."""
    with pytest.raises(model_errors.InvalidQueryError, match="api_url"):
        SearchApi(url=url)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_a_number_of_complaints(limit: int) -> None:
    """A limit below one is refused."""
    with pytest.raises(model_errors.InvalidQueryError, match="limit"):
        SearchApi(limit=limit)


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_a_lookback_is_a_number_of_days(days: int) -> None:
    """A lookback below a day, or beyond a century, is refused."""
    with pytest.raises(model_errors.InvalidQueryError, match="lookback"):
        SearchApi(lookback=days)
