"""The outcome of a run: the figures for the diagram, the summary and the notification.

The flow records each call of a task in its own process, from the returned value or the error.
Therefore the figures are the same with every task runner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Protocol, TypeVar

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.events import LoadStarted, PartStored
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.part import ParsedPart, RawPart
from cfpb_etl.plain_text import plain, without_secrets

if TYPE_CHECKING:
    from prefect import Flow, Task

    from cfpb_etl.model.events import Event


class Counted(Protocol):
    """The result of a task in the flow. The diagram shows the result's number of rows."""

    @property
    def rows(self) -> int | None:
        """Return how many rows the result has; None if this is not known yet."""
        ...


P = ParamSpec("P")
R = TypeVar("R", bound=Counted)


@dataclass
class TaskFigures:
    """The figures of one task's runs.

    Attributes:
        completed: How many runs completed.
        failed: How many runs failed after all retries.
        retries: How many retries there were.
        rows: The number of rows of all results together; None if no result has a number of rows.
        rows_follow: Whether the rows are counted later, while they are stored.
        error: The error of the first failed run, in brief; "" if no run failed.
        spans: The start and end of each run.
    """

    completed: int = 0
    failed: int = 0
    retries: int = 0
    rows: int | None = None
    rows_follow: bool = False
    error: str = ""
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The seconds in which at least one run was in progress, including waits before retries.

        Seconds in which several runs overlap count once, so a task never takes longer than its
        flow.
        """
        seconds = 0.0
        counted_until = datetime.min.replace(tzinfo=UTC)
        for started, ended in sorted(self.spans):
            if ended > counted_until:
                seconds += (ended - max(started, counted_until)).total_seconds()
                counted_until = ended
        return seconds


@dataclass
class RunOutcome:
    """The outcome of one run of the flow. It is a listener of the run's events.

    Attributes:
        started: When the run started.
        ended: When the run ended.
        status: How the run ended.
        error: The error that ended the run, in brief; "" if there was no error.
        message: The error that ended the run, with what to do about it; "" if there was no error.
        tasks: The figures of each task that was called, by the name of the task.
        request: The source and the query, in words; "" if no load was started.
        stats: The stats of the load, including earlier runs.
    """

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: Literal["completed", "failed", "interrupted"] = "interrupted"
    error: str = ""
    message: str = ""
    tasks: dict[str, TaskFigures] = field(default_factory=dict)
    request: str = ""
    stats: LoadStats = field(default_factory=LoadStats)

    def __call__(self, event: Event) -> None:
        """Record the start of a load, and the stats of each stored part."""
        if isinstance(event, LoadStarted):
            self.request, self.stats = event.request, event.stats
        elif isinstance(event, PartStored):
            self.stats += event.stats

    def run(self, task: Task[P, R] | Flow[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a task or a subflow, record its outcome, and return its result."""
        started = datetime.now(UTC)
        try:
            result = task(*args, **kwargs)
        except Exception as error:
            self.record_failure(task, started, datetime.now(UTC), error)
            raise
        self.record_success(task, started, datetime.now(UTC), result)
        return result

    def record_success(
        self,
        task: Task[..., Any] | Flow[..., Any],
        started: datetime,
        ended: datetime,
        result: Counted,
    ) -> None:
        """Record a task run that completed."""
        figures = self._figures_of(task, started, ended)
        figures.completed += 1
        if isinstance(result, RawPart):
            figures.retries += result.attempts - 1
        if result.rows is not None:
            figures.rows = (figures.rows or 0) + result.rows
        elif isinstance(result, ParsedPart):
            figures.rows_follow = True

    def record_failure(
        self,
        task: Task[..., Any] | Flow[..., Any],
        started: datetime,
        ended: datetime,
        error: Exception,
    ) -> None:
        """Record a task run that failed."""
        figures = self._figures_of(task, started, ended)
        figures.failed += 1
        figures.error = figures.error or in_brief(error)
        if isinstance(error, CfpbEtlError):
            figures.retries += error.attempts_made - 1

    def _figures_of(
        self, task: Task[..., Any] | Flow[..., Any], started: datetime, ended: datetime
    ) -> TaskFigures:
        figures = self.tasks.setdefault(task.name, TaskFigures())
        figures.spans.append((started, ended))
        return figures

    def end(self, error: BaseException | None) -> None:
        """Record how the run ended: completed, failed by an error, or interrupted."""
        self.ended = datetime.now(UTC)
        if error is None:
            self.status = "completed"
        elif isinstance(error, Exception):
            self.status, self.error = "failed", in_brief(error)
            self.message = _plain(error) or self.error


def in_brief(error: Exception) -> str:
    """Return an error's message without the remedy."""
    text = error.brief if isinstance(error, CfpbEtlError) else _plain(error)
    return text or type(error).__name__


def _plain(error: Exception) -> str:
    """Return an error's message. Errors of other packages can contain text of any kind."""
    text = str(error)
    if isinstance(error, CfpbEtlError):
        return text
    return plain(" ".join(without_secrets(text).split()))
