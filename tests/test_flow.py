"""Runs of the flow on Prefect's server, against the emulator and its faults."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client

from cfpb_etl.emulator import Emulator, generate_complaints, read_recordings, serve
from cfpb_etl.fetch.http import client
from cfpb_etl.fetch.http import errors as http_errors
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import parse_date
from cfpb_etl.orchestration.reporting.picture import edges_between, steps_of
from cfpb_etl.parse import errors as parse_errors
from cfpb_etl.store import errors as store_errors
from cfpb_etl.store import sqlite_file
from support import faults
from support.faults import Exchange, Fault, Faulty
from support.made_up import made_up
from support.prefect_runs import (
    error_of,
    finished_task_runs,
    handed_over,
    last_load,
    rows,
    run,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import FrameType

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = made_up(2_500, era="2024")


# --- every field is stored ------------------------------------------------------------------


def recordings() -> list[Path]:
    """Return the recorded responses, or skip the test: they are not part of the repository."""
    folder = os.environ.get("CFPB_ETL_RECORDINGS")
    if not folder:
        pytest.skip("CFPB_ETL_RECORDINGS is not set to a folder of recorded responses")
    found = sorted(Path(folder).glob("api-search-*.json"))
    assert found, f"no api-search-*.json in {folder}"
    return found


def as_stored(source: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a complaint of the source, made by other means than the package's."""
    row: dict[str, Any] = {name: source.get(name) or None for name in Complaint._fields}
    for name in ("date_received", "date_sent_to_company"):
        row[name] = row[name] and row[name][:10]
    return row | {"complaint_id": int(source["complaint_id"])}


