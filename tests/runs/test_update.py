"""An update brings an existing database up to date, and remembers what it replaces."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl import errors
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.model.query import Query
from support import faults
from support.faults import Faulty
from support.prefect_runs import error_of, last_load, rows, run, run_at

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

ALL_DAYS = Query(since="2011-12-01")
COMPLAINTS = generate_complaints(12_000, era="deployed")
NEWEST = max(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
BACK = (date.fromisoformat(NEWEST) - timedelta(60)).isoformat()


def day(complaint: dict[str, Any]) -> str:
    """Return the day on which a complaint was received."""
    return str(complaint["date_received"])[:10]


def by_id(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of the database by complaint."""
    return {str(row["complaint_id"]): row for row in rows(folder)}


def test_exactly_what_changed_is_recorded(tmp_path: Path) -> None:
    """500 changed, 300 late, 50 withdrawn within the lookback: these are recorded, no other row."""
    recent = [c for c in COMPLAINTS if day(c) >= BACK]
    assert len(recent) > 900
    late, recent = recent[:300], recent[300:]
    withdrawn, changed = recent[:50], recent[50:550]
    emulator = Emulator(c for c in COMPLAINTS if c not in late)
    run(emulator, tmp_path, query=ALL_DAYS)
    before = by_id(tmp_path)
    emulator_knows = {str(c["complaint_id"]) for c in COMPLAINTS}
    for complaint in late:
        emulator.put(complaint)
    for complaint in changed:
        emulator.put({**complaint, "company_response": "Closed with relief", "timely": "No"})
    for complaint in withdrawn:
        emulator.withdraw(complaint["complaint_id"])
    # Beyond the lookback nobody looks.
    old = next(c for c in COMPLAINTS if day(c) < BACK)
    emulator.put({**old, "timely": "Perhaps"})
    asked = len(emulator.requests)

    report = run(emulator, tmp_path, lookback=60).result()

    after = by_id(tmp_path)
    assert (report.new, report.changed, report.withdrawn) == (300, 500, 50)
    assert dict(emulator.requests[asked].parameters)["date_received_min"] == BACK
    written = {number for number, row in after.items() if row != before.get(number)}
    assert written == {c["complaint_id"] for c in (*late, *changed, *withdrawn)}
    marked = {number for number, row in after.items() if row["withdrawn_on"]}
    assert marked == {c["complaint_id"] for c in withdrawn}
    assert set(after) == emulator_knows
    load = last_load(tmp_path)
    assert (load["outcome"], load["updates"], load["withdrawn"]) == ("complete", 1, 50)
    told = {
        (str(row["complaint_id"]), row["column_name"], row["old"], row["new"])
        for row in rows(tmp_path, "SELECT * FROM complaint_change")
    }
    expected = {
        (number, column, before[number][column], new)
        for number in (c["complaint_id"] for c in changed)
        for column, new in (("company_response", "Closed with relief"), ("timely", "No"))
        if before[number][column] != new
    } | {(c["complaint_id"], "withdrawn_on", None, load["as_of"]) for c in withdrawn}
    assert told == expected

    again = run(emulator, tmp_path, lookback=60).result()

    assert (again.inserted, again.updated, again.withdrawn) == (0, 0, 0)
    assert by_id(tmp_path) == after


def test_a_complaint_that_returns_loses_its_mark(tmp_path: Path) -> None:
    """What CFPB publishes again is there again, and both days are remembered."""
    newest = max(COMPLAINTS, key=day)
    emulator = Emulator(COMPLAINTS)
    run(emulator, tmp_path, query=ALL_DAYS)
    emulator.withdraw(newest["complaint_id"])
    assert run(emulator, tmp_path, lookback=5).result().withdrawn == 1
    emulator.put(newest)

    report = run(emulator, tmp_path, lookback=5).result()

    assert (report.new, report.changed, report.withdrawn) == (0, 1, 0)
    assert by_id(tmp_path)[newest["complaint_id"]]["withdrawn_on"] is None
    changes = rows(tmp_path, "SELECT column_name, old, new FROM complaint_change ORDER BY rowid")
    marked = changes[0]["new"]
    assert [tuple(change.values()) for change in changes] == [
        ("withdrawn_on", None, marked),
        ("withdrawn_on", marked, None),
    ]


def test_a_filter_proves_no_absence(tmp_path: Path) -> None:
    """Under a filter, what does not come may only have changed, so that nothing is marked."""
    emulator = Emulator(COMPLAINTS)
    run(emulator, tmp_path, query=Query(since="2011-12-01", state=("CA",)))
    moved = max((c for c in COMPLAINTS if c["state"] == "CA"), key=day)
    emulator.put({**moved, "state": "NY"})

    report = run(emulator, tmp_path, lookback=60).result()

    assert (report.withdrawn, report.proves_absence) == (0, False)
    assert ("state", "CA") in emulator.requests[-1].parameters
    assert not [row for row in rows(tmp_path) if row["withdrawn_on"]]


def test_days_that_no_load_covers_are_never_left_out(tmp_path: Path) -> None:
    """An update long after the last load begins where that ended, not so many days ago."""
    seen = [c for c in COMPLAINTS if day(c) < "2026-03-01"]
    run(Emulator(seen), tmp_path, query=ALL_DAYS)

    run(Emulator(COMPLAINTS), tmp_path, lookback=5)

    assert {row["complaint_id"] for row in rows(tmp_path)} == {
        int(c["complaint_id"]) for c in COMPLAINTS
    }


def test_an_update_follows_an_update(tmp_path: Path) -> None:
    """Each update looks back from what the one before it reached, over the first load's filters."""
    run(Emulator([c for c in COMPLAINTS if day(c) < "2026-01-01"]), tmp_path, query=ALL_DAYS)
    run(Emulator([c for c in COMPLAINTS if day(c) < "2026-03-01"]), tmp_path, lookback=5)
    emulator = Emulator(COMPLAINTS)

    run(emulator, tmp_path, lookback=5)

    first = dict(emulator.requests[0].parameters)["date_received_min"]
    assert "2026-02-15" < first < "2026-03-01"
    assert last_load(tmp_path)["updates"] == 1


@pytest.mark.parametrize("limit", [None, 10])
def test_without_a_load_to_repeat(limit: int | None, tmp_path: Path) -> None:
    """An empty database, or one of the newest only, has nothing that an update could repeat."""
    if limit is not None:
        run(Emulator(COMPLAINTS), tmp_path, limit=limit)

    error = error_of(run(Emulator(COMPLAINTS), tmp_path, lookback=60))

    assert isinstance(error, errors.NothingToUpdateError)


def test_an_interrupted_update_is_gone_on_with(tmp_path: Path) -> None:
    """The same update goes on where it broke off, from the same day."""
    emulator = Emulator(COMPLAINTS)
    broken = Faulty(emulator, {}, None)
    with serve(broken) as url:
        run_at(url, tmp_path, query=ALL_DAYS)
        broken.faults = {len(broken.requests) + 3: faults.forbidden_html()}
        run_at(url, tmp_path, lookback=60, page_size=100)
        assert last_load(tmp_path)["outcome"] == "failed"
        asked = len(broken.requests)

        run_at(url, tmp_path, lookback=60, page_size=100)

    load = last_load(tmp_path)
    assert (load["load_id"], load["outcome"], load["updates"]) == (2, "complete", 1)
    assert "search_after" in dict(broken.requests[asked])
