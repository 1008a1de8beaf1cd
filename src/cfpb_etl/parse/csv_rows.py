"""The complaints in the rows of all CSV files that CFPB has published.

The files have other column names than the search API, and the columns have changed over the years
(docs/facts.md, "Columns by era"). A row that is not a valid complaint is counted and reported. Such
a row does not end the load.
"""

from __future__ import annotations

import csv
import re
from array import array
from itertools import chain, compress, count, islice, tee
from operator import itemgetter
from typing import TYPE_CHECKING

from pyroaring import BitMap64

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import ALWAYS_SENT, CSV_COLUMNS
from cfpb_etl.model.load_stats import MAX_WARNINGS
from cfpb_etl.model.part import Batch, ReadStats
from cfpb_etl.parse.errors import InvalidFieldError, UnexpectedColumnsError
from cfpb_etl.parse.fast_columns import parse_columns
from cfpb_etl.parse.line_hashes import DAY, UNSIGNED_64, StoredLines, compare_lines
from cfpb_etl.parse.values import parse_fields, parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint

# Characters. After a quote that is never closed, the rest of the file is one field. Narratives are
# far shorter than this, but longer than the default limit of Python's reader, which is 131,072.
MAX_FIELD = 2**24
_MAX_TITLE = 60  # characters of a column's title in a message
_BATCH = 500  # rows; these fit into a processor's cache: with 4,000, a row took 1.7 times as long
_LINE_END = re.compile(r"\r\n|\r|\n")
_ID = itemgetter(0)


class Header:
    """The columns of a file, in any order.

    Args:
        row: The first row of the file.
        path: The file, for the error.

    Attributes:
        row: The titles of the columns.
        places: The position of each column in a row.
        unknown: The titles of unknown columns, shortened for messages.

    Raises:
        UnexpectedColumnsError: If a column that every CFPB file has is missing, or a column occurs
            twice.
    """

    def __init__(self, row: Sequence[str], path: Path) -> None:
        self.row = tuple(title.strip() for title in row)
        known = [title for title in self.row if title in CSV_COLUMNS]
        self.places = {
            CSV_COLUMNS[title]: place
            for place, title in enumerate(self.row)
            if title in CSV_COLUMNS
        }
        self.unknown = frozenset(
            title[:_MAX_TITLE].encode(errors="replace").decode()
            for title in self.row
            if title and title not in CSV_COLUMNS
        )
        missing = [t for t, name in CSV_COLUMNS.items() if name in ALWAYS_SENT and t not in known]
        repeated = [title for title in CSV_COLUMNS if known.count(title) > 1]
        if missing or repeated:
            raise UnexpectedColumnsError(path, missing, repeated, self.row)

    @property
    def is_in_cfpbs_order(self) -> bool:
        """Say whether lines start with the day received and end with the id, as CFPB's lines do."""
        return (
            self.places["date_received"] == 0 and self.places["complaint_id"] == len(self.row) - 1
        )

    def is_repeated_by(self, row: Iterable[str]) -> bool:
        """Say whether a row repeats the header."""
        return tuple(map(str.strip, row)) == self.row


