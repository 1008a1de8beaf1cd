"""What loads and parts did adds up, and is told in words."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest

from cfpb_etl.load_report import LoadReport

FIRST = LoadReport(
    parts=1,
    rows=10,
    inserted=5,
    updated=2,
    matching=0,
    windows=1,
    expected=9,
    kept=8,
    unknown=frozenset("a"),
    missing=frozenset("x"),
)
SECOND = LoadReport(
    parts=1,
    rows=20,
    inserted=6,
    updated=3,
    withdrawn=4,
    oldest="2026-02-01",
    newest="2026-03-01",
    matching=8,
    proves_absence=False,
)
THIRD = LoadReport(
    parts=1,
    rows=30,
    inserted=7,
    updated=4,
    withdrawn=1,
    oldest="2026-01-01",
    newest="2026-02-01",
    matching=9,
    windows=2,
    expected=50,
    kept=50,
    unknown=frozenset("b"),
)
TOTAL = LoadReport(
    parts=3,
    rows=60,
    inserted=18,
    updated=9,
    withdrawn=5,
    oldest="2026-01-01",
    newest="2026-03-01",
    matching=0,
    windows=3,
    expected=59,
    kept=58,
    proves_absence=False,
    unknown=frozenset("ab"),
    missing=frozenset("x"),
)


def test_reports_add_up() -> None:
    """Counts are summed, days spanned, names collected, and the first count of matches stays."""
    assert reduce(add, [FIRST, SECOND, THIRD]) == TOTAL
    assert FIRST + (SECOND + THIRD) == TOTAL


@pytest.mark.parametrize("report", [FIRST, SECOND, THIRD, LoadReport()], ids=str)
def test_a_report_of_nothing_adds_nothing(report: LoadReport) -> None:
    """A load begins with an empty report, from either side."""
    assert LoadReport() + report == report == report + LoadReport()


def test_what_is_neither_new_nor_changed_is_unchanged() -> None:
    """The remainder of what was read is unchanged; what was withdrawn was not read."""
    assert TOTAL.unchanged == 33


def test_a_report_is_told_in_words() -> None:
    """Numbers are grouped, and withdrawals are only spoken of where there are any."""
    report = LoadReport(rows=10_000, inserted=1234, updated=1)

    assert report.counts == "1,234 inserted, 1 updated, 8,765 unchanged"
    withdrawn = report + LoadReport(withdrawn=2345)
    assert withdrawn.counts == "1,234 inserted, 1 updated, 8,765 unchanged, 2,345 withdrawn"
