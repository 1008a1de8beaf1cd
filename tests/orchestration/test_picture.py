"""The flow's picture: its shape, its figures, and every way in which drawing can fail."""

from __future__ import annotations

import re
import struct
import sysconfig
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from cfpb_etl.orchestration import picture as flow_graph
from cfpb_etl.orchestration.errors import PictureError
from cfpb_etl.orchestration.outcome import RunOutcome, TaskFigures, observe, observed
from cfpb_etl.orchestration.picture import draw_flow
from support.prefect_runs import finished_task_runs, handed_over

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RENDERER = Path(sysconfig.get_path("scripts")) / "graphviz-pure"


# --- a flow of the same shape ---------------------------------------------------------------


class Raw:
    """What is fetched."""

    rows = 10


class Parsed:
    """What is parsed."""

    rows = 9


HOOKS: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "on_completion": [observe],
    "on_failure": [observe],
}
attempts: list[int] = []
outcomes: list[RunOutcome] = []


@task(retries=2, **HOOKS)
def get(part: int) -> Raw:
    """Fetch a <part> of what there is, for as long as the source & its friends have one.

    A second paragraph, which no box has room for.
    """
    attempts.append(part)
    if attempts == [0]:
        raise ConnectionError("once")
    return Raw()


@task(**HOOKS)
def parse(raw: Raw, fail: bool = False) -> Parsed:  # noqa: FBT001, FBT002 - as a task is called
    """Read it."""
    if fail:
        raise ValueError(f"{raw.rows} rows\nand more")
    return Parsed()


@task(**HOOKS)
def store(parsed: Parsed, load: int) -> int:  # noqa: D103 - a box without a sentence
    return parsed.rows + load


@task
def unused(parsed: Parsed) -> None:
    """Not named by the flow."""


def fetched() -> Iterator[Raw]:
    """Fetch two parts."""
    for part in range(2):
        yield get.submit(part).result()


@contextmanager
def watched() -> Iterator[None]:
    """Keep a run's outcome for the test to see."""
    with observed(flow_run.id) as outcome:
        outcomes.append(outcome)
        yield


@flow(name="example")
def example(fail: bool = False) -> list[int]:  # noqa: FBT001, FBT002 - as above
    """Show what a flow looks like."""
    with watched():
        return [store(parse(raw, fail), 1) for raw in fetched()]


# --- helpers --------------------------------------------------------------------------------


def figures(
    completed: int = 1,
    failed: int = 0,
    retries: int = 0,
    rows: int | None = 1000,
    error: str = "",
    seconds: float = 1.5,
    remark: str = "",
) -> TaskFigures:
    """Make up what became of a task."""
    span = (NOON, NOON + timedelta(seconds=seconds))
    return TaskFigures(completed, failed, retries, rows, remark, error, [span])


def outcome(word: Any, error: str = "", seconds: float = 3, **tasks: TaskFigures) -> RunOutcome:
    """Make up what became of a run, which began at noon."""
    return RunOutcome(NOON, NOON + timedelta(seconds=seconds), word, error, tasks)


