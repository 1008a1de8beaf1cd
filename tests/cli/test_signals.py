"""Signals within one process; tests/runs/ has whole processes."""

from __future__ import annotations

import signal
import threading
from queue import Queue
from typing import TYPE_CHECKING, NoReturn

import pytest

from cfpb_etl.cli.interruption import Interruption
from cfpb_etl.cli.signals import exit_when_interrupted
from cfpb_etl.errors import ExitCode
from cfpb_etl.model.events import LoadStarted
from cfpb_etl.model.load_stats import LoadStats

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNALS = [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, " by SIGTERM")]
SIGNALS += [(signal.SIGHUP, 129, " by SIGHUP")]


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Queue[int]:
    """Collect the exit codes instead of exiting."""
    codes: Queue[int] = Queue()

    def end(code: int) -> None:
        codes.put(code)
        if threading.current_thread() is threading.main_thread():
            raise SystemExit

    monkeypatch.setattr("os._exit", end)
    return codes


def interruption(
    saved: Callable[[], str] = lambda: "saved.", seconds: float = 10**6
) -> Interruption:
    """Handle signals as a run does. By default, its thread does not end the process."""
    return Interruption(saved, release=lambda: None, seconds=seconds)


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_a_signal_raises_and_then_ends_the_process(
    exits: Queue[int],
    number: signal.Signals,
    code: int,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The signal raises KeyboardInterrupt; if the code after it hangs, the process still ends."""
    interrupted = interruption(seconds=0)
    with pytest.raises(KeyboardInterrupt, match=number.name):
        signal.raise_signal(number)
    for each, *_ in SIGNALS:  # later signals do nothing
        signal.raise_signal(each)

    assert interrupted.begun
    assert [exits.get(timeout=30), exits.get(timeout=30)] == [code, code]  # the second in any case
    assert capsys.readouterr().err == f"interrupted{name}: saved.\n"


def test_a_last_line_that_cannot_be_printed(exits: Queue[int]) -> None:
    """A terminal that was stopped by Ctrl-S does not keep the process alive."""
    going = threading.Event()
    interruption(saved=lambda: str(going.wait(30)), seconds=0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)

    assert exits.get(timeout=30) == 143
    assert not going.is_set()
    going.set()
    exits.get(timeout=30)


def test_prefect_does_not_keep_sigterm(exits: Queue[int]) -> None:
    """The first SIGTERM raises Prefect's exception, and the second does not disturb the cleanup."""

    class TerminationError(BaseException):
        """Stands for Prefect's TerminationSignal."""

    def prefects(_number: int, _frame: object) -> NoReturn:
        raise TerminationError

    run = interruption()
    signal.signal(signal.SIGTERM, prefects)
    run(LoadStarted("api {}", LoadStats()))
    with pytest.raises(TerminationError):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGHUP)
    assert exits.empty()


def test_a_signal_waits_for_the_summary_and_does_not_change_the_exit_code(
    exits: Queue[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is complete has printed this, and its end is only made shorter."""
    run = interruption()
    run.hold()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(SystemExit):
        run.over(ExitCode.DONE)
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)

    assert [exits.get_nowait(), exits.get_nowait()] == [0, 0]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("number", "code", "name"), SIGNALS)
def test_before_a_run_a_signal_ends_the_process_at_once(
    exits: Queue[int],
    number: signal.Signals,
    code: int,
    name: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nothing has to be closed then."""
    exit_when_interrupted()
    with pytest.raises(SystemExit):
        signal.raise_signal(number)

    assert exits.get_nowait() == code
    assert capfd.readouterr().err == f"interrupted{name} before anything was written.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_ignored(exits: Queue[int], number: signal.Signals) -> None:
    """A shell starts a script's background jobs without Ctrl-C, and `nohup` without SIGHUP."""
    signal.signal(number, signal.SIG_IGN)
    exit_when_interrupted()
    interruption()
    signal.raise_signal(number)

    assert exits.empty()
