"""Parts are fetched in parallel, while the flow parses and stores."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ProcessPoolTaskRunner

from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.orchestration.concurrent_fetch import ConcurrentFetch
from cfpb_etl.orchestration.reporting.outcome import RunOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.usefixtures("prefect_server")

SECONDS = 30  # after which a test fails that waits for an event


class Source:
    """A source whose parts are names.

    Args:
        next_parts: Which parts follow a part.
        max_concurrency: How many may be fetched in parallel.
        failing: The parts that cannot be fetched.
        waiting: Parts whose fetch ends only when another one has started.

    Attributes:
        started: For each part, whether its fetch has started.
        ended: For each part, whether its fetch has ended.
        most: The largest number of parallel fetches.
        splits: The part and the number of others in flight, for each call of `split`.
    """

    def __init__(
        self,
        next_parts: dict[str, Sequence[str]] | None = None,
        max_concurrency: int = 1,
        failing: str = "",
        waiting: dict[str, str] | None = None,
    ) -> None:
        self.max_concurrency = max_concurrency
        self.started: dict[str, threading.Event] = defaultdict(threading.Event)
        self.ended: dict[str, threading.Event] = defaultdict(threading.Event)
        self.most = 0
        self.splits: list[tuple[str, int]] = []
        self._next_parts = next_parts or {}
        self._failing = failing
        self._waiting = waiting or {}
        self._running = 0
        self._lock = threading.Lock()

    def fetch(self, part: Any) -> RawPart:
        """Return a part, or fail."""
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        self.started[part].set()
        try:
            if other := self._waiting.get(part):
                assert self.started[other].wait(SECONDS)
                time.sleep(0.2)  # so that the other one, which waits for nothing, arrives first
            if part in self._failing:
                raise ConnectionError(part)
            parts: Any = self._next_parts.get(part, ())
            return RawPart(None, PartInfo(part, part, 10, 10, 10, None), parts)
        finally:
            with self._lock:
                self._running -= 1
            self.ended[part].set()

    def split(self, raw: RawPart, in_flight: int) -> Any:
        """Return the parts that follow."""
        self.splits.append((str(raw), in_flight))
        return raw.next_parts

    def for_other_processes(self, counted_at: str) -> None:
        """Return None: the events are in this process."""
        self.counted_at = counted_at


@task(cache_policy=NO_CACHE)
def fetch(source: Any, part: Any) -> RawPart:
    """Fetch a part."""
    return source.fetch(part)  # type: ignore[no-any-return]


def fetched(
    source: Any,
    parts: Any,
    store: Callable[[ConcurrentFetch, str], object] = lambda *_: None,
    outcome: RunOutcome | None = None,
    **options: Any,
) -> list[str]:
    """Return the parts in the order in which a flow receives and stores them."""
    received: list[str] = []

    @flow(**options)
    def load() -> None:
        fetching = ConcurrentFetch(fetch, source, parts, outcome or RunOutcome())
        for raw in fetching:
            received.append(str(raw))
            store(fetching, str(raw))

    assert load(return_state=True).is_failed() == bool(source._failing)
    return received


def test_a_window_is_continued_before_the_next_one_starts() -> None:
    """Otherwise an interrupted load would have started all windows and finished none."""
    source = Source({"a1": ["a2"], "a2": ["a3"], "b1": ["b2"]})

    assert fetched(source, ["a1", "b1"]) == ["a1", "a2", "a3", "b1", "b2"]


def test_parts_are_received_as_they_arrive() -> None:
    """A slow part does not hold up a fast one."""
    source = Source(max_concurrency=2, waiting={"slow": "fast"})

    assert fetched(source, ["slow", "fast"]) == ["fast", "slow"]


def test_at_most_so_many_fetches_are_parallel() -> None:
    """The source says how many."""
    parts = [f"part {number}" for number in range(9)]
    source = Source(max_concurrency=3, waiting={parts[0]: parts[2], parts[1]: parts[2]})

    assert sorted(fetched(source, parts)) == parts
    assert source.most == 3


def test_the_next_part_is_fetched_while_one_is_stored() -> None:
    """Its fetch is submitted before the part is handed out."""
    source = Source({"a1": ["a2"]})
    started: list[bool] = []

    def store(_fetching: ConcurrentFetch, part: str) -> None:
        if part == "a1":
            started.append(source.started["a2"].wait(SECONDS))

    assert fetched(source, ["a1"], store) == ["a1", "a2"]
    assert started == [True]


@pytest.mark.parametrize("submits", [True, False])
def test_a_part_that_arrived_meanwhile_is_followed_up(*, submits: bool) -> None:
    """The flow calls `submit_next` between parsing and storing, so the server need not wait."""
    source = Source({"a1": ["a2"], "a2": ["a3"]})
    started: list[bool] = []

    def store(fetching: ConcurrentFetch, part: str) -> None:
        if part == "a1":
            assert source.ended["a2"].wait(SECONDS)
            deadline = time.monotonic() + (SECONDS if submits else 1)
            while not source.started["a3"].is_set() and time.monotonic() < deadline:
                if submits:
                    fetching.submit_next()
                time.sleep(0.01)
            started.append(source.started["a3"].is_set())

    assert fetched(source, ["a1"], store) == ["a1", "a2", "a3"]
    assert started == [submits]


def test_all_parts_that_arrived_meanwhile_are_followed_up() -> None:
    """All windows go on while one part is stored, not only the window that ended first."""
    source = Source({"a1": ["a2"], "b1": ["b2"], "c1": ["c2"]}, max_concurrency=3)
    started: list[bool] = []

    def store(fetching: ConcurrentFetch, _part: str) -> None:
        if not started:
            deadline = time.monotonic() + SECONDS
            while fetching._done.qsize() < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            fetching.submit_next()
            started.extend(source.started[name].wait(SECONDS) for name in ("a2", "b2", "c2"))

    assert sorted(fetched(source, ["a1", "b1", "c1"], store)) == [
        "a1",
        "a2",
        "b1",
        "b2",
        "c1",
        "c2",
    ]
    assert started == [True] * 3


def test_a_failure_is_raised_when_its_part_is_due() -> None:
    """The parts that arrived before it are stored first."""
    source = Source(max_concurrency=2, failing="b", waiting={"b": "a"})
    outcome = RunOutcome()
    stored: list[str] = []

    def store(fetching: ConcurrentFetch, part: str) -> None:
        assert source.ended["b"].wait(SECONDS)
        time.sleep(0.5)  # until Prefect has noticed, too
        fetching.submit_next()
        stored.append(part)

    assert fetched(source, ["a", "b"], store, outcome) == ["a"]
    assert stored == ["a"]
    figures = outcome.tasks["fetch"]
    assert (figures.completed, figures.failed, figures.error) == (1, 1, "b")


def test_a_source_splits_by_what_is_in_flight() -> None:
    """Parts that wait to be submitted count too."""
    source = Source({"a": ["c"]}, max_concurrency=1)

    assert fetched(source, ["a", "b"]) == ["a", "c", "b"]
    assert source.splits == [("a", 1), ("c", 1), ("b", 0)]


def test_a_source_of_this_process_is_fetched_here() -> None:
    """The flow's task runner has other processes, which could not fetch such a source."""
    source, outcome = Source({"a": ["b"]}, failing="c"), RunOutcome()

    received = fetched(
        source, ["a", "c"], outcome=outcome, task_runner=ProcessPoolTaskRunner(max_workers=1)
    )

    assert received == ["a", "b"]
    assert source.splits == [("a", 1), ("b", 1)]
    figures = outcome.tasks["fetch"]
    assert (figures.completed, figures.failed, figures.rows) == (2, 1, 20)
    assert source.counted_at == PREFECT_API_URL.value()


@pytest.mark.parametrize("source", [BulkFile(), Archive(), SearchApi(kind="sample")])
def test_sources_that_need_this_process(source: Any) -> None:
    """Files are saved beside the database, and the sample's server is in this process."""
    assert source.for_other_processes("https://prefect.example/api") is None


def test_the_search_api_shares_its_limit() -> None:
    """Nothing but the place of counting changes."""
    source = SearchApi(rate_limit=RateLimit(3, 9)).for_other_processes("https://prefect.example/")

    limit = RateLimit(3, 9, "https://prefect.example/")
    assert source == SearchApi(rate_limit=limit)
    assert SearchApi(rate_limit=None).for_other_processes("x") == SearchApi(rate_limit=None)


def test_a_run_imports_nothing_of_dask() -> None:
    """A run on a laptop starts no slower if the extra is installed."""
    program = "import sys, cfpb_etl.flow; print([*sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "cfpb_etl.orchestration.shared_rate_limit" in done.stdout
    assert not re.search(r"'(dask|distributed|prefect_dask|ray)\b", done.stdout)
