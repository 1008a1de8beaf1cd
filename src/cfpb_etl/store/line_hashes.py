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
        (last,) = connection.execute("SELECT COALESCE(MAX(block), 0) FROM line_block").fetchone()
        self._first = last + 1
        self._block = count(self._first)

    def write(self, line_hashes: bytes) -> None:
        """Store the hashes of some lines. Calls must follow the order of the file."""
        self._connection.execute(
            "INSERT INTO line_block VALUES (?, ?)", (next(self._block), line_hashes)
        )

    def finish(self, duplicate_ids: Iterable[int], *, keep_old: bool = False) -> None:
        """Remove the hashes of the file before; or the new hashes, if the old ones are kept.

        With new hashes, all complaints match their lines, except those with several lines.
        """
        if next(self._block) == self._first:
            return
        if keep_old:
            self._connection.execute("DELETE FROM line_block WHERE block >= ?", (self._first,))
            return
        self._connection.execute("DELETE FROM line_block WHERE block < ?", (self._first,))
        self._connection.execute("DELETE FROM line_outdated")
        self._connection.executemany(
            "INSERT INTO line_outdated VALUES (?)", zip(duplicate_ids, strict=True)
        )
