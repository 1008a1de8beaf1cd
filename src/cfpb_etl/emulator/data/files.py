"""CFPB's files as it writes them: the daily bulk file, and the frozen archive of narratives.

The facts are those of DATA.md sections 1, 2 and 4 and of CCDB_API.md section 9.
"""

import csv
import os
import re
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, date, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO, TypeAlias
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from cfpb_etl.emulator.data.complaints import Source

Columns: TypeAlias = Literal[15, 16, 18]
"""Which era's file: with 18 columns until 2026-06, with 16 until 2026-09, with 15 since."""

BULK_PATH = "/ccdb/complaints.csv.zip"
"""Where the bulk file is, on the server and in the folder of files."""

DOCUMENTS_PATH = "/f/documents/"
"""Where the archive's zips are, among all kinds of documents."""

_NARRATIVE, _CONSENT, _DISPUTED = (
    "complaint_what_happened",
    "consumer_consent_provided",
    "consumer_disputed",
)
_COLUMNS = {
    "Date received": "date_received",
    "Product": "product",
    "Sub-product": "sub_product",
    "Issue": "issue",
    "Sub-issue": "sub_issue",
    "Consumer complaint narrative": _NARRATIVE,
    "Company public response": "company_public_response",
    "Company": "company",
    "State": "state",
    "ZIP code": "zip_code",
    "Tags": "tags",
    "Consumer consent provided?": _CONSENT,
    "Submitted via": "submitted_via",
    "Date sent to company": "date_sent_to_company",
    "Company response to consumer": "company_response",
    "Timely response?": "timely",
    "Consumer disputed?": _DISPUTED,
    "Complaint ID": "complaint_id",
}
_LEFT_OUT: dict[Columns, set[str]] = {
    18: set(),
    16: {_CONSENT, _DISPUTED},
    15: {_CONSENT, _DISPUTED, _NARRATIVE},
}
_WHITESPACE = re.compile(r"\s+")

# The archive's zips, each with the last month that it holds. What the first three are called was
# not seen (DATA.md section 1), so these names are invented, and of no one form.
_ARCHIVE = {
    "CCDB_Export_1_Before_2018": "2017-12",
    "CCDB_Export_2_2018_to_2020": "2020-12",
    "CCDB_export_3_since_January_2021": "2022-10",
    "CCDB_Export_4_November_2022_through_August_2023": "2023-08",
    "CCDB_Export_5_September_2023_through_March_2024": "2024-03",
    "CCDB_Export_6_April_2024_through_July_2024": "2024-07",
    "CCDB_Export_7_August_2024_through_October_2024": "2024-10",
    "CCDB_Export_8_November_2024_through_December_2024": "2024-12",
    "CCDB_Export_9_January_2025_through_February_2025": "2025-02",
    "CCDB_Export_10_March_2025_through_April_2025": "2025-04",
    "CCDB_Export_11_May_2025_through_June_2025": "2025-06",
    "CCDB_Export_12_July_2025_through_August_2025": "2025-08",
    "CCDB_Export_13_September_2025_through_October_2025": "2025-10",
    "CCDB_Export_14_November_2025_through_December_2025": "2025-12",
    "CCDB_Export_15_January_2026_through_February_2026": "2026-02",
    "CCDB_Export_16_March_2026": "2026-03",
    "CCDB_Export_17_April_2026": "2026-04",
    "CCDB_Export_18_May_2026": "2026-05",
    "CCDB_Export_19_June_2026": "2026-06",
    "CCDB_Export_20_July_2026": "2026-07",
    "CCDB_Export_21_August_2026": "2026-08",
}
_MORNING = (9, 16, 0)  # UTC
_LAST_ARCHIVED = "2026-08-14"
_ARCHIVED_ON = date(2026, 9, 1)  # no source tells; its last zip is that of August


def write_bulk_file(
    folder: Path, complaints: Iterable[Source], *, day: date, columns: Columns = 15
) -> Path:
    """Write the bulk file as CFPB publishes it in the morning of a day, and return where it is.

    It takes the place of the one before in one step: whoever is reading that goes on reading it.
    """
    path = folder / BULK_PATH.lstrip("/")
    return _write_zip(path, "complaints.csv", complaints, day, columns)


def write_archive(folder: Path, complaints: Iterable[Source]) -> list[Path]:
    """Write the archive's zips, each with what was received in its months; none is empty."""
    names, last_months = list(_ARCHIVE), list(_ARCHIVE.values())
    held: dict[str, list[Source]] = {name: [] for name in names}
    for complaint in complaints:
        day = complaint["date_received"][:10]
        if day <= _LAST_ARCHIVED:
            held[names[bisect_left(last_months, day[:7])]].append(complaint)
    documents = folder / DOCUMENTS_PATH.strip("/")
    return [
        _write_zip(documents / f"{name}.zip", f"{name}.csv", received, _ARCHIVED_ON, 16)
        for name, received in held.items()
        if received
    ]


def _write_zip(
    path: Path, member: str, complaints: Iterable[Source], day: date, columns: Columns
) -> Path:
    info = ZipInfo(member, (day.year, day.month, day.day, *_MORNING))
    info.compress_type = ZIP_DEFLATED
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with (
        ZipFile(new, "w") as archive,
        # Its size is not known before it is written, and CFPB's own is above 4 GB.
        archive.open(info, "w", force_zip64=True) as file,
        TextIOWrapper(file, "utf-8", newline="") as text,
    ):
        write_csv(text, complaints, columns)
    published = datetime(*info.date_time, tzinfo=UTC).timestamp()
    os.utime(new, (published, published))  # the server's Last-Modified is made of it
    new.replace(path)
    return path


def write_csv(file: TextIO, complaints: Iterable[Source], columns: Columns) -> None:
    """Write complaints as an era's CSV, row by row."""
    kept = {title: name for title, name in _COLUMNS.items() if name not in _LEFT_OUT[columns]}
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(kept)
    for complaint in complaints:
        written = _as_written(complaint)
        rows.writerow([written.get(name) for name in kept.values()])


def _as_written(complaint: Source) -> Source:
    """Return a complaint with all 18 columns, spelled as the files do (DATA.md section 6)."""
    narrative = complaint.get(_NARRATIVE) or ""
    # So in the real file that is kept beside the repository: of the complaints on the Web without
    # a narrative some have this empty, all others "N/A".
    without = None if complaint.get("submitted_via") == "Web" else "N/A"
    return {
        _CONSENT: "Consent provided" if narrative else without,
        _DISPUTED: "N/A",
        **complaint,
        _NARRATIVE: _WHITESPACE.sub(" ", narrative),  # since 2026-08-03 (DATA.md section 5)
        "date_received": _day(complaint.get("date_received")),
        "date_sent_to_company": _day(complaint.get("date_sent_to_company")),
    }


def _day(moment: str | None) -> str | None:
    return moment and moment[:10]
