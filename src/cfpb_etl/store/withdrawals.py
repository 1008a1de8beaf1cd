"""Withdrawals: complaints that CFPB no longer has are marked. Their rows are not deleted.

The mark is the day of the data in which a complaint was first missing. The mark is removed if data
of the same day or a later day have the complaint again. Rows that newer loads wrote are not marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from pyroaring import BitMap64

from cfpb_etl.store.errors import TooManyWithdrawnError

if TYPE_CHECKING:
    import sqlite3

    from cfpb_etl.model.part import ParsedPart, PartInfo
    from cfpb_etl.store.merge import NewerLoads
    from cfpb_etl.store.windows import Window


def mark_absent(
    connection: sqlite3.Connection,
    load_id: int,
    info: PartInfo,
    window: Window,
    newer: NewerLoads,
) -> int:
    """Mark complaints of a verified date window as withdrawn if the source did not send them.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        info: The facts about the window's last page.
        window: The window.
        newer: The loads with newer data.

    Returns:
        How many complaints were marked.
    """
    if not info.proves_absence or window.received < window.expected or newer.all_as_of:
        return 0
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE load_id <> ? AND new)", (load_id,)
    ).fetchone()
    if not (others or window.was_read_again):
        return 0  # this load has stored every row, so the source has every complaint
    since, until = info.days
    return connection.execute(
        "UPDATE complaint"  # noqa: S608 - our numbers
        " SET withdrawn_on = :as_of, load_id = :load_id, changed_load_id = :load_id"
        " WHERE date_received BETWEEN COALESCE(:since, '') AND COALESCE(:until, '9999-12-31')"
        " AND withdrawn_on IS NULL"
        # The source has sent the rows of this load, but they may be gone at the second reading.
        " AND (:again OR load_id <> :load_id)"
        " AND NOT EXISTS (SELECT 1 FROM load_seen"
        " WHERE part_id = :part_id AND load_seen.complaint_id = complaint.complaint_id)"
        f" AND NOT {newer.wrote_sql}",
        {
            "as_of": info.age and info.age.as_of,
            "load_id": load_id,
            "since": since,
            "until": until,
            "again": window.was_read_again,
            "part_id": window.part_id,
        },
    ).rowcount


def mark_vanished(
    connection: sqlite3.Connection,
    load_id: int,
    parsed: ParsedPart,
    newer: NewerLoads,
    new: int,
) -> int:
    """Mark stored complaints as withdrawn if a file of all complaints does not have them.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        parsed: The file.
        newer: The loads with newer data.
        new: How many complaints of the file were not stored before.

    Returns:
        How many complaints were marked.

    Raises:
        TooManyWithdrawnError: If the file lacks too large a share of the stored complaints.
    """
    info, read_stats = parsed.info, parsed.read_stats
    # A rejected row without an id may belong to any complaint that seems to be missing.
    if not info.proves_absence or info.is_unchanged or newer.all_as_of or read_stats.without_id:
        return 0
    gone = BitMap64()
    # The ids are read for a day at a time, which took half as long as one id at a time.
    for (ids,) in connection.execute(
        "SELECT json_group_array(complaint_id) FROM complaint"
        " INDEXED BY complaint_date_received GROUP BY date_received"
    ):
        gone.update(msgspec.json.decode(ids, type=list[int]))
    gone -= read_stats.ids or BitMap64()
    as_of = info.age and info.age.as_of
    withdrawn = connection.executemany(
        f"UPDATE complaint SET withdrawn_on = '{as_of}', load_id = {load_id},"  # noqa: S608 - our values
        f" changed_load_id = {load_id}"
        f" WHERE complaint_id = ? AND withdrawn_on IS NULL AND NOT {newer.wrote_sql}",
        zip(gone, strict=True),
    ).rowcount
    if withdrawn <= 0:  # `rowcount` is -1 if no statement was executed
        return 0
    (left,) = connection.execute(
        "SELECT COUNT(*) - (SELECT COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL) - ?"
        " FROM complaint",
        (new,),
    ).fetchone()
    if withdrawn > info.max_withdrawn * (left + withdrawn):
        raise TooManyWithdrawnError(
            withdrawn=withdrawn, stored=left + withdrawn, max_share=info.max_withdrawn
        )
    return withdrawn
