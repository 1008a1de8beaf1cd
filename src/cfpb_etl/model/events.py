"""The events of a run, and the port through which listeners receive them.

The console, Prefect's progress artifact and the run's outcome are listeners. A listener is called
in the thread that emits. In another process, such as a Dask worker, nobody listens: there events
are lost, so nothing but progress may depend on an event that a task emits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats


@dataclass(frozen=True, slots=True)
class Step:
    """A step was started or done.

    Attributes:
        title: The step in a few words, for a progress bar.
        text: The step in a sentence, for the log.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class LoadStarted:
    """A load was started or resumed.

    Attributes:
        request: What it asks of which source, in words.
        stats: What the load has stored in earlier runs.
    """

    request: str
    stats: LoadStats


@dataclass(frozen=True, slots=True)
class PartStored:
    """A page or file was stored.

    Attributes:
        title: The step in a few words, for a progress bar.
        text: The step in a sentence, for the log.
        stats: What it did to the database.
    """

    title: str
    text: str
    stats: LoadStats


@dataclass(frozen=True, slots=True)
class Progress:
    """A long step has advanced.

    Attributes:
        step: The step, such as `Downloading`.
        so_far: How far it is, in words.
        share: How far it is, from 0 to 1; None where the total is unknown.
    """

    step: str
    so_far: str
    share: float | None


@dataclass(frozen=True, slots=True)
class Headline:
    """The user should read this line while the run goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something did not go as it should, and the run goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class PictureDrawn:
    """The picture of the flow was written.

    Attributes:
        path: Its file.
    """

    path: Path


Event: TypeAlias = Step | LoadStarted | PartStored | Progress | Headline | Warned | PictureDrawn
Listener: TypeAlias = Callable[[Event], object]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Hand the events of this context to more listeners, within the block."""
    token = _listeners.set((*_listeners.get(), *listeners))
    try:
        yield
    finally:
        _listeners.reset(token)


def emit(event: Event) -> None:
    """Hand an event to each listener of this context."""
    for listener in _listeners.get():
        listener(event)
