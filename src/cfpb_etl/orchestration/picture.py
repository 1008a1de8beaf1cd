"""How the flow, and a finished run of it, become a picture.

The boxes are the tasks that the flow's own code names, the arrows are what those tasks hand each
other, and the figures are a run's outcome.
"""

from __future__ import annotations

import builtins
import html
import inspect
import shutil
import subprocess
import sysconfig
import textwrap
from datetime import UTC
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import graphviz
from prefect import Task

from cfpb_etl.model.atomic_file import write_atomically
from cfpb_etl.orchestration.errors import PictureError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from prefect import Flow

    from cfpb_etl.orchestration.outcome import RunOutcome

    AnyFlow: TypeAlias = Flow[..., Any]
    AnyTask: TypeAlias = Task[..., Any]


# --- the flow's shape -----------------------------------------------------------------------


def _tasks(function: Any, followed: set[Any]) -> Iterator[AnyTask]:  # noqa: ANN401 - of any signature
    """Yield the tasks that a function's code names, itself or through others of its module."""
    function = inspect.unwrap(function)
    followed.add(function)
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, Task):
            yield value
        elif getattr(value, "__module__", None) == function.__module__:
            for used in [value, *vars(value).values()] if inspect.isclass(value) else [value]:
                if inspect.isfunction(used) and inspect.unwrap(used) not in followed:
                    yield from _tasks(used, followed)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _edges(tasks: Collection[AnyTask]) -> Iterator[tuple[str, str, str]]:
    """Yield (task, task, type) wherever what one returns is what another takes.

    Annotations are compared by their words, for a type that is imported for annotations only does
    not exist when the program runs. Built-in types tie nothing: any task may take an int.
    """
    for giver in tasks:
        given = _word(inspect.get_annotations(giver.fn).get("return"))
        for taker in tasks:
            notes = inspect.get_annotations(taker.fn).items()
            takes = {_word(note) for name, note in notes if name != "return"}
            if given in takes and not hasattr(builtins, given):
                yield giver.name, taker.name, given


def _word(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "None")


# --- the picture ----------------------------------------------------------------------------


class _Look(NamedTuple):
    accent: str
    tint: str
    mark: str = ""
    style: str = "rounded"


