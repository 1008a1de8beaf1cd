"""The bulk file, the archive of narratives, and how they are served (DATA.md sections 1, 2, 4)."""

import csv
import io
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from urllib.parse import urljoin
from zipfile import ZipFile

import pytest
import requests

from cfpb_etl.emulator import (
    ARCHIVE_PATH,
    BULK_PATH,
    Columns,
    Emulator,
    Era,
    Source,
    made_complaints,
    serve,
    write_archive,
    write_bulk_file,
)
from emulator.test_server import started

DAY, NEXT_DAY = date(2026, 10, 8), date(2026, 10, 9)


def rows_of(file: Path | bytes) -> list[dict[str, str]]:
    """Return the rows of a zip's one member."""
    with ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file) as archive:
        (member,) = archive.namelist()
        text = archive.read(member).decode()
    assert "\r" not in text
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def ids_of(file: Path | bytes) -> list[str]:
    """Return the complaints of a file, in its order."""
    return [row["Complaint ID"] for row in rows_of(file)]


def narrative(complaint: Source) -> str:
    """Return a narrative as the files have it."""
    return re.sub(r"\s+", " ", complaint.get("complaint_what_happened") or "")


# --- the files ------------------------------------------------------------------------------


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
    """In CFPB's order."""
    of_2018 = (
        "Date received,Product,Sub-product,Issue,Sub-issue,Consumer complaint narrative,"
        "Company public response,Company,State,ZIP code,Tags,Consumer consent provided?,"
        "Submitted via,Date sent to company,Company response to consumer,Timely response?,"
        "Consumer disputed?,Complaint ID"
    )
    path = write_bulk_file(tmp_path, made_complaints(1), day=DAY, columns=columns)

    (row,) = rows_of(path)

    assert len(row) == columns
    assert list(row) == [title for title in of_2018.split(",") if title not in absent]


@pytest.mark.parametrize("era", ["2024", "deployed"])
def test_a_file_has_what_the_search_has(tmp_path: Path, era: Era) -> None:
    """Dates are their first ten characters, narratives lose their lines, null is empty."""
    complaints = made_complaints(2_000, era=era)
    path = write_bulk_file(tmp_path, iter(complaints), day=DAY, columns=18)

    rows = rows_of(path)

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


def test_awkward_values_come_through(tmp_path: Path) -> None:
    """Also what recordings tell of consent."""
    (complaint,) = made_complaints(1, era="2024")
    odd = {
        "company": 'Río "Claro’s", LLC',
        "state": None,
        "complaint_what_happened": "One.\r\n\r\n\tTwo,  “three”.\n",
        "date_received": "2024-01-01T23:30:00-05:00",
        "date_sent_to_company": None,
        "consumer_consent_provided": "Consent withdrawn",
        "consumer_disputed": None,
    }
    path = write_bulk_file(tmp_path, [{**complaint, **odd}], day=DAY, columns=18)

    (row,) = rows_of(path)

    assert row["Company"] == 'Río "Claro’s", LLC'
    assert row["State"] == row["Date sent to company"] == row["Consumer disputed?"] == ""
    assert row["Consumer complaint narrative"] == "One. Two, “three”. "
    assert row["Date received"] == "2024-01-01"
    assert row["Consumer consent provided?"] == "Consent withdrawn"


def test_the_bulk_file_is_of_a_morning(tmp_path: Path) -> None:
    """One member, with the time of day at which CFPB publishes."""
    path = write_bulk_file(tmp_path, made_complaints(10), day=DAY)

    with ZipFile(path) as archive:
        (member,) = archive.infolist()

    assert path == tmp_path / "ccdb/complaints.csv.zip"
    assert (member.filename, member.date_time) == ("complaints.csv", (2026, 10, 8, 9, 16, 0))
    assert member.compress_size < member.file_size
    assert [*path.parent.iterdir()] == [path]


