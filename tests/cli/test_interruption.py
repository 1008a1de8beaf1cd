"""The end of a process on signals, in a process that prints what it does."""

from __future__ import annotations

import signal
import subprocess
import sys

from support.program import environment_without_coverage

# The run has ended, and its release waits for a process, as for Prefect's temporary server.
PROGRAM = """
import signal, subprocess, sys
from cfpb_etl.cli.interruption import Interruption
from cfpb_etl.errors import ExitCode

child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

def release():
    print("releasing", flush=True)
    sys.stdin.readline()
    child.kill()
    child.wait()

interruption = Interruption(lambda: "nothing", release)
interruption.hold()
interruption.over(ExitCode.DONE)
print("over", flush=True)
while True:
    signal.pause()
"""


def test_a_second_signal_does_not_wait_for_the_first() -> None:
    """The first one ends the process, which holds the locks that the second one would wait for."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_without_coverage(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "over\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "releasing\n"
        process.send_signal(signal.SIGTERM)
        process.stdin.write("\n")
        process.stdin.flush()
        try:
            process.wait(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 0
