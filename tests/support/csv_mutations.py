"""Damages CSV files of complaints, and says what may be read from a damaged file.

The oracle knows each original row and each edit. It does not know how the reader works. It divides
the damaged file into untouched rows and into blocks: runs of lines between untouched rows, which
contain all damage. An untouched row must be read exactly. A block may be read as any record that
starts with a line of the block and ends within the block, because nothing else is known of it.
"""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

from cfpb_etl.model.complaint import Complaint
from support.resaved import DATES, TITLES, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.csv_reading import Reading

_LINES = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BLANK = re.compile(rb'[\s,"]*')
_ID = re.compile("0|[1-9][0-9]{0,18}")
_DAY = re.compile(r"\s*([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})(?:[T ].*)?\s*", re.DOTALL)
_MOST_LINES = 200  # of a record; narratives in tests are far shorter
_ESCAPED = '\\"'
MISSING = {"", "None", "NA"}


class Edit(NamedTuple):
    """A change of the bytes of a file: some bytes are replaced by others."""

    at: int
    deleted: int
    inserted: bytes = b""


@dataclass(frozen=True)
class Original:
    """A valid file.

    Attributes:
        names: The columns, in the order of the file.
        header: The first line.
        rows: The bytes of each row, with its line end.
        fields: The fields of each row.
        complaints: The complaint of each row.
        quoting: 1 if every field has quotes, 0 if only the fields that need them.
    """

    names: Sequence[str]
    header: bytes
    rows: list[bytes]
    fields: list[list[str]]
    complaints: list[Complaint]
    quoting: Literal[0, 1]

    @cached_property
    def content(self) -> bytes:
        """Return the bytes of the file."""
        return self.header + b"".join(self.rows)

    @cached_property
    def starts(self) -> list[int]:
        """Return where each row starts, and where the last row ends."""
        starts = [len(self.header)]
        for row in self.rows:
            starts.append(starts[-1] + len(row))
        return starts


def original_file(
    rows: Iterable[Row],
    names: Sequence[str],
    end: str = "\n",
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL,
) -> Original:
    """Return a valid file with these complaints and columns."""
    kept = [{name: row[name] for name in names} for row in rows]
    fields = [[row[name] or "" for name in names] for row in kept]
    header, *lines = [
        row_bytes(each, end, quoting) for each in [[TITLES[n] for n in names], *fields]
    ]
    return Original(names, header, lines, fields, [*map(_as_complaint, kept)], quoting)


