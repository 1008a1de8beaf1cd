"""What loads and parts did adds up, and is told in words."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.schemas.objects import FlowRun

from cfpb_etl.model.load_stats import LoadStats, how_to_repeat, what_is_kept

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


def test_reports_add_up() -> None:
    """Counts are summed, days spanned, names collected, and the first count of matches stays."""
    assert reduce(add, [FIRST, SECOND, THIRD]) == TOTAL
    assert FIRST + (SECOND + THIRD) == TOTAL


@pytest.mark.parametrize("report", [FIRST, SECOND, THIRD, LoadStats()], ids=str)
def test_a_report_of_nothing_adds_nothing(report: LoadStats) -> None:
    """A load begins with an empty report, from either side."""
    assert LoadStats() + report == report == report + LoadStats()


def test_what_is_neither_new_nor_changed_is_unchanged() -> None:
    """The remainder of what was read is unchanged; what was withdrawn was not read."""
    assert TOTAL.unchanged == 33


def test_a_report_is_told_in_words() -> None:
    """Numbers are grouped, and withdrawals are only spoken of where there are any."""
    report = LoadStats(rows=10_000, new=1234, changed=1)

    assert report.counts == "1,234 inserted, 1 updated, 8,765 unchanged"
    withdrawn = report + LoadStats(withdrawn=2345)
    assert withdrawn.counts == "1,234 inserted, 1 updated, 8,765 unchanged, 2,345 withdrawn"


def test_what_a_person_should_know() -> None:
    """Names are sorted, and there is a line for each thing, in a report of nothing none."""
    report = LoadStats(
        skipped=1_200,
        without_id=3,
        warnings=("line 7 is odd",),
        unknown_columns=frozenset("ba"),
        missing_columns=frozenset(["tags"]),
    )

    assert LoadStats().warnings == []
    assert [line.partition(",")[0] for line in report.warnings] == [
        "CFPB sends what this version has no column for: a",
        "CFPB no longer sends",
        "1",
        "line 7 is odd",
        "Nothing was marked as withdrawn: rejected rows that do not tell their complaint",
    ]
    assert report.warnings[1] == "CFPB no longer sends, so that new complaints lack: tags"


@pytest.mark.parametrize(("limited", "goes_on"), [(True, "starts over"), (False, "goes on from")])
def test_what_is_kept(goes_on: str, *, limited: bool) -> None:
    """What is stored is told, and what the same command makes of it."""
    kept = what_is_kept(1_000, Path("x.db"), limited=limited)

    assert kept.startswith(
        f"Kept: 1,000 complaints in x.db. Run the same command again: it {goes_on}"
    )
    assert what_is_kept(0, Path("x.db"), limited=limited) == "Nothing was stored."


def test_how_a_run_is_repeated() -> None:
    """One that a person started by its command, one of a deployment by Prefect's."""
    run = FlowRun(flow_id=UUID(int=1))
    served = FlowRun(flow_id=UUID(int=1), deployment_id=UUID(int=2))

    assert how_to_repeat(run) == "Run the same command again"
    assert how_to_repeat(served) == f"Run it again with `prefect flow-run retry {served.id}`"
