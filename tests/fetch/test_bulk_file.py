"""CFPB's daily file, from the emulator through the flow to the database."""

from __future__ import annotations

import shutil
from datetime import date
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from cfpb_etl.emulator import write_bulk_file
from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.store import errors as store_errors
from support.daily_file import (
    CHANGES,
    COMPLAINTS,
    TODAY,
    TOMORROW,
    YESTERDAY,
    by_id,
    id_of,
    load,
)
from support.prefect_runs import error_of, last_load, rows, run_at, texts

if TYPE_CHECKING:
    from pathlib import Path

    from support.daily_file import DailyFile

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")


# --- what is loaded -------------------------------------------------------------------------


def test_the_first_load_stores_all_complaints(published: DailyFile) -> None:
    """Every complaint of the file is new, and the load is recorded."""
    stats = published.load().result()

    assert (stats.rows, stats.new, stats.received) == (3_000, 3_000, 3_000)
    assert by_id(published.folder).keys() == set(map(id_of, COMPLAINTS))
    record = last_load(published.folder)
    columns = ("source", "address", "query", "outcome", "as_of_latest", "parts", "new", "matching")
    assert [record[name] for name in columns] == [
        *("bulk", published.url, "{}", "complete", YESTERDAY.isoformat(), 1, 3_000, None)
    ]
    assert published.statuses == [200]


def test_the_default_is_cfpbs_file() -> None:
    """It is downloaded over https."""
    assert BulkFile().address == BULK_URL
    assert BULK_URL.startswith("https://files.consumerfinance.gov/")


def test_an_unchanged_file_is_not_loaded_again(loaded: DailyFile) -> None:
    """The second run makes one conditional request, and the database is up to date."""
    before = by_id(loaded.folder)

    stats = loaded.load().result()

    assert (stats.unchanged_files, stats.rows, stats.parts) == (1, 0, 1)
    assert loaded.statuses == [200, 304]
    assert loaded.requests[-1].headers["if-none-match"]
    assert by_id(loaded.folder) == before
    assert last_load(loaded.folder)["outcome"] == "complete"
    assert last_load(loaded.folder)["load_id"] == 2
    assert loaded.downloads == []


@pytest.mark.slow
def test_an_unchanged_file_stays_unchanged(loaded: DailyFile) -> None:
    """After a load of an unchanged file, the next one finds it unchanged too."""
    assert [loaded.load().result().unchanged_files for _ in range(2)] == [1, 1]
    assert loaded.statuses == [200, 304, 304]


def test_only_changes_are_written(loaded: DailyFile) -> None:
    """Changed, new and withdrawn complaints are written with their changes, and no other row."""
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

    stats = loaded.load().result()

    after = by_id(loaded.folder)
    written = {*map(id_of, changed), *map(id_of, new), *map(id_of, gone)}
    assert {number for number, row in after.items() if row["changed_load_id"] == 2} == written
    assert {number: row for number, row in after.items() if number not in written} == {
        number: row for number, row in before.items() if number not in written
    }
    marked = {number: row["withdrawn_on"] for number, row in after.items() if row["withdrawn_on"]}
    assert marked == dict.fromkeys(map(id_of, gone), YESTERDAY.isoformat())
    changes = {tuple(change.values()) for change in rows(loaded.folder, CHANGES)}
    assert changes == {
        (id_of(each), 2, column, before[id_of(each)][column], value)
        for each in changed
        for column, value in answer.items()
        if before[id_of(each)][column] != value
    } | {(id_of(each), 2, "withdrawn_on", None, YESTERDAY.isoformat()) for each in gone}
    counts = ("rows", "new", "changed", "unchanged", "withdrawn")
    assert [last_load(loaded.folder)[name] for name in counts] == [3_020, 40, 60, 2_920, 20]
    assert (stats.new, stats.changed, stats.withdrawn) == (40, 60, 20)
    assert loaded.statuses == [200, 200]


