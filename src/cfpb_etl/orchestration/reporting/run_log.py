"""The log of a flow run or task run, which Prefect keeps, and warnings outside of a run."""

from __future__ import annotations

import logging

from prefect.logging import get_run_logger

from cfpb_etl.model.events import Headline, PartStored, Step, Warned, emit


def log_and_emit(event: Step | PartStored | Headline | Warned) -> None:
    """Write an event to the log of the current run, and emit it to the listeners."""
    log = get_run_logger()
    (log.warning if isinstance(event, Warned) else log.info)("%s", event.text)
    emit(event)


def warn(text: str) -> None:
    """Write a warning to Python's log, outside of a run, and emit it to the listeners."""
    warned = Warned(text)
    logging.getLogger(__name__).warning("%s", warned.text)
    emit(warned)
