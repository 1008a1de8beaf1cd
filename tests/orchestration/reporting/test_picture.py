"""The flow's picture: its boxes and arrows, its figures, and how drawing can fail."""

from __future__ import annotations

import re
import struct
import sys
import sysconfig
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from prefect import flow, task

from cfpb_etl.orchestration.errors import PictureError
from cfpb_etl.orchestration.reporting import picture as picture_module
from cfpb_etl.orchestration.reporting.outcome import RunOutcome, TaskFigures
from cfpb_etl.orchestration.reporting.picture import draw_flow, edges_between, steps_of
from support import example_flow
from support.example_flow import Parsed, example, outcomes
from support.prefect_runs import finished_task_runs, handed_over

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RENDERER = Path(sysconfig.get_path("scripts")) / "graphviz-pure"


# --- helpers --------------------------------------------------------------------------------


def figures(
    completed: int = 1,
    failed: int = 0,
    retries: int = 0,
    rows: int | None = 1000,
    error: str = "",
    seconds: float = 1.5,
    *,
    rows_follow: bool = False,
) -> TaskFigures:
    """Make the figures of a task."""
    span = (NOON, NOON + timedelta(seconds=seconds))
    return TaskFigures(completed, failed, retries, rows, rows_follow, error, [span])


def outcome(status: Any, error: str = "", seconds: float = 3, **tasks: TaskFigures) -> RunOutcome:
    """Make the outcome of a run that started at noon."""
    return RunOutcome(NOON, NOON + timedelta(seconds=seconds), status, error, error, tasks)


