"""An update fetches what has changed, and keeps the previous values."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.model.query import Query
from support import faults
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import error_of, last_load, rows, run, run_at

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

FIRST_LOAD: dict[str, Any] = {"query": Query(since="2011-12-01"), "page_size": 6_000}
COMPLAINTS = made_up(12_000, era="deployed")
NEWEST = max(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
LOOKBACK_DAY = (date.fromisoformat(NEWEST) - timedelta(60)).isoformat()


def day(complaint: dict[str, Any]) -> str:
    """Return the day on which a complaint was received."""
    return str(complaint["date_received"])[:10]


def by_id(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of the database by complaint id."""
    return {str(row["complaint_id"]): row for row in rows(folder)}


def test_exactly_what_changed_is_recorded(tmp_path: Path) -> None:
    """Within the lookback 500 changed, 300 came late, 50 were withdrawn: only these are written."""
    recent = [c for c in COMPLAINTS if day(c) >= LOOKBACK_DAY]
    assert len(recent) > 900
    late, recent = recent[:300], recent[300:]
    withdrawn, changed = recent[:50], recent[50:550]
    emulator = Emulator(c for c in COMPLAINTS if c not in late)
    run(emulator, tmp_path, **FIRST_LOAD)
    before = by_id(tmp_path)
    for complaint in late:
        emulator.put(complaint)
    for complaint in changed:
        emulator.put({**complaint, "company_response": "Closed with relief", "timely": "No"})
    for complaint in withdrawn:
        emulator.withdraw(complaint["complaint_id"])
    # A change before the lookback is not found.
    old = next(c for c in COMPLAINTS if day(c) < LOOKBACK_DAY)
    emulator.put({**old, "timely": "Perhaps"})
    earlier = len(emulator.requests)

    stats = run(emulator, tmp_path, lookback=60).result()

    after = by_id(tmp_path)
    assert (stats.new, stats.changed, stats.withdrawn) == (300, 500, 50)
    assert dict(emulator.requests[earlier].parameters)["date_received_min"] == LOOKBACK_DAY
    written = {number for number, row in after.items() if row != before.get(number)}
    assert written == {c["complaint_id"] for c in (*late, *changed, *withdrawn)}
    marked = {number for number, row in after.items() if row["withdrawn_on"]}
    assert marked == {c["complaint_id"] for c in withdrawn}
    assert set(after) == {str(c["complaint_id"]) for c in COMPLAINTS}
    load = last_load(tmp_path)
    assert (load["outcome"], load["updates_load_id"], load["withdrawn"]) == ("complete", 1, 50)
    recorded = {
        (str(row["complaint_id"]), row["column_name"], row["old"], row["new"])
        for row in rows(tmp_path, "SELECT * FROM complaint_change")
    }
    expected = {
        (number, column, before[number][column], new)
        for number in (c["complaint_id"] for c in changed)
        for column, new in (("company_response", "Closed with relief"), ("timely", "No"))
        if before[number][column] != new
    } | {(c["complaint_id"], "withdrawn_on", None, load["as_of_latest"]) for c in withdrawn}
    assert recorded == expected

    again = run(emulator, tmp_path, lookback=60).result()

    assert (again.new, again.changed, again.withdrawn) == (0, 0, 0)
    assert by_id(tmp_path) == after


def test_a_complaint_that_returns_loses_its_mark(tmp_path: Path) -> None:
    """When CFPB publishes a complaint again, its mark is removed, and both changes are recorded."""
    newest = max(COMPLAINTS, key=day)
    emulator = Emulator(COMPLAINTS)
    run(emulator, tmp_path, **FIRST_LOAD)
    emulator.withdraw(newest["complaint_id"])
    assert run(emulator, tmp_path, lookback=5).result().withdrawn == 1
    emulator.put(newest)

    stats = run(emulator, tmp_path, lookback=5).result()

    assert (stats.new, stats.changed, stats.withdrawn) == (0, 1, 0)
    assert by_id(tmp_path)[newest["complaint_id"]]["withdrawn_on"] is None
    changes = rows(tmp_path, "SELECT column_name, old, new FROM complaint_change ORDER BY rowid")
    marked = changes[0]["new"]
    assert [tuple(change.values()) for change in changes] == [
        ("withdrawn_on", None, marked),
        ("withdrawn_on", marked, None),
    ]


def test_an_update_under_a_filter_marks_nothing(tmp_path: Path) -> None:
    """Under a filter, a missing complaint may just have changed, so it is not withdrawn."""
    emulator = Emulator(COMPLAINTS)
    run(emulator, tmp_path, query=Query(since="2011-12-01", state=("CA",)), page_size=6_000)
    moved = max((c for c in COMPLAINTS if c["state"] == "CA"), key=day)
    emulator.put({**moved, "state": "NY"})

    stats = run(emulator, tmp_path, lookback=60).result()

    assert (stats.withdrawn, stats.proves_absence) == (0, False)
    assert ("state", "CA") in emulator.requests[-1].parameters
    assert not [row for row in rows(tmp_path) if row["withdrawn_on"]]


def test_an_update_skips_no_days(tmp_path: Path) -> None:
    """An update long after the last load looks back from where that ended, not from today."""
    early = [c for c in COMPLAINTS if day(c) < "2026-03-01"]
    run(Emulator(early), tmp_path, **FIRST_LOAD)

    run(Emulator(COMPLAINTS), tmp_path, lookback=5, page_size=6_000)

    assert {row["complaint_id"] for row in rows(tmp_path)} == {
        int(c["complaint_id"]) for c in COMPLAINTS
    }


def test_an_update_follows_an_update(tmp_path: Path) -> None:
    """Each update looks back from where the one before it ended, and repeats the first load."""
    run(Emulator([c for c in COMPLAINTS if day(c) < "2026-01-01"]), tmp_path, **FIRST_LOAD)
    run(Emulator([c for c in COMPLAINTS if day(c) < "2026-03-01"]), tmp_path, lookback=5)
    emulator = Emulator(COMPLAINTS)

    run(emulator, tmp_path, lookback=5)

    first = dict(emulator.requests[0].parameters)["date_received_min"]
    assert "2026-02-15" < first < "2026-03-01"
    assert last_load(tmp_path)["updates_load_id"] == 1


@pytest.mark.parametrize("limit", [None, 10])
def test_without_a_load_to_repeat(limit: int | None, tmp_path: Path) -> None:
    """An empty database, or one with a newest-N load only, has no load to update."""
    if limit is not None:
        run(Emulator(COMPLAINTS), tmp_path, limit=limit)

    error = error_of(run(Emulator(COMPLAINTS), tmp_path, lookback=60))

    assert isinstance(error, NothingToUpdateError)


def test_a_failed_update_is_resumed(tmp_path: Path) -> None:
    """The same command resumes it, with the same first day."""
    emulator = Emulator(COMPLAINTS)
    faulty = Faulty(emulator)
    with serve(faulty) as url:
        run_at(url, tmp_path, **FIRST_LOAD)
        faulty.faults = {len(faulty.requests) + 3: faults.forbidden_html()}
        run_at(url, tmp_path, lookback=60, page_size=100)
        assert last_load(tmp_path)["outcome"] == "failed"
        earlier = len(faulty.requests)

        run_at(url, tmp_path, lookback=60, page_size=100)

    load = last_load(tmp_path)
    assert (load["load_id"], load["outcome"], load["updates_load_id"]) == (2, "complete", 1)
    assert "search_after" in dict(faulty.requests[earlier])
