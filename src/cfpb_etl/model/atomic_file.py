"""A file that is written in one step: whole, or as it was before."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or leave the one that is there.

    Raises:
        OSError: If it cannot be written.
    """
    path = path.resolve()  # what a link leads to is written, and the link stays
    unfinished = path.with_name(f".{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
