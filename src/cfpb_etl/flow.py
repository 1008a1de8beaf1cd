"""The flow: three tasks that load complaints from a source into a SQLite file.

`python -m cfpb_etl.flow` runs the command line.
"""

if __name__ == "__main__":
    # This comes first, so that the tasks belong to a module that other processes can import. Help
    # and wrong commands also need no import of Prefect, which takes a second.
    from cfpb_etl.cli import start

    start()

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import flow_run, task_run
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH
from prefect.tasks import exponential_backoff

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.http.addresses import read_secrets_with
from cfpb_etl.fetch.http.errors import RetriableError
from cfpb_etl.fetch.http.rate_limit import share_rate_limits_by
from cfpb_etl.model.events import (
    Headline,
    LoadCompleted,
    LoadStarted,
    PartStored,
    PictureDrawn,
    Step,
    Warned,
    emit,
    listening,
)
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.part import ParsedPart, Part, RawPart
from cfpb_etl.model.source import Source
from cfpb_etl.model.wording import counted, counts, request_in_words, warnings
from cfpb_etl.orchestration.concurrent_fetch import (
    ConcurrentFetch,
    InterruptibleTaskRunner,
    end_deployed_process,
)
from cfpb_etl.orchestration.errors import PictureError
from cfpb_etl.orchestration.local_flow import awaitable, local_flow
from cfpb_etl.orchestration.reporting.artifacts import ProgressArtifact, create_run_artifacts
from cfpb_etl.orchestration.reporting.notifications import (
    load_notification_block,
    notify_of_failure,
)
from cfpb_etl.orchestration.reporting.outcome import RunOutcome
from cfpb_etl.orchestration.reporting.picture import draw_flow
from cfpb_etl.orchestration.reporting.run_log import log_and_emit
from cfpb_etl.orchestration.reporting.run_names import (
    name_of_flow_run,
    name_of_task_run,
    tag_flow_run,
)
from cfpb_etl.orchestration.secret_blocks import read_secret_block
from cfpb_etl.orchestration.shared_rate_limit import SharedRateLimiter
from cfpb_etl.orchestration.skipped_runs import (
    is_skipped,
    skip_if_superseded,
    skipped_if_loading,
)
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.parameters.sample import served
from cfpb_etl.parameters.signature import with_parameters_of
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.store.loads import Load, open_load
from cfpb_etl.store.part_writer import store_part

# Also in another process, which imports this module.
read_secrets_with(read_secret_block)
share_rate_limits_by(SharedRateLimiter)

BULK_IS_FASTER = 500_000  # complaints; the search API needs 50 requests and 2.5 minutes for them


# The tasks and the flow set what the user's settings of Prefect would otherwise decide for them
# (docs/design.md, "Prefect's settings"). A part is read only once, so parsing and storing cannot be
# repeated.


