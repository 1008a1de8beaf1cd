"""Reads the header of a CSV file: its delimiter, and which column is where.

Titles are compared folded: only their letters and digits count, in lower case. So `Date.received`,
`date_received` and `DATE RECEIVED` are the same title.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import (
    CSV_COLUMNS,
    NOT_STORED,
    OTHER_TITLES,
    RELEASES,
    Complaint,
)
from cfpb_etl.parse.csv_format.cells import plain_id
from cfpb_etl.parse.csv_format.days import readings
from cfpb_etl.parse.csv_format.quotes import split_at_open_quote
from cfpb_etl.parse.errors import UnexpectedColumnsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_REQUIRED = ("date_received", "complaint_id")
# A comma comes first. No known title contains one of the other two (docs/facts.md, "Files saved by
# other programs").
_DELIMITERS = (",", ";", "\t")
_MAX_TITLE = 60  # characters of a column's title in a message
_PEEKED = 10  # rows
_MAX_PEEKED = 2**20  # characters of these rows
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?\s*')  # Excel reads this line as the delimiter
_STATE = re.compile("(?:[A-Z]{2}|UNITED STATES MINOR OUTLYING ISLANDS|None)?")
_ROW_NUMBERS = re.compile(r"unnamed\d+")  # pandas' title of a column without a title, folded


def folded(title: str) -> str:
    """Return the letters and digits of a title, in lower case."""
    return "".join(filter(str.isalnum, title.casefold()))


_COLUMN_OF = {
    **{folded(name): name for name in Complaint._fields},
    **{folded(title): name for title, name in CSV_COLUMNS.items()},
    **OTHER_TITLES,
}
_NOT_STORED = frozenset(map(folded, NOT_STORED))


class Header:
    """The columns of a file, in any order.

    Args:
        row: The titles of the columns.
        path: The file, for the error.
        delimiter: The character between two fields.

    Attributes:
        row: The titles, without surrounding white space.
        delimiter: The same as the argument.
        places: The position of each column in a row.
        unknown: The titles of unknown columns, shortened for messages.

    Raises:
        UnexpectedColumnsError: If the id or the day received is missing, or a column occurs twice.
    """

    def __init__(self, row: Sequence[str], path: Path, delimiter: str = ",") -> None:
        self.row = tuple(title.strip().removeprefix("\ufeff") for title in row)
        self.delimiter = delimiter
        names = _columns_of(self.row)
        self.places = {name: place for place, name in enumerate(names) if name}
        self.unknown = frozenset(
            title[:_MAX_TITLE].encode(errors="replace").decode()
            for title, name in zip(self.row, names, strict=True)
            if not name and not _is_ignored(title)
        )
        missing = [t for t, name in CSV_COLUMNS.items() if name in _REQUIRED and name not in names]
        repeated = [
            title
            for title, name in zip(self.row, names, strict=True)
            if name and names.count(name) > 1
        ]
        if missing or repeated:
            raise UnexpectedColumnsError(path, missing, repeated, self.row)
        self._day, self._id = (self.places[name] for name in _REQUIRED)

    @property
    def width(self) -> int:
        """Return the number of fields of a row."""
        return len(self.row)

    @property
    def is_cfpbs(self) -> bool:
        """Say whether the titles are those of one of CFPB's releases, in CFPB's order."""
        return self.delimiter == "," and self.row in RELEASES

    @property
    def has_lines_to_compare(self) -> bool:
        """Say whether lines start with the day received and end with the id, as CFPB's lines do."""
        ends = (self.row[0], self.row[-1])
        return self.delimiter == "," and ends == ("Date received", "Complaint ID")

    def is_repeated_by(self, row: Iterable[str]) -> bool:
        """Say whether a row repeats the header."""
        return tuple(title.strip().removeprefix("\ufeff") for title in row) == self.row

    def is_row(self, fields: Sequence[str]) -> bool:
        """Say whether fields are a row: the right number, with a day and an id in their places."""
        return len(fields) == self.width and self.may_start(fields)

    def is_complaint(self, fields: Sequence[str]) -> bool:
        """Say whether fields are a row, with a day sent and a state in their places too."""
        if not self.is_row(fields):
            return False
        sent, state = (fields[self.places[name]] for name in ("date_sent_to_company", "state"))
        return bool(not sent or readings(sent)) and _STATE.fullmatch(state) is not None

    def may_start(self, fields: Sequence[str]) -> bool:
        """Say whether a row may start with these fields."""
        day_fits = self._day >= len(fields) or bool(readings(fields[self._day]))
        return day_fits and (self._id >= len(fields) or plain_id(fields[self._id]) is not None)

    def id_of_broken(self, lines: Sequence[str]) -> str | None:
        """Return the id in the lines of a row with an open quote; None if the row is not whole.

        The text after the quote may have delimiters, so columns are also counted from the end.
        """
        whole, text = split_at_open_quote("".join(lines).rstrip("\r\n"), self.delimiter)
        fields = [*whole, *text.rsplit(self.delimiter, self.width)]
        if len(fields) < self.width:
            return None
        days, ids = (
            [*whole[place : place + 1], fields[place - self.width].strip('"')]
            for place in (self._day, self._id)
        )
        return next(filter(None, map(plain_id, ids)), None) if any(map(readings, days)) else None


