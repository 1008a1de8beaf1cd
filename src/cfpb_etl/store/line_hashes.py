"""Hashes of the lines of the stored daily file, which the next load compares its lines with."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class LineHashWriter:
    """Replaces the stored hashes by those of the lines of a new file.

    Args:
        connection: An open connection to the database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._block = count(1)

    def write(self, line_hashes: bytes) -> None:
        """Store the hashes of some lines, in the order of the file."""
        block = next(self._block)
        if block == 1:
            self._connection.execute("DELETE FROM line_block")
        self._connection.execute("INSERT INTO line_block VALUES (?, ?)", (block, line_hashes))

    def finish(self, duplicate_ids: Iterable[int]) -> None:
        """Note that every complaint is stored as in its line, but those that have several lines."""
        if next(self._block) > 1:
            self._connection.execute("DELETE FROM line_outdated")
            self._connection.executemany(
                "INSERT INTO line_outdated VALUES (?)", zip(duplicate_ids, strict=True)
            )