def row_bytes(
    fields: Iterable[str], end: str = "\n", quoting: Literal[0, 1] = csv.QUOTE_MINIMAL
) -> bytes:
    """Return a row of a file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=quoting).writerow(fields)
    return text.getvalue().encode(errors="surrogateescape")


def _as_complaint(row: Row) -> Complaint:
    return Complaint(int(row["complaint_id"] or 0), *map(row.get, Complaint._fields[1:]))


class _Record(NamedTuple):
    """A record that a block may be read as, and the numbers of its lines."""

    complaint: Complaint
    first: int
    last: int


class Damaged:
    """A damaged file, and what may be read from it.

    Args:
        original: The valid file.
        edits: The damage. Edits must not overlap.
    """

    def __init__(self, original: Original, edits: Iterable[Edit]) -> None:
        self.original = original
        self.edits = sorted(edits)
        self.content, self._untouched = self._apply()
        ends = [match.end() for match in _LINES.finditer(self.content)]
        self._offsets = [0, *ends]
        self._lines = [self.content[a:b] for a, b in zip(self._offsets, ends, strict=False)]

    def _apply(self) -> tuple[bytes, dict[int, tuple[int, int]]]:
        """Return the damaged bytes, and the place of each untouched row in them."""
        pieces: list[bytes] = []
        shifts: list[tuple[int, int, int, bytes]] = []  # at, end, shift after it, inserted
        position = shift = 0
        for at, deleted, inserted in self.edits:
            assert at >= position, "edits overlap"
            pieces += [self.original.content[position:at], inserted]
            position = at + deleted
            shift += len(inserted) - deleted
            shifts.append((at, position, shift, inserted))
        pieces.append(self.original.content[position:])
        content = b"".join(pieces)
        untouched: dict[int, tuple[int, int]] = {}
        starts = self.original.starts
        following = 0
        for number, (start, end) in enumerate(pairwise(starts)):
            while following < len(shifts) and shifts[following][1] <= start:
                following += 1
            shift = shifts[following - 1][2] if following else 0
            is_edited = following < len(shifts) and shifts[following][0] < end
            place = (start + shift, end + shift)
            if not is_edited and _starts_a_line(content, place[0]):
                untouched[number] = place
        return content, untouched

    @cached_property
    def untouched(self) -> set[int]:
        """Return the numbers of the rows that no edit has touched."""
        return {*self._untouched}

    @cached_property
    def _blocks(self) -> list[range]:
        """Return the runs of lines that are not in untouched rows, by their numbers."""
        starts = {start for start, _ in self._untouched.values()}
        ends = {end for _, end in self._untouched.values()}
        blocks: list[range] = []
        first, inside = None, False
        for number, offset in enumerate(self._offsets[:-1]):
            inside = (inside and offset not in ends) or offset in starts
            if not inside and number > 0:  # the header is line 0
                first = number if first is None else first
            elif first is not None:
                blocks.append(range(first, number))
                first = None
        if first is not None:
            blocks.append(range(first, len(self._lines)))
        return blocks

    @cached_property
    def _text(self) -> list[str]:
        return [line.decode(errors="surrogateescape") for line in self._lines]

    @cached_property
    def _records(self) -> list[_Record]:
        """Return each record that a block may be read as."""
        return [
            record
            for block in self._blocks
            for first in block
            for record in self._record(first, block)
        ]

    def _record(self, first: int, block: range) -> Iterable[_Record]:
        lines = self._text[first : min(block.stop, first + _MOST_LINES)]
        # A damaged row with a backslash may also be read by the rules of Spark.
        has_escapes = any(_ESCAPED in line for line in lines)
        for each in (lines, [line.replace(_ESCAPED, '""') for line in lines])[: 1 + has_escapes]:
            reader = csv.reader(each, strict=True)
            with suppress(csv.Error, StopIteration):
                complaint = self._read(next(reader))
                if complaint is not None:
                    yield _Record(complaint, first, first + reader.line_num - 1)

    def _read(self, fields: Sequence[str]) -> Complaint | None:
        """Return the complaint in a record; None if the record must be rejected."""
        if len(fields) != len(self.original.names):
            return None
        row: dict[str, str | None] = dict.fromkeys(Complaint._fields)
        for name, text in zip(self.original.names, fields, strict=True):
            value = None if text in MISSING else text
            if value is not None and name in DATES:
                value = _day(value)
                if value is None:
                    return None
            if value is not None and not _is_utf_8(value):
                return None
            row[name] = value
        row["complaint_id"] = number = (row["complaint_id"] or "").strip()
        if not _ID.fullmatch(number) or int(number) >= 2**63:
            return None
        return _as_complaint(row)

    # --- the verdict ------------------------------------------------------------------------

    def faults(self, reading: Reading) -> list[str]:
        """Return what is wrong with a reading of this file, in words; nothing if it is right.

        A refused file is always right, because nothing of it is stored.
        """
        if reading.refusal is not None:
            return []
        return [
            *self._wrong(reading),
            *self._missing(reading),
            *self._unsaid(reading),
            *self._miscounted(reading),
        ]

    def _wrong(self, reading: Reading) -> Iterable[str]:
        exact = {*self.original.complaints}
        possible = {record.complaint for record in self._records}
        for complaint in reading.complaints:
            if complaint not in exact and complaint not in possible:
                yield f"wrong: {complaint}"

    def _missing(self, reading: Reading) -> Iterable[str]:
        """Yield the untouched complaints that are missing.

        An untouched row of one line must be read, whatever is before it. An untouched row of
        several lines may be lost if a quote before it is open, but then it must be counted.
        """
        found = {*reading.complaints}
        stats = reading.stats
        missing = [n for n in self._untouched if self.original.complaints[n] not in found]
        of_one_line = [n for n in missing if self._is_one_line(n)]
        if len(of_one_line) > stats.unchanged:
            yield f"missing rows of one line: {of_one_line}"
        if len(missing) > stats.unchanged + stats.rejected:
            yield f"missing without a count: {missing}, rejected {stats.rejected}"
        ids = stats.ids or ()
        lost = [n for n in missing if self.original.complaints[n].complaint_id not in ids]
        if lost and not stats.without_id:
            yield f"missing, and neither an id nor a row without an id is noted: {lost}"

    def _is_one_line(self, number: int) -> bool:
        return len(_LINES.findall(self.original.rows[number])) == 1

    def _unsaid(self, reading: Reading) -> Iterable[str]:
        """Yield a fault if blocks have lines that were neither read nor rejected."""
        found = {*reading.complaints, *self.original.complaints}
        read = {
            line
            for record in self._records
            if record.complaint in found
            for line in range(record.first, record.last + 1)
        }
        silent = [
            block
            for block in self._blocks
            if any(line not in read and not self._says_nothing(line) for line in block)
        ]
        if len(silent) > reading.stats.rejected:
            yield f"lines {silent} are lost, and {reading.stats.rejected} rows are rejected"

    def _says_nothing(self, line: int) -> bool:
        content = self._lines[line]
        return bool(_BLANK.fullmatch(content)) or content.strip() == self.original.header.strip()

    def _miscounted(self, reading: Reading) -> Iterable[str]:
        stats = reading.stats
        if stats.rows != len(reading.complaints) + stats.unchanged:
            yield f"{stats.rows} rows, but {len(reading.complaints)} complaints"
        if stats.rejected and not stats.warnings:
            yield "rejected rows without a warning"
        distinct = {each.complaint_id for each in reading.complaints}
        if stats.ids is None or not distinct <= {*stats.ids}:
            yield "an id that was read is not noted"
        if not stats.unchanged and stats.duplicates != len(reading.complaints) - len(distinct):
            yield f"{stats.duplicates} duplicates are counted"


def _starts_a_line(content: bytes, place: int) -> bool:
    return place <= len(content) and content[place - 1 : place] in (b"\r", b"\n")


def _day(text: str) -> str | None:
    """Return a day that is written with the year first; None if the text is no such day."""
    match = _DAY.fullmatch(text)
    try:
        return date(*map(int, match.groups())).isoformat() if match else None
    except ValueError:
        return None


def _is_utf_8(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False
