"""A load is read window by window, and each window is verified at its end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.errors import IncompleteLoadError
from cfpb_etl.store.loads import open_load
from support.loads import FakeSource, interrupt, outcomes, seen, store, stored
from support.parts import complaints, part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart, Part
    from cfpb_etl.store.loads import Load

WINTER = Page(2, "2026-01-01", "2026-03-31")
JAN = Page(2, "2026-01-01", "2026-01-31")
FEB = Page(2, "2026-02-01", "2026-02-28")
MAR = Page(2, "2026-03-01", "2026-03-31")


def page(window: Page, number: int) -> Page:
    """Return a later page of a window."""
    return replace(window, number=number, after=(number, "id"), before_it=2 * (number - 1))


def page_of(
    at: Page, *numbers: int, of: int, then: Sequence[Part] | None = None, limit: int | None = None
) -> ParsedPart:
    """Make a page with these complaints, of a window in which the source counts `of`."""
    following = [page(at, at.number + 1)] if then is None else then
    expected = min(of, limit or of)
    return part(*complaints(*numbers), at=at, matching=of, expected=expected, next_parts=following)


def last_page_of(at: Page, *numbers: int, of: int, limit: int | None = None) -> ParsedPart:
    """Make the last page of a window."""
    return page_of(at, *numbers, of=of, then=(), limit=limit)


@contextmanager
def reading(path: Path, *windows: Page) -> Iterator[Load]:
    """Start or resume a load of these windows."""
    with open_load(path, FakeSource(windows=windows)) as load:
        yield load


def verified(load: Load) -> tuple[int, int, int]:
    """Return how many windows are verified, and what was expected and received in them."""
    return load.stats.windows, load.stats.expected, load.stats.received


# --- where a load stands --------------------------------------------------------------------


def test_a_load_starts_with_the_parts_of_its_source(path: Path) -> None:
    """At first every window is left."""
    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN, FEB]


def test_a_window_is_read_page_by_page(path: Path) -> None:
    """After each page the next one is left, and after the last none."""
    with reading(path, JAN) as load:
        store(load, path, page_of(JAN, 1, 2, of=5))
        assert load.parts_left() == [page(JAN, 2)]
        store(load, path, page_of(page(JAN, 2), 3, 4, of=5))
        assert load.parts_left() == [page(JAN, 3)]
        assert seen(path) == [1, 2, 3, 4]
        assert verified(load) == (0, 0, 0)

        store(load, path, last_page_of(page(JAN, 3), 5, of=5))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert verified(load) == (1, 5, 5)
    assert seen(path) == []


def test_a_window_can_be_split(path: Path) -> None:
    """A page can be followed by several windows, which can end in any order."""
    with reading(path, WINTER) as load:
        store(load, path, page_of(WINTER, 1, 2, of=7, then=[page(JAN, 2), FEB, MAR]))
        assert load.parts_left() == [page(JAN, 2), FEB, MAR]

        store(load, path, last_page_of(MAR, 7, of=1), page_of(FEB, 4, 5, of=3))
        assert load.parts_left() == [page(JAN, 2), page(FEB, 2)]
        assert seen(path) == [1, 2, 4, 5]
        with pytest.raises(IncompleteLoadError):
            load.verify()

        store(load, path, last_page_of(page(JAN, 2), 3, of=3), last_page_of(page(FEB, 2), 6, of=3))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert verified(load) == (3, 7, 7)
    assert seen(path) == []


def test_a_window_can_be_split_again(path: Path) -> None:
    """A later page splits what is left of its own window only."""
    later = replace(FEB, until="2026-03-31")
    early, late = replace(FEB, until="2026-02-14"), replace(FEB, since="2026-02-15")
    with reading(path, WINTER) as load:
        store(load, path, page_of(WINTER, 1, 2, of=9, then=[page(JAN, 2), later]))
        store(load, path, page_of(later, 3, 4, of=6, then=[page(early, 2), late, MAR]))

        assert load.parts_left() == [page(JAN, 2), page(early, 2), late, MAR]


def test_an_empty_window_is_verified(path: Path) -> None:
    """Zero complaints are received and expected."""
    with reading(path, JAN) as load:
        store(load, path, last_page_of(JAN, of=0))

        assert load.parts_left() == []
        assert load.verify() == 0
        assert verified(load) == (1, 0, 0)


def test_each_load_has_its_own_windows(path: Path) -> None:
    """The same days are read and verified again by another load."""
    for _ in range(2):
        with reading(path, JAN) as load:
            assert load.parts_left() == [JAN]
            store(load, path, last_page_of(JAN, 1, 2, of=2))
            assert verified(load) == (1, 2, 2)


# --- the verified ------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 2, 3, 4, 5)], ids=["short", "too many"])
def test_a_window_with_another_count_is_read_again(path: Path, numbers: tuple[int, ...]) -> None:
    """It has fewer or more complaints than its source counts."""
    with reading(path, JAN) as load:
        store(
            load,
            path,
            page_of(JAN, *numbers[:2], of=4),
            last_page_of(page(JAN, 2), *numbers[2:], of=4),
        )

        assert load.parts_left() == [JAN]
        assert seen(path) == []
        assert verified(load) == (0, 0, 0)
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received) == (4, len(numbers))
    assert len(stored(path)) == len(numbers)


@pytest.mark.parametrize("first", [(1, 2, 3), (1, 2, 3, 4, 5)], ids=["short", "too many"])
def test_a_second_reading_can_verify(path: Path, first: tuple[int, ...]) -> None:
    """If it receives what is counted, nothing is left to explain."""
    with reading(path, JAN) as load:
        store(load, path, last_page_of(JAN, *first, of=4))
        store(load, path, page_of(JAN, 1, 2, of=4), last_page_of(page(JAN, 2), 3, 4, of=4))

        assert load.parts_left() == []
        assert load.verify() == 0
        assert verified(load) == (1, 4, 4)
        assert load.stats.rows == len(first) + 4
    assert seen(path) == []


def test_only_the_wrong_part_of_a_split_window_is_read_again(path: Path) -> None:
    """The other windows are not."""
    with reading(path, WINTER) as load:
        store(load, path, page_of(WINTER, 1, 2, of=6, then=[page(JAN, 2), FEB]))
        store(load, path, last_page_of(page(JAN, 2), 3, of=4), last_page_of(FEB, 5, 6, of=2))
        assert load.parts_left() == [JAN]

        store(load, path, page_of(JAN, 1, 2, of=4), last_page_of(page(JAN, 2), 3, 4, of=4))
        assert load.verify() == 0
        assert verified(load) == (2, 6, 6)


@pytest.mark.parametrize(
    ("counts", "numbers"),
    [
        ((4, 5), (1, 2, 3, 4)),  # one was added to a page read before
        ((5, 4), (1, 2, 3, 4, 5)),  # one was removed after it was read
        ((4, 6, 5), (1, 2, 3, 4)),
        ((4, 5, 4), (1, 2, 3, 4, 5)),  # one was added, and one removed
        ((4, 5), (1, 2)),  # no count shows what was added and removed between two counts
        ((180, 201), range(99)),
        ((179, 200), range(302)),
    ],
    ids=repr,
)
def test_a_moving_count_explains_a_few_missing(
    path: Path, counts: tuple[int, ...], numbers: Sequence[int]
) -> None:
    """After the second reading a few complaints may be missing, and are counted."""
    *before, last = counts
    with reading(path, JAN) as load:
        for reading_of_it in range(2):
            assert load.parts_left() == [JAN], reading_of_it
            for place, count in enumerate(before, 1):
                store(load, path, page_of(page(JAN, place), *numbers[:-1], of=count))
            store(load, path, last_page_of(page(JAN, len(counts)), numbers[-1], of=last))

        assert load.parts_left() == []
        assert load.verify() == abs(last - len(numbers))
        assert verified(load) == (1, last, len(numbers))
    assert seen(path) == []


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ((4, 4), 3),
        ((4, 4), 5),
        ((49, 50), 1),  # far more than moved
        ((180, 201), 98),  # at most 100 and one in a hundred can move
        ((179, 200), 303),
        ((0, 1_000_000), 300),
    ],
    ids=str,
)
def test_a_difference_without_movement_is_an_error(
    path: Path, counts: tuple[int, int], kept: int
) -> None:
    """After two readings the load fails, with both numbers."""
    opening, closing = counts
    with reading(path, JAN) as load:
        for _ in range(2):
            store(load, path, page_of(JAN, *range(kept - 1), of=opening))
            store(load, path, last_page_of(page(JAN, 2), kept, of=closing))

        assert load.parts_left() == []
        assert verified(load) == (0, 0, 0)
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received) == (closing, kept)
    assert seen(path) == []


@pytest.mark.parametrize("counts", [(3, 4, 4, 4), (3, 3, 4, 4), (4, 4, 3, 4)], ids=str)
def test_a_count_can_move_at_any_time(path: Path, counts: tuple[int, ...]) -> None:
    """Within a reading or between two readings."""
    with reading(path, JAN) as load:
        for opening, closing in (counts[:2], counts[2:]):
            store(
                load, path, page_of(JAN, 1, of=opening), last_page_of(page(JAN, 2), 2, of=closing)
            )

        assert load.parts_left() == []
        assert load.verify() == 2


def test_a_split_is_not_a_movement(path: Path) -> None:
    """The count of fewer days is another count, which explains nothing."""
    week, rest = replace(JAN, until="2026-01-07"), replace(JAN, since="2026-01-08")
    with reading(path, JAN) as load:
        store(load, path, last_page_of(JAN, 1, of=9))
        store(load, path, page_of(JAN, 1, 2, of=9, then=[page(week, 2), rest]))
        store(load, path, last_page_of(page(week, 2), 3, of=4), last_page_of(rest, 5, of=1))

        with pytest.raises(IncompleteLoadError):
            load.verify()


@pytest.mark.parametrize("pages", [[(1, 1), (2,)], [(1, 2), (2,)], [(1, 2, 2, 1), ()]], ids=str)
def test_copies_do_not_count(path: Path, pages: list[tuple[int, ...]]) -> None:
    """A complaint that is received twice does not count for another."""
    first, second = pages
    with reading(path, JAN) as load:
        for _ in range(2):
            store(load, path, page_of(JAN, *first, of=3), last_page_of(page(JAN, 2), *second, of=3))
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
        assert (caught.value.expected, caught.value.received, caught.value.windows) == (3, 2, 1)

    with reading(path, FEB) as load:
        store(load, path, page_of(FEB, *first, of=2), last_page_of(page(FEB, 2), *second, of=2))
        assert load.verify() == 0
        assert verified(load) == (1, 2, 2)


@pytest.mark.parametrize(("numbers", "of"), [((1, 2, 3), 100), ((1, 2), 2)])
def test_a_load_with_a_limit_is_verified(path: Path, numbers: tuple[int, ...], of: int) -> None:
    """With a limit of three, three complaints are expected, or fewer if fewer match."""
    with open_load(path, FakeSource(limit=3, windows=(JAN,))) as load:
        store(load, path, last_page_of(JAN, *numbers, of=of, limit=3))

        assert load.verify() == 0
        assert verified(load) == (1, len(numbers), len(numbers))
        assert load.stats.matching == of


def test_all_windows_are_verified_together(path: Path) -> None:
    """Movements are summed, and one wrong window is enough to fail."""
    with reading(path, JAN, FEB, MAR) as load:
        for _ in range(2):
            store(load, path, page_of(JAN, 1, 2, of=2), last_page_of(page(JAN, 2), of=3))
            store(load, path, page_of(FEB, 3, 4, of=2), last_page_of(page(FEB, 2), of=1))
        store(load, path, last_page_of(MAR, 5, of=1))
        assert load.verify() == 2
        assert verified(load) == (3, 5, 5)

    with reading(path, JAN, FEB) as load:
        store(
            load, path, last_page_of(JAN, 1, of=1), *[last_page_of(FEB, 2, of=2) for _ in range(2)]
        )
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received, caught.value.windows) == (2, 1, 1)


# --- the next run ---------------------------------------------------------------------------


def fail_to_verify(path: Path) -> None:
    """Load two windows, one of which cannot be verified."""
    with reading(path, JAN, FEB) as load:
        store(load, path, last_page_of(FEB, 5, 6, of=2))
        while load.parts_left():
            store(load, path, page_of(JAN, 1, 2, of=4), last_page_of(page(JAN, 2), 3, of=4))
        load.verify()


def test_the_next_run_reads_the_wrong_window_again(path: Path) -> None:
    """Only this one, and the load is complete when it is verified."""
    with pytest.raises(IncompleteLoadError):
        fail_to_verify(path)

    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN]
        assert verified(load) == (1, 2, 2)
        store(load, path, page_of(JAN, 1, 2, of=4), last_page_of(page(JAN, 2), 3, 4, of=4))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert verified(load) == (2, 6, 6)
    assert outcomes(path) == [("complete", None)]
    assert seen(path) == []


def test_every_run_reads_twice(path: Path) -> None:
    """In the next run too a moving count can explain what is missing."""
    for _ in range(2):
        with pytest.raises(IncompleteLoadError):
            fail_to_verify_twice(path)

    with reading(path, JAN) as load:
        for _ in range(2):
            assert load.parts_left() == [JAN]
            store(load, path, page_of(JAN, 1, 2, of=3), last_page_of(page(JAN, 2), 3, of=4))
        assert load.verify() == 1


def fail_to_verify_twice(path: Path) -> None:
    """Load a window that cannot be verified, and is read twice."""
    with reading(path, JAN) as load:
        for _ in range(2):
            assert load.parts_left() == [JAN]
            store(load, path, last_page_of(JAN, 1, of=2))
        assert load.parts_left() == []
        load.verify()


def test_a_run_interrupted_between_two_readings(path: Path) -> None:
    """The next run reads the window once more, and reports it once."""
    interrupt(path, last_page_of(JAN, 1, 2, 3, of=4), last_page_of(FEB, 5, of=1))

    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN]
        assert verified(load) == (1, 1, 1)
        store(load, path, page_of(JAN, 1, 2, of=3), last_page_of(page(JAN, 2), 3, of=4))
        assert load.parts_left() == []
        assert load.verify() == 1
        assert verified(load) == (2, 5, 4)
