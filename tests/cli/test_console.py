"""What the terminal shows while a run is in progress: lines, or a progress bar."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli import console as console_module
from cfpb_etl.cli.console import RunConsole
from cfpb_etl.model.events import (
    Headline,
    LoadStarted,
    PartStored,
    PictureDrawn,
    Progress,
    Step,
    Warned,
)
from cfpb_etl.model.load_stats import LoadStats
from support.logs import restored_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = LoadStats(parts=1, rows=100, new=100, matching=250)


class Clock:
    """Replaces the time module; its time moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of the console."""
    made = Clock()
    monkeypatch.setattr(console_module, "time", made)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard error seem to be a terminal."""
    stderr = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setattr(console_module, "sys", SimpleNamespace(stderr=stderr))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")


@contextmanager
def opened(
    limit: int | None = None, rate_limit_use: str = "", *, verbose: bool = False
) -> Iterator[RunConsole]:
    """Open a console, and restore the handlers of the log afterwards."""
    with (
        restored_logs(),
        RunConsole(limit, lambda: rate_limit_use, verbose=verbose) as console,
    ):
        yield console


def stored(page: int, stats: LoadStats = PAGE) -> PartStored:
    """Return the event of a stored page."""
    return PartStored(f"Stored page {page}", f"Stored page {page}, {stats.rows} complaints", stats)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was written since the last call, without the commands of a terminal."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    return [line.strip() for line in text.splitlines() if line.strip()]


# --- lines ----------------------------------------------------------------------------------


