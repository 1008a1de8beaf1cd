"""New files and folders that take the place of earlier exports when they are complete.

They are written in a folder beside the target, whose name begins with a dot and the target's name.
The lock file of the target also has such a name. So an export that holds the lock can remove what
an export that was killed has left.

A rename replaces a file at once. A folder needs two renames: the old one makes room, and the new
one takes its place. After a kill between them, the next export puts the old folder back.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from cfpb_etl.model.events import ExportWritten, emit
from cfpb_etl.publish.errors import ExportRunningError, TargetNotWrittenError
from cfpb_etl.store.errors import LoadRunningError
from cfpb_etl.store.lock import lock_with_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def replaced(target: Path, refuse_foreign: Callable[[Path], None]) -> Iterator[Path]:
    """Yield a path for a new file or folder, which takes the place of the target after the block.

    If the block fails, the target is unchanged and what the block has written is removed.

    Args:
        target: The file or folder to write. If it is a symbolic link, what it leads to is replaced.
        refuse_foreign: Raises an error if the existing target is not an export of this program.

    Raises:
        ForeignTargetError: If the existing target is not an export of this program.
        ExportRunningError: If another export writes to the same target.
        TargetNotWrittenError: If the new file or folder cannot be written.
    """
    real = _resolved(target)
    try:
        _refuse_place(target, real)
        refuse_foreign(real)
        with closing(_lock(target, real)):
            unfinished, old = _beside(real, "new"), _beside(real, "old")
            _remove(unfinished)
            _repair(real, old)
            try:
                unfinished.mkdir()
                new = unfinished / real.name
                yield new
                _sync(new)
                refuse_foreign(real)
                emit(ExportWritten())
                _swap(new, real, old)
            finally:
                _remove(unfinished)
    except OSError as error:
        raise TargetNotWrittenError(
            target=str(target), detail=error.strerror or str(error)
        ) from error


def _resolved(target: Path) -> Path:
    try:
        return target.resolve()
    except (OSError, RuntimeError) as error:  # a loop of symbolic links
        raise TargetNotWrittenError(target=str(target), detail=str(error)) from error


def _beside(real: Path, what: str) -> Path:
    return real.with_name(f".{real.name}.cfpb-etl-{what}")


def _refuse_place(target: Path, real: Path) -> None:
    if not os.access(real.parent, os.W_OK | os.X_OK):
        detail = "you cannot write to its folder"
    elif real.is_symlink():  # since Python 3.13, resolve() accepts a loop
        detail = "it is a loop of symbolic links"
    elif os.path.ismount(real):
        detail = "it is a disk of its own, which cannot be renamed; export to a folder on it"
    else:
        return
    raise TargetNotWrittenError(target=str(target), detail=detail)


def _lock(target: Path, real: Path) -> sqlite3.Connection:
    try:
        return lock_with_file(_beside(real, "lock"), target)
    except LoadRunningError:
        raise ExportRunningError(target=str(target)) from None
    except sqlite3.Error as error:
        raise TargetNotWrittenError(target=str(target), detail=str(error)) from error


def _repair(real: Path, old: Path) -> None:
    """Put back what an export that was killed between two renames has moved away."""
    if old.exists():
        with suppress(OSError):
            real.rmdir()  # only an empty folder
        if real.exists():
            _remove(old)
        else:
            old.rename(real)


def _swap(new: Path, real: Path, old: Path) -> None:
    """Let the new file or folder take the place of the old one, and remove the old one."""
    if real.exists():
        with suppress(OSError):  # only a member may give a file to a group
            os.chown(new, -1, real.stat().st_gid)
        shutil.copymode(real, new)  # a private export stays private
    if real.is_dir():
        real.rename(old)
        try:
            new.rename(real)
        except BaseException:
            old.rename(real)
            raise
        shutil.rmtree(old, ignore_errors=True)  # the next export tries again
    else:
        new.replace(real)
    _sync_names(real.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Write all bytes of a file or a folder to the disk, so that they last through a power cut."""
    if path.is_dir():
        for each in path.iterdir():
            _sync(each)
        _sync_names(path)
    else:
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
    with suppress(OSError):  # some disks cannot do this for a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
