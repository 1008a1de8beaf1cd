"""The same command resumes an unfinished load, however the run before it ended."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.model.query import Query
from support import PYTHONPATH, faults
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import last_load, rows, run, run_at
from support.program import environment_without_coverage
from support.soak import SOAKING, soak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faults import Parameters

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = made_up(2_500, era="deployed")
ALL_DAYS = Query(since="2011-12-01")
# Runs may differ in their windows and the order of their requests, but not in these columns.
STORED = (
    "SELECT complaint_id, date_received, product, issue, company, state, zip_code, timely,"
    " withdrawn_on FROM complaint ORDER BY complaint_id"
)


def page_of(parameters: Parameters) -> tuple[str | None, str | None]:
    """Return which page a request is for: its window's first day, and its cursor."""
    values = dict(parameters)
    return values.get("date_received_min"), values.get("search_after")


@pytest.fixture
def failed_load(tmp_path: Path) -> Iterator[tuple[Faulty, str]]:
    """Yield a server on which a load failed at its fourth page of five, and its address."""
    faulty = Faulty(Emulator(COMPLAINTS), {4: faults.forbidden_html()})
    with serve(faulty) as url:
        assert run_at(url, tmp_path, query=ALL_DAYS, page_size=500).is_failed()
        assert (last_load(tmp_path)["outcome"], len(rows(tmp_path))) == ("failed", 1_500)
        yield faulty, url


