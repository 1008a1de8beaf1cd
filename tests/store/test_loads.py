"""The file tells what became of each load, and the next goes on where one did not end well."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__
from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.fetch.pages import Page
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.query import Query
from cfpb_etl.store import sqlite_file as schema
from cfpb_etl.store.errors import IncompleteLoadError, OtherKindError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.sqlite_file import count_complaints
from support.loads import (
    WINDOW,
    Asked,
    break_off,
    complaint,
    complaints,
    fail,
    load,
    loading_elsewhere,
    outcomes,
    part,
    query,
    seen,
    store,
    stored,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart


# --- the record of a load -------------------------------------------------------------------


def test_a_load_is_recorded(path: Path) -> None:
    """Whence, what, when and by which program, from the beginning; the end when it has ended."""
    began = datetime.now(UTC).replace(microsecond=0)
    what = "source, address, query, flow_run_id, program_version, outcome, ended_at"
    with open_load(path, Asked("bulk"), "a-run") as running:
        assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
            ("bulk", Asked.address, Asked.query, "a-run", __version__, "running", None)
        ]
        assert running.id == 1

    [(outcome, failure, started, ended)] = query(
        path, "SELECT outcome, failure, started_at, ended_at FROM load"
    )
    assert (outcome, failure) == ("complete", None)
    assert began <= datetime.fromisoformat(started) <= datetime.fromisoformat(ended)
    assert ended.endswith("+00:00")


def test_what_a_load_is_for_is_recorded(path: Path) -> None:
    """A limit, and the load that is brought up to date, stand in its row."""
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
            with open_load(path, Asked()):
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


# --- a load that did not end well -----------------------------------------------------------

SECOND = replace(WINDOW, number=2, after=(2, "2"), before_it=2, left=1)
LATER = Page(2, "2026-02-01", "2026-02-28")


def first_page(**fields: str) -> ParsedPart:
    """Return the first of two pages of a window that holds three complaints."""
    return part(*complaints(1, 2, **fields), matching=3, next_parts=[SECOND])


def last_page(**fields: str) -> ParsedPart:
    """Return the page after it."""
    return part(complaint(3, **fields), at=SECOND, matching=3)


def test_a_load_that_was_broken_off_goes_on(path: Path) -> None:
    """The next run asks for what is left, adds to the same row, and proves the whole."""
    break_off(path, first_page(date_received="2026-01-02"))
    [(started,)] = query(path, "SELECT started_at FROM load")

    with open_load(path, Asked(), "second run") as running:
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
    )
    assert outcomes(path) == [("complete", None)]
    what = "flow_run_id, started_at, parts, rows, new, oldest, newest"
    assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
        ("second run", started, 2, 3, 3, "2026-01-02", "2026-01-03")
    ]
    assert seen(path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError()], ids=repr)
def test_however_a_load_failed_it_goes_on(path: Path, error: BaseException) -> None:
    """A failure is gone on with as an interruption is."""
    with pytest.raises(type(error)):
        fail(path, error, first_page())

    load(path, last_page())

    assert outcomes(path) == [("complete", None)]
    assert query(path, "SELECT parts, new FROM load") == [(2, 3)]


def test_a_killed_load_goes_on(path: Path) -> None:
    """What was left running is found so by the next run, which goes on with it."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)
    assert outcomes(path) == [("running", None)]

    with open_load(path, Asked()) as running:
        assert (running.id, running.stats.rows) == (1, 1)
    assert outcomes(path) == [("complete", None)]


