"""Prefect's API for a run: the one of the user's settings, or a temporary server."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import time

import uvicorn
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.exceptions import TerminationSignal
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED

from cfpb_etl.orchestration.errors import PrefectNotStartedError, PrefectUnreachableError

# Prefect allows 20 s. On its first run the server creates its database, which took 15 s on an idle
# machine with two cores.
_START_SECONDS = 120
_STOP_SECONDS = 5

# What a signal raises while a flow runs: Ctrl-C, and SIGTERM.
INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)

_SETTINGS = {
    # Without a network, the server's telemetry would print an ERROR.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # By default the server writes each event of a task run separately, and takes half a core from
    # the load for that. In batches they are written up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
}


class TemporaryServer:
    """Prefect's server in a process that ends with this one.

    Prefect could start one itself, but would import its whole server here first, which takes 2.3 s.
    And Ctrl-C in a terminal interrupts every process of the foreground group: that server would end
    first, and Prefect would try for minutes to report the interrupted run to it. This process
    is started with SIGINT blocked, which a new process inherits.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.api_url = ""

    def start(self) -> None:
        """Start it, and return before it is ready: that takes seconds which the caller can use."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{port}/api"
        block = getattr(signal, "pthread_sigmask", None)  # Windows has none
        before = block(signal.SIG_BLOCK, {signal.SIGINT}) if block else None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this module
                # -P: do not import modules from the current folder.
                [sys.executable, "-P", "-m", __name__, str(port)],
                env=_SETTINGS | os.environ,
            )
        finally:
            if block:
                block(signal.SIG_SETMASK, before)
        # Exit handlers run in reverse order: this one after Prefect's, which need the server.
        atexit.register(_stop, self._process)
        os.environ["PREFECT_API_URL"] = self.api_url
        os.environ["PREFECT_UI_URL"] = ""  # it serves no pages
        refresh_global_settings_context()

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            PrefectNotStartedError: If it does not start.
        """
        deadline = time.monotonic() + _START_SECONDS
        with get_client(sync_client=True) as client:
            while client.api_healthcheck() is not None:
                if self._process and self._process.poll() is not None:
                    raise PrefectNotStartedError(
                        detail=f"it ended with exit code {self._process.returncode}"
                    )
                if time.monotonic() > deadline:
                    raise PrefectNotStartedError(detail=f"within {_START_SECONDS} s")
                time.sleep(0.1)

    def kill(self) -> None:
        """Kill it: an interrupted run does not wait for its orderly end."""
        if self._process:
            self._process.kill()
            self._process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class UsersServer:
    """The Prefect API of the user's settings."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def start(self) -> None:
        """Do nothing: the user has started it, or not."""

    def wait(self) -> None:
        """Return if it answers.

        Raises:
            PrefectUnreachableError: If it does not.
        """
        if not self.api_url:
            raise PrefectUnreachableError(
                api_url="(none set)", detail="and temporary servers are switched off"
            )
        with get_client(sync_client=True) as client:
            failure = client.api_healthcheck()
        if failure is not None:
            raise PrefectUnreachableError(api_url=self.api_url, detail=str(failure))

    def kill(self) -> None:
        """Do nothing: it belongs to the user."""


def prefect_server() -> TemporaryServer | UsersServer:
    """Return the API of the user's settings, or a temporary server where they name none."""
    api_url = PREFECT_API_URL.value()
    if api_url or not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        return UsersServer(api_url or "")
    return TemporaryServer()


def _serve(port: int) -> None:
    from prefect.server.api.server import create_app  # noqa: PLC0415 - it takes 2.3 s

    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
