"""CFPB's daily file, from the emulator into the database by way of the flow."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin
from zipfile import ZipFile

import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve, write_bulk_file
from cfpb_etl.fetch import errors as file_errors
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.fetch.http import client as transport
from cfpb_etl.fetch.http import errors as server_errors
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.query import Query
from cfpb_etl.store import errors as store_errors
from support import faults
from support.faults import Faulty
from support.prefect_runs import error_of, last_load, rows, run_at, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from cfpb_etl.emulator import FileRequest, RawComplaint

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

YESTERDAY, TODAY, TOMORROW = date(2026, 10, 7), date(2026, 10, 8), date(2026, 10, 9)
OF_2024 = date(2024, 11, 6)
ALL_DAYS = Query(since="2011-12-01")
COMPLAINTS = generate_complaints(3_000)
FIELDS = f"SELECT {', '.join(Complaint._fields)} FROM complaint ORDER BY 1"  # noqa: S608 - our names
CHANGES = "SELECT complaint_id, load_id, column_name, old, new FROM complaint_change ORDER BY rowid"


@dataclass
class Daily:
    """The server of the daily file, and the folder with the database that it is loaded into."""

    emulator: Emulator
    api_url: str
    folder: Path

    @property
    def url(self) -> str:
        """Return the address of the file."""
        return urljoin(self.api_url, BULK_PATH)

    @property
    def zip(self) -> Path:
        """Return the file itself, as it lies on the server."""
        return self.folder / "files" / BULK_PATH.lstrip("/")

    @property
    def requests(self) -> list[FileRequest]:
        """Return the requests for the file."""
        return self.emulator.file_requests

    @property
    def statuses(self) -> list[int]:
        """Return how these were answered."""
        return [request.status for request in self.requests]

    @property
    def downloads(self) -> list[str]:
        """Return the names of what lies beside the database of downloads."""
        return sorted(path.name for path in self.folder.glob("complaints.db-download-*"))

    def load(self, **asked: Any) -> State[Any]:
        """Run the flow."""
        return load(self.url, self.folder, **asked)


def load(file: str, folder: Path, **asked: Any) -> State[Any]:
    """Run the flow for a file."""
    database = folder / "complaints.db"
    state: State[Any] = load_complaints(
        BulkFile(file, database, **asked), database, folder / "flow.svg", return_state=True
    )
    return state


@contextmanager
def daily(
    folder: Path, complaints: list[RawComplaint] | None = None, **faulty: Any
) -> Iterator[Daily]:
    """Serve complaints, with faults if there are any; nothing is published yet."""
    emulator = Emulator(COMPLAINTS if complaints is None else complaints, files=folder / "files")
    with serve(Faulty(emulator, **faulty) if faulty else emulator) as api_url:
        yield Daily(emulator, api_url, folder)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Daily]:
    """Serve today's file."""
    with daily(tmp_path) as server:
        server.emulator.publish(TODAY)
        yield server


@pytest.fixture
def loaded(published: Daily) -> Daily:
    """Load today's file."""
    assert published.load().is_completed()
    return published


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receive a thousand bytes at a time: of a piece that is cut off nothing is kept."""
    monkeypatch.setattr(transport, "_CHUNK", 1_000)


def by_id(folder: Path) -> dict[int, dict[str, Any]]:
    """Return the rows of the database by complaint."""
    return {row["complaint_id"]: row for row in rows(folder)}


def id_of(complaint: Mapping[str, Any]) -> int:
    """Return the id of a complaint as the database has it."""
    return int(complaint["complaint_id"])


# --- what it brings -------------------------------------------------------------------------


def test_the_first_load_brings_all(published: Daily) -> None:
    """Every complaint of the file is inserted, and the load is recorded for what it was."""
    report = published.load().result()

    assert (report.rows, report.new, report.received) == (3_000, 3_000, 3_000)
    assert by_id(published.folder).keys() == set(map(id_of, COMPLAINTS))
    record = last_load(published.folder)
    told = ("source", "address", "query", "outcome", "as_of", "parts", "new", "matching")
    assert [record[name] for name in told] == [
        *("bulk", published.url, "{}", "complete", TODAY.isoformat(), 1, 3_000, None)
    ]
    assert published.statuses == [200]


def test_cfpbs_own_file_unless_told() -> None:
    """Without an address it is CFPB's, over https."""
    assert BulkFile().address == BULK_URL
    assert BULK_URL.startswith("https://files.consumerfinance.gov/")


