"""Calls of the flow in one process without a Prefect server, and what they leave unchanged."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
import pytest
from prefect import flow, task
from prefect.context import FlowRunContext, get_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    temporary_settings,
)

from cfpb_etl import CfpbEtlError, LoadStats, aload_complaints, load_complaints
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.orchestration.errors import PrefectUnreachableError
from cfpb_etl.orchestration.prefect_server import server
from cfpb_etl.store.errors import NotADatabaseError
from support import faults
from support.faults import Faulty
from support.prefect_runs import finished_task_runs
from support.program import query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SAMPLE: dict[str, Any] = {"source": "sample", "limit": 100, "graph": None}


@pytest.fixture(scope="module", autouse=True)
def without_server(
    prefect_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Begin with settings that have no server. All tests share the temporary server."""
    home = {"home": tmp_path_factory.mktemp("home"), PREFECT_SERVER_EPHEMERAL_ENABLED: True}
    with temporary_settings(home, restore_defaults={PREFECT_API_URL}):
        yield
        server.prefect_server().kill()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def children() -> list[int]:
    """Return the processes of the temporary servers."""
    found = psutil.Process().children(recursive=True)
    return [each.pid for each in found if "prefect_server.process" in " ".join(each.cmdline())]


def surroundings() -> list[Any]:
    """Return what a call must leave as it is."""
    loggers = [logging.getLogger(name) for name in (None, "prefect.flow_runs", "prefect.task_runs")]
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    return [
        dict(os.environ),
        get_settings_context(),
        get_settings_context().settings.model_dump(),
        [(each.level, [*each.handlers], ours_among(each.filters)) for each in loggers],
        [signal.getsignal(number) for number in numbers],
        (gc.isenabled(), gc.get_threshold()),
    ]


def ours_among(filters: list[Any]) -> list[Any]:
    """Leave out the filters of Prefect, which adds one for each run."""
    return [each for each in filters if not type(each).__module__.startswith("prefect.")]


def test_calls_share_a_server_and_leave_no_traces() -> None:
    """Settings, variables, signals, logs and garbage collection are as before the call."""
    before = surroundings()
    frozen = gc.get_freeze_count()

    stats = load_complaints(**SAMPLE)
    servers = children()
    repeated = load_complaints(**SAMPLE, database="second.db")

    assert isinstance(stats, LoadStats)
    assert (repeated.rows, repeated.new) == (100, 100)
    assert len(servers) == 1
    assert children() == servers
    assert surroundings() == before
    # An earlier test can have frozen objects, and those that end are no longer counted.
    assert gc.get_freeze_count() <= frozen


def test_threads_load_at_once() -> None:
    """Each thread has a database of its own. They use one server."""
    with ThreadPoolExecutor(4) as pool:
        calls = [partial(load_complaints, **SAMPLE, database=f"{n}.db") for n in range(4)]
        loads: Any = [pool.submit(copy_context().run, call) for call in calls]

    assert [each.result().new for each in loads] == [100] * 4
    assert len(children()) == 1


def test_calls_with_a_running_loop() -> None:
    """As in a notebook; and awaited, several at once."""

    async def main() -> list[int]:
        sync = load_complaints(**SAMPLE, database="sync.db")
        awaited = [aload_complaints(**SAMPLE, database=f"{number}.db") for number in range(2)]
        return [each.new for each in (sync, *await asyncio.gather(*awaited))]

    assert asyncio.run(main()) == [100] * 3
    assert len(children()) == 1


@pytest.mark.parametrize("times", [1, 2])
def test_options_keep_the_server(times: int) -> None:
    """A flow with other options also uses the temporary server of this package."""
    changed: Any = load_complaints
    for _ in range(times):
        changed = changed.with_options(name="nightly", retries=2, retry_delay_seconds=0)

    state: Any = changed(**SAMPLE, return_state=True)

    assert (changed.name, changed.retries) == ("nightly", 2)
    assert state.is_completed()
    assert state.result().rows == 100
    assert len(children()) == 1


