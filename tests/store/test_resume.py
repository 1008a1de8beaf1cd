"""A load that did not end well is resumed by the next run with the same request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.pages import Page
from cfpb_etl.model.age import Age
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.store.loads import open_load
from support.loads import (
    FakeSource,
    fail,
    interrupt,
    load,
    loading_elsewhere,
    outcomes,
    query,
    seen,
    store,
)
from support.parts import JUNE, WINDOW, complaint, complaints, part

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

SECOND = replace(WINDOW, number=2, after=(2, "2"), before_it=2, left=1)
LATER = Page(2, "2026-02-01", "2026-02-28")


def first_page(**fields: str) -> ParsedPart:
    """Return the first of two pages of a window with three complaints."""
    return part(*complaints(1, 2, **fields), matching=3, next_parts=[SECOND])


def last_page(**fields: str) -> ParsedPart:
    """Return the second page."""
    return part(complaint(3, **fields), at=SECOND, matching=3)


def test_an_interrupted_load_is_resumed(path: Path) -> None:
    """The next run fetches the parts left, adds to the same row, and verifies the whole."""
    interrupt(path, first_page(date_received="2026-01-02"))
    [(started,)] = query(path, "SELECT started_at FROM load")

    with open_load(path, FakeSource(), "second run") as running:
        assert (running.id, running.resumed_at) == (1, started)
        assert running.parts_left() == [SECOND]
        assert running.stats == LoadStats(
            parts=1,
            rows=2,
            new=2,
            oldest="2026-01-02",
            newest="2026-01-02",
            matching=3,
            proves_absence=False,
            age=Age.on(JUNE, "_meta.last_updated"),
        )
        state = "SELECT outcome, failure, ended_at FROM load"
        assert query(path, state) == [("running", None, None)]
        assert seen(path) == [1, 2]

        store(running, path, last_page(date_received="2026-01-03"))
        assert running.verify() == 0

    assert running.stats == LoadStats(
        parts=2,
        rows=3,
        new=3,
        oldest="2026-01-02",
        newest="2026-01-03",
        matching=3,
        windows=1,
        expected=3,
        received=3,
        proves_absence=False,
        today=latest_plausible_day(),
        age=Age.on(JUNE, "_meta.last_updated"),
    )
    assert outcomes(path) == [("complete", None)]
    what = "flow_run_id, started_at, parts, rows, new, oldest, newest"
    assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
        ("second run", started, 2, 3, 3, "2026-01-02", "2026-01-03")
    ]
    assert seen(path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()], ids=repr)
def test_a_failed_load_is_resumed(path: Path, error: BaseException) -> None:
    """A failed load is resumed like an interrupted one."""
    with pytest.raises(type(error)):
        fail(path, error, first_page())

    load(path, last_page())

    assert outcomes(path) == [("complete", None)]
    assert query(path, "SELECT parts, new FROM load") == [(2, 3)]


def test_a_killed_load_is_resumed(path: Path) -> None:
    """The next run finds it still recorded as running."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)
    assert outcomes(path) == [("running", None)]

    with open_load(path, FakeSource()) as running:
        assert (running.id, running.stats.rows) == (1, 1)
    assert outcomes(path) == [("complete", None)]


