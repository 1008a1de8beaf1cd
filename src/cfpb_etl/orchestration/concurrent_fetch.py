"""The parallel fetching of parts, while the flow parses and stores."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Executor, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner

from cfpb_etl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from prefect import Task
    from prefect.futures import PrefectFuture

    from cfpb_etl.model.part import Part, RawPart
    from cfpb_etl.model.source import Source
    from cfpb_etl.orchestration.reporting.outcome import RunOutcome

_SECONDS_TO_END = 5  # Prefect looks every 3 s whether the process of a cancelled run has ended


class _DaemonThreads(Executor):
    """Runs each call in a thread of its own, for which Python does not wait at its exit."""

    def __init__(self) -> None:
        self._running: dict[Future[Any], threading.Thread] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - of any call
        """Start a call, and return its future."""
        future: Future[Any] = Future()

        def run() -> None:
            with suppress(InvalidStateError):  # if it is abandoned
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # noqa: BLE001 - the caller of `result` gets it
                    future.set_exception(error)
            self._running.pop(future, None)

        future.set_running_or_notify_cancel()
        self._running[future] = threading.Thread(target=run, daemon=True)
        self._running[future].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Python's
        """Wait for the threads, or abandon them."""
        for thread in [*self._running.values()] if wait else ():
            thread.join()

    def interrupt(self) -> None:
        """Let the caller of each future get the exception of Ctrl-C, and abandon the threads."""
        for future in [*self._running]:
            with suppress(InvalidStateError):
                future.set_exception(KeyboardInterrupt())


class InterruptibleTaskRunner(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool, which does not wait for its threads after Ctrl-C.

    A thread cannot be interrupted while it sleeps before a retry or waits for a slow answer.
    With Prefect's own pool, an interrupted flow would run until the thread ends, and so would a
    program that exits.
    """

    def __enter__(self) -> Self:
        """Start without threads."""
        super().__enter__()
        self._executor = _DaemonThreads()  # type: ignore[assignment]  # Prefect expects a pool
        return self

    def interrupt(self) -> None:
        """Interrupt a flow that waits for its threads. Another thread calls this."""
        if isinstance(self._executor, _DaemonThreads):
            self._executor.interrupt()

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

    If the flow's task runner uses other processes, and the source must be fetched in the process of
    the flow, then each part is fetched here when the caller asks for it.

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
        self._submitted_source = _submitted(source)
        self._outcome = outcome
        self._waiting = deque(parts)
        self._in_flight: dict[PrefectFuture[RawPart], datetime] = {}
        self._done: SimpleQueue[tuple[PrefectFuture[RawPart], datetime]] = SimpleQueue()
        self._fetched: deque[RawPart] = deque()
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[RawPart]:
        """Yield each part after it is fetched."""
        if self._submitted_source is None:
            while self._waiting:
                part = self._waiting.popleft()
                self._add(self._outcome.run(self._fetch, self._source, part))
                yield self._fetched.popleft()
            return
        self._submit()
        while self._fetched or self._error or self._in_flight:
            if self._fetched:
                yield self._fetched.popleft()
            elif self._error:
                raise self._error
            else:
                self._take(*self._next_end())

    def submit_next(self) -> None:
        """Submit more fetches if some parts were fetched while the caller was busy."""
        if self._fetched:
            return
        # A failure is raised later, after the parts before it are stored.
        with suppress(Empty):
            while True:
                self._take(*self._done.get_nowait())

    def _next_end(self) -> tuple[PrefectFuture[RawPart], datetime]:
        """Wait until a fetch has ended. Return it, with the moment of its end."""
        return self._done.get()

    def _take(self, future: PrefectFuture[RawPart], ended: datetime) -> None:
        submitted = self._in_flight.pop(future)
        try:
            raw = future.result()
        except Exception as error:  # noqa: BLE001 - of any task runner; it is raised later
            self._outcome.record_failure(self._fetch, submitted, ended, error)
            self._error = self._error or error
            return
        self._outcome.record_success(self._fetch, submitted, ended, raw)
        self._add(raw)
        self._submit()

    def _add(self, raw: RawPart) -> None:
        in_flight = len(self._in_flight) + len(self._waiting)
        raw.next_parts = self._source.split(raw, in_flight)
        self._waiting.extendleft(reversed(raw.next_parts))
        self._fetched.append(raw)

    def _submit(self) -> None:
        if self._error:
            return
        while self._waiting and len(self._in_flight) < self._source.max_concurrency:
            part = self._waiting.popleft()
            future = self._fetch.submit(self._submitted_source, part)
            self._in_flight[future] = datetime.now(UTC)
            future.add_done_callback(self._note_end)

    def _note_end(self, future: PrefectFuture[RawPart]) -> None:
        """Note when a fetch has ended by the clock of this computer. Any thread may call this."""
        self._done.put((future, datetime.now(UTC)))


def _submitted(source: Source) -> Source | None:
    """Return the source for the flow's task runner; None if it cannot fetch the source."""
    context = FlowRunContext.get()
    if context is None or isinstance(context.task_runner, ThreadPoolTaskRunner):
        return source
    with get_client(sync_client=True) as prefect:
        return source.for_other_processes(counted_at=str(prefect.api_url).rstrip("/"))
