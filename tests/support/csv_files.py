"""CSV files of complaints, and the results of reading them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.file import ReadOptions
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse.csv_rows import ComplaintRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cfpb_etl.model.complaint import Complaint

PATH = Path("complaints.csv")
OPTIONS = ReadOptions(today="2026-11-27")

TITLES_18 = [*CSV_COLUMNS]
TITLES_16 = [t for t in TITLES_18 if t not in ("Consumer consent provided?", "Consumer disputed?")]
TITLES_15 = [t for t in TITLES_16 if t != "Consumer complaint narrative"]
TITLES_19 = [*TITLES_18, "Event tag"]
FIELDS = {
    "Date received": "2019-09-24",
    "Product": "Debt collection",
    "Sub-product": "I do not know",
    "Issue": "Attempts to collect debt not owed",
    "Sub-issue": "Debt is not yours",
    "Consumer complaint narrative": "They kept {$120.00} on XX/XX/XXXX.",
    "Company public response": "Company chooses not to provide a public response",
    "Company": "TRANSWORLD SYSTEMS INC",
    "State": "FL",
    "ZIP code": "335XX",
    "Tags": "Servicemember",
    "Consumer consent provided?": "Consent provided",
    "Submitted via": "Web",
    "Date sent to company": "2019-09-25",
    "Company response to consumer": "Closed with explanation",
    "Timely response?": "Yes",
    "Consumer disputed?": "N/A",
    "Complaint ID": "3384392",
    "Event tag": "x",
}
TITLE_OF = {name: title for title, name in CSV_COLUMNS.items()}


def fields_of(number: object = 3384392, **changed: str) -> dict[str, str]:
    """Return the fields of a complaint by title. Arguments change fields by column name."""
    return (
        FIELDS
        | {TITLE_OF[name]: value for name, value in changed.items()}
        | {"Complaint ID": str(number)}
    )


def csv_of(
    *rows: dict[str, str] | str, titles: Sequence[str] = TITLES_18, end: str = "\r\n"
) -> str:
    """Return a CSV of complaints. A row that is text is inserted unchanged."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(titles)
    for row in rows:
        if isinstance(row, str):
            text.write(row)
        else:
            writer.writerow([row[title] for title in titles])
    return text.getvalue()


def lines_of(content: str | bytes) -> Iterable[str]:
    """Return the lines of a CSV, split as in `open_csv`."""
    raw = content.encode() if isinstance(content, str) else content
    return io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", errors="surrogateescape", newline="")


def read(content: str | bytes) -> tuple[list[Complaint], ComplaintRows]:
    """Read a CSV to its end; return its complaints and the `ComplaintRows`."""
    rows = ComplaintRows(lines_of(content), PATH, OPTIONS)
    return [complaint for batch in rows for complaint in batch.complaints], rows


def read_one(**changed: str) -> Complaint:
    """Return the only complaint of a CSV. Reading it must cause no warning."""
    (complaint,), rows = read(csv_of(fields_of(**changed)))
    assert rows.read_stats == ReadStats(rows=1)
    return complaint


def unreadable(content: str | bytes) -> str:
    """Return the detail of the error for a CSV that cannot be read."""
    with pytest.raises(UnreadableFileError) as caught:
        read(content)
    assert caught.value.path == PATH
    return caught.value.detail
