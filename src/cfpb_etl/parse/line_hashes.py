"""The lines of CFPB's daily file whose complaints a database holds as they stand in them.

CFPB writes first what is new or changed, and the rest follows as it was (DATA.md section 4): of
most lines it is enough to see that they are the same. The database keeps a fingerprint of each, in
the order of the file that was stored last, so that some hundred are found at once. To insert a row
for each complaint, by its id, took 1.0 to 1.3 us, a tenth of the first load.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter, deque
from itertools import compress, count, islice
from typing import TYPE_CHECKING

from pyroaring import BitMap64

from cfpb_etl import __version__

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence


_SIGNED_64 = "q"
_AT_ONCE = 500  # lines
DAY = len("2026-10-08")  # characters
_DIGITS = 20  # of 64 bits
_WINDOW = 16  # blocks: what comes at once lies in two, or in more where these are smaller


class StoredLines:
    """The lines that a database holds, of a file that is read in about the same order.

    What another version of this program kept, or kept of a file with other columns, is not found.

    Args:
        connection: The database's, within a transaction that sees it as it was before the load.

    Attributes:
        outdated: Complaints that were changed, or deleted, since their line was kept.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._salt = 0
        # Wherever the file goes on, the first line of a block is found after 500 lines at most.
        self._blocks: dict[int, int] = {
            array(_SIGNED_64, first)[0]: block
            for block, first in connection.execute(
                "SELECT block, SUBSTR(fingerprints, 1, 8) FROM line_block"
            )
        }
        self._window: dict[int, frozenset[int]] = {}
        self._look_up(1)
        self.outdated = BitMap64(
            number for (number,) in connection.execute("SELECT complaint_id FROM line_outdated")
        )

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._blocks)

    def under(self, header: Sequence[str]) -> None:
        """Say under which names of columns the lines to come stand."""
        self._salt = hash((__version__, *header))

    def fingerprints(self, lines: Iterable[str]) -> array[int]:
        """Return a number of 64 bits for each line.

        Python's own hash is a keyed SipHash, six times as fast as BLAKE2 on a line; it is the same
        in the next process where PYTHONHASHSEED says so. Where it is not, no line is known.
        """
        salt = self._salt
        return array(_SIGNED_64, [salt ^ hash(line) for line in lines])

    def among(self, fingerprints: array[int]) -> set[int]:
        """Return those of lines that are known; those of a file are asked for in its order."""
        for block in sorted(self._blocks[first] for first in self._blocks.keys() & fingerprints):
            self._look_up(block)
            self._look_up(block + 1)  # its first line may have changed
        wanted = {*fingerprints}
        unknown = wanted
        for lines in reversed(self._window.values()):
            unknown = unknown - lines
            if not unknown:
                return wanted
        return wanted - unknown

    def _look_up(self, block: int) -> None:
        if block in self._window:
            return
        row = self._connection.execute(
            "SELECT fingerprints FROM line_block WHERE block = ?", (block,)
        ).fetchone()
        if row is not None:
            self._window[block] = frozenset(array(_SIGNED_64, row[0]))
            if len(self._window) > _WINDOW:
                del self._window[next(iter(self._window))]


class ChangedLines:
    """The lines of a file that have to be parsed: all but the known ones.

    Args:
        lines: Those after the header.
        known: The known ones, among lines under this header, each of one row that begins with the
            day received, `YYYY-MM-DD`, and ends with the id.
        tell: Told the ids, the days received and the fingerprints of lines that are left out.
    """

    def __init__(
        self,
        lines: Iterator[str],
        known: StoredLines,
        tell: Callable[[BitMap64, Iterable[str], bytes], object],
    ) -> None:
        self._lines = lines
        self._known = known
        self._tell = tell
        self._looks = True
        self._came = BitMap64()
        self._left_out = self._passed = 0
        # Of those passed last, where they stand. Who parses them is not so far behind.
        self._numbers: deque[int] = deque(maxlen=4 * _AT_ONCE)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield some of the lines at a time, in their order."""
        while self._looks and (lines := [*islice(self._lines, _AT_ONCE)]):
            yield self._unknown(lines)
        while lines := [*islice(self._lines, _AT_ONCE)]:
            yield lines

    def number_in_file(self, number: int) -> int:
        """Return where a line stands among all lines, given where among those passed; from 1."""
        if number > self._passed:
            return number + self._left_out
        return self._numbers[number - self._passed - 1]

    def _unknown(self, lines: list[str]) -> list[str]:
        """Return the lines that have to be parsed, and tell of the others."""
        fingerprints = self._known.fingerprints(lines)
        ids, numbers = _ids_at_ends(lines)
        are_known = self._are_known(lines, fingerprints, ids, numbers)
        known = [*compress(lines, are_known)]
        if known:
            self._tell(
                BitMap64(compress(ids, are_known)),
                {line[:DAY] for line in known},
                array(_SIGNED_64, compress(fingerprints, are_known)).tobytes(),
            )
        self._came |= numbers
        unknown = [not is_known for is_known in are_known]
        self._numbers.extend(compress(count(self._left_out + self._passed + 1), unknown))
        self._left_out += len(known)
        self._passed += len(lines) - len(known)
        return [*compress(lines, unknown)]

    def _are_known(
        self, lines: list[str], fingerprints: array[int], ids: list[int], numbers: BitMap64
    ) -> list[bool]:
        """Say of each line whether its complaint stands as it is in there."""
        known = self._known.among(fingerprints)
        stand = numbers - self._came - self._known.outdated
        if len(known) == len(stand) == len(lines):
            return [True] * len(lines)
        # Of a complaint that comes twice the later copy counts, also where it is the known one.
        copies = Counter(ids)
        standing = {number for number in stand if copies[number] == 1}
        are_known = [
            fingerprint in known and number in standing
            for fingerprint, number in zip(fingerprints, ids, strict=True)
        ]
        unknown = [line for line, is_known in zip(lines, are_known, strict=True) if not is_known]
        if not _are_rows(unknown):
            self._looks = False
            return [False] * len(lines)
        return are_known


def _are_rows(lines: list[str]) -> bool:
    """Say whether no field goes on in the next line, which may look like a row and be none."""
    try:
        return sum(1 for _ in csv.reader(lines, strict=True)) == len(lines)
    except csv.Error:
        return False


def _ids_at_ends(lines: list[str]) -> tuple[list[int], BitMap64]:
    """Return the id at the end of each line, 0 where that is none, and those ids."""
    try:
        ids = [int(line[line.rfind(",") + 1 :]) for line in lines]
        return ids, BitMap64(ids)
    except (ValueError, OverflowError):
        ids = [*map(_id_at_end, lines)]
        return ids, BitMap64(filter(None, ids))


def _id_at_end(line: str) -> int:
    spelled = line[line.rfind(",") + 1 :].strip().strip('"')
    return int(spelled) if len(spelled) < _DIGITS and spelled.isdecimal() else 0
