"""The flow: three tasks that bring complaints from a source into a SQLite file.

`python -m cfpb_etl.flow` runs it.
"""

if __name__ == "__main__":
    # Before anything else: the tasks must belong to a module that other processes can import, and
    # help and wrong commands need no Prefect, which takes a second.
    from cfpb_etl.interruption import end_when_interrupted

    end_when_interrupted()

    from cfpb_etl.cli import main

    main()

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from cfpb_etl.database import LoadReport, begin_load, store_part
from cfpb_etl.errors import PictureError, RetriableError
from cfpb_etl.flow_graph import draw_flow
from cfpb_etl.run_outcome import observe, observed
from cfpb_etl.search_api import Page, SearchApi
from cfpb_etl.source import ParsedPart, RawPart


def is_worth_a_retry(_task: object, run: TaskRun, state: State[Any]) -> bool:
    """Say whether a fetch failed in a way that may pass, and has not been tried enough."""
    error = state.data
    return isinstance(error, RetriableError) and run.run_count < error.attempts


@task(
    retries=RetriableError.attempts - 1,
    retry_condition_fn=is_worth_a_retry,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    cache_policy=NO_CACHE,
    task_run_name="{part}",
    on_completion=[observe],
    on_failure=[observe],
)
def get_complaint_data(source: SearchApi, part: Page) -> RawPart:
    """Fetch one page of complaints."""
    log = get_run_logger()
    log.info("Asking for %s", part)
    began = time.monotonic()
    try:
        raw = source.fetch(part)
    except RetriableError as error:
        attempt = f"attempt {task_run.run_count} of {error.attempts}"
        log.warning("%s, %s failed: %s", part, attempt, error.brief)
        raise
    log.info("Fetched %s in %.1f s", raw, time.monotonic() - began)
    return raw


@task(
    cache_policy=NO_CACHE,
    task_run_name="{raw}",
    on_completion=[observe],
    on_failure=[observe],
)
def parse_complaint_data(raw: RawPart) -> ParsedPart:
    """Check what came, and make it complaints."""
    parsed = raw.parsed()
    get_run_logger().info("Parsed %s", parsed)
    return parsed


@task(
    cache_policy=NO_CACHE,
    task_run_name="{parsed}",
    on_completion=[observe],
    on_failure=[observe],
)
def store_complaints(parsed: ParsedPart, load_id: int, database: Path) -> LoadReport:
    """Write a page in one transaction."""
    report = store_part(parsed, load_id, database)
    get_run_logger().info(
        "Stored %s: %s",
        *(parsed, report.counts),
        extra={"stored": report},  # for the screen, which counts along
    )
    return report


class InterruptibleTaskRunner(ThreadPoolTaskRunner[Any]):
    """Prefect's thread pool, which on Ctrl-C does not wait for its threads.

    A thread that sleeps before a retry, or waits for a slow answer, cannot be woken; Prefect's own
    pool would hold an interrupted flow for as long.
    """

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the threads go when something other than an error ends the flow."""
        if exc_type is not None and not issubclass(exc_type, Exception) and self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)


def fetched(source: SearchApi) -> Iterator[RawPart]:
    """Fetch part after part, so many side by side as the source allows.

    The part that follows is on its way before one is handed out, so that fetching goes on while the
    caller parses and stores. No future is kept: Prefect's hold their results.
    """
    waiting = deque(source.parts())
    in_flight: deque[Any] = deque()
    while waiting or in_flight:
        while waiting and len(in_flight) < source.lanes:
            in_flight.append(get_complaint_data.submit(source, waiting.popleft()))
        raw = in_flight.popleft().result()
        if raw.following is not None:
            in_flight.append(get_complaint_data.submit(source, raw.following))
        yield raw


@flow(
    name="cfpb-complaints",
    task_runner=InterruptibleTaskRunner(),  # type: ignore[arg-type]  # as for Prefect's own pool
)
def load_complaints(
    source: SearchApi,
    database: Path = Path("complaints.db"),
    graph: Path | None = Path("complaints-flow.svg"),
) -> LoadReport:
    """Bring CFPB's consumer complaints into a SQLite file.

    Args:
        source: Where complaints come from, and which are asked for.
        database: The SQLite file; it is made if it is missing.
        graph: Where to draw the flow as the run left it (.svg or .png), or None.

    Raises:
        CfpbEtlError: One of its subclasses, by the situation. What was stored before stays.
    """
    with pictured(graph), begin_load(database, source, flow_run.id) as load:
        for raw in fetched(source):
            parsed = parse_complaint_data(raw)
            load.report += store_complaints(parsed, load.id, database)
        missing = load.prove_complete()
    if missing:
        get_run_logger().warning(
            "%s complaints came or went while these were read; run again to have them", missing
        )
    for what, names in (
        ("CFPB sends what this version has no column for", load.report.unknown),
        ("CFPB no longer sends, so that new complaints lack", load.report.missing),
    ):
        if names:
            get_run_logger().warning("%s: %s", what, ", ".join(sorted(names)))
    return load.report


@contextmanager
def pictured(graph: Path | None) -> Iterator[None]:
    """Draw the flow as this run leaves it, however it ends; a picture never fails the run."""
    log = get_run_logger()
    try:
        with observed(flow_run.id) as outcome:
            yield
    finally:
        if graph is not None:
            try:
                draw_flow(load_complaints, graph, outcome)
                log.info("Drew %s", graph, extra={"picture": graph})  # for the screen
            except PictureError as error:
                log.warning("%s", error)