def drawn(path: Path, run: RunOutcome | None = None) -> list[str]:
    """Draw the example flow, and return the texts of the picture."""
    picture = draw_flow(example, path / "picture.svg", run).read_text("utf-8")
    root = ET.fromstring(picture)  # noqa: S314 - our own picture
    texts = (text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
    return [text.strip() for text in texts if text.strip()]


# --- boxes and arrows -----------------------------------------------------------------------


def test_the_boxes_are_the_steps_of_the_flows_module(tmp_path: Path) -> None:
    """They have the order of their definitions; the flow's name and description are above."""
    texts = drawn(tmp_path)

    assert [each.name for each in steps_of(example)] == ["get", "parse", "store"]
    assert texts[:2] == ["example", "Show what a flow looks like."]
    assert {"get", "parse", "store", "RawPart", "Parsed"} <= set(texts)


def test_steps_of_other_modules_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that the flow's module imports counts as its own."""

    @flow(name="other")
    def other() -> None: ...

    assert steps_of(other) == []

    module = types.ModuleType("other_module")
    module.__dict__["get"] = example_flow.get
    monkeypatch.setitem(sys.modules, "other_module", module)
    other.fn.__module__ = "other_module"

    assert steps_of(other) == [example_flow.get]


def test_built_in_types_and_missing_annotations_make_no_arrow() -> None:
    """An int that a task returns may be meant for any other task, or for none."""

    @task
    def count() -> int: ...  # type: ignore[empty-body]

    @task
    def take(number: int, anything): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    assert list(edges_between([count, take])) == []


def test_annotations_can_be_types() -> None:
    """Without the future import, annotations are types and not texts."""

    def give() -> object: ...
    def take(parsed: object) -> None: ...

    give.__annotations__ = {"return": Parsed}
    take.__annotations__ = {"parsed": Parsed, "return": None}

    assert list(edges_between([task(give), task(take)])) == [("give", "take", "Parsed")]


def test_a_flow_without_tasks_is_drawn(tmp_path: Path) -> None:
    """The picture is then only a heading."""

    @flow(name="idle")
    def idle() -> None: ...

    assert "idle" in draw_flow(idle, tmp_path / "idle.svg").read_text("utf-8")


@pytest.mark.usefixtures("prefect_server")
def test_the_arrows_are_what_a_run_hands_from_task_to_task() -> None:
    """Prefect's record of a run has the same pairs of tasks, and the outcome has its figures."""
    outcomes.clear()
    state = example(return_state=True)

    assert state.is_completed()
    edges = {(giver, taker) for giver, taker, _ in edges_between(steps_of(example))}
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    assert handed_over(finished_task_runs(flow_run_id, 6)) == edges
    assert edges == {("get", "parse"), ("parse", "store")}

    (run,) = outcomes
    assert run.status == "completed"
    assert {
        name: (figures.completed, figures.retries, figures.rows)
        for name, figures in run.tasks.items()
    } == {"get": (2, 1, 20), "parse": (2, 0, 18), "store": (2, 0, 18)}
    duration = (run.ended - run.started).total_seconds()
    assert all(figures.seconds <= duration for figures in run.tasks.values())


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_has_its_picture(tmp_path: Path) -> None:
    """The picture shows which task failed, and that the next one was not reached."""
    outcomes.clear()
    state = example(fail=True, return_state=True)

    assert state.is_failed()
    texts = drawn(tmp_path, outcomes[0])
    assert {"× failed", "10 rows and more", "○ not reached", "● completed"} <= set(texts)


# --- figures --------------------------------------------------------------------------------


def test_a_completed_run(tmp_path: Path) -> None:
    """Every task has its runs, rows, seconds and retries."""
    run = outcome(
        "completed",
        get=figures(completed=3, rows=21000, retries=1, seconds=2.4),
        parse=figures(rows=1, seconds=0.04),
        store=figures(retries=2, rows=None, seconds=125),
    )
    texts = drawn(tmp_path, run)

    assert "· 2026-11-23 12:00 UTC · 3.0 s" in texts
    assert texts.count("● completed") == 4
    assert {"3 runs · 21,000 rows", "2.4 s", "▲ 1 retry"} <= set(texts)
    assert {"1 run · 1 row", "0.04 s", "1 run", "2 min 5 s", "▲ 2 retries"} <= set(texts)


def test_a_failed_task(tmp_path: Path) -> None:
    """The error is shown once, on one line, with the characters that SVG allows."""
    error = "no such column: <today> & \"now\" 'then' C:\\New\\Graph\x1b[0m \ud800\nTraceback"
    run = outcome(
        "failed",
        error,
        get=figures(completed=2),
        parse=figures(completed=2, failed=1, error=error),
    )
    texts = drawn(tmp_path, run)

    assert texts.count("× failed") == 2
    assert "3 runs, 1 failed · 1,000 rows" in texts
    assert "○ not reached" in texts
    text = " ".join(texts)
    assert "<today> & \"now\" 'then' C:\\New\\Graph [0m" in text
    assert "Traceback" not in text
    assert text.count("no such column") == 1


def test_a_failure_outside_the_tasks_is_shown_above_them(tmp_path: Path) -> None:
    """The error is shown above the tasks when none of them raised it."""
    texts = drawn(tmp_path, outcome("failed", "20 complaints were received of 21.", get=figures()))

    assert "20 complaints were received of 21." in texts


def test_a_long_error_is_shortened(tmp_path: Path) -> None:
    """A box has three lines for it."""
    texts = drawn(tmp_path, outcome("failed", get=figures(0, 1, error="word " * 100)))

    assert sum("word" in text for text in texts) == 3
    assert any(text.endswith("…") for text in texts)


def test_rows_that_are_parsed_while_they_are_stored(tmp_path: Path) -> None:
    """A file is parsed so: its rows belong to the task that stores, and its time would mislead."""
    run = outcome("completed", parse=figures(rows=None, rows_follow=True, seconds=2.5))
    texts = drawn(tmp_path, run)

    assert "1 run · rows parsed while storing" in texts
    assert "2.5 s" not in texts


@pytest.mark.parametrize(
    ("status", "label"), [("interrupted", "■ none finished"), ("completed", "○ not needed")]
)
def test_tasks_without_runs(tmp_path: Path, status: str, label: str) -> None:
    """The status of the run says why a task has no runs."""
    texts = drawn(tmp_path, outcome(status, seconds=7300, get=figures()))

    assert texts.count(label) == 2
    assert "· 2026-11-23 12:00 UTC · 2 h 1 min" in texts


def test_the_same_run_is_the_same_picture(tmp_path: Path) -> None:
    """A picture in a repository changes only when the run does."""
    run = outcome("completed", get=figures())
    one = draw_flow(example, tmp_path / "one.svg", run)
    two = draw_flow(example, tmp_path / "two.svg", run)

    assert one.read_bytes() == two.read_bytes()


def test_the_picture_fits_a_readme(tmp_path: Path) -> None:
    """GitHub scales a wider picture down, and its text becomes too small."""
    run = outcome("completed", get=figures(completed=1800, rows=18_000_000, seconds=5900))
    svg = draw_flow(example, tmp_path / "wide.svg", run).read_text("utf-8")
    points = re.search(r'width="(\d+)pt"', svg)

    assert points is not None
    assert int(points[1]) * 96 / 72 <= 910
    assert 'fill="white"' in svg
    assert "<title>example: completed</title>" in svg


def test_a_png(tmp_path: Path) -> None:
    """A PNG has two pixels for each point."""
    png = draw_flow(example, tmp_path / "picture.PNG").read_bytes()
    width, height = struct.unpack(">II", png[16:24])

    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert width > 1500
    assert height > 200


# --- when drawing fails ---------------------------------------------------------------------


def script(folder: Path, name: str, body: str) -> Path:
    """Write a program."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder in which programs are looked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "none"))
    return folder


def test_no_renderer(tmp_path: Path, programs: Path) -> None:
    """The error says what to install."""
    assert not list(programs.iterdir())
    with pytest.raises(PictureError, match="pip install graphviz-pure"):
        draw_flow(example, tmp_path / "picture.svg")


@pytest.mark.parametrize("name", ["graphviz-pure", "dot"])
def test_a_renderer_on_the_path_is_used(tmp_path: Path, programs: Path, name: str) -> None:
    """Graphviz itself can be the renderer too."""
    script(programs, name, f'exec "{RENDERER}" "$@"')

    assert "parse" in drawn(tmp_path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo 'Error: out of <ink>' >&2; echo more >&2; exit 3", "Error: out of <ink>"),
        ("exit 3", "non-zero exit status 3"),
        ("kill -SEGV $$", "SIGSEGV"),
    ],
)
def test_a_renderer_that_fails(tmp_path: Path, programs: Path, body: str, reason: str) -> None:
    """Its first line is the reason, and no picture is left."""
    script(programs, "dot", body)
    with pytest.raises(PictureError) as caught:
        draw_flow(example, tmp_path / "picture.svg")

    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "picture.svg").exists()


def test_a_renderer_that_hangs(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped after a while."""
    script(programs, "dot", "while :; do :; done")
    monkeypatch.setattr(picture_module, "_RENDER_SECONDS", 0.1)
    with pytest.raises(PictureError, match="timed out"):
        draw_flow(example, tmp_path / "picture.svg")


def test_a_renderer_that_does_not_start(tmp_path: Path, programs: Path) -> None:
    """It is an error of the picture, not of the run."""
    script(programs, "dot", "").write_text("#!/no/such/shell\n")
    with pytest.raises(PictureError, match="could not draw"):
        draw_flow(example, tmp_path / "picture.svg")


@pytest.mark.parametrize("name", ["picture.pdf", "picture", ".svg"])
def test_other_kinds_of_picture(tmp_path: Path, name: str) -> None:
    """Only SVG and PNG can be drawn."""
    with pytest.raises(PictureError, match=r"\.svg or \.png"):
        draw_flow(example, tmp_path / name)


def test_a_missing_folder(tmp_path: Path) -> None:
    """The error has the reason of the system."""
    with pytest.raises(PictureError, match="No such file or directory"):
        draw_flow(example, tmp_path / "none" / "picture.svg")


def test_a_target_that_cannot_be_replaced(tmp_path: Path) -> None:
    """No unfinished file is left beside it."""
    (tmp_path / "picture.svg").mkdir()
    with pytest.raises(PictureError, match="directory"):
        draw_flow(example, tmp_path / "picture.svg")

    assert [path.name for path in tmp_path.iterdir()] == ["picture.svg"]


def test_an_earlier_picture_is_kept_until_the_next_is_complete(
    tmp_path: Path, programs: Path
) -> None:
    """A failed drawing does not replace it."""
    picture = tmp_path / "picture.svg"
    picture.write_text("before")
    script(programs, "dot", "echo half; exit 1")
    with pytest.raises(PictureError):
        draw_flow(example, picture)

    assert picture.read_text() == "before"
