"""Prefect's API for a run: the one that the user has set, or a temporary server."""

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
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED

from cfpb_etl.orchestration.errors import PrefectNotStartedError, PrefectUnreachableError

# Prefect allows 20. On its first run the server makes its database, which took 15 s on an idle
# machine of two cores.
_SECONDS_TO_START = 120
_SECONDS_TO_END = 5

_SETTINGS = {
    # Without a network, the server's telemetry would put an ERROR on the screen.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # It writes each event of a task run by itself unless told otherwise, and takes half a core from
    # the load for that. In groups they come up to 5 s later.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
}


class TemporaryServer:
    """Prefect's server in a process that ends with this one.

    Prefect would start one itself, but first import all of its server here, which takes 2.3 s and
    serves nothing; and a Ctrl-C in the terminal, which interrupts every process of the foreground
    group, would end that server first, after which Prefect tries for minutes to tell it about the
    interrupted run. This one is started with SIGINT blocked, which a new process inherits.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.api_url = ""

    def start(self) -> None:
        """Begin to start it, which takes seconds that the caller may use."""
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{port}/api"
        block = getattr(signal, "pthread_sigmask", None)  # Windows has none
        before = block(signal.SIG_BLOCK, {signal.SIGINT}) if block else None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very module
                # -P: what lies in the folder that we are called in is nothing to import.
                [sys.executable, "-P", "-m", __name__, str(port)],
                env=_SETTINGS | os.environ,
            )
        finally:
            if block:
                block(signal.SIG_SETMASK, before)
        # After whatever Prefect registers from here on: at exit it tells the server the rest.
        atexit.register(_end, self._process)
        os.environ["PREFECT_API_URL"] = self.api_url
        os.environ["PREFECT_UI_URL"] = ""  # it has no pages to look at
        refresh_global_settings_context()

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            PrefectNotStartedError: If it does not come up.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        with get_client(sync_client=True) as client:
            while client.api_healthcheck() is not None:
                if self._process and self._process.poll() is not None:
                    raise PrefectNotStartedError(f"it ended with {self._process.returncode}")
                if time.monotonic() > deadline:
                    raise PrefectNotStartedError(f"in {_SECONDS_TO_START} s")
                time.sleep(0.1)

    def kill(self) -> None:
        """End it at once: when interrupted, nobody waits for its orderly end."""
        if self._process:
            self._process.kill()
            self._process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
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


def prefect_server_for_run() -> TemporaryServer | UsersServer:
    """Return Prefect's API, as the user's settings have it."""
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
