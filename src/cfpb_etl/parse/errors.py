"""What can be wrong with a complaint, or with a file of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl.fetch.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path


class UnexpectedColumnsError(FileError):
    """Raised when a file's header is not that of complaints.

    Attributes:
        missing: Columns that every file of CFPB's has had and this one has not.
        twice: Columns that it has more than once.
        found: What its header has.
    """

    def __init__(
        self, path: Path, missing: Sequence[str], twice: Sequence[str], found: Sequence[str]
    ) -> None:
        self.missing = missing
        self.twice = twice
        self.found = found
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has {', '.join(twice)} more than once"] if twice else []
        super().__init__(
            path,
            f"is no file of complaints that is known here: its header {' and '.join(wrong)}, and"
            f" begins {', '.join(found)[:120]!r}. Nothing of it was stored. Check --file; if it is"
            " CFPB's, see whether a newer cfpb-etl knows it.",
        )


class TooManyRejectedError(FileError):
    """Raised when so many rows of a file cannot be complaints that the file is in doubt.

    Attributes:
        rejected: How many.
        rows: How many rows the file has.
        remarks: The first of them, each with its line.
    """

    def __init__(self, path: Path, rejected: int, rows: int, remarks: Sequence[str]) -> None:
        self.rejected = rejected
        self.rows = rows
        self.remarks = remarks
        super().__init__(
            path,
            f"was refused: {rejected:,} of its {rows:,} rows cannot be complaints, and one in a"
            f" thousand is the most. The first are {'; '.join(remarks[:3])}. Nothing of it was"
            " stored. Look at these lines, or download the file again.",
        )


class ReaderDiedError(FileError):
    """Raised when the process that reads a file ends before the file does.

    Attributes:
        code: Its exit code.
        said: The last line of what it said.
    """

    def __init__(self, path: Path, code: int, said: str) -> None:
        self.code = code
        self.said = said
        super().__init__(
            path,
            f"was not read to its end: the process that reads it ended with {code} ({said})."
            " Nothing of it was stored. Run again; if it persists, there may be too little memory.",
        )


class InvalidHitError(CfpbEtlError):
    """Raised when one hit of a page cannot be a complaint.

    Attributes:
        part: The page, in words.
        hit: Its place on the page, from 1.
        field: The field at fault.
        problem: What is wrong with it.
    """

    def __init__(self, part: str, hit: int, field: str, problem: str) -> None:
        self.part = part
        self.hit = hit
        self.field = field
        self.problem = problem
        super().__init__(
            f"Hit {hit} of {part}: {field} {problem}. Nothing of this page was stored. "
            "CFPB may have changed its data; see whether a newer cfpb-etl knows it."
        )


class InvalidFieldError(CfpbEtlError):
    """Raised when a field cannot be a complaint's.

    Attributes:
        field: The field.
        problem: What is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field} {problem}")
