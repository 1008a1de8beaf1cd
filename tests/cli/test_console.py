"""What a run shows while it is under way: lines, or a bar on a terminal."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli import console as screen
from cfpb_etl.cli.console import RunConsole
from cfpb_etl.fetch.http.rate_limit import RateLimit, RateLimiter
from cfpb_etl.model.load_stats import LoadStats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS, PREFECTS = screen.__file__, "/prefect/engine.py"
PAGE = LoadStats(parts=1, rows=100, new=100, matching=250)


class Clock:
    """Stands for the time module, and goes on only when told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        """Tell the seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the screen's clock stand still."""
    made = Clock()
    monkeypatch.setattr(screen, "time", made)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rich take what it writes to for a terminal."""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")


@contextmanager
def shown(
    limit: int | None = None, pace: RateLimiter | None = None, *, verbose: bool = False
) -> Iterator[RunConsole]:
    """Open a screen, and put the log back as it was."""
    names = (None, "prefect._internal", "cfpb_etl", "prefect.flow_runs", "prefect.task_runs")
    loggers = map(logging.getLogger, names)
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    try:
        with RunConsole(limit, pace, verbose=verbose) as opened:
            yield opened
    finally:
        for logger, handlers, level in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)


def say(words: str, level: int = logging.INFO, path: str = OURS, **extra: object) -> None:
    """Log a record, as from a file."""
    name = "cfpb_etl" if path == OURS else "prefect.task_runs"
    record = logging.getLogger(name).makeRecord(name, level, path, 1, words, (), None)
    vars(record).update(extra)
    logging.getLogger().handle(record)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was written since, without a terminal's commands."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    return [line.strip() for line in text.splitlines() if line.strip()]


# --- lines ----------------------------------------------------------------------------------


def test_a_line_for_each_page(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """A page's line has how many are here, how fast they come, and how long it takes still."""
    with shown() as opened:
        say("Fetched page 1")
        clock.now += 10
        say("Stored page 1", stored=PAGE)
        clock.now += 10
        say("Stored page 2", stored=PAGE)
        clock.now += 5
        say("Stored page 3", stored=LoadStats(parts=1, rows=50, new=50))

    assert lines(capsys) == [
        "Stored page 1 (100 of 250, 10/s, 0:00:15 left)",
        "Stored page 2 (200 of 250, 10/s, 0:00:05 left)",
        "Stored page 3 (250 of 250)",
    ]
    assert opened.stored.rows == 250


def test_of_a_limit(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Where so many were asked for, these are all; where nobody counted, no number is told."""
    with shown(limit=150):
        say("Stored nothing", stored=LoadStats())
        clock.now += 1
        say("Stored page 1", stored=PAGE)

    assert lines(capsys) == ["Stored nothing", "Stored page 1 (100 of 150, 100/s, 0:00:00 left)"]


def test_what_an_earlier_run_stored_came_at_no_speed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A load that goes on counts from there, and is as fast as what comes now."""
    with shown():
        say("Going on", notice=True, stored=PAGE)
        clock.now += 10
        say("Stored page 2", stored=PAGE)

    assert lines(capsys) == ["Going on", "Stored page 2 (200 of 250, 10/s, 0:00:05 left)"]


def test_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours are told whole each time; another's in short, once, and Prefect's runs' not at all."""
    other = logging.getLogger("another")
    with shown():
        say("a thing", logging.WARNING)
        say("a thing", logging.WARNING)
        say("Task run failed", logging.ERROR, PREFECTS)
        other.warning("x" * 200)
        other.warning("x" * 200)
        say("Steps of Prefect's", path=PREFECTS)

    assert lines(capsys) == ["warning: a thing", "warning: a thing", f"warning: {'x' * 160}"]


def test_a_long_step(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a line every few seconds, with its time left once it is known; a next one begins."""
    with shown():
        for share in (0.1, 0.15, 0.2, 0.6, 0.1, 0.3, 1.0):
            say("ReadStats", so_far=f"{share * 1_000:.0f} complaints", share=share)
            clock.now += 4
        say("Downloading", so_far="1 MB", share=None)
        clock.now += 6
        say("Downloading", so_far="2 MB", share=None)

    assert lines(capsys) == [
        "ReadStats: 200 complaints, 20%, 0:01:04 left",
        "ReadStats: 1000 complaints",
        "Downloading: 2 MB",
    ]


def test_verbose_leaves_the_screen_to_prefect(capsys: pytest.CaptureFixture[str]) -> None:
    """Then it counts, and shows nothing."""
    with shown(verbose=True) as opened:
        say("Stored page 1", stored=PAGE)
        say("a thing", logging.WARNING)

    assert opened.stored.rows == 100
    assert lines(capsys) == []


def test_the_last_line_is_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After it was stopped it still counts, and notes the picture, but is silent."""
    with shown() as opened:
        opened.stop()
        say("Stored page 1", stored=PAGE)
        say("Drew it", picture=tmp_path / "flow.svg")

    assert (opened.stored.rows, opened.picture) == (100, tmp_path / "flow.svg")
    assert lines(capsys) == []


# --- a terminal -----------------------------------------------------------------------------


@pytest.mark.usefixtures("terminal")
def test_the_bar(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """One line has the step in short, the counts, and the searches used; a notice its own."""
    pace = RateLimiter(RateLimit(requests=20, seconds=60))
    pace.wait()
    with shown(pace=pace):
        say("Going on where it stopped", notice=True)
        clock.now += 10
        say("Stored page 1, received 2026-01-01 to 2026-01-02", stored=PAGE)
    seen = lines(capsys)

    assert "Going on where it stopped" in seen
    assert re.fullmatch(
        r". Stored page 1 .* 100 of 250, 10/s, .* left 1 of 20 searches in 60 s", seen[-1]
    )


@pytest.mark.usefixtures("terminal")
def test_a_long_name_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    """A step of many words does not push the rest off the line."""
    with shown():
        say(f"Stored {'a-long-name-' * 8}", stored=LoadStats(parts=1, rows=7))

    last = lines(capsys)[-1]
    assert "…" in last
    assert last.endswith(" 7")


@pytest.mark.usefixtures("terminal")
def test_the_bar_stays_with_one_of_two_long_steps(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second step under way beside it has the bar only when the first has been still."""

    def on_the_bar(step: str) -> bool:
        opened._progress.refresh()
        return f" {step} " in lines(capsys)[-1]

    with shown() as opened:
        say("ReadStats", so_far="1 complaint", share=0.1)
        say("Downloading", so_far="1 MB", share=0.1)
        first = on_the_bar("ReadStats")
        clock.now += 2
        say("Downloading", so_far="2 MB", share=0.2)
        second = on_the_bar("Downloading")

    assert (first, second) == (True, True)
