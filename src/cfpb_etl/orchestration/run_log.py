"""The log of a flow run or task run. Prefect keeps this log."""

from __future__ import annotations

from prefect.logging import get_run_logger

from cfpb_etl.model.events import Headline, PartStored, Step, Warned, emit


def log_and_emit(event: Step | PartStored | Headline | Warned) -> None:
    """Write an event to the log of the current run, and emit it to the listeners."""
    log = get_run_logger()
    (log.warning if isinstance(event, Warned) else log.info)("%s", event.text)
    emit(event)
