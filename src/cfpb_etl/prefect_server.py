"""Prefect's API for a run: the one that the user has set, or a temporary server."""

from __future__ import annotations

import os
import signal
import threading
import time

from prefect.client.orchestration import get_client
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED

from cfpb_etl.errors import PrefectNotStartedError, PrefectUnreachableError

# Prefect allows 20. On its first run the server makes its database, which took 15 s on an idle
# machine of two cores.
_SECONDS_TO_START = 120
_PORT_TAKEN = 3  # uvicorn's exit code, on which Prefect tries another port


class TemporaryServer:
    """Prefect's temporary server, started here so that Ctrl-C in the terminal does not reach it.

    A terminal interrupts every process of the foreground group. Were the server to die first,
    Prefect would wait for minutes to tell it about the interrupted run. So it is started from a
    thread that blocks SIGINT, which a new process inherits; Prefect then finds it running, uses it
    and stops it at exit.
    """

    def __init__(self) -> None:
        self._server = SubprocessASGIServer()
        self._failure: Exception | None = None
        self._starting = threading.Thread(target=self._start, daemon=True)

    def start(self) -> None:
        """Begin to start it, which takes seconds that the caller may use."""
        self._starting.start()

    def _start(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # Windows has none
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        # Without a network, the server's telemetry would put an ERROR on the screen.
        os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        # It writes each event of a task run by itself unless told otherwise, and takes half a core
        # from the load for that. In groups they come up to 5 s later.
        os.environ.setdefault("PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE", "100")
        try:
            self._server.start(timeout=_SECONDS_TO_START)
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits
            self._failure = error

    @property
    def api_url(self) -> str:
        """Return its address."""
        return self._server.api_url

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            PrefectNotStartedError: If it does not come up.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while self._starting.is_alive():
            self._starting.join(0.2)
            process = self._server.server_process
            if process is not None and process.poll() not in (None, _PORT_TAKEN):
                raise PrefectNotStartedError(f"it ended with exit code {process.returncode}")
            if time.monotonic() > deadline:
                raise PrefectNotStartedError(f"in {_SECONDS_TO_START} s")
        if self._failure is not None:
            raise PrefectNotStartedError(str(self._failure))

    def kill(self) -> None:
        """End it at once: when interrupted, nobody waits for its orderly end."""
        while self._starting.is_alive() and self._server.server_process is None:
            time.sleep(0.01)  # it is just being started, and would be left behind
        if process := self._server.server_process:
            process.kill()
            process.wait()


class UsersServer:
    """The Prefect API that the user's settings name."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def start(self) -> None:
        """Do nothing: it is, or it is not."""

    def wait(self) -> None:
        """Return if it answers.

        Raises:
            PrefectUnreachableError: If it does not.
        """
        if not self.api_url:
            raise PrefectUnreachableError("(none set)", "and temporary servers are switched off")
        with get_client(sync_client=True) as client:
            failure = client.api_healthcheck()
        if failure is not None:
            raise PrefectUnreachableError(self.api_url, str(failure))

    def kill(self) -> None:
        """Leave it alone: it is not ours."""


def prefect_api() -> TemporaryServer | UsersServer:
    """Return Prefect's API, as the user's settings have it."""
    api_url = PREFECT_API_URL.value()
    if api_url or not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        return UsersServer(api_url or "")
    return TemporaryServer()
