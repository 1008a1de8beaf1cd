"""The events of a run reach each listener of their context."""

from __future__ import annotations

from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING

from cfpb_etl.model.events import Headline, emit, listening

if TYPE_CHECKING:
    from cfpb_etl.model.events import Event


def test_each_listener_receives_each_event() -> None:
    """Listeners of an inner block are added to those of the outer one."""
    outer: list[Event] = []
    inner: list[Event] = []
    with listening(outer.append):
        emit(Headline("first"))
        with listening(inner.append):
            emit(Headline("second"))
        emit(Headline("third"))
    emit(Headline("fourth"))

    assert [event.text for event in outer if isinstance(event, Headline)] == [
        "first",
        "second",
        "third",
    ]
    assert inner == [Headline("second")]


def test_a_thread_with_the_context_has_its_listeners() -> None:
    """Prefect runs submitted tasks in copies of the flow's context."""
    received: list[Event] = []
    with listening(received.append):
        thread = Thread(target=copy_context().run, args=(emit, Headline("from a thread")))
        thread.start()
        thread.join()

    assert received == [Headline("from a thread")]


def test_two_runs_in_one_process_do_not_mix() -> None:
    """Listeners belong to a context, not to the process."""
    received: list[Event] = []
    other = copy_context()
    with listening(received.append):
        other.run(emit, Headline("of the other run"))

    assert received == []
