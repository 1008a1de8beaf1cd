"""The Prefect server for a run: the server in the user's settings, or a temporary server."""

from __future__ import annotations

import atexit
import os
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.exceptions import TerminationSignal
from prefect.logging import get_logger
from prefect.settings import get_current_settings
from rich.text import Text

from cfpb_etl.orchestration.errors import (
    PrefectFailedError,
    PrefectNotStartedError,
)
from cfpb_etl.orchestration.prefect_server.background import stop_services
from cfpb_etl.orchestration.prefect_server.loopback import loopback_direct
from cfpb_etl.orchestration.prefect_server.server_process import end_early, started_with
from cfpb_etl.orchestration.prefect_server.settings import (
    check_settings,
    send_nothing,
    server_settings,
    settings_for_temporary_server,
)
from cfpb_etl.orchestration.prefect_server.users_server import UsersServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.settings import Settings

    from cfpb_etl.errors import CfpbEtlError

# Prefect's own limit is 20 s. A busy machine can need longer to import the server.
_START_SECONDS = 120
_STOP_SECONDS = 5
_MAX_LINE = 300  # characters of the server's output in an error
_MAX_READ = 65_536  # bytes of a line that are kept in memory
# The line that names an error. More lines can follow it, such as an SQL statement.
_ERROR_LINE = re.compile(r"[\w.]*(Error|Exception)\b.*: ")

_log = get_logger("cfpb_etl")

# The exceptions that Ctrl-C and SIGTERM raise while a flow runs.
INTERRUPTIONS = (KeyboardInterrupt, TerminationSignal)


class TemporaryServer:
    """Prefect's server in a second process, which ends together with this process.

    Prefect can also start such a server, but it would first import the whole server in this
    process, which takes 2.3 s, and wait at most 20 s for the server. Also, Ctrl-C in a terminal
    would interrupt it. It would end before the run, and Prefect would spend minutes trying to
    report the interrupted run.

    Attributes:
        api_url: The address of Prefect's API; "" before the start.
        died: Whether the server has ended although nobody has stopped it.
    """

    def __init__(self) -> None:
        self.api_url = ""
        self.died = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._parent = os.getpid()
        self._watch = threading.Thread(target=self._read_output, daemon=True)
        self._last_line = self._error_line = ""
        self._is_stopping = False
        self._heard = 0.0
        self._lock = threading.Lock()
        self._runs = 0
        self._has_services = False  # whether Prefect's services send to this server
        self._clients: list[Settings] = []  # of these runs, and of earlier ones that overlapped

    @property
    def is_usable(self) -> bool:
        """Whether a run of this process can start or use the server."""
        return not (self.died.is_set() or self._is_stopping) and self._parent == os.getpid()

    def start(self) -> None:
        """Start the server unless it has been started. It is ready some seconds later.

        Raises:
            PrefectHomeError: If the server cannot keep its database in Prefect's folder.
        """
        with self._lock:
            if self._process is None:
                self._start()

    def _start(self) -> None:
        check_settings()
        _log.info("Starting a temporary server, which takes some seconds")
        _, port, self._process = started_with(server_settings())
        self.api_url = f"http://127.0.0.1:{port}/api"
        # Exit handlers run in reverse order. Prefect's exit handlers need the server, and run
        # first.
        atexit.register(self._stop)
        self._heard = time.monotonic()
        self._watch.start()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start the server if necessary, and let Prefect use it in this context.

        The server stays for later runs of this process.

        Raises:
            PrefectHomeError: If the server cannot keep its database in Prefect's folder.
            PrefectNotStartedError: If the server does not start.
        """
        self.start()
        with loopback_direct(self.api_url), settings_for_temporary_server(self.api_url) as settings:
            with self._lock:
                self._runs += 1
                self._clients.append(settings)
            interrupted = True
            try:
                self._wait()
                self._take_services()
                yield
                interrupted = False
            except Exception:
                interrupted = False
                raise
            finally:
                self._leave(interrupted=interrupted)

    def _wait(self) -> None:
        with get_client(sync_client=True) as client:
            while client.api_healthcheck() is not None:
                if self.died.is_set():
                    raise PrefectNotStartedError(detail=self._how_it_ended())
                # A server that waits for another one prints empty lines.
                if self._is_stopping or time.monotonic() > self._heard + _START_SECONDS:
                    self.kill()
                    raise PrefectNotStartedError(detail=f"within {_START_SECONDS} s")
                time.sleep(0.1)

    def _take_services(self) -> None:
        """Stop a service that sends to the server of an earlier flow, such as the user's."""
        with self._lock:
            if not self._has_services:
                stop_services(self.died, wait=True)
                self._has_services = True

    def _leave(self, *, interrupted: bool) -> None:
        with self._lock:
            self._runs -= 1
            if not self._runs:
                self._has_services = False
                # An interrupted run does not wait. At its exit, Python lets the services end.
                stop_services(self.died, wait=not interrupted)
                for settings in self._clients:
                    send_nothing(settings)
                self._clients = []

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
        if self._parent != os.getpid():
            return
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
            self.died.set()
            # Prefect would repeat each request for a minute.
            for settings in [*self._clients]:
                settings.client.max_retries = 0

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process else 0
        ended = f"it ended with {f'exit code {code}' if code >= 0 else signal.Signals(-code).name}"
        return f"{ended}: {self._reason}" if self._reason else ended

    @property
    def _reason(self) -> str:
        """Why the server failed: the last line of its output that names an error, or the last."""
        return self._error_line or self._last_line


_temporary: TemporaryServer | None = None
_choosing = threading.Lock()


def prefect_server() -> TemporaryServer | UsersServer:
    """Return the server for a run in this context.

    It is the server in the user's settings. If the settings have none, it is the temporary server
    of this process, or a new one after its end.
    """
    global _temporary  # noqa: PLW0603 - there is one for each process
    settings = get_current_settings()
    ephemeral = settings.server.ephemeral
    # Only Prefect's own profiles switch temporary servers on. Other profiles do not mention them.
    forbidden = "enabled" in ephemeral.model_fields_set and not ephemeral.enabled
    if settings.api.url or forbidden:
        end_early()
        return UsersServer(settings.api.url or "")
    with _choosing:
        if _temporary is None or not _temporary.is_usable:
            _temporary = TemporaryServer()
        return _temporary
