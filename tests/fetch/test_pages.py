"""A page knows its place in its window, and how to divide what is left of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.pages import Page
from support.soak import soak

ONE_DAY = timedelta(1)


def cursor(day: str, clock: str = "12:00") -> tuple[int, str]:
    """Return the sort value of a complaint of a day."""
    moment = datetime.combine(date.fromisoformat(day), time.fromisoformat(clock), UTC)
    return round(moment.timestamp() * 1000), "17800720"


def window(page: Page) -> tuple[str | None, str | None]:
    """Return the days that a page's window has."""
    return page.since, page.until


def under_way(since: str | None = "2026-10-01", until: str | None = "2026-10-10") -> Page:
    """Return page 3 of a window, which has reached the 4th and has 50 pages to come."""
    return Page(100, since, until, 3, cursor("2026-10-04"), 200, 5_000)


# --- its name -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "name"),
    [
        (None, None, "page 3"),
        ("2026-10-01", "2026-10-07", "2026-10-01…07, page 3"),
        ("2026-10-01", "2026-11-07", "2026-10-01…11-07, page 3"),
        ("2026-10-01", "2027-10-01", "2026-10-01…2027-10-01, page 3"),
        ("2026-10-01", "2026-10-01", "2026-10-01, page 3"),
        ("2026-10-01", None, "2026-10-01…, page 3"),
        (None, "2026-10-07", "…2026-10-07, page 3"),
    ],
)
def test_a_page_is_named_by_its_days(since: str | None, until: str | None, name: str) -> None:
    """The name has the days of the window, the second without what it shares with the first."""
    assert str(Page(100, since, until, 3)) == name


def test_the_key_is_the_first_day() -> None:
    """A window is known by where it begins, which a division does not move."""
    page = under_way()

    assert page.key == page.split(3)[0].key == "2026-10-01"
    assert Page(100, None, "2026-10-07").key == ""


def test_a_window_begins_with_its_first_page() -> None:
    """What is read again is the window, from its beginning and as far as it was settled."""
    assert under_way().first() == Page(100, "2026-10-01", "2026-10-10")


# --- what is remembered of it ---------------------------------------------------------------

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
def test_a_page_is_remembered_whole(page: Page) -> None:
    """What the database keeps of a page is all of it."""
    assert Page.from_json(page.to_json()) == page


def test_progress_is_json_of_what_there_is() -> None:
    """A page is remembered with its cursor, and without what it does not have."""
    assert Page(100, number=3, after=(1, "22"), before_it=200).to_json() == (
        '{"size": 100, "number": 3, "after": [1, "22"], "before_it": 200}'
    )


# --- divided --------------------------------------------------------------------------------


def test_what_is_left_is_divided_by_days() -> None:
    """The first piece goes on from the cursor, the others begin where it will end."""
    page = under_way()

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
    into=st.integers(-6, 12),
)
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_pieces_cover_the_rest_of_the_days_once(
    reached: datetime, before: int | None, days: int, size: int, left: int, into: int
) -> None:
    """Pieces follow each other day by day from the cursor to the end, and are of like length."""
    day = reached.date()
    since = None if before is None else (day - timedelta(before)).isoformat()
    until = (day + (days - 1) * ONE_DAY).isoformat()
    after = round(reached.replace(tzinfo=UTC).timestamp() * 1000), "7"
    page = Page(size, since, until, 4, after, 3 * size, left)

    first, *others = pieces = page.split(into)

    pages_left = -(-left // size)
    assert len(pieces) == max(1, min(into, pages_left, days))
    assert (first.key, first.since, first.after) == (page.key, page.since, page.after)
    assert (first.size, first.number, first.before_it) == (size, 4, 3 * size)
    assert [*others] == [Page(size, other.since, other.until) for other in others]
    begins = [day, *(date.fromisoformat(other.since or "") for other in others)]
    ends = [date.fromisoformat(piece.until or "") for piece in pieces]
    assert all(end + ONE_DAY == begin for end, begin in zip(ends, begins[1:], strict=False))
    assert pieces[-1].until == until
    lengths = [(end - begin).days + 1 for begin, end in zip(begins, ends, strict=True)]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1
    assert len({piece.key for piece in pieces}) == len(pieces)


def test_pieces_may_be_divided_again() -> None:
    """A piece that has come further divides like any window, and stays within its days."""
    piece, other = under_way().split(2)
    further = replace(piece, number=4, after=cursor("2026-10-05"), before_it=300, left=4_000)

    assert [window(page) for page in (*further.split(6), other)] == [
        ("2026-10-01", "2026-10-05"),
        ("2026-10-06", "2026-10-06"),
        ("2026-10-07", "2026-10-10"),
    ]


@pytest.mark.parametrize("into", [-3, 0, 1])
def test_a_window_that_is_alone_needed_stays_whole(into: int) -> None:
    """Where no more max_concurrency are free, or wanted, the page is what it was."""
    page = under_way()

    assert page.split(into) == (page,)


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
        "an end that is not settled",
        "its first page",
        "an unknown rest",
        "no rest",
        "one page",
    ],
)
def test_what_cannot_be_divided_stays_whole(page: Page) -> None:
    """One day, one page, and what is not known to be more are walked as they are."""
    assert page.split(6) == (page,)
