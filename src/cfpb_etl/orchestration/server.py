"""The Prefect server for a run: the server in the user's settings, or a temporary server."""

from __future__ import annotations

import atexit
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import uvicorn
from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.settings import get_current_settings

from cfpb_etl.environment import through_proxy
from cfpb_etl.orchestration.errors import (
    NoPrefectServerError,
    PrefectNotStartedError,
    PrefectRefusedError,
    PrefectUnreachableError,
    SettingError,
)
from cfpb_etl.orchestration.setting_origins import origin_of
from cfpb_etl.orchestration.settings import (
    SERVER_FOLDER,
    server_environment,
    set_for_temporary_server,
    set_for_users_server,
)

if TYPE_CHECKING:
    from cfpb_etl.errors import CfpbEtlError

# Prefect's own limit is 20 s. At its first start the server creates a database, which took 15 s on
# an idle machine with two cores.
_START_SECONDS = 120
_STOP_SECONDS = 5
_REFUSED = (401, 403)

# The exceptions that Ctrl-C and SIGTERM raise while a flow runs.
INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)


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
        """Start the server without waiting until it is ready, which takes seconds.

        Raises:
            PrefectHomeError: If the server cannot keep its database in Prefect's folder.
        """
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.api_url = f"http://127.0.0.1:{port}/api"
        environment = server_environment()
        set_for_temporary_server(self.api_url)
        block = getattr(signal, "pthread_sigmask", None)  # Windows does not have this function
        before = block(signal.SIG_BLOCK, {signal.SIGINT}) if block else None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this module
                # -P: the process imports no module from the current folder.
                [sys.executable, "-P", "-m", __name__, str(port)],
                env=environment,
                cwd=SERVER_FOLDER,
            )
        finally:
            if block:
                block(signal.SIG_SETMASK, before)
        # Exit handlers run in reverse order. Prefect's exit handlers need the server, and run
        # first.
        atexit.register(_stop, self._process)

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

    def named(self, error: Exception) -> CfpbEtlError:
        """Return an error of Prefect's client as one that says what the user can do."""
        return PrefectNotStartedError(detail=" ".join(str(error).split()))

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
        """Only prepare the client, because the user starts this server."""
        set_for_users_server()

    def wait(self) -> None:
        """Return if the server answers.

        Raises:
            NoPrefectServerError: If the settings have no server.
            PrefectUnreachableError: If the server does not answer.
            SettingError: If there are no certificates for the connection.
        """
        if not self.api_url:
            raise NoPrefectServerError(cure=origin_of("PREFECT_SERVER_EPHEMERAL_ENABLED").cure)
        failure: Exception | None
        try:
            with get_client(sync_client=True) as client:
                failure = client.api_healthcheck()
        except OSError as error:  # all others are returned; this one is of the certificates
            origin = origin_of("PREFECT_API_SSL_CERT_FILE")
            raise SettingError(**origin._asdict(), detail=str(error)) from error
        except Exception as error:  # noqa: BLE001 - the address is not one of HTTP
            failure = error
        if failure is not None:
            raise self.named(failure)

    def named(self, error: Exception) -> CfpbEtlError:
        """Return an error of Prefect's client as one that says what the user can do."""
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        kind = PrefectRefusedError if status in _REFUSED else PrefectUnreachableError
        return kind(
            api_url=_without_login(self.api_url),
            detail=_without_login(" ".join(str(error).split())) + through_proxy(self.api_url),
            cure=origin_of("PREFECT_API_URL").cure,
        )

    def kill(self) -> None:
        """Do nothing, because the server belongs to the user."""


def _without_login(text: str) -> str:
    return re.sub(r"//[^/\s]*@", "//", text)


def prefect_server() -> TemporaryServer | UsersServer:
    """Return the server in the user's settings, or a temporary server if the settings have none."""
    settings = get_current_settings()
    ephemeral = settings.server.ephemeral
    # Only Prefect's own profiles switch temporary servers on. Other profiles do not mention them.
    forbidden = "enabled" in ephemeral.model_fields_set and not ephemeral.enabled
    if settings.api.url or forbidden:
        return UsersServer(settings.api.url or "")
    return TemporaryServer()


def _serve(port: int) -> None:
    from prefect.server.api.server import create_app  # noqa: PLC0415 - it takes 2.3 s

    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