def test_the_archive_parts_complaints_by_months(tmp_path: Path) -> None:
    """Each is in one zip, of months that no other has; none was received after its end."""
    complaints = made_complaints(3_000) + [
        {**made_complaints(1)[0], "complaint_id": str(number), "date_received": day}
        for number, day in enumerate(["2011-12-01", "2018-01-01", "2026-08-14", "2026-08-15"])
    ]
    paths = write_archive(tmp_path, complaints)

    held = [rows_of(path) for path in paths]

    assert sorted(row["Complaint ID"] for rows in held for row in rows) == sorted(
        complaint["complaint_id"]
        for complaint in complaints
        if complaint["date_received"][:10] <= "2026-08-14"
    )
    months = [sorted(row["Date received"][:7] for row in rows) for rows in held]
    assert all(earlier[-1] < later[0] for earlier, later in pairwise(months))
    assert {len(rows[0]) for rows in held} == {16}
    assert len(paths) == 19  # of 21: none was received from 2018-02 until 2023-09
    by_name = dict(zip((path.name for path in paths), months, strict=True))
    assert {*by_name["CCDB_Export_5_September_2023_through_March_2024.zip"]} == {
        *("2023-10", "2023-11", "2023-12", "2024-01", "2024-02", "2024-03")
    }
    assert {*by_name["CCDB_Export_21_August_2026.zip"]} == {"2026-08"}


# --- their server ---------------------------------------------------------------------------


@dataclass
class Files:
    """A served emulator with files."""

    url: str
    emulator: Emulator
    complaints: list[Source]
    folder: Path

    def get(self, path: str = BULK_PATH, **headers: str) -> requests.Response:
        """Ask for a file, the bulk file if none is named."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(urljoin(self.url, path), headers=named, timeout=10)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Serve 500 complaints and their bulk file."""
    complaints = made_complaints(500)
    emulator = Emulator(complaints, files=tmp_path)
    emulator.publish(DAY)
    with serve(emulator) as url:
        yield Files(url, emulator, complaints, tmp_path)


def test_the_bulk_file_is_sent_with_its_version(files: Files) -> None:
    """A client that has it is told so, by either of the two that tell it."""
    response = files.get()

    headers = response.headers
    etag, modified = headers["ETag"], headers["Last-Modified"]
    assert response.content == (files.folder / "ccdb/complaints.csv.zip").read_bytes()
    assert headers["Content-Type"] == "application/zip"
    assert int(headers["Content-Length"]) == len(response.content)
    assert headers["Accept-Ranges"] == "bytes"
    assert parsedate_to_datetime(modified).isoformat() == "2026-10-08T09:16:00+00:00"
    assert re.fullmatch(r'"\w+"', etag)
    for condition in ({"If_None_Match": etag}, {"If_Modified_Since": modified}):
        unchanged = files.get(**condition)
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["ETag"] == etag


