"""What became of a run of the flow, as its tasks' state hooks saw it in this process."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.load_stats import LoadStats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

    AnyTask: TypeAlias = Task[..., Any]


@dataclass
class TaskFigures:
    """What became of one task's runs.

    Attributes:
        completed: How many ended well.
        failed: How many did not, when their retries were used up.
        retries: How often a run was tried again.
        rows: The sum of the results' `rows`, or None when no result had any.
        remark: What a result said of how it came about, its `remark`, or "".
        error: What the first failed run said, or "".
        spans: When each run began and ended.
    """

    completed: int = 0
    failed: int = 0
    retries: int = 0
    rows: int | None = None
    remark: str = ""
    error: str = ""
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """For how long at least one run was under way, waits before a retry included.

        Runs side by side count once, so that a task never takes longer than its flow.
        """
        seconds = 0.0
        reached = datetime.min.replace(tzinfo=UTC)
        for began, ended in sorted(self.spans):
            if ended > reached:
                seconds += (ended - max(began, reached)).total_seconds()
                reached = ended
        return seconds


@dataclass
class RunOutcome:
    """What became of one run of the flow.

    Attributes:
        began: When it began.
        ended: When it ended.
        word: How it ended.
        error: What ended it, or "".
        tasks: The figures of each task that was reached, by the task's name.
        message: What ended it and what to do about it, or "".
        asked: What was asked of which source, or "" if it did not come to that.
        report: What its load has stored.
    """

    began: datetime
    ended: datetime
    word: Literal["completed", "failed", "interrupted"] = "interrupted"
    error: str = ""
    tasks: dict[str, TaskFigures] = field(default_factory=dict)
    message: str = ""
    asked: str = ""
    report: LoadStats = field(default_factory=LoadStats)


_lock = threading.Lock()
_under_way: dict[str, RunOutcome] = {}


@contextmanager
def observed(flow_run_id: str) -> Iterator[RunOutcome]:
    """Collect what `observe` sees of a flow run, and how the block ends.

    The outcome is whole once the block has been left; what a task does after that is not counted.
    """
    # Prefect logs two lines for each call of a hook: 6 of the 13 of a page, and no news to anyone.
    logging.getLogger("prefect.task_runs").addFilter(_is_no_word_of_observe)
    now = datetime.now(UTC)
    outcome = _under_way[flow_run_id] = RunOutcome(now, now)
    try:
        yield outcome
    except Exception as error:
        outcome.word, outcome.error = "failed", _said(error)
        outcome.message = str(error) or outcome.error
        raise
    else:
        outcome.word = "completed"
    finally:
        with _lock:
            del _under_way[flow_run_id]
        outcome.ended = datetime.now(UTC)


def _is_no_word_of_observe(record: logging.LogRecord) -> bool:
    return "ook 'observe' " not in str(record.msg) or record.levelno > logging.INFO


def observe(task: AnyTask, task_run: TaskRun, state: State[Any]) -> None:
    """Note how a task run ended: a hook for a task's `on_completion` and `on_failure`.

    It counts tasks that run in this process or its threads, inside `observed`; results are looked
    at and not kept.
    """
    # Read directly: `state.result()` would wait for a result that is already here.
    result = getattr(state.data, "result", None)
    with _lock:
        outcome = _under_way.get(str(task_run.flow_run_id))
        if outcome is None:
            return
        figures = outcome.tasks.setdefault(task.name, TaskFigures())
        figures.retries += task_run.run_count - 1
        figures.spans.append((task_run.start_time or state.timestamp, state.timestamp))
        if state.is_completed():
            figures.completed += 1
            if isinstance(result, LoadStats):
                outcome.report += result
            rows = getattr(result, "rows", None)
            if rows is not None:
                figures.rows = (figures.rows or 0) + rows
            figures.remark = getattr(result, "remark", "") or figures.remark
        else:
            figures.failed += 1
            said = _said(result) if isinstance(result, Exception) else state.message
            figures.error = figures.error or said or state.name or ""


def _said(error: Exception) -> str:
    said = error.brief if isinstance(error, CfpbEtlError) else str(error)
    return said or type(error).__name__
