"""Errors in complaint files, and errors while finding the parts to fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
    from pathlib import Path

UNPACK = "Unpack it, and give --file the CSV."
SAVE_AS_CSV = "Save it as CSV UTF-8, and give --file the CSV."


class NothingToUpdateError(CfpbEtlError):
    """Raised when a database has no complete load that an update can repeat."""

    problem = (
        "There is nothing to update: the database has no complete load that --update can repeat"
    )
    remedy = (
        "Load with a filter or a date first, such as --since, or everything with --source bulk;"
        " loading only the newest N does not count."
    )


class AddressRefusedError(CfpbEtlError):
    """Raised when no request can be sent to an address. The message has no piece of the address."""

    field: str  # what the address was given for
    fault: str
    problem = "The address of {field} {fault}"


class SecretAddressError(CfpbEtlError):
    """Raised when a parameter of the flow is an address with a query, which can be secret."""

    field: str
    problem = (
        "{field} is an address with a query, which can be secret, and Prefect stores the parameters"
        " of a run"
    )
    remedy = (
        "Put the whole address into a variable of the environment in which the flow runs, and give"
        " env:NAME; or save it as a Secret block of Prefect, and give secret:NAME. If a run or a"
        " deployment has this parameter already, delete it, and replace the secret."
    )


class UnknownQueryError(CfpbEtlError):
    """Raised when an address has a query that was given only to another process."""

    address: str  # the address with a hash instead of its query
    problem = "The query of {place} is not stored, because it can be secret"
    remedy = (
        "Give the whole address again. In a deployment or another process, give env:NAME or"
        " secret:NAME."
    )

    def __init__(self, address: str) -> None:
        super().__init__(address=address, place=address.partition("?")[0])


class NoAddressError(CfpbEtlError):
    """Raised when a variable or a Secret block has no address that can be used."""

    name: str  # env:NAME or secret:NAME
    fault: str
    problem = "{name} has no address: it {fault}"
    remedy = (
        "Set it to the whole address where the flow or the export runs, and on each worker of"
        " another task runner."
    )


class NoArchiveError(CfpbEtlError):
    """Raised when the archive's page has no link to a zip."""

    url: str
    problem = "The page {url} has no link to a zip"
    remedy = (
        "CFPB may have moved its archive: look for it in a browser, and give --file the address of"
        " the page, or the zips that you downloaded."
    )


class FileError(CfpbEtlError):
    """Raised when a complaint file cannot be used; each subclass is one reason."""

    path: Path


class UnreadableFileError(FileError):
    """Raised when a file is missing or damaged, or is not a file that CFPB publishes."""

    detail: str
    problem = "{path} cannot be read: {detail}"
    remedy = "Nothing of it was stored. Check --file, or download the file again."


class CutFileError(UnreadableFileError):
    """Raised when a file ends too early. A download may then have been cut off."""


class NotACsvError(UnreadableFileError):
    """Raised when a file is not a CSV, and its bytes show what it is.

    Attributes:
        detail: What the file is.
        advice: What to do about this kind of file.
    """

    advice: str
    remedy = "Nothing of it was stored. {advice}"

    def __init__(self, path: Path, detail: str, advice: str) -> None:
        super().__init__(path=path, detail=detail, advice=advice)


class NotEnoughSpaceError(FileError):
    """Raised when the disk has too little space for a file.

    Attributes:
        needed: How many bytes still have to be written.
        free: How many bytes the disk has left.
    """

    needed: int
    free: int
    problem = "{path} needs {needed_gb:,.2f} GB, and its disk has {free_gb:,.2f} GB free"
    remedy = "Free some space, or put --database on another disk, and run the same command again."

    def __init__(self, path: Path, needed: int, free: int) -> None:
        # `needed` is rounded up and `free` is rounded down, so the two numbers never look equal.
        needed_gb, free_gb = -(-needed // 10**7) / 100, free // 10**7 / 100
        super().__init__(path=path, needed=needed, free=free, needed_gb=needed_gb, free_gb=free_gb)


class NotWritableFileError(FileError):
    """Raised when a file cannot be written for a reason other than a full disk."""

    detail: str
    problem = "{path} cannot be written: {detail}"
    remedy = "Check the permissions, or choose another place, and run the same command again."


class NotEnoughTemporarySpaceError(NotEnoughSpaceError):
    """Raised when SQLite's temporary files do not fit on their disk."""

    problem = (
        "SQLite's temporary files in {path} need {needed_gb:,.2f} GB, and their disk has"
        " {free_gb:,.2f} GB free"
    )
    remedy = (
        "Free some space, or set the variable SQLITE_TMPDIR to a folder on another disk, and run"
        " the same command again."
    )


class DamagedDownloadError(FileError):
    """Raised when a download is complete, but its checksum is wrong or it is not a CSV.

    Attributes:
        detail: What is wrong.
        is_cut: Whether the file ends too early.
    """

    detail: str
    is_cut: bool = False
    problem = "The download of {path} cannot be used: {detail}"
    remedy = (
        "The download was removed; run again to repeat it. If this happens again, CFPB's file is"
        " damaged, or --file is not a file of complaints."
    )