def test_a_failed_load_is_resumed(
    failed_load: tuple[Faulty, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same command fetches no stored page again, and has the result of an undisturbed load."""
    faulty, url = failed_load
    stored = {page_of(parameters) for parameters in faulty.requests[:3]}

    stats = run_at(url, tmp_path, query=ALL_DAYS, page_size=500).result()

    assert not stored & {page_of(parameters) for parameters in faulty.requests[4:]}
    assert (stats.parts, stats.rows, stats.new) == (6, 2_500, 2_500)
    assert (stats.windows, stats.expected, stats.received) == (1, 2_500, 2_500)
    assert " UTC (1,500 complaints in 3 pages already stored)" in caplog.text
    load = last_load(tmp_path)
    assert (load["load_id"], load["outcome"], load["failure"]) == (1, "complete", None)
    assert rows(tmp_path, "SELECT * FROM load_seen") == []
    other = tmp_path / "other"
    other.mkdir()
    run(Emulator(COMPLAINTS), other, query=ALL_DAYS, page_size=500)
    assert rows(tmp_path, STORED) == rows(other, STORED)


def test_restart_starts_over(failed_load: tuple[Faulty, str], tmp_path: Path) -> None:
    """With --restart every page is fetched again, in a load of its own."""
    faulty, url = failed_load

    stats = run_at(url, tmp_path, query=ALL_DAYS, page_size=500, restart=True).result()

    assert page_of(faulty.requests[4]) == ("2011-12-01", None)
    assert (stats.rows, stats.new, stats.unchanged) == (2_500, 1_000, 1_500)
    assert last_load(tmp_path)["load_id"] == 2
    assert {row["load_id"] for row in rows(tmp_path, "SELECT * FROM load_part")} == {2}


def test_another_query_does_not_resume(failed_load: tuple[Faulty, str], tmp_path: Path) -> None:
    """Other dates or a limit start a load of their own; the failed one can still be resumed."""
    faulty, url = failed_load
    for query, limit in ((Query(since="2011-12-02"), None), (ALL_DAYS, 1_500)):
        before = len(faulty.requests)
        run_at(url, tmp_path, query=query, limit=limit, page_size=500)
        assert "search_after" not in dict(faulty.requests[before])
    before = len(faulty.requests)

    run_at(url, tmp_path, query=ALL_DAYS, page_size=500)

    assert "search_after" in dict(faulty.requests[before])
    assert [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")] == ["complete"] * 3


def test_a_complete_load_is_not_resumed(failed_load: tuple[Faulty, str], tmp_path: Path) -> None:
    """After a load is complete, the same command fetches everything again."""
    faulty, url = failed_load
    run_at(url, tmp_path, query=ALL_DAYS, page_size=500)
    before = len(faulty.requests)

    stats = run_at(url, tmp_path, query=ALL_DAYS, page_size=500).result()

    assert len(faulty.requests) - before == 6
    assert (stats.rows, stats.unchanged) == (2_500, 2_500)


def test_a_limited_load_starts_over(tmp_path: Path) -> None:
    """By the next run other complaints are the newest, so a load with a limit is never resumed."""
    faulty = Faulty(Emulator(COMPLAINTS), {2: faults.forbidden_html()})
    with serve(faulty) as url:
        run_at(url, tmp_path, limit=1_000, page_size=500)
        run_at(url, tmp_path, limit=1_000, page_size=500)

    is_first = [page_of(parameters)[1] is None for parameters in faulty.requests]
    assert is_first == [True, False, True, False]
    outcomes = [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")]
    assert outcomes == ["failed", "complete"]


def test_a_resumed_load_keeps_its_last_day(tmp_path: Path) -> None:
    """Complaints received after a load was started belong to the next, also when it is resumed."""
    newest = max(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
    emulator = Emulator(c for c in COMPLAINTS if str(c["date_received"])[:10] < newest)
    faulty = Faulty(emulator, {2: faults.forbidden_html()})
    with serve(faulty) as url:
        run_at(url, tmp_path, query=ALL_DAYS)
        for complaint in COMPLAINTS:
            emulator.put(complaint)
        stats = run_at(url, tmp_path, query=ALL_DAYS).result()

    assert stats.newest < newest
    assert stats.received == stats.expected == len(rows(tmp_path))


PULL = """
import sys
from pathlib import Path
from support.sources import load_source
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.model.query import Query
from cfpb_etl.fetch.search_api import SearchApi

source = SearchApi(
    Query(since="2011-12-01"), url=sys.argv[1], page_size=100, rate_limit=RateLimit(2000, 60)
)
stats = load_source(source, Path("complaints.db")).result()
print("complete", stats.received, stats.expected)
"""


Cursor = tuple[int, str]
COMPLETE: Cursor = (2**63, "")


def cursors_in(folder: Path) -> dict[str, Cursor]:
    """Return how far each window is stored, by its first day."""
    parts = rows(folder, "SELECT key, next FROM load_part")
    cursors = {part["key"]: json.loads(part["next"] or "{}").get("after") for part in parts}
    return {
        part["key"]: tuple(cursors[part["key"]]) if part["next"] else COMPLETE
        for part in parts
        if part["next"] is None or cursors[part["key"]]
    }


def repeated(requests: list[Parameters], stored: dict[str, Cursor]) -> list[Parameters]:
    """Return the requests for pages that were already stored."""

    def cursor(parameters: Parameters) -> Cursor:
        moment, _, identity = dict(parameters).get("search_after", "0_").partition("_")
        return int(moment), identity

    return [
        parameters
        for parameters in requests
        if cursor(parameters) < stored.get(dict(parameters)["date_received_min"], (0, ""))
    ]


@pytest.mark.slow
def test_kills_leave_the_same_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After several SIGKILLs no stored page is fetched again, and the result is the same."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    environment = environment_without_coverage() | {"PYTHONPATH": PYTHONPATH}
    complaints = generate_complaints(20_000, era="deployed")
    dice = random.Random()  # noqa: S311 - moments, not secrets
    # Slow answers, so that several windows are in progress when the process is killed.
    faulty = Faulty(faults.Delayed(Emulator(complaints), 0.15))
    cursors: dict[str, Cursor] = {}
    stored: list[int] = []
    with serve(faulty) as url:
        for _ in range(soak(2)):
            earlier = len(faulty.requests)
            process = subprocess.Popen(
                [sys.executable, "-c", PULL, url], cwd=tmp_path, env=environment
            )
            requests, pause = dice.randrange(1, 14), dice.uniform(0, 0.3)
            while len(faulty.requests) - earlier < requests:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
                assert process.poll() is None
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            process.kill()
            process.wait()
            assert not repeated(faulty.requests[earlier:], cursors)
            cursors = cursors_in(tmp_path)
            stored.append(len(rows(tmp_path, STORED)))
        earlier = len(faulty.requests)
        output = subprocess.check_output(
            [sys.executable, "-c", PULL, url], cwd=tmp_path, env=environment, text=True
        )
        assert not repeated(faulty.requests[earlier:], cursors)

    print(f"stored at each kill: {stored}")
    assert output.strip() == "complete 20000 20000"
    assert not SOAKING or len(set(stored)) > 5
    assert not SOAKING or stored[-1] > 0
    assert stored[-1] < 20_000
    assert last_load(tmp_path)["parts"] < 260
    other = tmp_path / "other"
    other.mkdir()
    run(Emulator(complaints), other, query=ALL_DAYS)
    assert rows(tmp_path, STORED) == rows(other, STORED)
