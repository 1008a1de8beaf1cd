"""The complaints in the rows of CSV files, as CFPB published them or as others have saved them.

The files have other column names than the search API, and the columns have changed over the years
(docs/facts.md, "Columns by era"). A row that is not a valid complaint is counted and reported. Such
a row does not end the load.
"""

from __future__ import annotations

from array import array
from itertools import chain, compress, count
from operator import itemgetter
from typing import TYPE_CHECKING

from pyroaring import BitMap64

from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.model.load_stats import MAX_WARNINGS
from cfpb_etl.model.part import Batch, ReadStats
from cfpb_etl.parse.csv_format.cells import (
    FOREIGN,
    NEVER_WRITTEN,
    is_empty,
    plain_columns,
    plain_fields,
)
from cfpb_etl.parse.csv_format.date_order import decide_order
from cfpb_etl.parse.csv_format.days import Days
from cfpb_etl.parse.csv_format.header import read_header
from cfpb_etl.parse.csv_format.releases import OtherRelease
from cfpb_etl.parse.csv_format.rows import RowReader, has_hole, rows_in
from cfpb_etl.parse.errors import (
    InvalidFieldError,
    InvalidTextError,
    NotUtf8Error,
    TooManyRejectedError,
    UnwrittenError,
)
from cfpb_etl.parse.fast_columns import parse_columns
from cfpb_etl.parse.line_hashes import DAY, UNSIGNED_64, compare_lines
from cfpb_etl.parse.values import DATE_FIELDS, EMPTY, parse_fields, parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.file import ReadOptions
    from cfpb_etl.parse.csv_format.days import Order
    from cfpb_etl.parse.line_hashes import StoredLines

MAX_REJECTED = 1 / 1000  # share of a file's rows, unless the user allows another number
_ID = itemgetter(0)


