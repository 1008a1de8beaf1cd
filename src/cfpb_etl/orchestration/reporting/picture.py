"""The diagram of the flow, and of a finished run.

The boxes are the tasks and the subflows in the flow's module. An arrow joins two of them if the
second takes the type that the first returns. The figures come from the outcome of a run.
"""

from __future__ import annotations

import html
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, get_type_hints

import graphviz
from prefect import Flow, Task

from cfpb_etl.atomic_file import write_atomically
from cfpb_etl.model.wording import counted
from cfpb_etl.orchestration.errors import PictureError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.orchestration.reporting.outcome import RunOutcome

    AnyFlow: TypeAlias = Flow[..., Any]
    Step: TypeAlias = Task[..., Any] | Flow[..., Any]


def steps_of(flow: AnyFlow) -> list[Step]:
    """Return the tasks of the flow's module, and the other flows whose results these tasks take."""
    values = vars(sys.modules[flow.fn.__module__]).values()
    tasks = [each for each in values if isinstance(each, Task)]
    taken = [hint for task in tasks for hint in _taken(task)]
    return [
        each
        for each in values
        if isinstance(each, Task)
        or (isinstance(each, Flow) and each.fn is not flow.fn and _returned(each) in taken)
    ]


def edges_between(steps: Sequence[Step]) -> Iterator[tuple[str, str, str]]:
    """Yield (first step, second step, type) if the second step takes what the first step returns.

    Built-in types join no steps, because any task can take an int.
    """
    for producer in steps:
        returned = _returned(producer)
        for consumer in steps:
            if returned in _taken(consumer) and getattr(returned, "__module__", "") != "builtins":
                yield producer.name, consumer.name, getattr(returned, "__name__", str(returned))


def _returned(step: Step) -> object:
    return get_type_hints(step.fn).get("return")


def _taken(step: Step) -> list[object]:
    return [hint for name, hint in get_type_hints(step.fn).items() if name != "return"]


class _Look(NamedTuple):
    accent: str
    tint: str
    mark: str = ""
    style: str = "rounded"


# Each mark means the same as its colour. The renderer's fonts have few other marks.
_PLANNED = _Look("#0969da", "#eef6ff")
_UNREACHED = _Look("#59636e", "#f6f8fa", "○", "rounded,dashed")
_LOOKS = {
    "completed": _Look("#1a7f37", "#eefbf2", "●"),
    "failed": _Look("#cf222e", "#fff1f0", "×"),
    "interrupted": _Look("#9a6700", "#fff9e8", "■"),
}
_WITHOUT_RUNS = {
    "completed": (_UNREACHED, "not needed"),
    "failed": (_UNREACHED, "not reached"),
    "interrupted": (_LOOKS["interrupted"], "none finished"),
}
_INK, _MUTED, _LINE, _AMBER = "#1f2328", "#59636e", "#8c959f", "#9a6700"
_GAP = "\N{NO-BREAK SPACE}" * 4
_MINUTE = 60
_RENDER_SECONDS = 30


