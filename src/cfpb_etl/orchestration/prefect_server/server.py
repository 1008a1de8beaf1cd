"""The Prefect server for a run: the server in the user's settings, or a temporary server."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import httpx
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.exceptions import TerminationSignal
from prefect.settings import get_current_settings
from rich.text import Text

from cfpb_etl.child_process import start_child
from cfpb_etl.environment import through_proxy
from cfpb_etl.orchestration.errors import (
    NoPrefectApiError,
    NoPrefectServerError,
    PrefectFailedError,
    PrefectGoneError,
    PrefectNotStartedError,
    PrefectRefusedError,
    PrefectUnreachableError,
    SettingError,
)
from cfpb_etl.orchestration.prefect_server.setting_origins import origin_of
from cfpb_etl.orchestration.prefect_server.settings import (
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
_MAX_LINE = 300  # characters of the server's output in an error
_MAX_READ = 65_536  # bytes of a line that are kept in memory
# The line that names an error. More lines can follow it, such as an SQL statement.
_ERROR_LINE = re.compile(r"[\w.]*(Error|Exception)\b.*: ")

# The exceptions that Ctrl-C and SIGTERM raise while a flow runs.
INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)


class TemporaryServer:
    """Prefect's server in a second process, which ends together with this process.

    Prefect can also start such a server, but it would first import the whole server in this
    process, which takes 2.3 s. Also, Ctrl-C in a terminal would interrupt it. It would end before
    the run, and Prefect would spend minutes trying to report the interrupted run.

    Attributes:
        api_url: The address of Prefect's API; "" before the start.
        died: Whether the server has ended although nobody has stopped it.
    """

    def __init__(self) -> None:
        self.api_url = ""
        self.died = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._read_output, daemon=True)
        self._last_line = self._error_line = ""
        self._is_stopping = False
        self._heard = 0.0

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
        self._process = start_child(
            "cfpb_etl.orchestration.prefect_server.process",
            str(port),
            env=environment,
            cwd=SERVER_FOLDER,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # Exit handlers run in reverse order. Prefect's exit handlers need the server, and run
        # first.
        atexit.register(self._stop)
        self._heard = time.monotonic()
        self._watch.start()

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            PrefectNotStartedError: If the server does not start.
        """
        with get_client(sync_client=True) as client:
            while client.api_healthcheck() is not None:
                if self.died.is_set():
                    raise PrefectNotStartedError(detail=self._how_it_ended())
                # A server that waits for another one prints empty lines.
                if time.monotonic() > self._heard + _START_SECONDS:
                    raise PrefectNotStartedError(detail=f"within {_START_SECONDS} s")
                time.sleep(0.1)

    def named(self, error: Exception) -> CfpbEtlError:
        """Turn an error of Prefect's client into one that says what to do next."""
        if self.died.is_set():
            return PrefectFailedError(detail=self._how_it_ended())
        detail = " ".join(str(error).split())
        return PrefectFailedError(detail=f"{detail}; {self._reason}" if self._reason else detail)

    def kill(self) -> None:
        """Kill the server, because an interrupted run does not wait for an orderly end."""
        self._is_stopping = True
        if self._process:
            self._process.kill()
            self._process.wait()

    def _stop(self) -> None:
        assert self._process is not None  # noqa: S101 - registered after the start
        self._is_stopping = True
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _read_output(self) -> None:
        """Read what the server prints, so that a full pipe never blocks it, until it ends."""
        assert self._process is not None  # noqa: S101 - the thread is started after the process
        assert self._process.stdout is not None  # noqa: S101 - stdout is a pipe
        with self._process as process, self._process.stdout as output:
            while line := output.readline(_MAX_READ):
                self._heard = time.monotonic()
                text = Text.from_ansi(line.decode(errors="replace").strip()).plain[:_MAX_LINE]
                self._last_line = text or self._last_line
                if _ERROR_LINE.match(text):
                    self._error_line = text
            process.wait()
        if not self._is_stopping:
            # Prefect would repeat each request for a minute.
            os.environ["PREFECT_CLIENT_MAX_RETRIES"] = "0"
            refresh_global_settings_context()
            self.died.set()

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process else 0
        ended = f"it ended with {f'exit code {code}' if code >= 0 else signal.Signals(-code).name}"
        return f"{ended}: {self._reason}" if self._reason else ended

    @property
    def _reason(self) -> str:
        """Why the server failed: the last line of its output that names an error, or the last."""
        return self._error_line or self._last_line


class UsersServer:
    """The Prefect server in the user's settings.

    Attributes:
        api_url: The address of Prefect's API.
        died: Never set, because a server that does not answer may come back.
    """

    def __init__(self, api_url: str) -> None:
        self.api_url = api_url
        self.died = threading.Event()

    def start(self) -> None:
        """Only prepare the client, because the user starts this server."""
        set_for_users_server()

    def wait(self) -> None:
        """Return if the server answers.

        Raises:
            NoPrefectServerError: If the settings have no server.
            PrefectGoneError: If the server does not answer, or cannot be used.
            SettingError: If there are no certificates for the connection.
        """
        if not self.api_url:
            raise NoPrefectServerError(cure=origin_of("PREFECT_SERVER_EPHEMERAL_ENABLED").cure)
        failure: Exception | None
        try:
            with get_client(sync_client=True) as client:
                failure = client.api_healthcheck()
                if failure is None and get_current_settings().client.server_version_check_enabled:
                    client.raise_for_api_version_mismatch_once()
        except OSError as error:  # all others are returned; this one is of the certificates
            origin = origin_of("PREFECT_API_SSL_CERT_FILE")
            raise SettingError(**origin._asdict(), detail=str(error)) from error
        except RuntimeError as error:  # of the check of the version
            failure = error.__cause__ if isinstance(error.__cause__, Exception) else error
        except Exception as error:  # noqa: BLE001 - the address is not one of HTTP
            failure = error
        if failure is not None:
            raise self.named(failure)

    def named(self, error: Exception) -> CfpbEtlError:
        """Turn an error of Prefect's client into one that says what to do next."""
        status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
        kind: type[PrefectGoneError] = PrefectUnreachableError
        if status in _REFUSED:
            kind = PrefectRefusedError
        elif status == httpx.codes.NOT_FOUND or isinstance(error, RuntimeError):
            kind = NoPrefectApiError
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
