"""Writes CFPB's files: the daily bulk file and the archive of narratives.

The format of the files is described in docs/facts.md, "Files".
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

from cfpb_etl.emulator.data.complaints import RawComplaint

Columns: TypeAlias = Literal[15, 16, 18]
"""The number of columns: 18 until 2026-06, then 16 until 2026-09, then 15."""

BULK_PATH = "/ccdb/complaints.csv.zip"
"""The path of the bulk file, on the server and in the folder of files."""

DOCUMENTS_PATH = "/f/documents/"
"""The path of the archive's zips. CFPB has documents of all kinds there."""

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
_MISSING_COLUMNS: dict[Columns, set[str]] = {
    18: set(),
    16: {_CONSENT, _DISPUTED},
    15: {_CONSENT, _DISPUTED, _NARRATIVE},
}
_WHITESPACE = re.compile(r"\s+")

# The archive's zips, each with its last month. The first three names are invented and irregular, so
# a client must read the names from the page (docs/facts.md, "Archive of narratives").
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
_ARCHIVED_ON = date(2026, 9, 1)  # an assumption, because the last zip has complaints from August


def write_bulk_file(
    folder: Path, complaints: Iterable[RawComplaint], *, day: date, columns: Columns = 15
) -> Path:
    """Write the bulk file that CFPB publishes in the morning of a day, and return its path.

    The new file replaces the last file atomically. A client that has opened the last file can still
    read it to the end.

    Args:
        folder: The folder of the files.
        complaints: The rows, in the order of the file.
        day: The day on which the file is published.
        columns: The number of columns, which depends on the era.
    """
    path = folder / BULK_PATH.lstrip("/")
    return _write_zip(path, "complaints.csv", complaints, day, columns)


def write_archive(folder: Path, complaints: Iterable[RawComplaint]) -> list[Path]:
    """Write the archive's zips, and return their paths. Each zip has the complaints of its months.

    If no complaint is from a zip's months, this zip is not written.
    """
    names, last_months = list(_ARCHIVE), list(_ARCHIVE.values())
    by_zip: dict[str, list[RawComplaint]] = {name: [] for name in names}
    for complaint in complaints:
        day = complaint["date_received"][:10]
        if day <= _LAST_ARCHIVED:
            by_zip[names[bisect_left(last_months, day[:7])]].append(complaint)
    documents = folder / DOCUMENTS_PATH.strip("/")
    return [
        _write_zip(documents / f"{name}.zip", f"{name}.csv", received, _ARCHIVED_ON, 16)
        for name, received in by_zip.items()
        if received
    ]


def _write_zip(
    path: Path, member: str, complaints: Iterable[RawComplaint], day: date, columns: Columns
) -> Path:
    info = ZipInfo(member, (day.year, day.month, day.day, *_MORNING))
    info.compress_type = ZIP_DEFLATED
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with (
        ZipFile(new, "w") as archive,
        # The size is unknown before writing, and CFPB's real file is larger than 4 GB.
        archive.open(info, "w", force_zip64=True) as file,
        TextIOWrapper(file, "utf-8", newline="") as text,
    ):
        write_csv(text, complaints, columns)
    published = datetime(*info.date_time, tzinfo=UTC).timestamp()
    os.utime(new, (published, published))  # the server sends this time as Last-Modified
    new.replace(path)
    return path


def write_csv(file: TextIO, complaints: Iterable[RawComplaint], columns: Columns) -> None:
    """Write complaints as CSV with the columns of an era."""
    kept = {
        title: name for title, name in _COLUMNS.items() if name not in _MISSING_COLUMNS[columns]
    }
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(kept)
    for complaint in complaints:
        row = _file_row(complaint)
        rows.writerow([row.get(name) for name in kept.values()])


def _file_row(complaint: RawComplaint) -> RawComplaint:
    """Return all 18 columns of a complaint, as CFPB's files spell the values."""
    narrative = complaint.get(_NARRATIVE) or ""
    # In a real file of 2018 to 2020, the consent column has "N/A" for complaints that have no
    # narrative. For some complaints from the Web, this column is empty.
    without = None if complaint.get("submitted_via") == "Web" else "N/A"
    return {
        _CONSENT: "Consent provided" if narrative else without,
        _DISPUTED: "N/A",
        **complaint,
        _NARRATIVE: _WHITESPACE.sub(
            " ", narrative
        ),  # since 2026-08-03 (docs/facts.md, "Narratives")
        "date_received": _day(complaint.get("date_received")),
        "date_sent_to_company": _day(complaint.get("date_sent_to_company")),
    }


def _day(moment: str | None) -> str | None:
    return moment and moment[:10]
