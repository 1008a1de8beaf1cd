"""Errors while using the SQLite file, and errors of a load into the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from pathlib import Path


class TooManyWithdrawnError(CfpbEtlError):
    """Raised when a file lacks an implausibly large share of the stored complaints."""

    withdrawn: int  # stored complaints that the file does not have
    stored: int  # complaints that are stored and not marked as withdrawn
    max_share: float  # the largest share of these that may be missing, from 0 to 1
    problem = (
        "The file lacks {withdrawn:,} of the {stored:,} stored complaints, and at most"
        " {max_share:.0%} may be missing. Nothing was changed"
    )
    remedy = "If CFPB did remove them, run again with --allow-withdrawals."


class ContradictedAgeError(CfpbEtlError):
    """Raised when a file has a day that is later than its day by `--as-of`."""

    path: object  # the file
    as_of: str
    newest: str  # the newest plausible day in the file
    problem = "{path} cannot be as of {as_of}: its newest complaint is of {newest}"
    remedy = "Nothing of it was stored. Give --as-of the day on which CFPB published the file."


class IncompleteLoadError(CfpbEtlError):
    """Raised when the number of complaints received differs from the source's count."""

    expected: int  # the source's latest counts of the windows that are not verified, added up
    received: int  # distinct complaints received in these windows
    windows: int
    problem = (
        "Received {received:,} complaints in date windows in which the source counts {expected:,}"
    )
    remedy = "What was received is saved. Run the same command again to fetch these days again."


class DatabaseError(CfpbEtlError):
    """Raised when the SQLite file cannot be used; each subclass is one reason."""

    path: Path


class NotADatabaseError(DatabaseError):
    """Raised when the file is damaged, is not SQLite, or belongs to another program."""

    detail: str
    problem = "{path} {detail}"
    remedy = "Choose another --database."


class EmptyDatabaseError(NotADatabaseError):
    """Raised when the file to read is empty."""

    problem = "{path} is empty"
    remedy = "Load complaints into it first."


class ChangedDatabaseError(NotADatabaseError):
    """Raised when another program has changed a table, index, view or trigger of this package."""

    cure: str
    problem = "{path} was changed by another program: {detail}"
    remedy = "{cure}"


class RowRefusedError(DatabaseError):
    """Raised when an index, a trigger or a constraint that a user has added refuses a row."""

    detail: str
    others: str  # what was added
    problem = "{path} refused a row: {detail}"
    remedy = (
        "cfpb-etl did not create the {others}. Remove what refuses the row, and run again. Nothing"
        " of this page or file was stored."
    )


class NotWritableError(DatabaseError):
    """Raised when the file cannot be opened or written."""

    detail: str
    problem = "{path} cannot be written ({detail})"
    remedy = "Check its permissions and the free disk space, also that for temporary files."


class NotReadableError(DatabaseError):
    """Raised when the file cannot be opened or read."""

    detail: str
    problem = "{path} cannot be read ({detail})"
    remedy = (
        "Check its permissions, or copy the file, with its -wal file if there is one, to a folder"
        " of your own."
    )


class VanishedError(DatabaseError):
    """Raised when the file was deleted, moved or replaced after it was opened."""

    problem = "{path} was deleted, moved or replaced while it was in use"
    remedy = "What was loaded is in the old file. Put it back, or load again into a new file."


class ChangedWhileReadError(DatabaseError):
    """Raised when a load has changed a file that could not be locked while it was read."""

    problem = (
        "{path} was changed while it was read. Its folder is read-only for you, so it cannot be"
        " locked"
    )
    remedy = "Read again when no load runs, or get the permission to write to the folder."


class UnsuitableDiskError(DatabaseError):
    """Raised when the file's disk lacks something that SQLite needs, such as locks."""

    lacks: str
    detail: str
    problem = "{path} cannot be used on its disk, which lacks {lacks} ({detail})"
    remedy = "Choose a --database on a disk of this computer; the file can be copied there."


class SqliteError(DatabaseError):
    """Raised when SQLite refuses a statement, although the schema has not changed."""

    detail: str
    version: str
    problem = "SQLite {version} cannot use {path} as needed: {detail}"
    remedy = "cfpb-etl needs SQLite 3.35 or later, with FTS5, as in Python from python.org."


class OtherSchemaError(DatabaseError):
    """Raised when an older or newer version of this package has created the file."""

    found: int
    supported: int
    version: str
    problem = (
        "{path} has schema {found}, and this cfpb-etl {version} only supports schema {supported}"
    )
    remedy = "Load again into a new file: choose another --database."


class DatabaseInUseError(DatabaseError):
    """Raised when another program has locked the file for too long."""

    problem = "{path} is locked by another program"
    remedy = "Close the program that has it open, and run again."


class LoadRunningError(DatabaseInUseError):
    """Raised when another run is loading into the file."""

    problem = "{path} is being loaded by another run"
    remedy = "Wait until that run has ended."


class LockFileError(DatabaseError):
    """Raised when something else has the name of the lock file."""

    lock: Path
    detail: str
    problem = "{lock} {detail}, but cfpb-etl needs this name for its lock file"
    remedy = "Delete or rename it, and run again."


class OtherKindError(DatabaseError):
    """Raised when a load would mix made-up complaints with real ones."""

    held: str
    added: str
    problem = "{path} holds {held} complaints, which are never mixed with {added} ones"
    remedy = "Choose another --database."
