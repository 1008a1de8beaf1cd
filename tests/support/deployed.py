"""A machine of its own for the deployments of prefect.yaml: a Prefect server and a worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled

from support.program import environment_without_coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State, StateType
    from prefect.client.schemas.responses import DeploymentResponse

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))


def until(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """Wait until a condition holds, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        threading.Event().wait(0.1)
    return value


@dataclass
class Machine:
    """A machine with a folder for the databases, and a server's address."""

    folder: Path
    api_url: str
    client: SyncPrefectClient

    @property
    def environment(self) -> dict[str, str]:
        """The variables of all its processes."""
        return environment_without_coverage() | {
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command of Prefect in the folder of the databases."""
        return subprocess.run(
            [PREFECT, "--no-prompt", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def types(self, *arguments: str) -> None:
        """Type a command of Prefect that must succeed."""
        done = self.prefect(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def deployment(self, name: str) -> DeploymentResponse:
        """Return a deployment of prefect.yaml."""
        flow = "cfpb-update-and-export" if name == "update-and-export" else "cfpb-complaints"
        return self.client.read_deployment_by_name(f"{flow}/{name}")

    def start(self, deployment: str, due: datetime | None = None, **parameters: Any) -> FlowRun:
        """Create a run of a deployment, due now or at another time."""
        return self.client.create_flow_run_from_deployment(
            self.deployment(deployment).id,
            parameters=parameters,
            state=Scheduled(scheduled_time=due),
        )

    def reaches(self, run: FlowRun, kind: StateType) -> State[Any]:
        """Wait until a run has a state of this type, and return the state."""

        def state() -> State[Any] | None:
            found = self.client.read_flow_run(run.id).state
            return found if found and found.type == kind else None

        reached: State[Any] = until(state, f"{run.name} is {kind}")
        return reached

    @contextmanager
    def worker(self) -> Iterator[psutil.Process]:
        """Run a worker of the pool."""
        with (self.folder / "worker.log").open("ab") as log:
            process = psutil.Popen(
                [PREFECT, "worker", "start", "--pool", "cfpb"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                kill_all(process)


def kill_all(process: psutil.Process) -> None:
    """Kill a process and its descendants at once, as a power cut does."""
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)  # so that none can report the death of another
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, 30)


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Start a Prefect server on a machine that has nothing of Prefect yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        get_client(sync_client=True) as client,
        (folder / "server.log").open("wb") as log,
    ):
        made = Machine(folder, url, client)
        server = psutil.Popen(
            [PREFECT, "server", "start", "--port", str(port), "--no-ui"],
            cwd=folder,
            env=made.environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            until(lambda: _answers(url), "the server answers")
            yield made
        finally:
            kill_all(server)


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/health", timeout=1).is_success
    return False
