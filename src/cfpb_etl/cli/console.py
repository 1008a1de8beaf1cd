"""The output in the terminal during a run."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple, Self

from humanize import naturalsize
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
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
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from rich.console import ConsoleOptions, RenderResult

    from cfpb_etl.model.events import Event

_LINE_SECONDS = 5  # seconds between two lines of a long step, if the output is not a terminal
_BAR_SECONDS = 1  # if a step's bar has not moved for so many seconds, another long step can take it
_SPINNER = 2  # columns, with a space
_MIN_BAR, _MAX_BAR = 10, 20  # columns
_MAX_WARNING = 160  # characters of another library's warning
# The console already shows what these loggers write: as events, or in the last line of the run.
_KNOWN_BY_EVENTS = ("cfpb_etl", "prefect.flow_runs", "prefect.task_runs")


class _LongStep(NamedTuple):
    started: float
    first_share: float
    first_done: int
    share: float
    shown_at: float


class _Counts(NamedTuple):
    """How far a step is: the parts of the text beside the bar.

    Attributes:
        done: How much is done, and of how much.
        share: The share that is done, in percent. The bar shows it too.
        rate: How much is done in a second.
        left: The time left.
    """

    done: str = ""
    share: str = ""
    rate: str = ""
    left: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, self))

    def fit(self, width: int) -> tuple[str, int]:
        """Return the text that fits into this width, and the width that is left for the bar.

        If the terminal is too narrow, first the share is left out, then the rate, the bar with its
        spinner, and the time left.
        """
        for omitted, bar in (
            ((), _MIN_BAR),
            (("share",), _MIN_BAR),
            (("share", "rate"), _MIN_BAR // 2),
            (("share", "rate"), 0),
            (("share", "rate", "left"), 0),
        ):
            text = str(self._replace(**dict.fromkeys(omitted, "")))
            room = width - _SPINNER - 1 - len(text) if bar else width - len(text)
            if room >= bar:
                break
        return text[:width], min(room, _MAX_BAR) if bar else 0


class _Bar:
    """A line of text, and below it a progress bar with counts. 80 columns are too few for both."""

    def __init__(self) -> None:
        self._line = "Starting Prefect"
        self._counts = _Counts()
        self._progress = ProgressBar(total=None)
        self._spinner = Spinner("line")  # its characters are in every encoding

    def show(self, line: str, counts: _Counts, completed: float, total: float | None) -> None:
        """Show a step and its progress. If the total is unknown, the bar moves back and forth."""
        self._line, self._counts = line, counts
        self._progress = ProgressBar(total, completed)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Return the two lines for the terminal's present width."""
        # An escaped character is longer. If a line took two, it would stay on the screen.
        errors = getattr(console.file, "errors", None) or "replace"
        line = self._line.encode(console.encoding, errors).decode(console.encoding)
        yield Text(line, no_wrap=True, overflow="crop" if options.ascii_only else "ellipsis")
        counts, bar = self._counts.fit(options.max_width)
        text = Text(counts, no_wrap=True, overflow="crop")
        if not bar:
            yield text
            return
        self._progress.width = bar
        grid = Table.grid(padding=(0, 1))
        grid.add_row(self._spinner, self._progress, text)
        yield grid


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
        picture: The path of the diagram; None if it is not drawn yet.
        complete: Whether the load is complete.
    """

    def __init__(
        self, limit: int | None, rate_limit_use: Callable[[], str], *, verbose: bool
    ) -> None:
        self.stats = LoadStats()
        self.picture: Path | None = None
        self._limit = limit
        self._rate_limit_use = rate_limit_use
        self._started = time.monotonic(), 0
        self.complete = False
        # With FORCE_COLOR, rich would write the commands of a terminal into a file.
        self._console = Console(
            stderr=True, highlight=False, soft_wrap=True, force_terminal=sys.stderr.isatty()
        )
        self.verbose = verbose
        self._long_steps: dict[str, _LongStep] = {}
        self._on_bar = "", 0.0  # the long step on the bar, and the time when the bar last moved
        self._bar = _Bar()
        self._live = Live(self._bar, console=self._console, refresh_per_second=10, transient=True)

    def __enter__(self) -> Self:
        """Replace Prefect's console as the log handler, until the process ends."""
        if not self.verbose:
            logging.getLogger().handlers[:] = [_OtherWarnings(self._warn)]
            # This logger does not pass records to the root. Without a handler, Python prints them.
            logging.getLogger("prefect._internal").handlers[:] = [logging.NullHandler()]
            # If its server is gone, Prefect would print that into the last line.
            logging.raiseExceptions = False
        if not self.verbose and self._console.is_interactive:  # TERM=dumb is not interactive
            self._live.start()
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
        self.verbose = True
        with suppress(OSError, SystemExit):  # the terminal may be gone
            self._live.stop()

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
            if not self.verbose:
                self._show(event)
        except (OSError, SystemExit):  # rich exits if the reader of its output is gone
            self.verbose = True

    def _show(self, event: Event) -> None:
        match event:
            case Headline(text=text):
                self._console.print(text, markup=False)
            case Warned(text=text):
                self._warn(text)
            case Progress():
                self._show_progress(event)
            case Step(title=title) | PartStored(title=title) if self._console.is_interactive:
                self._show_on_bar(title)
            case PartStored(text=text):
                counts = self._counts()
                self._console.print(f"{text} ({counts})" if counts else text, markup=False)

    def _warn(self, text: str) -> None:
        if not self.verbose:
            self._console.print(f"warning: {text}", markup=False)

    def _show_on_bar(self, title: str) -> None:
        rows, rate_limit_use = self.stats.rows, self._rate_limit_use()
        line = f"{title} ({rate_limit_use})" if rate_limit_use else title
        counts = self._counts() or _Counts(f"{rows:,}" if rows else "")
        self._bar.show(line, counts, rows, self._total())

    def _show_progress(self, progress: Progress) -> None:
        now, share = time.monotonic(), progress.share or 0
        step = self._long_steps.get(progress.step)
        if step is None or share < step.share:  # the share of the next file starts at 0 again
            step = _LongStep(now, share, progress.done, share, now)
        self._long_steps[progress.step] = step = step._replace(share=share)
        counts = _Counts(progress.so_far)
        seconds = now - step.started
        if progress.done > step.first_done and seconds:
            rate = (progress.done - step.first_done) / seconds
            counts = counts._replace(
                rate=f"{naturalsize(rate) if progress.unit == 'bytes' else f'{rate:,.0f}'}/s"
            )
        if step.first_share < share < 1:
            left = round(seconds * (1 - share) / (share - step.first_share))
            counts = counts._replace(share=f"{share:.0%}", left=f"{timedelta(seconds=left)} left")
        if self._console.is_interactive:
            # The next file is downloaded while a file is stored. The bar shows one of these two
            # steps.
            shown, moved = self._on_bar
            if shown in ("", progress.step) or now - moved > _BAR_SECONDS:
                self._on_bar = progress.step, now
                self._bar.show(progress.step, counts, share, 1 if share else None)
        elif now - step.shown_at > _LINE_SECONDS:
            self._long_steps[progress.step] = step._replace(shown_at=now)
            self._console.print(f"{progress.step}: {counts}", markup=False)

    def _total(self) -> int | None:
        """Return how many complaints the load will have; None if this is not known yet."""
        matching = self.stats.matching or None
        return matching if self._limit is None or matching is None else min(self._limit, matching)

    def _counts(self) -> _Counts | None:
        """Return the progress of the load; None if its total is not known."""
        total = self._total()
        if total is None:
            return None
        started, rows = self._started
        done = min(self.stats.rows, total)
        counts = _Counts(f"{done:,} of {total:,}")
        rate = (self.stats.rows - rows) / max(time.monotonic() - started, 0.001)
        if rate and done < total:
            left = timedelta(seconds=round((total - done) / rate))
            counts = counts._replace(rate=f"{rate:,.0f}/s", left=f"{left} left")
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
