"""The flow: three tasks that bring complaints from a source into a SQLite file.

`python -m cfpb_etl.flow` runs it.
"""

if __name__ == "__main__":
    # Before anything else: the tasks must belong to a module that other processes can import, and
    # help and wrong commands need no Prefect, which takes a second.
    from cfpb_etl.cli.signals import end_when_interrupted

    end_when_interrupted()

    from cfpb_etl.cli.main import main

    main()

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import PrefectConcurrentFuture, PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.http.errors import RetriableError
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.part import ParsedPart, Part, RawPart
from cfpb_etl.model.source import Source
from cfpb_etl.orchestration.artifacts import record_run, shown_progress
from cfpb_etl.orchestration.errors import PictureError
from cfpb_etl.orchestration.notifications import notification_block, notify_of_failure
from cfpb_etl.orchestration.outcome import RunOutcome, observe, observed
from cfpb_etl.orchestration.picture import draw_flow
from cfpb_etl.store.loads import Load, begin_load
from cfpb_etl.store.part_writer import store_part

BULK_IS_BETTER = 500_000  # complaints: 50 requests, two and a half minutes at CFPB's pace


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
def get_complaint_data(source: Source, part: Part) -> RawPart:
    """Fetch a page, or a file."""
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
    done = "Parsed" if parsed.rows is not None else "Checked the header of"
    get_run_logger().info("%s %s", done, parsed)
    return parsed


@task(
    cache_policy=NO_CACHE,
    task_run_name="{parsed}",
    on_completion=[observe],
    on_failure=[observe],
)
def store_complaints(parsed: ParsedPart, load_id: int, database: Path) -> LoadStats:
    """Write a page or a file in one transaction."""
    report = store_part(parsed, load_id, database)
    counts = report.counts if report.rows else "no complaints"
    # For the screen, which counts along.
    get_run_logger().info("Stored %s: %s", parsed, counts, extra={"stored": report})
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


class Fetching:
    """Fetches part after part, so many side by side as the source allows, in the order they come.

    What follows a part is on its way before the part is handed out, so that fetching goes on while
    the caller parses and stores. No future is kept: Prefect's hold their results.
    """

    def __init__(self, source: Source, parts: Sequence[Part]) -> None:
        self._source = source
        self._waiting = deque(parts)
        self._in_flight: list[PrefectFuture[RawPart]] = []
        self._came: deque[RawPart] = deque()

    def __iter__(self) -> Iterator[RawPart]:
        """Hand out each part, when it has come."""
        self._submit()
        while self._in_flight or self._came:
            if not self._came:
                self._take(next(as_completed(self._in_flight)))
            yield self._came.popleft()

    def go_on(self) -> None:
        """Follow up what came meanwhile: storing leaves Python free to receive the next."""
        if self._came:
            return
        for future in filter(_has_come, [*self._in_flight]):
            # A failure is left to whoever asks for the part, so that this one is stored before.
            if isinstance(future.result(raise_on_failure=False), RawPart):
                self._take(future)

    def _take(self, future: PrefectFuture[RawPart]) -> None:
        self._in_flight.remove(future)
        raw = future.result()
        under_way = len(self._in_flight) + len(self._waiting)
        raw.following = self._source.split(raw, under_way)
        self._waiting.extendleft(reversed(raw.following))
        self._came.append(raw)
        self._submit()

    def _submit(self) -> None:
        while self._waiting and len(self._in_flight) < self._source.max_concurrency:
            part = self._waiting.popleft()
            self._in_flight.append(get_complaint_data.submit(self._source, part))


def _has_come(future: PrefectFuture[RawPart]) -> bool:
    # Prefect's own `wait` does not look when it may not wait, and a future's state asks the server.
    return isinstance(future, PrefectConcurrentFuture) and future.wrapped_future.done()