def read_header(lines: Iterator[str], path: Path) -> tuple[Header, Iterator[str], int]:
    """Return the header of a file, the lines after the header, and how many lines come before.

    Raises:
        UnexpectedColumnsError: If the first line is not a header of complaints.
        UnreadableFileError: If the file is empty, or the first line is not valid CSV.
    """
    delimiters: Sequence[str] = _DELIMITERS
    first, number = next(lines, None), 1
    if first is not None and (separator := _SEPARATOR_LINE.fullmatch(first)):
        first, number, delimiters = next(lines, None), 2, (separator[1],)
    if first is None:
        raise UnreadableFileError(path=path, detail="it is empty")
    titles: dict[str, list[str]] = {}
    fault: csv.Error | None = None
    for delimiter in delimiters:
        try:
            titles[delimiter] = next(csv.reader([first], delimiter=delimiter, strict=True))
        except csv.Error as error:
            fault = fault or error
    if fault and not any(map(_knows_any, titles.values())):
        detail = f"its first line is not valid CSV: {fault}"
        raise UnreadableFileError(path=path, detail=detail)
    delimiter = max(titles, key=lambda each: len({*filter(None, _columns_of(titles[each]))}))
    header = Header(titles[delimiter], path, delimiter)
    rows, lines = _peek(lines, delimiter)
    # R's `write.table` writes no title for the row names, which are the first field of each row.
    # A single such row may be damaged.
    named = [row for row in rows if len(row) == header.width + 1 and header.is_row(row[1:])]
    if len(named) > max(1, len(rows) // 2):
        header = Header(("", *header.row), path, delimiter)
    return header, lines, number


def _peek(lines: Iterator[str], delimiter: str) -> tuple[list[list[str]], Iterator[str]]:
    """Return the first rows that are not empty, and all lines."""
    taken: list[str] = []

    def start() -> Iterator[str]:
        size = 0
        for line in lines:
            taken.append(line)
            yield line.replace(r"\"", '""')  # as `write.table` writes a quote within a field
            size += len(line)
            if size > _MAX_PEEKED:
                return

    rows: list[list[str]] = []
    with suppress(csv.Error):  # this error is found again when the rows are read
        rows.extend(
            islice(filter(any, csv.reader(start(), delimiter=delimiter, strict=True)), _PEEKED)
        )
    return rows, chain(taken, lines)


def _columns_of(titles: Sequence[str]) -> list[str | None]:
    """Return the column of each title; None for an unknown title."""
    keys = [*map(folded, titles)]
    names = [_COLUMN_OF.get(key) for key in keys]
    # The file "Consumer Financial Complaints" of Maven Analytics calls the day received "Date
    # submitted", and the day sent to the company "Date received" (docs/facts.md, "Columns by era").
    submitted = [
        place for place, key in enumerate(keys) if key in {"datesubmitted", "datesumbited"}
    ]
    if submitted and names.count("date_received") == 1 and "date_sent_to_company" not in names:
        names[names.index("date_received")] = "date_sent_to_company"
        for place in submitted:
            names[place] = "date_received"
    return names


def _knows_any(titles: Sequence[str]) -> bool:
    return any(_columns_of(titles))


def _is_ignored(title: str) -> bool:
    key = folded(title)
    return not title or key in _NOT_STORED or _ROW_NUMBERS.fullmatch(key) is not None
