"""Decompresses gzip, bzip2, xz, lzma and zlib piece by piece. The bytes may be malicious."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zlib
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol

from cfpb_etl.fetch.errors import UNPACK, CutFileError, NotACsvError, UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_CSV = 64 * 2**30  # bytes; CFPB's largest had 8.7 GB (docs/facts.md, "Number of complaints")
MAX_RATIO = 250  # ratio of a CSV to its container; CFPB's is about 16, deflate can reach 1,032
HARMLESS = 2**24  # bytes; a file may have as many at any ratio
MAX_MEMORY = 2**27  # bytes; what xz writes with its strongest preset needs 65 MiB
BLOCK = 2**16  # bytes that are unpacked at a time
GZIP = "gzip"
_PACKED_BLOCK = 2**14  # bytes that are read at a time
_MAGIC = {
    GZIP: re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    "lzma": re.compile(rb"\x5d\0\0"),
    "zlib": re.compile(rb"x[\x01\x9c\xda]"),
}
_LONGEST_MAGIC = 10  # bytes


class Decompressor(Protocol):
    """Decompresses one stream, as the classes of Python's bz2 and lzma do."""

    @property
    def eof(self) -> bool:
        """Say whether the end of the stream was reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """Return the bytes after the end of the stream."""
        ...

    @property
    def needs_input(self) -> bool:
        """Say whether all bytes that were passed are used up."""
        ...

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Return at most `max_length` bytes."""
        ...


class Inflater:
    """A decompressor for gzip, zlib and deflate.

    Args:
        bits: zlib's `wbits`, which select the format.
    """

    def __init__(self, bits: int) -> None:
        self._zlib = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        """Say whether the end of the stream was reached."""
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        """Return the bytes after the end of the stream."""
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        """Say whether all bytes that were passed are used up."""
        return not self._zlib.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """Return at most `max_length` bytes."""
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    GZIP: partial(Inflater, 31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MAX_MEMORY),
    "lzma": partial(lzma.LZMADecompressor, lzma.FORMAT_ALONE, MAX_MEMORY),
    "zlib": partial(Inflater, 15),
}


def compression_of(start: bytes) -> str | None:
    """Return the name of the compression whose files start with these bytes; None if none do."""
    return next((name for name, magic in _MAGIC.items() if magic.match(start)), None)


def max_unpacked(size: int) -> int:
    """Return how many bytes a file of this size may have unpacked."""
    return min(MAX_CSV, max(HARMLESS, MAX_RATIO * size))


class Unpacking(io.RawIOBase):
    """The unpacked bytes of a compressed file. Reading them to the end verifies their checksum.

    Python's own classes for gzip, bzip2 and xz do not limit the memory. zipfile unpacks a block of
    bzip2 or lzma as a whole, whatever size the zip declares.

    Args:
        path: The file, for errors.
        name: The name of the container, for errors.
        packed: The compressed bytes.
        limit: How many bytes may be unpacked.
        start: Returns a decompressor for a stream; None for the decompressor of the name. The
            decompressor verifies its stream.
        verify: Called at the end with the size in bytes and the CRC-32 of everything; returns what
            is wrong with them, or None. If it is given, only one stream is read. Without it,
            further streams may follow the first, and zero bytes the last.

    Raises:
        UnreadableFileError: If the bytes are damaged, too many, or need too much memory. Only
            reading raises this error.
    """

    def __init__(  # noqa: PLR0913 - the container, its limit, and what differs in a zip
        self,
        path: Path,
        name: str,
        packed: IO[bytes],
        limit: int,
        *,
        start: Callable[[], Decompressor] | None = None,
        verify: Callable[[int, int], str | None] | None = None,
    ) -> None:
        self._path = path
        self._name = name
        self._packed = packed
        self._limit = limit
        self._start = start or _DECOMPRESSORS[name]
        self._verify = verify
        self._stream = self._start()
        self._ahead = b""  # bytes of the next stream that were read with the last
        self._size = self._checksum = 0

    def readable(self) -> bool:
        """Return True, because the bytes can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - Python 3.11 has no type for buffers
        """Fill a buffer unless the end comes first, and return how many bytes were written to it.

        Raises:
            UnreadableFileError: If the bytes are damaged, too many, or need too much memory.
        """
        space, filled = memoryview(buffer), 0
        while filled < len(space) and (piece := self._next(len(space) - filled)):
            space[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._size += filled
        if self._size > self._limit:
            raise self._error(f"unpacks to more than the allowed {self._limit:,} bytes")
        if self._verify is not None:
            self._checksum = zlib.crc32(space[:filled], self._checksum)
            if filled < len(space) and (fault := self._verify(self._size, self._checksum)):
                raise self._error(f"is damaged: {fault}")
        return filled

    def _next(self, length: int) -> bytes:
        """Return up to `length` bytes, and none at the end."""
        while not self._stream.eof or self._starts_next_stream():
            needs_input = self._stream.needs_input
            data = self._read() if needs_input else b""
            try:
                piece = self._stream.decompress(data, length)
            except (zlib.error, lzma.LZMAError, OSError) as error:  # bz2 raises OSError
                if "Memory usage limit" in str(error):
                    detail = f"its {self._name} needs more than {MAX_MEMORY:,} bytes of memory"
                    raise NotACsvError(self._path, detail, UNPACK) from error
                raise self._error(f"is damaged: {error}") from error
            if piece:
                return piece
            if needs_input and not data and not self._stream.eof:
                detail = f"its {self._name} ends too early, so the file is not complete"
                raise CutFileError(path=self._path, detail=detail)
        return b""

    def _starts_next_stream(self) -> bool:
        """Begin the next stream, and say whether there is one."""
        if self._verify is not None:
            return False
        rest = self._stream.unused_data.lstrip(b"\0")
        while not rest and (data := self._read()):
            rest = data.lstrip(b"\0")
        if not rest:
            return False
        while len(rest) < _LONGEST_MAGIC and (data := self._read()):
            rest += data
        if compression_of(rest) != self._name:
            raise self._error("is followed by other bytes, so the file is damaged")
        self._ahead, self._stream = rest, self._start()
        return True

    def _read(self) -> bytes:
        data, self._ahead = self._ahead or self._packed.read(_PACKED_BLOCK), b""
        return data

    def _error(self, what: str) -> UnreadableFileError:
        return UnreadableFileError(path=self._path, detail=f"its {self._name} {what}")
