"""Load CFPB's daily file with the flow, as the command line does.

Run `python our_bulk.py FILE DATABASE`. The last line of the output has the seconds from the start
of the load to its end, when SQLite's log is empty; how many complaints are new, changed, withdrawn
and unchanged; and the peak memory of this process in bytes.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cfpb_etl.cli.run import run
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.store.loads import Load, open_load

if TYPE_CHECKING:
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
    with patch("cfpb_etl.flow.open_load", timed_load):
        code = run(options.to_source(), options, verbose=False)
    if code:
        sys.exit(code)
    stats = loads[0].stats
    counts = stats.new, stats.changed, stats.withdrawn, stats.unchanged
    print(times[0], *counts, peak_memory())