class ComplaintRows:
    """The complaints of a CSV file, in batches.

    Args:
        lines: The lines of the file, each with its line end.
        path: The file, for errors. It is opened again if the order of day and month in its dates
            must be found.
        options: How to read the file.
        stored: The stored lines, whose complaints are skipped; None if all lines must be parsed.

    Attributes:
        header: The columns of the file.
        read_stats: What the parser has found so far, without `ids`.

    Raises:
        FileError: If the file is not a valid file of complaints; each subclass is one reason.
            Iterating can raise this error too.
    """

    def __init__(
        self,
        lines: Iterable[str],
        path: Path,
        options: ReadOptions,
        stored: StoredLines | None = None,
    ) -> None:
        self._path = path
        self._options = options
        self.header, self._lines, self._lines_read = read_header(iter(lines), path)
        self.read_stats = ReadStats()
        self._ids = BitMap64()
        self._rejected_ids = BitMap64()
        self._not_utf8 = 0
        self._other_release = OtherRelease(self.header, path)
        self._days = Days(self._find_order)
        self._stored = stored if self.header.has_lines_to_compare else None
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
        reader = RowReader(self._lines, self._lines_read + 1, self.header, self._path)
        for batch in reader:
            if batch.rows:
                lines = () if reader.has_backslashes else batch.lines
                yield self._parsed(batch.rows, batch.numbers, lines, is_regular=batch.is_regular)
            if batch.broken is not None:
                self._reject(*batch.broken)

    def check_rejected(self) -> None:
        """Check how many rows were rejected. Call this after the last batch.

        Raises:
            FileError: If more rows were rejected than allowed; each subclass is one reason.
        """
        stats, allowed = self.read_stats, self._options.allow_rejected
        rows = stats.rows + stats.rejected
        if allowed is None:
            allowed = MAX_REJECTED
        most = int(allowed if allowed >= 1 else round(allowed * rows, 6))
        if stats.rejected <= most:
            return
        self._other_release.check(most)
        if stats.rejected - self._not_utf8 <= most or 2 * self._not_utf8 > stats.rejected:
            raise NotUtf8Error(self._path, self._not_utf8, tuple(stats.warnings))
        raise TooManyRejectedError(self._path, stats.rejected, rows, most, tuple(stats.warnings))

    def _find_order(self) -> Order | None:
        """Return the order of day and month in the file's dates; None if it is not certain."""
        if self._options.date_order is not None:
            return self._options.date_order
        with open_csv(self._path) as (lines, _, _):
            header, rest, before = read_header(lines, self._path)
            places = [header.places[name] for name in DATE_FIELDS if name in header.places]
            dates = (
                (number, [row[place] for place in places])
                for batch in RowReader(rest, before + 1, header, self._path)
                for row, number in zip(batch.rows, batch.numbers, strict=True)
                if len(row) == header.width
            )
            return decide_order(dates, self._options.today, self._path)

    def _changed_rows(self, stored: StoredLines) -> Iterator[Batch]:
        """Yield the rows whose lines are not stored yet. Stop if a row is not exactly one line."""
        width = self.header.width
        for lines, ids, hashes, are_unchanged in compare_lines(self._lines, stored):
            are_changed = [not is_unchanged for is_unchanged in are_unchanged]
            changed = [*compress(lines, are_changed)]
            rows = rows_in(changed)
            is_regular = {*map(len, rows)} == {width}
            # A line within a field may look like an unchanged line. `RowReader` also knows what a
            # backslash before a quote means.
            if len(rows) != len(changed) or (
                not is_regular and any("\\" in each for each in changed)
            ):
                self._lines = chain(lines, self._lines)
                return
            if len(changed) < len(lines):
                unchanged = [*compress(lines, are_unchanged)]
                self._note_unchanged(unchanged, compress(ids, are_unchanged))
                yield Batch([], array(UNSIGNED_64, compress(hashes, are_unchanged)).tobytes())
            if rows:
                numbers = compress(count(self._lines_read + 1), are_changed)
                yield self._parsed(rows, numbers, changed, is_regular=is_regular)
            self._lines_read += len(lines)

    def _note_unchanged(self, lines: Sequence[str], ids: Iterable[int]) -> None:
        stats, distinct_ids = self.read_stats, BitMap64(ids)
        self._ids |= distinct_ids
        stats.rows += len(distinct_ids)
        stats.unchanged += len(distinct_ids)
        days, today = {line[:DAY] for line in lines}, self._options.today
        if max(days) > today:
            stats.after_today += sum(line[:DAY] > today for line in lines)
            days = {day for day in days if day <= today}
        if days:
            days.update(stats.days)
            stats.days = [min(days), max(days)]

    def _parsed(
        self,
        rows: list[list[str]],
        numbers: Iterable[int],
        lines: Sequence[str],
        *,
        is_regular: bool,
    ) -> Batch:
        hashes = b""
        try:
            if not is_regular:
                raise ValueError  # noqa: TRY301 - handled like an unusual value
            columns = [*zip(*rows, strict=True)]
            named = {name: columns[place] for name, place in self.header.places.items()}
            complaints = self._parse_columns(named, len(rows))
        except (TypeError, ValueError):
            complaints = [*self._one_by_one(rows, numbers)]
        else:
            ids = BitMap64(map(_ID, complaints))
            if len(ids) < len(complaints) or self._ids.intersect(ids):
                for complaint, number in zip(complaints, numbers, strict=True):
                    self._note_id(complaint.complaint_id, number)
            self._ids |= ids
            if self._stored is not None and _are_plain(lines, named):
                hashes = self._stored.hashes(lines).tobytes()
        self.read_stats.rows += len(complaints)
        return Batch(complaints, hashes)

    def _parse_columns(self, columns: dict[str, tuple[str, ...]], rows: int) -> list[Complaint]:
        try:
            return parse_columns(columns, rows, FOREIGN, NEVER_WRITTEN)
        except (TypeError, ValueError):
            return parse_columns(plain_columns(columns, self._days), rows)

    def _one_by_one(self, rows: list[list[str]], numbers: Iterable[int]) -> Iterator[Complaint]:
        width = self.header.width
        for row, number in zip(rows, numbers, strict=True):
            if is_empty(row):
                continue
            if has_hole("".join(row)):
                raise UnwrittenError(path=self._path, line=number)
            if self.header.is_repeated_by(row):
                self.read_stats.repeated_headers += 1
                self._warn(number, "the header is repeated")
            elif len(row) != width:
                self._other_release.note(row, number)
                self._reject(number, f"{len(row)} fields where the header has {width}")
            else:
                fields = {name: row[place] for name, place in self.header.places.items()}
                fields = plain_fields(fields, self._days)
                try:
                    complaint = parse_fields(fields)
                except InvalidFieldError as error:
                    self._not_utf8 += isinstance(error, InvalidTextError)
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

    def _warn(self, line: int, what: str) -> None:
        if len(self.read_stats.warnings) < MAX_WARNINGS:
            self.read_stats.warnings.append(f"line {line:,}: {what}")


def _are_plain(lines: Sequence[str], columns: dict[str, tuple[str, ...]]) -> bool:
    """Say whether each line is one row that starts with its day, and all dates are `YYYY-MM-DD`.

    The day that another spelling means can depend on an option, so its line must be parsed again.
    """
    days = {*columns["date_received"]}
    if len(lines) != len(columns["date_received"]) or {line[:DAY] for line in lines} != days:
        return False
    # These texts are valid dates, and no other spelling with ten characters has this sign here.
    return all(
        len(text) == DAY and text[4] == "-"
        for text in days.union(columns.get("date_sent_to_company", ())) - EMPTY
    )