# Marks tell what colours tell. Of all marks, these are among the few in the renderer's own fonts.
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
    """Draw a flow, coloured by what became of a run of it, and return the picture's path.

    Args:
        flow: The flow; its tasks and what they hand each other are read from its code.
        path: The picture's file, `.svg` or `.png`. It is replaced in one step.
        outcome: The run, or None to draw the flow as it is planned.

    Raises:
        PictureError: When there is nothing to draw with, or nowhere to draw to.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise PictureError(f"A picture is .svg or .png, which {path.name!r} is not.")
    picture = _rendered(_dot(flow, outcome), kind)
    try:
        write_atomically(path, picture)
    except OSError as error:
        raise PictureError(f"The picture {path} could not be written: {error.strerror}.") from error
    return path


def _dot(flow: AnyFlow, outcome: RunOutcome | None) -> str:
    font = {"fontname": "Helvetica", "fontsize": "10"}
    graph = graphviz.Digraph(
        flow.name if outcome is None else f"{flow.name}: {outcome.word}",
        graph_attr=font
        | {"label": _table(_heading(flow, outcome)), "labelloc": "t", "labeljust": "l"}
        | {"rankdir": "LR", "ranksep": "0.35", "bgcolor": "white", "pad": "0.2"},
        node_attr=font | {"shape": "plain"},
        edge_attr=font | {"fontcolor": _INK, "color": _LINE, "arrowsize": "0.7"},
    )
    tasks = list(dict.fromkeys(_tasks(flow.fn, set())))
    purposes = _evened([_wrapped(task.description) for task in tasks])
    told = [_told(task.name, outcome) for task in tasks]
    figures = _evened([lines for _, lines in told])
    for task, (look, _), purpose, lines in zip(tasks, told, purposes, figures, strict=True):
        name = _text(task.name, _INK, size=12, bold=True)
        graph.node(task.name, _table([name, *map(_text, purpose), *lines], look))
    for giver, taker, given in _edges(tasks):
        graph.edge(giver, taker, label=f" {given} ")
    return str(graph.source)


def _heading(flow: AnyFlow, outcome: RunOutcome | None) -> list[str]:
    lines = [_text(flow.name, _INK, size=16, bold=True), _text(_first(flow.description), size=11)]
    if outcome is not None:
        look = _LOOKS[outcome.word]
        when = outcome.began.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        took = _duration((outcome.ended - outcome.began).total_seconds())
        status = _text(f"{look.mark} {outcome.word}", look.accent, size=11, bold=True)
        # Where a viewer has no Helvetica, bold letters are wider and would cover a single space.
        lines.append(status + _text(f"{_GAP}· {when} · {took}", _INK, size=11))
        if outcome.error and not any(figures.failed for figures in outcome.tasks.values()):
            lines += [_text(line, look.accent) for line in _wrapped(outcome.error, 110)]
    return lines


def _told(name: str, outcome: RunOutcome | None) -> tuple[_Look, list[str]]:
    """Return how a task's box looks, and the lines that say what became of the task."""
    if outcome is None:
        return _PLANNED, []
    figures = outcome.tasks.get(name)
    if figures is None:
        look, word = _WITHOUT_RUNS[outcome.word]
        return look, ["", _text(f"{look.mark} {word}", look.accent, bold=True)]
    word = "failed" if figures.failed else "completed"
    look = _LOOKS[word]
    runs = _counted(figures.completed + figures.failed, "run", "runs")
    if figures.failed and figures.completed:
        runs += f", {figures.failed:,} failed"
    if figures.rows is not None:
        runs += " · " + _counted(figures.rows, "row", "rows")
    elif figures.remark:
        runs += f" · {figures.remark}"
    # What goes on while another task works took no time that would tell anything.
    took = "" if figures.remark else _text(_duration(figures.seconds), _INK)
    if figures.retries:
        again = _counted(figures.retries, "retry", "retries")
        took += _text(f"{_GAP}· ", _INK) + _text(f"▲ {again}", _AMBER, bold=True)
    error = [_text(line, look.accent) for line in _wrapped(figures.error)]
    status = _text(f"{look.mark} {word}", look.accent, bold=True)
    return look, ["", status, _text(runs, _INK), took, *error]


def _evened(blocks: list[list[str]]) -> list[list[str]]:
    """Return blocks of as many lines each, so that the boxes are of one height."""
    most = max(map(len, blocks), default=0)
    return [block + [" "] * (most - len(block)) for block in blocks]


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _duration(seconds: float) -> str:
    if seconds < _MINUTE:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _first(text: str | None) -> str:
    """Return the first line of a text, in characters that a picture can show."""
    line = ((text or "").strip().splitlines() or [""])[0]
    return "".join(letter if letter.isprintable() else " " for letter in line)


def _wrapped(text: str | None, width: int = 27, lines: int = 3) -> list[str]:
    return textwrap.wrap(_first(text), width, max_lines=lines, placeholder=" …")


def _text(text: str, color: str = _MUTED, *, size: int = 10, bold: bool = False) -> str:
    # Graphviz reads backslashes in HTML-like labels too: \N is the node's name.
    # An empty font element is a syntax error to it.
    safe = html.escape(text).replace("\\", "\\\\") or " "
    return f'<font color="{color}" point-size="{size}">{f"<b>{safe}</b>" if bold else safe}</font>'


def _table(lines: Iterable[str], look: _Look | None = None) -> str:
    frame = 'border="0" cellpadding="2"'
    if look is not None:
        frame = f'width="164" border="1.5" cellpadding="7" style="{look.style}"'
        frame += f' color="{look.accent}" bgcolor="{look.tint}"'
    # With two pieces of text in every line, graphviz gives all lines the same height.
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
        raise PictureError("Nothing here draws pictures; `pip install graphviz-pure` does.")
    # 192 dots an inch keep a PNG sharp; an SVG would only be drawn larger.
    command = [renderer, "-q", f"-T{kind}", *(["-Gdpi=192"] if kind == "png" else [])]
    try:
        return subprocess.run(  # noqa: S603 - a program of this environment, and no shell
            command, input=dot.encode(), capture_output=True, timeout=_RENDER_SECONDS, check=True
        ).stdout
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or b""
        reason = _first(said.decode(errors="replace")) or _first(str(error))
        raise PictureError(f"{renderer} could not draw the picture: {reason}") from error
