"""The artifacts of a scheduled update for Prefect's UI: what was exported, and the diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humanize import naturalsize

from cfpb_etl.model.wording import counts
from cfpb_etl.orchestration.reporting.artifacts import as_code, create_artifacts, verbatim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cfpb_etl.orchestration.reporting.outcome import RunOutcome
    from cfpb_etl.publish.export import ExportStats

EXPORTS = "cfpb-exports"


def create_export_artifacts(
    outcome: RunOutcome, exports: Sequence[ExportStats], picture: Path | None
) -> None:
    """Create the artifacts of the current run: a summary, and the diagram if one was drawn."""
    create_artifacts(EXPORTS, lambda: export_summary_of(outcome, exports), outcome, picture)


def export_summary_of(outcome: RunOutcome, exports: Sequence[ExportStats]) -> str:
    """Return the summary of a scheduled update as Markdown: the load, and each export.

    Args:
        outcome: The outcome of the run, with the stats of a complete load.
        exports: The exports that are complete.
    """
    lines = [f"# {outcome.status.capitalize()}", ""]
    if outcome.message:
        lines += [verbatim(outcome.message), ""]
    if outcome.stats.parts:
        lines += [f"The load is complete: {counts(outcome.stats)}.", ""]
    if exports:
        lines += ["| target | size | rows | written now |", "|---|---|---|---|"]
    for each in exports:
        size = "" if each.bytes is None else naturalsize(each.bytes)
        lines.append(
            f"| {as_code(each.target)} | {size} | {_in_words(each.tables)}"
            f" | {_in_words(each.written)} |"
        )
    if notes := [f"{each.target}: {note}" for each in exports for note in each.notes]:
        lines += ["", "## Notes", "", *map(verbatim, notes)]
    return "\n".join(lines)


def _in_words(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} in {as_code(table)}" for table, count in rows.items())
