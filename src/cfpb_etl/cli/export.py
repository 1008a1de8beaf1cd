"""An export on the command line: its progress, and its result in words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from humanize import naturalsize
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cfpb_etl.cli.interruption import Interruption
from cfpb_etl.model.events import ExportWritten, listening
from cfpb_etl.model.events import Progress as ProgressEvent
from cfpb_etl.publish.export import export_complaints

if TYPE_CHECKING:
    from cfpb_etl.model.events import Event
    from cfpb_etl.parameters.export_parameters import ExportParameters
    from cfpb_etl.publish.export import ExportStats

_UNCHANGED = "Nothing was exported. An earlier export in the same place is unchanged."


def run_export(parameters: ExportParameters) -> str:
    """Export with a progress bar in a terminal, and return what was exported, in words.

    A signal ends the process, unless the export is already taking the place of the old target.
    """
    interruption = Interruption(lambda: _UNCHANGED, release=lambda: None)
    try:
        stats = _export(parameters, interruption)
    except KeyboardInterrupt:
        interruption.end()
    except Exception:
        if interruption.begun:  # compiled code can convert KeyboardInterrupt to another error
            interruption.end()
        raise
    interruption.hold()
    return _in_words(stats)


def _export(parameters: ExportParameters, interruption: Interruption) -> ExportStats:
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.fields[done]}"))
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),  # otherwise it prints an empty line
    ) as bar:
        task = bar.add_task("Exporting", total=None, done="")

        def show(event: Event) -> None:
            if isinstance(event, ExportWritten):
                interruption.hold()
            if isinstance(event, ProgressEvent):
                if event.share is None:
                    bar.reset(task, total=None)
                bar.update(
                    task,
                    description=event.step,
                    total=None if event.share is None else 1,
                    completed=event.share or 0,
                    done=event.so_far,
                )

        with listening(show):
            return export_complaints(**vars(parameters))


def _in_words(stats: ExportStats) -> str:
    width = max((len(table) for table in stats.tables), default=0)
    size = f", {naturalsize(stats.bytes)}" if stats.bytes is not None else ""
    lines = [f"exported to {stats.target}{size}"]
    for table, rows in stats.tables.items():
        written = stats.written[table]
        copied = "" if written == rows else f", of which {written:,} were copied now"
        lines.append(f"{table:<{width}}  {rows:>12,} rows{copied}")
    return "\n".join([*lines, *(f"note: {note}" for note in stats.notes)])