@flow(
    name="cfpb-complaints",
    task_runner=InterruptibleTaskRunner(),  # type: ignore[arg-type]  # as for Prefect's own pool
    on_failure=[notify_of_failure],
    on_crashed=[notify_of_failure],
)
def load_complaints(
    source: SearchApi | BulkFile | Archive,
    database: Path = Path("complaints.db"),
    graph: Path | None = Path("complaints-flow.svg"),
    restart: bool = False,  # noqa: FBT001, FBT002 - a parameter of the deployed flow, by its name
    notify: str | None = None,
) -> LoadStats:
    """Bring CFPB's consumer complaints into a SQLite file.

    Args:
        source: Where complaints come from, and which are asked for. Files are downloaded beside
            the database that their source names, which should be this one.
        database: The SQLite file; it is made if it is missing.
        graph: Where to draw the flow as the run left it (.svg or .png), or None.
        restart: Begin anew, where a load that asked for the same was interrupted.
        notify: Prefect's notification block that is told if the run fails or crashes,
            as `TYPE/NAME`.

    Raises:
        CfpbEtlError: One of its subclasses, by the situation. What was stored before stays.
    """
    if notify is not None:
        notification_block(notify)  # that there is none would else be found out when it is needed
    with (
        recorded(source, database, graph) as outcome,
        shown_progress(source.limit),
        begin_load(database, source, flow_run.id, restart=restart) as load,
    ):
        announce(load, outcome)
        while parts := load.parts_left():
            fetching = Fetching(load.source, parts)
            for raw in fetching:
                if not load.report.parts:
                    point_out_the_bulk_file(raw)
                parsed = parse_complaint_data(raw)
                fetching.go_on()
                load.report += store_complaints(parsed, load.id, database)
        missing = load.prove_complete()
    conclude(load.report, missing)
    return load.report


def announce(load: Load, outcome: RunOutcome) -> None:
    """Say which load this run brings up to date, or goes on with."""
    outcome.asked = f"{load.source.kind} {load.source.described()}"
    outcome.report = load.report  # what the load has from earlier runs counts
    log = get_run_logger()
    if load.source.updates is not None:
        log.info(
            "Updating what load %s asked for: %s",
            *(load.source.updates, load.source.described()),
            extra={"notice": True},
        )
    if load.began is not None:
        log.info(
            "Going on with the load that began %s: %s complaints are here already, in %s parts",
            *(load.began, f"{load.report.rows:,}", f"{load.report.parts:,}"),
            extra={"notice": True, "stored": load.report},  # the screen counts on from there
        )


def point_out_the_bulk_file(raw: RawPart) -> None:
    """Say so where a pull is better served by the file that CFPB makes of all its complaints."""
    if (raw.info.expected or 0) > BULK_IS_BETTER:
        get_run_logger().info(
            "%s complaints match; --source bulk brings all that CFPB has in one download",
            f"{raw.info.expected:,}",
            extra={"notice": True},
        )


def conclude(report: LoadStats, missing: int) -> None:
    """Say what a person should know of a load that is complete."""
    log = get_run_logger()
    if missing:
        log.warning(
            "%s complaints came or went while these were read; run again to have them", missing
        )
    for line in report.warnings:
        log.warning("%s", line)


@contextmanager
def recorded(source: Source, database: Path, graph: Path | None) -> Iterator[RunOutcome]:
    """Draw the flow as this run leaves it, however it ends, and give Prefect its summary.

    Neither fails the run. Who interrupts it does not wait for Prefect's server.
    """
    log = get_run_logger()
    picture = None
    try:
        with observed(flow_run.id) as outcome:
            yield outcome
    finally:
        if graph is not None:
            try:
                draw_flow(load_complaints, graph, outcome)
                log.info("Drew %s", graph, extra={"picture": graph})  # for the screen
                picture = graph
            except PictureError as error:
                log.warning("%s", error)
        if outcome.word != "interrupted":
            record_run(outcome, database, picture, limited=source.limit is not None)
