"""Pages of a date window: their names, their JSON, how a window ends, and how it is split."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.http.errors import NoAdvanceError, UnexpectedBodyError
from cfpb_etl.fetch.pages import Page, next_page
from support.soak import soak

ONE_DAY = timedelta(1)


def cursor(day: str, clock: str = "12:00") -> tuple[int, str]:
    """Return the sort value of a complaint of a day."""
    moment = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), UTC)
    return round(moment.timestamp() * 1000), "17800720"


def window(page: Page) -> tuple[str | None, str | None]:
    """Return the days of a page's window."""
    return page.since, page.until


def page_3(since: str | None = "2026-10-01", until: str | None = "2026-10-10") -> Page:
    """Return page 3 of a window, which starts on October 4 and has 50 pages left."""
    return Page(100, since, until, 3, cursor("2026-10-04"), 200, 5_000)


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "name"),
    [
        (None, None, "page 3"),
        ("2026-10-01", "2026-10-07", "2026-10-01 to 2026-10-07, page 3"),
        ("2026-10-01", "2026-10-01", "2026-10-01, page 3"),
        ("2026-10-01", None, "since 2026-10-01, page 3"),
        (None, "2026-10-07", "until 2026-10-07, page 3"),
    ],
)
def test_a_page_is_named_by_its_days(since: str | None, until: str | None, name: str) -> None:
    """The name has the days of the window in ASCII, which Prefect's picture of a run can draw."""
    assert str(Page(100, since, until, 3)) == name
    assert name.isascii()


def test_the_key_is_the_first_day() -> None:
    """It identifies the window, and stays the same when the window is split."""
    page = page_3()

    assert page.key == page.split(3)[0].key == "2026-10-01"
    assert Page(100, None, "2026-10-07").key == ""


def test_the_first_page_of_a_window() -> None:
    """A window is read again from its beginning to its last day."""
    assert page_3().first() == Page(100, "2026-10-01", "2026-10-10")


# --- JSON -----------------------------------------------------------------------------------

DAYS = st.dates().map(date.isoformat)
PAGES = st.builds(
    Page,
    size=st.integers(1, 10_000),
    since=st.none() | DAYS,
    until=st.none() | DAYS,
    number=st.integers(1, 2_000),
    after=st.none() | st.tuples(st.integers(0), st.text()),
    before_it=st.integers(0, 3) | st.integers(0),
    left=st.none() | st.integers(0, 3) | st.integers(0),
)


@given(PAGES)
@settings(deadline=None, derandomize=True, max_examples=soak(150))
def test_a_page_is_restored_from_json(page: Page) -> None:
    """The JSON in the database has all of it."""
    assert Page.from_json(page.to_json()) == page


def test_json_has_no_empty_fields() -> None:
    """A field that is None is left out."""
    assert Page(100, number=3, after=(1, "22"), before_it=200).to_json() == (
        '{"size": 100, "number": 3, "after": [1, "22"], "before_it": 200}'
    )


# --- the end of paging ----------------------------------------------------------------------

URL = "http://127.0.0.1/?size=3"


def hits(*sort_values: object) -> list[msgspec.Raw]:
    """Return hits with these sort values."""
    return [msgspec.Raw(msgspec.json.encode({"sort": value})) for value in sort_values]


def test_a_full_page_is_followed_by_the_next() -> None:
    """The next page starts after the last hit, and has the counts so far."""
    page = Page(3, "2026-10-01", "2026-10-10", 2, (5, "7"), 3, 4)

    assert next_page(page, hits([6, "1"], [6, "2"], [7, "1"]), 99, None, URL) == Page(
        3, "2026-10-01", "2026-10-10", 3, (7, "1"), 6, 93
    )


@pytest.mark.parametrize("sort_values", [(), ([1, "1"],), ([1, "1"], [1, "2"])])
def test_a_window_ends_with_a_page_that_is_not_full(sort_values: tuple[object, ...]) -> None:
    """An empty page or a short page is the last one, whatever the server counts."""
    assert next_page(Page(3), hits(*sort_values), 99, None, URL) is None


def test_a_window_ends_at_the_limit() -> None:
    """A full page is the last one if it reaches the limit."""
    page = Page(3, number=2, after=(9, "9"), before_it=3)
    newest_first = hits([8, "1"], [7, "1"], [6, "1"])

    assert next_page(page, newest_first, 99, 6, URL) is None
    following = next_page(page, newest_first, 99, 7, URL)
    assert following is not None
    assert (following.before_it, following.size_within(7)) == (6, 1)


@pytest.mark.parametrize("limit", [None, 10])
@pytest.mark.parametrize("same", [False, True])
def test_a_page_that_does_not_advance_is_an_error(limit: int | None, *, same: bool) -> None:
    """It must lie beyond the cursor: after it when the oldest come first, before it otherwise."""
    page = Page(1, number=2, after=(5, "7"), before_it=1)
    hit = [5, "7"] if same else [4 if limit is None else 6, "7"]

    with pytest.raises(NoAdvanceError, match="came after"):
        next_page(page, hits(hit), 99, limit, URL)


