"""Time the commands that load nothing, and the imports that none of them can do without, in turn.

Run `python tests/benchmarks/commands.py [RUNS] [DATABASE...]`. It prints the median time of each
command as a whole process beside that of its peer: Python with cyclopts and rich. The status is
that of the sample, which it loads first, and of each database that is named. For these it asks
nobody for CFPB's count, so the time has no answer of CFPB in it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import isolated_environment, print_ratio

PROGRAM = ["-m", "cfpb_etl.flow"]
NOBODY = "http://127.0.0.1:9/"  # the discard port, where nothing listens
BARE, PEER = "python", "cyclopts, rich"
# Each process's arguments of Python, and its exit code.
PROCESSES = {
    BARE: (["-c", "pass"], 0),
    PEER: (["-c", "import cyclopts, rich"], 0),
    "help": ([*PROGRAM, "--help"], 0),
    "version": ([*PROGRAM, "--version"], 0),
    "wrong command": ([*PROGRAM, "stauts"], 2),
    "wrong option": ([*PROGRAM, "--no-grap"], 2),
    "wrong value": ([*PROGRAM, "--since", "2026-13-45"], 2),
    "wrong pair": ([*PROGRAM, "--lookback", "30"], 2),
    "status of none": ([*PROGRAM, "status", "--database", "missing.db"], 2),
    "status of sample": ([*PROGRAM, "status", "--database", "sample.db"], 0),
}


def seconds(arguments: list[str], code: int, folder: str) -> float:
    """Run Python to its end, check its exit code, and return the seconds."""
    environment = isolated_environment(Path(folder))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    started = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, check=False, capture_output=True
    )
    taken = time.monotonic() - started
    assert ended.returncode == code, ended.stderr.decode()
    return taken


def main(runs: int, databases: list[Path]) -> None:
    """Time all in turn, after one run of each that fills the caches."""
    processes = dict(PROCESSES)
    for path in databases:
        status = ["status", "--database", str(path), "--api-url", NOBODY]
        processes[f"status, {path.stat().st_size / 1e6:,.0f} MB"] = ([*PROGRAM, *status], 0)
    times: dict[str, list[float]] = {name: [] for name in processes}
    with tempfile.TemporaryDirectory() as folder:
        seconds([*PROGRAM, "--source", "sample", "--no-graph"], 0, folder)
        for _ in range(runs + 1):
            for name, (arguments, code) in processes.items():
                times[name].append(seconds(arguments, code, folder))
    for name in [each for each in processes if each != PEER]:
        print_ratio(name, PEER, list(zip(times[name][1:], times[PEER][1:], strict=True)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, [Path(each) for each in sys.argv[2:]])
