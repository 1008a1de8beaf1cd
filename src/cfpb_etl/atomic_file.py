"""Writing a file atomically."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = ".cfpb-etl-"
_WRITE_SECONDS = 5  # a diagram or report is written within milliseconds


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely, or leave the existing file unchanged.

    Raises:
        OSError: If the file cannot be written.
    """
    path = path.resolve()  # if it is a symbolic link, its target is written
    _remove_leftovers(path.parent)
    unfinished = path.with_name(f"{_PREFIX}{uuid4().hex}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes have left. A file that is being written is newer."""
    for leftover in folder.glob(f"{_PREFIX}{'[0-9a-f]' * 32}"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > _WRITE_SECONDS:
                leftover.unlink()
