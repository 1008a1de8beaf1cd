"""Time the sample run against a trivial Prefect flow of three tasks, whole processes in turn.

Run `python tests/benchmarks/startup.py [PAIRS]`; it prints both medians, and the median
of the ratios pair by pair, which holds when the machine's speed drifts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = [sys.executable, "-m", "cfpb_etl.flow", "--source", "sample"]
TRIVIAL = [sys.executable, str(Path(__file__).with_name("trivial_flow.py"))]


def seconds(command: list[str], folder: str, environment: dict[str, str]) -> float:
    """Run a command to its end and return how long that took."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def main(pairs: int) -> None:
    """Run both in turn, after one uncounted run of each, in which Prefect makes its database."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"},
            "PREFECT_HOME": str(Path(folder, "prefect")),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }
        timed = [
            (seconds(SAMPLE, folder, environment), seconds(TRIVIAL, folder, environment))
            for _ in range(pairs + 1)
        ][1:]
    sample, trivial = (statistics.median(times) for times in zip(*timed, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in timed)
    print(f"sample run    {sample:6.2f} s")
    print(f"trivial flow  {trivial:6.2f} s")
    print(f"ratio         {ratio:6.2f}   median of {pairs} pairs")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
