"""Finds the lines of a record in which other rows start.

A quote that is never closed, or closed too late, makes the lines of the next rows a part of its
field. The first such line is either wholly within the field, or the quote closes in it. In the
second case, the end of the line has the last columns of the record, so the end of any narrative can
look like a row. A valid record therefore needs more evidence: the text before the line must have
all the columns that a row needs.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from cfpb_etl.parse.csv_format.quotes import quotes_of

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable, Iterator

    from cfpb_etl.parse.csv_format.header import Header

# Characters. After a quote that is never closed, the rest of the file is one field. Narratives are
# far shorter than this, but longer than the default limit of Python's reader, which is 131,072.
MAX_FIELD = 2**24
# Spark and R's `write.table` write this for a quote within a field (docs/facts.md, "Files saved by
# other programs").
_ESCAPED_QUOTE = r"\""


class Lines:
    """The lines of a batch, and the lines after them, which are read only if they are needed."""

    def __init__(self, known: list[str], others: Iterator[str]) -> None:
        self.known = known
        self._others = others

    def starting(self, place: int) -> Iterator[str]:
        """Yield the lines from a place on, up to the size of one field."""
        size = 0
        while size <= MAX_FIELD:
            if place == len(self.known):
                line = next(self._others, None)
                if line is None:
                    return
                self.known.append(line)
            yield self.known[place]
            size += len(self.known[place])
            place += 1


class Starts:
    """Finds rows in the lines of a file.

    Args:
        header: The header of the file.

    Attributes:
        has_backslashes: Whether a quote within a field has a backslash before it. A damaged row can
            seem to show this or the opposite, so the next row that shows it counts.
    """

    def __init__(self, header: Header) -> None:
        self.has_backslashes = False
        self._header = header

    def csv(self, lines: Iterable[str], *, strict: bool = True) -> Reader:
        """Return a reader of the file's rows."""
        return csv.reader(self.doubled(lines), delimiter=self._header.delimiter, strict=strict)

    def doubled(self, lines: Iterable[str]) -> Iterable[str]:
        """Return lines in which a quote within a field is doubled."""
        if self.has_backslashes:
            return (line.replace(_ESCAPED_QUOTE, '""') for line in lines)
        return lines

    def find(self, lines: Lines, place: int, end: int, *, is_row: bool) -> int | None:
        """Return the line of a record from which reading must start again; None if it is right.

        Args:
            lines: The lines from which the record was read.
            place: The first line of the record.
            end: The line after the record.
            is_row: Whether the record is a row.
        """
        start = self._first(lines, place, end, is_row=is_row)
        if is_row and start is None:
            return None
        if any(_ESCAPED_QUOTE in lines.known[at] for at in range(place, end)):
            self.has_backslashes = not self.has_backslashes
            if self._is_right(lines, place):
                return place
            self.has_backslashes = not self.has_backslashes
        return start

    def _is_right(self, lines: Lines, place: int) -> bool:
        """Say whether a record is a row in which no other row starts."""
        reader = self.csv(lines.starting(place))
        try:
            is_row = self._header.is_row(next(reader, []))
        except csv.Error:
            return False
        return is_row and self._first(lines, place, place + reader.line_num, is_row=True) is None

    def _first(self, lines: Lines, place: int, end: int, *, is_row: bool) -> int | None:
        """Return the first line of a record, except for its own, in which a row starts."""
        quotes = None
        checks = 0
        for at in range(place + 1, end):
            if not self._is_start(lines, at):
                continue
            if quotes is None:
                record = [*self.doubled(lines.known[place:end])]
                quotes = quotes_of(record, self._header.delimiter)
            line, closed = record[at - place], quotes.closed[at - place]
            if closed is None or closed == len(line):
                return at
            # In a row of its own, the quote would open a field here.
            before = line[:closed].rstrip('"')
            opens = not before or before.endswith(self._header.delimiter)
            if opens and not (is_row and not quotes.has_bare):
                return at
            # The text before is a row with an open quote. More quotes than columns are no rows.
            checks += 1
            if (
                checks <= self._header.width
                and self._header.id_of_broken(record[: at - place]) is not None
            ):
                return at
        return None

    def _is_start(self, lines: Lines, place: int) -> bool:
        """Say whether the text of a line can be a row. The row may itself have an open quote."""
        line = lines.known[place]
        is_open = line.replace(_ESCAPED_QUOTE, "").count('"') % 2  # the row may go on
        if not is_open and line.count(self._header.delimiter) < self._header.width - 1:
            return False
        try:
            whole_fields: list[str] = next(self.csv([line], strict=False), [])[:-1]
            if self._header.may_start(whole_fields):
                fields = next(self.csv(lines.starting(place)), [])
                if self._header.is_row(fields):
                    return True
        except csv.Error:
            pass
        return bool(is_open) and self._header.id_of_broken([line]) is not None
