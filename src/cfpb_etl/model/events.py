"""The events of a run, and how listeners receive them.

The console, Prefect's progress artifact and the run's outcome are listeners. A listener is called
in the thread that emits the event. Other processes, such as a Dask worker, have no listeners, so
their events are lost. Therefore only progress may depend on an event that a task emits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, TypeAlias

from cfpb_etl.plain_text import plain

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats


class _Shown:
    """An event whose texts are plain, because they can contain text of a server or a file."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            value = getattr(self, each.name)
            if isinstance(value, str):
                object.__setattr__(self, each.name, plain(value))


@dataclass(frozen=True, slots=True)
class Step(_Shown):
    """A step has started or ended.

    Attributes:
        title: The step in a few words, for a progress bar.
        text: The step in a sentence, for the log.
    """

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class LoadStarted(_Shown):
    """A load has started or resumed.

    Attributes:
        request: The source and the query, in words.
        stats: The numbers of this load from earlier runs.
    """

    request: str
    stats: LoadStats


@dataclass(frozen=True, slots=True)
class PartStored(_Shown):
    """A page or file has been stored.

    Attributes:
        title: The step in a few words, for a progress bar.
        text: The step in a sentence, for the log.
        stats: The numbers of this part: what it changed in the database.
    """

    title: str
    text: str
    stats: LoadStats


@dataclass(frozen=True, slots=True)
class LoadCompleted:
    """All parts are stored, and the load is verified. Only the run's diagram and summary follow."""


@dataclass(frozen=True, slots=True)
class Progress(_Shown):
    """A long step has made progress.

    Attributes:
        step: The step, such as `Downloading`.
        so_far: How much of the step is done, in words.
        share: The share of the step that is done, from 0 to 1; None if the total is unknown.
        done: How much of the step is done, as a number.
        unit: What this number counts.
    """

    step: str
    so_far: str
    share: float | None
    done: int = 0
    unit: Literal["complaints", "bytes"] = "complaints"


@dataclass(frozen=True, slots=True)
class ExportWritten:
    """All rows of an export are written and counted. It takes the place of the old target now."""


@dataclass(frozen=True, slots=True)
class Headline(_Shown):
    """A line that the user should read during the run."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned(_Shown):
    """A problem occurred, and the run continues."""

    text: str


@dataclass(frozen=True, slots=True)
class PictureDrawn:
    """The diagram of the flow has been written.

    Attributes:
        path: The file of the diagram.
    """

    path: Path


Event: TypeAlias = (
    Step
    | LoadStarted
    | PartStored
    | LoadCompleted
    | Progress
    | ExportWritten
    | Headline
    | Warned
    | PictureDrawn
)
Listener: TypeAlias = Callable[[Event], object]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(*listeners: Listener) -> Iterator[None]:
    """Add listeners for the events that are emitted in this context during the `with` block."""
    token = _listeners.set((*_listeners.get(), *listeners))
    try:
        yield
    finally:
        _listeners.reset(token)


def emit(event: Event) -> None:
    """Call each listener of this context with an event."""
    for listener in _listeners.get():
        listener(event)
