"""Prefect's background services, which send the events and log lines of a run to its server."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty
from typing import Any

from prefect._internal.concurrency.services import QueueService
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

_SECONDS_TO_SEND = 5


def stop_services(server_died: threading.Event, *, wait: bool) -> None:
    """Send what the services of this context still have, and stop them.

    A flow that runs later gets new services. Prefect would otherwise send the events of all flows
    to the server of the first one, whatever their settings are.

    Args:
        server_died: Set if the server has ended. Then nothing is sent: Prefect would repeat the
            attempt for each event, and a program would need minutes to exit.
        wait: Whether to wait until all is sent, or at most some seconds.
    """
    if not _any_started():
        return
    services: list[QueueService[Any]] = [EventsWorker.instance(), APILogWorker.instance()]
    if server_died.is_set():
        for service in services:
            _empty(service)
    ending = threading.Thread(target=_end, args=(services,), daemon=True)
    ending.start()
    # A service needs some seconds to find out that the server of its last event is gone.
    ending.join(_SECONDS_TO_SEND if wait and not server_died.is_set() else 0)
    if server_died.is_set():
        for service in services:
            _empty(service)


def _any_started() -> bool:
    """Say whether there is a service, because asking for one starts it, which takes 0.3 s."""
    started = [*QueueService._instances.values()]  # type: ignore[misc] # noqa: SLF001
    return any(isinstance(each, (EventsWorker, APILogWorker)) for each in started)


def _end(services: list[QueueService[Any]]) -> None:
    for service in services:
        service.drain()


def _empty(service: QueueService[Any]) -> None:
    """Drop all items, but not None, which ends the service."""
    queue = service._queue  # noqa: SLF001 - Prefect has no method for this
    with suppress(Empty):
        while queue.get_nowait() is not None:
            queue.task_done()
        queue.put_nowait(None)
        queue.task_done()
