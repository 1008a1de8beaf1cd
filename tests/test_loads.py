"""The file tells what became of each load, and of which kind it is."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__, schema
from cfpb_etl.database import Load, LoadReport, begin_load, count_complaints, store_part
from cfpb_etl.errors import (
    IncompleteLoadError,
    NotADatabaseError,
    OtherKindError,
)
from loads import MARCH, Asked, Following, complaint, fail, load, outcomes, part, query, stored

if TYPE_CHECKING:
    from pathlib import Path


# --- the record of a load -------------------------------------------------------------------


def test_a_load_is_recorded(path: Path) -> None:
    """Whence, what, when and by which program, from the beginning; the end when it has ended."""
    began = datetime.now(UTC).replace(microsecond=0)
    what = "source, address, query, flow_run_id, program_version, outcome, ended_at"
    with begin_load(path, Asked("bulk"), "a-run") as under_way:
        assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
            ("bulk", Asked.address, '{"state": ["CA"]}', "a-run", __version__, "running", None)
        ]
        assert under_way.id == 1

    [(outcome, failure, started, ended)] = query(
        path, "SELECT outcome, failure, started_at, ended_at FROM load"
    )
    assert (outcome, failure) == ("complete", None)
    assert began <= datetime.fromisoformat(started) <= datetime.fromisoformat(ended)
    assert ended.endswith("+00:00")


def test_progress_is_that_of_the_newest_part(path: Path) -> None:
    """Counts add up over parts; the day is the oldest part's, the rest the last part's."""
    with begin_load(path, Asked()) as under_way:
        first = part(complaint(1), complaint(2), as_of=MARCH, matching=7, following=Following())
        store_part(first, under_way.id, path)
        progress = "SELECT as_of, parts, complaints_read, matching, next_part FROM load"
        assert query(path, progress) == [(MARCH, 1, 2, 7, '{"number": 2}')]
        store_part(
            part(complaint(1), complaint(2, timely="No"), complaint(3), matching=9),
            under_way.id,
            path,
        )

    assert query(path, progress) == [(MARCH, 2, 5, 9, None)]
    assert query(path, "SELECT inserted, updated, unchanged FROM load") == [(3, 1, 1)]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ValueError("page 3 is torn"), ("failed", "page 3 is torn")),
        (TimeoutError(), ("failed", "TimeoutError")),
        (IncompleteLoadError(10, 9), ("failed", str(IncompleteLoadError(10, 9)))),
        (KeyboardInterrupt(), ("interrupted", "KeyboardInterrupt")),
        (SystemExit(143), ("interrupted", "143")),
    ],
    ids=repr,
)
def test_a_load_that_ends_early_says_why(
    path: Path, error: BaseException, ended: tuple[str, str]
) -> None:
    """An error is a failure, Ctrl-C an interruption; what was stored stays, the error goes on."""
    with pytest.raises(type(error)) as caught:
        fail(path, error, part(complaint(1)))

    assert caught.value is error
    assert outcomes(path) == [ended]
    assert query(path, "SELECT ended_at IS NOT NULL FROM load") == [(1,)]
    assert count_complaints(path) == 1


def test_an_error_outweighs_that_its_end_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the file is locked as a load fails, the failure is told, not the lock."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0)
    load(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def lock_and_fail() -> None:
            with begin_load(path, Asked()):
                other.execute("BEGIN IMMEDIATE")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lock_and_fail()
        other.execute("COMMIT")
    assert [outcome for outcome, _ in outcomes(path)] == ["complete", "running"]


def test_an_ended_load_stays_as_it_ended(path: Path) -> None:
    """The next load marks only what was left running."""
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError())
    load(path)
    load(path)

    assert outcomes(path) == [
        ("failed", "ZeroDivisionError"),
        ("complete", None),
        ("complete", None),
    ]


# --- made-up and real -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("sample", "api", "holds made-up complaints, which are never mixed with real ones"),
        ("api", "sample", "holds real complaints, which are never mixed with made-up ones"),
        ("bulk", "sample", "holds real complaints, which are never mixed with made-up ones"),
    ],
)
def test_made_up_and_real_are_never_mixed(path: Path, first: str, second: str, said: str) -> None:
    """The other kind is refused, before a load is recorded, and the file is as it was."""
    load(path, part(complaint(1)), kind=first)

    with pytest.raises(OtherKindError, match=re.escape(said)):
        load(path, part(complaint(2)), kind=second)

    assert stored(path) == {1: {}}
    assert query(path, "SELECT source FROM load") == [(first,)]
    assert load(path, part(complaint(2)), kind=first) == [(1, 0, 0)]


@pytest.mark.parametrize(("first", "second"), [("sample", "api"), ("api", "sample")])
def test_a_load_that_stored_nothing_decides_nothing(path: Path, first: str, second: str) -> None:
    """A file is of a kind once it holds a complaint of it."""
    load(path, part(), kind=first)
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError(), kind=first)

    assert load(path, part(complaint(1)), kind=second) == [(1, 0, 0)]


def test_real_sources_mix(path: Path) -> None:
    """Only made-up complaints are kept apart."""
    load(path, part(complaint(1)), kind="api")

    assert load(path, part(complaint(2)), kind="bulk") == [(1, 0, 0)]


# --- reports --------------------------------------------------------------------------------


def test_a_part_is_reported(path: Path) -> None:
    """What a part did, the days that it spans and what the source said come back as a value."""
    with begin_load(path, Asked()) as under_way:
        store_part(part(complaint(1), complaint(2)), under_way.id, path)
        report = store_part(
            part(
                complaint(1, date_received="2026-05-01"),
                complaint(2),
                complaint(3, date_received="2026-04-01"),
                matching=70,
                unknown=["event_tag"],
            ),
            under_way.id,
            path,
        )

    assert report == LoadReport(
        parts=1,
        rows=3,
        inserted=1,
        updated=1,
        oldest="2026-04-01",
        newest="2026-05-01",
        opening_count=70,
        closing_count=70,
        unknown=frozenset({"event_tag"}),
    )
    assert report.unchanged == 1


def test_reports_add_up() -> None:
    """Counts are summed, days spanned, the first count opens, the last closes, names collect."""
    reports = [
        LoadReport(1, 10, 5, 2, None, None, 0, 0, 1, frozenset("a"), frozenset("x")),
        LoadReport(1, 20, 6, 3, "2026-02-01", "2026-03-01", 8, 8, 2, frozenset()),
        LoadReport(1, 30, 7, 4, "2026-01-01", "2026-02-01", 9, 9, 0, frozenset("b")),
        LoadReport(),
    ]
    total = LoadReport(
        3, 60, 18, 9, "2026-01-01", "2026-03-01", 0, 9, 3, frozenset("ab"), frozenset("x")
    )

    assert reduce(add, reports) == total
    assert reduce(add, reports, LoadReport()) == total
    assert total.unchanged == 33


@pytest.mark.parametrize(
    ("rows", "opening", "closing", "limit"),
    [
        (100, 100, 100, None),
        (101, 100, 100, None),
        (0, 0, 0, None),
        (0, None, None, None),
        (100, 100, 110, None),  # ten came after their place was passed
        (100, 110, 100, None),
        (90, 110, 100, None),
        (50, 100, 100, 50),
        (100, 100, 100, 500),
        (95, 95, 100, 500),
    ],
)
def test_a_whole_load(
    rows: int, opening: int | None, closing: int | None, limit: int | None
) -> None:
    """What the source counts has come, but for as many as its own count moved meanwhile."""
    report = LoadReport(rows=rows, opening_count=opening, closing_count=closing)

    expected = min(closing or 0, limit or closing or 0)
    assert Load(1, limit, report).prove_complete() == expected - min(rows, expected)


@pytest.mark.parametrize(
    ("rows", "opening", "closing", "limit", "expected"),
    [
        (99, 100, 100, None, 100),
        (0, 1, 1, None, 1),
        (99, 100, 110, None, 110),
        (89, 110, 100, None, 100),
        (49, 100, 100, 50, 50),
        (99, 100, 100, 500, 100),
        (10_000, 0, 1_000_000, None, 1_000_000),  # no day moves so many
    ],
)
def test_a_load_that_fell_short(
    rows: int, opening: int, closing: int, limit: int | None, expected: int
) -> None:
    """One complaint less is a failure, with both numbers."""
    report = LoadReport(rows=rows, opening_count=opening, closing_count=closing)

    with pytest.raises(IncompleteLoadError) as caught:
        Load(1, limit, report).prove_complete()

    assert (caught.value.expected, caught.value.read) == (expected, rows)


def test_copies_do_not_count_as_complaints() -> None:
    """A page that repeats one complaint does not pass for a page of as many."""
    report = LoadReport(rows=4, opening_count=4, closing_count=4, repeated=2)

    with pytest.raises(IncompleteLoadError) as caught:
        Load(1, None, report).prove_complete()

    assert caught.value.read == 2


def test_complaints_are_counted(path: Path) -> None:
    """The number of complaints in the file, over all loads."""
    load(path)
    assert count_complaints(path) == 0

    load(path, part(complaint(1), complaint(2), complaint(1)))
    load(path, part(complaint(2), complaint(3)))
    assert count_complaints(path) == 3


def test_what_cannot_be_counted_is_told_by_name(path: Path) -> None:
    """A file that is no database is told as such."""
    path.write_text("Complaint ID,Product\n" * 100, encoding="utf-8")

    with pytest.raises(NotADatabaseError):
        count_complaints(path)