def test_the_ids_of_one_moment_are_sorted_as_text() -> None:
    """CFPB sorts them so: "10" comes before "9"."""
    assert next_page(Page(2), hits([5, "10"], [5, "9"]), 99, None, URL) is not None
    with pytest.raises(NoAdvanceError):
        next_page(Page(2), hits([5, "9"], [5, "10"]), 99, None, URL)


@pytest.mark.parametrize(
    "sort", [None, [], [1], [1, 2], ["1", "2"], [1.5, "7"], [-1, "7"], [2**60, "7"]]
)
def test_a_hit_without_a_sort_value_is_an_error(sort: object) -> None:
    """It needs a moment within the calendar and an id as text."""
    with pytest.raises(UnexpectedBodyError, match="without a sort value"):
        next_page(Page(1), hits(sort), 99, None, URL)


# --- splitting ------------------------------------------------------------------------------


def test_the_rest_of_a_window_is_split_by_days() -> None:
    """The first window continues from the cursor, the others start with the days after it."""
    page = page_3()

    assert page.split(3) == (
        Page(100, "2026-10-01", "2026-10-05", 3, page.after, 200),
        Page(100, "2026-10-06", "2026-10-07"),
        Page(100, "2026-10-08", "2026-10-10"),
    )


@given(
    reached=st.datetimes(datetime(2011, 12, 1), datetime(2026, 10, 7)),  # noqa: DTZ001 - UTC below
    before=st.none() | st.integers(0, 5_000),
    days=st.integers(1, 5_500),
    size=st.integers(1, 10_000),
    left=st.integers(0, 100_000),
    count=st.integers(-6, 12),
)
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_windows_cover_the_rest_of_the_days_once(
    reached: datetime, before: int | None, days: int, size: int, left: int, count: int
) -> None:
    """They follow each other without gaps from the cursor to the end, with equal lengths."""
    day = reached.date()
    since = None if before is None else (day - timedelta(before)).isoformat()
    until = (day + (days - 1) * ONE_DAY).isoformat()
    after = round(reached.replace(tzinfo=UTC).timestamp() * 1000), "7"
    page = Page(size, since, until, 4, after, 3 * size, left)

    first, *others = windows = page.split(count)

    pages_left = -(-left // size)
    assert len(windows) == max(1, min(count, pages_left, days))
    assert (first.key, first.since, first.after) == (page.key, page.since, page.after)
    assert (first.size, first.number, first.before_it) == (size, 4, 3 * size)
    assert [*others] == [Page(size, other.since, other.until) for other in others]
    starts = [day, *(date.fromisoformat(other.since or "") for other in others)]
    ends = [date.fromisoformat(each.until or "") for each in windows]
    assert all(end + ONE_DAY == start for end, start in zip(ends, starts[1:], strict=False))
    assert windows[-1].until == until
    lengths = [(end - start).days + 1 for start, end in zip(starts, ends, strict=True)]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert len({each.key for each in windows}) == len(windows)


def test_a_window_can_be_split_again() -> None:
    """A split window is split like any other, and stays within its days."""
    first, other = page_3().split(2)
    later = replace(first, number=4, after=cursor("2026-10-05"), before_it=300, left=4_000)

    assert [window(page) for page in (*later.split(6), other)] == [
        ("2026-10-01", "2026-10-05"),
        ("2026-10-06", "2026-10-06"),
        ("2026-10-07", "2026-10-10"),
    ]


@pytest.mark.parametrize("count", [-3, 0, 1])
def test_one_window_is_not_split(count: int) -> None:
    """Without need for another window, the page stays as it is."""
    page = page_3()

    assert page.split(count) == (page,)


@pytest.mark.parametrize(
    "page",
    [
        Page(100, "2026-10-01", "2026-10-01", 2, cursor("2026-10-01"), 100, 5_000),
        Page(100, "2026-10-01", "2026-10-07", 2, cursor("2026-10-07", "00:00"), 100, 5_000),
        Page(100, "2026-10-01", "2026-10-07", 2, cursor("2026-10-08", "00:00"), 100, 5_000),
        Page(100, "2026-10-01", None, 2, cursor("2026-10-01"), 100, 5_000),
        Page(100, "2026-10-01", "2026-10-07", left=5_000),
        Page(100, "2026-10-01", "2026-10-07", 2, cursor("2026-10-01"), 100, None),
        Page(100, "2026-10-01", "2026-10-07", 2, cursor("2026-10-01"), 100, 0),
        Page(100, "2026-10-01", "2026-10-07", 2, cursor("2026-10-01"), 100, 100),
    ],
    ids=[
        "one day",
        "its last day",
        "beyond its last day",
        "an unknown last day",
        "its first page",
        "an unknown rest",
        "no rest",
        "one page",
    ],
)
def test_a_window_that_cannot_be_split(page: Page) -> None:
    """One day, one page, or an unknown rest stays as it is."""
    assert page.split(6) == (page,)
