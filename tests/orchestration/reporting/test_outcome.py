"""The figures of a run come from what its tasks return or raise."""

from __future__ import annotations

import gc
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import task

from cfpb_etl.fetch.errors import DamagedDownloadError
from cfpb_etl.fetch.http.errors import ServerFailureError
from cfpb_etl.model.events import LoadStarted, PartStored, Step
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.part import ParsedContent, ParsedPart, PartInfo, RawPart, ReadStats
from cfpb_etl.orchestration.reporting.outcome import RunOutcome, TaskFigures

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=2)


class Counted:
    """A result with rows."""

    rows = 10


@task
def get() -> Counted:
    """Stand for a task, of which only the name matters."""
    return Counted()


def raw_part(rows: int | None, attempts: int = 1) -> RawPart:
    """Make a fetched part."""
    part: Any = None
    raw = RawPart(None, PartInfo(part, "page 1", rows, rows, rows, None))
    raw.attempts = attempts
    return raw


def test_figures_add_up() -> None:
    """Runs, rows and retries are summed; parallel runs count once in the seconds."""
    outcome = RunOutcome()
    for _ in range(400):
        outcome.record_success(get, NOON, LATER, raw_part(10, attempts=2))

    figures = outcome.tasks["get"]
    assert (figures.completed, figures.failed, figures.retries) == (400, 0, 400)
    assert (figures.rows, figures.seconds) == (4_000, 2)


def test_a_file_has_no_rows_yet() -> None:
    """A fetched file has no number of rows; a parsed one says that its rows follow."""
    raw = raw_part(None)
    content = ParsedContent([], (), (), ReadStats())
    outcome = RunOutcome()
    outcome.record_success(get, NOON, LATER, raw)
    assert (outcome.tasks["get"].rows, outcome.tasks["get"].rows_follow) == (None, False)

    outcome.record_success(get, NOON, LATER, ParsedPart(content, raw, raw.info))

    assert (outcome.tasks["get"].rows, outcome.tasks["get"].rows_follow) == (None, True)


def test_the_first_error_of_a_task_is_kept() -> None:
    """Later errors are usually consequences of the first one."""
    outcome = RunOutcome()
    outcome.record_failure(get, NOON, LATER, ValueError("first"))
    outcome.record_failure(get, NOON, LATER, ValueError("second"))

    assert outcome.tasks["get"].failed == 2
    assert outcome.tasks["get"].error == "first"


def test_an_error_without_a_text_has_a_name() -> None:
    """The picture never shows an empty error."""
    outcome = RunOutcome()
    outcome.record_failure(get, NOON, LATER, KeyError())

    assert outcome.tasks["get"].error == "KeyError"


def test_the_attempts_of_a_failed_fetch_are_retries() -> None:
    """The error says how many attempts were made."""
    error = ServerFailureError("http://cfpb.example/", status=503)
    error.attempts_made = 5
    outcome = RunOutcome()
    outcome.record_failure(get, NOON, LATER, error)

    assert (outcome.tasks["get"].failed, outcome.tasks["get"].retries) == (1, 4)
    assert outcome.tasks["get"].error == error.brief


def test_a_damaged_download_has_its_retries_too() -> None:
    """Any error of the package carries the number of attempts, not only a server's error."""
    error = DamagedDownloadError(path=Path("x.zip"), detail="bad")
    error.attempts_made = 3
    outcome = RunOutcome()
    outcome.record_failure(get, NOON, LATER, error)

    assert outcome.tasks["get"].retries == 2


def test_results_are_not_kept() -> None:
    """A result can be a page of 10,000 complaints."""
    result = Counted()
    alive = weakref.ref(result)
    outcome = RunOutcome()
    outcome.record_success(get, NOON, LATER, result)
    del result
    gc.collect()

    assert alive() is None


def test_an_outcome_counts_what_is_stored() -> None:
    """The stats of earlier runs count, and events without stats change nothing."""
    outcome = RunOutcome()
    outcome(LoadStarted("bulk", LoadStats(parts=1, rows=5)))
    outcome(Step("Parsed page 2", "Parsed page 2"))
    outcome(PartStored("Stored page 2", "Stored page 2", LoadStats(parts=1, rows=7)))

    assert outcome.request == "bulk"
    assert outcome.stats == LoadStats(parts=2, rows=12)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (None, "completed", ""),
        (ValueError("no"), "failed", "no"),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)
def test_how_a_run_ends(error: BaseException | None, status: str, text: str) -> None:
    """An error is a failure, and anything else that ends a run an interruption."""
    outcome = RunOutcome()
    outcome.end(error)

    assert (outcome.status, outcome.error, outcome.message) == (status, text, text)
    assert outcome.ended >= outcome.started


def test_parallel_time_counts_once() -> None:
    """Spans that overlap are joined before they are summed."""

    def at(second: int) -> datetime:
        return NOON + timedelta(seconds=second)

    spans = [(at(8), at(9)), (at(0), at(4)), (at(1), at(2)), (at(3), at(6))]

    assert TaskFigures(spans=spans).seconds == 7
