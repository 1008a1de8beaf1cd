"""Artifacts for Prefect's UI: a summary, the diagram, and the progress of a long run."""

from __future__ import annotations

import base64
import textwrap
import time
from typing import TYPE_CHECKING, cast

from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.context import FlowRunContext

from cfpb_etl.model.events import LoadStarted, PartStored, Progress, Warned
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.wording import (
    counts,
    days_received,
    part_reason,
    verified,
    warnings,
    what_is_saved,
    withdrawals,
)
from cfpb_etl.orchestration.reporting.notifications import how_to_repeat
from cfpb_etl.orchestration.reporting.run_log import log_and_emit
from cfpb_etl.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID

    from cfpb_etl.model.events import Event
    from cfpb_etl.orchestration.reporting.outcome import RunOutcome

SUMMARY, PICTURE, PROGRESS = "cfpb-complaints", "cfpb-complaints-flow", "cfpb-complaints-progress"
_SHORT_RUN_SECONDS = 10
_UPDATE_SECONDS = 5
_WIDTH = 90  # characters; the UI shows about a hundred in a line and does not wrap lines
_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def create_run_artifacts(
    outcome: RunOutcome, database: Path, picture: Path | None, *, limited: bool
) -> None:
    """Create the artifacts of the current run: a summary, and the diagram if one was drawn."""

    def summarize() -> str:
        context = FlowRunContext.get()
        repeat = how_to_repeat(context.flow_run if context else None)
        return summary_of(outcome, database, limited=limited, repeat=repeat)

    create_artifacts(SUMMARY, summarize, outcome, picture)


def create_artifacts(
    key: str, summarize: Callable[[], str], outcome: RunOutcome, picture: Path | None
) -> None:
    """Create a summary and the diagram as artifacts of the current run.

    Prefect's server cannot read files of this machine, so the diagram is sent as a `data:` URL,
    which both UIs of Prefect can show. If the server refuses an artifact, the run gets a warning.

    Args:
        key: The key of the summary. The key of the diagram is this key with `-flow`.
        summarize: Returns the summary as Markdown.
        outcome: The outcome of the run.
        picture: The file of the diagram; None if none was drawn.
    """
    ended = "was interrupted" if outcome.status == "interrupted" else outcome.status
    try:
        create_markdown_artifact(summarize(), key, f"A run that {ended}.")
        if picture is not None:
            media_type = _MEDIA_TYPES[picture.suffix.lower()]
            data = base64.b64encode(picture.read_bytes()).decode()
            create_image_artifact(
                f"data:{media_type};base64,{data}", f"{key}-flow", "The flow as it ran."
            )
    except Exception as error:  # noqa: BLE001 - the run has ended, so no error may fail it
        log_and_emit(Warned(f"Prefect's server did not take the summary of the run: {error}"))


def summary_of(outcome: RunOutcome, database: Path, *, limited: bool, repeat: str) -> str:
    """Return the summary of a run as Markdown: its results, its end, and how to repeat it."""
    stats = outcome.stats
    retries = sum(figures.retries for figures in outcome.tasks.values())
    unchanged = stats.unchanged_files
    table = {
        "request": as_code(outcome.request) if outcome.request else "",
        "files not read": f"{unchanged:,}, unchanged since the last load" if unchanged else "",
        "complaints read": f"{stats.rows:,}",
        "of these": counts(stats),
        "received": days_received(stats) if stats.oldest else "",
        "data of": f"{stats.age} ({stats.age.evidence})" if stats.age else "",
        "verified": verified(stats) if stats.windows and stats.matching is not None else "",
        "scope": part_reason(stats) if stats.part_reason else "",
        "withdrawn": withdrawals(stats) if stats.withdrawn or stats.born_withdrawn else "",
        "database": as_code(str(database)),
        "duration": f"{(outcome.ended - outcome.started).total_seconds():,.1f} s",
        "retries": f"{retries:,}" if retries else "",
    }
    lines = [f"# {outcome.status.capitalize()}", ""]
    if outcome.error:
        saved = what_is_saved(stats.rows, database, limited=limited, repeat=repeat)
        lines += [*map(verbatim, (outcome.message, saved)), ""]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in table.items() if value]
    if noted := warnings(stats):
        lines += ["", "## Warnings", "", *map(verbatim, noted)]
    return "\n".join(lines)


def as_code(text: str) -> str:
    """Return a text as code in Markdown."""
    return "`" + plain(text).replace("`", "'").replace("|", r"\|") + "`"


def verbatim(line: str) -> str:
    """Return a line as plain text in Markdown."""
    # In Markdown an indented line is plain text. Text from a file or server may contain markup.
    return textwrap.fill(
        plain(" ".join(line.split())),
        _WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


class ProgressArtifact:
    """Shows the progress of a long run in Prefect's UI. It is a listener of the run's events.

    Args:
        limit: How many complaints the user asked for; None if the user asked for all matches.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._stats = LoadStats()
        self._artifact: UUID | None = None
        self._next_update = time.monotonic() + _SHORT_RUN_SECONDS
        self._share = self._shown = 0.0

    def __call__(self, event: Event) -> None:
        """Record the progress, and show it when an update is due."""
        match event:
            case LoadStarted(stats=stats) | PartStored(stats=stats):
                self._stats += stats
                total = self._stats.matching or 0
                total = total if self._limit is None else min(self._limit, total)
                self._share = self._stats.rows / total if total else self._share
            case Progress(share=share) if share:
                self._share = share
        # Threads of tasks also emit progress, but an artifact needs a flow run, which they do not
        # have.
        is_due = self._share != self._shown and time.monotonic() >= self._next_update
        if is_due and FlowRunContext.get() is not None:
            self._show(self._share)

    def complete(self) -> None:
        """Show that the run is complete, if its progress was shown before."""
        if self._artifact is not None and self._shown < 1:
            self._show(1.0)

    def _show(self, share: float) -> None:
        self._next_update = time.monotonic() + _UPDATE_SECONDS
        self._shown = share
        percent = round(min(share, 1) * 100, 1)
        try:
            if self._artifact is None:
                created = create_progress_artifact(percent, PROGRESS, "How far the run is.")
                self._artifact = cast("UUID", created)  # a coroutine only inside an event loop
            else:
                update_progress_artifact(self._artifact, percent)
        except Exception as error:  # noqa: BLE001 - progress never fails a run
            self._artifact, self._next_update = None, float("inf")
            log_and_emit(Warned(f"Prefect's server did not take the progress of the run: {error}"))
