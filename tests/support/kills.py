"""Programs that are killed at chosen moments, and the processes that they leave."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import psutil

from support.program import environment_without_coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK = "CFPB_ETL_TEST_RUN"  # a variable that a run and all its processes have
SECONDS = 5


def processes_of(run: str) -> Iterator[psutil.Process]:
    """Yield the living processes of a run."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == run:
                yield process


def kill_when(reached: Callable[[str], bool], command: list[str], pause: float) -> bool:
    """Start the program, kill it after it has reached a stage, and wait for its processes to end.

    Returns:
        Whether it was killed. It may have ended before.
    """
    run = uuid4().hex
    environment = environment_without_coverage() | {MARK: run}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not reached(run):
            time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        process.kill()
    wait_for_the_end_of(run)
    return process.returncode < 0


def wait_for_the_end_of(run: str) -> None:
    """Wait until no process of a run lives. Its child processes end soon after it."""
    deadline = time.monotonic() + SECONDS
    while left := [*processes_of(run)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
