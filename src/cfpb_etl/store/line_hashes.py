"""The hashes of the stored file's lines. The next load compares its lines with the hashes."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class LineHashWriter:
    """Replaces the stored hashes with the hashes of a new file's lines.

    Args:
        connection: An open connection to the database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._block = count(1)

    def write(self, line_hashes: bytes) -> None:
        """Store the hashes of some lines. Calls must follow the order of the file."""
        block = next(self._block)
        if block == 1:
            self._connection.execute("DELETE FROM line_block")
        self._connection.execute("INSERT INTO line_block VALUES (?, ?)", (block, line_hashes))

    def finish(self, duplicate_ids: Iterable[int]) -> None:
        """Record that complaints now match their stored lines, except those with several lines."""
        if next(self._block) > 1:
            self._connection.execute("DELETE FROM line_outdated")
            self._connection.executemany(
                "INSERT INTO line_outdated VALUES (?)", zip(duplicate_ids, strict=True)
            )
