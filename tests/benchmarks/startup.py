"""Time the sample run and a trivial Prefect flow of three tasks, as whole processes in turn.

Run `python tests/benchmarks/startup.py [warm|fresh] [PAIRS]`. Without a mode it runs both. Each
prints both medians, and the median of the ratios pair by pair, which holds when the machine's speed
changes.

warm: Prefect's database exists.
fresh: each run is the first with its PREFECT_HOME, and creates the database.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paired import command, isolated_environment, print_ratio, run_modes

SAMPLE = [sys.executable, "-m", "cfpb_etl.flow", "--source", "sample"]
TRIVIAL = command("trivial_flow.py")


def seconds(program: list[str], folder: Path) -> float:
    """Run a program to its end, and return the seconds."""
    started = time.monotonic()
    subprocess.run(
        program, cwd=folder, env=isolated_environment(folder), check=True, capture_output=True
    )
    return time.monotonic() - started


def first_seconds(program: list[str]) -> float:
    """Run a program in a new folder, and return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds(program, Path(folder))


def warm_pairs(folder: Path, pairs: int) -> list[tuple[float, float]]:
    """Time both in turn, after one run of each that creates Prefect's database."""
    timed = [(seconds(SAMPLE, folder), seconds(TRIVIAL, folder)) for _ in range(pairs + 1)]
    return timed[1:]


def fresh_pairs(pairs: int) -> list[tuple[float, float]]:
    """Time the first runs of both in turn."""
    return [(first_seconds(SAMPLE), first_seconds(TRIVIAL)) for _ in range(pairs)]


def warm(folder: Path, pairs: int) -> None:
    """Print the times of runs that find Prefect's database."""
    print_ratio("sample run", "trivial flow", warm_pairs(folder, pairs))


def fresh(_folder: Path, pairs: int) -> None:
    """Print the times of first runs."""
    print_ratio("first sample run", "first trivial", fresh_pairs(pairs))


if __name__ == "__main__":
    run_modes({"warm": warm, "fresh": fresh}, ["warm", "fresh"])
