"""A word to somebody when a run has failed, by a notification block that Prefect keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prefect.logging.loggers import flow_run_logger
from prefect.utilities.urls import url_for

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.load_stats import how_to_repeat, what_is_kept
from cfpb_etl.orchestration.errors import NoNotificationBlockError
from cfpb_etl.store.sqlite_file import connect

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State


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
        raise NoNotificationBlockError(name, _in_one_line(str(error))) from error
    if not isinstance(block, NotificationBlock):
        raise NoNotificationBlockError(name, f"it is a {type(block).__name__}")
    return block


def notify_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell whom the run's parameter `notify` names that it has failed, or crashed.

    It is a hook for a flow's `on_failure` and `on_crashed`. Of a served run whose process is killed
    Prefect calls it where the flow is served. That nobody can be told is a warning: the failure
    itself is what matters.
    """
    name = flow_run.parameters.get("notify")
    # Read directly: `state.result()` would wait for a result that is already here.
    error = getattr(state.data, "result", state.data)
    # A name that is none can tell nobody; who interrupts a run need not be told.
    if not name or isinstance(error, (NoNotificationBlockError, KeyboardInterrupt)):
        return
    log = flow_run_logger(flow_run, flow)
    word = "crashed" if state.is_crashed() else "failed"
    said = str(error if isinstance(error, Exception) else state.message)
    look = url_for("flow-run", obj_id=flow_run.id) or f"prefect flow-run logs {flow_run.id}"
    lines = (
        f"The run {flow_run.name} of {flow.name} {word}: {_in_one_line(said)}",
        _kept(flow_run, error),
        f"To look at the run: {look}",
    )
    try:
        block = notification_block(name)
        with block.raise_on_failure():  # most blocks would say nothing
            block.notify("\n\n".join(lines), f"{flow.name} {word}")
    except Exception as problem:  # noqa: BLE001 - each block has errors of its own
        log.warning("%s could not be told that the run %s: %s", name, word, _described(problem))
    else:
        log.info("Told %s that the run %s", name, word)


def _kept(flow_run: FlowRun, error: object) -> str:
    database = Path(str(flow_run.parameters.get("database")))
    again = how_to_repeat(flow_run)
    rows, limit = 0, None
    with suppress(sqlite3.Error), closing(connect(database)) as connection:
        rows, limit = connection.execute(
            "SELECT complaints_read, complaint_limit FROM load WHERE flow_run_id = ?",
            (str(flow_run.id),),
        ).fetchone() or (0, None)
    kept = what_is_kept(rows, database, limited=limit is not None, again=again)
    # An error of ours says itself what to do.
    return kept if rows or isinstance(error, CfpbEtlError) else f"{kept} {again}."


def _described(problem: Exception) -> str:
    if isinstance(problem, httpx.HTTPStatusError):  # its words hold the address, which is a secret
        return f"it answered {problem.response.status_code}"
    return _in_one_line(str(problem)) or type(problem).__name__


def _in_one_line(words: str) -> str:
    return " ".join(words.split())
