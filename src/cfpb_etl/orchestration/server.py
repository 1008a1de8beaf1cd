"""The Prefect server for a run: the server in the user's settings, or a temporary server."""

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

from cfpb_etl.environment import through_proxy
from cfpb_etl.orchestration.errors import PrefectNotStartedError, PrefectUnreachableError

# Prefect's own limit is 20 s. At its first start the server creates a database, which took 15 s on
# an idle machine with two cores.
_START_SECONDS = 120
_STOP_SECONDS = 5

# The exceptions that Ctrl-C and SIGTERM raise while a flow runs.
INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)

_SETTINGS = {
    # Without a network, the server's telemetry prints an ERROR.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # By default the server writes each event of a task run separately, which uses half a processor
    # core that the load needs. With batches, an event is written up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
}


class TemporaryServer:
    """Prefect's server in a second process, which ends together with this process.

    Prefect can also start such a server, but it would first import the whole server in this
    process, which takes 2.3 s. Also, Ctrl-C in a terminal interrupts every process of the
    foreground group. Prefect's server would end first, and Prefect would spend minutes trying to
    report the interrupted run. Therefore this class blocks SIGINT while it starts the server, and
    the server's process inherits the block.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.api_url = ""

    def start(self) -> None:
        """Start the server without waiting until it is ready, which takes seconds."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{port}/api"
        block = getattr(signal, "pthread_sigmask", None)  # Windows does not have this function
        before = block(signal.SIG_BLOCK, {signal.SIGINT}) if block else None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this module
                # -P: the process imports no module from the current folder.
                [sys.executable, "-P", "-m", __name__, str(port)],
                env=_SETTINGS | os.environ,
            )
        finally:
            if block:
                block(signal.SIG_SETMASK, before)
        # Exit handlers run in reverse order. Prefect's exit handlers need the server, and run
        # first.
        atexit.register(_stop, self._process)
        os.environ["PREFECT_API_URL"] = self.api_url
        os.environ["PREFECT_UI_URL"] = ""  # the temporary server has no web pages
        refresh_global_settings_context()

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            PrefectNotStartedError: If the server does not start.
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
        """Kill the server, because an interrupted run does not wait for an orderly end."""
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
    """The Prefect server in the user's settings."""

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url

    def start(self) -> None:
        """Do nothing, because the user starts this server."""

    def wait(self) -> None:
        """Return if the server answers.

        Raises:
            PrefectUnreachableError: If the server does not answer.
        """
        if not self.api_url:
            raise PrefectUnreachableError(
                api_url="(none set)", detail="and temporary servers are switched off"
            )
        with get_client(sync_client=True) as client:
            failure = client.api_healthcheck()
        if failure is not None:
            detail = f"{failure}{through_proxy(self.api_url)}"
            raise PrefectUnreachableError(api_url=self.api_url, detail=detail)

    def kill(self) -> None:
        """Do nothing, because the server belongs to the user."""


def prefect_server() -> TemporaryServer | UsersServer:
    """Return the server in the user's settings, or a temporary server if the settings have none."""
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
