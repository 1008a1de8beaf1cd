"""Which runs of a deployment are skipped, and how they end."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.states import (
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
)

from cfpb_etl.orchestration.skipped_runs import skip_if_superseded, skipped_if_loading
from cfpb_etl.store.errors import DatabaseInUseError, LoadRunningError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

pytestmark = pytest.mark.usefixtures("prefect_server")

NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(days=1)
failures: list[str] = []


@flow(on_failure=[lambda _flow, run, _state: failures.append(run.name)])
def probe(database: str = "a.db", error: str | None = None) -> str:
    """Do what a load does before it loads."""
    skip_if_superseded()
    with skipped_if_loading():
        if error == "load":
            raise LoadRunningError(path=database)
        if error == "other program":
            raise DatabaseInUseError(path=database)
    return database


class Deployment:
    """A deployment of the probe, whose runs are run in this process."""

    def __init__(self, client: SyncPrefectClient) -> None:
        self.client = client
        flow_id = client.create_flow(probe)
        self.id = client.create_deployment(flow_id, uuid4().hex, entrypoint="none:probe")

    def create(self, due: datetime, state: State[Any] | None = None, **parameters: Any) -> FlowRun:
        """Create a run that was due, and give it a state."""
        scheduled: State[Any] = Scheduled(scheduled_time=due)
        run = self.client.create_flow_run_from_deployment(
            self.id, parameters=parameters, state=scheduled
        )
        if state is not None:
            self.client.set_flow_run_state(run.id, state, force=True)
        return run

    def end_of(self, run: FlowRun) -> State[Any]:
        """Run a flow run, and return its state on the server."""
        run = self.client.read_flow_run(run.id)
        self.client.set_flow_run_state(run.id, Pending())
        with suppress(Abort):  # it ends the process of a deployed run
            run_flow(probe, self.client.read_flow_run(run.id), run.parameters, return_type="state")
        state = self.client.read_flow_run(run.id).state
        assert state is not None
        return state


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    """Return a new deployment."""
    with get_client(sync_client=True) as client:
        yield Deployment(client)


@pytest.mark.parametrize("state", [None, Pending(), Running(), Completed()])
def test_a_late_run_is_skipped(deployment: Deployment, state: State[Any] | None) -> None:
    """It is skipped if a later run is due, is running, or is complete."""
    late = deployment.create(YESTERDAY)
    later = deployment.create(NOW, state)

    end = deployment.end_of(late)

    assert end.type == StateType.CANCELLED
    assert end.message == (
        f"Skipped: this run was due at {YESTERDAY:%Y-%m-%d %H:%M:%S} UTC, and the run"
        f" '{later.name}', due at {NOW:%Y-%m-%d %H:%M:%S} UTC, does the same."
    )


def test_only_the_latest_of_many_runs(deployment: Deployment) -> None:
    """Of the runs of three days that start at once, only the latest loads."""
    runs = [deployment.create(NOW - timedelta(days=days)) for days in (1, 3, 2)]

    ends = [deployment.end_of(run).type for run in runs]

    assert ends == [StateType.COMPLETED, StateType.CANCELLED, StateType.CANCELLED]


@pytest.mark.parametrize(
    "state", [Failed(), Crashed(), Cancelled(), Cancelling(), Paused()], ids=lambda each: each.name
)
def test_a_later_run_without_success(deployment: Deployment, state: State[Any]) -> None:
    """A late run is not skipped because of a later run that loads nothing."""
    late = deployment.create(YESTERDAY)
    deployment.create(NOW, state)

    assert deployment.end_of(late).is_completed()


@pytest.mark.parametrize(
    ("due", "parameters"),
    [(NOW + timedelta(hours=1), {}), (NOW, {"database": "b.db"}), (YESTERDAY, {})],
    ids=["later", "other parameters", "same time"],
)
def test_a_run_that_does_not_replace_another(
    deployment: Deployment, due: datetime, parameters: dict[str, Any]
) -> None:
    """A late run is not skipped if the other run is not due yet, is another load, or is as late."""
    late = deployment.create(YESTERDAY)
    deployment.create(due, **parameters)

    assert deployment.end_of(late).is_completed()


def test_a_run_that_is_retried(deployment: Deployment) -> None:
    """A late run that somebody retries is not skipped."""
    late = deployment.create(YESTERDAY)
    deployment.create(NOW)
    assert deployment.end_of(late).is_cancelled()

    deployment.client.set_flow_run_state(late.id, Scheduled())

    assert deployment.end_of(late).is_completed()


def test_a_second_load_of_a_deployment(deployment: Deployment) -> None:
    """The run ends as Cancelled with the reason, and no failure is notified."""
    run = deployment.create(NOW, error="load")

    end = deployment.end_of(run)

    assert end.is_cancelled()
    assert end.message == "Skipped: a.db is being loaded by another run."
    assert run.name not in failures


def test_a_database_that_another_program_has_locked(deployment: Deployment) -> None:
    """This is a failure: nothing shows that the program loads the complaints."""
    run = deployment.create(NOW, error="other program")

    assert deployment.end_of(run).is_failed()
    assert run.name in failures


def test_a_second_load_of_a_user(tmp_path: Path) -> None:
    """In Python and on the command line, the error is raised."""
    with pytest.raises(LoadRunningError):
        probe(error="load")
