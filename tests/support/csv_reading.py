"""Reads or loads a CSV file of complaints without Prefect.

`parse_file` starts a process for each file, which takes a third of a second. `read_csv` reads a
file in this process, and with `ReaderInThisProcess`, `parse_file` does too; the code that reads the
rows is the same. tests/parse/test_csv_process.py tests the process.
"""

from __future__ import annotations

import io
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.fetch.errors import FileError
from cfpb_etl.model.age import Age
from cfpb_etl.model.file import CsvFile, ReadOptions
from cfpb_etl.model.part import PartInfo, RawPart, ReadStats
from cfpb_etl.parse import csv_process
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import FakeSource

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.load_stats import LoadStats

OPTIONS = ReadOptions(today="2026-11-27")


class ReaderInThisProcess:
    """Takes the place of the reading process: it has written the same frames before it starts.

    The file is its JSON, as it is for the process.
    """

    def __init__(self, file: CsvFile, _stderr: object) -> None:
        self.stdout = io.BytesIO()
        csv_process._write_frames(csv_process._from_json(csv_process._to_json(file)), self.stdout)
        self.stdout.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End, as a process does."""

    def wait(self) -> int:
        """Return the exit code of success."""
        return 0

    def kill(self) -> None:
        """Do nothing: it has ended."""


@dataclass(frozen=True)
class Reading:
    """What reading a file gave.

    Attributes:
        complaints: The complaints, in the order of the file.
        columns: The columns that the file carries.
        stats: What the parser has found. Its `ids` are set, unless the file was refused.
        refusal: The error that refused the file; None if the file was read to its end.
    """

    complaints: list[Complaint]
    columns: Collection[str]
    stats: ReadStats
    refusal: FileError | None = None


def read_csv(path: Path, options: ReadOptions = OPTIONS, database: Path | None = None) -> Reading:
    """Read a file to its end. An error that is not one of this package is raised.

    Args:
        path: The file.
        options: How to read the file.
        database: The SQLite file whose stored lines are skipped; None if all lines are parsed.
    """
    complaints: list[Complaint] = []
    stats = ReadStats()
    try:
        with (
            closing(StoredLines(database)) if database else nullcontext() as stored,
            open_csv(path) as (lines, _, _),
        ):
            rows = ComplaintRows(lines, path, options, stored)
            stats = rows.read_stats
            for batch in rows:
                complaints += batch.complaints
            rows.check_rejected()
            stats.ids = rows.ids
            return Reading(complaints, frozenset(rows.header.places), stats)
    except FileError as error:
        return Reading(complaints, (), stats, error)


def load_csv(path: Path, database: Path, *, proves_absence: bool = False) -> LoadStats:
    """Load a file like the flow, without Prefect."""
    part = FilePart(str(path))
    info = PartInfo(
        part,
        path.name,
        rows=None,
        matching=None,
        expected=None,
        age=Age.on("2026-10-08", "newest day received"),
        origin="download",
        proves_absence=proves_absence,
        is_whole=True,
    )
    source = FakeSource(
        kind="bulk",
        query="{}",
        windows=(part,),
        is_partial=False,
        proves_absence=proves_absence,
    )
    with open_load(database, source) as running:
        raw = RawPart(CsvFile(path, database, OPTIONS), info)
        return store_part(parse_part(raw), running.id, database)
