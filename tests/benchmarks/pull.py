"""Time a pull of many complaints from the emulator, with this program, a bare loop and dlt.

Run `python tests/benchmarks/pull.py [bare|dlt|memory] [PAIRS]`, with the extra `bench` installed.
Without a mode it runs all three. The two programs of a pair run one after the other. The ratio is
the median over the pairs of our time to theirs, so it holds when the machine's speed changes.

bare: 100,000 complaints, from the first request to the last commit.
dlt: 500,000 complaints, whole processes, ours with Prefect's temporary server.
memory: the peak memory of our process at 100,000 and at 500,000 complaints.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import requests
from paired import (
    assert_same,
    command,
    isolated_environment,
    output_of,
    print_ratio,
    remove,
    run_modes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEW, MANY = 100_000, 500_000


def bare(folder: Path, pairs: int) -> None:
    """Time the flow and a bare loop, from the first request to the last commit."""
    environment = isolated_environment(folder)
    ours, theirs = folder / "ours.db", folder / "bare.db"
    with emulator(FEW) as url:
        timed = []
        for _ in range(pairs + 1):
            times = (
                float(output_of("our_pull.py", url, ours, environment=environment).split()[-1]),
                float(output_of("bare_pull.py", url, theirs, environment=environment)),
            )
            assert_same(ours, theirs, FEW)
            remove(ours, theirs)
            timed.append(times)
    print_ratio("cfpb-etl", "bare loop", timed[1:])  # the first pair warms up


def dlt(folder: Path, pairs: int) -> None:
    """Time the flow and dlt, whole processes, and compare what they stored."""
    environment = isolated_environment(folder)
    ours, theirs = folder / "ours.db", folder / "theirs.db"
    with emulator(1) as url:  # not counted: Prefect creates its database, and Python its bytecode
        seconds_of_ours(url, ours, environment)
        seconds_of_dlt(url, theirs, environment)
        remove(ours, theirs)
    with emulator(MANY) as url:
        timed = []
        for _ in range(pairs):
            timed.append(
                (seconds_of_ours(url, ours, environment), seconds_of_dlt(url, theirs, environment))
            )
            assert_same(ours, theirs, MANY)
            remove(ours, theirs)
    print_ratio("cfpb-etl", "dlt", timed)


def memory(folder: Path, pairs: int) -> None:
    """Measure the peak memory of our process, with a Prefect server that it has not started."""
    with prefect_server(folder) as environment, emulator(FEW) as few, emulator(MANY) as many:
        peaks = [
            (megabytes(few, folder, environment), megabytes(many, folder, environment))
            for _ in range(pairs)
        ]
    at_few, at_many = (statistics.median(values) for values in zip(*peaks, strict=True))
    print(f"{FEW:,} complaints  {at_few:6.0f} MB at most")
    print(f"{MANY:,} complaints  {at_many:6.0f} MB at most")
    print(f"ratio               {at_many / at_few:6.2f}   medians of {pairs}")


def seconds_of_ours(url: str, database: Path, environment: dict[str, str]) -> float:
    """Return the time of our process."""
    started = time.monotonic()
    output_of("our_pull.py", url, database, environment=environment)
    return time.monotonic() - started


def seconds_of_dlt(url: str, database: Path, environment: dict[str, str]) -> float:
    """Return the time of dlt's process, with an empty working folder."""
    with tempfile.TemporaryDirectory(dir=database.parent) as working:
        started = time.monotonic()
        output_of("dlt_pull.py", url, database, working, environment=environment)
        return time.monotonic() - started


def megabytes(url: str, folder: Path, environment: dict[str, str]) -> float:
    """Return the peak memory of our process, in megabytes."""
    database = folder / "ours.db"
    process = subprocess.Popen(
        command("our_pull.py", url, database),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"our_pull.py ended with exit code {process.returncode}")
    remove(database)
    in_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return in_bytes / 1e6


@contextmanager
def emulator(complaints: int) -> Iterator[str]:
    """Serve generated complaints from another process, and yield the address."""
    rows = ["--rows", str(complaints), "--era", "deployed", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "cfpb_etl.emulator", *rows], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield next(word for word in process.stdout.readline().split() if "://" in word)
        finally:
            process.kill()


@contextmanager
def prefect_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run a Prefect server, and yield an environment with its address."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    environment = {**isolated_environment(folder), "PREFECT_API_URL": api_url}
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not is_healthy(f"{api_url}/health"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("Prefect's server did not start")
                time.sleep(0.1)
            yield environment
        finally:
            process.terminate()


def is_healthy(url: str) -> bool:
    """Say whether a server answers without an error."""
    with suppress(requests.ConnectionError):
        return requests.get(url, timeout=10).ok
    return False


if __name__ == "__main__":
    MODES = {"bare": bare, "dlt": dlt, "memory": memory}
    run_modes(MODES, [*MODES])
