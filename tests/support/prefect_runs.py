"""Runs of the flow, the complaints that they stored, and the records on Prefect's server."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from cfpb_etl.emulator import serve
from cfpb_etl.fetch.search_api import SearchApi
from support.sources import load_source

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from prefect.client.schemas.objects import State, TaskRun
    from starlette.types import ASGIApp


def finished_task_runs(flow_run_id: UUID, count: int) -> list[TaskRun]:
    """Return the task runs of a flow run, after the server has this many ended task runs.

    The server receives the end of a task run as an event, some time later.
    """
    deadline = time.monotonic() + 60
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            found = client.read_task_runs(flow_run_filter=only)
            if len(found) >= count and all(run.end_time for run in found):
                break
            threading.Event().wait(0.1)
    assert len(found) == count
    return found


def handed_over(task_runs: list[TaskRun]) -> set[tuple[str, str]]:
    """Return the pairs of tasks in which the second took a result of the first (`task_inputs`)."""
    names = {run.id: run.task_key.rpartition("-")[0] for run in task_runs}
    return {
        (names[value.id], names[run.id])
        for run in task_runs
        for values in run.task_inputs.values()
        for value in values
        if value.input_type == "task_run"
    }


def run(app: ASGIApp, folder: Path, **options: Any) -> State[Any]:
    """Run the flow against an application, with 1,000 complaints a page."""
    with serve(app) as url:
        return run_at(url, folder, **options)


def run_at(url: str, folder: Path, *, restart: bool = False, **options: Any) -> State[Any]:
    """Run the flow against a server, with 1,000 complaints a page.

    Args:
        url: The address of the search API.
        folder: Where the database and the picture are written.
        restart: As for the flow.
        options: Fields of `SearchApi`.
    """
    source = SearchApi(**{"url": url, "rate_limit": None, "page_size": 1_000, **options})
    return load_source(source, folder / "complaints.db", folder / "flow.svg", restart=restart)


def error_of(state: State[Any]) -> BaseException:
    """Return the error of a failed run."""
    error = state.result(raise_on_failure=False)
    assert isinstance(error, BaseException)
    return error


def rows(folder: Path, query: str = "SELECT * FROM complaint ORDER BY complaint_id") -> list[Any]:
    """Query the database of a run."""
    with closing(sqlite3.connect(folder / "complaints.db")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def last_load(folder: Path) -> dict[str, Any]:
    """Return the record of the newest load."""
    load: dict[str, Any] = rows(folder, "SELECT * FROM load ORDER BY load_id DESC LIMIT 1")[0]
    return load


def texts(folder: Path) -> list[str]:
    """Return the texts in the picture of a run."""
    root = ET.fromstring((folder / "flow.svg").read_text("utf-8"))  # noqa: S314 - our own picture
    return [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
