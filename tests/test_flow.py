"""Tests of the flow: real runs on Prefect's server, against the emulator and its faults."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import Emulator, generate_complaints, read_recordings, serve
from cfpb_etl.fetch.http import client as transport
from cfpb_etl.fetch.http import errors as server_errors
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import parse_date
from cfpb_etl.orchestration.picture import _edges, _tasks
from cfpb_etl.parse import errors as parse_errors
from cfpb_etl.store import errors as store_errors
from cfpb_etl.store import sqlite_file as schema
from support import faults
from support.faults import Exchange, Fault, Faulty
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

COMPLAINTS = generate_complaints(2_500, era="2024")


# --- what comes is what is stored -----------------------------------------------------------


def recordings() -> list[Path]:
    """Return the recorded responses, or skip: they are no part of the code."""
    folder = os.environ.get("CFPB_ETL_RECORDINGS")
    if not folder:
        pytest.skip("CFPB_ETL_RECORDINGS names no folder of recorded responses")
    found = sorted(Path(folder).glob("api-search-*.json"))
    assert found, f"no api-search-*.json in {folder}"
    return found


def as_stored(source: dict[str, Any]) -> dict[str, Any]:
    """Return a recorded complaint as DESIGN.md's first decision has it, told again from scratch."""
    row: dict[str, Any] = {name: source.get(name) or None for name in Complaint._fields}
    for name in ("date_received", "date_sent_to_company"):
        row[name] = row[name] and row[name][:10]
    return row | {"complaint_id": int(source["complaint_id"])}


def test_recorded_complaints_are_stored_field_by_field(tmp_path: Path) -> None:
    """Real responses of three eras are stored whole, and a second run changes nothing."""
    hits: dict[str, dict[str, Any]] = {}
    for path in recordings():
        for hit in json.loads(path.read_text("utf-8"))["hits"]["hits"]:
            hits[hit["_id"]] = hit["_source"]
    expected = sorted(map(as_stored, hits.values()), key=lambda row: row["complaint_id"])
    emulator = Emulator(read_recordings(*recordings()))

    first = run(emulator, tmp_path, page_size=7).result()

    stored = rows(tmp_path)
    assert len(stored) == len(hits) > 50
    assert [
        {k: v for k, v in row.items() if k not in {"load_id", "withdrawn_on"}} for row in stored
    ] == expected
    assert (first.inserted, first.updated, first.unchanged) == (len(hits), 0, 0)

    second = run(emulator, tmp_path, page_size=7).result()

    assert (second.inserted, second.updated, second.unchanged) == (0, 0, len(hits))
    assert rows(tmp_path) == stored
    filled = {name for source in hits.values() for name in source if source[name]}
    for name in filled & set(Complaint._fields):
        assert any(row[name] is not None for row in stored), f"{name} is NULL throughout"


def test_made_complaints_are_stored_field_by_field(tmp_path: Path) -> None:
    """Several pages come into the database whole; no column that the source fills is empty."""
    report = run(Emulator(COMPLAINTS), tmp_path).result()

    stored = rows(tmp_path)
    assert [
        {k: v for k, v in row.items() if k not in {"load_id", "withdrawn_on"}} for row in stored
    ] == sorted(map(as_stored, COMPLAINTS), key=lambda row: row["complaint_id"])
    assert (report.parts, report.rows, report.new) == (3, 2_500, 2_500)
    empty = {name for name in Complaint._fields if all(row[name] is None for row in stored)}
    assert empty == {"consumer_consent_provided", "consumer_disputed"}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The same complaints again leave every row as it was, the load that wrote it included."""
    run(Emulator(COMPLAINTS), tmp_path)
    before = rows(tmp_path)
    report = run(Emulator(COMPLAINTS), tmp_path).result()

    assert (report.new, report.changed, report.unchanged) == (0, 0, 2_500)
    assert rows(tmp_path) == before
    assert [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")] == ["complete"] * 2


def test_the_deployed_release_fills_what_it_carries(tmp_path: Path) -> None:
    """15 keys and UTC instants come in as well; the days are those of the instants."""
    made = generate_complaints(500, era="deployed")
    run(Emulator(made), tmp_path)

    days = {row["complaint_id"]: row["date_received"] for row in rows(tmp_path)}
    assert days == {int(c["complaint_id"]): parse_date(str(c["date_received"])) for c in made}


def test_a_release_without_narratives_erases_none(tmp_path: Path) -> None:
    """A narrative stays when CFPB no longer sends narratives, and changes elsewhere still come."""
    told = [c for c in COMPLAINTS if c["complaint_what_happened"]][:20]
    run(Emulator(told), tmp_path)
    silent = [
        {k: v for k, v in c.items() if k != "complaint_what_happened"} | {"timely": "No"}
        for c in told
    ]
    run(Emulator(silent), tmp_path)

    for row in rows(tmp_path):
        assert row["complaint_what_happened"]
        assert row["timely"] == "No"


def test_an_unknown_field_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A field that no release is known to use is told once a run, however many pages have it."""
    newer = [{**complaint, "event_tag": "storm"} for complaint in COMPLAINTS[:300]]
    run(Emulator(newer), tmp_path, page_size=100)

    assert [r.getMessage() for r in caplog.records if "event_tag" in r.getMessage()] == [
        "CFPB sends what this version has no column for: event_tag"
    ]