def test_an_unchanged_file_is_not_loaded_again(loaded: Daily) -> None:
    """The second run asks once, under a condition, and the database is up to date."""
    before = by_id(loaded.folder)

    report = loaded.load().result()

    assert (report.unchanged_files, report.rows, report.parts) == (1, 0, 1)
    assert loaded.statuses == [200, 304]
    assert loaded.requests[-1].headers["if-none-match"]
    assert by_id(loaded.folder) == before
    assert last_load(loaded.folder)["outcome"] == "complete"
    assert last_load(loaded.folder)["load_id"] == 2
    assert loaded.downloads == []


@pytest.mark.slow
def test_it_is_up_to_date_ever_after(loaded: Daily) -> None:
    """A load that found nothing new is itself one after which the next finds nothing new."""
    assert [loaded.load().result().unchanged_files for _ in range(2)] == [1, 1]
    assert loaded.statuses == [200, 304, 304]


def test_exactly_what_changed_overnight_is_written(loaded: Daily) -> None:
    """Changed, new and gone complaints are written and remembered, and no other row is touched."""
    before = by_id(loaded.folder)
    changed, gone = COMPLAINTS[100:160], COMPLAINTS[200:220]
    new = [each | {"complaint_id": str(id_of(each) + 10**8)} for each in COMPLAINTS[300:340]]
    answer = {"company_response": "Closed with relief", "timely": "No"}
    for each in changed:
        loaded.emulator.put(each | answer)
    for each in new:
        loaded.emulator.put(each)
    for each in gone:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)

    report = loaded.load().result()

    after = by_id(loaded.folder)
    touched = {*map(id_of, changed), *map(id_of, new), *map(id_of, gone)}
    assert {number for number, row in after.items() if row["load_id"] == 2} == touched
    assert {number: row for number, row in after.items() if number not in touched} == {
        number: row for number, row in before.items() if number not in touched
    }
    marked = {number: row["withdrawn_on"] for number, row in after.items() if row["withdrawn_on"]}
    assert marked == dict.fromkeys(map(id_of, gone), TOMORROW.isoformat())
    told = {tuple(change.values()) for change in rows(loaded.folder, CHANGES)}
    assert told == {
        (id_of(each), 2, column, before[id_of(each)][column], value)
        for each in changed
        for column, value in answer.items()
        if before[id_of(each)][column] != value
    } | {(id_of(each), 2, "withdrawn_on", None, TOMORROW.isoformat()) for each in gone}
    counts = ("rows", "new", "changed", "unchanged", "withdrawn")
    assert [last_load(loaded.folder)[name] for name in counts] == [3_020, 40, 60, 2_920, 20]
    assert (report.new, report.changed, report.withdrawn) == (40, 60, 20)
    assert loaded.statuses == [200, 200]


