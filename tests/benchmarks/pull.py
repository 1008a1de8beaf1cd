"""Time a pull of many complaints from the emulator: ours, a bare loop's and dlt's, in turn.

Run `python tests/benchmarks/pull.py [bare|dlt|memory] [PAIRS]`, with the extra `bench` installed;
without a word it does all three. Ratios are ours to theirs, the median of the pairs', which holds
when the machine's speed drifts.

bare: 100,000 complaints, from the first request to the last commit.
dlt: 500,000 complaints, whole processes, Prefect's temporary server with ours.
memory: the peak of our process at 100,000 complaints and at 500,000.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from cfpb_etl.model.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOME, MANY = 100_000, 500_000
HERE = Path(__file__).parent


def bare(folder: Path, pairs: int) -> None:
    """Time our flow and a bare loop, from the first request to the last commit."""
    environment = settings(folder)
    with emulator(SOME) as url:
        timed = []
        for pair in range(pairs + 1):
            ours, theirs = folder / f"ours-{pair}.db", folder / f"bare-{pair}.db"
            times = (
                float(output("our_pull.py", url, ours, environment=environment).split()[-1]),
                float(output("bare_pull.py", url, theirs, environment=environment)),
            )
            prove_same(ours, theirs, SOME)
            remove(ours, theirs)
            timed += [times] if pair else []  # the first one of each warms up
    tell("bare loop", timed)


def dlt(folder: Path, pairs: int) -> None:
    """Time our flow and dlt, whole processes, and compare what they stored."""
    environment = settings(folder)
    with emulator(1) as url:  # uncounted: Prefect makes its database, and Python its bytecode
        pull_ours(url, folder / "warm-ours.db", environment)
        pull_dlt(url, folder / "warm-dlt.db", environment)
    with emulator(MANY) as url:
        timed = []
        for pair in range(pairs):
            ours, theirs = folder / f"ours-{pair}.db", folder / f"dlt-{pair}.db"
            timed.append(
                (pull_ours(url, ours, environment), pull_dlt(url, theirs, environment)),
            )
            prove_same(ours, theirs, MANY)
            remove(ours, theirs)
    tell("dlt", timed)


def memory(folder: Path, pairs: int) -> None:
    """Measure the peak memory of our process, under a Prefect server that is not its child."""
    with prefect_server(folder) as environment, emulator(SOME) as some, emulator(MANY) as many:
        peaks = [
            (peak(some, folder, environment), peak(many, folder, environment)) for _ in range(pairs)
        ]
    few, most = (statistics.median(megabytes) for megabytes in zip(*peaks, strict=True))
    print(f"{SOME:,} complaints  {few:6.0f} MB at most")
    print(f"{MANY:,} complaints  {most:6.0f} MB at most")
    print(f"ratio               {most / few:6.2f}   medians of {pairs}")


def pull_ours(url: str, database: Path, environment: dict[str, str]) -> float:
    """Return how long our process took."""
    began = time.monotonic()
    output("our_pull.py", url, database, environment=environment)
    return time.monotonic() - began


def pull_dlt(url: str, database: Path, environment: dict[str, str]) -> float:
    """Return how long dlt's took, with a working folder of its own."""
    with tempfile.TemporaryDirectory(dir=database.parent) as working:
        began = time.monotonic()
        output("dlt_pull.py", url, database, working, environment=environment)
        return time.monotonic() - began


def peak(url: str, folder: Path, environment: dict[str, str]) -> float:
    """Return the most memory that our process held, in megabytes."""
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


def command(program: str, *arguments: str | Path) -> Sequence[str]:
    """Return the command that runs a program beside this one."""
    return [sys.executable, str(HERE / program), *map(str, arguments)]


def output(program: str, *arguments: str | Path, environment: dict[str, str]) -> str:
    """Run a program beside this one to its end, and return what it printed."""
    ended = subprocess.run(
        command(program, *arguments), env=environment, check=False, capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(f"{program} ended with exit code {ended.returncode}\n{ended.stderr}")
    return ended.stdout


def settings(folder: Path) -> dict[str, str]:
    """Return an environment in which neither tool sees the user's own settings, or calls home."""
    users = {"PREFECT_API_URL", "PREFECT_PROFILE"}
    return {
        **{name: value for name, value in os.environ.items() if name not in users},
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


@contextmanager
def emulator(complaints: int) -> Iterator[str]:
    """Serve so many complaints from a process of its own, and yield the address."""
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
    """Run a Prefect server, and yield an environment that names it."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    environment = {**settings(folder), "PREFECT_API_URL": api_url}
    with subprocess.Popen(
        [*[sys.executable, "-m", "prefect", "server", "start"], "--port", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not answers(f"{api_url}/health"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("Prefect's server did not start")
                time.sleep(0.1)
            yield environment
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Say whether something answers there, and well."""
    with suppress(requests.ConnectionError):
        return requests.get(url, timeout=10).ok
    return False


def prove_same(ours: Path, theirs: Path, complaints: int) -> None:
    """Compare two databases, every column of every complaint."""
    columns = ", ".join(Complaint._fields)
    ask = "SELECT {} FROM {}.complaint".format
    with closing(sqlite3.connect(ours)) as connection:
        connection.execute("ATTACH ? AS theirs", (str(theirs),))
        for database in ("main", "theirs"):
            (stored,) = connection.execute(ask("COUNT(*)", database)).fetchone()
            assert stored == complaints, (database, stored)
        compare = f"{ask(columns, 'main')} EXCEPT {ask(columns, 'theirs')} LIMIT 1"
        differing = connection.execute(compare).fetchone()
        assert differing is None, differing


def remove(*databases: Path) -> None:
    """Remove databases and what lies beside them."""
    for database in databases:
        for file in database.parent.glob(f"{database.stem}*"):
            file.unlink()


def tell(name: str, timed: list[tuple[float, float]]) -> None:
    """Print both medians, and that of the ratios."""
    ours, theirs = (statistics.median(seconds) for seconds in zip(*timed, strict=True))
    ratios = [mine / other for mine, other in timed]
    print(f"cfpb-etl   {ours:7.2f} s")
    print(f"{name:<10} {theirs:7.2f} s")
    print(
        f"ratio      {statistics.median(ratios):7.2f}   median of {len(timed)} pairs,"
        f" {min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    ALL = {"bare": bare, "dlt": dlt, "memory": memory}
    MODES = sys.argv[1:2] or list(ALL)
    for MODE in MODES:
        with tempfile.TemporaryDirectory() as temporary:
            ALL[MODE](Path(temporary), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
