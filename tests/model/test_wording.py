"""Sentences about a load."""

from __future__ import annotations

from pathlib import Path

import pytest

from cfpb_etl.model import dates, wording
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.wording import (
    counts,
    days_received,
    part_reason,
    request_in_words,
    rows_of_files,
    verified,
    warnings,
    what_is_saved,
)


@pytest.mark.parametrize(
    ("source", "query", "limit", "text"),
    [
        ("bulk", "{}", None, "CFPB's daily file"),
        ("archive", '{"files": ["a.zip"]}', None, "CFPB's archive of narratives"),
        ("api", "{}", None, "all complaints"),
        ("api", '{"limit": 1000}', 1_000, "the newest 1,000"),
        ("sample", '{"state": ["CA", "NY"], "limit": 5}', 5, "the newest 5, state CA or NY"),
        ("api", '{"since": "2026-10-01"}', None, "since 2026-10-01"),
    ],
)
def test_a_request_in_words(source: str, query: str, limit: int | None, text: str) -> None:
    """A person never reads the JSON of a query."""
    assert request_in_words(source, query, limit) == text


def test_a_request_for_parts() -> None:
    """A file with a part of all complaints is never called CFPB's daily file."""
    assert request_in_words("bulk", "{}", None, is_part=True) == (
        "files with a part of all complaints"
    )
    assert request_in_words("api", "{}", None, is_part=True) == "all complaints"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            "its days start on 2020-01-10",
            "a part: its days start on 2020-01-10 (use --whole if it has all)",
        ),
        ("--partial", "a part, because of --partial"),
    ],
)
def test_part_reason(reason: str, text: str) -> None:
    """The line says what to do if the program is wrong, unless the user has decided."""
    assert part_reason(LoadStats(part_reason=reason)) == text


def test_values_that_were_not_applied() -> None:
    """The warning names the option that applies them."""
    (warning,) = warnings(LoadStats(values_not_applied=2, uncertain=2))

    assert "2 differing values" in warning
    assert "--as-of DATE" in warning


def test_a_clock_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning shows the clock's day, and says what to do."""
    for module in (dates, wording):
        monkeypatch.setattr(module, "clock_day", lambda: "2026-11-01")

    assert warnings(LoadStats(today="2026-11-02")) == []
    (warning,) = warnings(LoadStats(today="2026-11-27"))
    assert "it shows 2026-11-01" in warning
    assert "Days until 2026-11-27" in warning
    assert warning.endswith("Set the clock.")


def test_counts() -> None:
    """Numbers are grouped, and rare counts are named only where there are any."""
    stats = LoadStats(rows=10_000, new=1234, changed=1)

    assert counts(stats) == "1,234 new, 1 changed, 8,765 unchanged"
    withdrawn = stats + LoadStats(withdrawn=2345)
    assert counts(withdrawn) == "1,234 new, 1 changed, 8,765 unchanged, 2,345 withdrawn"


def test_counts_name_complaints_that_were_not_applied() -> None:
    """A value that was not applied is never counted as unchanged."""
    stats = LoadStats(rows=10, new=1, changed=2, not_applied=3, skipped=1, rejected=5)

    assert counts(stats) == "1 new, 2 changed, 3 unchanged, 3 not applied, 1 skipped, 5 rejected"


def test_days_received() -> None:
    """Days in the future are not the last day."""
    stats = LoadStats(oldest="2026-10-01", newest="2026-10-07")

    assert days_received(stats) == "2026-10-01 to 2026-10-07"
    assert days_received(LoadStats(oldest="2062-03-04")) == "only days in the future"


@pytest.mark.parametrize(
    ("windows", "text"), [(1, "59 of 60"), (2, "59 of 60 (in 2 date windows)")]
)
def test_verified(windows: int, text: str) -> None:
    """The received complaints stand beside those that the source counts."""
    assert verified(LoadStats(windows=windows, expected=60, received=59)) == text


@pytest.mark.parametrize(
    ("stats", "text"),
    [
        (LoadStats(rows=1_000), "1,000 read"),
        (
            LoadStats(rows=60, duplicates=1, rejected=2, skipped=3),
            "62 read (1 duplicate, 2 rejected rows, 3 skipped complaints)",
        ),
        (LoadStats(rows=60, repeated_headers=1), "61 read (1 repeated header)"),
    ],
)
def test_rows_of_files(stats: LoadStats, text: str) -> None:
    """Each row of a file is accounted for."""
    assert rows_of_files(stats) == text


def test_warnings() -> None:
    """Names are sorted, there is one line for each problem, and empty stats have no warning."""
    stats = LoadStats(
        skipped=1_200,
        values_not_applied=5,
        uncertain=3,
        after_today=4,
        without_id=3,
        warnings=("line 7 is odd",),
        unknown_columns=frozenset("ba"),
        missing_columns=frozenset(["tags"]),
    )

    assert warnings(LoadStats()) == []
    assert [line.partition(",")[0].partition(":")[0] for line in warnings(stats)] == [
        "CFPB sends unknown columns",
        "These columns are missing",
        "Skipped 1",
        "Left 2 values as stored",
        "Did not apply 3 differing values",
        "Stored 4 complaints with a day in the future",
        "line 7 is odd",
        "Marked no complaint as withdrawn",
    ]
    assert warnings(stats)[0] == "CFPB sends unknown columns: a, b"


@pytest.mark.parametrize(("limited", "next_run"), [(True, "to start over"), (False, "to resume")])
def test_what_is_saved(next_run: str, *, limited: bool) -> None:
    """The line says what is stored, and what the same command does next."""
    saved = what_is_saved(1_000, Path("x.db"), limited=limited)

    assert saved == (f"1,000 complaints are saved in x.db. Run the same command again {next_run}.")
    assert what_is_saved(0, Path("x.db"), limited=limited) == "Nothing was stored."
