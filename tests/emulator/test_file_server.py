"""Tests of the file server: validators, byte ranges, and the page of the archive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests

from cfpb_etl.emulator import (
    ARCHIVE_PATH,
    BULK_PATH,
    Emulator,
    RawComplaint,
    generate_complaints,
    serve,
    write_archive,
)

from .conftest import read_rows

DAY, NEXT_DAY = date(2026, 10, 8), date(2026, 10, 9)


def read_ids(file: Path | bytes) -> list[str]:
    """Return the complaint ids of a file, in its order."""
    return [row["Complaint ID"] for row in read_rows(file)]


@dataclass
class Files:
    """A served emulator with files."""

    url: str
    emulator: Emulator
    complaints: list[RawComplaint]
    folder: Path

    def get(self, path: str = BULK_PATH, **headers: str) -> requests.Response:
        """Request a file, the bulk file by default; `_` in a header name stands for `-`."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(urljoin(self.url, path), headers=fields, timeout=10)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    """Serve 500 complaints and their bulk file."""
    complaints = generate_complaints(500)
    emulator = Emulator(complaints, files=tmp_path)
    emulator.publish(DAY)
    with serve(emulator) as url:
        yield Files(url, emulator, complaints, tmp_path)


def test_bulk_file_has_validators(files: Files) -> None:
    """A request with the ETag or the date of an unchanged file gets 304."""
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


def test_byte_range_gets_206(files: Files) -> None:
    """A resumed download requests the bytes from an offset to the end."""
    whole = files.get().content

    rest = files.get(Range="bytes=1000-")
    beyond = files.get(Range=f"bytes={len(whole)}-")

    assert (rest.status_code, rest.content) == (206, whole[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(whole) - 1}/{len(whole)}"
    assert files.get(Range="bytes=10-19").content == whole[10:20]
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(whole)}")


def test_byte_range_of_an_older_version_gets_the_whole_file(files: Files) -> None:
    """If-Range matches until the next file is published."""
    before = files.get()
    versions = [before.headers["ETag"], before.headers["Last-Modified"]]
    before_change = [
        files.get(Range="bytes=1000-", If_Range=version).status_code for version in versions
    ]
    files.emulator.publish(NEXT_DAY)

    after = [files.get(Range="bytes=1000-", If_Range=version) for version in versions]

    assert before_change == [206, 206]
    assert [response.status_code for response in after] == [200, 200]
    assert after[0].content == files.get().content


def test_published_file_begins_with_changed_complaints(files: Files) -> None:
    """The rest keeps its order. A reader of the older file can read it to its end."""
    first = files.get()
    *_, last = files.complaints
    one, two = files.complaints[100:102]
    new = {**last, "complaint_id": "1"}
    changed = {**one, "company_response": "Untimely response"}
    files.emulator.put(new)
    files.emulator.put(changed)
    files.emulator.withdraw(two["complaint_id"])
    original_ids = [complaint["complaint_id"] for complaint in files.complaints]
    second_day_ids = ["1", one["complaint_id"], *original_ids[:100], *original_ids[102:]]

    with (files.folder / "ccdb/complaints.csv.zip").open("rb") as open_file:
        files.emulator.publish(NEXT_DAY)
        assert open_file.read() == first.content
    second = files.get(If_None_Match=first.headers["ETag"])
    files.emulator.put(last)
    files.emulator.publish(date(2026, 10, 10), columns=16)
    third = files.get()

    assert read_ids(first.content) == original_ids
    assert read_ids(second.content) == second_day_ids
    assert read_rows(second.content)[1]["Company response to consumer"] == "Untimely response"
    assert read_ids(third.content) == [last["complaint_id"], *second_day_ids[:-1]]
    assert len({response.headers["ETag"] for response in (first, second, third)}) == 3
    assert [len(read_rows(response.content)[0]) for response in (second, third)] == [15, 16]


def test_archive_page_links_to_the_zips(files: Files) -> None:
    """It has other links too."""
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
def test_missing_file_gets_404(files: Files, path: str) -> None:
    """The file server has no HTML page for other paths."""
    assert files.get(path).status_code == 404


def test_emulator_without_a_folder_has_no_files() -> None:
    """Publishing a file raises an error."""
    emulator = Emulator(generate_complaints(3))

    with serve(emulator) as url:
        statuses = [
            requests.get(urljoin(url, path), timeout=10).status_code
            for path in (BULK_PATH, ARCHIVE_PATH)
        ]

    assert statuses == [404, 404]
    with pytest.raises(ValueError, match="no folder"):
        emulator.publish(DAY)


def test_emulator_records_file_requests(files: Files) -> None:
    """They are in order; searches are recorded separately."""
    files.get(Range="bytes=5-", User_Agent="a test")
    files.get("/f/documents/other.zip")
    files.get(ARCHIVE_PATH)
    requests.head(urljoin(files.url, BULK_PATH), timeout=10)
    requests.get(files.url, timeout=10)

    recorded = files.emulator.file_requests
    assert [(request.method, request.path, request.status) for request in recorded] == [
        ("GET", BULK_PATH, 206),
        ("GET", "/f/documents/other.zip", 404),
        ("GET", ARCHIVE_PATH, 200),
        ("HEAD", BULK_PATH, 200),
    ]
    assert (recorded[0].headers["range"], recorded[0].headers["user-agent"]) == (
        "bytes=5-",
        "a test",
    )
    assert len(files.emulator.requests) == 1
