"""The last lines of output of a run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.model.wording import (
    counted,
    counts,
    days_received,
    no_match_hint,
    part_reason,
    rows_of_files,
    verified,
    what_is_saved,
    withdrawals,
)
from cfpb_etl.plain_text import plain
from cfpb_etl.store.sqlite_file import count_complaints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.source import Source

_TRY = "SELECT product, COUNT(*) FROM complaint GROUP BY 1 ORDER BY 2 DESC LIMIT 5"


def summary_of(stats: LoadStats, database: Path, source: Source, picture: Path | None) -> str:
    """Return the results of a completed run, as lines of text.

    Raises:
        DatabaseError: If the database cannot be read.
    """
    lines = [*_lines_about_complaints(stats, source)]
    complaints = counted(count_complaints(database), "complaint")
    lines.append(f"database   {database}, {complaints}")
    if picture:
        lines.append(f"picture    {picture}")
    lines.append(f'try        sqlite3 {shlex.quote(str(database))} "{_TRY}"')
    return "\n".join(map(plain, lines))


def _lines_about_complaints(stats: LoadStats, source: Source) -> Iterator[str]:
    if stats.unchanged_files:
        files = counted(stats.unchanged_files, "file")
        yield f"already up to date: {files} not changed since the last load"
        if not stats.rows:
            return
    parts = counted(stats.parts - stats.unchanged_files, source.part_noun)
    yield f"{counted(stats.rows, 'complaint')} in {parts}: {counts(stats)}"
    if stats.matching == 0:
        yield f"nothing matches: {no_match_hint(source)}"
    if stats.oldest:
        matching = "" if source.limit is None else f" ({stats.matching:,} match)"
        yield f"received   {days_received(stats)}{matching}"
    if stats.age:
        yield f"data of    {stats.age} ({stats.age.evidence})"
    if source.part_noun == "file":
        yield f"rows       {rows_of_files(stats)}"
    else:
        yield f"verified   {verified(stats)}"
    if stats.part_reason:
        yield f"scope      {part_reason(stats)}"
    if source.is_update and not stats.proves_absence:
        yield "withdrawn  not checked: under a filter, a missing complaint may have changed"
    elif source.part_noun == "file" or source.is_update or stats.withdrawn:
        yield f"withdrawn  {withdrawals(stats)}"


def saved_line(stats: LoadStats, database: Path, source: Source, *, complete: bool = False) -> str:
    """Return what a run without a summary has saved, and what to do next.

    Args:
        stats: What the load has stored.
        database: The SQLite file.
        source: The source of the complaints.
        complete: Whether the load was complete when the run ended.
    """
    if complete:
        stored = f"{counted(stats.rows, 'complaint')} are saved in {database}"
        return f"The load is complete: {stored}."
    saved = what_is_saved(stats.rows, database, limited=source.limit is not None)
    if not stats.rows and source.part_noun == "file" and downloads_beside(database):
        saved += " The download is kept, and the next run will use it."
    return saved
