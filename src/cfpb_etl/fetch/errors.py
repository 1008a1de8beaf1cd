"""What can be wrong with a file of complaints, a class for each situation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.errors import CfpbEtlError

if TYPE_CHECKING:
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
