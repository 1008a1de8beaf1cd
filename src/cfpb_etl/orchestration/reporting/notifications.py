"""Notifications about failed runs, sent by a notification block of Prefect."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from prefect.logging.loggers import flow_run_logger
from prefect.utilities.urls import url_for

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.events import Warned, emit
from cfpb_etl.model.wording import REPEAT_COMMAND, what_is_saved
from cfpb_etl.orchestration.errors import NoNotificationBlockError
from cfpb_etl.orchestration.prefect_server.loopback import users_proxies
from cfpb_etl.parameters.load_parameters import COMPLAINTS, SAMPLE
from cfpb_etl.plain_text import plain, without_secrets
from cfpb_etl.store.sqlite_file import connect

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State


def load_notification_block(name: str) -> Any:  # noqa: ANN401 - its methods are typed as coroutines
    """Return the notification block with the name `TYPE/NAME`, such as `slack-webhook/team`.

    Raises:
        NoNotificationBlockError: If the block does not exist, or is not for notifications.
    """
    # These modules take a third of a second to import, and only some runs need them.
    import prefect.blocks.notifications  # noqa: F401, PLC0415 - registers the types of blocks
    from prefect.blocks.abstract import NotificationBlock  # noqa: PLC0415
    from prefect.blocks.core import Block  # noqa: PLC0415

    try:
        block = Block.load(name)
    except (ValueError, KeyError, RuntimeError) as error:
        raise NoNotificationBlockError(name=name, detail=_in_one_line(str(error))) from error
    if not isinstance(block, NotificationBlock):
        raise NoNotificationBlockError(name=name, detail=f"it is a {type(block).__name__}")
    return block


def notify_of_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Notify the block in the run's parameter `notify` that the run failed or crashed.

    This function is a hook for a flow's `on_failure` and `on_crashed`. If the process of a served
    run is killed, Prefect calls the hook in the process that serves the flow. If a notification
    cannot be sent, the run gets a warning.
    """
    name = flow_run.parameters.get("notify")
    # The run's result is read directly, because `state.result()` would wait for the result again.
    error = getattr(state.data, "result", state.data)
    # A block with a wrong name cannot be notified. After Ctrl-C, the user needs no notification.
    if not name or isinstance(error, (NoNotificationBlockError, KeyboardInterrupt)):
        return
    log = flow_run_logger(flow_run, flow)
    ended = "crashed" if state.is_crashed() else "failed"
    reason = str(error if isinstance(error, Exception) else state.message)
    link = url_for("flow-run", obj_id=flow_run.id) or f"prefect flow-run logs {flow_run.id}"
    lines = (
        f"The run '{flow_run.name}' of {flow.name} {ended}: {_in_one_line(reason)}",
        _saved(flow_run, error),
        f"See the run: {link}",
    )
    try:
        block = load_notification_block(name)
        # Without `raise_on_failure`, most blocks ignore an error.
        with users_proxies(), block.raise_on_failure():
            block.notify("\n\n".join(lines), f"{flow.name} {ended}")
    except Exception as problem:  # noqa: BLE001 - each block has its own errors
        warning = f"{name} could not be notified that the run {ended}: {_reason(problem)}"
        log.warning("%s", warning)
        emit(Warned(warning))
    else:
        log.info("Notified %s that the run %s", name, ended)


def how_to_repeat(run: FlowRun | None) -> str:
    """Return how to repeat a run. The user of a deployment did not type a command."""
    if run is None or run.deployment_id is None:
        return REPEAT_COMMAND
    return f"Run it again with `prefect flow-run retry {run.id}`"


def _saved(flow_run: FlowRun, error: object) -> str:
    given = flow_run.parameters  # without the defaults, if the run was created through the API
    default = SAMPLE if given.get("source") == "sample" else COMPLAINTS
    database = Path(str(given.get("database") or default))
    repeat = how_to_repeat(flow_run)
    rows, limit = 0, None
    with suppress(sqlite3.Error), closing(connect(database)) as connection:
        rows, limit = connection.execute(
            "SELECT rows, row_limit FROM load WHERE flow_run_id = ?", (str(flow_run.id),)
        ).fetchone() or (0, None)
    saved = what_is_saved(rows, database, limited=limit is not None, repeat=repeat)
    # Errors of this package already say what to do.
    return saved if rows or isinstance(error, CfpbEtlError) else f"{saved} {repeat}."


def _reason(problem: Exception) -> str:
    if isinstance(problem, httpx.HTTPStatusError):  # its text contains the URL, a secret
        return f"it answered {problem.response.status_code}"
    return _in_one_line(str(problem)) or type(problem).__name__


def _in_one_line(text: str) -> str:
    return plain(without_secrets(" ".join(text.split())))
