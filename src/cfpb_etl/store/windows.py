"""The checkpoints of a load: for each date window or file, the next part and the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cfpb_etl.model.file import FileVersion

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cfpb_etl.model.part import ParsedPart, Part

MAX_READINGS = 2  # a window is read once more if its counts do not match


@dataclass(frozen=True, slots=True)
class Window:
    """A date window or a file that was read completely and verified.

    Attributes:
        part_id: The id of the row in `load_part`.
        expected: How many complaints the source counted in the window when it sent the last page.
        received: How many distinct complaints of the window were received.
        was_read_again: Whether the window was read for the second time.
    """

    part_id: int
    expected: int
    received: int
    was_read_again: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """The total counts of all windows of a load.

    Attributes:
        windows: How many windows are verified.
        expected: How many complaints the source counted in the verified windows.
        received: How many distinct complaints of the verified windows were received.
        moved: How many complaints were added or removed in the verified windows while they were
            read.
        left: How many windows must still be read, for the first or the second time.
        left_expected: How many complaints the source counted in windows that were not verified.
        left_received: How many distinct complaints of the unverified windows were received.
    """

    windows: int
    expected: int
    received: int
    moved: int
    left: int
    left_expected: int
    left_received: int


def add_parts(connection: sqlite3.Connection, load_id: int, parts: Sequence[Part]) -> None:
    """Save the parts that must be fetched."""
    connection.executemany(
        "INSERT INTO load_part (load_id, key, next) VALUES (?, ?, ?)",
        [(load_id, part.key, part.to_json()) for part in parts],
    )


def parts_left(connection: sqlite3.Connection, load_id: int) -> list[str]:
    """Return the next part of each unfinished window, as JSON."""
    rows = connection.execute(
        "SELECT next FROM load_part WHERE load_id = ? AND next IS NOT NULL AND readings <= ?"
        " ORDER BY key",
        (load_id, MAX_READINGS),
    )
    return [part for (part,) in rows]


def verification_of(connection: sqlite3.Connection, load_id: int) -> Verification:
    """Return the total counts of all windows of a load."""
    row = connection.execute(
        "SELECT COUNT(*) FILTER (WHERE next IS NULL), TOTAL(expected) FILTER (WHERE next IS NULL),"
        " TOTAL(received) FILTER (WHERE next IS NULL),"
        " TOTAL(ABS(expected - received)) FILTER (WHERE next IS NULL),"
        " COUNT(next), TOTAL(expected) FILTER (WHERE next IS NOT NULL),"
        " TOTAL(received) FILTER (WHERE next IS NOT NULL)"
        " FROM load_part WHERE load_id = ?",
        (load_id,),
    ).fetchone()
    return Verification(*map(int, row))


def reset_unverified(connection: sqlite3.Connection, load_id: int) -> None:
    """Reset the windows that were not verified, so that they can be read twice again."""
    connection.execute(
        "UPDATE load_part SET expected = NULL, received = NULL, counted = NULL, moved = 0,"
        " readings = 1 WHERE load_id = ? AND readings > ?",
        (load_id, MAX_READINGS),
    )


def forget_parts(connection: sqlite3.Connection, load_id: int) -> None:
    """Delete the checkpoints of a load that cannot be resumed any more."""
    connection.execute(
        "DELETE FROM load_seen WHERE part_id IN (SELECT part_id FROM load_part WHERE load_id = ?)",
        (load_id,),
    )
    connection.execute("DELETE FROM load_part WHERE load_id = ?", (load_id,))


def note_page(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, ids: Sequence[int]
) -> Window | None:
    """Record the complaints received with a page, and what to fetch next.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        parsed: The page.
        ids: The ids of the page's complaints.

    Returns:
        The window, if the page is its last page and the window is verified; otherwise None.
    """
    matching = parsed.info.matching or 0  # every page has a count
    part_id, readings, counted, moved = connection.execute(
        "SELECT part_id, readings, counted, moved FROM load_part WHERE load_id = ? AND key = ?",
        (load_id, parsed.info.part.key),
    ).fetchone()
    if counted is not None:
        moved += abs(matching - counted)
    connection.execute(
        "INSERT OR IGNORE INTO load_seen SELECT ?, value FROM json_each(?)",
        (part_id, msgspec.json.encode(ids).decode()),
    )
    connection.execute("UPDATE load_part SET moved = ? WHERE part_id = ?", (moved, part_id))
    key = parsed.info.part.key
    others = [part for part in parsed.next_parts if part.key != key]
    add_parts(connection, load_id, others)
    for part in parsed.next_parts:
        if part.key == key:
            connection.execute(
                "UPDATE load_part SET next = ?, counted = ? WHERE part_id = ?",
                # After a split, the window has fewer days, so its next count cannot be compared.
                (part.to_json(), None if others else matching, part_id),
            )
            return None
    return _verify(connection, part_id, parsed, moved, readings)


def _verify(
    connection: sqlite3.Connection, part_id: int, parsed: ParsedPart, moved: int, readings: int
) -> Window | None:
    """Compare the number of complaints received with the source's count at the window's end.

    If the numbers differ, the window is read once more. If they differ again, a count that changed
    during the reading can explain a small difference.
    """
    matching, expected = parsed.info.matching or 0, parsed.info.expected or 0
    (received,) = connection.execute(
        "SELECT COUNT(*) FROM load_seen WHERE part_id = ?", (part_id,)
    ).fetchone()
    connection.execute(
        "UPDATE load_part SET next = NULL, counted = ?, expected = ?, received = ?"
        " WHERE part_id = ?",
        (matching, expected, received, part_id),
    )
    # Complaints that were added and removed between two counts do not change the count. So more
    # complaints can have moved than the counts differ. In a day, far less than 1 % move.
    explained = min(10 * moved, 100 + expected // 100) if readings >= MAX_READINGS else 0
    if abs(expected - received) <= explained:
        return Window(part_id, expected, received, readings > 1)
    forget_seen(connection, part_id)
    connection.execute(
        "UPDATE load_part SET next = ?, readings = readings + 1 WHERE part_id = ?",
        (parsed.info.part.first().to_json(), part_id),
    )
    return None


def note_file(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, distinct: int
) -> Window:
    """Record that a file was stored, and which parts to fetch next.

    Args:
        connection: An open connection to the database.
        load_id: The load.
        parsed: The file.
        distinct: How many distinct complaints the file has.
    """
    info = parsed.info
    version = info.version or FileVersion()
    (part_id,) = connection.execute(
        "UPDATE load_part SET next = NULL, expected = :distinct, received = :distinct,"
        " etag = :etag, last_modified = :last_modified"
        " WHERE load_id = :load_id AND key = :key RETURNING part_id",
        {
            "distinct": distinct,
            "etag": version.etag,
            "last_modified": version.last_modified,
            "load_id": load_id,
            "key": info.part.key,
        },
    ).fetchone()
    add_parts(connection, load_id, parsed.next_parts)
    return Window(part_id, distinct, distinct, was_read_again=False)


def stored_versions(connection: sqlite3.Connection, kind: str) -> dict[str, FileVersion]:
    """Return the newest stored version of each file, from complete loads of one kind.

    Returns:
        The version of each file, by the key of the file's part.
    """
    rows = connection.execute(
        "SELECT key, etag, last_modified FROM load_part JOIN load USING (load_id)"
        " WHERE source = ? AND outcome = 'complete' AND COALESCE(etag, last_modified) IS NOT NULL"
        " ORDER BY load_id",
        (kind,),
    )
    return {key: FileVersion(etag, last_modified) for key, etag, last_modified in rows}


def forget_seen(connection: sqlite3.Connection, part_id: int) -> None:
    """Delete the ids received in a window, after its end or before it is read again."""
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load_seen WHERE part_id < :it)"
        " OR EXISTS (SELECT 1 FROM load_seen WHERE part_id > :it)",
        {"it": part_id},
    ).fetchone()
    # Without a condition, SQLite deletes all rows at once instead of one by one.
    condition = "WHERE part_id = :it" if others else ""
    connection.execute(f"DELETE FROM load_seen {condition}", {"it": part_id})  # noqa: S608
