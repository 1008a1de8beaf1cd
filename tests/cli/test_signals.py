"""Ctrl-C and SIGTERM within one process; tests/runs/ has whole processes."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli import signals
from cfpb_etl.cli.signals import Interruption, exit_when_interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect the exit codes instead of exiting."""
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        if threading.current_thread() is threading.main_thread():
            raise SystemExit

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr(signals, "SECONDS_TO_END", 0)
    yield codes
    signal.set_wakeup_fd(-1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_raises_and_then_ends_the_process(
    exits: list[int], number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    """The signal raises KeyboardInterrupt; if the code after it hangs, the process still ends."""
    released = threading.Event()
    interruption = Interruption(lambda: "the last line", release=released.set)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        signal.raise_signal(number)

    assert interruption.begun
    assert released.wait(30)
    signal.raise_signal(number)  # a second signal is ignored
    with interruption._ending:  # waits for the thread
        assert exits == [130]
    assert capsys.readouterr().err == "the last line\n"


def test_before_a_run_a_signal_ends_the_process_at_once(
    exits: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing has to be closed then."""
    exit_when_interrupted()
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGINT)

    assert exits == [130]
    assert capfd.readouterr().err == "interrupted before anything was written.\n"


def test_a_signal_that_is_ignored_stays_ignored(exits: list[int]) -> None:
    """A shell starts background jobs of a script with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    exit_when_interrupted()
    signal.raise_signal(signal.SIGINT)

    assert exits == []
