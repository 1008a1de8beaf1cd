"""What a source no longer has is marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.loads import open_load
from support.loads import Asked, break_off, changes, load, load_ids, query, store, stored, withdrawn
from support.parts import ALL, JANUARY, JUNE, MARCH, WINDOW, complaint, complaints, part

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

DAYS = ("2026-01-10", "2026-01-20")
SPRING = "2026-04-30"


def everything(
    *numbers: int, day: str | None = "2026-01-15", as_of: str = MARCH, **info: Any
) -> ParsedPart:
    """Make all complaints that a source has of `DAYS`, each received on this one."""
    info = {"days": DAYS, "proves_absence": True} | info
    return part(*complaints(*numbers, date_received=day), as_of=as_of, **info)


def test_what_is_absent_is_marked(path: Path) -> None:
    """What the source no longer has keeps its row, with the day of the data that lack it."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, 4, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}
    assert stored(path).keys() == {1, 2, 3, 4}
    assert load_ids(path) == {1: 1, 2: 2, 3: 2, 4: 2}
    assert changes(path) == [
        (2, 2, "withdrawn_on", None, MARCH),
        (3, 2, "withdrawn_on", None, MARCH),
    ]
    assert (running.stats.withdrawn, running.stats.new) == (2, 1)
    assert query(path, "SELECT withdrawn, new, changed, unchanged FROM load") == [
        (0, 3, 0, 0),
        (2, 1, 0, 1),
    ]


@pytest.mark.parametrize(
    ("day", "absent"),
    [
        (DAYS[0], True),
        (DAYS[1], True),
        ("2026-01-09", False),
        ("2026-01-21", False),
        (None, False),
    ],
)
def test_only_the_days_that_were_read_are_looked_at(
    path: Path,
    day: str | None,
    absent: bool,  # noqa: FBT001
) -> None:
    """A complaint of another day, or of none, was not asked for."""
    load(path, part(complaint(1, date_received=day), as_of=JANUARY))
    load(path, everything(2))

    assert withdrawn(path) == ({1: MARCH} if absent else {})


@pytest.mark.parametrize(
    ("days", "marked"),
    [((None, "2026-01-02"), {1, 2}), (("2026-01-02", None), {2, 3}), ((None, None), {1, 2, 3})],
    ids=str,
)
def test_days_may_be_open(
    path: Path, days: tuple[str | None, str | None], marked: Collection[int]
) -> None:
    """Where no first or last day bounds the window, all days before or after are looked at."""
    dated = [complaint(n, date_received=f"2026-01-0{n}") for n in (1, 2, 3)]
    load(path, part(*dated, complaint(4), as_of=JANUARY))
    load(path, everything(5, days=days))

    assert withdrawn(path).keys() == marked


def test_an_empty_answer_may_withdraw_all(path: Path) -> None:
    """Where the source counts nothing in days that held complaints, they are gone."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything())

    assert withdrawn(path) == {1: MARCH, 2: MARCH}


def test_all_pages_of_a_window_count(path: Path) -> None:
    """Only at its end is it known what a window does not hold."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, matching=2, next_parts=[WINDOW]))
        assert withdrawn(path) == {}
        store(running, path, everything(3, matching=2))

    assert withdrawn(path) == {2: MARCH}