def test_a_part_can_be_asked_for(files: Files) -> None:
    """From a byte to the end, which is what a download goes on with."""
    whole = files.get().content

    rest = files.get(Range="bytes=1000-")
    beyond = files.get(Range=f"bytes={len(whole)}-")

    assert (rest.status_code, rest.content) == (206, whole[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert files.get(Range="bytes=10-19").content == whole[10:20]
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_a_part_of_another_version_is_the_whole(files: Files) -> None:
    """If-Range holds until the next day."""
    before = files.get()
    versions = [before.headers["ETag"], before.headers["Last-Modified"]]
    held = [files.get(Range="bytes=1000-", If_Range=version).status_code for version in versions]
    files.emulator.publish(NEXT_DAY)

    after = [files.get(Range="bytes=1000-", If_Range=version) for version in versions]

    assert held == [206, 206]
    assert [response.status_code for response in after] == [200, 200]
    assert after[0].content == files.get().content


def test_each_day_has_a_file_that_begins_with_what_changed(files: Files) -> None:
    """The rest stays in the order of the day before; who reads the older file goes on."""
    first = files.get()
    *_, last = files.complaints
    one, two = files.complaints[100:102]
    new = {**last, "complaint_id": "1"}
    changed = {**one, "company_response": "Untimely response"}
    files.emulator.put(new)
    files.emulator.put(changed)
    files.emulator.withdraw(two["complaint_id"])
    given = [complaint["complaint_id"] for complaint in files.complaints]
    of_second_day = ["1", one["complaint_id"], *given[:100], *given[102:]]

    with (files.folder / "ccdb/complaints.csv.zip").open("rb") as being_sent:
        files.emulator.publish(NEXT_DAY)
        assert being_sent.read() == first.content
    second = files.get(If_None_Match=first.headers["ETag"])
    files.emulator.put(last)
    files.emulator.publish(date(2026, 10, 10), columns=16)
    third = files.get()

    assert ids_of(first.content) == given
    assert ids_of(second.content) == of_second_day
    assert rows_of(second.content)[1]["Company response to consumer"] == "Untimely response"
    assert ids_of(third.content) == [last["complaint_id"], *of_second_day[:-1]]
    assert len({response.headers["ETag"] for response in (first, second, third)}) == 3
    assert [len(rows_of(response.content)[0]) for response in (second, third)] == [15, 16]


def test_the_page_leads_to_the_zips_of_the_archive(files: Files) -> None:
    """Among other links, which lead elsewhere."""
    paths = write_archive(files.folder, files.complaints)
    page = files.get(ARCHIVE_PATH)

    links = re.findall(r'href=["\'](.*?)["\']', page.text)
    zips = [files.get(link) for link in links if link.endswith(".zip")]

    assert page.headers["Content-Type"].startswith("text/html")
    assert "September 2023 through March 2024 &ndash; ZIP&nbsp;(2&nbsp;KB)" in page.text
    assert sorted(response.content for response in zips) == sorted(
        path.read_bytes() for path in paths
    )
    assert len(links) > len(zips) == 17


@pytest.mark.parametrize("path", ["/ccdb/complaints.json.zip", "/f/documents/other.zip", "/ccdb/"])
def test_what_is_not_there_is_not_found(files: Files, path: str) -> None:
    """The files' host has no page for people."""
    assert files.get(path).status_code == 404


def test_an_emulator_without_a_folder_has_no_files() -> None:
    """And can publish none."""
    emulator = Emulator(made_complaints(3))

    with serve(emulator) as url:
        answers = [
            requests.get(urljoin(url, path), timeout=10).status_code
            for path in (BULK_PATH, ARCHIVE_PATH)
        ]

    assert answers == [404, 404]
    with pytest.raises(ValueError, match="no folder"):
        emulator.publish(DAY)


def test_the_emulator_remembers_which_files_it_was_asked_for(files: Files) -> None:
    """In order; a search is no such request, and is remembered by itself."""
    files.get(Range="bytes=5-", User_Agent="a test")
    files.get("/f/documents/other.zip")
    files.get(ARCHIVE_PATH)
    requests.head(urljoin(files.url, BULK_PATH), timeout=10)
    requests.get(files.url, timeout=10)

    noted = files.emulator.file_requests
    assert [(request.method, request.path, request.status) for request in noted] == [
        ("GET", BULK_PATH, 206),
        ("GET", "/f/documents/other.zip", 404),
        ("GET", ARCHIVE_PATH, 200),
        ("HEAD", BULK_PATH, 200),
    ]
    assert (noted[0].headers["range"], noted[0].headers["user-agent"]) == ("bytes=5-", "a test")
    assert len(files.emulator.requests) == 1


# --- the command ----------------------------------------------------------------------------


@pytest.mark.parametrize(("era", "columns"), [("2024", 18), ("deployed", 15)])
def test_the_command_serves_files_too(tmp_path: Path, era: str, columns: int) -> None:
    """It says where, below its first line."""
    with started(
        *("--port", "0", "--rows", "300", "--era", era, "--files", str(tmp_path / "files"))
    ) as process:
        assert process.stdout is not None
        first, *others = (process.stdout.readline() for _ in range(3))
        bulk, page = (requests.get(line.split()[-1], timeout=10) for line in others)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    rows = rows_of(bulk.content)
    assert re.fullmatch(r"300 complaints at http://\S+ \(Ctrl-C ends it\)\n", first)
    assert (len(rows), len(rows[0])) == (300, columns)
    name = "CCDB_Export_6_April_2024_through_July_2024.zip"
    assert name in page.text
    (archived,) = (tmp_path / "files").rglob(name)
    told = {row["Complaint ID"]: row for row in rows}
    held = rows_of(archived.read_bytes())
    assert any(row["Consumer complaint narrative"] for row in held)  # whatever the bulk file has
    assert all(told[row["Complaint ID"]]["Company"] == row["Company"] for row in held)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_command_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "files").touch()

    with started("--rows", "5", "--files", str(tmp_path / "files")) as process:
        _, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (1, f"Cannot write to {tmp_path / 'files'}: File exists\n")
