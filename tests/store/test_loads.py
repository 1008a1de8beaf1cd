"""Each load is recorded: what it asked for, and how it ended."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__
from cfpb_etl.store import sqlite_file
from cfpb_etl.store.errors import IncompleteLoadError, OtherKindError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.sqlite_file import count_complaints
from support.loads import FakeSource, fail, load, outcomes, query, stored
from support.parts import complaint, part

if TYPE_CHECKING:
    from pathlib import Path

# --- the record of a load -------------------------------------------------------------------


def test_a_load_is_recorded(path: Path) -> None:
    """Its source, request, program and start are stored at once, and its end at the end."""
    began = datetime.now(UTC).replace(microsecond=0)
    what = "source, address, query, flow_run_id, program_version, outcome, ended_at"
    with open_load(path, FakeSource("bulk"), "a-run") as running:
        assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
            ("bulk", FakeSource.address, FakeSource.query, "a-run", __version__, "running", None)
        ]
        assert running.id == 1

    [(outcome, failure, started, ended)] = query(
        path, "SELECT outcome, failure, started_at, ended_at FROM load"
    )
    assert (outcome, failure) == ("complete", None)
    assert began <= datetime.fromisoformat(started) <= datetime.fromisoformat(ended)
    assert ended.endswith("+00:00")


def test_a_limit_and_an_update_are_recorded(path: Path) -> None:
    """The row has the limit, and the load that an update repeats."""
    load(path)
    load(path, limit=5)
    load(path, updates_load_id=1)

    assert query(path, "SELECT row_limit, updates_load_id FROM load") == [
        (None, None),
        (5, None),
        (None, 1),
    ]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ValueError("page 3 is torn"), ("failed", "page 3 is torn")),
        (TimeoutError(), ("failed", "TimeoutError")),
        (
            IncompleteLoadError(expected=10, received=9, windows=1),
            ("failed", str(IncompleteLoadError(expected=10, received=9, windows=1))),
        ),
        (KeyboardInterrupt(), ("interrupted", "KeyboardInterrupt")),
        (SystemExit(143), ("interrupted", "143")),
    ],
    ids=repr,
)
def test_a_load_that_ends_early_records_why(
    path: Path, error: BaseException, ended: tuple[str, str]
) -> None:
    """Errors and Ctrl-C are recorded and raised again; stored parts stay."""
    with pytest.raises(type(error)) as caught:
        fail(path, error, part(complaint(1)))

    assert caught.value is error
    assert outcomes(path) == [ended]
    assert query(path, "SELECT ended_at IS NOT NULL FROM load") == [(1,)]
    assert count_complaints(path) == 1


def test_an_error_is_raised_also_if_it_cannot_be_recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file is locked when a load fails, the first error is raised."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0)
    load(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def lock_and_fail() -> None:
            with open_load(path, FakeSource()):
                other.execute("BEGIN IMMEDIATE")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lock_and_fail()
        other.execute("COMMIT")
    assert [outcome for outcome, _ in outcomes(path)] == ["complete", "running"]


def test_an_ended_load_stays_as_it_ended(path: Path) -> None:
    """The next load only changes the outcome of loads that were left running."""
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
def test_sample_and_real_complaints_are_never_mixed(
    path: Path, first: str, second: str, said: str
) -> None:
    """The other kind is refused before a load is recorded, and the file stays as it was."""
    load(path, part(complaint(1)), kind=first)

    with pytest.raises(OtherKindError, match=re.escape(said)):
        load(path, part(complaint(2)), kind=second)

    assert stored(path) == {1: {}}
    assert query(path, "SELECT source FROM load") == [(first,)]
    assert load(path, part(complaint(2)), kind=first) == [(1, 0, 0)]


@pytest.mark.parametrize(("first", "second"), [("sample", "api"), ("api", "sample")])
def test_a_load_without_complaints_does_not_fix_the_kind(
    path: Path, first: str, second: str
) -> None:
    """A file has a kind once it holds a complaint."""
    load(path, part(), kind=first)
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError(), kind=first)

    assert load(path, part(complaint(1)), kind=second) == [(1, 0, 0)]


def test_real_sources_can_be_mixed(path: Path) -> None:
    """Only made-up complaints are kept apart."""
    load(path, part(complaint(1)), kind="api")

    assert load(path, part(complaint(2)), kind="bulk") == [(1, 0, 0)]