@pytest.mark.slow
def test_a_complaint_that_returns_loses_its_mark(loaded: Daily) -> None:
    """What a later file has again is there again."""
    one = COMPLAINTS[7]
    loaded.emulator.withdraw(one["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().result().withdrawn == 1
    loaded.emulator.put(one)
    loaded.emulator.publish(date(2026, 10, 10))

    report = loaded.load().result()

    assert (report.changed, report.withdrawn) == (1, 0)
    assert by_id(loaded.folder)[id_of(one)]["withdrawn_on"] is None


# --- what is refused ------------------------------------------------------------------------


def test_a_file_that_lacks_too_much_is_refused(loaded: Daily) -> None:
    """Above one in a hundred withdrawn the file is in doubt, and nothing is changed."""
    before = by_id(loaded.folder)
    for each in COMPLAINTS[:31]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)

    state = loaded.load()

    assert state.is_failed()
    error = error_of(state)
    assert isinstance(error, store_errors.TooManyWithdrawnError)
    assert (error.withdrawn, error.stored) == (31, 3_000)
    assert by_id(loaded.folder) == before
    assert rows(loaded.folder, CHANGES) == []
    assert last_load(loaded.folder)["outcome"] == "failed"


@pytest.mark.slow
def test_one_in_a_hundred_is_believed(loaded: Daily) -> None:
    """Just as many as can be are marked."""
    for each in COMPLAINTS[:30]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)

    assert loaded.load().result().withdrawn == 30


def test_a_rejected_row_withdraws_nothing(loaded: Daily, caplog: pytest.LogCaptureFixture) -> None:
    """A complaint whose row cannot be one keeps what is stored, and its line is told."""
    before = by_id(loaded.folder)
    odd = [*COMPLAINTS[1:501], {**COMPLAINTS[0], "date_received": "noon"}, *COMPLAINTS[501:]]
    write_bulk_file(loaded.folder / "files", odd, day=TOMORROW)

    report = loaded.load().result()

    assert (report.rejected, report.withdrawn, report.unchanged) == (1, 0, 2_999)
    assert by_id(loaded.folder) == before
    assert last_load(loaded.folder)["warnings"].startswith("complaints.csv.zip, line 502: ")
    assert "line 502: " in caplog.text


def test_withdrawals_that_are_allowed_need_no_second_download(loaded: Daily) -> None:
    """The refused file is kept, and loads when a person says that it is right."""
    for each in COMPLAINTS[:31]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().is_failed()

    report = loaded.load(allow_withdrawals=True).result()

    assert report.withdrawn == 31
    assert loaded.statuses == [200, 200, 304]
    assert last_load(loaded.folder)["as_of"] == TOMORROW.isoformat()
    assert loaded.downloads == []


@pytest.mark.slow
def test_made_up_complaints_are_refused_beside_the_file(loaded: Daily) -> None:
    """A database with CFPB's file takes no sample."""
    before = by_id(loaded.folder)

    state = run_at(loaded.api_url, loaded.folder, kind="sample", limit=10)

    assert isinstance(error_of(state), store_errors.OtherKindError)
    assert by_id(loaded.folder) == before


@pytest.mark.slow
def test_the_file_is_refused_beside_made_up_complaints(published: Daily) -> None:
    """A database with a sample takes no file, which is not even asked for."""
    assert run_at(published.api_url, published.folder, kind="sample", limit=10).is_completed()

    state = published.load()

    assert isinstance(error_of(state), store_errors.OtherKindError)
    assert len(by_id(published.folder)) == 10
    assert published.requests == []


