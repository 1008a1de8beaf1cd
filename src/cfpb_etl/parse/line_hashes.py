"""The lines of the daily file that are stored unchanged and need not be parsed again.

CFPB writes new and changed complaints first, and the rest as the day before (docs/facts.md, "Order
of the daily file"). The database has a hash of each line of the file that was stored last, in the
order of the file, so that 500 are looked up at once. A row for each complaint, by its id, took 1.0
to 1.3 us to insert, a tenth of the first load.
"""

from __future__ import annotations

import csv
import sqlite3
from array import array
from collections import Counter
from contextlib import suppress
from itertools import chain, compress, count, islice
from typing import TYPE_CHECKING, NamedTuple

from pyroaring import BitMap64
from xxhash import xxh3_64_intdigest

from cfpb_etl import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

DAY = len("2026-10-08")  # characters at the start of a line

_UNSIGNED_64 = "Q"
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
                array(_UNSIGNED_64, first)[0]: block
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
            _UNSIGNED_64,
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
            self._window[block] = frozenset(array(_UNSIGNED_64, row[0]))
            if len(self._window) > _WINDOW:
                del self._window[next(iter(self._window))]


class Chunk(NamedTuple):
    """Some lines of a file, each compared with the stored ones.

    Attributes:
        unchanged_ids: The ids of the unchanged lines.
        days: The days received of these.
        hashes: The hashes of these, 8 bytes each.
        lines: The other lines.
        rows: Their fields.
        numbers: Their numbers in the file.
    """

    unchanged_ids: BitMap64
    days: set[str]
    hashes: bytes
    lines: list[str]
    rows: list[list[str]]
    numbers: list[int]


class ChangedLines:
    """Compares the lines of a file with the stored ones, as long as each line is a row.

    Args:
        lines: The lines after the header. Each starts with the day received, `YYYY-MM-DD`, and ends
            with the id.
        lines_read: How many lines come before these.
        stored: The stored lines under this header.

    Attributes:
        lines: The lines that are left, once a row continues in the next line.
        lines_read: How many lines come before these.
    """

    def __init__(self, lines: Iterator[str], lines_read: int, stored: StoredLines) -> None:
        self.lines = lines
        self.lines_read = lines_read
        self._stored = stored
        self._ids = BitMap64()  # of all lines before

    def __iter__(self) -> Iterator[Chunk]:
        while lines := [*islice(self.lines, _CHUNK)]:
            chunk = self._compared(lines)
            if chunk is None:
                self.lines = chain(lines, self.lines)
                return
            self.lines_read += len(lines)
            yield chunk

    def _compared(self, lines: list[str]) -> Chunk | None:
        """Return a chunk, or None if one of its rows is not exactly one line."""
        hashes = self._stored.hashes(lines)
        ids, distinct_ids = _ids_at_ends(lines)
        are_unchanged = self._are_unchanged(hashes, ids, distinct_ids)
        are_changed = [not is_unchanged for is_unchanged in are_unchanged]
        changed = [*compress(lines, are_changed)]
        try:
            rows = [*csv.reader(changed, strict=True)]
        except csv.Error:
            return None
        if len(rows) != len(changed):  # the lines of a field may look like unchanged lines
            return None
        self._ids |= distinct_ids
        return Chunk(
            BitMap64(compress(ids, are_unchanged)),
            {line[:DAY] for line in compress(lines, are_unchanged)},
            array(_UNSIGNED_64, compress(hashes, are_unchanged)).tobytes(),
            changed,
            rows,
            [*compress(count(self.lines_read + 1), are_changed)],
        )

    def _are_unchanged(
        self, hashes: array[int], ids: list[int], distinct_ids: BitMap64
    ) -> list[bool]:
        """Say for each line whether its complaint is stored with its values."""
        stored = self._stored.among(hashes)
        comparable = distinct_ids - self._ids - self._stored.outdated
        if len(stored) == len(comparable) == len(ids):
            return [True] * len(ids)
        # Of several copies of a complaint the last one counts, even if an earlier one is stored.
        copies = Counter(ids)
        single = {number for number in comparable if copies[number] == 1}
        return [
            line_hash in stored and number in single
            for line_hash, number in zip(hashes, ids, strict=True)
        ]


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
