"""A child process ends when its parent ends, whatever ends the parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.program import environment_without_coverage

SECONDS = 5
START = """
import os, subprocess, sys, threading
from cfpb_etl.child_process import start_child

child = start_child("support.until_parent_ends", stdout=subprocess.PIPE)
child.stdout.readline()
"""
# Each of these processes could inherit the parent's end of the pipe.
OTHERS = {
    "alone": "others = []",
    "with a program": 'others = [subprocess.Popen(["sleep", "60"], close_fds=False).pid]',
    "with a shell": 'os.system("sleep 60 & echo $! > pid"); others = [int(open("pid").read())]',
    "with another child": 'others = [start_child("support.until_parent_ends").pid]',
    "with a copy of itself": """
others = [os.fork()]
if others == [0]:
    threading.Event().wait()
""",
}
WAIT = """
print(child.pid, *others, flush=True)
threading.Event().wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="the other processes need fork and a shell")
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_child_ends_with_its_killed_parent(
    other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child of a parent that gets SIGKILL ends, also if other processes of the parent do not.

    Its standard output, which another process may hold, does not keep it.
    """
    tests = str(Path(__file__).parent)
    paths = [tests, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.chdir(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", START + other + WAIT],
        stdout=subprocess.PIPE,
        text=True,
        env=environment_without_coverage() | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    ) as parent:
        assert parent.stdout is not None
        child, *others = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        try:
            child.wait(SECONDS)
        finally:
            for each in (child, *others):
                if each.is_running():
                    each.kill()


def test_a_child_runs_as_long_as_its_parent() -> None:
    """A child is not ended by the end of a thread that has started it."""
    code = START.replace("child = ", "def start():\n    global child\n    child = ") + (
        "\nassert child.poll() is None; child.kill(); print(child.wait())"
    )
    thread = "thread = threading.Thread(target=start); thread.start(); thread.join()\n"
    code = code.replace("child.stdout.readline()", thread + "child.stdout.readline()")
    tests = str(Path(__file__).parent)
    paths = [tests, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]

    done = subprocess.check_output(
        [sys.executable, "-c", code],
        text=True,
        env=environment_without_coverage() | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )

    assert done == "-9\n"
