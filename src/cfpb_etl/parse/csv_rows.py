"""CFPB's CSV of every era: its header, and its rows as complaints.

The search API's names and those of the files differ; which file has which columns is told in
DATA.md section 2. A row that cannot be a complaint is counted and told, not fatal.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from itertools import chain, islice, tee
from operator import itemgetter
from typing import TYPE_CHECKING

from pyroaring import BitMap64

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import ALWAYS_SENT
from cfpb_etl.model.dates import parse_date
from cfpb_etl.model.load_stats import MOST_REMARKS
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse.errors import InvalidFieldError, UnexpectedColumnsError
from cfpb_etl.parse.line_hashes import DAY, ChangedLines, StoredLines
from cfpb_etl.parse.values import parse_columns, parse_fields, parse_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint

COLUMNS = {
    "Date received": "date_received",
    "Product": "product",
    "Sub-product": "sub_product",
    "Issue": "issue",
    "Sub-issue": "sub_issue",
    "Consumer complaint narrative": "complaint_what_happened",
    "Company public response": "company_public_response",
    "Company": "company",
    "State": "state",
    "ZIP code": "zip_code",
    "Tags": "tags",
    "Consumer consent provided?": "consumer_consent_provided",
    "Submitted via": "submitted_via",
    "Date sent to company": "date_sent_to_company",
    "Company response to consumer": "company_response",
    "Timely response?": "timely",
    "Consumer disputed?": "consumer_disputed",
    "Complaint ID": "complaint_id",
}

# A quote that is never closed makes one field of all that follows. Narratives are far shorter, but
# longer than the 131,072 characters at which Python's reader gives up by itself.
LONGEST_FIELD = 2**24
_LONGEST_NAME = 60  # of a column, where it is told
_ROWS_AT_ONCE = 500  # so many decoded rows fit a processor's cache: of 4,000, each took 1.7 as long
_LINE_END = re.compile(r"\r\n|\r|\n")


class Header:
    """The columns of a file, found by their names and in any order.

    Args:
        row: The file's first row.
        path: The file, for the error.

    Attributes:
        places: Where each of our columns stands.
        unknown: Names that are no column of ours, fit to be shown.

    Raises:
        UnexpectedColumnsError: If a column is missing that every file has had, or comes twice.
    """

    def __init__(self, row: Sequence[str], path: Path) -> None:
        self.row = tuple(name.strip() for name in row)
        known = [COLUMNS[name] for name in self.row if name in COLUMNS]
        self.places = {COLUMNS[name]: at for at, name in enumerate(self.row) if name in COLUMNS}
        self.unknown = frozenset(
            name[:_LONGEST_NAME].encode(errors="replace").decode()
            for name in self.row
            if name and name not in COLUMNS
        )
        titles = {name: title for title, name in COLUMNS.items()}
        missing = [titles[name] for name in titles if name in ALWAYS_SENT - {*known}]
        twice = [titles[name] for name in titles if known.count(name) > 1]
        if missing or twice:
            raise UnexpectedColumnsError(path, missing, twice, self.row)

    @property
    def is_in_cfpbs_order(self) -> bool:
        """Say whether a line begins with the day received and ends with the id, as CFPB's do."""
        return (
            self.places["date_received"] == 0 and self.places["complaint_id"] == len(self.row) - 1
        )

    def is_again(self, row: Iterable[str]) -> bool:
        """Say whether a row repeats the header."""
        return tuple(map(str.strip, row)) == self.row


