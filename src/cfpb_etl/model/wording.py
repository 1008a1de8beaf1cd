"""Sentences about a load that the log, the summary, artifacts and notifications share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.model.query import Query

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats

REPEAT_COMMAND = "Run the same command again"
_FILES = {"bulk": "CFPB's daily file", "archive": "CFPB's archive of narratives"}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 page` or `2,000 pages`.

    >>> counted(2000, "page")
    '2,000 pages'
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def request_in_words(source: str, query_json: str, limit: int | None) -> str:
    """Return the query of a load in words, such as `the newest 1,000, state CA`.

    Args:
        source: The kind of source.
        query_json: The query, as a load records it.
        limit: How many complaints the user asked for; None if the user asked for all matches.
    """
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


def warnings(stats: LoadStats) -> list[str]:
    """Return what the user must know about a load, one sentence each."""
    lines = []
    if stats.unknown_columns:
        lines.append(f"CFPB sends unknown columns: {', '.join(sorted(stats.unknown_columns))}")
    if stats.missing_columns:
        lines.append(
            "CFPB no longer sends these columns, so new complaints lack them:"
            f" {', '.join(sorted(stats.missing_columns))}"
        )
    if stats.skipped:
        lines.append(
            f"Skipped {counted(stats.skipped, 'complaint')} that only the archive has, because the"
            " database is partial. To add them, load --source bulk before the archive."
        )
    if stats.not_applied:
        lines.append(
            f"Left {counted(stats.not_applied, 'complaint')} as stored: this source differs, but a"
            " newer load has set these values."
        )
    lines += stats.warnings or ()
    if stats.without_id:
        lines.append(
            f"Marked no complaint as withdrawn: {counted(stats.without_id, 'rejected row')} without"
            " an id may belong to complaints that seem to be missing."
        )
    return lines


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
    return f"{counted(rows, 'complaint')} are saved in {database}. {repeat} {next_run}."
