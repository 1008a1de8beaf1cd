"""Files whose lines are stored and compared."""

from __future__ import annotations

import csv
import io
from array import array
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.file import ReadOptions
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store.line_hashes import LineHashWriter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.part import ReadStats

TITLES = [title for title in CSV_COLUMNS if title != "Consumer complaint narrative"]
PATH = Path("complaints.csv")
OPTIONS = ReadOptions(today="2026-11-27")


def row(number: object, day: str = "2026-08-14", **changed: str) -> list[str]:
    """Return the fields of a row."""
    fields = {"date_received": day, "date_sent_to_company": day, "timely": "Yes"} | changed
    fields["complaint_id"] = str(number)
    return [fields.get(CSV_COLUMNS[title], "") for title in TITLES]


def csv_of(rows: Sequence[Sequence[str]], titles: Sequence[str] = TITLES, **style: Any) -> str:
    """Return a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, **style).writerows([titles, *rows])
    return text.getvalue()


class Read:
    """A file that was read, and the hashes of its lines stored."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        content: str,
        options: ReadOptions = OPTIONS,
    ) -> None:
        (_, _, database), *_ = connection.execute("PRAGMA database_list")
        writer = LineHashWriter(connection)
        self.ids: list[int] = []
        self.complaints: list[Complaint] = []
        self.hashes: list[int] = []
        blocks: list[bytes] = []
        with closing(StoredLines(Path(database))) as stored:
            rows = ComplaintRows(io.StringIO(content, newline=""), PATH, options, stored)
            for batch in rows:
                self.complaints += batch.complaints
                self.ids += [each.complaint_id for each in batch.complaints]
                self.hashes += array("Q", batch.line_hashes)
                blocks.append(batch.line_hashes)
        self.read_stats: ReadStats = rows.read_stats
        self.all_ids = {*rows.ids}
        for block in filter(None, blocks):
            writer.write(block)
        writer.finish(rows.read_stats.duplicate_ids)
