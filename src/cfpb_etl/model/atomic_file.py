"""Files that are written atomically."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely, or leave the existing one unchanged.

    Raises:
        OSError: If it cannot be written.
    """
    path = path.resolve()  # writes to the target of a link, and keeps the link
    unfinished = path.with_name(f".{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
