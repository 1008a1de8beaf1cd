"""A word to somebody when a run has failed, by a notification block that Prefect keeps."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.utilities.urls import url_for

from cfpb_etl.errors import NoNotificationBlockError
from cfpb_etl.schema import connect

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

log = logging.getLogger(__name__)


def notification_block(name: str) -> Any:  # noqa: ANN401 - its methods are typed as coroutines
    """Return the block that is saved under a name, `TYPE/NAME`, such as `slack-webhook/team`.

    Raises:
        NoNotificationBlockError: If there is none, or it is of another kind.
    """
    # What these bring takes a third of a second to import, which most runs have no need of.
    import prefect.blocks.notifications  # noqa: F401, PLC0415 - it makes their types known
    from prefect.blocks.abstract import NotificationBlock  # noqa: PLC0415
    from prefect.blocks.core import Block  # noqa: PLC0415

    try:
        block = Block.load(name)
    except (ValueError, KeyError, RuntimeError) as error:
        raise NoNotificationBlockError(name, " ".join(str(error).split())) from error
    if not isinstance(block, NotificationBlock):
        raise NoNotificationBlockError(name, f"it is a {type(block).__name__}")
    return block


def notify_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell whom the run's parameter `notify` names that it has failed: a hook for `on_failure`.

    That it cannot be told is a warning: the failure itself is what matters.
    """
    name = flow_run.parameters.get("notify")
    # Read directly: `state.result()` would wait for a result that is already here.
    error = getattr(state.data, "result", state.data)
    if not name or isinstance(error, NoNotificationBlockError):
        return
    said = " ".join(str(error if isinstance(error, Exception) else state.message).split())
    database = Path(str(flow_run.parameters.get("database")))
    look = url_for("flow-run", obj_id=flow_run.id) or f"prefect flow-run logs {flow_run.id}"
    lines = (
        f"The run {flow_run.name} of {flow.name} failed: {said}",
        f"{_kept(database, flow_run)} Run the same command again: it goes on from there.",
        f"To look at the run: {look}",
    )
    try:
        notification_block(name).notify("\n\n".join(lines), f"{flow.name} failed")
    except Exception as problem:  # noqa: BLE001 - each block has errors of its own
        log.warning("%s could not be told of the failure: %s", name, problem)
    else:
        log.info("Told %s of the failure", name)


def _kept(database: Path, flow_run: FlowRun) -> str:
    with suppress(sqlite3.Error), closing(connect(database)) as connection:
        row = connection.execute(
            "SELECT complaints_read FROM load WHERE flow_run_id = ?", (str(flow_run.id),)
        ).fetchone()
        if row and row[0]:
            return f"Kept: {row[0]:,} complaints in {database}."
    return "Nothing was stored."