def draw_flow(flow: AnyFlow, path: Path, outcome: RunOutcome | None = None) -> Path:
    """Draw the diagram of a flow, and return the path of the diagram.

    Args:
        flow: The flow.
        path: The file to write, `.svg` or `.png`. An existing file is replaced atomically.
        outcome: The outcome whose figures are drawn; None to draw only the flow.

    Raises:
        PictureError: If no renderer is installed, or the file cannot be written.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise PictureError(f"A picture must be .svg or .png, not {path.name!r}.")
    picture = _rendered(_dot(flow, outcome), kind)
    try:
        write_atomically(path, picture)
    except OSError as error:
        raise PictureError(f"The picture {path} could not be written: {error.strerror}.") from error
    return path


def _dot(flow: AnyFlow, outcome: RunOutcome | None) -> str:
    font = {"fontname": "Helvetica", "fontsize": "10"}
    graph = graphviz.Digraph(
        flow.name if outcome is None else f"{flow.name}: {outcome.status}",
        graph_attr=font
        | {"label": _table(_heading(flow, outcome)), "labelloc": "t", "labeljust": "l"}
        | {"rankdir": "LR", "ranksep": "0.35", "bgcolor": "white", "pad": "0.2"},
        node_attr=font | {"shape": "plain"},
        edge_attr=font | {"fontcolor": _INK, "color": _LINE, "arrowsize": "0.7"},
    )
    steps = steps_of(flow)
    purposes = _evened([_wrapped(_sentence(step.description)) for step in steps])
    states = [_state(step.name, outcome) for step in steps]
    figures = _evened([lines for _, lines in states])
    for step, (look, _), purpose, lines in zip(steps, states, purposes, figures, strict=True):
        name = _text(step.name, _INK, size=12, bold=True)
        graph.node(step.name, _table([name, *map(_text, purpose), *lines], look))
    for producer, consumer, type_name in edges_between(steps):
        graph.edge(producer, consumer, label=f" {type_name} ")
    return str(graph.source)


def _heading(flow: AnyFlow, outcome: RunOutcome | None) -> list[str]:
    lines = [_text(flow.name, _INK, size=16, bold=True), _text(_first(flow.description), size=11)]
    if outcome is not None:
        look = _LOOKS[outcome.status]
        when = outcome.started.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        duration = _duration((outcome.ended - outcome.started).total_seconds())
        status = _text(f"{look.mark} {outcome.status}", look.accent, size=11, bold=True)
        # In viewers without Helvetica, bold letters are wider and would cover one space.
        lines.append(status + _text(f"{_GAP}· {when} · {duration}", _INK, size=11))
        if outcome.error and not any(figures.failed for figures in outcome.tasks.values()):
            lines += [_text(line, look.accent) for line in _wrapped(outcome.error, 110)]
    return lines


def _state(name: str, outcome: RunOutcome | None) -> tuple[_Look, list[str]]:
    """Return the look of a task's box, and the lines about the task's runs."""
    if outcome is None:
        return _PLANNED, []
    figures = outcome.tasks.get(name)
    if figures is None:
        look, label = _WITHOUT_RUNS[outcome.status]
        return look, ["", _text(f"{look.mark} {label}", look.accent, bold=True)]
    label = "failed" if figures.failed else "completed"
    look = _LOOKS[label]
    runs = counted(figures.completed + figures.failed, "run")
    if figures.failed and figures.completed:
        runs += f", {figures.failed:,} failed"
    if figures.rows is not None:
        runs += " · " + counted(figures.rows, "row")
    elif figures.rows_follow:
        runs += " · rows parsed while storing"
    # A file is parsed while it is stored, so the time of the parse task would mislead.
    duration = "" if figures.rows_follow else _text(_duration(figures.seconds), _INK)
    if figures.retries:
        retries = f"{figures.retries:,} {'retry' if figures.retries == 1 else 'retries'}"
        duration += _text(f"{_GAP}· ", _INK) + _text(f"▲ {retries}", _AMBER, bold=True)
    error = [_text(line, look.accent) for line in _wrapped(figures.error)]
    status = _text(f"{look.mark} {label}", look.accent, bold=True)
    return look, ["", status, _text(runs, _INK), duration, *error]


def _evened(blocks: list[list[str]]) -> list[list[str]]:
    """Return blocks with the same number of lines, so that all boxes have the same height."""
    most = max(map(len, blocks), default=0)
    return [block + [" "] * (most - len(block)) for block in blocks]


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _first(text: str | None) -> str:
    """Return the first line of a text, in printable characters."""
    line = ((text or "").strip().splitlines() or [""])[0]
    return "".join(letter if letter.isprintable() else " " for letter in line)


def _sentence(text: str | None) -> str:
    """Return the first sentence of a text's first line."""
    sentence, end, _ = _first(text).partition(". ")
    return sentence + end.rstrip()


def _wrapped(text: str | None, width: int = 27, lines: int = 3) -> list[str]:
    return textwrap.wrap(_first(text), width, max_lines=lines, placeholder=" …")


def _text(text: str, color: str = _MUTED, *, size: int = 10, bold: bool = False) -> str:
    # In HTML-like labels, Graphviz interprets backslashes: \N is the name of the node. Graphviz
    # also rejects an empty font element.
    safe = html.escape(text).replace("\\", "\\\\") or " "
    return f'<font color="{color}" point-size="{size}">{f"<b>{safe}</b>" if bold else safe}</font>'


def _table(lines: Iterable[str], look: _Look | None = None) -> str:
    frame = 'border="0" cellpadding="2"'
    if look is not None:
        frame = f'width="164" border="1.5" cellpadding="7" style="{look.style}"'
        frame += f' color="{look.accent}" bgcolor="{look.tint}"'
    # If each line has two pieces of text, Graphviz gives all lines the same height.
    rows = "".join(
        f'<tr><td align="left" height="15">{line}<font> </font></td></tr>' for line in lines
    )
    inner = f'<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{rows}</table>'
    return f'<<table {frame} cellborder="0"><tr><td align="left">{inner}</td></tr></table>>'


def _rendered(dot: str, kind: str) -> bytes:
    renderer = (
        shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
        or shutil.which("graphviz-pure")
        or shutil.which("dot")
    )
    if renderer is None:
        raise PictureError("No renderer for pictures was found. Run `pip install graphviz-pure`.")
    # 192 dots per inch keep a PNG sharp. An SVG would only become larger.
    command = [renderer, "-q", f"-T{kind}", *(["-Gdpi=192"] if kind == "png" else [])]
    try:
        return subprocess.run(  # noqa: S603 - a program of this environment, without a shell
            command, input=dot.encode(), capture_output=True, timeout=_RENDER_SECONDS, check=True
        ).stdout
    except (subprocess.SubprocessError, OSError) as error:
        stderr = getattr(error, "stderr", None) or b""
        reason = _first(stderr.decode(errors="replace")) or _first(str(error))
        raise PictureError(f"{renderer} could not draw the picture: {reason}") from error
