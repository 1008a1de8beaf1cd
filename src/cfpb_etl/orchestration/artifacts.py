"""What Prefect's UI shows of a run: a summary, the picture, and how far a long run is."""

from __future__ import annotations

import base64
import logging
import textwrap
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from cfpb_etl.model.load_stats import LoadStats, how_to_repeat, what_is_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from cfpb_etl.orchestration.outcome import RunOutcome

SUMMARY, PICTURE, PROGRESS = "cfpb-complaints", "cfpb-complaints-flow", "cfpb-complaints-progress"
_SECONDS_OF_A_SHORT_RUN = 10
_SECONDS_BETWEEN_UPDATES = 5
_WIDTH = 90  # characters, of which the UI shows a hundred
_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def record_run(outcome: RunOutcome, database: Path, picture: Path | None, *, limited: bool) -> None:
    """Give Prefect's server the summary of the run under way, and its picture if one was drawn.

    The server cannot reach a file of this machine, so the picture travels in its address, which
    both of Prefect's UIs show. That the server does not take them is a warning.
    """
    try:
        under_way = FlowRunContext.get()
        again = how_to_repeat(under_way.flow_run if under_way else None)
        words = summary(outcome, database, limited=limited, again=again)
        create_markdown_artifact(words, SUMMARY, f"A run {outcome.word}.")
        if picture is not None:
            kind = _MEDIA_TYPES[picture.suffix.lower()]
            data = base64.b64encode(picture.read_bytes()).decode()
            create_image_artifact(f"data:{kind};base64,{data}", PICTURE, "The flow, as it ran.")
    except Exception as error:  # noqa: BLE001 - whatever its server says, the run has ended
        get_run_logger().warning("Prefect's server did not take the summary of the run: %s", error)


def summary(outcome: RunOutcome, database: Path, *, limited: bool, again: str) -> str:
    """Return what a run did, how it ended, and how it is repeated if need be, in Markdown."""
    report, known = outcome.report, outcome.report.unchanged_files
    retries = sum(figures.retries for figures in outcome.tasks.values())
    info = {
        "asked for": _code(outcome.asked) if outcome.asked else "",
        "files not read": f"{known:,}, not changed since the last load" if known else "",
        "complaints read": f"{report.rows:,}",
        "of these": report.counts,
        "received": f"{report.oldest} to {report.newest}" if report.oldest else "",
        "proof": f"{report.expected:,} expected, {report.received:,} came"
        if report.windows
        else "",
        "database": _code(str(database)),
        "took": f"{(outcome.ended - outcome.began).total_seconds():,.1f} s",
        "retries": f"{retries:,}" if retries else "",
    }
    lines = [f"# {outcome.word.capitalize()}", ""]
    if outcome.error:
        kept = what_is_kept(report.rows, database, limited=limited, again=again)
        lines += [*map(_verbatim, (outcome.message, kept)), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {words} |" for name, words in info.items() if words]
    if report.warnings:
        lines += ["", "## What to know", "", *map(_verbatim, report.warnings)]
    return "\n".join(lines)


def _code(words: str) -> str:
    return "`" + words.replace("`", "'").replace("|", r"\|") + "`"


def _verbatim(line: str) -> str:
    # By its indent a line is shown as it is: what comes from a file or a server may hold markup.
    # The UI does not wrap such lines.
    return textwrap.fill(
        " ".join(line.split()),
        _WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


@contextmanager
def shown_progress(limit: int | None) -> Iterator[None]:
    """Show in Prefect's UI how far a run is, if it is a long one.

    Args:
        limit: How many complaints were asked for, or None for all that match.
    """
    progress = _Progress(limit)
    package, root = logging.getLogger("cfpb_etl"), logging.getLogger()
    before, level = package.level, package.getEffectiveLevel()
    others = root.handlers[:]

    def was_heard_before(record: logging.LogRecord) -> bool:
        return record.levelno >= level or not record.name.startswith("cfpb_etl.")

    for handler in others:
        handler.addFilter(was_heard_before)
    # Which records there are of long steps, several a second: these are for nobody else.
    package.setLevel(min(level, logging.INFO))
    root.addHandler(progress)
    try:
        yield
        progress.end()
    finally:
        root.removeHandler(progress)
        package.setLevel(before)
        for handler in others:
            handler.removeFilter(was_heard_before)


class _Progress(logging.Handler):
    """Listens to the run's log, as the screen does, and tells the server how far it is."""

    def __init__(self, limit: int | None) -> None:
        super().__init__(logging.INFO)
        self._limit = limit
        self._report = LoadStats()
        self._artifact: UUID | None = None
        self._next = time.monotonic() + _SECONDS_OF_A_SHORT_RUN
        self._share = self._told = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, and tell of it when it is time."""
        stored = getattr(record, "stored", None)
        if stored is not None:
            self._report += stored
            total = self._report.matching or 0
            total = total if self._limit is None else min(self._limit, total)
            self._share = self._report.rows / total if total else self._share
        elif share := getattr(record, "share", None):
            self._share = share
        else:  # others may come from threads that know of no run
            return
        if self._share != self._told and time.monotonic() >= self._next:
            self._tell(self._share)

    def end(self) -> None:
        """Say that the run is complete, if its progress was shown."""
        if self._artifact is not None and self._told < 1:
            self._tell(1.0)

    def _tell(self, share: float) -> None:
        self._next = time.monotonic() + _SECONDS_BETWEEN_UPDATES
        self._told = share
        percent = round(min(share, 1) * 100, 1)
        try:
            if self._artifact is None:
                made = create_progress_artifact(percent, PROGRESS, "How far the run is.")
                self._artifact = cast("UUID", made)  # in a flow without a loop of its own
            else:
                update_progress_artifact(self._artifact, percent)
        except Exception as error:  # noqa: BLE001 - no reason to end a run, nor to try again
            self._artifact, self._next = None, float("inf")
            get_run_logger().warning("Prefect's server does not take how far the run is: %s", error)