class ComplaintRows:
    """The complaints of a CSV file, in batches.

    Args:
        lines: The lines of the file, each with its line end.
        path: The file, for errors.
        stored: The stored lines, whose complaints are skipped; None if all lines must be parsed.

    Attributes:
        header: The columns of the file.
        read_stats: What the parser has found so far, without `ids`.

    Raises:
        UnexpectedColumnsError: If the first line is not a header of complaints.
        UnreadableFileError: If the file is empty, or a quote is never closed. Iterating can raise
            this error too.
    """

    def __init__(self, lines: Iterable[str], path: Path, stored: StoredLines | None = None) -> None:
        csv.field_size_limit(MAX_FIELD)
        self._path = path
        self._lines = iter(lines)
        first = csv.reader(self._lines, strict=True)
        self.header = read_header(first, path)
        self._lines_read = first.line_num
        self.read_stats = ReadStats()
        self._ids = BitMap64()
        self._rejected_ids = BitMap64()
        self._stored = stored if stored is not None and self.header.is_in_cfpbs_order else None
        if self._stored is not None:
            self._stored.use_header(self.header.row)

    @property
    def ids(self) -> BitMap64:
        """Return the ids of all rows read so far, including rejected rows."""
        # A union makes a copy. For five million ids, the process used 70 MB with a copy, and 58 MB
        # without.
        return self._ids | self._rejected_ids if self._rejected_ids else self._ids

    def __iter__(self) -> Iterator[Batch]:
        """Yield the complaints in the order of the file."""
        if self._stored:
            yield from self._changed_rows(self._stored)
        yield from self._all_rows()

    def _changed_rows(self, stored: StoredLines) -> Iterator[Batch]:
        """Yield the rows whose lines are not stored yet. Stop if a row is not exactly one line."""
        for lines, ids, hashes, are_unchanged in compare_lines(self._lines, stored):
            are_changed = [not is_unchanged for is_unchanged in are_unchanged]
            changed = [*compress(lines, are_changed)]
            rows = _rows_in(changed)
            if len(rows) != len(changed):  # a line within a field may look like an unchanged line
                self._lines = chain(lines, self._lines)
                return
            if len(changed) < len(lines):
                self._note_unchanged(compress(lines, are_unchanged), compress(ids, are_unchanged))
                yield Batch([], array(UNSIGNED_64, compress(hashes, are_unchanged)).tobytes())
            if rows:
                numbers = compress(count(self._lines_read + 1), are_changed)
                yield self._parsed(rows, numbers, changed)
            self._lines_read += len(lines)

    def _note_unchanged(self, lines: Iterable[str], ids: Iterable[int]) -> None:
        stats, distinct_ids = self.read_stats, BitMap64(ids)
        self._ids |= distinct_ids
        stats.rows += len(distinct_ids)
        stats.unchanged += len(distinct_ids)
        days = {*stats.days, *(line[:DAY] for line in lines)}
        stats.days = [min(days), max(days)]

    def _all_rows(self) -> Iterator[Batch]:
        lines, copies = tee(self._lines)
        rows_read = csv.reader(lines, strict=True)
        while True:
            before = rows_read.line_num
            start = self._lines_read + before + 1
            rows: list[list[str]] = []
            error = None
            try:
                rows.extend(islice(rows_read, _BATCH))
            except csv.Error as fault:  # `rows` has the rows before the fault
                error = fault
            batch_lines = [*islice(copies, rows_read.line_num - before)]
            if rows:
                yield self._parsed(rows, _line_numbers(rows, start), batch_lines)
            if error:
                *_, number = _line_numbers([*rows, ()], start)
                self._reject_broken(number, batch_lines[number - start :], error)
            elif len(rows) < _BATCH:
                return

    def _parsed(self, rows: list[list[str]], numbers: Iterable[int], lines: list[str]) -> Batch:
        hashes = b""
        try:
            if {*map(len, rows)} != {len(self.header.row)}:
                raise ValueError  # noqa: TRY301 - handled like an unusual value
            columns = [*zip(*rows, strict=True)]
            complaints = parse_columns(
                {name: columns[place] for name, place in self.header.places.items()}, len(rows)
            )
        except (TypeError, ValueError):
            complaints = [*self._one_by_one(rows, numbers)]
        else:
            ids = BitMap64(map(_ID, complaints))
            if len(ids) < len(complaints) or self._ids.intersect(ids):
                for complaint, number in zip(complaints, numbers, strict=True):
                    self._note_id(complaint.complaint_id, number)
            self._ids |= ids
            if self._stored is not None and _are_plain(lines, columns[0]):
                hashes = self._stored.hashes(lines).tobytes()
        self.read_stats.rows += len(complaints)
        return Batch(complaints, hashes)

    def _one_by_one(self, rows: list[list[str]], numbers: Iterable[int]) -> Iterator[Complaint]:
        width = len(self.header.row)
        for row, number in zip(rows, numbers, strict=True):
            if not row:
                continue  # an empty line
            if self.header.is_repeated_by(row):
                self.read_stats.repeated_headers += 1
                self._warn(number, "the header is repeated")
            elif len(row) != width:
                self._reject(number, f"{len(row)} fields where the header has {width}")
            else:
                fields = {name: row[place] for name, place in self.header.places.items()}
                try:
                    complaint = parse_fields(fields)
                except InvalidFieldError as error:
                    self._reject(number, str(error), fields["complaint_id"])
                else:
                    self._note_id(complaint.complaint_id, number)
                    yield complaint

    def _note_id(self, complaint_id: int, line: int) -> None:
        if complaint_id in self._ids:
            self.read_stats.duplicates += 1
            self.read_stats.duplicate_ids.add(complaint_id)
            self._warn(line, f"complaint {complaint_id} occurs again; the last copy counts")
        self._ids.add(complaint_id)

    def _reject(self, line: int, problem: str, id_text: str | None = None) -> None:
        self.read_stats.rejected += 1
        self._warn(line, problem)
        if id_text in ("", "None"):
            return  # CFPB has published rows without an id (docs/facts.md, "Complaint ids")
        try:
            self._rejected_ids.add(parse_id(id_text))
        except InvalidFieldError:
            self.read_stats.without_id += 1

    def _reject_broken(self, line: int, lines: list[str], error: csv.Error) -> None:
        """Reject a row that is not valid CSV. If it may contain other rows, reject the file."""
        if sum(map(len, lines)) > MAX_FIELD or _rows_in([*lines, '"']):  # a quote is open
            detail = (
                f"the row that starts in line {line:,} does not end ({error}); a quote in it may"
                " never be closed"
            )
            raise UnreadableFileError(path=self._path, detail=detail)
        self._reject(line, str(error))

    def _warn(self, line: int, what: str) -> None:
        if len(self.read_stats.warnings) < MAX_WARNINGS:
            self.read_stats.warnings.append(f"line {line:,}: {what}")


def _rows_in(lines: list[str]) -> list[list[str]]:
    """Return the rows in some lines; an empty list if the lines are not valid CSV."""
    try:
        return [*csv.reader(lines, strict=True)]
    except csv.Error:
        return []


def _are_plain(lines: Sequence[str], days: Sequence[str]) -> bool:
    """Say whether each line is one row that starts with its day, without a quote before the day."""
    return len(lines) == len(days) and {line[:DAY] for line in lines} == {*days}


def _line_numbers(rows: Iterable[Sequence[str]], line: int) -> Iterator[int]:
    """Yield the number of the line in which each row starts. One field may span several lines."""
    for row in rows:
        yield line
        line += 1 + sum(len(_LINE_END.findall(field)) for field in row)


def read_header(rows: Iterator[list[str]], path: Path) -> Header:
    """Return the header from the first row of a file.

    Raises:
        UnexpectedColumnsError: If the first line is not a header of complaints.
        UnreadableFileError: If the file is empty, or the first line is not valid CSV.
    """
    try:
        first = next(rows, None)
    except csv.Error as error:
        detail = f"its first line is not valid CSV: {error}"
        raise UnreadableFileError(path=path, detail=detail) from None
    if first is None:
        raise UnreadableFileError(path=path, detail="it is empty")
    return Header(first, path)
