"""Reads the rows of a CSV file in batches, and finds rows that a quote has swallowed.

After a quote that is never closed, or closed too late, the lines of the next rows are read as text
of one field. So each field with line ends is searched for lines that are themselves rows: the right
number of fields, with a day and an id in their places. Reading starts again at the first of them.
Rows without line ends in their fields are not searched.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from itertools import islice, tee
from typing import TYPE_CHECKING, NamedTuple

from cfpb_etl.model.wording import counted
from cfpb_etl.parse.csv_format.quotes import quotes_of
from cfpb_etl.parse.csv_format.starts import MAX_FIELD, Lines, Starts
from cfpb_etl.parse.errors import FieldTooLongError, UnclosedQuoteError, UnwrittenError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.parse.csv_format.header import Header

# Where a part of a file was not written, most systems show at least 4,096 zero bytes. No text has
# even some of them; in UTF-16, two are one character.
_HOLE = "\0" * 1_024
_BATCH = 500  # rows; these fit into a processor's cache: with 4,000, a row took 1.7 times as long
_LINE_END = re.compile(r"\r\n|\r|\n")


class Broken(NamedTuple):
    """A record that is not a row.

    Attributes:
        line: The line of the fault.
        problem: What is wrong.
        complaint_id: The id in the record; None if it cannot be found.
    """

    line: int
    problem: str
    complaint_id: str | None = None


class RowBatch(NamedTuple):
    """Some hundred rows of a file.

    Attributes:
        rows: The fields of each row; an empty list for an empty line.
        start: The line number of the first row.
        lines: The lines of the rows.
        is_regular: Whether each row has as many fields as the header.
        broken: The record after these rows if it is not a row; otherwise None.
    """

    rows: list[list[str]]
    start: int
    lines: list[str]
    is_regular: bool
    broken: Broken | None = None

    @property
    def numbers(self) -> Iterable[int]:
        """Return the line number of each row."""
        if len(self.rows) == len(self.lines):
            return range(self.start, self.start + len(self.rows))
        return _line_numbers(self.rows, self.start)


class RowReader:
    """The rows of a CSV file after its header.

    Args:
        lines: The lines after the header, each with its line end.
        line: The line number of the first of these lines.
        header: The header.
        path: The file, for errors.

    Raises:
        FileError: If rows may be lost; each subclass is one reason. Iterating raises this error.
    """

    def __init__(self, lines: Iterator[str], line: int, header: Header, path: Path) -> None:
        csv.field_size_limit(MAX_FIELD)
        self._starts = Starts(header)
        self._lines = lines
        self._line = line
        self._header = header
        self._path = path
        self._again: deque[str] = deque()  # lines that must be read again

    @property
    def has_backslashes(self) -> bool:
        """Say whether the file has a backslash before each quote within a field."""
        return self._starts.has_backslashes

    def __iter__(self) -> Iterator[RowBatch]:
        """Yield the rows in the order of the file."""
        lines = self._lines
        while (yield from self._batches(lines)):
            lines = self._lines_left()

    def _lines_left(self) -> Iterator[str]:
        while True:
            while self._again:
                yield self._again.popleft()
            if (line := next(self._lines, None)) is None:
                return
            yield line

    def _batches(self, all_lines: Iterator[str]) -> Generator[RowBatch, None, bool]:
        """Yield batches. Return whether reading must start again with `_lines_left`."""
        lines, copies = tee(all_lines)
        reader = self._starts.csv(lines)
        while True:
            before = reader.line_num
            rows: list[list[str]] = []
            error = None
            try:
                rows.extend(islice(reader, _BATCH))
            except csv.Error as fault:  # `rows` has the rows before the fault
                error = fault
            batch_lines = [*islice(copies, reader.line_num - before)]
            is_regular = {*map(len, rows)} == {self._header.width}
            if error is None and is_regular and len(rows) == len(batch_lines):
                yield RowBatch(rows, self._line, batch_lines, is_regular)
                self._line += len(batch_lines)
                continue
            batch, used = self._checked(rows, Lines(batch_lines, copies), error)
            yield batch
            self._line += used
            self._again.extendleft(reversed(batch_lines[used:]))
            if self._again:
                return True
            if error is None and len(rows) < _BATCH:
                return False

    def _checked(
        self, rows: list[list[str]], lines: Lines, error: csv.Error | None
    ) -> tuple[RowBatch, int]:
        """Return the batch up to the first fault, and how many lines need not be read again."""
        size = len(lines.known)
        place = end = 0
        for count, row in enumerate(rows):
            place, end = end, end + 1 + _line_ends(row)
            if end - place > 1 or len(row) != self._header.width:
                again = self._starts.find(lines, place, end, is_row=self._header.is_row(row))
                if again is not None:
                    broken = self._swallowing(lines.known, place, again, end)
                    return self._batch(rows[:count], lines.known[:place], broken), again
        if error is None:
            return self._batch(rows, lines.known[:size]), size
        again = self._starts.find(lines, end, size, is_row=False)
        if again is None:
            broken, again = self._fault(lines.known[end:size], self._line + end, error), size
        else:
            broken = self._swallowing(lines.known, end, again, size)
        return self._batch(rows, lines.known[:end], broken), again

    def _batch(
        self, rows: list[list[str]], lines: list[str], broken: Broken | None = None
    ) -> RowBatch:
        is_regular = {*map(len, rows)} == {self._header.width}
        return RowBatch(rows, self._line, lines, is_regular, broken)

    def _swallowing(self, lines: list[str], place: int, again: int, end: int) -> Broken | None:
        """Return the record whose quote had swallowed rows; None if the record is read again."""
        if again == place:
            return None
        self._check_written(lines[place:again], self._line + place)
        quote, complaint_id = self._open_quote(lines[place:again])
        problem = f"a quote is not closed; reading went on in line {self._line + again:,}"
        if rows := self._count_rows(lines[again:end]):
            at_least = "at least " if sum(map(len, lines[place:end])) > MAX_FIELD else ""
            found = f"{at_least}{counted(rows, 'row')}"
            problem = f"{problem}, and found {found} that the quote had swallowed"
        return Broken(self._line + place + quote, problem, complaint_id)

    def _count_rows(self, lines: list[str]) -> int:
        rows = 0
        reader = self._starts.csv(lines)
        while True:
            try:
                for row in reader:
                    rows += self._header.is_row(row)
            except csv.Error:
                continue
            return rows

    def _fault(self, lines: list[str], line: int, error: csv.Error) -> Broken:
        """Return a record that is not valid CSV; raise an error if it may contain other rows."""
        self._check_written(lines, line)
        if sum(map(len, lines)) > MAX_FIELD:
            quote = quotes_of([*self._starts.doubled(lines)], self._header.delimiter).opened
            if quote is None:
                raise FieldTooLongError(path=self._path, line=line, most=MAX_FIELD)
            how = f"not closed within {MAX_FIELD:,} characters"
            raise UnclosedQuoteError(self._path, line + quote, how)
        if not self._is_valid([*lines, '"']):
            return Broken(line, str(error))
        quote, complaint_id = self._open_quote(lines)
        if complaint_id is None:
            raise UnclosedQuoteError(self._path, line + quote)
        return Broken(line + quote, "a quote is not closed", complaint_id)

    def _is_valid(self, lines: list[str]) -> bool:
        try:
            return bool([*self._starts.csv(lines)])
        except csv.Error:
            return False

    def _open_quote(self, lines: list[str]) -> tuple[int, str | None]:
        """Return the line of an open quote, and the id in this line if no text follows it."""
        lines = [*self._starts.doubled(lines)]
        place = quotes_of(lines, self._header.delimiter).opened or 0
        has_text_after = any(map(str.strip, lines[place + 1 :]))
        return place, None if has_text_after else self._header.id_of_broken(lines[: place + 1])

    def _check_written(self, lines: Iterable[str], line: int) -> None:
        for number, text in enumerate(lines, line):
            if has_hole(text):
                raise UnwrittenError(path=self._path, line=number)


def has_hole(text: str) -> bool:
    """Say whether a text has the zero bytes of a copy or download that was not finished."""
    return _HOLE in text


def rows_in(lines: list[str]) -> list[list[str]]:
    """Return the rows in some lines with commas; an empty list if the lines are not valid CSV."""
    try:
        return [*csv.reader(lines, strict=True)]
    except csv.Error:
        return []


def _line_numbers(rows: Iterable[Sequence[str]], line: int) -> Iterator[int]:
    """Yield the number of the line in which each row starts. One field may span several lines."""
    for row in rows:
        yield line
        line += 1 + _line_ends(row)


def _line_ends(row: Sequence[str]) -> int:
    text = "\0".join(row)
    return len(_LINE_END.findall(text)) if "\n" in text or "\r" in text else 0
