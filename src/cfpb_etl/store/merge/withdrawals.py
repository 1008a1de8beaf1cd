"""Withdrawals: complaints that CFPB no longer has are marked. Their rows are not deleted.

The mark is the day of the data in which a complaint was first missing. The mark is removed if newer
data have the complaint again. A complaint is marked only if the loads that have set or confirmed
its values are certainly older.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from pyroaring import BitMap64

from cfpb_etl.store.errors import TooManyWithdrawnError
from cfpb_etl.store.merge.coverage import covers_database
from cfpb_etl.store.merge.order import note_presence

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from cfpb_etl.model.part import PartInfo
    from cfpb_etl.store.merge.coverage import Coverage
    from cfpb_etl.store.merge.order import Precedence
    from cfpb_etl.store.windows import Window


def mark_absent(
    connection: sqlite3.Connection,
    load_id: int,
    info: PartInfo,
    window: Window,
    precedence: Precedence,
) -> int:
    """Mark complaints of a verified date window as withdrawn if the source did not send them.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        info: The facts about the window's last page.
        window: The window.
        precedence: The loads whose values may not be replaced.

    Returns:
        How many complaints were marked.
    """
    if not info.proves_absence or window.received < window.expected or not precedence.may_mark:
        return 0
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE load_id <> ? AND new)", (load_id,)
    ).fetchone()
    if info.age is None or not (others or window.was_read_again):
        return 0  # this load has stored every row, so the source has every complaint
    since, until = info.days
    absent = connection.execute(
        "SELECT complaint_id, withdrawn_on IS NOT NULL FROM complaint"
        " WHERE date_received BETWEEN COALESCE(:since, '') AND COALESCE(:until, '9999-12-31')"
        # The source has sent the rows of this load, but they may be gone at the second reading.
        " AND (:again OR load_id <> :load_id)"
        " AND NOT EXISTS (SELECT 1 FROM load_seen"
        " WHERE part_id = :part_id AND load_seen.complaint_id = complaint.complaint_id)",
        {
            "load_id": load_id,
            "since": since,
            "until": until,
            "again": window.was_read_again,
            "part_id": window.part_id,
        },
    ).fetchall()
    still_missing = BitMap64(number for number, is_marked in absent if is_marked)
    note_presence(connection, load_id, still_missing, is_present=False)
    numbers = [number for number, is_marked in absent if not is_marked]
    return _mark(connection, load_id, numbers, info.age.latest, precedence)


def mark_missing(
    connection: sqlite3.Connection,
    load_id: int,
    info: PartInfo,
    coverage: Coverage,
    precedence: Precedence,
) -> int:
    """Mark stored complaints as withdrawn if a file proves that CFPB no longer has them.

    A file of all complaints proves this, and a part that has the days, states and products of all
    stored complaints, unless the user says that it is a part.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        info: The facts about the file.
        coverage: Which complaints the file has.
        precedence: The loads whose values may not be replaced.

    Returns:
        How many complaints were marked.

    Raises:
        TooManyWithdrawnError: If a file of all complaints lacks too large a share of them.
    """
    missing = coverage.missing
    if coverage.part_reason is None:
        note_presence(connection, load_id, coverage.still_missing, is_present=False)
    if not missing or not precedence.may_mark or info.age is None:
        return 0
    stored, is_part = coverage.stored, coverage.part_reason is not None
    is_too_many = len(missing) > info.max_withdrawn * stored
    if is_part and (
        info.is_whole is False or is_too_many or not covers_database(connection, coverage)
    ):
        return 0
    withdrawn = _mark(connection, load_id, missing, info.age.latest, precedence)
    if withdrawn > info.max_withdrawn * stored:
        raise TooManyWithdrawnError(
            withdrawn=withdrawn, stored=stored, max_share=info.max_withdrawn
        )
    return withdrawn


def _mark(
    connection: sqlite3.Connection,
    load_id: int,
    numbers: Iterable[int],
    day: str,
    precedence: Precedence,
) -> int:
    """Mark complaints whose values may be replaced, and return how many were marked."""
    numbers = [*numbers]
    if precedence:
        rows = connection.execute(
            "SELECT complaint_id, load_id, withdrawn_on FROM complaint"
            " WHERE complaint_id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(numbers).decode(),),
        ).fetchall()
        numbers = [row[0] for row in rows if not precedence.protects(*row)]
    connection.executemany(
        f"UPDATE complaint SET withdrawn_on = '{day}', changed_load_id = {load_id}"  # noqa: S608 - our values
        " WHERE complaint_id = ?",
        zip(numbers, strict=True),
    )
    return len(numbers)
