"""Tests of what is remembered of a run."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import task
from prefect.client.schemas.objects import State, StateType, TaskRun

from cfpb_etl.orchestration import outcome as run_outcome
from cfpb_etl.orchestration.outcome import TaskFigures, observe, observed

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Raw:
    """Stands for what came."""

    rows = 10


@task
def get() -> None:
    """Stands for a task; only its name is looked at."""


def seen(run_id: UUID, state_type: StateType, data: object = None, message: str = "") -> None:
    """Tell the hook of a task run that took two seconds."""
    run = TaskRun(
        task_key="get",
        dynamic_key="0",
        flow_run_id=run_id,
        run_count=2,
        start_time=NOON,  # type: ignore[arg-type]
    )
    ended: Any = NOON + timedelta(seconds=2)
    observe(get, run, State(type=state_type, timestamp=ended, data=data, message=message))


class Record:
    """Stands for Prefect's record of a result."""

    def __init__(self, result: object) -> None:
        self.result = result


def test_figures_add_up_whichever_thread_brings_them() -> None:
    """Figures add up whichever thread brings them."""
    run_id = uuid4()
    with observed(str(run_id)) as run, ThreadPoolExecutor(8) as pool:
        for _ in range(400):
            pool.submit(seen, run_id, StateType.COMPLETED, Record(Raw()))

    assert run.tasks["get"].completed == 400
    assert run.tasks["get"].retries == 400
    assert run.tasks["get"].rows == 4000
    assert run.tasks["get"].seconds == 2


def test_the_first_failure_is_kept() -> None:
    """The first failure is kept."""
    run_id = uuid4()
    with observed(str(run_id)) as run:
        seen(run_id, StateType.FAILED, Record(ValueError("first")))
        seen(run_id, StateType.FAILED, Record(ValueError("second")))

    assert run.tasks["get"].failed == 2
    assert run.tasks["get"].error == "first"


@pytest.mark.parametrize(
    ("data", "message", "said"),
    [(Record(KeyError()), "", "KeyError"), (None, "cancelled", "cancelled"), (None, "", "Failed")],
)
def test_a_failure_without_words_has_a_name(data: object, message: str, said: str) -> None:
    """A failure without words has a name."""
    run_id = uuid4()
    with observed(str(run_id)) as run:
        seen(run_id, StateType.FAILED, data, message)

    assert run.tasks["get"].error == said


def test_results_are_not_kept() -> None:
    """Results are not kept."""
    run_id = uuid4()
    result = Raw()
    gone = weakref.ref(result)
    with observed(str(run_id)):
        seen(run_id, StateType.COMPLETED, Record(result))
        del result
        gc.collect()
        assert gone() is None


def test_a_run_is_forgotten_when_its_block_ends() -> None:
    """A run is forgotten when its block ends."""
    run_id = uuid4()
    with observed(str(run_id)) as run:
        assert str(run_id) in run_outcome._under_way
    seen(run_id, StateType.COMPLETED, Record(Raw()))

    assert str(run_id) not in run_outcome._under_way
    assert run.tasks == {}


@pytest.mark.parametrize(
    ("error", "word", "said"),
    [(ValueError("no"), "failed", "no"), (KeyboardInterrupt(), "interrupted", "")],
)
def test_how_the_block_ends_is_how_the_run_ended(
    error: BaseException, word: str, said: str
) -> None:
    """How the block ends is how the run ended."""
    with pytest.raises(type(error)), observed("run") as run:
        raise error

    assert (run.word, run.error) == (word, said)
    assert "run" not in run_outcome._under_way


def test_time_side_by_side_counts_once() -> None:
    """Time side by side counts once."""

    def at(second: int) -> datetime:
        return NOON + timedelta(seconds=second)

    spans = [(at(8), at(9)), (at(0), at(4)), (at(1), at(2)), (at(3), at(6))]

    assert TaskFigures(spans=spans).seconds == 7
