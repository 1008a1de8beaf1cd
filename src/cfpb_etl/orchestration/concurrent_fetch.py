"""The parallel fetching of parts, while the flow parses and stores."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectConcurrentFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from cfpb_etl.errors import ExitCode
from cfpb_etl.model.part import RawPart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from prefect import Task
    from prefect.futures import PrefectFuture

    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Source
    from cfpb_etl.orchestration.outcome import RunOutcome

_SECONDS_TO_END = 5  # Prefect looks every 3 s whether the process of a cancelled run has ended


class InterruptibleTaskRunner(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool, which does not wait for its threads after Ctrl-C.

    A thread cannot be interrupted while it sleeps before a retry or waits for a slow answer.
    With Prefect's own pool, an interrupted flow would run until the thread ends.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Abandon the threads if the flow is interrupted, but not if an error ended it."""
        if exc_type is not None and not issubclass(exc_type, Exception) and self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)


def end_deployed_process(error: BaseException | None) -> None:
    """End the process of an interrupted run when it waits only for abandoned threads.

    Only a run of a deployment has a process of its own. When such a run is cancelled, Prefect sends
    SIGTERM, and kills a process that lives 30 s longer. At its exit, Python first lets Prefect send
    its last events and log lines. Then it ends the idle threads of all pools at once, and waits for
    the others. If Prefect needs too long for the first step, the process ends too.

    Args:
        error: The exception that interrupts the run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return
    exit_code = 0 if isinstance(error, TerminationSignal) else ExitCode.INTERRUPTED
    pool = ThreadPoolExecutor(1)
    idle = pool.submit(threading.current_thread).result()

    def end(_pool: ThreadPoolExecutor) -> None:  # without its pool, the idle thread would end
        idle.join(_SECONDS_TO_END)
        os._exit(exit_code)

    threading.Thread(target=end, args=(pool,), daemon=True).start()


class ConcurrentFetch:
    """Fetches parts, at most `source.max_concurrency` at a time, and yields each fetched part.

    The next fetches are submitted before a part is yielded, so fetching continues while the caller
    parses and stores. Futures are dropped at once, because a Prefect future keeps its result in
    memory.

    Args:
        fetch: The task that fetches one part.
        source: The source of the parts.
        parts: The first parts to fetch.
        outcome: The outcome of the run, which records each fetch.
    """

    def __init__(
        self,
        fetch: Task[[Any, Any], RawPart],
        source: Source,
        parts: Sequence[Part],
        outcome: RunOutcome,
    ) -> None:
        self._fetch = fetch
        self._source = source
        self._outcome = outcome
        self._waiting = deque(parts)
        self._in_flight: dict[PrefectFuture[RawPart], datetime] = {}
        self._fetched: deque[RawPart] = deque()

    def __iter__(self) -> Iterator[RawPart]:
        """Yield each part after it is fetched."""
        self._submit()
        while self._in_flight or self._fetched:
            if not self._fetched:
                self._take(next(as_completed([*self._in_flight])))
            yield self._fetched.popleft()

    def submit_next(self) -> None:
        """Submit more fetches if some parts were fetched while the caller was busy."""
        if self._fetched:
            return
        for future in filter(_is_done, [*self._in_flight]):
            # A failure is raised later, after the parts before it are stored.
            if isinstance(future.result(raise_on_failure=False), RawPart):
                self._take(future)

    def _take(self, future: PrefectFuture[RawPart]) -> None:
        submitted = self._in_flight.pop(future)
        try:
            raw = future.result()
        except Exception as error:
            self._outcome.record_failure(self._fetch, submitted, _end_of(future), error)
            raise
        self._outcome.record_success(self._fetch, submitted, _end_of(future), raw)
        in_flight = len(self._in_flight) + len(self._waiting)
        raw.next_parts = self._source.split(raw, in_flight)
        self._waiting.extendleft(reversed(raw.next_parts))
        self._fetched.append(raw)
        self._submit()

    def _submit(self) -> None:
        while self._waiting and len(self._in_flight) < self._source.max_concurrency:
            part = self._waiting.popleft()
            self._in_flight[self._fetch.submit(self._source, part)] = datetime.now(UTC)


def _is_done(future: PrefectFuture[RawPart]) -> bool:
    # Prefect's `wait` with a timeout of 0 checks nothing, and `future.state` asks the server.
    return isinstance(future, PrefectConcurrentFuture) and future.wrapped_future.done()


def _end_of(future: PrefectFuture[RawPart]) -> datetime:
    # After `result`, a future has its final state, so the server is not asked.
    return future.state.timestamp
