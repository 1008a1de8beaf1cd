"""The daily file and the search API, loaded into the same database or into two."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import generate_complaints
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.query import Query
from support.daily_file import (
    CHANGES,
    COMPLAINTS,
    TODAY,
    by_id,
    id_of,
    serve_daily_file,
)
from support.prefect_runs import last_load, rows, run_at

if TYPE_CHECKING:
    from pathlib import Path

    from support.daily_file import DailyFile

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")


OF_2024 = date(2024, 11, 6)
ALL_DAYS = Query(since="2011-12-01")
FIELDS = f"SELECT {', '.join(Complaint._fields)} FROM complaint ORDER BY 1"  # noqa: S608 - our names


def test_an_update_from_the_api_after_the_file(loaded: DailyFile) -> None:
    """It looks back from the file's newest day, and stores what changed since."""
    newest = max(COMPLAINTS, key=lambda each: str(each["date_received"]))
    loaded.emulator.put(newest | {"company_response": "Closed with relief"})

    stats = run_at(loaded.api_url, loaded.folder, lookback=30).result()

    assert (stats.new, stats.changed, stats.withdrawn) == (0, 1, 0)
    record = last_load(loaded.folder)
    assert (record["updates_load_id"], record["source"], record["outcome"]) == (
        1,
        "api",
        "complete",
    )
    assert record["rows"] < 3_000
    assert by_id(loaded.folder)[id_of(newest)]["company_response"] == "Closed with relief"


@pytest.mark.slow
def test_an_update_after_an_unchanged_file(loaded: DailyFile) -> None:
    """It updates the load that stored the complaints."""
    assert loaded.load().result().unchanged_files == 1

    assert run_at(loaded.api_url, loaded.folder, lookback=30).is_completed()

    assert last_load(loaded.folder)["updates_load_id"] == 1


def test_the_api_and_the_file_have_the_same_values(published: DailyFile, tmp_path: Path) -> None:
    """Since August 2026 every field is the same."""
    other = tmp_path / "api"
    other.mkdir()
    assert run_at(published.api_url, other, query=ALL_DAYS).is_completed()
    assert published.load().is_completed()

    assert rows(published.folder, FIELDS) == rows(other, FIELDS)


@pytest.mark.slow
def test_the_api_and_the_file_of_2024_differ_in_white_space(tmp_path: Path) -> None:
    """The file has each narrative in one line; every other field is the same."""
    other = tmp_path / "api"
    other.mkdir()
    with serve_daily_file(tmp_path, generate_complaints(3_000, era="2024")) as server:
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
def test_the_file_changes_nothing_from_the_api(
    era: Any, day: date, columns: Any, tmp_path: Path
) -> None:
    """The same complaints are unchanged, even if white space in a narrative differs."""
    with serve_daily_file(tmp_path, generate_complaints(3_000, era=era)) as server:
        server.emulator.publish(day, columns=columns)
        assert run_at(server.api_url, tmp_path, query=ALL_DAYS).is_completed()
        before = by_id(tmp_path)

        stats = server.load().result()

    assert (stats.unchanged, stats.withdrawn) == (3_000, 0)
    assert by_id(tmp_path) == before
    assert rows(tmp_path, CHANGES) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("era", "day", "columns"), [("deployed", TODAY, 15), ("2024", OF_2024, 16)]
)
def test_the_api_changes_nothing_from_the_file(
    era: Any, day: date, columns: Any, tmp_path: Path
) -> None:
    """The same complaints are unchanged, even if a narrative has paragraphs."""
    with serve_daily_file(tmp_path, generate_complaints(3_000, era=era)) as server:
        server.emulator.publish(day, columns=columns)
        assert server.load().is_completed()
        before = by_id(tmp_path)

        stats = run_at(server.api_url, tmp_path, query=ALL_DAYS).result()

    assert (stats.unchanged, stats.withdrawn) == (3_000, 0)
    assert by_id(tmp_path) == before
    assert rows(tmp_path, CHANGES) == []


@pytest.mark.slow
def test_the_file_completes_a_partial_database(published: DailyFile) -> None:
    """Missing complaints are added, and the others are unchanged."""
    assert run_at(published.api_url, published.folder, limit=1_000).is_completed()

    stats = published.load().result()

    assert (stats.new, stats.unchanged) == (2_000, 1_000)


def in_one_line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its narrative in one line."""
    narrative = row["complaint_what_happened"]
    return row | {"complaint_what_happened": narrative and " ".join(narrative.split())}
