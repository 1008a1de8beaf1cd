"""A load is read window by window, and each window proved at its end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.errors import IncompleteLoadError
from cfpb_etl.store.loads import open_load
from support.loads import Asked, break_off, outcomes, seen, store, stored
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


def came(
    at: Page, *numbers: int, of: int, then: Sequence[Part] | None = None, limit: int | None = None
) -> ParsedPart:
    """Make a page of these complaints, where the source counts so many in its window."""
    following = [page(at, at.number + 1)] if then is None else then
    expected = min(of, limit or of)
    return part(*complaints(*numbers), at=at, matching=of, expected=expected, next_parts=following)


def ended(at: Page, *numbers: int, of: int, limit: int | None = None) -> ParsedPart:
    """Make the last page of a window."""
    return came(at, *numbers, of=of, then=(), limit=limit)


@contextmanager
def reading(path: Path, *windows: Page) -> Iterator[Load]:
    """Begin a load of these windows, or go on with it."""
    with open_load(path, Asked(windows=windows)) as load:
        yield load


def proof(load: Load) -> tuple[int, int, int]:
    """Return what a load says of its windows: how many there were, and of what."""
    return load.stats.windows, load.stats.expected, load.stats.received


# --- where a load stands --------------------------------------------------------------------


def test_a_load_begins_with_its_sources_parts(path: Path) -> None:
    """Before anything came every window is left."""
    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN, FEB]


def test_a_window_goes_on_page_by_page(path: Path) -> None:
    """After each page the next is left, after the last none is."""
    with reading(path, JAN) as load:
        store(load, path, came(JAN, 1, 2, of=5))
        assert load.parts_left() == [page(JAN, 2)]
        store(load, path, came(page(JAN, 2), 3, 4, of=5))
        assert load.parts_left() == [page(JAN, 3)]
        assert seen(path) == [1, 2, 3, 4]
        assert proof(load) == (0, 0, 0)

        store(load, path, ended(page(JAN, 3), 5, of=5))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert proof(load) == (1, 5, 5)
    assert seen(path) == []


def test_a_divided_window_is_several(path: Path) -> None:
    """What follows a page may be windows side by side, which end in any order."""
    with reading(path, WINTER) as load:
        store(load, path, came(WINTER, 1, 2, of=7, then=[page(JAN, 2), FEB, MAR]))
        assert load.parts_left() == [page(JAN, 2), FEB, MAR]

        store(load, path, ended(MAR, 7, of=1), came(FEB, 4, 5, of=3))
        assert load.parts_left() == [page(JAN, 2), page(FEB, 2)]
        assert seen(path) == [1, 2, 4, 5]
        with pytest.raises(IncompleteLoadError):
            load.verify()

        store(load, path, ended(page(JAN, 2), 3, of=3), ended(page(FEB, 2), 6, of=3))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert proof(load) == (3, 7, 7)
    assert seen(path) == []


def test_a_window_is_divided_again_and_again(path: Path) -> None:
    """A later page divides what is left of its own window, and no other."""
    later = replace(FEB, until="2026-03-31")
    early, late = replace(FEB, until="2026-02-14"), replace(FEB, since="2026-02-15")
    with reading(path, WINTER) as load:
        store(load, path, came(WINTER, 1, 2, of=9, then=[page(JAN, 2), later]))
        store(load, path, came(later, 3, 4, of=6, then=[page(early, 2), late, MAR]))

        assert load.parts_left() == [page(JAN, 2), page(early, 2), late, MAR]


def test_an_empty_window_is_whole(path: Path) -> None:
    """Days on which nothing was received are proved by nothing."""
    with reading(path, JAN) as load:
        store(load, path, ended(JAN, of=0))

        assert load.parts_left() == []
        assert load.verify() == 0
        assert proof(load) == (1, 0, 0)


def test_each_load_has_its_own_windows(path: Path) -> None:
    """The same days of another load are read again, and proved for themselves."""
    for _ in range(2):
        with reading(path, JAN) as load:
            assert load.parts_left() == [JAN]
            store(load, path, ended(JAN, 1, 2, of=2))
            assert proof(load) == (1, 2, 2)


# --- the proof ------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [(1, 2, 3), (1, 2, 3, 4, 5)], ids=["short", "too many"])
def test_what_is_not_as_counted_is_read_again(path: Path, numbers: tuple[int, ...]) -> None:
    """A window that holds fewer or more than its source counts begins anew, and is not proved."""
    with reading(path, JAN) as load:
        store(load, path, came(JAN, *numbers[:2], of=4), ended(page(JAN, 2), *numbers[2:], of=4))

        assert load.parts_left() == [JAN]
        assert seen(path) == []
        assert proof(load) == (0, 0, 0)
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received) == (4, len(numbers))
    assert len(stored(path)) == len(numbers)


@pytest.mark.parametrize("first", [(1, 2, 3), (1, 2, 3, 4, 5)], ids=["short", "too many"])
def test_a_second_reading_makes_good(path: Path, first: tuple[int, ...]) -> None:
    """Where all that is counted comes at the second reading, nothing is left to explain."""
    with reading(path, JAN) as load:
        store(load, path, ended(JAN, *first, of=4))
        store(load, path, came(JAN, 1, 2, of=4), ended(page(JAN, 2), 3, 4, of=4))

        assert load.parts_left() == []
        assert load.verify() == 0
        assert proof(load) == (1, 4, 4)
        assert load.stats.rows == len(first) + 4
    assert seen(path) == []


def test_a_part_of_a_window_is_read_again(path: Path) -> None:
    """A window that was divided is read again for its own days, and the others are not."""
    with reading(path, WINTER) as load:
        store(load, path, came(WINTER, 1, 2, of=6, then=[page(JAN, 2), FEB]))
        store(load, path, ended(page(JAN, 2), 3, of=4), ended(FEB, 5, 6, of=2))
        assert load.parts_left() == [JAN]

        store(load, path, came(JAN, 1, 2, of=4), ended(page(JAN, 2), 3, 4, of=4))
        assert load.verify() == 0
        assert proof(load) == (2, 6, 6)


@pytest.mark.parametrize(
    ("counts", "numbers"),
    [
        ((4, 5), (1, 2, 3, 4)),  # one arrived behind the walk
        ((5, 4), (1, 2, 3, 4, 5)),  # one was read, and went
        ((4, 6, 5), (1, 2, 3, 4)),
        ((4, 5, 4), (1, 2, 3, 4, 5)),  # one went, another had come
        ((4, 5), (1, 2)),  # of what came and went meanwhile no count tells
        ((180, 201), range(99)),
        ((179, 200), range(302)),
    ],
    ids=repr,
)
def test_what_moved_explains_what_is_missing(
    path: Path, counts: tuple[int, ...], numbers: Sequence[int]
) -> None:
    """At the second reading a window whose count moved may miss a few, which are told."""
    *before, last = counts
    with reading(path, JAN) as load:
        for reading_of_it in range(2):
            assert load.parts_left() == [JAN], reading_of_it
            for place, count in enumerate(before, 1):
                store(load, path, came(page(JAN, place), *numbers[:-1], of=count))
            store(load, path, ended(page(JAN, len(counts)), numbers[-1], of=last))

        assert load.parts_left() == []
        assert load.verify() == abs(last - len(numbers))
        assert proof(load) == (1, last, len(numbers))
    assert seen(path) == []


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        ((4, 4), 3),
        ((4, 4), 5),
        ((49, 50), 1),  # far more than moved
        ((180, 201), 98),  # no day moves more than a hundred, and one in a hundred
        ((179, 200), 303),
        ((0, 1_000_000), 300),
    ],
    ids=str,
)
def test_what_did_not_move_is_missing(path: Path, counts: tuple[int, int], kept: int) -> None:
    """After two readings what nothing explains fails the load, with both numbers."""
    opening, closing = counts
    with reading(path, JAN) as load:
        for _ in range(2):
            store(load, path, came(JAN, *range(kept - 1), of=opening))
            store(load, path, ended(page(JAN, 2), kept, of=closing))

        assert load.parts_left() == []
        assert proof(load) == (0, 0, 0)
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received) == (closing, kept)
    assert seen(path) == []


@pytest.mark.parametrize("counts", [(3, 4, 4, 4), (3, 3, 4, 4), (4, 4, 3, 4)], ids=str)
def test_a_window_may_move_at_any_time(path: Path, counts: tuple[int, ...]) -> None:
    """Whether within a reading or between the two, a count that moved is one of a living source."""
    with reading(path, JAN) as load:
        for opening, closing in (counts[:2], counts[2:]):
            store(load, path, came(JAN, 1, of=opening), ended(page(JAN, 2), 2, of=closing))

        assert load.parts_left() == []
        assert load.verify() == 2


def test_to_be_divided_is_not_to_move(path: Path) -> None:
    """The count of fewer days is another count, which explains nothing that is missing."""
    week, rest = replace(JAN, until="2026-01-07"), replace(JAN, since="2026-01-08")
    with reading(path, JAN) as load:
        store(load, path, ended(JAN, 1, of=9))
        store(load, path, came(JAN, 1, 2, of=9, then=[page(week, 2), rest]))
        store(load, path, ended(page(week, 2), 3, of=4), ended(rest, 5, of=1))

        with pytest.raises(IncompleteLoadError):
            load.verify()


@pytest.mark.parametrize("pages", [[(1, 1), (2,)], [(1, 2), (2,)], [(1, 2, 2, 1), ()]], ids=str)
def test_copies_do_not_count(path: Path, pages: list[tuple[int, ...]]) -> None:
    """A complaint that comes again, on a page or over pages, does not stand for another."""
    first, second = pages
    with reading(path, JAN) as load:
        for _ in range(2):
            store(load, path, came(JAN, *first, of=3), ended(page(JAN, 2), *second, of=3))
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
        assert (caught.value.expected, caught.value.received, caught.value.windows) == (3, 2, 1)

    with reading(path, FEB) as load:
        store(load, path, came(FEB, *first, of=2), ended(page(FEB, 2), *second, of=2))
        assert load.verify() == 0
        assert proof(load) == (1, 2, 2)


@pytest.mark.parametrize(("numbers", "of"), [((1, 2, 3), 100), ((1, 2), 2)])
def test_a_limited_load_is_whole_with_what_was_asked_for(
    path: Path, numbers: tuple[int, ...], of: int
) -> None:
    """Where three are asked for three are the whole, or fewer when no more match."""
    with open_load(path, Asked(limit=3, windows=(JAN,))) as load:
        store(load, path, ended(JAN, *numbers, of=of, limit=3))

        assert load.verify() == 0
        assert proof(load) == (1, len(numbers), len(numbers))
        assert load.stats.matching == of


def test_all_windows_are_proved_together(path: Path) -> None:
    """The load tells of all windows at once: what moved is summed, one that fails is enough."""
    with reading(path, JAN, FEB, MAR) as load:
        for _ in range(2):
            store(load, path, came(JAN, 1, 2, of=2), ended(page(JAN, 2), of=3))
            store(load, path, came(FEB, 3, 4, of=2), ended(page(FEB, 2), of=1))
        store(load, path, ended(MAR, 5, of=1))
        assert load.verify() == 2
        assert proof(load) == (3, 5, 5)

    with reading(path, JAN, FEB) as load:
        store(load, path, ended(JAN, 1, of=1), *[ended(FEB, 2, of=2) for _ in range(2)])
        with pytest.raises(IncompleteLoadError) as caught:
            load.verify()
    assert (caught.value.expected, caught.value.received, caught.value.windows) == (2, 1, 1)


# --- the next run ---------------------------------------------------------------------------


def fail_to_prove(path: Path) -> None:
    """Load two windows, one of which cannot be proved."""
    with reading(path, JAN, FEB) as load:
        store(load, path, ended(FEB, 5, 6, of=2))
        while load.parts_left():
            store(load, path, came(JAN, 1, 2, of=4), ended(page(JAN, 2), 3, of=4))
        load.verify()


def test_what_could_not_be_proved_is_read_by_the_next_run(path: Path) -> None:
    """Only the window at fault is left, and the load is complete when it is proved."""
    with pytest.raises(IncompleteLoadError):
        fail_to_prove(path)

    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN]
        assert proof(load) == (1, 2, 2)
        store(load, path, came(JAN, 1, 2, of=4), ended(page(JAN, 2), 3, 4, of=4))
        assert load.parts_left() == []
        assert load.verify() == 0
        assert proof(load) == (2, 6, 6)
    assert outcomes(path) == [("complete", None)]
    assert seen(path) == []


def test_every_run_reads_twice(path: Path) -> None:
    """A window that could not be proved may be explained by what moved, as in the first run."""
    for _ in range(2):
        with pytest.raises(IncompleteLoadError):
            fail_to_prove_again(path)

    with reading(path, JAN) as load:
        for _ in range(2):
            assert load.parts_left() == [JAN]
            store(load, path, came(JAN, 1, 2, of=3), ended(page(JAN, 2), 3, of=4))
        assert load.verify() == 1


def fail_to_prove_again(path: Path) -> None:
    """Load a window that cannot be proved, and find that it is read twice."""
    with reading(path, JAN) as load:
        for _ in range(2):
            assert load.parts_left() == [JAN]
            store(load, path, ended(JAN, 1, of=2))
        assert load.parts_left() == []
        load.verify()


def test_a_run_broken_off_between_readings_goes_on_with_the_second(path: Path) -> None:
    """What a first reading found wanting is read once more, and reported once."""
    break_off(path, ended(JAN, 1, 2, 3, of=4), ended(FEB, 5, of=1))

    with reading(path, JAN, FEB) as load:
        assert load.parts_left() == [JAN]
        assert proof(load) == (1, 1, 1)
        store(load, path, came(JAN, 1, 2, of=3), ended(page(JAN, 2), 3, of=4))
        assert load.parts_left() == []
        assert load.verify() == 1
        assert proof(load) == (2, 5, 4)
