"""Queries are split into windows of days, which together have every complaint once."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.fetch.pages import Page
from cfpb_etl.fetch.search_api import MAX_CONCURRENCY, SearchApi
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.model.query import Query
from support.paging import COMPLAINTS, NEWEST_DAY, day_of, fetch_all, fetch_pages, ids_of
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.emulator import Era, RawComplaint


@pytest.fixture
def emulator() -> Emulator:
    """Return an emulator of 2,500 complaints."""
    return Emulator(COMPLAINTS)


FAST = RateLimit(requests=1_000, seconds=1)
"""A rate limit that no test uses up, so that only the seconds of an answer decide."""


@pytest.fixture(scope="module", params=["2024", "deployed"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[list[RawComplaint], str]]:
    """Serve 2,500 complaints of an era to all examples of a test."""
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
    max_examples=soak(6, 120),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_windows_have_every_complaint_once(
    served: tuple[list[RawComplaint], str], data: st.DataObject, page_size: int, query: Query
) -> None:
    """However a query is split, and in any order of its windows, each complaint is fetched once."""
    complaints, url = served
    days = (query.since or "", query.until or "9999")
    expected = [int(c["complaint_id"]) for c in complaints if days[0] <= day_of(c) <= days[1]]
    source = SearchApi(query, url=url, page_size=page_size, rate_limit=FAST)

    fetched: list[int] = []
    last: dict[str, PartInfo] = {}
    waiting: list[Any] = [*source.parts()]
    while waiting:
        raw = source.fetch(waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
        seconds = data.draw(st.sampled_from([0, 0.001, 0.002, 0.003, 1]))
        raw.info = replace(raw.info, seconds=seconds)
        waiting += source.split(raw, len(waiting))
        assert len(waiting) <= MAX_CONCURRENCY
        last[raw.info.part.key] = raw.info
        fetched += ids_of([raw])

    assert sorted(fetched) == sorted(expected)
    assert sum(info.matching or 0 for info in last.values()) == len(expected)
    windows = sorted((info.days[0] or "", info.days[1] or "") for info in last.values())
    assert all(end < start for (_, end), (start, _) in pairwise(windows))
    newest = max(map(day_of, complaints))
    assert (windows[0][0], windows[-1][1]) == (days[0], min(days[1], newest))


def test_a_day_of_one_moment_is_paged_by_ids() -> None:
    """A day cannot be split. If all of it has the same moment, its pages follow the ids.

    These grow from 7 to 8 digits within the day, and are sorted as text.
    """
    noon = {**COMPLAINTS[-1], "date_received": f"{NEWEST_DAY}T12:00:00-05:00"}
    that_day = [{**noon, "complaint_id": str(9_990_000 + 7 * n)} for n in range(4_000)]
    before = [complaint for complaint in COMPLAINTS if day_of(complaint) < NEWEST_DAY][-300:]
    emulator = Emulator([*before, *that_day])

    with serve(emulator) as url:
        source = SearchApi(url=url, page_size=100, rate_limit=FAST)
        waiting = deque[Any](source.parts())
        fetched: list[int] = []
        while waiting:
            raw = source.fetch(waiting.popleft())
            raw.info = replace(raw.info, seconds=1)
            waiting.extend(source.split(raw, len(waiting)))
            fetched += ids_of([raw])

    assert sorted(fetched) == sorted(int(c["complaint_id"]) for c in [*before, *that_day])
    starts = {dict(request.parameters).get("date_received_min") for request in emulator.requests}
    assert 1 < len(starts) <= MAX_CONCURRENCY


@pytest.mark.parametrize(
    ("until", "last_day"),
    [(None, NEWEST_DAY), ("2024-08-31", "2024-08-31"), ("2025-06-30", NEWEST_DAY)],
)
def test_the_first_answer_fixes_the_last_day(
    emulator: Emulator, until: str | None, last_day: str
) -> None:
    """Later pages request nothing after it, so complaints that are added meanwhile are left out."""
    newer = {**COMPLAINTS[-1], "complaint_id": "99999999", "date_received": "2024-11-06"}
    pages: list[RawPart] = []
    with serve(emulator) as url:
        for page in fetch_all(
            SearchApi(Query(until=until), url=url, page_size=700, rate_limit=None)
        ):
            pages.append(page)
            emulator.put(newer)

    ends = [dict(request.parameters).get("date_received_max") for request in emulator.requests]
    assert ends == [until] + [last_day] * (len(ends) - 1)
    assert len(ends) > 2
    assert {page.info.days for page in pages} == {(None, last_day)}
    assert {page.info.part.first() for page in pages} == {Page(700, until=last_day)}
    expected = [int(c["complaint_id"]) for c in COMPLAINTS if day_of(c) <= last_day]
    assert sorted(ids_of(pages)) == sorted(expected)
    assert pages[-1].info.matching == len(expected)


def test_a_limit_has_no_last_day(emulator: Emulator) -> None:
    """Paging goes back from the newest, so complaints that are added are not in its way."""
    pages = fetch_pages(emulator, limit=1_500, page_size=500)

    requests = [dict(request.parameters) for request in emulator.requests]
    assert not any("date_received_max" in parameters for parameters in requests)
    assert {page.info.days for page in pages} == {(None, None)}


def fetched_in(seconds: float, *next_parts: Page) -> RawPart:
    """Make a fetched page that took the server this long."""
    part = Page(100)
    info = PartInfo(part, "page 1", 0, 0, 0, None, proves_absence=True, seconds=seconds)
    return RawPart([], info, next_parts)


MANY_LEFT = Page(100, "2024-10-01", "2024-10-31", 2, (1_727_784_000_000, "7"), 100, 9_000)
"""A page of 2024-10-01, with 31 days and 90 pages left."""


@pytest.mark.parametrize(
    ("seconds", "in_flight", "windows"),
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
def test_a_window_is_split_to_use_the_rate_limit(
    seconds: float, in_flight: int, windows: int
) -> None:
    """As many windows are in flight as use 20 searches a minute, at this time for an answer."""
    parts = SearchApi().split(fetched_in(seconds, MANY_LEFT), in_flight)

    assert [*parts] == [*MANY_LEFT.split(windows)]
    assert len(parts) == windows


def test_a_higher_rate_limit_needs_more_windows() -> None:
    """Only the requests per second count."""
    raw = fetched_in(1, MANY_LEFT)

    counts = [
        len(SearchApi(rate_limit=RateLimit(*rate_limit)).split(raw, 0))
        for rate_limit in ((20, 60), (60, 60), (1, 1), (180, 60))
    ]
    assert counts == [1, 2, 2, 4]


@pytest.mark.parametrize("options", [{"limit": 5_000}, {"rate_limit": None}])
def test_a_query_that_needs_one_window_is_not_split(options: dict[str, Any]) -> None:
    """That is one with a limit, and one for a server without a rate limit."""
    raw = fetched_in(80, MANY_LEFT)

    assert SearchApi(**options).split(raw, 0) is raw.next_parts


def test_the_last_page_is_not_split() -> None:
    """Nothing follows it, however slow the server is."""
    assert tuple(SearchApi().split(fetched_in(80), 0)) == ()


def test_a_limit_has_no_concurrency() -> None:
    """The newest are fetched one page after the other."""
    assert (SearchApi().max_concurrency, SearchApi(limit=5).max_concurrency) == (MAX_CONCURRENCY, 1)


def test_paging_resumes_from_json(emulator: Emulator) -> None:
    """A page that was stored as JSON is the same page, and returns the same complaints."""
    with serve(emulator) as url:
        source = SearchApi(url=url, page_size=900, rate_limit=None)
        first, *others = fetch_all(source)
        (next_page,) = first.next_parts
        again = source.part_from_json(next_page.to_json())

        assert again == next_page
        assert ids_of([source.fetch(again)]) == ids_of(others[:1])
