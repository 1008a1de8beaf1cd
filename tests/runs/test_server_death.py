"""Prefect's temporary server fails, or ends in the middle of a run."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest
import requests

from cfpb_etl.child_process import start_child
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support import faults
from support.faults import Delayed, Faulty
from support.program import PROGRAM, environment_without_coverage, query, run_program

if TYPE_CHECKING:
    from starlette.types import ASGIApp

COMPLAINTS = generate_complaints(12_000, era="2024")
SAMPLE = ("--source", "sample", "--database", "c.db", "--no-graph")


class Ended(NamedTuple):
    """How a run ended whose server was killed."""

    exit_code: int
    seconds: float
    lines: list[str]
    summary: str


def kill_server(app: ASGIApp, server: psutil.Process | None = None) -> Ended:
    """Start a load of two pages, and kill Prefect's server after the first page.

    Args:
        app: The search API.
        server: The user's server; None for the run's temporary server.
    """
    with (
        serve(app) as url,
        subprocess.Popen(
            [*PROGRAM, "--api-url", url, "--limit", "11000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_without_coverage(),
        ) as process,
    ):
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "Stored page 1" in line:
                break
        for each in [server] if server else psutil.Process(process.pid).children():
            each.kill()
        killed = time.monotonic()
        summary, rest = process.communicate(timeout=60)
        seconds = time.monotonic() - killed
        return Ended(process.returncode, seconds, lines + rest.splitlines(), summary)


def is_healthy(api_url: str) -> bool:
    """Say whether a server of Prefect answers."""
    try:
        return requests.get(f"{api_url}/health", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_a_load_that_can_complete_completes() -> None:
    """If all complaints are stored and verified, the run is done, and only Prefect's record is not.

    The rest of a load does not need the server.
    """
    ended = kill_server(Delayed(Emulator(COMPLAINTS), 0.5))

    assert ended.exit_code == 0, ended.lines
    assert ended.seconds < 15
    assert ended.lines[-1] == (
        "warning: Prefect's temporary server failed (it ended with SIGKILL). The load is complete."
    )
    assert ended.summary.startswith("11,000 complaints in 2 pages: 11,000 new")
    assert "verified   11,000 of 11,000\n" in ended.summary
    assert query("complaints.db", "SELECT outcome, failure FROM load") == [("complete", None)]


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_a_load_that_waits_fails() -> None:
    """A load that cannot complete within seconds fails, and what was stored is kept."""
    ended = kill_server(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()}))

    assert ended.exit_code == 1, ended.lines
    assert ended.seconds < 15
    assert ended.lines[-1].startswith(
        "failed: Prefect's temporary server failed (it ended with SIGKILL)."
    )
    assert ended.lines[-1].endswith(
        "10,000 complaints are saved in complaints.db. Run the same command again to start over."
        " Picture: complaints-flow.svg"
    )
    assert ended.summary == ""
    assert query("complaints.db", "SELECT outcome, rows FROM load") == [("failed", 10_000)]
    assert "× failed" in Path("complaints-flow.svg").read_text("utf-8")
    assert not Path("complaints.db-loading").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_a_load_completes_without_the_users_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in the user's settings may come back, so Prefect retries as the user has set.

    If it does not come back, the load still is complete.
    """
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    with start_child("cfpb_etl.orchestration.prefect_server.process", str(port)) as server:
        while not is_healthy(api_url):
            assert server.poll() is None
            time.sleep(0.1)
        monkeypatch.setenv("PREFECT_API_URL", api_url)
        monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")

        ended = kill_server(Delayed(Emulator(COMPLAINTS), 0.5), psutil.Process(server.pid))

    assert ended.exit_code == 0, ended.lines
    assert ended.lines[-1].startswith(f"warning: Prefect's API at {api_url} does not answer (")
    assert ended.lines[-1].endswith("). The load is complete.")
    assert "verified   11,000 of 11,000\n" in ended.summary


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_the_servers_last_words_are_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server cannot start, one line quotes the reason, and nothing else is printed."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "prefect.db").write_bytes(b"no database" * 100)
    monkeypatch.setenv("PREFECT_HOME", str(home))

    failed = run_program(*SAMPLE)

    assert failed.returncode == 1
    assert failed.stderr.startswith(
        "failed: Prefect's temporary server did not start (it ended with exit code 1:"
        " DatabaseError: (sqlite3.DatabaseError) file is not a database). "
    )
    assert failed.stderr.count("\n") == 1
    assert failed.stdout == ""
    assert not Path("c.db").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_first_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs that find no database of Prefect all succeed."""
    home = tmp_path / "home"
    monkeypatch.setenv("PREFECT_HOME", str(home))
    runs = []
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        runs.append(
            subprocess.Popen(
                [*PROGRAM, *SAMPLE, "--limit", "100"],
                cwd=tmp_path / str(number),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=environment_without_coverage(),
            )
        )

    errors = [run.communicate()[1] for run in runs]

    assert [run.returncode for run in runs] == [0, 0, 0], errors
    assert not [*home.glob("*-loading*")]
