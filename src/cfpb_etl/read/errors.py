"""Errors while reading rows of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from pathlib import Path


class RowsNotReadError(CfpbEtlError):
    """Raised when a value in the database is not of its column's type."""

    exit_code: ClassVar = 3  # of the process that reads the rows
    path: Path
    detail: str
    problem = "The rows of {path} could not be read: {detail}"
    remedy = "Another program has written this value. Correct it, or load again into a new file."


class ReadingStoppedError(RowsNotReadError):
    """Raised when the process that reads the rows cannot be started, or ends too early."""

    problem = "Not all rows of {path} were read: {detail}"
    remedy = "Read again; if this happens again, there may be too little memory."
