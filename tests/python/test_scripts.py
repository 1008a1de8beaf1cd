"""Scripts that call the flow in a second process, and end early or meet faults."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support import faults
from support.faults import Delayed, Faulty
from support.program import environment_without_coverage, query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

pytestmark = pytest.mark.slow

COMPLAINTS = generate_complaints(12_000, era="2024")
UNUSED_PROXY = "http://127.0.0.1:9"
LOAD_TWICE = """
import os, sys
from cfpb_etl import load_complaints

before = dict(os.environ)
url = sys.argv[1]
print(load_complaints(api_url=url, limit=11_000, graph=None).rows)
print(load_complaints(api_url=url, limit=10, graph=None, database="second.db").rows)
print(dict(os.environ) == before, flush=True)
open("text.db", "w").write("no database" * 100)
load_complaints(api_url=url, limit=10, graph=None, database="text.db")
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder for Prefect's database, which takes some seconds to create."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, without settings of Prefect."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


class Script:
    """A script that runs in a second process.

    Attributes:
        process: The process, with its log.
        printed: What it has printed.
        log: What it has logged after the first page.
        seconds: How long it took to end.
    """

    def __init__(self, code: str, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_without_coverage(),
        )
        self.printed = self.log = ""
        self.seconds = 0.0

    def until(self, text: str) -> None:
        """Wait for a log line."""
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if text in line:
                return
        raise AssertionError("".join(lines))

    def end(self) -> None:
        """Wait for the end of the script."""
        started = time.monotonic()
        self.printed, self.log = self.process.communicate(timeout=120)
        self.seconds = time.monotonic() - started


@pytest.fixture
def scripts() -> Iterator[list[Script]]:
    """Kill the processes of a test that fails."""
    started: list[Script] = []
    yield started
    for each in started:
        each.process.kill()
        each.process.wait()


def run_until_stored(app: ASGIApp, stop: signal.Signals | None, scripts: list[Script]) -> Script:
    """Run a script until its first page is stored. Then send a signal, or kill Prefect's server."""
    with serve(app) as url:
        script = Script(LOAD_TWICE, url)
        scripts.append(script)
        script.until("Stored page 1")
        if stop:
            script.process.send_signal(stop)
        else:
            (server,) = psutil.Process(script.process.pid).children()
            server.kill()
        script.end()
    return script


def test_ctrl_c_ends_a_script_within_seconds(scripts: list[Script]) -> None:
    """The second page never comes, and no thread keeps the script alive."""
    app = Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})

    script = run_until_stored(app, signal.SIGINT, scripts)

    assert script.process.returncode == -signal.SIGINT, script.log
    assert script.seconds < 15
    assert script.printed == ""
    assert "/prefect/" not in script.log
    assert query("complaints.db", "SELECT outcome, rows FROM load") == [("interrupted", 10_000)]


def test_a_script_whose_server_is_killed(
    monkeypatch: pytest.MonkeyPatch, scripts: list[Script]
) -> None:
    """The load completes with a warning, the next call starts a new server, and the exit is quick.

    Proxies of the user are not used for the servers on this computer.
    """
    for name in [each for each in os.environ if each.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTP_PROXY", UNUSED_PROXY)
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:9/")

    script = run_until_stored(Delayed(Emulator(COMPLAINTS), 0.5), None, scripts)

    assert script.printed.splitlines() == ["11000", "10", "True"], script.log
    assert (
        "Prefect's temporary server failed (it ended with SIGKILL). The load is complete."
        in script.log
    )
    assert (
        script.log.count("Starting a temporary server") == 1
    )  # the first is before the first page
    assert script.seconds < 60

    assert script.process.returncode == 1
    *_, last = script.log.splitlines()
    assert last.startswith("cfpb_etl.store.errors.NotADatabaseError: text.db is damaged")
    assert script.log.count("Traceback") == 1
    assert "/prefect/" not in script.log
