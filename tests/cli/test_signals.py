"""Tests of Ctrl-C within the tests' process; whole processes are in test_end_to_end.py."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli import signals as interruption
from cfpb_etl.cli.signals import Interruption, end_when_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Note the exit codes that the process would end with, and let it live."""
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        if threading.current_thread() is threading.main_thread():
            raise SystemExit

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(interruption, "SECONDS_TO_END", 0)
    yield codes
    signal.set_wakeup_fd(-1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_exception_and_then_the_end(
    exits: list[int], number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal raises KeyboardInterrupt; what hangs after it is ended all the same."""
    released = threading.Event()
    under_way = Interruption(lambda: "last words", release=released.set)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        signal.raise_signal(number)

    assert under_way.begun
    assert released.wait(30)
    signal.raise_signal(number)  # once is enough: this one is ignored
    with under_way._ending:  # the thread is done
        assert exits == [130]
    assert capsys.readouterr().err == "last words\n"


def test_before_anything_is_under_way_a_signal_is_the_end(
    exits: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is there to be closed, so the process ends where it is."""
    end_when_interrupted()
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGINT)

    assert exits == [130]
    assert capfd.readouterr().err == "interrupted before anything was written.\n"


def test_a_signal_that_is_ignored_stays_so(exits: list[int]) -> None:
    """A background job that the shell shields from Ctrl-C is not opened to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_when_interrupted()
    signal.raise_signal(signal.SIGINT)

    assert exits == []
