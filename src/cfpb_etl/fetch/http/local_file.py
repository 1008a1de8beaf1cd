"""A download on the disk: the file, the part received so far, and a note about the origin.

If the note is missing, the bytes are not used.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from cfpb_etl.fetch.errors import NotEnoughSpaceError, NotWritableFileError
from cfpb_etl.model.file import FileVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_START = 64  # bytes; they show a container


class Origin(msgspec.Struct, frozen=True):
    """The origin of downloaded bytes. A JSON file in the same folder, the note, contains it.

    Attributes:
        url: The URL of the file.
        etag: The ETag header.
        last_modified: The Last-Modified header.
        length: The length of the whole file in bytes; None if it is unknown.
    """

    url: str
    etag: str | None
    last_modified: str | None
    length: int | None

    @property
    def version(self) -> FileVersion:
        """Return the version of the file."""
        return FileVersion(self.etag, self.last_modified)


class LocalFile:
    """A download on the disk.

    Args:
        path: The path of the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.json")
        self._new_note = path.with_name(f"{path.name}.json.new")

    @property
    def size(self) -> int:
        """Return the size of the whole file in bytes; -1 if the file does not exist."""
        return _size(self.path)

    @property
    def part_size(self) -> int:
        """Return the size of the part in bytes; -1 if the part does not exist."""
        return _size(self.part)

    def part_ends(self) -> tuple[bytes, bytes]:
        """Return the first bytes and the last byte of the part."""
        with self._named_errors(), self.part.open("rb") as file:
            start = file.read(_START)
            file.seek(max(self.part_size - 1, 0))
            return start, file.read(1)

    def origin(self) -> Origin | None:
        """Return the origin of the bytes; None if no valid note exists."""
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=Origin)
        # msgspec raises these three errors (https://github.com/msgspec/msgspec/issues/714).
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError):
            return None

    def start(self, origin: Origin) -> None:
        """Write the note, and create the part if it is missing."""
        self._write_note(origin)
        with self._named_errors():
            self.part.touch()

    def append(self, chunk: bytes, missing: int) -> None:
        """Append bytes to the part.

        Args:
            chunk: The bytes.
            missing: How many bytes of the file are missing, including the chunk. The error shows
                this number.

        Raises:
            NotEnoughSpaceError: If the disk is full.
            NotWritableFileError: If the part cannot be written for another reason.
        """
        # The file is opened for each chunk, 1,400 times for all complaints. After a failed write,
        # closing a file writes again, and on a full disk this fails too.
        with self._named_errors(missing), self.part.open("ab") as file:
            file.write(chunk)

    def finish(self, origin: Origin, verify: Callable[[Path], None]) -> None:
        """Turn a complete part into the file. If the part is not valid, remove everything."""
        try:
            verify(self.part)
        except Exception:
            self.discard()  # otherwise each run would resume this part and fail again
            raise
        if origin.length is None:
            self._write_note(msgspec.structs.replace(origin, length=self.part_size))
        with self._named_errors():
            with self.part.open("rb+") as file:
                os.fsync(file.fileno())
            self.part.replace(self.path)

    def discard(self) -> None:
        """Remove the file, its part and its note, if they exist.

        Raises:
            NotWritableFileError: If a file cannot be removed.
        """
        for path in (self.path, self.part, self._note, self._new_note):
            with self._named_errors():
                path.unlink(missing_ok=True)

    def _write_note(self, origin: Origin) -> None:
        with self._named_errors():
            self._new_note.write_bytes(msgspec.json.encode(origin))
            self._new_note.replace(self._note)

    @contextmanager
    def _named_errors(self, missing: int = 1) -> Iterator[None]:
        """Convert the operating system's errors to errors of this package."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.ENOSPC:
                free = shutil.disk_usage(self.path.parent).free
                raise NotEnoughSpaceError(self.path, missing, free) from error
            detail = error.strerror or str(error)
            raise NotWritableFileError(path=self.path, detail=detail) from error


def _size(path: Path) -> int:
    """Return the size of a file in bytes; -1 if the file does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return -1