def test_a_column_that_vanishes_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When CFPB drops a column the load goes on, and says so; what is stored stays."""
    run(Emulator(COMPLAINTS[:300]), tmp_path)
    before = rows(tmp_path)
    newer = [{k: v for k, v in c.items() if k != "zip_code"} for c in COMPLAINTS[:300]]
    run(Emulator(newer), tmp_path, page_size=100)

    assert rows(tmp_path) == before
    assert [r.getMessage() for r in caplog.records if "zip_code" in r.getMessage()] == [
        "CFPB no longer sends, so that new complaints lack: zip_code"
    ]


# --- how Prefect sees it --------------------------------------------------------------------


def test_prefect_knows_each_step_by_a_name(tmp_path: Path) -> None:
    """Task runs have names for a person, and hand each other what the picture's arrows say."""
    state = run(Emulator(COMPLAINTS), tmp_path)

    assert state.is_completed()
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id is not None
    assert last_load(tmp_path)["flow_run_id"] == str(flow_run_id)
    known = finished_task_runs(flow_run_id, 9)
    assert sorted({task_run.name for task_run in known}) == [
        "page 1",
        "…2024-11-05, page 1, 1,000 complaints",
        "…2024-11-05, page 2",
        "…2024-11-05, page 2, 1,000 complaints",
        "…2024-11-05, page 3",
        "…2024-11-05, page 3, 500 complaints",
    ]
    tasks = list(_tasks(load_complaints.fn, set()))
    drawn = {(giver, taker): label for giver, taker, label in _edges(tasks)}
    assert set(drawn) == handed_over(known)
    assert drawn == {
        ("get_complaint_data", "parse_complaint_data"): "RawPart",
        ("parse_complaint_data", "store_complaints"): "ParsedPart",
    }


# --- faults ---------------------------------------------------------------------------------

