"""Ctrl-C and SIGTERM: the process ends soon, and in order where that is possible."""

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

SECONDS_TO_END = 4  # from the signal to the end of the process, whatever hangs
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_when_interrupted() -> None:
    """End the process at once on a signal, while nothing is under way yet.

    An exception would not do: raised while Prefect's models are built, it comes out as another one.
    """

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        os.write(2, b"interrupted before anything was written.\n")
        os._exit(ExitCode.INTERRUPTED)

    _handle(end)


class Interruption:
    """Closes a run that is interrupted.

    1. The first signal raises KeyboardInterrupt in the main thread; while a flow runs, SIGTERM
       raises Prefect's TerminationSignal. Later signals are ignored.
    2. On its way up the exception closes the load, draws the picture and tells Prefect.
    3. Whoever catches it calls `end`, which says the last words and ends the process: the
       interpreter would wait for threads that wait for an answer or a retry.
    4. Should any of that hang, a thread calls `end` after a few seconds. The interpreter tells it
       of every signal, whoever handles that.

    Args:
        last_words: What to do and say last, as the only thing on its line.
        release: What must not be left behind.
    """

    def __init__(self, last_words: Callable[[], str], release: Callable[[], None]) -> None:
        self.begun = False
        self._last_words = last_words
        self._release = release
        self._ending = threading.Lock()
        told, tells = socket.socketpair()
        tells.settimeout(0)  # set_wakeup_fd wants a socket that never blocks
        signal.set_wakeup_fd(tells.detach())
        _handle(self._interrupt)
        threading.Thread(target=self._watch, args=(told,), daemon=True).start()

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.begun = True
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)  # what follows must not be cut short
        raise KeyboardInterrupt(signal.Signals(number).name)

    def _watch(self, told: socket.socket) -> None:
        with told:
            while told.recv(1)[0] not in _SIGNALS:
                pass
        time.sleep(SECONDS_TO_END)
        self.end()

    def end(self) -> NoReturn:
        """Say the last words, release what is held, and end the process."""
        with self._ending:
            try:
                print(self._last_words(), file=sys.stderr, flush=True)
            finally:
                self._release()
                os._exit(ExitCode.INTERRUPTED)


def _handle(handler: Callable[[int, FrameType | None], NoReturn]) -> None:
    for number in _SIGNALS:
        # A shell starts a script's background jobs with SIGINT ignored; that is to stay so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