def test_a_line_for_each_page(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """The line of a page has the number of stored complaints, their rate, and the time left."""
    with opened() as console:
        console(Step("Fetched page 1", "Fetched page 1 in 2.0 s"))
        clock.now += 10
        console(stored(1))
        clock.now += 10
        console(stored(2))
        clock.now += 5
        console(stored(3, LoadStats(parts=1, rows=50, new=50)))

    assert lines(capsys) == [
        "Stored page 1, 100 complaints (100 of 250, 10/s, 0:00:15 left)",
        "Stored page 2, 100 complaints (200 of 250, 10/s, 0:00:05 left)",
        "Stored page 3, 50 complaints (250 of 250)",
    ]
    assert console.stats.rows == 250


def test_a_limit_is_the_total(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a limit and a count of the source, the line has no total."""
    with opened(limit=150) as console:
        console(stored(1, LoadStats()))
        clock.now += 1
        console(stored(2))

    assert lines(capsys) == [
        "Stored page 1, 0 complaints",
        "Stored page 2, 100 complaints (100 of 150, 100/s, 0:00:00 left)",
    ]


def test_complaints_of_an_earlier_run_have_no_rate(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resumed load counts them, but its rate is that of this run."""
    with opened() as console:
        console(LoadStarted("api {}", PAGE))
        console(Headline("Resuming"))
        clock.now += 10
        console(stored(2))

    assert lines(capsys) == [
        "Resuming",
        "Stored page 2, 100 complaints (200 of 250, 10/s, 0:00:05 left)",
    ]


def test_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of the run is shown in full each time; one of a library in brief, and once."""
    another = logging.getLogger("another")
    with opened() as console:
        console(Warned("x" * 200))
        console(Warned("x" * 200))
        another.warning("y" * 200)
        another.warning("y" * 200)
        another.info("not a warning")

    assert lines(capsys) == [*2 * [f"warning: {'x' * 200}"], f"warning: {'y' * 160}"]


@pytest.mark.parametrize("name", ["cfpb_etl.flow", "prefect.flow_runs", "prefect.task_runs"])
def test_log_records_of_the_run_are_not_shown(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An event, or the last line of the run, has the same text."""
    with opened():
        logging.getLogger().handle(
            logging.LogRecord(name, logging.ERROR, __file__, 1, "Task run failed", (), None)
        )

    assert lines(capsys) == []


def test_a_long_step(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a line every few seconds, with the time left when that is known.

    The same step of the next file starts again.
    """
    with opened() as console:
        for share in (0.1, 0.15, 0.2, 0.6, 0.1, 0.3, 1.0):
            console(Progress("Storing", f"{share * 1_000:.0f} complaints", share))
            clock.now += 4
        console(Progress("Downloading", "1 MB", None))
        clock.now += 6
        console(Progress("Downloading", "2 MB", None))

    assert lines(capsys) == [
        "Storing: 200 complaints, 20%, 0:01:04 left",
        "Storing: 1000 complaints",
        "Downloading: 2 MB",
    ]


def test_verbose_leaves_the_screen_to_prefect(capsys: pytest.CaptureFixture[str]) -> None:
    """Then the console only counts."""
    handlers = logging.getLogger().handlers[:]
    with opened(verbose=True) as console:
        console(stored(1))
        console(Warned("odd"))
        assert logging.getLogger().handlers == handlers

    assert console.stats.rows == 100
    assert lines(capsys) == []


def test_the_last_line_belongs_to_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stopped console still counts, and remembers the picture, but prints nothing."""
    with opened() as console:
        console.stop()
        console(stored(1))
        console(Warned("odd"))
        console(PictureDrawn(tmp_path / "flow.svg"))
        logging.getLogger("another").warning("odd")

    assert (console.stats.rows, console.picture) == (100, tmp_path / "flow.svg")
    assert lines(capsys) == []


def test_a_screen_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe does not end the run: the console goes silent and still counts."""
    with opened() as console:

        def closed(*_: object, **__: object) -> None:
            raise BrokenPipeError

        monkeypatch.setattr(console._console, "print", closed)
        logging.getLogger("another").warning("odd")
        console(Headline("text"))
        console(stored(1))

    assert console.stats.rows == 100


# --- a terminal -----------------------------------------------------------------------------


@pytest.mark.usefixtures("terminal")
def test_the_bar(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the step in brief, the use of the rate limit and the counts; a headline stays."""
    with opened(rate_limit_use="1 of 20 searches in 60 s") as console:
        console(Headline("Resuming the load"))
        clock.now += 10
        console(stored(1))
    *before, step, bar = lines(capsys)

    assert "Resuming the load" in before
    assert step == "Stored page 1 (1 of 20 searches in 60 s)"
    assert re.fullmatch(r". ━.* 100 of 250, 10/s, 0:00:15 left", bar)


@pytest.mark.usefixtures("terminal")
def test_the_bar_fits_80_columns(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long title is shortened, and the counts of all complaints of CFPB fit beside the bar."""
    monkeypatch.setenv("COLUMNS", "80")
    stats = LoadStats(parts=1, rows=10_000_000, matching=18_000_000)
    with opened() as console:
        clock.now += 10_000
        title = f"Stored {'a-long-name-' * 8}"
        console(PartStored(title, title, stats))
    *_, step, bar = lines(capsys)

    assert step == f"{title[:79]}…"
    assert re.fullmatch(r". [━╸╺]{20} 10,000,000 of 18,000,000, 1,000/s, 2:13:20 left", bar)


LONGEST = LoadStats(parts=1, rows=10_000_000, matching=18_239_728)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (80, ". ━{20} 10,000,000 of 18,239,728, 100/s, 22:53:17 left"),
        (60, ". ━{11} 10,000,000 of 18,239,728, 100/s, 22:53:17 left"),
        (58, ". ━{16} 10,000,000 of 18,239,728, 22:53:17 left"),
        (40, "10,000,000 of 18,239,728, 22:53:17 left"),
        (38, "10,000,000 of 18,239,728"),
        (20, "10,000,000 of 18,239"),
    ],
)
def test_a_narrow_terminal(
    columns: int,
    shown: str,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each line stays one line, and what matters most is left out last."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with opened() as console:
        clock.now += 100_000
        console(stored(1, LONGEST))
    *_, step, bar = lines(capsys)

    assert max(len(step), len(bar)) <= columns
    assert re.fullmatch(shown, bar.replace("╸", "━").replace("╺", "━"))


@pytest.mark.usefixtures("terminal")
def test_a_long_step_on_the_bar(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has its share, its rate and the time left; a download has a rate in bytes."""
    monkeypatch.setenv("COLUMNS", "80")
    with opened() as console:
        console(Progress("Storing", "10 complaints", 0.1, 10))
        clock.now += 10
        console(Progress("Storing", "20 complaints", 0.2, 20))
        console._live.refresh()
        storing = lines(capsys)[-1]
        clock.now += 10
        console(Progress("Downloading", "1 MB of 9 MB", 0.1, 1_000_000, "bytes"))
        clock.now += 1
        console(Progress("Downloading", "2 MB of 9 MB", 0.2, 2_000_000, "bytes"))
        console._live.refresh()
        downloading = lines(capsys)[-1]

    assert storing.endswith("━ 20 complaints, 20%, 1/s, 0:01:20 left")
    assert downloading.endswith("━ 2 MB of 9 MB, 20%, 1.0 MB/s, 0:00:08 left")


@pytest.mark.usefixtures("terminal")
def test_a_terminal_without_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With TERM=dumb there are lines, as in a file."""
    monkeypatch.setenv("TERM", "dumb")
    with opened(limit=100) as console:
        console(stored(1))

    assert capsys.readouterr().err == "Stored page 1, 100 complaints (100 of 100)\n"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"])
def test_a_file_has_no_commands_of_a_terminal(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Colors that a user forces are not meant for a progress bar in a file."""
    monkeypatch.setenv(name, "1")
    with opened(limit=100) as console:
        console(stored(1))

    assert capsys.readouterr().err == "Stored page 1, 100 complaints (100 of 100)\n"


@pytest.mark.usefixtures("terminal")
def test_a_file_has_no_total(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a total, the bar has only the number of stored complaints."""
    with opened() as console:
        console(stored(1, LoadStats(parts=1, rows=7)))

    assert lines(capsys)[-1].endswith(" 7")


@pytest.mark.usefixtures("terminal")
def test_the_bar_stays_with_one_of_two_long_steps(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another long step takes the bar only when the first one has not moved for a while."""

    def is_on_the_bar(step: str) -> bool:
        console._live.refresh()
        return lines(capsys)[-2] == step

    with opened() as console:
        console(Progress("Storing", "1 complaint", 0.1))
        console(Progress("Downloading", "1 MB", 0.1))
        first = is_on_the_bar("Storing")
        clock.now += 2
        console(Progress("Downloading", "2 MB", 0.2))
        second = is_on_the_bar("Downloading")

    assert (first, second) == (True, True)


@pytest.mark.parametrize("verbose", [True, False])
def test_a_log_that_cannot_be_sent_is_not_printed(*, verbose: bool) -> None:
    """Prefect prints without a line end that its server is gone, but only with --verbose."""
    with opened(verbose=verbose):
        assert logging.raiseExceptions is verbose