def test_errors_are_named_and_short(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The caller and the log get the message, without the frames of Prefect."""
    (tmp_path / "sample.db").write_text("no database" * 100)
    calls: Any = (
        partial(load_complaints, **SAMPLE),
        lambda: asyncio.run(aload_complaints(**SAMPLE)),
    )
    for call in calls:
        with pytest.raises(NotADatabaseError, match="is damaged or is not SQLite") as failed:
            call()
        assert not [each for each in failed.traceback if "/prefect/" in str(each.path)]
    state: Any = load_complaints(**SAMPLE, return_state=True)
    assert isinstance(state.result(raise_on_failure=False), CfpbEtlError)

    assert "Encountered exception during execution: NotADatabaseError" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_cancelled_await_interrupts_the_load() -> None:
    """The load ends at once, and the same call resumes it."""
    with serve(Faulty(Emulator(generate_complaints(12_000)), {2: faults.stalled()})) as url:

        async def main() -> None:
            load = asyncio.create_task(
                aload_complaints(api_url=url, since="2011-12-01", graph=None)
            )
            while not await asyncio.to_thread(stored_rows):
                assert not load.done(), load.result()
            load.cancel()
            with pytest.raises(asyncio.CancelledError):
                await load

        asyncio.run(main())
        assert query("complaints.db", "SELECT outcome, rows FROM load") == [("interrupted", 10_000)]

        stats = load_complaints(api_url=url, since="2011-12-01", graph=None)
    assert (stats.rows, stats.new) == (12_000, 12_000)
    outcomes = query("complaints.db", "SELECT outcome FROM load")
    assert outcomes[-1] == ("complete",)


def stored_rows() -> int:
    """Return how many complaints the database has."""
    try:
        return int(query("complaints.db", "SELECT COUNT(*) FROM complaint")[0][0])
    except Exception:  # noqa: BLE001 - it does not exist yet
        return 0


def users_url() -> str:
    """Return the address of the tests' server, which other threads have in their settings."""
    with ThreadPoolExecutor(1) as pool:
        return str(pool.submit(PREFECT_API_URL.value).result())


@task
def loaded_in_a_task() -> tuple[int, str]:
    """Load within a task."""
    return load_complaints(**SAMPLE, database="task.db").rows, str(PREFECT_API_URL.value())


@flow
def parent() -> tuple[UUID, Any, Any]:
    """Load as a subflow, and in a task."""
    context = FlowRunContext.get()
    assert context is not None
    rows = load_complaints(**SAMPLE, database="subflow.db").rows
    return context.flow_run.id, (rows, str(PREFECT_API_URL.value())), loaded_in_a_task()  # type: ignore[union-attr]


def test_other_flows_use_their_own_server() -> None:
    """A run in another flow uses the server of this flow, and so do the events of all its runs.

    The calls before have sent their events to the temporary server.
    """
    load_complaints(**SAMPLE)
    with temporary_settings({PREFECT_API_URL: users_url()}):
        run_id, subflow, in_task = parent()
        names = [each.name for each in finished_task_runs(run_id, 3)]

    assert subflow == in_task == (100, users_url())
    assert sorted(name.partition("-")[0] for name in names) == ["cfpb", "cfpb", "loaded_in_a_task"]


def test_the_temporary_server_gets_the_runs_after_a_load_on_another_server() -> None:
    """Prefect's service for events was started for the user's server."""
    with temporary_settings({PREFECT_API_URL: users_url()}):
        load_complaints(**SAMPLE)

    state: Any = load_complaints(**SAMPLE, return_state=True)

    with temporary_settings({PREFECT_API_URL: server.prefect_server().api_url}):
        names = [each.name for each in finished_task_runs(state.state_details.flow_run_id, 3)]
    assert sorted(name.partition(" ")[0] for name in names) == ["fetch", "parse", "store"]


@pytest.mark.parametrize("validated", [True, False])
def test_an_iterator_filters_as_a_list_does(*, validated: bool) -> None:
    """An iterator has its values only once, and the check, Prefect and the flow read them."""
    changed: Any = load_complaints.with_options(validate_parameters=validated)

    stats = changed(**SAMPLE, state=(code for code in ["ca", "NY"]))

    assert stats.rows == 100
    states = query("sample.db", "SELECT DISTINCT state FROM complaint ORDER BY state")
    assert states == [("CA",), ("NY",)]


def test_a_server_in_the_settings_must_answer() -> None:
    """The error is that of the command line, and no temporary server is used instead."""
    settings = {PREFECT_API_URL: "http://127.0.0.1:9/api", "client.max_retries": 0}
    with temporary_settings(settings), pytest.raises(PrefectUnreachableError) as failed:
        load_complaints(**SAMPLE)

    assert "http://127.0.0.1:9/api does not answer" in str(failed.value)


def test_a_new_server_after_the_end_of_the_first() -> None:
    """A call after the server's end starts another one."""
    load_complaints(**SAMPLE)
    (first,) = children()
    died = server.prefect_server().died
    psutil.Process(first).kill()
    died.wait(30)

    assert load_complaints(**SAMPLE).rows == 100
    assert len(children()) == 1
    assert children() != [first]
