"""The end of a run on a signal: within seconds, and with all saved that can be saved."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from cfpb_etl.cli.signals import EXIT_CODES, handle_signals, interrupted_by
from cfpb_etl.cli.streams import print_text
from cfpb_etl.model.events import LoadStarted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from cfpb_etl.errors import ExitCode
    from cfpb_etl.model.events import Event

_SECONDS_TO_END = 4
_PRINTING_SECONDS = 1  # a terminal that Ctrl-S has stopped shows no last line


class Interruption:
    """Ends a run on a signal.

    1. The first signal raises KeyboardInterrupt in the main thread; while a flow runs, SIGTERM and
       SIGHUP raise Prefect's TerminationSignal. Later signals do nothing.
    2. The exception closes the load and draws the diagram on its way up.
    3. The caller catches the exception and calls `end`, which prints the last line and exits.
       If Python exited in its own way, it would wait for threads that wait for an answer or retry.
    4. If any of these steps hangs, a thread calls `end` after a few seconds. Python informs this
       thread of every signal, whichever handler runs.

    It is a listener: Prefect replaces the handler of SIGTERM, and the first event of the load takes
    it back.

    Args:
        saved: Returns what is saved, for the last line.
        release: Stops what must not keep running.
        seconds: The maximum time from the signal to the last line.
    """

    def __init__(
        self,
        saved: Callable[[], str],
        release: Callable[[], None],
        seconds: float = _SECONDS_TO_END,
    ) -> None:
        self._saved = saved
        self._release = release
        self._seconds = seconds
        self._number = 0  # the first signal
        self._holding = False  # whether signals raise no exception
        self._code: ExitCode | None = None  # the exit code of a run that has ended
        self._raise: Callable[[int, FrameType | None], object] = _raise_keyboard_interrupt
        self._ending = threading.Lock()
        receiver, sender = socket.socketpair()
        sender.settimeout(0)  # set_wakeup_fd requires a non-blocking socket
        signal.set_wakeup_fd(sender.detach(), warn_on_full_buffer=False)
        handle_signals(self._interrupt)
        threading.Thread(target=self._watch, args=(receiver,), daemon=True).start()

    @property
    def begun(self) -> bool:
        """Whether a signal has arrived."""
        return self._number != 0

    def __call__(self, event: Event) -> None:
        """Take back SIGTERM from Prefect, whose handler would raise again at each signal."""
        if isinstance(event, LoadStarted):
            prefects = signal.signal(signal.SIGTERM, self._interrupt)
            if callable(prefects) and prefects != self._interrupt:
                self._raise = prefects

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._number = self._number or number
        # While another signal ends the process, its locks are taken.
        if self._code is not None and not self._ending.locked():
            self.end()
        if not self._holding:
            self._holding = True
            raising = _raise_keyboard_interrupt if number == signal.SIGINT else self._raise
            raising(number, frame)

    def hold(self) -> None:
        """Raise no exception any more: the flow has ended, and its last line is on the way."""
        self._holding = True

    def over(self, code: ExitCode) -> None:
        """Note that the last line is printed. From now on, a signal ends the process at once.

        Args:
            code: The exit code of the process, which a signal does not change.
        """
        self._code = code
        if self.begun:
            self.end()

    def _watch(self, receiver: socket.socket) -> None:
        with receiver:  # until the end, because Python warns if a signal cannot be written to it
            while (number := receiver.recv(1)[0]) not in EXIT_CODES:
                pass
            self._number = self._number or number
            time.sleep(self._seconds)
            threading.Thread(target=self.end, daemon=True).start()
            time.sleep(_PRINTING_SECONDS)
            self._exit()

    def end(self) -> NoReturn:
        """Print the last line unless the run has printed it, and exit."""
        with self._ending:
            try:
                if self._code is None:
                    saved = self._saved()
                    print_text(f"{interrupted_by(self._number)}: {saved}", sys.stderr)
            finally:
                self._exit()

    def _exit(self) -> NoReturn:
        try:
            self._release()
        finally:
            os._exit(self._code if self._code is not None else EXIT_CODES[self._number])


def _raise_keyboard_interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)
