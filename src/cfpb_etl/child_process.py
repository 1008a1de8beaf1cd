"""Child processes that end when their parent ends, whatever ends the parent.

The parent holds the writing end of a pipe, and writes nothing. The reading end is the standard
input of the child. The system closes the writing end when the parent ends, even after SIGKILL or
if memory runs out. A thread of the child then reads the end of the file, and ends the child. This
works on every system.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any
from weakref import WeakSet

_children: WeakSet[subprocess.Popen[bytes]] = WeakSet()


def start_child(module: str, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401
    """Run a module in a second process, whose first act must be `exit_with_parent`.

    Signals to the terminal or to the process group of the parent do not reach the child.

    Args:
        module: The name of the module.
        arguments: The arguments of the module.
        streams: Other arguments of `subprocess.Popen`, such as `stdout`.
    """
    child = subprocess.Popen(  # noqa: S603 - a module of this package
        # -P: the process imports no module from the current folder.
        [sys.executable, "-P", "-m", module, *arguments],
        # Programs that this process starts do not inherit the writing end: Python opens it so that
        # the system closes it in them (PEP 446).
        stdin=subprocess.PIPE,
        start_new_session=True,
        **streams,
    )
    _children.add(child)
    return child


def exit_with_parent() -> None:
    """In a process that `start_child` has started: end the process when its parent ends."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    os.read(0, 1)
    os._exit(1)  # without cleanup, because another thread may be busy for long


def _close_pipes() -> None:
    for child in _children:
        if child.stdin is not None:
            child.stdin.close()


# A copy of this process, as multiprocessing can make, would hold the writing ends too.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_pipes)
