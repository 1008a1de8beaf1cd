"""Finds the lines of the daily file that are already stored and need not be parsed.

CFPB writes new and changed complaints first. The other complaints follow in the same order as the
day before (docs/facts.md, "Order of the daily file"). The database has a hash of each line of the
last stored file, in the order of the file, so 500 lines are looked up at once. Storing one hash
with each complaint took longer: 1.0 to 1.3 us a complaint, a tenth of the first load.
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
_CHUNK = 500  # lines looked up at once
_MAX_DIGITS = 20  # digits of a number of 64 bits
_WINDOW = 16  # blocks in memory; the lines of a chunk are in two blocks, or in more small blocks


class StoredLines:
    """The stored lines of a database, looked up in about the order of the last stored file.

    A line is not found if another version of this program has stored it, or if its file had other
    columns. If the database cannot be read, no line is found. A line that is not found is parsed
    again, which costs only time.

    Args:
        database: The SQLite file. It is read in its state before the current load.

    Attributes:
        outdated: The ids of complaints that were changed or deleted after their line was stored.
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
            if self._connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                return  # with a rollback journal, a reader would keep the load from writing
            self._connection.execute("BEGIN")  # all queries read the same state
            self.outdated.update(
                number
                for (number,) in self._connection.execute("SELECT complaint_id FROM line_outdated")
            )
            # Wherever the order of the file continues, the first line of a block follows within 500
            # lines.
            self._blocks = {
                array(UNSIGNED_64, first)[0]: block
                for block, first in self._connection.execute(
                    "SELECT block, SUBSTR(line_hashes, 1, 8) FROM line_block"
                )
            }
        self._load_block(min(self._blocks.values(), default=0))

    def __bool__(self) -> bool:
        """Say whether any lines are stored."""
        return bool(self._blocks)

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()

    def use_header(self, header: Sequence[str]) -> None:
        """Set the column titles of the lines. The titles are part of each hash."""
        self._seed = xxh3_64_intdigest("\0".join((__version__, *header)).encode(errors="replace"))

    def hashes(self, lines: Iterable[str]) -> array[int]:
        """Return a hash of 64 bits for each line.

        XXH3 took 0.18 us for a line of the daily file. BLAKE2 with 8 bytes took 0.72 us.
        """
        seed = self._seed
        return array(
            UNSIGNED_64,
            [xxh3_64_intdigest(line.encode(errors="surrogateescape"), seed) for line in lines],
        )

    def among(self, hashes: array[int]) -> set[int]:
        """Return the hashes that are stored. Calls must follow the order of the file."""
        for block in sorted(self._blocks[first] for first in self._blocks.keys() & hashes):
            self._load_block(block)
            self._load_block(block + 1)  # needed because the block's first line may have changed
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
    """Compare the lines of a file with the stored lines.

    Args:
        lines: The lines after the header. Each line starts with the day received, `YYYY-MM-DD`, and
            ends with the id.
        stored: The stored lines. `use_header` was already called with this file's header.

    Yields:
        500 lines, their ids, their hashes, and whether each line is stored with the complaint's
        current values.
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
            # The last copy of a complaint counts, even if an earlier copy is stored.
            copies = Counter(ids)
            single = {number for number in comparable if copies[number] == 1}
            pairs = zip(hashes, ids, strict=True)
            yield chunk, ids, hashes, [line in found and number in single for line, number in pairs]
        ids_before |= distinct_ids


def _ids_at_ends(lines: list[str]) -> tuple[list[int], BitMap64]:
    """Return the id at the end of each line (0 if the line has no id), and the set of ids."""
    try:
        ids = [int(line[line.rfind(",") + 1 :]) for line in lines]
        return ids, BitMap64(ids)
    except (ValueError, OverflowError):
        ids = [*map(_id_at_end, lines)]
        return ids, BitMap64(filter(None, ids))


def _id_at_end(line: str) -> int:
    text = line[line.rfind(",") + 1 :].strip().strip('"')
    return int(text) if len(text) < _MAX_DIGITS and text.isdecimal() else 0
