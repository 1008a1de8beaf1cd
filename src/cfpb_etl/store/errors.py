"""What can be wrong with the SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from pathlib import Path


from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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


class IncompleteLoadError(CfpbEtlError):
    """Raised when fewer complaints came than the source says there are.

    Attributes:
        expected: How many the source's closing count promises.
        read: How many came.
        windows: In how many windows of days; the numbers are those of these.
    """

    def __init__(self, expected: int, read: int, windows: int = 1) -> None:
        self.expected = expected
        self.read = read
        self.windows = windows
        where = f"In {windows:,} windows of days " if windows > 1 else ""
        super().__init__(
            f"{where}{read:,} complaints came, but the source counts {expected:,}. "
            "What came is stored; run the same command again, and these days are read again."
        )


class DatabaseError(CfpbEtlError):
    """Raised when the SQLite file cannot take a load; each subclass is one reason.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path} {message}")


class NotADatabaseError(DatabaseError):
    """Raised when the file is not SQLite, or is a SQLite file of some other program."""


class NotWritableError(DatabaseError):
    """Raised when the file cannot be opened or written."""


class NewerDatabaseError(DatabaseError):
    """Raised when a newer version of this package has changed the schema."""


class DatabaseInUseError(DatabaseError):
    """Raised when another load, or another program, is writing to the file."""


class OtherKindError(DatabaseError):
    """Raised when made-up complaints would be mixed with real ones."""
