"""A complaint that its source no longer has is marked as withdrawn, and its row stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.loads import open_load
from support.loads import (
    FakeSource,
    changes,
    interrupt,
    load,
    load_ids,
    query,
    store,
    stored,
    withdrawn,
)
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
    """Make all complaints of a source in the window `DAYS`, received on one day."""
    info = {"days": DAYS, "proves_absence": True} | info
    return part(*complaints(*numbers, date_received=day), as_of=as_of, **info)


def test_an_absent_complaint_is_marked(path: Path) -> None:
    """The mark is the day of the data in which the complaint is missing."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, FakeSource()) as running:
        store(running, path, everything(1, 4, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}
    assert stored(path).keys() == {1, 2, 3, 4}
    assert load_ids(path) == {1: 1, 2: 1, 3: 1, 4: 2}
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
def test_only_complaints_of_the_window_are_marked(
    path: Path,
    day: str | None,
    absent: bool,  # noqa: FBT001
) -> None:
    """A complaint of another day, or without a day, was not requested."""
    load(path, part(complaint(1, date_received=day), as_of=JANUARY))
    load(path, everything(2))

    assert withdrawn(path) == ({1: MARCH} if absent else {})


@pytest.mark.parametrize(
    ("days", "marked"),
    [((None, "2026-01-02"), {1, 2}), (("2026-01-02", None), {2, 3}), ((None, None), {1, 2, 3})],
    ids=str,
)
def test_a_window_can_be_open(
    path: Path, days: tuple[str | None, str | None], marked: Collection[int]
) -> None:
    """A window without a first or last day covers all days before or after."""
    dated = [complaint(n, date_received=f"2026-01-0{n}") for n in (1, 2, 3)]
    load(path, part(*dated, complaint(4), as_of=JANUARY))
    load(path, everything(5, days=days))

    assert withdrawn(path).keys() == marked


def test_an_empty_window_withdraws_all_its_complaints(path: Path) -> None:
    """If the source counts none, all stored complaints of these days are gone."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything())

    assert withdrawn(path) == {1: MARCH, 2: MARCH}


def test_a_window_is_compared_at_its_end(path: Path) -> None:
    """Before its last page nothing is marked."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, FakeSource()) as running:
        store(running, path, everything(1, matching=2, next_parts=[WINDOW]))
        assert withdrawn(path) == {}
        store(running, path, everything(3, matching=2))

    assert withdrawn(path) == {2: MARCH}


def test_each_window_marks_complaints_of_its_own_days(path: Path) -> None:
    """A complaint of another window is not missing in this one."""
    early, late = Page(2, "2026-01-01", "2026-01-15"), Page(2, "2026-01-16", "2026-01-31")

    def window(at: Page, *numbers: int, as_of: str) -> ParsedPart:
        days = at.since, at.until
        return everything(*numbers, day=at.until, at=at, days=days, as_of=as_of)

    load(path, window(early, 1, 2, as_of=JANUARY), window(late, 3, 4, as_of=JANUARY))
    load(path, window(late, 4, as_of=MARCH), window(early, 1, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_a_marked_complaint_is_not_marked_again(path: Path) -> None:
    """The mark stays the first day on which the complaint was missing."""
    load(path, everything(1, 2, as_of=JANUARY))
    for as_of in (MARCH, JUNE):
        load(path, everything(1, as_of=as_of))

    assert withdrawn(path) == {2: MARCH}
    assert changes(path) == [(2, 2, "withdrawn_on", None, MARCH)]
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (1,), (0,)]
    assert load_ids(path) == {1: 1, 2: 1}


def test_a_complaint_that_returns_is_no_longer_marked(path: Path) -> None:
    """This is a change too, and the complaint can be marked again."""
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


def test_any_source_that_has_the_complaint_removes_the_mark(path: Path) -> None:
    """A load with a filter that receives the complaint shows that CFPB has it."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=MARCH))
    load(path, part(complaint(2, date_received="2026-01-15"), as_of=MARCH, columns=["timely"]))

    assert withdrawn(path) == {}


def test_a_load_with_a_filter_marks_nothing(path: Path) -> None:
    """A complaint that is missing may only have changed, and match no longer."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, proves_absence=False))

    assert withdrawn(path) == {}
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (0,)]


def test_a_window_that_is_not_verified_marks_nothing(path: Path) -> None:
    """Neither is anything marked where a moving count explains what is missing."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, FakeSource()) as running:
        store(running, path, everything(1, matching=2))
        assert withdrawn(path) == {}
        assert running.parts_left() == [WINDOW]

        store(running, path, everything(1, matching=1, next_parts=[WINDOW]))
        store(running, path, everything(matching=2))
        assert running.verify() == 1
        assert running.stats.withdrawn == 0

    assert withdrawn(path) == {}


def test_a_complaint_removed_while_it_was_read_is_not_marked(path: Path) -> None:
    """A window with more complaints than its source counts at the end marks others."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, FakeSource()) as running:
        for _ in range(2):
            store(running, path, everything(1, 2, matching=2, next_parts=[WINDOW]))
            store(running, path, everything(matching=1))
        assert running.verify() == 1

    assert withdrawn(path) == {3: MARCH}


def test_the_second_reading_marks(path: Path) -> None:
    """A complaint of the first reading that the second does not have is gone."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, FakeSource()) as running:
        store(running, path, everything(1, 2, matching=1))
        store(running, path, everything(1, matching=1))
        assert running.verify() == 0

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_a_resumed_load_knows_what_it_received_before(path: Path) -> None:
    """Complaints received before the interruption are not missing at the end."""
    load(path, everything(1, 2, 3, as_of=JANUARY), query="{}")
    interrupt(path, everything(1, matching=2, next_parts=[WINDOW]))
    load(path, everything(2, matching=2))

    assert withdrawn(path) == {3: MARCH}


def test_an_older_source_marks_only_older_rows(path: Path) -> None:
    """A complaint that a newer source wrote or found unchanged is not marked."""
    load(path, everything(1, 4, as_of=JANUARY))
    load(path, part(*complaints(1, 2, date_received="2026-01-15"), as_of=JUNE))
    load(path, everything(3, as_of=MARCH))

    assert withdrawn(path) == {4: MARCH}
    assert load_ids(path) == {1: 1, 2: 2, 3: 3, 4: 1}


def test_an_older_source_does_not_remove_a_newer_mark(path: Path) -> None:
    """It can fill gaps in the marked row."""
    known = frozenset(ALL) - {"timely"}
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=JUNE, columns=known))
    older = complaint(2, date_received="2026-01-15", timely="No")
    assert load(path, part(older, as_of=MARCH)) == [(0, 1, 0)]

    assert withdrawn(path) == {2: JUNE}
    assert stored(path)[2]["timely"] == "No"
    assert load_ids(path)[2] == 3
