"""Load a file of all complaints with the flow, as the command line does.

Run `python our_bulk.py FILE DATABASE`. The last line that it prints has the seconds from the
load's beginning to its end, with the log emptied into the database; the counts of what it did; and
the peak memory of this process, in bytes. With WITHOUT_INDEXES in the environment it leaves out
what serves reading: the indexes, and the trigger that keeps the search.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cfpb_etl.cli.run import run
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.store.loads import Load, begin_load
from cfpb_etl.store.sqlite_file import drop_indexes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

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


def leave_out(connection: sqlite3.Connection) -> list[str]:
    """Drop what serves reading for good."""
    drop_indexes(connection)
    return []


def peak() -> int:
    """Return the most memory that this process has held, in bytes, as Linux tells it.

    `ru_maxrss` keeps, over fork and exec, that of the process which started another.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    file, database = sys.argv[1:]
    bare = patch("cfpb_etl.store.part_writer.drop_indexes", leave_out)
    with (
        patch("cfpb_etl.flow.begin_load", timed_load),
        bare if os.environ.get("WITHOUT_INDEXES") else nullcontext(),
    ):
        code = run(BulkFile(file, Path(database)), Path(database), None)
    if code:
        sys.exit(code)
    report = loads[0].report
    counts = report.new, report.changed, report.withdrawn, report.unchanged
    print(took[0], *counts, peak())
