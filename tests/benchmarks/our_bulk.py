"""Load CFPB's daily file with the flow, as the command line does.

Run `python our_bulk.py FILE DATABASE`. The last line of the output has the seconds from the start
of the load to its end, when SQLite's log is empty; how many complaints are new, changed, withdrawn
and unchanged; and the peak memory of this process in bytes. With WITHOUT_INDEXES in the environment
the indexes are left out.
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
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.store.file.indexes import drop_indexes
from cfpb_etl.store.loads import Load, open_load

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

times: list[float] = []
loads: list[Load] = []


@contextmanager
def timed_load(*arguments: Any, **options: Any) -> Iterator[Load]:
    """Note how long a load takes."""
    started = time.monotonic()
    with open_load(*arguments, **options) as load:
        loads.append(load)
        yield load
    times.append(time.monotonic() - started)


def drop_for_good(connection: sqlite3.Connection) -> list[str]:
    """Drop the indexes, and return nothing to create again."""
    drop_indexes(connection)
    return []


def peak_memory() -> int:
    """Return the peak memory of this process in bytes, from Linux's /proc.

    `ru_maxrss` would include the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    file, database = sys.argv[1:]
    options = LoadParameters(
        source="bulk", file=(file,), database=Path(database), whole=True, graph=None
    )
    bare = patch("cfpb_etl.store.part_writer.drop_indexes", drop_for_good)
    with (
        patch("cfpb_etl.flow.open_load", timed_load),
        bare if os.environ.get("WITHOUT_INDEXES") else nullcontext(),
    ):
        code = run(options.to_source(), options, verbose=False)
    if code:
        sys.exit(code)
    stats = loads[0].stats
    counts = stats.new, stats.changed, stats.withdrawn, stats.unchanged
    print(times[0], *counts, peak_memory())
