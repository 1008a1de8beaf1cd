"""The download of the daily file in the flow: resumed, repeated, rejected and kept."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, serve
from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.fetch.http import client
from cfpb_etl.fetch.http import errors as http_errors
from cfpb_etl.store import errors as store_errors
from support import faults
from support.daily_file import (
    COMPLAINTS,
    TODAY,
    TOMORROW,
    YESTERDAY,
    by_id,
    id_of,
    load,
    serve_daily_file,
)
from support.faults import Faulty
from support.prefect_runs import error_of, last_load

if TYPE_CHECKING:
    from pathlib import Path

    from support.daily_file import DailyFile

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receive a thousand bytes at a time, because an incomplete chunk is not kept."""
    monkeypatch.setattr(client, "_CHUNK", 1_000)


@pytest.mark.usefixtures("small_chunks")
def test_a_cut_download_is_resumed(tmp_path: Path) -> None:
    """Prefect's retry requests only the rest."""
    with serve_daily_file(tmp_path, faults={1: faults.cut_download(50_000)}) as server:
        server.emulator.publish(TODAY)

        stats = server.load().result()

        assert stats.new == 3_000
        assert server.statuses == [200, 206]
        assert server.requests[-1].headers["range"] == "bytes=50000-"
        assert server.downloads == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_the_next_run_resumes_a_cut_download(tmp_path: Path) -> None:
    """If all attempts are cut, the part is kept for the next run."""
    cut = {number: faults.cut_download(10_000) for number in range(1, 6)}
    with serve_daily_file(tmp_path, faults=cut) as server:
        server.emulator.publish(TODAY)
        assert isinstance(error_of(server.load()), http_errors.CutBodyError)
        assert server.statuses == [200, 206, 206, 206, 206]
        assert downloads_beside(tmp_path / "complaints.db")

        stats = server.load().result()

    assert stats.new == 3_000
    assert server.requests[-1].headers["range"] == "bytes=50000-"
    assert last_load(tmp_path)["load_id"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_file_that_changes_during_the_download(tmp_path: Path) -> None:
    """The new version is downloaded from its first byte."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")

    def publish() -> None:
        emulator.put(COMPLAINTS[0] | {"timely": "Perhaps"})
        emulator.publish(TOMORROW)

    emulator.publish(TODAY)
    with serve(Faulty(emulator, {1: faults.cut_and_changed(publish, 50_000)})) as api_url:
        stats = load(urljoin(api_url, BULK_PATH), tmp_path).result()

    assert stats.new == 3_000
    assert by_id(tmp_path)[id_of(COMPLAINTS[0])]["timely"] == "Perhaps"
    assert last_load(tmp_path)["as_of_latest"] == YESTERDAY.isoformat()
    assert "if-range" in emulator.file_requests[-1].headers
    assert [request.status for request in emulator.file_requests] == [200, 200]


def test_a_corrupt_download(tmp_path: Path) -> None:
    """With one wrong byte nothing is stored or kept; the next run downloads the file again."""
    with serve_daily_file(tmp_path, faults={1: faults.corrupt_download()}) as server:
        server.emulator.publish(TODAY)

        error = error_of(server.load())

        assert isinstance(error, fetch_errors.DamagedDownloadError)
        assert by_id(tmp_path) == {}
        assert server.downloads == []
        assert server.statuses == [200]
        assert server.load().result().new == 3_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.forbidden_html(), http_errors.AccessDeniedError),
        (faults.html_page(), http_errors.WrongContentError),
    ],
)
def test_an_answer_that_is_not_a_file(
    fault: faults.Fault, error: type[http_errors.ServerError], tmp_path: Path
) -> None:
    """It is an error after one request, because a retry would not help."""
    app = Faulty(Emulator([]), otherwise=fault)
    with serve(app) as api_url:
        found = error_of(load(urljoin(api_url, BULK_PATH), tmp_path))

    assert type(found) is error
    assert len(app.requests) == 1
    assert by_id(tmp_path) == {}
    assert last_load(tmp_path)["failure"] == str(found)
    assert downloads_beside(tmp_path / "complaints.db") == []


@pytest.mark.slow
def test_a_missing_file(tmp_path: Path) -> None:
    """A 404 is not retried."""
    with serve_daily_file(tmp_path) as server:
        error = error_of(server.load())

    assert type(error) is http_errors.NotFoundError
    assert server.statuses == [404]


def test_a_stored_file_is_removed(loaded: DailyFile) -> None:
    """Once its complaints are stored, the download is not needed."""
    assert loaded.downloads == []
    assert downloads_beside(loaded.folder / "complaints.db") == []


def test_a_file_that_cannot_be_stored_is_kept(
    published: DailyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run checks for a newer version, and stores it without a second download."""

    def fails(*_: object) -> None:
        raise store_errors.NotWritableError(path=published.folder, detail="is full")

    with monkeypatch.context() as patch:
        patch.setattr("cfpb_etl.flow.store_part", fails)
        assert isinstance(error_of(published.load()), store_errors.NotWritableError)
    assert len(downloads_beside(published.folder / "complaints.db")) == 1

    assert published.load().result().new == 3_000
    assert published.statuses == [200, 304]
    assert published.downloads == []


@pytest.mark.slow
def test_a_newer_version_replaces_a_kept_file(loaded: DailyFile) -> None:
    """A rejected file is not used if the server has the next day's."""
    for each in COMPLAINTS[:31]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().is_failed()
    for each in COMPLAINTS[:31]:
        loaded.emulator.put(each)
    loaded.emulator.publish(date(2026, 10, 10))

    stats = loaded.load().result()

    assert (stats.unchanged, stats.withdrawn) == (3_000, 0)
    assert last_load(loaded.folder)["as_of_latest"] == YESTERDAY.isoformat()
    assert loaded.downloads == []
