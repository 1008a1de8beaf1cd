"""Runs of deployments that end as Cancelled, because another run does the same or is in the way.

A run on the command line or in Python is never skipped: it fails, because its user waits for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import Cancelled

from cfpb_etl.store.errors import LoadRunningError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import FlowRun, State

# A later run counts unless it has ended without success.
_COUNTED = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED]


def deployed_run() -> FlowRun | None:
    """Return the current run if it is a run of a deployment; otherwise None."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run if run and run.deployment_id else None


def skip_if_superseded() -> None:
    """Skip this run if it is late, and a later run of its deployment is due as well.

    A worker that was off for some days starts all runs of these days, and only the latest is
    needed. A run with other parameters, and a run that somebody retries, are not skipped.

    Raises:
        Abort: If this run is skipped.
    """
    run = deployed_run()
    due = run.expected_start_time if run else None
    if run is None or run.deployment_id is None or due is None or run.run_count > 1:
        return
    with get_client(sync_client=True) as client:
        others = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[run.deployment_id])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_COUNTED)),
                expected_start_time=FlowRunFilterExpectedStartTime(after_=due),
            ),
        )
    for other in others:
        later = other.expected_start_time
        if later and due < later <= datetime.now(UTC) and other.parameters == run.parameters:
            _skip(
                run,
                f"this run was due at {due:%Y-%m-%d %H:%M:%S} UTC, and the run '{other.name}',"
                f" due at {later:%Y-%m-%d %H:%M:%S} UTC, does the same",
            )


@contextmanager
def skipped_if_loading() -> Iterator[None]:
    """Skip this run if another run loads into its database.

    Raises:
        Abort: If this run is skipped.
        LoadRunningError: If this run is not a run of a deployment.
    """
    try:
        yield
    except LoadRunningError as error:
        if run := deployed_run():
            _skip(run, error.brief)
        raise


def is_skipped(error: BaseException | None) -> bool:
    """Say whether `skipped_if_loading` skips this run because of this error."""
    return isinstance(error, LoadRunningError) and deployed_run() is not None


def _skip(run: FlowRun, reason: str) -> NoReturn:
    """End the current run as Cancelled.

    A flow could also return this state, but then Prefect logs a traceback as for a failure.
    """
    skipped = Abort(reason)
    state: State[Any] = Cancelled(message=f"Skipped: {reason}.")
    with get_client(sync_client=True) as client:
        # Prefect's engine reads this attribute.
        skipped.state = client.set_flow_run_state(run.id, state).state  # type: ignore[attr-defined]
    raise skipped from None
