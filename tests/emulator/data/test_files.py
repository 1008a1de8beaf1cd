"""Tests of the bulk file and the archive of narratives (docs/facts.md, "Files")."""

import re
from datetime import date
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest

from cfpb_etl.emulator import (
    Columns,
    Era,
    RawComplaint,
    generate_complaints,
    write_archive,
    write_bulk_file,
)
from emulator.conftest import read_rows

DAY = date(2026, 10, 8)


def narrative(complaint: RawComplaint) -> str:
    """Return the narrative as the files have it."""
    return re.sub(r"\s+", " ", complaint.get("complaint_what_happened") or "")


@pytest.mark.parametrize(
    ("columns", "absent"),
    [
        (18, set()),
        (16, {"Consumer consent provided?", "Consumer disputed?"}),
        (
            15,
            {
                "Consumer consent provided?",
                "Consumer disputed?",
                "Consumer complaint narrative",
            },
        ),
    ],
)
def test_each_era_has_its_columns(tmp_path: Path, columns: Columns, absent: set[str]) -> None:
    """They are in CFPB's order."""
    all_columns = (
        "Date received,Product,Sub-product,Issue,Sub-issue,Consumer complaint narrative,"
        "Company public response,Company,State,ZIP code,Tags,Consumer consent provided?,"
        "Submitted via,Date sent to company,Company response to consumer,Timely response?,"
        "Consumer disputed?,Complaint ID"
    )
    path = write_bulk_file(tmp_path, generate_complaints(1), day=DAY, columns=columns)

    (row,) = read_rows(path)

    assert len(row) == columns
    assert list(row) == [title for title in all_columns.split(",") if title not in absent]


@pytest.mark.parametrize("era", ["2024", "deployed"])
def test_file_has_the_values_of_the_search(tmp_path: Path, era: Era) -> None:
    """Dates are cut to the day, narratives have no line breaks, and null is empty."""
    complaints = generate_complaints(2_000, era=era)
    path = write_bulk_file(tmp_path, iter(complaints), day=DAY, columns=18)

    rows = read_rows(path)

    assert [list(row.values()) for row in rows] == [
        [
            complaint["date_received"][:10],
            complaint["product"],
            complaint["sub_product"] or "",
            complaint["issue"],
            complaint["sub_issue"] or "",
            narrative(complaint),
            complaint["company_public_response"] or "",
            complaint["company"],
            complaint["state"] or "",
            complaint["zip_code"] or "",
            complaint["tags"] or "",
            row["Consumer consent provided?"],
            complaint["submitted_via"],
            complaint["date_sent_to_company"][:10],
            complaint["company_response"] or "",
            complaint["timely"],
            "N/A",
            complaint["complaint_id"],
        ]
        for row, complaint in zip(rows, complaints, strict=True)
    ]
    assert {
        (row["Consumer consent provided?"], row["Consumer complaint narrative"] != "")
        for row in rows
    } == {("N/A", False), ("", False), *([("Consent provided", True)] if era == "2024" else [])}


def test_unusual_values_are_written(tmp_path: Path) -> None:
    """The consent of a recorded complaint is kept."""
    (complaint,) = generate_complaints(1, era="2024")
    unusual = {
        "company": 'Río "Claro’s", LLC',
        "state": None,
        "complaint_what_happened": "One.\r\n\r\n\tTwo,  “three”.\n",
        "date_received": "2024-01-01T23:30:00-05:00",
        "date_sent_to_company": None,
        "consumer_consent_provided": "Consent withdrawn",
        "consumer_disputed": None,
    }
    path = write_bulk_file(tmp_path, [{**complaint, **unusual}], day=DAY, columns=18)

    (row,) = read_rows(path)

    assert row["Company"] == 'Río "Claro’s", LLC'
    assert row["State"] == row["Date sent to company"] == row["Consumer disputed?"] == ""
    assert row["Consumer complaint narrative"] == "One. Two, “three”. "
    assert row["Date received"] == "2024-01-01"
    assert row["Consumer consent provided?"] == "Consent withdrawn"


def test_bulk_file_has_the_time_of_publication(tmp_path: Path) -> None:
    """Its only member has the time of day at which CFPB publishes."""
    path = write_bulk_file(tmp_path, generate_complaints(10), day=DAY)

    with ZipFile(path) as archive:
        (member,) = archive.infolist()

    assert path == tmp_path / "ccdb/complaints.csv.zip"
    assert (member.filename, member.date_time) == ("complaints.csv", (2026, 10, 8, 9, 16, 0))
    assert member.compress_size < member.file_size
    assert [*path.parent.iterdir()] == [path]


def test_archive_divides_complaints_by_month(tmp_path: Path) -> None:
    """Each complaint is in one zip, and no month is in two. Later complaints are left out."""
    complaints = generate_complaints(3_000) + [
        {**generate_complaints(1)[0], "complaint_id": str(number), "date_received": day}
        for number, day in enumerate(["2011-12-01", "2018-01-01", "2026-08-14", "2026-08-15"])
    ]
    paths = write_archive(tmp_path, complaints)

    zips = [read_rows(path) for path in paths]

    assert sorted(row["Complaint ID"] for rows in zips for row in rows) == sorted(
        complaint["complaint_id"]
        for complaint in complaints
        if complaint["date_received"][:10] <= "2026-08-14"
    )
    months = [sorted(row["Date received"][:7] for row in rows) for rows in zips]
    assert all(earlier[-1] < later[0] for earlier, later in pairwise(months))
    assert {len(rows[0]) for rows in zips} == {16}
    assert len(paths) == 19  # of 21: none was received from 2018-02 until 2023-09
    by_name = dict(zip((path.name for path in paths), months, strict=True))
    assert {*by_name["CCDB_Export_5_September_2023_through_March_2024.zip"]} == {
        *("2023-10", "2023-11", "2023-12", "2024-01", "2024-02", "2024-03")
    }
    assert {*by_name["CCDB_Export_21_August_2026.zip"]} == {"2026-08"}
