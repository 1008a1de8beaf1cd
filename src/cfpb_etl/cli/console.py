"""What a run shows while it is under way: the one owner of the terminal."""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from cfpb_etl.model.load_stats import LoadStats

if TYPE_CHECKING:
    from types import TracebackType

    from cfpb_etl.fetch.http.rate_limit import RateLimiter

# What a page's or a file's name says beyond it: too much for one line of a terminal.
_DETAILS = re.compile(r"(page \d+), .*|, [\d.,]+ [MG]B of complaints.*|, unchanged.*")
_LONGEST_STEP = 50  # characters
_SECONDS_BETWEEN_LINES = 5
_SECONDS_OF_A_STEP = 1
_PACKAGE = str(Path(__file__).parents[1])


class _LongStep(NamedTuple):
    began: float
    share: float  # of it, that was done when it began here
    done: float  # of it, by now
    shown: float


class RunConsole(logging.Handler):
    """Listens to the run's log, counts what is stored, and shows where things stand.

    On a terminal that is a progress bar, elsewhere a line for each page. Prefect's own lines stay
    in its log, where every step is; on the screen they would say each of ours again. With `verbose`
    it only counts, and Prefect's console shows everything.

    A record of the log may carry, as `extra`, what a step `stored`, the `picture` that it drew,
    that it is a `notice`, which is shown as a line of its own, and of a long step how far it is: in
    words, `so_far`, and as the `share` of all, from 0 to 1.

    Args:
        limit: How many complaints were asked for, or None for all that match.
        pace: The server's pace, for the requests used of those allowed, if it has one.
        verbose: Leave the screen to Prefect's console.

    Attributes:
        stored: What the run has stored so far.
        picture: The picture that it drew, or None.
    """

    def __init__(self, limit: int | None, pace: RateLimiter | None, *, verbose: bool) -> None:
        super().__init__()
        self.stored = LoadStats()
        self.picture: Path | None = None
        self._limit = limit
        self._pace = pace
        self._clock: tuple[float, int] | None = None
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._silent = verbose
        self._long_steps: dict[str, _LongStep] = {}
        self._on_bar = "", 0.0  # the long step on the bar, and when it last moved
        self._told: set[str] = set()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[counts]}"),
            TextColumn("[dim]{task.fields[pace]}"),
            console=self._console,
            transient=True,
            disable=verbose or not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("Starting Prefect", total=None, counts="", pace="")

    def __enter__(self) -> Self:
        """Take the place of Prefect's console at the root of the log, until the process ends."""
        root = logging.getLogger()
        if not self._silent:
            root.handlers.clear()
            # It writes past the root, and Python would print what finds no handler at all.
            logging.getLogger("prefect._internal").handlers[:] = [logging.NullHandler()]
            logging.getLogger("cfpb_etl").setLevel(logging.INFO)  # how far long steps are
        root.addHandler(self)
        for name in ("prefect.flow_runs", "prefect.task_runs"):
            logging.getLogger(name).setLevel(logging.INFO)  # the steps that this counts are INFO
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the progress bar off the terminal, and leave the last line to the run."""
        self._progress.stop()
        self._silent = True

    def emit(self, record: logging.LogRecord) -> None:
        """Count and show a record."""
        stored = getattr(record, "stored", None)
        if stored is not None:
            self.stored += stored
        self.picture = getattr(record, "picture", self.picture)
        try:
            if not self._silent:
                self._display(record, stored)
        except (OSError, SystemExit):  # rich exits where whoever was to read it has gone
            self._silent = True

    def _display(self, record: logging.LogRecord, stored: LoadStats | None) -> None:
        ours = record.pathname.startswith(_PACKAGE)
        if record.levelno >= logging.WARNING:
            # What Prefect says of a run that failed, the closing line says by name.
            if ours or not record.name.startswith(("prefect.flow_runs", "prefect.task_runs")):
                said = record.getMessage() if ours else record.getMessage()[:160]
                if ours or said not in self._told:  # Prefect says some things every few seconds
                    self._told.add(said)
                    self._console.print(f"warning: {said}", markup=False)
        elif ours and hasattr(record, "so_far"):
            share = getattr(record, "share", None)
            self._show_long_step(record.getMessage(), str(record.so_far), share)
        elif ours:
            self._show(record.getMessage(), stored, notice=hasattr(record, "notice"))

    def _show(self, step: str, stored: LoadStats | None, *, notice: bool) -> None:
        if self._clock is None or notice:  # what is here from an earlier run came at no speed
            self._clock = time.monotonic(), self.stored.rows
        if notice:
            self._console.print(step, markup=False)
        elif self._console.is_terminal:
            total = self._total()
            self._progress.update(
                self._bar,
                description=_in_short(step),
                completed=self.stored.rows,
                total=total,
                counts=self._counts() or (f"{self.stored.rows:,}" if self.stored.rows else ""),
                pace=self._requests(),
            )
        elif stored is not None:
            counts = self._counts()
            self._console.print(f"{step} ({counts})" if counts else step, markup=False)

    def _show_long_step(self, step: str, so_far: str, share: float | None) -> None:
        now, done = time.monotonic(), share or 0
        long_step = self._long_steps.get(step)
        if long_step is None or done < long_step.done:  # with the next file it begins anew
            long_step = _LongStep(now, done, done, now)
        self._long_steps[step] = long_step = long_step._replace(done=done)
        if long_step.share < done < 1:
            seconds = now - long_step.began
            left = round(seconds * (1 - done) / (done - long_step.share))
            so_far += f", {done:.0%}, {timedelta(seconds=left)} left"
        if self._console.is_terminal:
            # While a file is stored the next one comes: the bar stays with one of these.
            other, last = self._on_bar
            if other in ("", step) or now - last > _SECONDS_OF_A_STEP:
                self._on_bar = step, now
                bar = {"completed": share, "total": 1} if share else {"total": None}
                self._progress.update(self._bar, description=step, counts=so_far, pace="", **bar)
        elif now - long_step.shown > _SECONDS_BETWEEN_LINES:
            self._long_steps[step] = long_step._replace(shown=now)
            self._console.print(f"{step}: {so_far}", markup=False)

    def _total(self) -> int | None:
        """Return how many complaints there will be, or None where nobody has counted them."""
        matching = self.stored.matching or None
        return matching if self._limit is None or matching is None else min(self._limit, matching)

    def _counts(self) -> str:
        """Return how many complaints are here, of how many, how fast they come and for how long."""
        total = self._total()
        if total is None:
            return ""
        began, rows = cast("tuple[float, int]", self._clock)
        done = min(self.stored.rows, total)
        counts = f"{done:,} of {total:,}"
        rate = (self.stored.rows - rows) / max(time.monotonic() - began, 0.001)
        if rate and done < total:
            counts += f", {rate:,.0f}/s, {timedelta(seconds=round((total - done) / rate))} left"
        return counts

    def _requests(self) -> str:
        rate_limit = self._pace and self._pace.rate_limit
        if not self._pace or not rate_limit:
            return ""
        return f"{self._pace.used()} of {rate_limit.requests} searches in {rate_limit.seconds:g} s"


def _in_short(step: str) -> str:
    step = _DETAILS.sub(r"\1", step)
    return step if len(step) <= _LONGEST_STEP else f"{step[: _LONGEST_STEP - 1]}…"