def is_retriable(_task: object, run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failed fetch may succeed later and may be attempted again."""
    error = state.data
    return isinstance(error, RetriableError) and run.run_count < error.attempts


@task(
    retries=RetriableError.attempts - 1,
    retry_condition_fn=is_retriable,
    retry_delay_seconds=exponential_backoff(backoff_factor=1),
    retry_jitter_factor=0.5,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
    task_run_name=partial(name_of_task_run, "fetch"),
)
def get_complaint_data(source: Source, part: Part) -> RawPart:
    """Download one API page or file, with retries."""
    log_and_emit(Step(f"Requesting {part}", f"Requesting {part}"))
    started = time.monotonic()
    try:
        raw = source.fetch(part)
    except CfpbEtlError as error:
        error.attempts_made = task_run.run_count
        if isinstance(error, RetriableError):
            attempt = f"attempt {error.attempts_made} of {error.attempts}"
            log_and_emit(Warned(f"{part}, {attempt} failed: {error.brief}"))
        # The cause can be an error of urllib3 whose text has a whole address, and Prefect stores
        # tracebacks.
        raise error from None
    raw.attempts = task_run.run_count
    seconds = time.monotonic() - started
    log_and_emit(Step(f"Fetched {raw.info.part}", f"Fetched {raw} in {seconds:.1f} s"))
    return raw


@task(
    retries=0,
    retry_delay_seconds=0,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
    task_run_name=partial(name_of_task_run, "parse"),
)
def parse_complaint_data(raw: RawPart) -> ParsedPart:
    """Validate the response and turn it into Complaint records."""
    parsed = parse_part(raw)
    done = "Parsed" if parsed.rows is not None else "Checked the header of"
    log_and_emit(Step(f"{done} {parsed.info.part}", f"{done} {parsed}"))
    return parsed


@task(
    retries=0,
    retry_delay_seconds=0,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
    task_run_name=partial(name_of_task_run, "store"),
)
def store_complaints(parsed: ParsedPart, load_id: int, database: Path) -> LoadStats:
    """Write a page or file to SQLite in one transaction."""
    return store_part(parsed, load_id, database)


@local_flow(check=lambda **parameters: LoadParameters(**parameters).to_source())
@flow(
    name="cfpb-complaints",
    description="Load CFPB consumer complaints into a SQLite file. Without a filter, date or limit,"
    " this loads the newest 1,000 complaints.",
    flow_run_name=name_of_flow_run,
    # `LoadParameters` validates them. Prefect's own errors are not this package's, and come before
    # the run has its name.
    validate_parameters=False,
    retries=0,
    retry_delay_seconds=0,
    persist_result=False,
    # Prefect writes the error of a failed run there. Without a path, each run would begin with the
    # storage block in the user's settings, and fail if it does not exist.
    result_storage=PREFECT_RESULTS_LOCAL_STORAGE_PATH.value(),
    log_prints=False,
    # The number of fetches at a time is the source's.
    task_runner=InterruptibleTaskRunner(max_workers=sys.maxsize),  # type: ignore[arg-type]  # as for Prefect's own pool
    on_failure=[notify_of_failure],
    on_crashed=[notify_of_failure],
)
@with_parameters_of(LoadParameters, is_flow=True)
def load_complaints(parameters: LoadParameters) -> LoadStats:
    """Load CFPB consumer complaints into a SQLite file.

    Without a filter, date or limit, this loads the newest 1,000 complaints. What was stored before
    is kept if the load fails.

    Raises:
        CfpbEtlError: If a parameter is wrong, or if the load fails.
    """
    database = parameters.database_path
    tag_flow_run(parameters.source, database)
    selected = parameters.to_source()
    skip_if_superseded()
    if parameters.notify is not None:
        load_notification_block(parameters.notify)  # a wrong name fails before anything is loaded
    with (
        skipped_if_loading(),
        served(selected) as source,
        recorded_run(source, database, parameters.picture) as outcome,
        open_load(database, source, flow_run.id, restart=parameters.restart) as load,
    ):
        announce(load)
        # More than once if the counts of a window differ: the window is then left to be read again.
        while parts := load.parts_left():
            fetched = ConcurrentFetch(get_complaint_data, load.source, parts, outcome)
            for raw in fetched:
                if not load.stats.parts:
                    suggest_the_bulk_file(raw)
                parsed = outcome.run(parse_complaint_data, raw)
                fetched.submit_next()
                stats = outcome.run(store_complaints, parsed, load.id, database)
                load.stats += stats
                done = counts(stats) if stats.rows else "no complaints"
                stored = f"Stored {parsed.info.part}"
                log_and_emit(PartStored(stored, f"Stored {parsed}: {done}", stats))
        moved = load.verify()
    for warning in warnings_of(load.stats, moved):
        log_and_emit(Warned(warning))
    return load.stats


aload_complaints = awaitable(load_complaints)


def announce(load: Load) -> None:
    """Emit an event that says which load this run updates or resumes."""
    source = load.source
    request = request_in_words(source.kind, source.query_json(), source.limit)
    emit(LoadStarted(request, load.stats))
    if source.updates_load_id is not None:
        log_and_emit(Headline(f"Updating load {source.updates_load_id} ({request})"))
    if load.resumed_at is not None:
        parts = counted(load.stats.parts, source.part_noun)
        log_and_emit(
            Headline(
                f"Resuming the load started {load.resumed_at[:16].replace('T', ' ')} UTC"
                f" ({load.stats.rows:,} complaints in {parts} already stored)"
            )
        )


def suggest_the_bulk_file(raw: RawPart) -> None:
    """Suggest CFPB's file of all complaints if it is faster for this load."""
    expected = raw.info.expected or 0
    if expected > BULK_IS_FASTER:
        faster = "--source bulk loads all complaints in one download"
        log_and_emit(Headline(f"{expected:,} complaints match; {faster}"))


def warnings_of(stats: LoadStats, moved: int) -> Iterator[str]:
    """Yield what the user must know about a complete load, one sentence each."""
    if moved:
        complaints = counted(moved, "complaint")
        yield f"{complaints} appeared or disappeared during the load; run again to load them"
    yield from warnings(stats)


@contextmanager
def recorded_run(source: Source, database: Path, graph: Path | None) -> Iterator[RunOutcome]:
    """Collect the outcome of this run. At the end, draw the diagram and send Prefect a summary.

    Errors in the drawing or the summary never fail the run. After Ctrl-C no summary is sent,
    because the run would wait for Prefect's server.
    """
    outcome, progress = RunOutcome(), ProgressArtifact(source.limit)
    error: BaseException | None = None
    with listening(outcome, progress):
        try:
            yield outcome
            emit(LoadCompleted())
            progress.complete()
        except BaseException as raised:
            error = raised
            raise
        finally:
            outcome.end(error)
            if outcome.status == "interrupted":
                end_deployed_process(error)
            picture = draw(graph, outcome) if not is_skipped(error) else None
            if outcome.status != "interrupted" and not is_skipped(error):
                limited = source.limit is not None
                create_run_artifacts(outcome, database, picture, limited=limited)


def draw(graph: Path | None, outcome: RunOutcome) -> Path | None:
    """Draw the diagram of the run, and return its path; None if no diagram was drawn."""
    if graph is None:
        return None
    try:
        draw_flow(load_complaints, graph, outcome)
    except PictureError as error:
        log_and_emit(Warned(str(error)))
        return None
    log_and_emit(Step(f"Drew {graph}", f"Drew {graph}"))
    emit(PictureDrawn(graph))
    return graph
