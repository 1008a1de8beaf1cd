"""Sentences about a load that the log, the summary, artifacts and notifications share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.model.dates import clock_day, is_clock_behind
from cfpb_etl.model.query import SPELLED, Query
from cfpb_etl.plain_text import listed, plain

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.source import Source

REPEAT_COMMAND = "Run the same command again"
_FILES = {"bulk": "CFPB's daily file", "archive": "CFPB's archive of narratives"}
_PARTS = "files with a part of all complaints"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 page` or `2,000 pages`.

    >>> counted(2000, "page")
    '2,000 pages'
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def request_in_words(
    source: str, query_json: str, limit: int | None, *, is_part: bool = False
) -> str:
    """Return the query of a load in words, such as `the newest 1,000, state CA`.

    Args:
        source: The kind of source.
        query_json: The query, as a load records it.
        limit: How many complaints the user asked for; None if the user asked for all matches.
        is_part: Whether a file has only a part of all complaints.
    """
    if source == "bulk" and is_part:
        return _PARTS
    if source in _FILES:
        return _FILES[source]
    newest = "" if limit is None else f"the newest {limit:,}"
    query = str(Query.from_record(query_json))
    return ", ".join(filter(None, (newest, query))) or "all complaints"


def counts(stats: LoadStats) -> str:
    """Return how many of the complaints read were new, changed and unchanged."""
    text = f"{stats.new:,} new, {stats.changed:,} changed, {stats.unchanged:,} unchanged"
    for number, what in (
        (stats.not_applied, "not applied"),
        (stats.withdrawn, "withdrawn"),
        (stats.skipped, "skipped"),
        (stats.rejected, "rejected"),
    ):
        text += f", {number:,} {what}" if number else ""
    return text


def days_received(stats: LoadStats) -> str:
    """Return the first and the last plausible day received of the complaints read."""
    return f"{stats.oldest} to {stats.newest}" if stats.newest else "only days in the future"


def no_match_hint(source: Source) -> str:
    """Return what to check after a search without matches: only what the user asked for."""
    if source.is_update:
        return "CFPB has no such complaint in these days now"
    query = Query.from_record(source.query_json())
    names = [f"--{name.replace('_', '-')}" for name in SPELLED if getattr(query, name)]
    hints = []
    if names:
        hints.append(f"check the spelling of {' and '.join(names)}, capitals included")
    if query.search:
        hints.append("search for fewer or other words")
    if query.since or query.until:
        hints.append("ask for more days")
    if query.state and not hints:
        hints.append("ask for more states")
    return ", or ".join(hints) or "CFPB has no complaints now"


def verified(stats: LoadStats) -> str:
    """Return how many complaints were received, and how many the search API counts."""
    windows = f" (in {stats.windows:,} date windows)" if stats.windows > 1 else ""
    return f"{stats.received:,} of {stats.expected:,}{windows}"


def rows_of_files(stats: LoadStats) -> str:
    """Return how many rows the files have, and how many rows were not stored.

    CFPB does not publish the number of rows, so this number cannot be verified.
    """
    text = f"{stats.rows + stats.rejected + stats.repeated_headers:,} read"
    others = [
        counted(number, noun)
        for number, noun in (
            (stats.duplicates, "duplicate"),
            (stats.rejected, "rejected row"),
            (stats.repeated_headers, "repeated header"),
            (stats.skipped, "skipped complaint"),
        )
        if number
    ]
    return f"{text} ({', '.join(others)})" if others else text


def part_reason(stats: LoadStats) -> str:
    """Return that a file counts as a part of all complaints, why, and how to change this."""
    if stats.part_reason == "--partial":
        return "a part, because of --partial"
    return f"a part: {stats.part_reason} (use --whole if it has all)"


def withdrawals(stats: LoadStats) -> str:
    """Return how many stored complaints were marked as withdrawn, and how many new ones were."""
    return f"{stats.withdrawn:,} marked, {stats.born_withdrawn:,} added as withdrawn"


def warnings(stats: LoadStats) -> list[str]:
    """Return what the user must know about a load, one sentence each."""
    lines = []
    if stats.unknown_columns:
        lines.append(f"CFPB sends unknown columns: {listed(sorted(stats.unknown_columns))}")
    if stats.missing_columns:
        lines.append(
            "These columns are missing, so new complaints have no values in them:"
            f" {', '.join(sorted(stats.missing_columns))}"
        )
    if stats.skipped:
        lines.append(
            f"Skipped {counted(stats.skipped, 'complaint')} that only the archive has, because the"
            " database is partial. To add them, load --source bulk before the archive."
        )
    settled = stats.values_not_applied - stats.uncertain
    if settled:
        lines.append(
            f"Left {counted(settled, 'value')} as stored: newer data have set them, or this source"
            " does not send the column for every complaint."
        )
    if stats.uncertain:
        remedy = (
            " If they are, run again with --as-of DATE: the last possible day of the stored data"
            " (see cfpb-etl status) or a later day."
        )
        lines.append(
            f"Did not apply {counted(stats.uncertain, 'differing value')}: nothing shows whether"
            " these data are newer than the stored data."
            + (remedy if stats.matching is None else " A later load from the API will.")
        )
    if stats.after_today:
        lines.append(
            f"Stored {counted(stats.after_today, 'complaint')} with a day in the future, as the"
            " source has it. Such a day does not count as the newest day."
        )
    if stats.today is not None and is_clock_behind(stats.today):
        lines.append(
            f"This computer's clock is behind: it shows {clock_day()}, but a server, an earlier"
            f" load or the release of cfpb-etl shows a later day. Days until {stats.today} count as"
            " plausible. Set the clock."
        )
    lines += stats.warnings or ()
    if stats.without_id:
        lines.append(
            f"Marked no complaint as withdrawn: {counted(stats.without_id, 'rejected row')} without"
            " an id may belong to complaints that seem to be missing."
        )
    return [*map(plain, lines)]


def what_is_saved(rows: int, database: Path, *, limited: bool, repeat: str = REPEAT_COMMAND) -> str:
    """Return what an unfinished load has saved, and what the next run does.

    Args:
        rows: How many complaints the load has stored.
        database: The SQLite file.
        limited: Whether the load has a limit. A load with a limit starts over.
        repeat: The words for how to repeat the run.
    """
    if not rows:
        return "Nothing was stored."
    next_run = "to start over" if limited else "to resume"
    return f"{counted(rows, 'complaint')} are saved in {plain(str(database))}. {repeat} {next_run}."
