"""Counts of exported rows: how far an export is, and whether the target has all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.model.events import Progress, emit
from cfpb_etl.publish.errors import DifferentRowsError

if TYPE_CHECKING:
    from pathlib import Path

_PROGRESS_ROWS = 50_000


def report_rows(table: str, before: int, now: int, total: int) -> None:
    """Report the progress of an export about every 50,000 rows.

    Args:
        table: The name of the table.
        before: How many of its rows were written at the call before.
        now: How many are written now.
        total: How many it has.
    """
    if now // _PROGRESS_ROWS > before // _PROGRESS_ROWS or now == total:
        emit(
            Progress(
                step=f"Exporting {table}",
                so_far=f"{now:,} of {total:,}",
                share=now / total if total else 1,
                done=now,
            )
        )


def verify_rows(target: Path, table: str, expected: int, *found: int) -> None:
    """Raise an error if a table of the target has not as many rows as in the database.

    Args:
        target: The target.
        table: The name of the table.
        expected: How many rows the database has.
        found: How many rows were written, and how many the finished target has.

    Raises:
        DifferentRowsError: If one of these numbers is different.
    """
    for number in found:
        if number != expected:
            raise DifferentRowsError(
                target=str(target), table=table, expected=expected, found=number
            )