def test_any_load_records_that_another_was_killed(path: Path) -> None:
    """So does a run with another request."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)

    load(path, query="{}")

    assert outcomes(path) == [("interrupted", "the process died"), ("complete", None)]


def test_only_unfinished_windows_are_left(path: Path) -> None:
    """Windows that were read to their end are not fetched again."""
    early, late = Page(2, "2026-01-01", "2026-01-31"), Page(2, "2026-03-01", "2026-03-31")
    interrupt(
        path,
        part(complaint(1), at=early),
        part(complaint(2), at=LATER, next_parts=[replace(LATER, number=2)]),
        part(next_parts=[late], at=late),
    )

    with open_load(path, FakeSource()) as running:
        assert running.parts_left() == [replace(LATER, number=2), late]
        assert (running.stats.windows, running.stats.expected) == (1, 1)


def test_a_load_can_be_interrupted_many_times(path: Path) -> None:
    """Each run resumes where the one before stopped, with all counts so far."""
    for number in range(1, 5):
        at, following = replace(WINDOW, number=number), replace(WINDOW, number=number + 1)
        interrupt(path, part(complaint(number), at=at, matching=5, next_parts=[following]))

    with open_load(path, FakeSource()) as running:
        assert running.parts_left() == [replace(WINDOW, number=5)]
        store(running, path, part(complaint(5), at=replace(WINDOW, number=5), matching=5))
        assert running.verify() == 0
        assert (running.id, running.stats.parts, running.stats.new) == (1, 5, 5)


def test_a_load_interrupted_after_its_last_page(path: Path) -> None:
    """The next run fetches nothing and only verifies."""
    interrupt(path, first_page(), last_page())

    with open_load(path, FakeSource()) as running:
        assert running.parts_left() == []
        assert running.verify() == 0
    assert outcomes(path) == [("complete", None)]
    report = running.stats
    assert (report.windows, report.expected, report.received) == (1, 3, 3)
    assert not report.proves_absence


def test_counts_are_those_of_all_runs(path: Path) -> None:
    """A resumed load adds to the counts of the runs before."""
    load(path, part(*complaints(1, 2, 3, timely="Yes")), query="{}")
    interrupt(path, first_page(timely="No"))
    load(path, last_page(timely="No"))

    what = "parts, rows, new, changed, unchanged"
    assert query(path, f"SELECT {what} FROM load WHERE load_id = 2") == [(2, 3, 0, 3, 0)]  # noqa: S608


@pytest.mark.parametrize(
    "other",
    [
        {"query": "{}"},
        {"address": "https://other.example/"},
        {"kind": "bulk"},
        {"updates_load_id": 1},
    ],
    ids=str,
)
def test_another_request_starts_a_new_load(path: Path, other: dict[str, object]) -> None:
    """Each load is resumed by its own request to its own source."""
    interrupt(path, first_page())
    interrupt(path, part(complaint(8), next_parts=[SECOND]), **other)
    assert query(path, "SELECT load_id, parts FROM load") == [(1, 1), (2, 1)]

    load(path, last_page())
    load(path, part(complaint(9), at=SECOND), **other)

    assert query(path, "SELECT load_id, parts, new FROM load") == [(1, 2, 3), (2, 2, 2)]
    assert outcomes(path) == [("complete", None)] * 2
    assert seen(path) == []


def test_a_complete_load_is_not_resumed(path: Path) -> None:
    """Nor is an older one that was interrupted with the same request."""
    interrupt(path, first_page())
    load(path, last_page())

    with open_load(path, FakeSource()) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert running.stats == LoadStats()


def test_the_newest_load_of_a_request_is_resumed(path: Path) -> None:
    """An earlier complete load does not matter."""
    load(path, first_page(), last_page())
    interrupt(path, first_page())

    with open_load(path, FakeSource()) as running:
        assert running.id == 2
        assert running.parts_left() == [SECOND]


def test_a_load_without_parts_is_not_resumed(path: Path) -> None:
    """The next run starts a load of its own."""
    interrupt(path)

    with open_load(path, FakeSource()) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]


def test_a_load_with_a_limit_is_not_resumed(path: Path) -> None:
    """The newest complaints are others by then; the old checkpoints are deleted."""
    interrupt(path, first_page(), limit=3)
    assert seen(path) == [1, 2]

    with open_load(path, FakeSource(limit=3)) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert seen(path) == []


def test_a_load_can_be_restarted(path: Path) -> None:
    """With `restart` a run starts over, and the interrupted load is never resumed."""
    interrupt(path, first_page())

    with open_load(path, FakeSource(), restart=True) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert seen(path) == []
        assert query(path, "SELECT DISTINCT load_id FROM load_part") == [(2,)]
        store(running, path, first_page(), last_page())
        assert running.verify() == 0

    assert outcomes(path) == [("interrupted", "KeyboardInterrupt"), ("complete", None)]
    with open_load(path, FakeSource(), restart=True) as running:
        assert running.id == 3


def test_after_a_restart_without_parts_nothing_is_resumed(path: Path) -> None:
    """The checkpoints of the interrupted load were deleted."""
    interrupt(path, first_page())
    with open_load(path, FakeSource(), restart=True):
        pass

    with open_load(path, FakeSource()) as running:
        assert running.id == 3
        assert running.parts_left() == [WINDOW]