def drawn(path: Path, run: RunOutcome | None = None) -> list[str]:
    """Draw the example and return the picture's texts."""
    picture = draw_flow(example, path / "picture.svg", run).read_text("utf-8")
    root = ET.fromstring(picture)  # noqa: S314 - our own picture
    texts = (text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
    return [text.strip() for text in texts if text.strip()]


# --- the shape ------------------------------------------------------------------------------


def test_the_boxes_are_the_tasks_that_the_flow_names(tmp_path: Path) -> None:
    """The boxes are the tasks that the flow names."""
    texts = drawn(tmp_path)

    assert texts[:2] == ["example", "Show what a flow looks like."]
    assert {"get", "parse", "store", "Raw", "Parsed"} <= set(texts)
    assert "unused" not in texts


def test_built_in_types_and_missing_annotations_are_no_arrows() -> None:
    """Built in types and missing annotations are no arrows."""

    @task
    def counts() -> int: ...  # type: ignore[empty-body]

    @task
    def takes(number: int, anything): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    assert list(flow_graph._edges([counts, takes])) == []


def test_annotations_may_be_types() -> None:
    """Annotations may be types."""

    def give() -> object: ...
    def take(raw: object) -> None: ...

    give.__annotations__ = {"return": Raw}
    take.__annotations__ = {"raw": Raw, "return": None}

    assert list(flow_graph._edges([task(give), task(take)])) == [("give", "take", "Raw")]


def test_a_flow_without_tasks_is_drawn(tmp_path: Path) -> None:
    """A flow without tasks is drawn."""

    @flow(name="idle")
    def idle() -> None: ...

    assert "idle" in draw_flow(idle, tmp_path / "idle.svg").read_text("utf-8")


@pytest.mark.usefixtures("prefect_server")
def test_the_shape_is_what_a_run_hands_from_task_to_task() -> None:
    """The shape is what a run hands from task to task."""
    attempts.clear()
    outcomes.clear()
    state = example(return_state=True)

    assert state.is_completed()
    tasks = list(dict.fromkeys(flow_graph._tasks(example.fn, set())))
    drawn_edges = {(giver, taker) for giver, taker, _ in flow_graph._edges(tasks)}
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    assert handed_over(finished_task_runs(flow_run_id, 6)) == drawn_edges
    assert drawn_edges == {("get", "parse"), ("parse", "store")}

    (run,) = outcomes
    assert run.word == "completed"
    assert {name: (was.completed, was.retries, was.rows) for name, was in run.tasks.items()} == {
        "get": (2, 1, 20),
        "parse": (2, 0, 18),
        "store": (2, 0, None),
    }
    assert all(was.seconds <= (run.ended - run.began).total_seconds() for was in run.tasks.values())


@pytest.mark.usefixtures("prefect_server")
def test_a_failed_run_has_its_picture(tmp_path: Path) -> None:
    """A failed run has its picture."""
    attempts[:] = [1]
    outcomes.clear()
    state = example(fail=True, return_state=True)

    assert state.is_failed()
    texts = drawn(tmp_path, outcomes[0])
    assert {"× failed", "10 rows", "○ not reached", "● completed"} <= set(texts)


# --- each outcome's picture -----------------------------------------------------------------


def test_a_completed_run(tmp_path: Path) -> None:
    """A completed run."""
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
    """A failed task."""
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
    said = " ".join(texts)
    assert "<today> & \"now\" 'then' C:\\New\\Graph [0m" in said
    assert "Traceback" not in said
    assert said.count("no such column") == 1


def test_a_failure_outside_the_tasks_is_said_above_them(tmp_path: Path) -> None:
    """A failure outside the tasks is said above them."""
    texts = drawn(tmp_path, outcome("failed", "20 came, but there are 21.", get=figures()))

    assert "20 came, but there are 21." in texts


def test_a_long_error_is_shortened(tmp_path: Path) -> None:
    """A long error is shortened."""
    texts = drawn(tmp_path, outcome("failed", get=figures(0, 1, error="word " * 100)))

    assert sum("word" in text for text in texts) == 3
    assert any(text.endswith("…") for text in texts)


@pytest.mark.parametrize(
    ("word", "said"), [("interrupted", "■ none finished"), ("completed", "○ not needed")]
)
def test_tasks_without_runs(tmp_path: Path, word: str, said: str) -> None:
    """Tasks without runs."""
    texts = drawn(tmp_path, outcome(word, seconds=7300, get=figures()))

    assert texts.count(said) == 2
    assert "· 2026-11-23 12:00 UTC · 2 h 1 min" in texts


def test_the_same_run_is_the_same_picture(tmp_path: Path) -> None:
    """The same run is the same picture."""
    run = outcome("completed", get=figures())
    one = draw_flow(example, tmp_path / "one.svg", run)
    two = draw_flow(example, tmp_path / "two.svg", run)

    assert one.read_bytes() == two.read_bytes()


def test_a_page_of_a_readme_has_room_for_it(tmp_path: Path) -> None:
    """A page of a README has room for it."""
    run = outcome("completed", get=figures(completed=1800, rows=18_000_000, seconds=5900))
    svg = draw_flow(example, tmp_path / "wide.svg", run).read_text("utf-8")
    points = re.search(r'width="(\d+)pt"', svg)

    assert points is not None
    assert int(points[1]) * 96 / 72 <= 910
    assert 'fill="white"' in svg
    assert "<title>example: completed</title>" in svg


def test_a_png(tmp_path: Path) -> None:
    """A PNG."""
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
    """Return the one folder in which programs are looked for."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "none"))
    return folder


def test_nothing_to_draw_with(tmp_path: Path, programs: Path) -> None:
    """Nothing to draw with."""
    assert not list(programs.iterdir())
    with pytest.raises(PictureError, match="pip install graphviz-pure"):
        draw_flow(example, tmp_path / "picture.svg")


@pytest.mark.parametrize("name", ["graphviz-pure", "dot"])
def test_a_renderer_on_the_path_serves(tmp_path: Path, programs: Path, name: str) -> None:
    """A renderer on the path serves."""
    script(programs, name, f'exec "{RENDERER}" "$@"')

    assert "parse" in drawn(tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'Error: out of <ink>' >&2; echo more >&2; exit 3", "Error: out of <ink>"),
        ("exit 3", "non-zero exit status 3"),
        ("kill -SEGV $$", "SIGSEGV"),
    ],
)
def test_a_renderer_that_fails(tmp_path: Path, programs: Path, body: str, said: str) -> None:
    """A renderer that fails."""
    script(programs, "dot", body)
    with pytest.raises(PictureError) as caught:
        draw_flow(example, tmp_path / "picture.svg")

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "picture.svg").exists()


def test_a_renderer_that_hangs(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renderer that hangs."""
    script(programs, "dot", "while :; do :; done")
    monkeypatch.setattr(flow_graph, "_RENDER_SECONDS", 0.1)
    with pytest.raises(PictureError, match="timed out"):
        draw_flow(example, tmp_path / "picture.svg")


def test_a_renderer_that_does_not_start(tmp_path: Path, programs: Path) -> None:
    """A renderer that does not start."""
    script(programs, "dot", "").write_text("#!/no/such/shell\n")
    with pytest.raises(PictureError, match="could not draw"):
        draw_flow(example, tmp_path / "picture.svg")


@pytest.mark.parametrize("name", ["picture.pdf", "picture", ".svg"])
def test_other_kinds_of_picture(tmp_path: Path, name: str) -> None:
    """Other kinds of picture."""
    with pytest.raises(PictureError, match=r"\.svg or \.png"):
        draw_flow(example, tmp_path / name)


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    """A folder that is missing."""
    with pytest.raises(PictureError, match="No such file or directory"):
        draw_flow(example, tmp_path / "none" / "picture.svg")


def test_a_target_that_cannot_be_replaced(tmp_path: Path) -> None:
    """A target that cannot be replaced."""
    (tmp_path / "picture.svg").mkdir()
    with pytest.raises(PictureError, match="directory"):
        draw_flow(example, tmp_path / "picture.svg")

    assert [path.name for path in tmp_path.iterdir()] == ["picture.svg"]


def test_the_picture_before_stays_until_the_next_is_whole(tmp_path: Path, programs: Path) -> None:
    """The picture before stays until the next is whole."""
    picture = tmp_path / "picture.svg"
    picture.write_text("before")
    script(programs, "dot", "echo half; exit 1")
    with pytest.raises(PictureError):
        draw_flow(example, picture)

    assert picture.read_text() == "before"