class ComplaintRows:
    """The complaints of a CSV file, some hundred at a time.

    Args:
        lines: The file's lines, each with its end.
        path: The file, for errors.
        known: The lines whose complaints the database holds as they stand; these are left out.
            None if nobody asks for them the next time either.
        tell_known: Told the fingerprints of lines that are left out.

    Attributes:
        header: Its columns.
        read_stats: What it turned out to hold so far, except for `ids`.
        fingerprints: Of the lines of the complaints that were handed out last; empty where these
            cannot be told line by line.

    Raises:
        UnexpectedColumnsError: If its first line is no header of complaints.
        UnreadableFileError: If it is empty; while it is read, if a quote is never closed.
    """

    def __init__(
        self,
        lines: Iterable[str],
        path: Path,
        known: StoredLines | None = None,
        tell_known: Callable[[bytes], object] = len,
    ) -> None:
        csv.field_size_limit(LONGEST_FIELD)
        self._path = path
        lines = iter(lines)
        first = csv.reader(lines, strict=True)
        self.header = _header(first, path)
        self._ids = BitMap64()
        self._rejected_ids = BitMap64()
        self.read_stats = ReadStats()
        self.fingerprints = b""
        self._lines_before = first.line_num  # of those that the reader of the rows is given
        self._known = known if known is not None and self.header.is_in_cfpbs_order else None
        self._tell_known = tell_known
        self._unknown: ChangedLines | None = None
        self._given: Iterator[str] = iter(())
        if self._known is not None:
            self._known.under(self.header.row)
            if self._known:
                self._unknown = ChangedLines(lines, self._known, self._note_known)
                lines = chain.from_iterable(self._unknown)
            lines, self._given = tee(lines)
        self._rows = csv.reader(lines, strict=True)

    @property
    def ids(self) -> BitMap64:
        """Return the ids of all rows so far, of rejected ones too."""
        # A union is a copy: for five million ids the process held 70 MB with it, 58 without.
        return self._ids | self._rejected_ids if self._rejected_ids else self._ids

    def __iter__(self) -> Iterator[list[Complaint]]:
        """Hand out the complaints in the order of the file."""
        while True:
            lines = self._rows.line_num
            line = self._lines_before + lines + 1
            rows: list[list[str]] = []
            fault = None
            try:
                rows.extend(islice(self._rows, _ROWS_AT_ONCE))
            except csv.Error as error:  # what came before it in these rows is there
                fault = error
            given = [*islice(self._given, self._rows.line_num - lines)]
            if rows:
                yield self._parsed(rows, line, given)
            if fault:
                *_, begins = _beginnings([*rows, ()], line)
                self._reject_broken(begins, str(fault))
            elif len(rows) < _ROWS_AT_ONCE:
                return

    def _note_known(self, ids: BitMap64, days: Iterable[str], fingerprints: bytes) -> None:
        self._ids.update(ids)
        self.read_stats.rows += len(ids)
        self.read_stats.known += len(ids)
        days = (*self.read_stats.days, *days)
        self.read_stats.days = [min(days), max(days)]
        self._tell_known(fingerprints)

    def _parsed(self, rows: list[list[str]], line: int, given: list[str]) -> list[Complaint]:
        self.fingerprints = b""
        try:
            if {*map(len, rows)} != {len(self.header.row)}:
                raise ValueError  # noqa: TRY301 - as where a value is odd
            columns = [*zip(*rows, strict=True)]
            complaints = parse_columns(
                {name: columns[at] for name, at in self.header.places.items()}, len(rows)
            )
        except (TypeError, ValueError):
            complaints = [*self._one_by_one(rows, line)]
        else:
            ids = BitMap64(map(_ID, complaints))
            if len(ids) < len(complaints) or self._ids.intersect(ids):
                for number, begins in zip(
                    map(_ID, complaints), _beginnings(rows, line), strict=True
                ):
                    self._note_id(number, begins)
            self._ids.update(ids)
            if self._known is not None and _are_plain(given, columns[0]):
                self.fingerprints = self._known.fingerprints(given).tobytes()
        self.read_stats.rows += len(complaints)
        return complaints

    def _one_by_one(self, rows: list[list[str]], line: int) -> Iterator[Complaint]:
        width = len(self.header.row)
        for row, begins in zip(rows, _beginnings(rows, line), strict=True):
            if not row:
                continue  # an empty line
            if self.header.is_again(row):
                self.read_stats.repeated_headers += 1
                self._remark(begins, "the header stands here again")
            elif len(row) != width:
                self._reject(begins, f"{len(row)} fields where the header has {width}")
            else:
                fields = {name: row[at] for name, at in self.header.places.items()}
                try:
                    complaint = parse_fields(fields)
                except InvalidFieldError as error:
                    self._reject(begins, str(error), fields["complaint_id"])
                else:
                    self._note_id(complaint.complaint_id, begins)
                    yield complaint

    def _note_id(self, number: int, line: int) -> None:
        if number in self._ids:
            self.read_stats.duplicates += 1
            self.read_stats.duplicate_ids.add(number)
            self._remark(line, f"complaint {number} came before; this later copy counts")
        self._ids.add(number)

    def _reject(self, line: int, problem: str, spelled_id: str | None = None) -> None:
        self.read_stats.rejected += 1
        self._remark(line, problem)
        if spelled_id in ("", "None"):
            return  # CFPB's pipeline lets such rows through (DATA.md section 5): it is nobody's
        try:
            self._rejected_ids.add(parse_id(spelled_id))
        except InvalidFieldError:
            self.read_stats.without_id += 1

    def _reject_broken(self, line: int, fault: str) -> None:
        if "field limit" in fault or "end of data" in fault:  # nobody knows how many rows it took
            begins = self._in_file(line)
            raise UnreadableFileError(
                self._path,
                f"the row that begins in line {begins:,} does not end ({fault}); a quote in it may"
                " never be closed",
            )
        self._reject(line, fault)

    def _remark(self, line: int, what: str) -> None:
        if len(self.read_stats.warnings) < MOST_REMARKS:
            self.read_stats.warnings.append(f"line {self._in_file(line):,}: {what}")

    def _in_file(self, line: int) -> int:
        if self._unknown is None:
            return line
        before = self._lines_before
        return before + self._unknown.number_in_file(line - before)


def _are_plain(lines: Sequence[str], days: Sequence[str]) -> bool:
    """Say whether each line is a row that begins with its day, with nothing around that."""
    return len(lines) == len(days) and {line[:DAY] for line in lines} == {*days}


_ID = itemgetter(0)


def _beginnings(rows: Iterable[Sequence[str]], line: int) -> Iterator[int]:
    """Yield the line in which each row begins; a field may go over several."""
    for row in rows:
        yield line
        line += 1 + sum(len(_LINE_END.findall(field)) for field in row)


def _header(rows: Iterator[list[str]], path: Path) -> Header:
    try:
        first = next(rows, None)
    except csv.Error as error:
        raise UnreadableFileError(path, f"its first line is no CSV: {error}") from None
    if first is None:
        raise UnreadableFileError(path, "it is empty")
    return Header(first, path)


def newest_day(lines: Iterable[str], path: Path) -> str | None:
    """Return the latest day received in a CSV file, or None if it tells none.

    Raises:
        UnexpectedColumnsError: If its first line is no header of complaints.
        UnreadableFileError: If it is empty, or a quote is never closed.
    """
    csv.field_size_limit(LONGEST_FIELD)
    rows = csv.reader(lines)
    place = _header(rows, path).places["date_received"]
    try:
        days = {row[place][:10] for row in rows if len(row) > place}  # of moments too
    except csv.Error as error:
        raise UnreadableFileError(path, f"line {rows.line_num:,} is no CSV: {error}") from None
    return max(filter(_is_day, days), default=None)


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return bool(parse_date(text))
    return False