@pytest.mark.slow
def test_a_complaint_that_returns_is_not_withdrawn(loaded: DailyFile) -> None:
    """If a later file has it again, the mark is removed."""
    one = COMPLAINTS[7]
    loaded.emulator.withdraw(one["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().result().withdrawn == 1
    loaded.emulator.put(one)
    loaded.emulator.publish(date(2026, 10, 10))

    stats = loaded.load().result()

    assert (stats.changed, stats.withdrawn) == (1, 0)
    assert by_id(loaded.folder)[id_of(one)]["withdrawn_on"] is None


# --- what is rejected -----------------------------------------------------------------------


def test_a_file_that_lacks_too_many_complaints_is_rejected(loaded: DailyFile) -> None:
    """If more than one in a hundred is missing, nothing is changed."""
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
def test_one_in_a_hundred_is_accepted(loaded: DailyFile) -> None:
    """The maximum share is marked as withdrawn."""
    for each in COMPLAINTS[:30]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)

    assert loaded.load().result().withdrawn == 30


def test_the_complaint_of_a_rejected_row_is_not_withdrawn(
    loaded: DailyFile, caplog: pytest.LogCaptureFixture
) -> None:
    """A complaint whose row is not valid keeps its values; the line is reported."""
    before = by_id(loaded.folder)
    odd = [*COMPLAINTS[1:501], {**COMPLAINTS[0], "date_received": "noon"}, *COMPLAINTS[501:]]
    write_bulk_file(loaded.folder / "files", odd, day=TOMORROW)

    stats = loaded.load().result()

    assert (stats.rejected, stats.withdrawn, stats.unchanged) == (1, 0, 2_999)
    assert by_id(loaded.folder) == before
    assert last_load(loaded.folder)["warnings"].startswith("complaints.csv.zip, line 502: ")
    assert "line 502: " in caplog.text


def test_allowed_withdrawals_need_no_second_download(loaded: DailyFile) -> None:
    """The rejected file is kept, and is loaded with `allow_withdrawals`."""
    for each in COMPLAINTS[:31]:
        loaded.emulator.withdraw(each["complaint_id"])
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().is_failed()

    stats = loaded.load(allow_withdrawals=True).result()

    assert stats.withdrawn == 31
    assert loaded.statuses == [200, 200, 304]
    assert last_load(loaded.folder)["as_of_latest"] == YESTERDAY.isoformat()
    assert loaded.downloads == []


@pytest.mark.slow
def test_a_sample_is_not_added_to_the_file(loaded: DailyFile) -> None:
    """A database with CFPB's file does not accept made-up complaints."""
    before = by_id(loaded.folder)

    state = run_at(loaded.api_url, loaded.folder, kind="sample", limit=10)

    assert isinstance(error_of(state), store_errors.OtherKindError)
    assert by_id(loaded.folder) == before


@pytest.mark.slow
def test_the_file_is_not_added_to_a_sample(published: DailyFile) -> None:
    """A database with made-up complaints does not accept the file, which is not requested."""
    assert run_at(published.api_url, published.folder, kind="sample", limit=10).is_completed()

    state = published.load()

    assert isinstance(error_of(state), store_errors.OtherKindError)
    assert len(by_id(published.folder)) == 10
    assert published.requests == []


def test_a_full_disk_is_found_before_the_download(
    published: DailyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written if the file and its complaints do not fit."""
    usage = shutil.disk_usage(published.folder)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    error = error_of(published.load())

    assert isinstance(error, fetch_errors.NotEnoughSpaceError)
    assert error.free == 1_000_000
    assert error.needed > published.zip.stat().st_size
    assert by_id(published.folder) == {}
    assert published.downloads == []
    assert published.statuses == [200]


# --- local files ----------------------------------------------------------------------------


def test_a_local_zip(published: DailyFile) -> None:
    """It is read in place and kept; it is not newer than the date in the zip."""
    stats = load(str(published.zip), published.folder).result()

    assert stats.new == 3_000
    assert published.zip.exists()
    assert published.requests == []
    record = last_load(published.folder)
    assert record["address"] == str(published.zip)
    assert (record["as_of_earliest"], record["as_of_latest"]) == (
        YESTERDAY.isoformat(),
        TODAY.isoformat(),
    )


def test_a_local_plain_csv(
    published: DailyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be unzipped, with a relative path; it is not older than the newest day received."""
    with ZipFile(published.zip) as archive:
        archive.extract("complaints.csv", tmp_path)
    monkeypatch.chdir(tmp_path)

    stats = load("complaints.csv", tmp_path).result()

    assert stats.new == 3_000
    record = last_load(tmp_path)
    assert record["address"] == str(tmp_path / "complaints.csv")
    assert record["as_of_earliest"] == record["newest"] == YESTERDAY.isoformat()
    assert (tmp_path / "complaints.csv").exists()


@pytest.mark.slow
def test_a_local_file_is_read_each_time(published: DailyFile) -> None:
    """Nothing shows that it is unchanged."""
    load(str(published.zip), published.folder)

    stats = load(str(published.zip), published.folder).result()

    assert (stats.unchanged, stats.unchanged_files) == (3_000, 0)


@pytest.mark.slow
def test_a_local_file_that_does_not_exist(tmp_path: Path) -> None:
    """It is an error with the path."""
    error = error_of(load(str(tmp_path / "nowhere.zip"), tmp_path))

    assert isinstance(error, fetch_errors.UnreadableFileError)


def test_an_older_file_changes_nothing(loaded: DailyFile) -> None:
    """The values and withdrawals of a newer load count."""
    older = loaded.folder / "older.zip"
    shutil.copy(loaded.zip, older)
    for each in COMPLAINTS[:20]:
        loaded.emulator.put(each | {"company_response": "Closed with relief", "tags": None})
    for each in COMPLAINTS[20:40]:
        loaded.emulator.withdraw(each["complaint_id"])
    day = {"date_received": f"{TOMORROW}T10:00:00.000Z", "date_sent_to_company": None}
    loaded.emulator.put(COMPLAINTS[40] | day | {"complaint_id": str(10**9)})
    loaded.emulator.publish(TOMORROW)
    assert loaded.load().result().new == 1
    before, changes = by_id(loaded.folder), rows(loaded.folder, CHANGES)

    stats = load(str(older), loaded.folder).result()

    assert (stats.new, stats.changed, stats.withdrawn) == (0, 0, 0)
    assert by_id(loaded.folder) == before
    assert rows(loaded.folder, CHANGES) == changes


@pytest.mark.slow
def test_an_older_file_from_the_server_changes_nothing(loaded: DailyFile) -> None:
    """That holds for an older version on CFPB's server, too."""
    before = by_id(loaded.folder)
    loaded.emulator.withdraw(COMPLAINTS[0]["complaint_id"])
    loaded.emulator.put(COMPLAINTS[1] | {"timely": "Perhaps"})
    loaded.emulator.publish(YESTERDAY)

    stats = loaded.load().result()

    assert (stats.new, stats.changed, stats.withdrawn, stats.uncertain) == (0, 0, 0, 1)
    assert by_id(loaded.folder) == before


def test_the_picture_of_a_file(loaded: DailyFile) -> None:
    """Its rows are parsed while they are stored, so parsing shows no time of its own."""
    assert "rows parsed while storing" in "".join(texts(loaded.folder))