def test_each_window_answers_for_its_own_days(path: Path) -> None:
    """What another window holds is not missed in this one, and the other way round."""
    early, late = Page(2, "2026-01-01", "2026-01-15"), Page(2, "2026-01-16", "2026-01-31")

    def window(at: Page, *numbers: int, as_of: str) -> ParsedPart:
        days = at.since, at.until
        return everything(*numbers, day=at.until, at=at, days=days, as_of=as_of)

    load(path, window(early, 1, 2, as_of=JANUARY), window(late, 3, 4, as_of=JANUARY))
    load(path, window(late, 4, as_of=MARCH), window(early, 1, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_what_is_marked_is_not_marked_again(path: Path) -> None:
    """The day stays that on which it was first missed."""
    load(path, everything(1, 2, as_of=JANUARY))
    for as_of in (MARCH, JUNE):
        load(path, everything(1, as_of=as_of))

    assert withdrawn(path) == {2: MARCH}
    assert changes(path) == [(2, 2, "withdrawn_on", None, MARCH)]
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (1,), (0,)]
    assert load_ids(path) == {1: 1, 2: 2}


def test_what_comes_again_is_no_longer_marked(path: Path) -> None:
    """A complaint that returns is updated, which is remembered, and may go again."""
    for numbers, as_of in (((1, 2), JANUARY), ((1,), MARCH), ((1, 2), SPRING), ((1,), JUNE)):
        load(path, everything(*numbers, as_of=as_of))

    assert withdrawn(path) == {2: JUNE}
    assert changes(path) == [
        (2, 2, "withdrawn_on", None, MARCH),
        (2, 3, "withdrawn_on", MARCH, None),
        (2, 4, "withdrawn_on", None, JUNE),
    ]
    assert query(path, "SELECT changed, unchanged, withdrawn FROM load") == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1, 0),
        (0, 1, 1),
    ]


def test_any_source_that_has_it_takes_the_mark_back(path: Path) -> None:
    """Also a filtered load that meets the complaint shows that it is there."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=MARCH))
    load(path, part(complaint(2, date_received="2026-01-15"), as_of=MARCH, columns=["timely"]))

    assert withdrawn(path) == {}


def test_under_a_filter_nothing_is_marked(path: Path) -> None:
    """Where absence proves nothing a complaint may only have changed, and match no more."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, proves_absence=False))

    assert withdrawn(path) == {}
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (0,)]


def test_a_window_that_is_not_proved_marks_nothing(path: Path) -> None:
    """Neither what fell short, nor what is explained by movement, shows that something is gone."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, matching=2))
        assert withdrawn(path) == {}
        assert running.parts_left() == [WINDOW]

        store(running, path, everything(1, matching=1, next_parts=[WINDOW]))
        store(running, path, everything(matching=2))
        assert running.verify() == 1
        assert running.stats.withdrawn == 0

    assert withdrawn(path) == {}


def test_what_went_while_it_was_read_is_not_marked(path: Path) -> None:
    """A window that holds more than its source counts in the end marks the others."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        for _ in range(2):
            store(running, path, everything(1, 2, matching=2, next_parts=[WINDOW]))
            store(running, path, everything(matching=1))
        assert running.verify() == 1

    assert withdrawn(path) == {3: MARCH}


def test_the_second_reading_marks(path: Path) -> None:
    """What the first reading had seen, and the second has not, is gone."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, 2, matching=1))
        store(running, path, everything(1, matching=1))
        assert running.verify() == 0

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_a_load_that_goes_on_remembers_what_it_saw(path: Path) -> None:
    """What came before a load was broken off is not missed at its end."""
    load(path, everything(1, 2, 3, as_of=JANUARY), query="{}")
    break_off(path, everything(1, matching=2, next_parts=[WINDOW]))
    load(path, everything(2, matching=2))

    assert withdrawn(path) == {3: MARCH}


def test_an_older_source_marks_only_what_is_older_still(path: Path) -> None:
    """What a newer source wrote is there, whatever an older one had."""
    load(path, everything(1, as_of=JANUARY))
    load(path, everything(1, 2, as_of=JUNE))
    load(path, everything(3, as_of=MARCH))

    assert withdrawn(path) == {1: MARCH}
    assert load_ids(path) == {1: 3, 2: 2, 3: 3}


def test_an_older_source_does_not_take_a_newer_mark_back(path: Path) -> None:
    """That an older source still had it says nothing; it may fill what is empty."""
    known = frozenset(ALL) - {"timely"}
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=JUNE, columns=known))
    older = complaint(2, date_received="2026-01-15", timely="No")
    assert load(path, part(older, as_of=MARCH)) == [(0, 1, 0)]

    assert withdrawn(path) == {2: JUNE}
    assert stored(path)[2]["timely"] == "No"
    assert load_ids(path)[2] == 2
