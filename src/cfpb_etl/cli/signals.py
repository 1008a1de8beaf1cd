"""Signals: their exit codes, their words, and the end of a process that has started nothing."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from cfpb_etl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# SIGQUIT is left to the system: who sends it wants the process to stop as it is. Python ignores
# SIGPIPE. Windows has no SIGHUP.
EXIT_CODES = {
    getattr(signal, name): code
    for name, code in (
        ("SIGINT", ExitCode.INTERRUPTED),
        ("SIGTERM", ExitCode.TERMINATED),
        ("SIGHUP", ExitCode.HUNG_UP),
    )
    if hasattr(signal, name)
}


def exit_when_interrupted() -> None:
    """Exit at once on a signal, while nothing has been started yet.

    Raising an exception does not work here, because Prefect replaces exceptions while it builds its
    models.
    """

    def exit_now(number: int, _frame: FrameType | None) -> NoReturn:
        with suppress(OSError):  # the terminal may be gone
            os.write(2, f"{interrupted_by(number)} before anything was written.\n".encode())
        os._exit(EXIT_CODES[number])

    handle_signals(exit_now)


def interrupted_by(number: int) -> str:
    """Return that a signal ended the process, in words. Everybody knows what Ctrl-C is."""
    name = "" if number == signal.SIGINT else f" by {signal.Signals(number).name}"
    return f"interrupted{name}"


def handle_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    """Handle each signal that this process does not ignore."""
    for number in EXIT_CODES:
        # A shell starts a script's background jobs with SIGINT ignored, and `nohup` starts a
        # program with SIGHUP ignored. This must not change.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
