"""A flow whose calls start a temporary Prefect server if the settings name none."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import httpx
from prefect import Flow
from prefect.context import FlowRunContext, TaskRunContext
from prefect.states import Completed

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.model.events import Event, LoadCompleted, LoadStarted, PartStored, listening
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.orchestration.concurrent_fetch import InterruptibleTaskRunner
from cfpb_etl.orchestration.errors import PrefectGoneError
from cfpb_etl.orchestration.prefect_server.server import INTERRUPTIONS, prefect_server
from cfpb_etl.orchestration.reporting.run_log import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from cfpb_etl.orchestration.prefect_server.server import TemporaryServer
    from cfpb_etl.orchestration.prefect_server.users_server import UsersServer

P = ParamSpec("P")
R = TypeVar("R")

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_SECONDS_TO_END = 5


class LocalFlow(Flow[P, R]):
    """A flow of Prefect whose calls start a temporary server if the settings have none.

    A run inside another flow or task uses the server of this flow or task. A worker does not call
    the flow, so its runs use the worker's server.

    Args:
        flow: The flow that this one behaves like.
        check: Raises an error for wrong parameters. A call uses it before anything is started.

    Attributes:
        logs_tracebacks: Whether the log has the tracebacks of this package's errors.
    """

    logs_tracebacks = False

    def __init__(self, flow: Flow[P, R], check: Callable[..., object]) -> None:
        self.__dict__.update(flow.__dict__)
        self._check = check

    if not TYPE_CHECKING:  # Prefect's declarations have the names and types of all parameters

        def with_options(self, **options: object) -> LocalFlow[P, R]:
            """Return a flow with other options. It starts a temporary server too."""
            return LocalFlow(super().with_options(**options), self._check)

        def __call__(
            self,
            *args: object,
            return_state: bool = False,
            wait_for: Iterable[Any] | None = None,
            **kwargs: object,
        ) -> object:
            """Run the flow as Prefect does, and return its result or state.

            Raises:
                CfpbEtlError: If a parameter is wrong, the run fails, or there is no server for it.
                TypeError: If there is no parameter of this name.
            """
            # The check, Prefect and each attempt read a value, and an iterator can be read once.
            kwargs = {
                name: tuple(value) if isinstance(value, Iterator) else value
                for name, value in kwargs.items()
            }
            options = {"return_state": return_state, "wait_for": wait_for}
            run = partial(super().__call__, *args, **options, **kwargs)
            if FlowRunContext.get() or TaskRunContext.get():
                return run()
            try:
                parameters = inspect.signature(self.fn).bind(*args, **kwargs)
            except TypeError as error:  # Prefect's own would quote the types of all parameters
                raise TypeError(f"{self.fn.__name__}() {error}") from None
            try:
                self._check(*parameters.args, **parameters.kwargs)
            except CfpbEtlError as error:
                raise error.with_traceback(None) from None
            return self._run(run, return_state=return_state)

    def _run(self, run: Callable[[], Any], *, return_state: bool) -> Any:  # noqa: ANN401 - a result or state
        progress = _Progress()
        server = prefect_server()
        failure: BaseException
        try:
            with server.running(), listening(progress), self._without_tracebacks():
                return run()
        except INTERRUPTIONS as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - an unknown error is raised as it is
            failure = _named(error, server)
        if progress.complete and isinstance(failure, PrefectGoneError):
            warn(f"{' '.join(failure.brief.split())}. The load is complete.")
            return Completed(data=progress.stats) if return_state else progress.stats
        if isinstance(failure, (CfpbEtlError, *INTERRUPTIONS)):
            # The frames of Prefect's engine do not help a reader of the message.
            raise failure.with_traceback(None) from None
        raise failure

    @contextmanager
    def _without_tracebacks(self) -> Iterator[None]:
        if self.logs_tracebacks:
            yield
            return
        # A function of its own, so that each call removes what it has added.
        filter_ = lambda record: _drop_traceback(record)  # noqa: E731, PLW0108
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(filter_)
        try:
            yield
        finally:
            for name in _LOGGERS:
                logging.getLogger(name).removeFilter(filter_)


def _drop_traceback(record: logging.LogRecord) -> bool:
    """Keep only the message of an error, if the caller gets an error that says what to do next."""
    if record.exc_info and isinstance(record.exc_info[1], (CfpbEtlError, httpx.HTTPError)):
        record.exc_info = None
    return True


def local_flow(check: Callable[..., object]) -> Callable[[Flow[P, R]], LocalFlow[P, R]]:
    """Return a decorator that makes a flow a `LocalFlow`.

    Args:
        check: Raises an error for wrong parameters.
    """
    return lambda flow: LocalFlow(flow, check)


class _Progress:
    """What a run has stored. It is a listener.

    Attributes:
        stats: The stats of the load.
        complete: Whether the load is complete.
    """

    def __init__(self) -> None:
        self.stats = LoadStats()
        self.complete = False

    def __call__(self, event: Event) -> None:
        match event:
            case LoadStarted(stats=stats):
                self.stats = stats
            case PartStored(stats=stats):
                self.stats += stats
            case LoadCompleted():
                self.complete = True


def _named(error: Exception, server: TemporaryServer | UsersServer) -> BaseException:
    """Return an error that says what to do next, if Prefect's server is the reason.

    If the server is gone, Prefect cannot report that the user has interrupted the run. Its error is
    then raised instead of the interruption.
    """
    context = error.__context__
    while context is not None:
        if isinstance(context, INTERRUPTIONS):
            return context
        context = context.__context__
    unknown = server.died.is_set() and not isinstance(error, CfpbEtlError)
    if unknown or isinstance(error, httpx.HTTPError):  # only Prefect's client uses httpx
        return server.named(error)
    return error


# --- for code that awaits -------------------------------------------------------------------


def awaitable(flow: Flow[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return a function to await, which runs a flow in a thread of its own."""

    @wraps(flow.fn)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return await _in_a_thread(lambda: flow(*args, **kwargs))

    return call


class _Cancellation:
    """Ends the flow of another thread like Ctrl-C, so that the next load resumes this one.

    It is a listener: the flow ends at its next event, or while it waits for its task runner.
    """

    def __init__(self) -> None:
        self._requested = False
        self._thread = 0
        self._runner: object = None

    def start(self) -> None:
        """Note the present thread as the one to interrupt."""
        self._thread = threading.get_ident()

    def __call__(self, _event: Event) -> None:
        context = FlowRunContext.get()
        self._runner = context and context.task_runner
        if self._requested and threading.get_ident() == self._thread:
            raise KeyboardInterrupt

    def request(self) -> None:
        """Interrupt the flow."""
        self._requested = True
        if isinstance(self._runner, InterruptibleTaskRunner):
            self._runner.interrupt()


async def _in_a_thread(function: Callable[[], R]) -> R:
    cancellation = _Cancellation()
    ended: Future[R] = Future()

    def run() -> None:
        cancellation.start()
        ended.set_running_or_notify_cancel()
        try:
            ended.set_result(function())
        except BaseException as error:  # noqa: BLE001 - the caller gets it
            ended.set_exception(error)

    with listening(cancellation):
        context = copy_context()
    # At its exit, Python does not wait for this thread: a load that is killed is resumed.
    threading.Thread(target=context.run, args=(run,), daemon=True).start()
    waiting = asyncio.wrap_future(ended)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        cancellation.request()
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait([waiting], timeout=_SECONDS_TO_END)
        raise
