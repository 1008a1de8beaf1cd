"""Stats of loads and parts can be added."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest

from cfpb_etl.model.load_stats import MAX_WARNINGS, LoadStats

FIRST = LoadStats(
    parts=1,
    rows=10,
    new=5,
    changed=2,
    matching=0,
    windows=1,
    expected=9,
    received=8,
    unknown_columns=frozenset("a"),
    missing_columns=frozenset("x"),
)
SECOND = LoadStats(
    parts=1,
    rows=20,
    new=6,
    changed=3,
    withdrawn=4,
    oldest="2026-02-01",
    newest="2026-03-01",
    matching=8,
    proves_absence=False,
)
THIRD = LoadStats(
    parts=1,
    rows=30,
    new=7,
    changed=4,
    withdrawn=1,
    oldest="2026-01-01",
    newest="2026-02-01",
    matching=9,
    windows=2,
    expected=50,
    received=50,
    unknown_columns=frozenset("b"),
)
TOTAL = LoadStats(
    parts=3,
    rows=60,
    new=18,
    changed=9,
    withdrawn=5,
    oldest="2026-01-01",
    newest="2026-03-01",
    matching=0,
    windows=3,
    expected=59,
    received=58,
    proves_absence=False,
    unknown_columns=frozenset("ab"),
    missing_columns=frozenset("x"),
)


def test_stats_can_be_added() -> None:
    """Counts are summed, day ranges and names are joined, and the first count of matches stays."""
    assert reduce(add, [FIRST, SECOND, THIRD]) == TOTAL
    assert FIRST + (SECOND + THIRD) == TOTAL


@pytest.mark.parametrize("stats", [FIRST, SECOND, THIRD, LoadStats()], ids=str)
def test_empty_stats_are_neutral(stats: LoadStats) -> None:
    """A load starts with empty stats; adding them changes nothing, on either side."""
    assert LoadStats() + stats == stats == stats + LoadStats()


def test_unchanged_is_the_rest_of_the_rows() -> None:
    """Rows that are not new, changed, skipped or not applied are unchanged."""
    assert TOTAL.unchanged == 33
    assert (TOTAL + LoadStats(rows=5, skipped=2, not_applied=1)).unchanged == 35


def test_only_the_first_warnings_are_kept() -> None:
    """A file with a million odd rows does not fill the memory."""
    many = LoadStats(warnings=tuple(f"line {number}" for number in range(15)))

    assert (many + many).warnings == ((many.warnings or ()) * 2)[:MAX_WARNINGS]
    assert (LoadStats() + LoadStats()).warnings is None
