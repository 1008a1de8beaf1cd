"""The output in the terminal during a run."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as ProgressBar
from rich.text import Text

from cfpb_etl.model.events import (
    Headline,
    LoadCompleted,
    LoadStarted,
    PartStored,
    PictureDrawn,
    Progress,
    Step,
    Warned,
)
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.plain_text import plain, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from rich.console import RenderableType

    from cfpb_etl.model.events import Event

_LINE_SECONDS = 5  # seconds between two lines of a long step, if the output is not a terminal
_BAR_SECONDS = 1  # if a step's bar has not moved for so many seconds, another long step can take it
_MAX_WARNING = 160  # characters of another library's warning
# The console already shows what these loggers write: as events, or in the last line of the run.
_KNOWN_BY_EVENTS = ("cfpb_etl", "prefect.flow_runs", "prefect.task_runs")


class _LongStep(NamedTuple):
    started: float
    first_share: float
    share: float
    shown_at: float


class _Bar(ProgressBar):
    """A progress bar below a line of text. A line of 80 columns is too short for both."""

    _line = "Starting Prefect"

    def get_renderables(self) -> Iterator[RenderableType]:
        yield Text(self._line, no_wrap=True, overflow="ellipsis")
        yield from super().get_renderables()

    def show(self, line: str, counts: str, completed: float, total: float | None) -> None:
        """Show a step and its progress. If the total is unknown, the bar moves back and forth."""
        self._line = line
        (task,) = self.tasks
        # `update` cannot remove a total, and it would stop the spinner at the end of a step.
        task.completed, task.total, task.fields["counts"] = completed, total, counts


class RunConsole:
    """Shows the events of a run, and counts what was stored. It is a listener.

    In a terminal it shows a progress bar; otherwise it prints a line for each page. Prefect's log
    lines are not shown, because they repeat the events. With `verbose`, Prefect's console shows
    everything, and this console only counts.

    Args:
        limit: How many complaints the user asked for; None if the user asked for all matches.
        rate_limit_use: Returns how much of the server's rate limit is in use, in words.
        verbose: Whether to leave the screen to Prefect's console.

    Attributes:
        stats: The stats of the load so far.
        complete: Whether the load is complete.
        picture: The path of the diagram; None if it is not drawn yet.
    """

    def __init__(
        self, limit: int | None, rate_limit_use: Callable[[], str], *, verbose: bool
    ) -> None:
        self.stats = LoadStats()
        self.complete = False
        self.picture: Path | None = None
        self._limit = limit
        self._rate_limit_use = rate_limit_use
        self._started = time.monotonic(), 0
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._silent = verbose
        self._long_steps: dict[str, _LongStep] = {}
        self._on_bar = "", 0.0  # the long step on the bar, and the time when the bar last moved
        self._bar = _Bar(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counts]}"),
            console=self._console,
            transient=True,
            disable=verbose or not self._console.is_terminal,
        )
        self._bar.add_task("", total=None, counts="")

    def __enter__(self) -> Self:
        """Replace Prefect's console as the log handler, until the process ends."""
        if not self._silent:
            logging.getLogger().handlers[:] = [_OtherWarnings(self._warn)]
            # This logger does not pass records to the root. Without a handler, Python prints them.
            logging.getLogger("prefect._internal").handlers[:] = [logging.NullHandler()]
            # If its server is gone, Prefect would print that into the last line.
            logging.raiseExceptions = False
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the progress bar, and print nothing more: `run` prints the last line itself."""
        self._bar.stop()
        self._silent = True

    def __call__(self, event: Event) -> None:
        """Count and show an event."""
        match event:
            case LoadStarted(stats=stats):
                self.stats += stats
                self._started = time.monotonic(), stats.rows  # earlier rows do not count as speed
            case PartStored(stats=stats):
                self.stats += stats
            case LoadCompleted():
                self.complete = True
            case PictureDrawn(path=path):
                self.picture = path
        try:
            if not self._silent:
                self._show(event)
        except (OSError, SystemExit):  # rich exits if the reader of its output is gone
            self._silent = True

    def _show(self, event: Event) -> None:
        match event:
            case Headline(text=text):
                self._console.print(text, markup=False)
            case Warned(text=text):
                self._warn(text)
            case Progress():
                self._show_progress(event)
            case Step(title=title) | PartStored(title=title) if self._console.is_terminal:
                self._show_on_bar(title)
            case PartStored(text=text):
                counts = self._counts()
                self._console.print(f"{text} ({counts})" if counts else text, markup=False)

    def _warn(self, text: str) -> None:
        if not self._silent:
            self._console.print(f"warning: {text}", markup=False)

    def _show_on_bar(self, title: str) -> None:
        rows, rate_limit_use = self.stats.rows, self._rate_limit_use()
        line = f"{title} ({rate_limit_use})" if rate_limit_use else title
        counts = self._counts() or (f"{rows:,}" if rows else "")
        self._bar.show(line, counts, rows, self._total())

    def _show_progress(self, progress: Progress) -> None:
        now, share = time.monotonic(), progress.share or 0
        step = self._long_steps.get(progress.step)
        if step is None or share < step.share:  # the share of the next file starts at 0 again
            step = _LongStep(now, share, share, now)
        self._long_steps[progress.step] = step = step._replace(share=share)
        text = progress.so_far
        if step.first_share < share < 1:
            seconds = now - step.started
            left = round(seconds * (1 - share) / (share - step.first_share))
            text += f", {share:.0%}, {timedelta(seconds=left)} left"
        if self._console.is_terminal:
            # The next file is downloaded while a file is stored. The bar shows one of these two
            # steps.
            shown, moved = self._on_bar
            if shown in ("", progress.step) or now - moved > _BAR_SECONDS:
                self._on_bar = progress.step, now
                self._bar.show(progress.step, text, share, 1 if share else None)
        elif now - step.shown_at > _LINE_SECONDS:
            self._long_steps[progress.step] = step._replace(shown_at=now)
            self._console.print(f"{progress.step}: {text}", markup=False)

    def _total(self) -> int | None:
        """Return how many complaints the load will have; None if this is not known yet."""
        matching = self.stats.matching or None
        return matching if self._limit is None or matching is None else min(self._limit, matching)

    def _counts(self) -> str:
        """Return the progress: complaints stored, their total, the speed, and the time left."""
        total = self._total()
        if total is None:
            return ""
        started, rows = self._started
        done = min(self.stats.rows, total)
        counts = f"{done:,} of {total:,}"
        rate = (self.stats.rows - rows) / max(time.monotonic() - started, 0.001)
        if rate and done < total:
            counts += f", {rate:,.0f}/s, {timedelta(seconds=round((total - done) / rate))} left"
        return counts


class _OtherWarnings(logging.Handler):
    """Shows each warning of other libraries once. Prefect repeats some every few seconds."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a log record, unless an event shows the same."""
        text = plain(without_secrets(record.getMessage())[:_MAX_WARNING])
        if record.name.startswith(_KNOWN_BY_EVENTS) or text in self._shown:
            return
        self._shown.add(text)
        with suppress(OSError, SystemExit):  # rich exits if the reader of its output is gone
            self._show(text)
