"""The memory of a process and its children, and the room that their files take on the disk."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS = 0.1  # between two samples
_KINDS = {"csv_process": "reader", "prefect": "Prefect server"}  # by a word of the command line
_OURS, _OTHERS = "load", "others"


class Peaks:
    """The largest values that were seen.

    Attributes:
        together: The memory of all processes at the same time, in megabytes. Pages that processes
            share count for each of them.
        of_each: The memory of each kind of process, in megabytes.
        room: The size of the files in the folder and of deleted files that are still open, such as
            SQLite's temporary files, in megabytes.
    """

    def __init__(self) -> None:
        self.together = self.room = 0.0
        self.of_each: dict[str, float] = {}

    def note(self, process: psutil.Process, folder: Path) -> None:
        """Take a sample."""
        now: defaultdict[str, float] = defaultdict(float)
        room = sum(_size(file) for file in folder.iterdir())
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                kind = _OURS if each == process else _kind(each)
                if used := each.memory_info().rss:  # a process that has just ended has no memory
                    now[kind] += used / 1e6
                room += sum(map(_size, _deleted_files(each.pid)))
        for kind, megabytes in now.items():
            self.of_each[kind] = max(self.of_each.get(kind, 0), megabytes)
        self.together = max(self.together, sum(now.values()))
        self.room = max(self.room, room)


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((kind for word, kind in _KINDS.items() if word in line), _OTHERS)


def _deleted_files(pid: int) -> Iterator[Path]:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = str(each.readlink())
            if target.endswith(" (deleted)") and not target.startswith(("/dev/shm/", "/memfd:")):  # noqa: S108 - a file there takes no room on the disk
                yield each


def _size(file: Path) -> float:
    with suppress(OSError):
        return file.stat().st_blocks * 512 / 1e6
    return 0


@contextmanager
def watched(pid: int, folder: Path) -> Iterator[Peaks]:
    """Watch a process and its children, and the files in a folder, while the block runs."""
    process, peaks, ended = psutil.Process(pid), Peaks(), threading.Event()

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            while not ended.wait(_SECONDS):
                peaks.note(process, folder)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()
