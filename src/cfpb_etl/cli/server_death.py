"""The end of a run whose temporary Prefect server has died."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from cfpb_etl.errors import ExitCode
    from cfpb_etl.orchestration.prefect_server.server import TemporaryServer
    from cfpb_etl.orchestration.prefect_server.users_server import UsersServer

_SECONDS_TO_COMPLETE = 4  # the rest of a load does not need the server
_SECONDS_TO_END = 4


class ServerDeath:
    """Ends a run within seconds after its temporary Prefect server has died.

    1. The run has some seconds to complete.
    2. Then an exception in the main thread closes the load and draws the diagram on its way up.
    3. If this hangs, or if the system has no signal for it, a thread ends the process.

    Args:
        server: The server.
        end: Prints how the run ended, and returns the exit code. It is called in step 3.
    """

    def __init__(
        self, server: TemporaryServer | UsersServer, end: Callable[[Exception], ExitCode]
    ) -> None:
        self._server = server
        self._end = end
        self._ending = threading.Lock()
        self._signal = getattr(signal, "SIGUSR1", None)  # Windows does not have this signal
        if self._signal is not None:
            signal.signal(self._signal, self._raise)
        threading.Thread(target=self._watch, daemon=True).start()

    def forget(self) -> None:
        """Do not end the run, because it is ending by itself. To be called once."""
        self._ending.acquire()

    def _raise(self, _number: int, _frame: FrameType | None) -> None:
        # Other programs can send this signal too.
        if self._server.died.is_set() and not self._ending.locked():
            raise self._error()

    def _error(self) -> Exception:
        return self._server.named(ConnectionError("the server has ended"))

    def _watch(self) -> None:
        self._server.died.wait()
        time.sleep(_SECONDS_TO_COMPLETE)
        if self._signal is not None:
            signal.pthread_kill(threading.main_thread().ident or 0, self._signal)
            time.sleep(_SECONDS_TO_END)
        self._ending.acquire()
        os._exit(self._end(self._error()))
