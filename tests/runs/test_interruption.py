"""Signals end the program within seconds, and what was stored is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.states import Cancelling

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
    """Start a load of two pages, and send it a signal some time after the first is stored.

    By default its whole process group gets SIGINT, as from Ctrl-C in a terminal.

    Args:
        url: The address of the search API.
        after: A part of a line that must have come too.
        wait: Seconds from the later of both to the signal, for the program to reach the state in
            question.
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
            if all(text in "".join(lines) for text in ("Stored page 1", after)):
                break
        threading.Event().wait(wait)
        children = psutil.Process(process.pid).children(recursive=True)
        started = time.monotonic()
        send(process.pid, number)
        lines += process.stderr.readlines()
        process.wait()
        return Ended(process.returncode, lines, time.monotonic() - started, children)


def assert_first_page_kept(ended: Ended, number: signal.Signals = signal.SIGINT) -> None:
    """Check that the interrupted run has kept and reported the first of its two pages."""
    assert ended.exit_code == 128 + number, ended.lines
    assert ended.seconds < 5
    name = "" if number == signal.SIGINT else f" by {number.name}"
    assert ended.lines[-1] == (
        f"interrupted{name}: 10,000 complaints are saved in complaints.db."
        " Run the same command again to start over.\n"
    )
    assert not [line for line in ended.lines if "Traceback" in line or "ignored" in line]
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM,),
        (signal.SIGHUP,),
        (signal.SIGTERM, signal.SIGTERM, signal.SIGINT),
        (signal.SIGINT, signal.SIGTERM),
    ],
    ids=lambda numbers: "-".join(number.name for number in numbers),
)
@pytest.mark.usefixtures("shared_server")
def test_other_signals_are_interruptions(numbers: tuple[signal.Signals, ...]) -> None:
    """`kill`, a closed terminal and the stop of a container end a run as Ctrl-C does.

    The first signal counts; later ones do not disturb the cleanup.
    """

    def send(process: int, _number: int) -> None:
        for number in numbers:
            os.kill(process, number)
            threading.Event().wait(0.05)  # signals that arrive together have no order

    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        ended = interrupt(url, "Stored page 1", send=send)

    assert_first_page_kept(ended, numbers[0])


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
def test_a_signal_after_the_summary() -> None:
    """The run is complete, and the process ends at once without waiting for Prefect."""
    with subprocess.Popen(
        [*PROGRAM, "--source", "sample", "--no-graph"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_without_coverage(),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("try"):
                break
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 0
    assert errors.startswith("Stored page 1")
    assert errors.count("\n") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
def test_a_program_without_a_terminal_survives_its_end() -> None:
    """`nohup` ignores SIGHUP, and this does not change."""
    with (
        serve(Emulator(COMPLAINTS)) as url,
        subprocess.Popen(
            ["nohup", *PROGRAM, "--api-url", url, "--limit", "11000", "--no-graph"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_without_coverage(),
        ) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Stored page 1"):
                break
        process.send_signal(signal.SIGHUP)
        summary, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert summary.startswith("11,000 complaints in 2 pages")


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_sigterm_to_the_process_group() -> None:
    """SIGTERM to the group, as from systemd, ends the run although Prefect's server ends first."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        ended = interrupt(url, "Stored page 1", number=signal.SIGTERM)

    assert_first_page_kept(ended, signal.SIGTERM)
    assert not [child for child in ended.children if child.is_running()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("empty_folder")
def test_a_signal_while_prefect_is_imported(number: signal.Signals) -> None:
    """Before a run is started, a signal ends the process at once, and the server with it."""
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
        children = psutil.Process(process.pid).children()
        process.send_signal(number)
        lines = [line for line in process.stderr if not line.startswith("import time:")]

    name = "" if number == signal.SIGINT else f" by {number.name}"
    assert process.returncode == 128 + number
    assert lines == [f"interrupted{name} before anything was written.\n"]
    assert not list(Path().iterdir())
    assert len(children) == 1
    assert psutil.wait_procs(children, timeout=60) == (children, [])


SERVED = """
import sys
from prefect.types.entrypoint import EntrypointType
from cfpb_etl.flow import load_complaints

load_complaints.serve(
    sys.argv[1], entrypoint_type=EntrypointType.MODULE_PATH, pause_on_shutdown=False
)
"""


def is_a_run(child: psutil.Process) -> bool:
    """Say whether a process runs a flow; a zombie has already ended."""
    with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
        return "--multiprocessing-fork" in child.cmdline()
    return False


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
@pytest.mark.parametrize("fault", [faults.stalled(), faults.server_error()], ids=["stall", "retry"])
def test_a_run_that_is_cancelled_in_prefects_ui(fault: Fault, tmp_path: Path) -> None:
    """The process of a served run ends within seconds, although a thread cannot be interrupted."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), fault))
    output, lines = tmp_path / "output", ""
    with serve(faulty) as url, output.open("w") as stream:
        served = subprocess.Popen(
            [sys.executable, "-c", SERVED, tmp_path.name],
            stdout=stream,
            stderr=stream,
            env=environment_without_coverage() | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"},
        )
        try:
            wait_for(output, "prefect deployment run")
            run: Any = run_deployment(
                f"cfpb-complaints/{tmp_path.name}",
                parameters={"api_url": url, "limit": 11_000, "graph": "flow.svg"},
                timeout=0,
            )
            wait_for(output, "Stored page 1")
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(run.id, Cancelling())
                started = time.monotonic()
                while (state := client.read_flow_run(run.id).state) and not state.is_final():
                    threading.Event().wait(0.2)
            seconds = time.monotonic() - started
            children = psutil.Process(served.pid).children(recursive=True)
        finally:
            served.terminate()
            served.wait()
        lines = output.read_text()

    assert state is not None
    assert state.is_cancelled()
    assert seconds < 10
    assert not [*filter(is_a_run, children)]
    assert "Traceback" not in lines
    assert "Logging error" not in lines
    assert query("complaints.db", "SELECT outcome, parts FROM load") == [("interrupted", 1)]
    assert "■ interrupted" in Path("flow.svg").read_text("utf-8")


def wait_for(output: Path, text: str) -> None:
    """Wait until a program has written a text to a file."""
    deadline = time.monotonic() + 60
    while text not in output.read_text():
        assert time.monotonic() < deadline, output.read_text()
        threading.Event().wait(0.1)
