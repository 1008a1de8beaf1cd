"""Ctrl-C and SIGTERM: the process ends within seconds, and saves what it can."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from cfpb_etl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

SECONDS_TO_END = 4  # the maximum time from the signal to the end of the process
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def exit_when_interrupted() -> None:
    """Exit at once on a signal, while nothing has been started yet.

    Raising an exception does not work here, because Prefect replaces exceptions while it builds its
    models.
    """

    def exit_now(_number: int, _frame: FrameType | None) -> NoReturn:
        os.write(2, b"interrupted before anything was written.\n")
        os._exit(ExitCode.INTERRUPTED)

    _handle(exit_now)


class Interruption:
    """Ends a run on a signal.

    1. The first signal raises KeyboardInterrupt in the main thread; while a flow runs, SIGTERM
       raises Prefect's TerminationSignal. Later signals are ignored.
    2. The exception closes the load and draws the diagram on its way up.
    3. The caller catches the exception and calls `end`, which prints the last line and exits.
       If Python exited in its own way, it would wait for threads that wait for an answer or retry.
    4. If any of these steps hangs, a thread calls `end` after a few seconds. Python informs this
       thread of every signal, whichever handler runs.

    Args:
        last_line: Returns the last line to print.
        release: Stops what must not keep running.

    Attributes:
        begun: Whether a signal has arrived.
    """

    def __init__(self, last_line: Callable[[], str], release: Callable[[], None]) -> None:
        self.begun = False
        self._last_line = last_line
        self._release = release
        self._ending = threading.Lock()
        receiver, sender = socket.socketpair()
        sender.settimeout(0)  # set_wakeup_fd requires a non-blocking socket
        signal.set_wakeup_fd(sender.detach())
        _handle(self._interrupt)
        threading.Thread(target=self._watch, args=(receiver,), daemon=True).start()

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.begun = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # a second signal must not stop the cleanup
        raise KeyboardInterrupt(signal.Signals(number).name)

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:
            while receiver.recv(1)[0] not in _SIGNALS:
                pass
        time.sleep(SECONDS_TO_END)
        self.end()

    def end(self) -> NoReturn:
        """Print the last line, stop what must not keep running, and exit."""
        with self._ending:
            try:
                print(self._last_line(), file=sys.stderr, flush=True)
            finally:
                self._release()
                os._exit(ExitCode.INTERRUPTED)


def _handle(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    for number in _SIGNALS:
        # A shell starts a script's background jobs with SIGINT ignored, and this must not change.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
