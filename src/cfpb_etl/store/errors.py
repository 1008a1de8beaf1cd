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


class NotWritableError(DatabaseError):
    """Raised when the file cannot be opened or written."""

    detail: str
    problem = "{path} cannot be written ({detail})"
    remedy = "Check its permissions and the free disk space, also that for temporary files."


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
    """Raised when another load or another program is writing to the file."""

    problem = "{path} is locked by another program"
    remedy = "Close the program that writes to it, and run again."


class LoadRunningError(DatabaseInUseError):
    """Raised when another run is loading into the file."""

    problem = "{path} is being loaded by another run"
    remedy = "Wait until that run has ended."


class OtherKindError(DatabaseError):
    """Raised when a load would mix made-up complaints with real ones."""

    held: str
    added: str
    problem = "{path} holds {held} complaints, which are never mixed with {added} ones"
    remedy = "Choose another --database."
