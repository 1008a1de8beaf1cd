"""How far a load has come: its windows, where each goes on, and the proof of those at their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from cfpb_etl.model.part import FileVersion

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cfpb_etl.model.part import ParsedPart, Part

_READINGS = 2  # of a window: what moved while it was read is read once more


@dataclass(frozen=True, slots=True)
class Window:
    """A window of days, or a file, that was read to its end and is proved.

    Attributes:
        part_id: Its row in `load_part`.
        expected: How many complaints its source counted in it, at its end.
        kept: How many distinct ones came.
        was_read_again: Whether that was not its first reading.
    """

    part_id: int
    expected: int
    kept: int
    was_read_again: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """What the windows of a load prove together.

    Attributes:
        windows: How many are proved.
        expected: How many complaints their source counted in them.
        kept: How many distinct ones of these came.
        moved: How many came or went while they were read, a second time too.
        left: How many windows are to be read, for the first time or again.
        left_expected: As `expected`, of those that are to be read again.
        left_kept: As `kept`, of those.
    """

    windows: int
    expected: int
    kept: int
    moved: int
    left: int
    left_expected: int
    left_kept: int


def await_parts(connection: sqlite3.Connection, load_id: int, parts: Sequence[Part]) -> None:
    """Remember parts that are to be fetched."""
    connection.executemany(
        "INSERT INTO load_part (load_id, key, next) VALUES (?, ?, ?)",
        [(load_id, part.key, part.to_json()) for part in parts],
    )


def progress_left(connection: sqlite3.Connection, load_id: int) -> list[str]:
    """Return where each window that is not at its end goes on."""
    rows = connection.execute(
        "SELECT next FROM load_part WHERE load_id = ? AND next IS NOT NULL AND readings <= ?"
        " ORDER BY key",
        (load_id, _READINGS),
    )
    return [progress for (progress,) in rows]


def proof_of(connection: sqlite3.Connection, load_id: int) -> Proof:
    """Return what the windows of a load prove together."""
    row = connection.execute(
        "SELECT COUNT(*) FILTER (WHERE next IS NULL), TOTAL(expected) FILTER (WHERE next IS NULL),"
        " TOTAL(kept) FILTER (WHERE next IS NULL),"
        " TOTAL(ABS(expected - kept)) FILTER (WHERE next IS NULL),"
        " COUNT(next), TOTAL(expected) FILTER (WHERE next IS NOT NULL),"
        " TOTAL(kept) FILTER (WHERE next IS NOT NULL)"
        " FROM load_part WHERE load_id = ?",
        (load_id,),
    ).fetchone()
    return Proof(*map(int, row))


def read_again(connection: sqlite3.Connection, load_id: int) -> None:
    """Let the windows that were not proved be read as often as they were, and be proved anew."""
    connection.execute(
        "UPDATE load_part SET expected = NULL, kept = NULL, counted = NULL, moved = 0, readings = 1"
        " WHERE load_id = ? AND readings > ?",
        (load_id, _READINGS),
    )


def forget(connection: sqlite3.Connection, load_id: int) -> None:
    """Forget how far a load has come; it is not gone on with."""
    connection.execute(
        "DELETE FROM load_seen WHERE part_id IN (SELECT part_id FROM load_part WHERE load_id = ?)",
        (load_id,),
    )
    connection.execute("DELETE FROM load_part WHERE load_id = ?", (load_id,))


def note(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, ids: Sequence[int]
) -> Window | None:
    """Remember what came and what follows it; return the window if this was its proved end.

    A window is proved when as many distinct complaints came as its source counts at its end. Where
    that fails it is read once more; then a source whose count moved meanwhile explains a few.
    """
    info, following = parsed.info, parsed.following
    matching, expected = info.matching or 0, info.expected or 0  # a page always tells them
    part_id, readings, counted, moved = connection.execute(
        "SELECT part_id, readings, counted, moved FROM load_part WHERE load_id = ? AND key = ?",
        (load_id, info.part.key),
    ).fetchone()
    connection.execute(
        "INSERT OR IGNORE INTO load_seen SELECT ?, value FROM json_each(?)",
        (part_id, msgspec.json.encode(ids).decode()),
    )
    if counted is not None:
        moved += abs(matching - counted)
    if following:
        connection.execute(
            "UPDATE load_part SET next = ?, counted = ?, moved = ? WHERE part_id = ?",
            # Where the window was divided, its next count is of fewer days.
            (
                following[0].to_json(),
                matching if len(following) == 1 else None,
                moved,
                part_id,
            ),
        )
        await_parts(connection, load_id, following[1:])
        return None
    (kept,) = connection.execute(
        "SELECT COUNT(*) FROM load_seen WHERE part_id = ?", (part_id,)
    ).fetchone()
    connection.execute(
        "UPDATE load_part SET next = NULL, counted = ?, moved = ?, expected = ?, kept = ?"
        " WHERE part_id = ?",
        (matching, moved, expected, kept, part_id),
    )
    # What came and went between two counts does not show in them, so that their difference is less
    # than what moved; and a day's movement is far below one in a hundred.
    explained = min(10 * moved, 100 + expected // 100) if readings >= _READINGS else 0
    if abs(expected - kept) <= explained:
        return Window(part_id, expected, kept, readings > 1)
    forget_seen(connection, part_id)
    connection.execute(
        "UPDATE load_part SET next = ?, readings = readings + 1 WHERE part_id = ?",
        (info.part.first().to_json(), part_id),
    )
    return None


def note_whole(
    connection: sqlite3.Connection, load_id: int, parsed: ParsedPart, distinct: int
) -> Window:
    """Remember that a part which is all of its key was stored, and what follows it.

    Args:
        connection: The database's.
        load_id: The load.
        parsed: The part.
        distinct: How many complaints of it there are, each once.
    """
    info = parsed.info
    version = info.version or FileVersion()
    (part_id,) = connection.execute(
        "UPDATE load_part SET next = NULL, expected = :distinct, kept = :distinct, etag = :etag,"
        " last_modified = :last_modified WHERE load_id = :load_id AND key = :key RETURNING part_id",
        {
            "distinct": distinct,
            "etag": version.etag,
            "last_modified": version.last_modified,
            "load_id": load_id,
            "key": info.part.key,
        },
    ).fetchone()
    await_parts(connection, load_id, parsed.following)
    return Window(part_id, distinct, distinct, was_read_again=False)


def versions_of(connection: sqlite3.Connection, kind: str) -> dict[str, FileVersion]:
    """Return the version of each file that was stored last, by the key of its part.

    Only files that a complete load of this kind of source brought are told.
    """
    rows = connection.execute(
        "SELECT key, etag, last_modified FROM load_part JOIN load USING (load_id)"
        " WHERE source = ? AND outcome = 'complete' AND COALESCE(etag, last_modified) IS NOT NULL"
        " ORDER BY load_id",
        (kind,),
    )
    return {key: FileVersion(etag, last_modified) for key, etag, last_modified in rows}


def forget_seen(connection: sqlite3.Connection, part_id: int) -> None:
    """Forget what came of a window, which its end or a new reading has no use for."""
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load_seen WHERE part_id < :it)"
        " OR EXISTS (SELECT 1 FROM load_seen WHERE part_id > :it)",
        {"it": part_id},
    ).fetchone()
    # All rows go at once where there is no condition, instead of one by one.
    condition = "WHERE part_id = :it" if others else ""
    connection.execute(f"DELETE FROM load_seen {condition}", {"it": part_id})  # noqa: S608