PASSING = {
    "429": faults.throttled(0),
    "424": faults.backend_trouble(),
    "500": faults.server_error(),
    "503 HTML": faults.unavailable_html(),
    "cut body": faults.cut_body(),
    "partial": faults.wrong_shape({"timed_out": True}),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again(fault: Fault, tmp_path: Path) -> None:
    """A failure that may pass is retried; the load ends whole, and the picture tells of it."""
    report = run(Faulty(Emulator(COMPLAINTS), {2: fault, 3: fault}), tmp_path).result()

    assert (report.parts, report.new) == (3, 2_500)
    assert last_load(tmp_path)["outcome"] == "complete"
    assert any("2 retries" in text for text in texts(tmp_path))


def test_a_stalled_answer_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come is given up, and asked for again."""
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.2)
    report = run(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()}), tmp_path).result()

    assert report.new == 2_500


LASTING: dict[str, tuple[Fault, type[Exception], int]] = {
    "500": (faults.server_error(), server_errors.ServerFailureError, 5),
    "424": (faults.backend_trouble(), server_errors.SearchBackendError, 3),
    "403 HTML": (faults.forbidden_html(), server_errors.AccessDeniedError, 1),
    "200 HTML": (faults.html_page(), server_errors.NotJsonError, 1),
    "invalid JSON": (faults.invalid_json(), server_errors.UnexpectedBodyError, 1),
    "repeated page": (faults.repeated_page(), server_errors.NoAdvanceError, 1),
}


@pytest.mark.parametrize(("fault", "error", "attempts"), LASTING.values(), ids=LASTING)
def test_what_lasts_fails_the_run(
    fault: Fault, error: type[Exception], attempts: int, tmp_path: Path
) -> None:
    """A failure that lasts is named, after as many attempts as it is worth; what came is kept."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), fault))
    state = run(faulty, tmp_path)

    assert state.is_failed()
    assert type(error_of(state)) is error
    assert len(faulty.requests) == 1 + attempts
    assert len(rows(tmp_path)) == 1_000
    load = last_load(tmp_path)
    assert (load["outcome"], load["parts"], load["inserted"]) == ("failed", 1, 1_000)
    assert load["failure"] == str(error_of(state))
    ((progress,),) = (row.values() for row in rows(tmp_path, "SELECT next FROM load_part"))
    assert json.loads(progress)["number"] == 2


def locks(database: Path) -> Fault:
    """Answer well, but have another program hold the database from then on."""

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
        ("get_complaint_data", server_errors.AccessDeniedError),
        ("parse_complaint_data", parse_errors.InvalidHitError),
        ("store_complaints", store_errors.DatabaseInUseError),
    ],
)
def test_each_task_that_fails_fails_the_run(
    broken: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever task fails, the run is Failed for Prefect too, and the picture shows where."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0.05)
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
    with get_client(sync_client=True) as client:
        assert state.state_details.flow_run_id is not None
        known = client.read_flow_run(state.state_details.flow_run_id)
    assert known.state is not None
    assert known.state.is_failed()
    assert rows(tmp_path) == []
    order = ["get_complaint_data", "parse_complaint_data", "store_complaints"]
    of_the_run, *of_tasks = [text.split()[-1] for text in texts(tmp_path) if text[:1] in "×●○"]
    assert of_the_run == "failed"
    at = order.index(broken)
    assert of_tasks == ["completed"] * at + ["failed"] + ["reached"] * (2 - at)


def short_second_page(exchange: Exchange) -> Awaitable[None]:
    """Cut the second page short without a word."""

    async def answered() -> None:
        page = json.loads(bytes((await exchange.answer()).body))
        if "search_after" in dict(exchange.parameters):
            del page["hits"]["hits"][10:]
        await faults.wrong_shape(page)(exchange)

    return answered()


def test_fewer_than_counted_fails_the_run(tmp_path: Path) -> None:
    """A page that is cut short without a word does not pass for the end, nor does it twice."""
    faulty = Faulty(Emulator(COMPLAINTS), otherwise=short_second_page)
    state = run(faulty, tmp_path)

    error = error_of(state)
    assert isinstance(error, store_errors.IncompleteLoadError)
    assert (error.expected, error.read) == (2_500, 1_010)
    assert last_load(tmp_path)["outcome"] == "failed"
    assert len(rows(tmp_path)) == 1_010
    assert len(faulty.requests) == 4


def test_what_came_short_once_is_read_again(tmp_path: Path) -> None:
    """A window that holds less than its source counts is read a second time before it fails."""
    report = run(Faulty(Emulator(COMPLAINTS), {2: short_second_page}), tmp_path).result()

    assert (report.new, report.windows, report.expected, report.received) == (2500, 1, 2500, 2500)
    assert last_load(tmp_path)["outcome"] == "complete"


def test_a_picture_that_fails_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A picture that cannot be drawn is one line of warning, and no failure."""
    (tmp_path / "flow.svg").mkdir()
    state = run(Emulator(COMPLAINTS[:10]), tmp_path)

    assert state.is_completed()
    (warning,) = [r.getMessage() for r in caplog.records if "picture" in r.getMessage()]
    assert "\n" not in warning


def test_without_a_picture(tmp_path: Path) -> None:
    """Where no picture is wanted none is drawn."""
    with serve(Emulator(COMPLAINTS[:10])) as url:
        load_complaints(SearchApi(url=url, rate_limit=None), tmp_path / "complaints.db", None)

    assert [path.name for path in tmp_path.iterdir()] == ["complaints.db"]


def main_thread_awaits_a_page() -> bool:
    """Say whether the flow is where nothing is half done, such as a handler's lock half taken."""
    main = threading.main_thread().ident
    frame: FrameType | None = sys._current_frames()[main] if main else None
    while frame is not None and frame.f_code.co_name != "as_completed":
        frame = frame.f_back
    return frame is not None


def test_an_interruption_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    """Ctrl-C while a page is on its way ends the flow at once, with whole pages kept."""

    async def interrupting(exchange: Exchange) -> None:
        while not main_thread_awaits_a_page():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        # To this very thread: a simulated signal would not wake it.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await faults.stalled()(exchange)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(Faulty(Emulator(COMPLAINTS), {3: interrupting}), tmp_path)

    assert time.monotonic() - began < transport.READ_TIMEOUT / 2
    load = last_load(tmp_path)
    assert load["outcome"] == "interrupted"
    assert (load["parts"], len(rows(tmp_path))) == (2, 2_000)
    assert "■ interrupted" in texts(tmp_path)


PEAK = """
import resource, sys
from pathlib import Path
from cfpb_etl.flow import load_complaints
from cfpb_etl.fetch.search_api import SearchApi

url, pages = sys.argv[1], int(sys.argv[2])
source = SearchApi(limit=pages * 100, url=url, page_size=100, rate_limit=None)
report = load_complaints(source, Path("complaints.db"), None)
print(report.parts, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 pages of 2 MB take no more than 1.3 times the memory of 30."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    narrative = "XXXX charged me {$35.00} twice and will not say why. " * 400
    long: list[dict[str, Any]] = [
        {**complaint, "complaint_what_happened": narrative}
        for complaint in generate_complaints(30_000, era="2024")
    ]

    def peak(url: str, pages: int) -> int:
        folder = tmp_path / str(pages)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, url, str(pages)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        stored, kilobytes = map(int, done.stdout.split())
        assert stored == pages
        return kilobytes

    emulator = Emulator(long)
    with serve(emulator) as url:
        page = requests.get(f"{url}?size=100&no_aggs=true", timeout=60)
        assert len(page.content) > 2_000_000
        few, many = peak(url, 30), peak(url, 300)

    print(f"30 pages {few / 1024:.0f} MB, 300 pages {many / 1024:.0f} MB")
    assert many <= 1.3 * few
