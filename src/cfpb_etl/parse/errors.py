"""Errors in the content of a page or file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class UnexpectedColumnsError(FileError):
    """Raised when a file does not have the header of a complaints file.

    Attributes:
        missing: Columns that every CFPB file has, but that this file does not have.
        repeated: Columns that the file has more than once.
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
        faults += [f"has {', '.join(repeated)} more than once"] if repeated else []
        detail = f"{' and '.join(faults)}, and starts with {', '.join(found)[:120]!r}"
        super().__init__(path=path, missing=missing, repeated=repeated, found=found, detail=detail)


class TooManyRejectedError(FileError):
    """Raised when too large a share of a file's rows is rejected.

    Attributes:
        rejected: How many rows are not valid complaints.
        rows: How many rows the file has.
        warnings: The first rejected rows, each described with its line number.
    """

    rejected: int
    rows: int
    warnings: Sequence[str]
    problem = (
        "{path} was rejected: {rejected:,} of its {rows:,} rows are not valid complaints, and the"
        " maximum is one in a thousand ({first_warnings})"
    )
    remedy = "Nothing of it was stored. Check these rows, or download the file again."

    def __init__(self, path: Path, rejected: int, rows: int, warnings: Sequence[str]) -> None:
        first = "; ".join(warnings[:3])
        super().__init__(
            path=path, rejected=rejected, rows=rows, warnings=warnings, first_warnings=first
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
