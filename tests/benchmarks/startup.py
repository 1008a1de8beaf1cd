"""Time the sample run and a trivial Prefect flow of three tasks, as whole processes in turn.

Run `python tests/benchmarks/startup.py [PAIRS]`; it prints both medians, and the median of the
ratios pair by pair, which holds when the machine's speed changes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import command, isolated_environment, print_ratio

SAMPLE = [sys.executable, "-m", "cfpb_etl.flow", "--source", "sample"]
TRIVIAL = command("trivial_flow.py")


def seconds(program: list[str], folder: str) -> float:
    """Run a program to its end, and return the seconds."""
    environment = isolated_environment(Path(folder))
    started = time.monotonic()
    subprocess.run(program, cwd=folder, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def main(pairs: int) -> None:
    """Time both in turn, after one run of each that creates Prefect's database."""
    with tempfile.TemporaryDirectory() as folder:
        timed = [(seconds(SAMPLE, folder), seconds(TRIVIAL, folder)) for _ in range(pairs + 1)]
    print_ratio("sample run", "trivial flow", timed[1:])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