def values(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with CFPB's columns only."""
    return [{name: row[name] for name in Complaint._fields} for row in stored]


def test_recorded_complaints_are_stored_field_by_field(tmp_path: Path) -> None:
    """Real responses of three eras are stored completely, and a second run changes nothing."""
    hits: dict[str, dict[str, Any]] = {}
    for path in recordings():
        for hit in json.loads(path.read_text("utf-8"))["hits"]["hits"]:
            hits[hit["_id"]] = hit["_source"]
    expected = sorted(map(as_stored, hits.values()), key=lambda row: row["complaint_id"])
    emulator = Emulator(read_recordings(*recordings()))

    first = run(emulator, tmp_path, page_size=7).result()

    stored = rows(tmp_path)
    assert len(stored) == len(hits) > 50
    assert values(stored) == expected
    assert (first.new, first.changed, first.unchanged) == (len(hits), 0, 0)

    second = run(emulator, tmp_path, page_size=7).result()

    assert (second.new, second.changed, second.unchanged) == (0, 0, len(hits))
    assert rows(tmp_path) == stored
    filled = {name for source in hits.values() for name in source if source[name]}
    for name in filled & set(Complaint._fields):
        assert any(row[name] is not None for row in stored), f"{name} is NULL throughout"


def test_generated_complaints_are_stored_field_by_field(tmp_path: Path) -> None:
    """Several pages are stored completely; no column that the source fills is empty."""
    stats = run(Emulator(COMPLAINTS), tmp_path).result()

    stored = rows(tmp_path)
    expected = sorted(map(as_stored, COMPLAINTS), key=lambda row: row["complaint_id"])
    assert values(stored) == expected
    assert (stats.parts, stats.rows, stats.new) == (3, 2_500, 2_500)
    empty = {name for name in Complaint._fields if all(row[name] is None for row in stored)}
    assert empty == {"consumer_consent_provided", "consumer_disputed"}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The same complaints again change no row, and not its load either."""
    run(Emulator(COMPLAINTS), tmp_path)
    before = rows(tmp_path)
    stats = run(Emulator(COMPLAINTS), tmp_path).result()

    assert (stats.new, stats.changed, stats.unchanged) == (0, 0, 2_500)
    assert rows(tmp_path) == before
    assert [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")] == ["complete"] * 2


def test_the_deployed_release_is_stored(tmp_path: Path) -> None:
    """Complaints with 15 keys and UTC times are stored, with the UTC day."""
    complaints = generate_complaints(500, era="deployed")
    run(Emulator(complaints), tmp_path)

    days = {row["complaint_id"]: row["date_received"] for row in rows(tmp_path)}
    assert days == {
        int(each["complaint_id"]): parse_date(str(each["date_received"])) for each in complaints
    }


def test_a_release_without_narratives_keeps_the_stored_ones(tmp_path: Path) -> None:
    """A narrative stays when CFPB no longer sends narratives; other changes are stored."""
    older = [each for each in COMPLAINTS if each["complaint_what_happened"]][:20]
    run(Emulator(older), tmp_path)
    newer = [
        {k: v for k, v in each.items() if k != "complaint_what_happened"} | {"timely": "No"}
        for each in older
    ]
    run(Emulator(newer), tmp_path)

    for row in rows(tmp_path):
        assert row["complaint_what_happened"]
        assert row["timely"] == "No"


def test_an_unknown_field_causes_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run warns once of a field without a column, however many pages have it."""
    newer = [{**complaint, "event_tag": "storm"} for complaint in COMPLAINTS[:300]]
    run(Emulator(newer), tmp_path, page_size=100)

    assert [r.getMessage() for r in caplog.records if "event_tag" in r.getMessage()] == [
        "CFPB sends unknown columns: event_tag"
    ]


def test_a_missing_column_causes_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When CFPB drops a column, the load completes with a warning, and stored values stay."""
    run(Emulator(COMPLAINTS[:300]), tmp_path)
    before = rows(tmp_path)
    newer = [{k: v for k, v in c.items() if k != "zip_code"} for c in COMPLAINTS[:300]]
    run(Emulator(newer), tmp_path, page_size=100)

    assert rows(tmp_path) == before
    assert [r.getMessage() for r in caplog.records if "zip_code" in r.getMessage()] == [
        "These columns are missing, so new complaints have no values in them: zip_code"
    ]


# --- Prefect's record -----------------------------------------------------------------------


def test_task_runs_have_names_and_join_as_in_the_picture(tmp_path: Path) -> None:
    """Each task run has a readable name, and takes the results that the picture's arrows show."""
    state = run(Emulator(COMPLAINTS), tmp_path)

    assert state.is_completed()
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    assert last_load(tmp_path)["flow_run_id"] == str(flow_run_id)
    task_runs = finished_task_runs(flow_run_id, 9)
    assert sorted(task_run.name for task_run in task_runs) == [
        "fetch page 1",
        "fetch until 2024-11-05, page 2",
        "fetch until 2024-11-05, page 3",
        "parse until 2024-11-05, page 1",
        "parse until 2024-11-05, page 2",
        "parse until 2024-11-05, page 3",
        "store until 2024-11-05, page 1",
        "store until 2024-11-05, page 2",
        "store until 2024-11-05, page 3",
    ]
    edges = edges_between(steps_of(load_complaints))
    drawn = {(producer, consumer): label for producer, consumer, label in edges}
    assert set(drawn) == handed_over(task_runs)
    assert drawn == {
        ("get_complaint_data", "parse_complaint_data"): "RawPart",
        ("parse_complaint_data", "store_complaints"): "ParsedPart",
    }


# --- faults ---------------------------------------------------------------------------------

TEMPORARY = {
    "429": faults.throttled(0),
    "424": faults.backend_trouble(),
    "500": faults.server_error(),
    "503 HTML": faults.unavailable_html(),
    "cut body": faults.cut_body(),
    "cut JSON": faults.invalid_json(),
    "partial": faults.wrong_shape({"timed_out": True}),
}


@pytest.mark.parametrize("fault", TEMPORARY.values(), ids=TEMPORARY)
def test_a_temporary_failure_is_retried(fault: Fault, tmp_path: Path) -> None:
    """The load is complete after the retries, and the picture shows their number."""
    stats = run(Faulty(Emulator(COMPLAINTS), {2: fault, 3: fault}), tmp_path).result()

    assert (stats.parts, stats.new) == (3, 2_500)
    assert last_load(tmp_path)["outcome"] == "complete"
    assert any("2 retries" in text for text in texts(tmp_path))


def test_a_stalled_answer_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without an answer times out and is repeated."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    stats = run(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()}), tmp_path).result()

    assert stats.new == 2_500


PERMANENT: dict[str, tuple[Fault, type[Exception], int]] = {
    "500": (faults.server_error(), http_errors.ServerFailureError, 5),
    "424": (faults.backend_trouble(), http_errors.SearchBackendError, 3),
    "403 HTML": (faults.forbidden_html(), http_errors.AccessDeniedError, 1),
    "200 HTML": (faults.html_page(), http_errors.WrongContentError, 1),
    "another shape": (faults.wrong_shape(), http_errors.UnexpectedBodyError, 1),
    "repeated page": (faults.repeated_page(), http_errors.NoAdvanceError, 1),
}


@pytest.mark.parametrize(("fault", "error", "attempts"), PERMANENT.values(), ids=PERMANENT)
def test_a_permanent_failure_fails_the_run(
    fault: Fault, error: type[Exception], attempts: int, tmp_path: Path
) -> None:
    """The run fails after the attempts that the error allows, and keeps the pages stored before."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), fault))
    state = run(faulty, tmp_path)

    assert state.is_failed()
    assert type(error_of(state)) is error
    assert len(faulty.requests) == 1 + attempts
    assert len(rows(tmp_path)) == 1_000
    load = last_load(tmp_path)
    assert (load["outcome"], load["parts"], load["new"]) == ("failed", 1, 1_000)
    assert load["failure"] == str(error_of(state))
    (part,) = rows(tmp_path, "SELECT next FROM load_part")
    assert json.loads(part["next"])["number"] == 2


def locks(database: Path) -> Fault:
    """Answer correctly, and let another program lock the database from then on."""

    async def fault(exchange: Exchange) -> None:
        holder = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        HOLDERS.append(holder)
        await exchange.respond(await exchange.answer())

    return fault


HOLDERS: list[sqlite3.Connection] = []


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ("get_complaint_data", http_errors.AccessDeniedError),
        ("parse_complaint_data", parse_errors.InvalidHitError),
        ("store_complaints", store_errors.DatabaseInUseError),
    ],
)
def test_each_task_that_fails_fails_the_run(
    broken: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever task fails, Prefect's state is Failed, and the picture shows which task it was."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    fault = {
        "get_complaint_data": faults.forbidden_html(),
        "parse_complaint_data": faults.wrong_type("company", 7),
        "store_complaints": locks(tmp_path / "complaints.db"),
    }[broken]
    try:
        state = run(Faulty(Emulator(COMPLAINTS), {1: fault}), tmp_path)
    finally:
        while HOLDERS:
            HOLDERS.pop().close()

    assert type(error_of(state)) is error
    with get_client(sync_client=True) as prefect:
        assert state.state_details.flow_run_id is not None
        flow_run = prefect.read_flow_run(state.state_details.flow_run_id)
    assert flow_run.state is not None
    assert flow_run.state.is_failed()
    assert rows(tmp_path) == []
    order = ["get_complaint_data", "parse_complaint_data", "store_complaints"]
    run_status, *task_statuses = [text.split()[-1] for text in texts(tmp_path) if text[:1] in "×●○"]
    assert run_status == "failed"
    place = order.index(broken)
    assert task_statuses == ["completed"] * place + ["failed"] + ["reached"] * (2 - place)


def short_second_page(exchange: Exchange) -> Awaitable[None]:
    """Leave out most hits of the second page, but not in its count."""

    async def answered() -> None:
        page = json.loads(bytes((await exchange.answer()).body))
        if "search_after" in dict(exchange.parameters):
            del page["hits"]["hits"][10:]
        await faults.wrong_shape(page)(exchange)

    return answered()


def test_missing_complaints_fail_the_run(tmp_path: Path) -> None:
    """The window is read a second time; if complaints are missing again, the load is incomplete."""
    faulty = Faulty(Emulator(COMPLAINTS), otherwise=short_second_page)
    state = run(faulty, tmp_path)

    error = error_of(state)
    assert isinstance(error, store_errors.IncompleteLoadError)
    assert (error.expected, error.received) == (2_500, 1_010)
    assert last_load(tmp_path)["outcome"] == "failed"
    assert len(rows(tmp_path)) == 1_010
    assert len(faulty.requests) == 4


def test_a_window_with_missing_complaints_is_read_again(tmp_path: Path) -> None:
    """If the second reading has them all, the load is complete."""
    stats = run(Faulty(Emulator(COMPLAINTS), {2: short_second_page}), tmp_path).result()

    assert (stats.new, stats.windows, stats.expected, stats.received) == (2500, 1, 2500, 2500)
    assert last_load(tmp_path)["outcome"] == "complete"


def test_a_picture_that_cannot_be_drawn_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run completes, with one line of warning."""
    (tmp_path / "flow.svg").mkdir()
    state = run(Emulator(COMPLAINTS[:10]), tmp_path)

    assert state.is_completed()
    (warning,) = [r.getMessage() for r in caplog.records if "picture" in r.getMessage()]
    assert "\n" not in warning


def test_without_a_picture(tmp_path: Path) -> None:
    """With `graph=None` no picture is drawn."""
    with serve(Emulator(COMPLAINTS[:10])) as url:
        load_complaints(api_url=url, database=tmp_path / "complaints.db", graph=None)

    assert [path.name for path in tmp_path.iterdir()] == ["complaints.db"]


def main_thread_awaits_a_page() -> bool:
    """Say whether the main thread waits for a page.

    Elsewhere an interruption could hit it while it takes the lock of a log handler.
    """
    main = threading.main_thread().ident
    frame: FrameType | None = sys._current_frames()[main] if main else None
    while frame is not None and frame.f_code.co_name != "_next_end":
        frame = frame.f_back
    return frame is not None


def test_an_interruption_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    """Ctrl-C during a request ends the flow at once; the pages stored before are kept."""

    async def interrupting(exchange: Exchange) -> None:
        while not main_thread_awaits_a_page():  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.01)
        # A real signal to this thread: a simulated one would not wake it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await faults.stalled()(exchange)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(Faulty(Emulator(COMPLAINTS), {3: interrupting}), tmp_path)

    assert time.monotonic() - started < client.READ_TIMEOUT / 2
    load = last_load(tmp_path)
    assert load["outcome"] == "interrupted"
    assert (load["parts"], len(rows(tmp_path))) == (2, 2_000)
    assert "■ interrupted" in texts(tmp_path)
