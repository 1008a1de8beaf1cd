"""The lines of the daily file that are stored unchanged and need not be parsed again.

CFPB writes new and changed complaints first, and the rest as the day before (docs/facts.md, "Order
of the daily file"). The database has a hash of each line of the file that was stored last, in the
order of the file, so that 500 are looked up at once. A row for each complaint, by its id, took 1.0
to 1.3 us to insert, a tenth of the first load.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from pyroaring import BitMap64
from xxhash import xxh3_64_intdigest

from cfpb_etl import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

DAY = len("2026-10-08")  # characters at the start of a line

UNSIGNED_64 = "Q"
_CHUNK = 500  # lines
_MAX_DIGITS = 20  # of a number of 64 bits
_WINDOW = 16  # blocks in memory: one chunk lies in two, or in more where blocks are smaller


class StoredLines:
    """The lines of a database, looked up in about the order of the file that was stored last.

    Lines of another version of this program, or of a file with other columns, are not found. If the
    database cannot be read, no line is found: to compare lines only saves time.

    Args:
        database: The SQLite file. It is read as it was before the load that is stored meanwhile.

    Attributes:
        outdated: Complaints that were changed or deleted since their line was stored.
    """

    def __init__(self, database: Path) -> None:
        self.outdated = BitMap64()
        self._seed = 0
        self._blocks: dict[int, int] = {}  # the number of each block, by its first hash
        self._window: dict[int, frozenset[int]] = {}
        self._connection: sqlite3.Connection | None = None
        with suppress(sqlite3.Error):
            uri = f"{database.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            self._connection.execute("BEGIN")  # one state of the database to the end
            self.outdated.update(
                number
                for (number,) in self._connection.execute("SELECT complaint_id FROM line_outdated")
            )
            # If the file continues anywhere, the first line of a block follows within 500 lines.
            self._blocks = {
                array(UNSIGNED_64, first)[0]: block
                for block, first in self._connection.execute(
                    "SELECT block, SUBSTR(line_hashes, 1, 8) FROM line_block"
                )
            }
        self._load_block(1)

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._blocks)

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()

    def use_header(self, header: Sequence[str]) -> None:
        """Set the column titles of the lines that follow; they are part of each hash."""
        self._seed = xxh3_64_intdigest("\0".join((__version__, *header)).encode(errors="replace"))

    def hashes(self, lines: Iterable[str]) -> array[int]:
        """Return a hash of 64 bits for each line.

        XXH3 took 0.18 us a line of the daily file, and BLAKE2 with 8 bytes 0.72 us.
        """
        seed = self._seed
        return array(
            UNSIGNED_64,
            [xxh3_64_intdigest(line.encode(errors="surrogateescape"), seed) for line in lines],
        )

    def among(self, hashes: array[int]) -> set[int]:
        """Return the hashes that are stored; to be called in the order of the file."""
        for block in sorted(self._blocks[first] for first in self._blocks.keys() & hashes):
            self._load_block(block)
            self._load_block(block + 1)  # its first line may have changed
        wanted = {*hashes}
        missing = wanted
        for lines in reversed(self._window.values()):
            missing = missing - lines
            if not missing:
                return wanted
        return wanted - missing

    def _load_block(self, block: int) -> None:
        if block in self._window or self._connection is None:
            return
        row = None
        with suppress(sqlite3.Error):
            row = self._connection.execute(
                "SELECT line_hashes FROM line_block WHERE block = ?", (block,)
            ).fetchone()
        if row is not None:
            self._window[block] = frozenset(array(UNSIGNED_64, row[0]))
            if len(self._window) > _WINDOW:
                del self._window[next(iter(self._window))]


def compare_lines(
    lines: Iterator[str], stored: StoredLines
) -> Iterator[tuple[list[str], list[int], array[int], list[bool]]]:
    """Compare the lines of a file with the stored ones.

    Args:
        lines: The lines after the header. Each starts with the day received, `YYYY-MM-DD`, and ends
            with the id.
        stored: The stored lines under this header.

    Yields:
        500 lines, their ids, their hashes, and whether each is stored with its complaint's values.
    """
    ids_before = BitMap64()
    while chunk := [*islice(lines, _CHUNK)]:
        hashes = stored.hashes(chunk)
        ids, distinct_ids = _ids_at_ends(chunk)
        found = stored.among(hashes)
        comparable = distinct_ids - ids_before - stored.outdated
        if len(found) == len(comparable) == len(chunk):
            yield chunk, ids, hashes, [True] * len(chunk)
        else:
            # Of several copies of a complaint the last one counts, even if an earlier is stored.
            copies = Counter(ids)
            single = {number for number in comparable if copies[number] == 1}
            pairs = zip(hashes, ids, strict=True)
            yield chunk, ids, hashes, [line in found and number in single for line, number in pairs]
        ids_before |= distinct_ids


def _ids_at_ends(lines: list[str]) -> tuple[list[int], BitMap64]:
    """Return the id at the end of each line, or 0, and the set of the ids."""
    try:
        ids = [int(line[line.rfind(",") + 1 :]) for line in lines]
        return ids, BitMap64(ids)
    except (ValueError, OverflowError):
        ids = [*map(_id_at_end, lines)]
        return ids, BitMap64(filter(None, ids))


def _id_at_end(line: str) -> int:
    text = line[line.rfind(",") + 1 :].strip().strip('"')
    return int(text) if len(text) < _MAX_DIGITS and text.isdecimal() else 0
