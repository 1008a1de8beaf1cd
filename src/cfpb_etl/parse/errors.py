"""Errors in the content of a page or file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cfpb_etl.parse.csv_format.days import Order


class UnexpectedColumnsError(FileError):
    """Raised when a file does not have the header of a complaints file.

    Attributes:
        missing: The titles of required columns that the file does not have.
        repeated: The file's titles that mean the same column.
        found: The columns of the file's header.
    """

    missing: Sequence[str]
    repeated: Sequence[str]
    found: Sequence[str]
    problem = "{path} is not a CFPB complaints file that this version knows: its header {detail}"
    remedy = (
        "Nothing of it was stored. Check --file; if it is from CFPB, check for a newer version of"
        " cfpb-etl."
    )

    def __init__(
        self, path: Path, missing: Sequence[str], repeated: Sequence[str], found: Sequence[str]
    ) -> None:
        faults = [f"lacks {', '.join(missing)}"] if missing else []
        faults += [f"has more than one title for a column ({', '.join(repeated)})"] * bool(repeated)
        detail = f"{' and '.join(faults)}, and starts with {', '.join(found)[:120]!r}"
        super().__init__(path=path, missing=missing, repeated=repeated, found=found, detail=detail)


class UncertainDatesError(FileError):
    """Raised when the dates of a file do not show whether day or month comes first.

    Attributes:
        line: The line of the first row with such a date.
        written: The date as it is written.
        readings: The day that the date means in each order.
    """

    line: int
    written: str
    readings: Mapping[Order, str]
    problem = "{path} has dates with more than one meaning: {written!r} in line {line:,} is {days}"
    remedy = (
        "Nothing of it was stored. Find out which order the file has, and run again with"
        " --date-order month-first or --date-order day-first."
    )

    def __init__(self, path: Path, line: int, written: str, readings: Mapping[Order, str]) -> None:
        days = " or ".join(f"{day} ({order})" for order, day in readings.items())
        super().__init__(path=path, line=line, written=written, readings=readings, days=days)


class UnclosedQuoteError(FileError):
    """Raised when a quote is never closed, and the rows after it cannot be told from its text.

    Attributes:
        line: The line of the quote.
    """

    line: int
    problem = "{path} cannot be read: a quote in line {line:,} is {how}"
    remedy = (
        "Nothing of it was stored. Download the file again, because this copy may be cut off, or"
        " correct the line."
    )

    def __init__(self, path: Path, line: int, how: str = "never closed") -> None:
        super().__init__(path=path, line=line, how=how)


class FieldTooLongError(FileError):
    """Raised when a field is too long, although no quote is open.

    Attributes:
        line: The line of the row.
        most: How many characters a field can have.
    """

    line: int
    most: int
    problem = "{path} cannot be read: a field in line {line:,} has more than {most:,} characters"
    remedy = "Nothing of it was stored. Download the file again, or correct the line."


class UnwrittenError(FileError):
    """Raised when a part of a file consists of zero bytes, as after a copy that was not finished.

    Attributes:
        line: The line with the zero bytes.
    """

    line: int
    problem = (
        "{path} cannot be read: line {line:,} has zero bytes where there were rows, so the file was"
        " never written in full"
    )
    remedy = "Nothing of it was stored. Copy or download the file again."


class MixedReleasesError(FileError):
    """Raised when the rows of a file have the columns of another release of CFPB than the header.

    Attributes:
        line: The line of the first such row.
        fields: How many fields the row has.
        titles: How many titles the header has.
    """

    line: int
    fields: int
    titles: int
    problem = (
        "{path} has the columns of two releases of CFPB: its header has {titles} columns, and the"
        " row in line {line:,} has the {fields} columns of another release"
    )
    remedy = (
        "Nothing of it was stored. CFPB's file has this fault on the day of a release;"
        " download the file again tomorrow."
    )


class NotUtf8Error(FileError):
    """Raised when more rows than allowed are not UTF-8.

    Attributes:
        rows: How many rows are not UTF-8.
        warnings: The first rejected rows, each described with its line number.
    """

    rows: int
    warnings: Sequence[str]
    problem = (
        "{path} is not UTF-8 (it may be Windows-1252 text): {rows:,} of its rows cannot be read"
        " ({first_warnings})"
    )
    remedy = (
        "Nothing of it was stored. Convert the file: in Excel, save it as 'CSV UTF-8', or run iconv"
        " -f WINDOWS-1252 -t UTF-8."
    )

    def __init__(self, path: Path, rows: int, warnings: Sequence[str]) -> None:
        first = "; ".join(warnings[:3])
        super().__init__(path=path, rows=rows, warnings=warnings, first_warnings=first)


class TooManyRejectedError(FileError):
    """Raised when more rows of a file are rejected than allowed.

    Attributes:
        rejected: How many rows are not valid complaints.
        rows: How many rows the file has.
        maximum: How many rejected rows are allowed.
        warnings: The first rejected rows, each described with its line number.
    """

    rejected: int
    rows: int
    maximum: int
    warnings: Sequence[str]
    problem = (
        "{path} was rejected: {rejected:,} of its {rows:,} rows are not valid complaints, and the"
        " maximum is {maximum:,} ({first_warnings})"
    )
    remedy = (
        "Nothing of it was stored. Check these rows; to load the others, run again with"
        " --allow-rejected {rejected}."
    )

    def __init__(
        self, path: Path, rejected: int, rows: int, maximum: int, warnings: Sequence[str]
    ) -> None:
        super().__init__(
            path=path,
            rejected=rejected,
            rows=rows,
            maximum=maximum,
            warnings=warnings,
            first_warnings="; ".join(warnings[:3]),
        )


class ReaderDiedError(FileError):
    """Raised when the process that reads a file ends too early.

    Attributes:
        code: The exit code of the process.
        last_line: The last line that the process wrote to standard error.
    """

    code: int
    last_line: str
    problem = "{path} was not read to its end: the process ended with code {code} ({last_line})"
    remedy = (
        "Nothing of it was stored. Run again; if this happens again, there may be too little"
        " memory."
    )


class InvalidHitError(CfpbEtlError):
    """Raised when a hit of a page is not a valid complaint.

    Attributes:
        part: The name of the page.
        hit: The position of the hit on the page, from 1.
        field: The field that is not valid.
        detail: What is wrong with the field.
    """

    part: str
    hit: int
    field: str
    detail: str
    problem = "Hit {hit} of {part} is not a valid complaint: {field} {detail}"
    remedy = (
        "Nothing of this page was stored. CFPB may have changed its data; check for a newer version"
        " of cfpb-etl."
    )


class InvalidFieldError(CfpbEtlError):
    """Raised when a field of a complaint is not valid.

    Attributes:
        field: The name of the field.
        detail: What is wrong with the field.
    """

    field: str
    detail: str
    problem = "{field} {detail}"


class InvalidTextError(InvalidFieldError):
    """Raised when a field of a complaint is not valid UTF-8."""

    problem = "{field} is not valid UTF-8"

    def __init__(self, field: str, detail: str = "is not valid UTF-8") -> None:
        super().__init__(field=field, detail=detail)
