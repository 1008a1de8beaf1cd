"""A flow for schedules: it updates a database with `load_complaints`, and exports it afterwards.

An export that fails does not touch the load, which is a run of its own and has ended before.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.settings import PREFECT_RESULTS_LOCAL_STORAGE_PATH

from cfpb_etl.errors import CfpbEtlError, WrongParameterError
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.events import Step, Warned
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.orchestration.concurrent_fetch import end_deployed_process
from cfpb_etl.orchestration.errors import PictureError
from cfpb_etl.orchestration.local_flow import local_flow
from cfpb_etl.orchestration.reporting.export_artifacts import create_export_artifacts
from cfpb_etl.orchestration.reporting.notifications import (
    load_notification_block,
    notify_of_failure,
)
from cfpb_etl.orchestration.reporting.outcome import RunOutcome
from cfpb_etl.orchestration.reporting.picture import draw_flow
from cfpb_etl.orchestration.reporting.run_log import log_and_emit
from cfpb_etl.orchestration.reporting.run_names import as_name
from cfpb_etl.orchestration.skipped_runs import (
    is_skipped,
    skip_if_superseded,
    skipped_if_loading,
)
from cfpb_etl.parameters.signature import with_parameters_of
from cfpb_etl.parameters.update_parameters import UpdateParameters
from cfpb_etl.publish.errors import ExportsFailedError
from cfpb_etl.publish.export import ExportStats, check_target, export_complaints
from cfpb_etl.store.errors import LoadRunningError
from cfpb_etl.store.lock import is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator


@task(
    retries=0,
    retry_delay_seconds=0,
    cache_policy=NO_CACHE,
    persist_result=False,
    log_prints=False,
    task_run_name="export to {target}",
)
def export_database(loaded: LoadStats, target: str, database: Path) -> ExportStats:  # noqa: ARG001 - the arrow of the diagram
    """Export the database to a target."""
    log_and_emit(Step(f"Exporting to {target}", f"Exporting to {target}"))
    try:
        stats = export_complaints(target, database=database)
    except CfpbEtlError as error:
        raise error from None  # the cause can have an address, and Prefect stores tracebacks
    for note in stats.notes:
        log_and_emit(Step(f"Exporting to {target}", f"{stats.target}: {note}"))
    return stats


def name_of_update_run() -> str:
    """Return the name of the current flow run, such as `update, export to complaints-parquet`."""
    try:
        targets = UpdateParameters(**flow_run.parameters).targets
    except WrongParameterError as error:
        return f"wrong {error.parameter}"
    except TypeError:  # Prefect's API accepts unknown names
        return "unknown parameter"
    return as_name(", ".join(["update", *(f"export to {each}" for each in targets)]))


@local_flow(check=UpdateParameters)
@flow(
    name="cfpb-update-and-export",
    description="Update a database of CFPB consumer complaints, and export it.",
    flow_run_name=name_of_update_run,
    validate_parameters=False,
    retries=0,
    retry_delay_seconds=0,
    persist_result=False,
    result_storage=PREFECT_RESULTS_LOCAL_STORAGE_PATH.value(),
    log_prints=False,
    on_failure=[notify_of_failure],
    on_crashed=[notify_of_failure],
)
@with_parameters_of(UpdateParameters)
def update_and_export(parameters: UpdateParameters) -> LoadStats:
    """Update a database with what is new, changed or withdrawn, and export it to each target.

    If an export fails, the others are made, and the load stays complete.

    Raises:
        CfpbEtlError: If a parameter is wrong, or if the load or an export fails.
    """
    load, database = parameters.load, parameters.load.database_path
    skip_if_superseded()
    if parameters.notify is not None:
        load_notification_block(parameters.notify)  # a wrong name fails before anything is loaded
    outcome, exports = RunOutcome(), list[ExportStats]()
    failures: dict[str, str] = {}
    with skipped_if_loading(), recorded_update(outcome, exports, parameters.picture):
        for target in parameters.targets:  # a wrong one fails before anything is loaded
            try:
                check_target(target, database)
            except WrongParameterError as error:
                raise WrongParameterError(parameter="export", reason=error.reason) from None
            except CfpbEtlError as error:
                raise error from None  # as in `export_database`
        if is_locked(database):  # otherwise the load would be a failed run
            raise LoadRunningError(path=database)
        outcome.stats = outcome.run(
            load_complaints, update=True, database=database, graph=load.picture
        )
        for target in parameters.targets:
            try:
                exports.append(outcome.run(export_database, outcome.stats, target, database))
            except CfpbEtlError as error:
                failures[target] = str(error).removesuffix(".")
        if failures:
            raise ExportsFailedError(
                target=" and ".join(failures), failures="; ".join(failures.values())
            )
    return outcome.stats


@contextmanager
def recorded_update(
    outcome: RunOutcome, exports: list[ExportStats], graph: Path | None
) -> Iterator[None]:
    """Record how this run ends. At the end, draw its diagram and send Prefect a summary.

    Errors in the drawing or the summary never fail the run. After Ctrl-C no summary is sent,
    because the run would wait for Prefect's server.
    """
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        outcome.end(error)
        if outcome.status == "interrupted":
            end_deployed_process(error)
        elif not is_skipped(error):
            create_export_artifacts(outcome, exports, draw(graph, outcome))


def draw(graph: Path | None, outcome: RunOutcome) -> Path | None:
    """Draw the diagram of the run, and return its path; None if no diagram was drawn."""
    if graph is None:
        return None
    try:
        return draw_flow(update_and_export, graph, outcome)
    except PictureError as error:
        log_and_emit(Warned(str(error)))
        return None
