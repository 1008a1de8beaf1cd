"""Ctrl-C and SIGTERM end the program within seconds, and what was stored is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from cfpb_etl.emulator import Emulator, serve
from support import faults
from support.faults import Fault, Faulty
from support.made_up import made_up
from support.program import PROGRAM, environment_without_coverage, query

if TYPE_CHECKING:
    from collections.abc import Callable

COMPLAINTS = made_up(12_000, era="2024")


@dataclass
class Ended:
    """A program that was interrupted.

    Attributes:
        exit_code: Its exit code.
        lines: The lines that it wrote to standard error.
        seconds: The time from the signal to the end.
        children: The processes that it had started.
    """

    exit_code: int
    lines: list[str]
    seconds: float
    children: list[psutil.Process]


def interrupt(
    url: str,
    after: str,
    *,
    wait: float = 0.5,
    send: Callable[[int, int], None] = os.killpg,
    number: int = signal.SIGINT,
) -> Ended:
    """Start a load of two pages, and send it a signal some time after a certain line.

    By default its whole process group gets SIGINT, as from Ctrl-C in a terminal.

    Args:
        url: The address of the search API.
        after: A part of the line.
        wait: Seconds from the line to the signal, for the program to reach the state in question.
        send: How to send the signal.
        number: The signal.
    """
    with subprocess.Popen(
        [*PROGRAM, "--api-url", url, "--limit", "11000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment_without_coverage(),
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if after in line:
                break
        threading.Event().wait(wait)
        children = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        send(process.pid, number)
        lines += process.stderr.readlines()
        process.wait()
        return Ended(process.returncode, lines, time.monotonic() - started, children)


def assert_first_page_kept(ended: Ended) -> None:
    """Check that the interrupted run has kept and reported the first of its two pages."""
    assert ended.exit_code == 130, ended.lines
    assert ended.seconds < 5
    assert ended.lines[-1] == (
        "interrupted: 10,000 complaints are saved in complaints.db."
        " Run the same command again to start over.\n"
    )
    assert query("complaints.db", "SELECT outcome, parts FROM load") == [("interrupted", 1)]
    assert query("complaints.db", "SELECT COUNT(*) FROM complaint") == [(10_000,)]
    assert "■ interrupted" in Path("complaints-flow.svg").read_text("utf-8")
    assert not Path("complaints.db-loading").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_ctrl_c_leaves_no_process_behind() -> None:
    """Ctrl-C also reaches Prefect's temporary server, and both end within seconds."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        ended = interrupt(url, "Stored page 1")

    assert_first_page_kept(ended)
    assert "Traceback" not in "".join(ended.lines)
    assert len(ended.children) == 1
    assert not ended.children[0].is_running()


WAITS: dict[str, tuple[Fault, str, float]] = {
    "before a retry": (faults.server_error(), "attempt 3", 0.2),
    "for Retry-After": (faults.throttled(60), "attempt 1", 2.5),
}


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "after", "wait"), WAITS.values(), ids=WAITS)
@pytest.mark.usefixtures("shared_server")
def test_ctrl_c_ends_a_wait(fault: Fault, after: str, wait: float) -> None:
    """Ctrl-C ends the wait before a retry, and the wait for the server's rate limit."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), fault))
    with serve(faulty) as url:
        ended = interrupt(url, after, wait=wait)

    assert_first_page_kept(ended)


@pytest.mark.usefixtures("shared_server")
def test_sigterm_is_an_interruption() -> None:
    """SIGTERM, which `kill` and the stop of a container send, ends the run as Ctrl-C does."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        ended = interrupt(url, "Stored page 1", send=os.kill, number=signal.SIGTERM)

    assert_first_page_kept(ended)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_sigterm_to_the_process_group() -> None:
    """SIGTERM to the group, as from systemd, ends the run although Prefect's server ends first."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        ended = interrupt(url, "Stored page 1", number=signal.SIGTERM)

    assert_first_page_kept(ended)
    assert not [child for child in ended.children if child.is_running()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("empty_folder")
def test_a_signal_while_prefect_is_imported(number: int) -> None:
    """Before a run is started, a signal ends the process at once, with one line."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *PROGRAM[1:], "--source", "sample"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment_without_coverage(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rpartition("|")[2].strip().startswith("prefect."):
                break
        process.send_signal(number)
        lines = [line for line in process.stderr if not line.startswith("import time:")]

    assert process.returncode == 130
    assert lines == ["interrupted before anything was written.\n"]
    assert not list(Path().iterdir())
