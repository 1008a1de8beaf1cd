"""Load a file of all complaints with the flow, as the command line does.

Run `python our_bulk.py FILE DATABASE`. The last line that it prints has the seconds from the
load's beginning to its end, with the log emptied into the database; the counts of what it did; and
the peak memory of this process and of the one that reads the file, in bytes. It is Linux that tells
these: `ru_maxrss` keeps, over fork and exec, that of the process which started another.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cfpb_etl.bulk_file import BulkFile
from cfpb_etl.loads import Load, begin_load
from cfpb_etl.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator

READER = "cfpb_etl.complaint_stream"
SECONDS_BETWEEN_LOOKS = 0.25

took: list[float] = []
loads: list[Load] = []


@contextmanager
def timed_load(*arguments: Any, **options: Any) -> Iterator[Load]:
    """Note how long a load takes."""
    began = time.monotonic()
    with begin_load(*arguments, **options) as load:
        loads.append(load)
        yield load
    took.append(time.monotonic() - began)


def peak(process: str | int) -> int:
    """Return the most memory that a process has held so far, in bytes; 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    held = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(held[1]) * 1024 if held else 0


def watch(peaks: list[int]) -> None:
    """Note the peak memory of the process that reads the file, time and again."""
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            with suppress(OSError):
                peaks.extend(
                    peak(child)
                    for child in children.read_text().split()
                    if READER in Path(f"/proc/{child}/cmdline").read_text()
                )
        time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    file, database = sys.argv[1:]
    readers = [0]
    threading.Thread(target=watch, args=(readers,), daemon=True).start()
    with patch("cfpb_etl.flow.begin_load", timed_load):
        code = run(BulkFile(file, Path(database)), Path(database), None)
    if code:
        sys.exit(code)
    report = loads[0].report
    counts = report.inserted, report.updated, report.withdrawn, report.unchanged
    print(took[0], *counts, peak("self"), max(readers))
