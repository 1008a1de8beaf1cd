"""Time a pull of many complaints from the emulator, with this program, a bare loop and dlt.

Run `python tests/benchmarks/pull.py [bare|dlt|memory|rate] [PAIRS]`, with the extra `bench`
installed. Without a mode it runs all four. The two programs of a pair run one after the other. The
ratio is the median over the pairs of our time to theirs, so it holds when the machine's speed
changes.

bare: 100,000 complaints, from the first request to the last commit.
dlt: 500,000 complaints, whole processes, ours with Prefect's temporary server.
memory: the peak memory of our process at 100,000 and at 500,000 complaints.
rate: the share of CFPB's rate limit that a pull of 500,000 complaints uses, if each answer takes
    as long as CFPB's (docs/facts.md, "Page size").
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
    print_values,
    remove,
    run_modes,
)
from slow_emulator import SECONDS_TO_ANSWER

from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT

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
    # The first pair warms up.
    print_ratio(f"pull of {FEW:,}, first request to last commit", "bare loop", timed[1:])


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
    print_ratio(f"pull of {MANY:,}, whole process", "dlt", timed)


def memory(folder: Path, pairs: int) -> None:
    """Measure the peak memory of our process, with a Prefect server that it has not started."""
    with prefect_server(folder) as environment, emulator(FEW) as few, emulator(MANY) as many:
        peaks = [
            (megabytes(few, folder, environment), megabytes(many, folder, environment))
            for _ in range(pairs)
        ]
    for complaints, values in zip((FEW, MANY), zip(*peaks, strict=True), strict=True):
        print_values(f"peak memory of our process, pull of {complaints:,}", values, "MB")


def rate(folder: Path, pairs: int) -> None:
    """Measure the share of CFPB's rate limit that a pull uses."""
    environment = isolated_environment(folder) | {"RATE_LIMIT": "1"}
    allowed, seconds = CFPB_RATE_LIMIT.requests, CFPB_RATE_LIMIT.seconds
    shares = []
    with emulator(MANY, "slow_emulator.py") as url:
        for _ in range(pairs):
            output = output_of("our_pull.py", url, folder / "ours.db", environment=environment)
            sent = [*map(float, output.splitlines()[-2].split())]
            # The shortest time in which CFPB allows as many requests, and the time that they took.
            took = [later - sent[place] for place, later in enumerate(sent[allowed:])]
            shares.append(100 * statistics.mean(seconds / each for each in took))
            remove(folder / "ours.db")
    note = f"each answer takes {SECONDS_TO_ANSWER} s; after the first {allowed} requests"
    print_values("share of CFPB's rate limit that a pull uses", shares, "%", 95, note)


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
def emulator(complaints: int, program: str | None = None) -> Iterator[str]:
    """Serve generated complaints from another process, and yield the address.

    Args:
        complaints: How many complaints.
        program: A program of this folder that serves them; None for the emulator's own command.
    """
    rows = ["--rows", str(complaints), "--era", "deployed", "--port", "0"]
    command_line = [sys.executable, "-m", "cfpb_etl.emulator", *rows]
    if program is not None:
        command_line = command(program, str(complaints))
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as process:
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
    MODES = {"bare": bare, "dlt": dlt, "memory": memory, "rate": rate}
    run_modes(MODES, [*MODES])
