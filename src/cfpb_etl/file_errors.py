"""What can be wrong with a file of complaints, a class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class NoArchiveError(CfpbEtlError):
    """Raised when the archive's page tells of no zip.

    Attributes:
        url: The page.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The page {url} links to no zip. CFPB may have moved its archive: look for it in a"
            " browser, and give --file the address of the page, or the zips that you downloaded."
        )


class FileError(CfpbEtlError):
    """Raised when a file of complaints cannot be used; each subclass is one reason.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path} {message}")


class UnreadableFileError(FileError):
    """Raised when a file is not there, damaged, or none that CFPB publishes.

    Attributes:
        detail: What is wrong with it.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"cannot be read: {detail}. Nothing of it was stored. Check --file, or download it"
            " again.",
        )


class NotEnoughSpaceError(FileError):
    """Raised when a disk has no room for a file.

    Attributes:
        needed: The bytes that are still to be written.
        free: The bytes that the disk has left.
    """

    def __init__(self, path: Path, needed: int, free: int) -> None:
        self.needed = needed
        self.free = free
        # Rounded apart, so that the two never read the same.
        up, down = -(-needed // 10**7) / 100, free // 10**7 / 100
        super().__init__(
            path,
            f"needs {up:,.2f} GB, and its disk has {down:,.2f} GB free. Make room, or put"
            " --database on another disk, and run the same command again.",
        )


class NotWritableFileError(FileError):
    """Raised when a file cannot be written, for want of anything but room.

    Attributes:
        detail: What the system says.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"cannot be written: {detail}. See who may write there, or choose another place,"
            " and run the same command again.",
        )


class DamagedDownloadError(FileError):
    """Raised when all bytes of a file came, and are not those that were zipped.

    Attributes:
        detail: What is wrong with them.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"was damaged on its way: {detail}. The download was removed. Run again to have it"
            " anew; if it persists, CFPB's file is at fault, or --file is none of complaints.",
        )


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


class TooManyWithdrawnError(CfpbEtlError):
    """Raised when a file lacks so many of the stored complaints that it is in doubt.

    Attributes:
        withdrawn: How many stored complaints it lacks.
        stored: How many are stored and not marked as withdrawn.
    """

    def __init__(self, withdrawn: int, stored: int) -> None:
        self.withdrawn = withdrawn
        self.stored = stored
        super().__init__(
            f"The file lacks {withdrawn:,} of the {stored:,} complaints that are stored, and one in"
            " a hundred is the most that is believed. Nothing was changed. If CFPB did withdraw"
            " them, run again with --allow-withdrawals."
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
