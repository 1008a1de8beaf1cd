"""Restores the log of this process after the command line has run in it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def restored_logs() -> Iterator[None]:
    """Restore the handlers that the console of a run replaces until its process ends."""
    loggers = [logging.getLogger(name) for name in (None, "prefect._internal")]
    before = [logger.handlers[:] for logger in loggers]
    try:
        yield
    finally:
        logging.raiseExceptions = True
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
