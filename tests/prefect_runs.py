"""What Prefect's server knows of a run."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import TaskRun


def finished_task_runs(flow_run_id: UUID, count: int) -> list[TaskRun]:
    """Return a flow run's task runs, once the server knows of so many that have ended.

    Task runs reach it as events, some time after they ended.
    """
    deadline = time.monotonic() + 60
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            known = client.read_task_runs(flow_run_filter=only)
            if len(known) >= count and all(run.end_time for run in known):
                break
            threading.Event().wait(0.1)
    assert len(known) == count
    return known


def handed_over(task_runs: list[TaskRun]) -> set[tuple[str, str]]:
    """Return which task handed a value to which, by their `task_inputs`."""
    names = {run.id: run.task_key.rpartition("-")[0] for run in task_runs}
    return {
        (names[value.id], names[run.id])
        for run in task_runs
        for values in run.task_inputs.values()
        for value in values
        if value.input_type == "task_run"
    }
