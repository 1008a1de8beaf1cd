"""The flow runs unchanged on other task runners: a real Dask cluster, and a pool of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import urljoin

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ProcessPoolTaskRunner

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve, write_bulk_file
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.errors import NoAddressError, UnknownQueryError
from cfpb_etl.fetch.http.addresses import keep
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.orchestration.concurrent_fetch import ConcurrentFetch
from support.faults import Delayed, Faulty, stalled, throttled, unavailable_html
from support.prefect_runs import error_of, last_load, rows, texts
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import LocalCluster
    from prefect.client.schemas.objects import State
    from prefect.task_runners import TaskRunner
    from starlette.types import ASGIApp, Receive, Scope, Send

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

SECONDS = 60  # after which a test fails that waits for something
COMPLAINTS = generate_complaints(4_500)  # five pages of 1,000
PROGRAM = [sys.executable, "-m", "support.dask_run"]
LIMIT = RateLimit(3, 1)
VARIABLE = "CFPB_ETL_ADDRESS"  # a variable that only the workers have


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Start a Dask scheduler and two worker processes with three threads each."""
    import distributed

    make: Any = distributed.LocalCluster  # it has no types
    with make(n_workers=2, threads_per_worker=3, processes=True, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def dask(cluster: LocalCluster) -> Any:
    """Return a task runner of the cluster."""
    from prefect_dask.task_runners import DaskTaskRunner

    return DaskTaskRunner(address=cluster.scheduler_address)


class Timed:
    """An application that notes when each request came."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.moments: list[float] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the moment, and answer."""
        self.moments.append(time.monotonic())
        await self._app(scope, receive, send)

    def most_in(self, seconds: float) -> int:
        """Return the largest number of requests in any window of this length."""
        return max(
            sum(start <= each < start + seconds for each in self.moments) for start in self.moments
        )


def run_on(runner: TaskRunner[Any] | None, source: Any, folder: Path, **options: Any) -> State[Any]:
    """Run the flow on a task runner; None for the flow's own."""
    folder.mkdir(exist_ok=True)
    flow = load_complaints if runner is None else load_complaints.with_options(task_runner=runner)
    return load_source(source, folder / "complaints.db", folder / "flow.svg", flow=flow, **options)


def figures(folder: Path) -> list[str]:
    """Return the figures in the picture of a run, without times."""
    return [text for text in texts(folder) if "run" in text or "retr" in text or "needed" in text]


def eventually(condition: Any) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


# --- what is fetched ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Timed]:
    """Run the flow on its own runner, and return the folder and the requests."""
    return _run_with_faults(None, tmp_path_factory.mktemp("own"))


def _run_with_faults(runner: TaskRunner[Any] | None, folder: Path) -> tuple[Path, Timed]:
    app = Timed(Faulty(Emulator(COMPLAINTS), {2: throttled(1), 3: unavailable_html()}))
    with serve(app) as url:
        source = SearchApi(url=url, rate_limit=LIMIT, page_size=1_000)
        assert run_on(runner, source, folder).is_completed()
    return folder, app


@pytest.mark.parametrize("kind", ["dask", "processes"])
def test_a_run_is_the_same_on_any_runner(
    kind: str, own_run: tuple[Path, Timed], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The rows and the picture's figures are equal, and no window has more requests than allowed.

    There are a 429 and a 503 among the answers. The retries count against the limit.
    """
    runner: Any = ProcessPoolTaskRunner(max_workers=2)
    if kind == "dask":
        runner = request.getfixturevalue("dask")
    own, answered = own_run
    _, app = _run_with_faults(runner, tmp_path)

    assert rows(tmp_path) == rows(own)
    assert len(rows(own)) == len(COMPLAINTS)
    assert figures(tmp_path) == figures(own)
    assert "▲ 2 retries" in figures(own)
    assert not any("not needed" in text for text in texts(tmp_path))
    assert len(app.moments) == len(answered.moments) == 7
    assert app.most_in(LIMIT.seconds) <= LIMIT.requests


def test_a_worker_is_killed(cluster: LocalCluster, dask: Any, tmp_path: Path) -> None:
    """Dask repeats what the worker was fetching, which counts against the limit too."""
    killed = threading.Event()
    # Slow answers make the source fetch several windows at a time.
    emulator = Faulty(Delayed(Emulator(COMPLAINTS), 1), {4: stalled(killed), 6: throttled(1)})
    app = Timed(emulator)

    def kill() -> None:
        eventually(lambda: len(emulator.requests) >= 4)
        scheduler: Any = cluster.scheduler
        busy = {each.name for each in scheduler.workers.values() if each.processing}
        worker: Any = cluster.workers[busy.pop()]
        os.kill(worker.pid, signal.SIGKILL)
        eventually(lambda: worker.pid is None or worker.status.name != "running")
        killed.set()

    with serve(app) as url:
        source = SearchApi(url=url, rate_limit=LIMIT, page_size=750)
        killer = threading.Thread(target=kill)
        killer.start()
        state = run_on(dask, source, tmp_path)
        killer.join()

    assert killed.is_set()
    assert state.is_completed()
    assert len(rows(tmp_path)) == len(COMPLAINTS)
    assert last_load(tmp_path)["outcome"] == "complete"
    assert app.most_in(LIMIT.seconds) <= LIMIT.requests


def test_a_file_is_fetched_where_the_database_is(dask: Any, tmp_path: Path) -> None:
    """Its download is saved beside the database, which a worker may not have."""
    here: list[str] = []
    fetch = BulkFile.fetch

    def noted(source: BulkFile, part: Any) -> Any:
        here.append(str(part))
        return fetch(source, part)

    files = tmp_path / "files"
    write_bulk_file(files, COMPLAINTS, day=date(2026, 10, 8))
    app = Faulty(Emulator(COMPLAINTS, files=files), {1: unavailable_html()})
    with serve(app) as url, patch.object(BulkFile, "fetch", noted):
        state = run_on(dask, BulkFile(urljoin(url, BULK_PATH)), tmp_path)

    assert state.is_completed()
    assert here == ["complaints.csv.zip"] * 2
    assert len(rows(tmp_path)) == len(COMPLAINTS)
    assert "▲ 1 retry" in " ".join(figures(tmp_path))


def test_the_next_page_is_requested_while_one_is_stored(dask: Any, tmp_path: Path) -> None:
    """The flow sees that a worker has fetched a page, so CFPB need not wait for the store."""
    app = Faulty(Emulator(COMPLAINTS))
    submit_next, requests = ConcurrentFetch.submit_next, iter([3])

    def submit_until_requested(fetching: ConcurrentFetch) -> None:
        wanted = next(requests, 0)  # before the first page is stored

        def is_requested() -> bool:
            submit_next(fetching)
            return len(app.requests) >= wanted

        eventually(is_requested)

    with serve(app) as url, patch.object(ConcurrentFetch, "submit_next", submit_until_requested):
        state = run_on(dask, SearchApi(url=url, rate_limit=LIMIT, page_size=1_000), tmp_path)

    assert state.is_completed()


# --- secrets --------------------------------------------------------------------------------


def test_a_worker_does_not_have_a_query(dask: Any, tmp_path: Path) -> None:
    """The run fails at once, and says what to give instead."""
    with serve(Emulator(COMPLAINTS)) as url:
        address = keep(f"{url}?token=s3cret-t0ken")
        state = run_on(dask, SearchApi(url=address), tmp_path)

    assert state.is_failed()
    assert isinstance(error_of(state), UnknownQueryError)
    assert "another process, give env:NAME or secret:NAME" in str(error_of(state))


def test_a_worker_reads_the_address_itself(
    cluster: LocalCluster, dask: Any, tmp_path: Path
) -> None:
    """`env:NAME` is a variable of the workers."""
    with serve(Emulator(COMPLAINTS)) as url:
        source = SearchApi(url=f"env:{VARIABLE}", limit=100)
        missing = run_on(dask, source, tmp_path)
        with _client(cluster) as client:
            client.run(exec, f"import os; os.environ[{VARIABLE!r}] = '{url}?token=s3cret-t0ken'")
        state = run_on(dask, source, tmp_path)

    assert isinstance(error_of(missing), NoAddressError)
    assert state.is_completed()
    assert len(rows(tmp_path)) == 100


def _client(cluster: LocalCluster) -> Any:
    import distributed

    make: Any = distributed.Client
    return make(cluster, set_as_default=False)


# --- interruptions --------------------------------------------------------------------------


def test_an_interrupted_run_ends(cluster: LocalCluster, tmp_path: Path) -> None:
    """Fetched pages are stored while a worker waits for ten minutes, and the run does not wait."""
    emulator = Faulty(Emulator(COMPLAINTS), {2: throttled(600)})
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    with serve(emulator) as url:
        program = subprocess.Popen(
            [*PROGRAM, cluster.scheduler_address, url, str(tmp_path)],
            cwd=Path(__file__).parents[1],
            env=environment,
            stderr=subprocess.PIPE,
        )
        eventually(lambda: len(emulator.requests) == 2)
        eventually(lambda: len(rows(tmp_path)) == 1_000)
        program.send_signal(signal.SIGINT)
        _, log = program.communicate(timeout=SECONDS)

    assert program.returncode == -signal.SIGINT, log
    assert last_load(tmp_path)["outcome"] == "interrupted"