def test_a_disk_without_room_is_told_before_the_download(
    published: Daily, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written where the file, and what it adds to the database, would not fit."""
    usage = shutil.disk_usage(published.folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    error = error_of(published.load())

    assert isinstance(error, file_errors.NotEnoughSpaceError)
    assert error.free == 1_000_000
    assert error.needed > published.zip.stat().st_size
    assert by_id(published.folder) == {}
    assert published.downloads == []
    assert published.statuses == [200]


# --- how it comes ---------------------------------------------------------------------------


@pytest.mark.usefixtures("small_pieces")
def test_a_cut_download_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    """Prefect's retry asks for the rest only."""
    with daily(tmp_path, faults={1: faults.cut_download(50_000)}) as server:
        server.emulator.publish(TODAY)

        report = server.load().result()

        assert report.new == 3_000
        assert server.statuses == [200, 206]
        assert server.requests[-1].headers["range"] == "bytes=50000-"
        assert server.downloads == []


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_the_next_run_goes_on_with_a_cut_download(tmp_path: Path) -> None:
    """When all attempts are cut off, what came is kept for the run after."""
    cut = {number: faults.cut_download(10_000) for number in range(1, 6)}
    with daily(tmp_path, faults=cut) as server:
        server.emulator.publish(TODAY)
        assert isinstance(error_of(server.load()), server_errors.CutBodyError)
        assert server.statuses == [200, 206, 206, 206, 206]
        assert downloads_beside(tmp_path / "complaints.db")

        report = server.load().result()

    assert report.new == 3_000
    assert server.requests[-1].headers["range"] == "bytes=50000-"
    assert last_load(tmp_path)["load_id"] == 2


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_what_is_published_amid_a_download_is_loaded_whole(tmp_path: Path) -> None:
    """The rest of yesterday's file is not asked of today's."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")

    def publish() -> None:
        emulator.put(COMPLAINTS[0] | {"timely": "Perhaps"})
        emulator.publish(TOMORROW)

    emulator.publish(TODAY)
    with serve(Faulty(emulator, {1: faults.changed_meanwhile(publish, 50_000)})) as api_url:
        report = load(urljoin(api_url, BULK_PATH), tmp_path).result()

    assert report.new == 3_000
    assert by_id(tmp_path)[id_of(COMPLAINTS[0])]["timely"] == "Perhaps"
    assert last_load(tmp_path)["as_of"] == TOMORROW.isoformat()
    assert "if-range" in emulator.file_requests[-1].headers
    assert [request.status for request in emulator.file_requests] == [200, 200]


def test_a_corrupt_download_is_told_by_name(tmp_path: Path) -> None:
    """One wrong byte, and nothing is stored or kept; the next run has the file anew."""
    with daily(tmp_path, faults={1: faults.corrupt_download()}) as server:
        server.emulator.publish(TODAY)

        error = error_of(server.load())

        assert isinstance(error, file_errors.DamagedDownloadError)
        assert by_id(tmp_path) == {}
        assert server.downloads == []
        assert server.statuses == [200]
        assert server.load().result().new == 3_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.forbidden_html(), server_errors.AccessDeniedError),
        (faults.html_page(), server_errors.WrongContentError),
    ],
)
def test_what_is_no_file_is_told_by_name(
    fault: faults.Fault, error: type[server_errors.ServerError], tmp_path: Path
) -> None:
    """After one request: to ask again would not help."""
    app = Faulty(Emulator([]), otherwise=fault)
    with serve(app) as api_url:
        found = error_of(load(urljoin(api_url, BULK_PATH), tmp_path))

    assert type(found) is error
    assert len(app.requests) == 1
    assert by_id(tmp_path) == {}
    assert last_load(tmp_path)["failure"] == str(found)
    assert downloads_beside(tmp_path / "complaints.db") == []


@pytest.mark.slow
def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    """404 is asked for once."""
    with daily(tmp_path) as server:
        error = error_of(server.load())

    assert type(error) is server_errors.NotFoundError
    assert server.statuses == [404]


def test_a_stored_file_is_removed(loaded: Daily) -> None:
    """Once its complaints are in the database, the download has done its work."""
    assert loaded.downloads == []
    assert downloads_beside(loaded.folder / "complaints.db") == []


def test_a_file_that_could_not_be_stored_is_kept(
    published: Daily, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run asks whether it is still the newest, and stores it without a second download."""

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
def test_a_kept_file_gives_way_to_a_newer_one(loaded: Daily) -> None:
    """What was refused is not gone on with when the server has the next day's."""
    for each in COMPLAINTS[:31]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().is_failed()
    for each in COMPLAINTS[:31]:
        loaded.emulator.put(each)
    loaded.emulator.publish(date(2026, 10, 10))

    report = loaded.load().result()

    assert (report.unchanged, report.withdrawn) == (3_000, 0)
    assert last_load(loaded.folder)["as_of"] == "2026-10-10"
    assert loaded.downloads == []


# --- local files ----------------------------------------------------------------------------


def test_a_local_zip(published: Daily) -> None:
    """It is read where it lies, kept, and as old as what is in it."""
    report = load(str(published.zip), published.folder).result()

    assert report.new == 3_000
    assert published.zip.exists()
    assert published.requests == []
    record = last_load(published.folder)
    assert record["address"] == str(published.zip)
    assert record["as_of"] == TODAY.isoformat()


def test_a_local_plain_csv(
    published: Daily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be unzipped, and its path relative; its newest complaint tells its age."""
    with ZipFile(published.zip) as archive:
        archive.extract("complaints.csv", tmp_path)
    monkeypatch.chdir(tmp_path)

    report = load("complaints.csv", tmp_path).result()

    assert report.new == 3_000
    record = last_load(tmp_path)
    assert record["address"] == str(tmp_path / "complaints.csv")
    assert record["as_of"] == record["newest"] == YESTERDAY.isoformat()
    assert (tmp_path / "complaints.csv").exists()


@pytest.mark.slow
def test_a_local_file_is_read_each_time(published: Daily) -> None:
    """No server says that it has not changed."""
    load(str(published.zip), published.folder)

    report = load(str(published.zip), published.folder).result()

    assert (report.unchanged, report.unchanged_files) == (3_000, 0)


@pytest.mark.slow
def test_a_local_file_that_is_not_there(tmp_path: Path) -> None:
    """It is told by name."""
    error = error_of(load(str(tmp_path / "nowhere.zip"), tmp_path))

    assert isinstance(error, file_errors.UnreadableFileError)


def test_an_older_file_changes_nothing(loaded: Daily) -> None:
    """Over a newer database it only has what is known: values, withdrawals, all stay."""
    older = loaded.folder / "older.zip"
    shutil.copy(loaded.zip, older)
    for each in COMPLAINTS[:20]:
        loaded.emulator.put(each | {"company_response": "Closed with relief", "tags": None})
    for each in COMPLAINTS[20:40]:
        loaded.emulator.withdraw(each["complaint_id"])
    new = COMPLAINTS[40] | {"complaint_id": str(10**9)}
    loaded.emulator.put(new)
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().result().new == 1
    before, changes = by_id(loaded.folder), rows(loaded.folder, CHANGES)

    report = load(str(older), loaded.folder).result()

    assert (report.new, report.changed, report.withdrawn) == (0, 0, 0)
    assert by_id(loaded.folder) == before
    assert rows(loaded.folder, CHANGES) == changes


@pytest.mark.slow
def test_an_older_file_from_the_server_changes_nothing(loaded: Daily) -> None:
    """Nor where CFPB's server goes back to yesterday's."""
    before = by_id(loaded.folder)
    loaded.emulator.withdraw(COMPLAINTS[0]["complaint_id"])
    loaded.emulator.put(COMPLAINTS[1] | {"timely": "Perhaps"})
    loaded.emulator.publish(YESTERDAY)

    report = loaded.load().result()

    assert (report.new, report.changed, report.withdrawn) == (0, 0, 0)
    assert by_id(loaded.folder) == before


# --- beside the search API ------------------------------------------------------------------


def test_an_update_through_the_api_follows_the_file(loaded: Daily) -> None:
    """It goes on from the file's last day, and brings what came since."""
    newest = max(COMPLAINTS, key=lambda each: str(each["date_received"]))
    loaded.emulator.put(newest | {"company_response": "Closed with relief"})

    report = run_at(loaded.api_url, loaded.folder, lookback=30).result()

    assert (report.new, report.changed, report.withdrawn) == (0, 1, 0)
    record = last_load(loaded.folder)
    assert (record["updates_load_id"], record["source"], record["outcome"]) == (
        1,
        "api",
        "complete",
    )
    assert record["rows"] < 3_000
    assert by_id(loaded.folder)[id_of(newest)]["company_response"] == "Closed with relief"


@pytest.mark.slow
def test_an_update_follows_a_file_that_was_up_to_date(loaded: Daily) -> None:
    """The load that it updates is the one that brought complaints."""
    assert loaded.load().result().unchanged_files == 1

    assert run_at(loaded.api_url, loaded.folder, lookback=30).is_completed()

    assert last_load(loaded.folder)["updates_load_id"] == 1


def test_the_api_and_the_file_tell_the_same(published: Daily, tmp_path: Path) -> None:
    """Since 2026-08, field by field."""
    other = tmp_path / "api"
    other.mkdir()
    assert run_at(published.api_url, other, query=ALL_DAYS).is_completed()
    assert published.load().is_completed()

    assert rows(published.folder, FIELDS) == rows(other, FIELDS)


@pytest.mark.slow
def test_the_api_and_the_file_told_the_same_but_for_white_space(tmp_path: Path) -> None:
    """In 2024, field by field: the file has a narrative in one line."""
    other = tmp_path / "api"
    other.mkdir()
    with daily(tmp_path, generate_complaints(3_000, era="2024")) as server:
        server.emulator.publish(OF_2024, columns=16)
        assert run_at(server.api_url, other, query=ALL_DAYS).is_completed()
        assert server.load().is_completed()

    by_api, by_file = rows(other, FIELDS), rows(tmp_path, FIELDS)
    assert by_api != by_file
    assert [in_one_line(row) for row in by_api] == [in_one_line(row) for row in by_file]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("era", "day", "columns"), [("deployed", TODAY, 15), ("2024", OF_2024, 16)]
)
def test_the_file_changes_nothing_that_the_api_brought(
    era: Any, day: date, columns: Any, tmp_path: Path
) -> None:
    """Of the same complaints, even where it writes a narrative otherwise."""
    with daily(tmp_path, generate_complaints(3_000, era=era)) as server:
        server.emulator.publish(day, columns=columns)
        assert run_at(server.api_url, tmp_path, query=ALL_DAYS).is_completed()
        before = by_id(tmp_path)

        report = server.load().result()

    assert (report.unchanged, report.withdrawn) == (3_000, 0)
    assert by_id(tmp_path) == before
    assert rows(tmp_path, CHANGES) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("era", "day", "columns"), [("deployed", TODAY, 15), ("2024", OF_2024, 16)]
)
def test_the_api_changes_nothing_that_the_file_brought(
    era: Any, day: date, columns: Any, tmp_path: Path
) -> None:
    """Of the same complaints, even where it has a narrative in paragraphs."""
    with daily(tmp_path, generate_complaints(3_000, era=era)) as server:
        server.emulator.publish(day, columns=columns)
        assert server.load().is_completed()
        before = by_id(tmp_path)

        report = run_at(server.api_url, tmp_path, query=ALL_DAYS).result()

    assert (report.unchanged, report.withdrawn) == (3_000, 0)
    assert by_id(tmp_path) == before
    assert rows(tmp_path, CHANGES) == []


@pytest.mark.slow
def test_the_file_completes_a_partial_pull(published: Daily) -> None:
    """What the API was not asked for is inserted, and what it brought stays."""
    assert run_at(published.api_url, published.folder, limit=1_000).is_completed()

    report = published.load().result()

    assert (report.new, report.unchanged) == (2_000, 1_000)


def in_one_line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with each run of white space in its narrative as one space."""
    narrative = row["complaint_what_happened"]
    return row | {"complaint_what_happened": narrative and " ".join(narrative.split())}


# --- what is shown --------------------------------------------------------------------------


def test_the_picture_says_when_it_is_read(loaded: Daily) -> None:
    """A file's rows are read while they are stored, so that no time of its own is shown."""
    assert "rows parsed while storing" in "".join(texts(loaded.folder))