def test_a_killed_load_is_marked_by_any_other(path: Path) -> None:
    """Also a run that asks for something else says what became of it."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)

    load(path, query="{}")

    assert outcomes(path) == [("interrupted", "the process died"), ("complete", None)]


def test_parts_left_are_those_not_at_their_end(path: Path) -> None:
    """Of several windows those that are whole are not asked for again."""
    early, late = Page(2, "2026-01-01", "2026-01-31"), Page(2, "2026-03-01", "2026-03-31")
    break_off(
        path,
        part(complaint(1), at=early),
        part(complaint(2), at=LATER, next_parts=[replace(LATER, number=2)]),
        part(next_parts=[late], at=late),
    )

    with open_load(path, Asked()) as running:
        assert running.parts_left() == [replace(LATER, number=2), late]
        assert (running.stats.windows, running.stats.expected) == (1, 1)


def test_a_load_may_be_broken_off_again_and_again(path: Path) -> None:
    """Each run goes on where the one before stopped, with all counts so far."""
    for number in range(1, 5):
        at, following = replace(WINDOW, number=number), replace(WINDOW, number=number + 1)
        break_off(path, part(complaint(number), at=at, matching=5, next_parts=[following]))

    with open_load(path, Asked()) as running:
        assert running.parts_left() == [replace(WINDOW, number=5)]
        store(running, path, part(complaint(5), at=replace(WINDOW, number=5), matching=5))
        assert running.verify() == 0
        assert (running.id, running.stats.parts, running.stats.new) == (1, 5, 5)


def test_a_load_broken_off_before_its_end_asks_for_nothing(path: Path) -> None:
    """Where all had come, the next run has but to prove it."""
    break_off(path, first_page(), last_page())

    with open_load(path, Asked()) as running:
        assert running.parts_left() == []
        assert running.verify() == 0
    assert outcomes(path) == [("complete", None)]
    report = running.stats
    assert (report.windows, report.expected, report.received) == (1, 3, 3)
    assert not report.proves_absence


def test_what_was_read_before_the_break_is_updated_after_it(path: Path) -> None:
    """All counts of a load are those of its runs together."""
    load(path, part(*complaints(1, 2, 3, timely="Yes")), query="{}")
    break_off(path, first_page(timely="No"))
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
def test_a_load_that_asks_for_something_else_begins_anew(
    path: Path, other: dict[str, object]
) -> None:
    """Only the same query to the same source goes on; each is found again by its own."""
    break_off(path, first_page())
    break_off(path, part(complaint(8), next_parts=[SECOND]), **other)
    assert query(path, "SELECT load_id, parts FROM load") == [(1, 1), (2, 1)]

    load(path, last_page())
    load(path, part(complaint(9), at=SECOND), **other)

    assert query(path, "SELECT load_id, parts, new FROM load") == [(1, 2, 3), (2, 2, 2)]
    assert outcomes(path) == [("complete", None)] * 2
    assert seen(path) == []


def test_a_complete_load_is_not_gone_on_with(path: Path) -> None:
    """What has ended well is asked for anew, also where an older load had not."""
    break_off(path, first_page())
    load(path, last_page())

    with open_load(path, Asked()) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert running.stats == LoadStats()


def test_the_newest_load_of_a_query_is_gone_on_with(path: Path) -> None:
    """That the same was loaded well before does not matter."""
    load(path, first_page(), last_page())
    break_off(path, first_page())

    with open_load(path, Asked()) as running:
        assert running.id == 2
        assert running.parts_left() == [SECOND]


def test_a_load_that_stored_nothing_is_not_gone_on_with(path: Path) -> None:
    """Where no part came there is nothing to go on from."""
    break_off(path)

    with open_load(path, Asked()) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]


def test_a_limited_load_is_not_gone_on_with(path: Path) -> None:
    """The newest complaints are others by now; what is remembered of the first run is let go."""
    break_off(path, first_page(), limit=3)
    assert seen(path) == [1, 2]

    with open_load(path, Asked(limit=3)) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert seen(path) == []


def test_a_load_may_be_restarted(path: Path) -> None:
    """When asked to, a run begins anew, and the load that was broken off is never gone on with."""
    break_off(path, first_page())

    with open_load(path, Asked(), restart=True) as running:
        assert (running.id, running.resumed_at) == (2, None)
        assert running.parts_left() == [WINDOW]
        assert seen(path) == []
        assert query(path, "SELECT DISTINCT load_id FROM load_part") == [(2,)]
        store(running, path, first_page(), last_page())
        assert running.verify() == 0

    assert outcomes(path) == [("interrupted", "KeyboardInterrupt"), ("complete", None)]
    with open_load(path, Asked(), restart=True) as running:
        assert running.id == 3


def test_a_restart_that_stored_nothing_leaves_nothing_to_go_on_with(path: Path) -> None:
    """Of a load that was given up nothing is left, even if its heir did not come far."""
    break_off(path, first_page())
    with open_load(path, Asked(), restart=True):
        pass

    with open_load(path, Asked()) as running:
        assert running.id == 3
        assert running.parts_left() == [WINDOW]


# --- what an update brings up to date -------------------------------------------------------


def api(since: str | None = None, *, limit: int | None = None, state: str = "CA") -> SearchApi:
    """Return a source that is asked for nothing here."""
    return SearchApi(Query(since=since, state=(state,)), limit=limit, url=Asked.address)


def bring(
    path: Path, source: SearchApi, until: str | None, error: BaseException | None = None
) -> tuple[str | None, int | None]:
    """Load days until this one, and return since when was asked and what is updated."""
    with open_load(path, source) as running:
        [window] = running.source.parts()
        days = (None, until)
        store(running, path, part(complaint(1), at=window, days=days, next_parts=[window]))
        store(running, path, part(complaint(1), at=window, days=days))
        if error is not None:
            raise error
    assert isinstance(running.source, SearchApi)
    return running.source.query.since, running.source.updates_load_id


UPDATE = SearchApi(lookback=1, url=Asked.address)


@pytest.mark.parametrize("lost", [ValueError(), KeyboardInterrupt()], ids=repr)
def test_without_a_complete_load_there_is_nothing_to_update(
    path: Path, lost: BaseException
) -> None:
    """A load that was limited, or did not end well, or is of another kind, is no base."""
    bring(path, api(limit=1), "2026-05-31")
    bring(path, replace(api(), kind="archive"), "2026-05-31")
    with pytest.raises(type(lost)):
        bring(path, api(), "2026-05-31", lost)

    with pytest.raises(NothingToUpdateError):
        bring(path, UPDATE, None)
    assert len(outcomes(path)) == 3


def test_a_load_without_a_last_day_is_no_base(path: Path) -> None:
    """Where nothing says how far a load has come, an update would not know where to begin."""
    bring(path, api(), None)

    with pytest.raises(NothingToUpdateError):
        bring(path, UPDATE, None)


def test_an_update_repeats_the_newest_complete_load(path: Path) -> None:
    """Its query is asked for, from so many days before the last that it covers."""
    bring(path, api("2024-01-01", state="CA"), "2026-06-30")
    bring(path, api("2025-01-01", state="TX"), "2026-05-31")
    bring(path, api(limit=5, state="WY"), "2026-06-30")
    with pytest.raises(ValueError, match="torn"):
        bring(path, api("2024-01-01", state="FL"), "2026-06-30", ValueError("torn"))

    assert bring(path, UPDATE, "2026-06-02") == ("2026-05-30", 2)
    assert query(path, "SELECT query, updates_load_id FROM load ORDER BY load_id DESC LIMIT 1") == [
        ('{"since": "2026-05-30", "state": ["TX"]}', 2)
    ]


def test_an_update_goes_on_from_the_complete_updates_before_it(path: Path) -> None:
    """The last day is that of the load or of its updates, and never goes back."""
    bring(path, api(), "2026-05-31")

    assert bring(path, UPDATE, "2026-06-30") == ("2026-05-30", 1)
    assert bring(path, UPDATE, "2026-06-20") == ("2026-06-29", 1)
    assert bring(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert bring(path, UPDATE, "2026-08-31") == ("2026-07-30", 1)


def test_an_update_that_did_not_end_well_does_not_count(path: Path) -> None:
    """The next looks back from where the last complete one ended, and goes on with it."""
    bring(path, api(), "2026-05-31")
    with pytest.raises(ValueError, match="torn"):
        bring(path, UPDATE, "2026-06-30", ValueError("torn"))

    with open_load(path, UPDATE) as running:
        assert (running.id, running.source.updates_load_id) == (2, 1)
        assert running.stats.parts == 2
        assert running.verify() == 0
    assert bring(path, UPDATE, "2026-07-31") == ("2026-06-29", 1)
    assert outcomes(path) == [("complete", None)] * 3


def test_a_new_complete_load_is_the_next_base(path: Path) -> None:
    """Updates of an older load say nothing of how far a newer one has come."""
    bring(path, api(state="CA"), "2026-05-31")
    bring(path, UPDATE, "2026-06-30")
    bring(path, api(state="TX"), "2026-03-31")

    assert bring(path, UPDATE, "2026-04-30") == ("2026-03-30", 3)
    assert bring(path, UPDATE, "2026-05-31") == ("2026-04-29", 3)
