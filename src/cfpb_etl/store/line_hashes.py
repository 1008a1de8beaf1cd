"""The line hashes of the daily file that is stored, kept for the next one."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


class LineHashWriter:
    """Keeps the lines of a file that is stored, in place of those of the file before.

    Args:
        connection: The one that stores.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._block = count(1)

    def keep(self, fingerprints: bytes) -> None:
        """Keep some lines that follow those before."""
        block = next(self._block)
        if block == 1:
            self._connection.execute("DELETE FROM line_block")
        self._connection.execute("INSERT INTO line_block VALUES (?, ?)", (block, fingerprints))

    def end(self, repeated: Iterable[int]) -> None:
        """Say that all complaints stand as in the lines kept, but for these, of several lines."""
        if next(self._block) > 1:
            self._connection.execute("DELETE FROM line_outdated")
            self._connection.executemany(
                "INSERT INTO line_outdated VALUES (?)", zip(repeated, strict=True)
            )
