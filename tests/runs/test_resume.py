"""A load that broke off is gone on with by the same command, whatever ended it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.model.query import Query
from support import faults
from support.faults import Faulty
from support.prefect_runs import last_load, rows, run, run_at
from support.soak import SOAKING, soak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faults import Parameters

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = generate_complaints(2_500, era="deployed")
ALL_DAYS = Query(since="2011-12-01")
# What a run asks for and in which order differs with its windows; what it stores does not.
STORED = (
    "SELECT complaint_id, date_received, product, issue, company, state, zip_code, timely,"
    " withdrawn_on FROM complaint ORDER BY complaint_id"
)


def place(parameters: Parameters) -> tuple[str | None, str | None]:
    """Return which page a request asks for: its window's first day, and its cursor."""
    asked = dict(parameters)
    return asked.get("date_received_min"), asked.get("search_after")


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[Faulty, str]]:
    """Yield a server whose fourth page of five failed, and its address."""
    faulty = Faulty(Emulator(COMPLAINTS), {4: faults.forbidden_html()})
    with serve(faulty) as url:
        assert run_at(url, tmp_path, query=ALL_DAYS, page_size=500).is_failed()
        assert (last_load(tmp_path)["outcome"], len(rows(tmp_path))) == ("failed", 1_500)
        yield faulty, url


def test_a_failed_load_is_gone_on_with(
    broken: tuple[Faulty, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same command asks for no page that is here already, says so, and ends as if unbroken."""
    faulty, url = broken
    kept = {place(parameters) for parameters in faulty.requests[:3]}

    report = run_at(url, tmp_path, query=ALL_DAYS, page_size=500).result()

    assert not kept & {place(parameters) for parameters in faulty.requests[4:]}
    assert (report.parts, report.rows, report.new) == (6, 2_500, 2_500)
    assert (report.windows, report.expected, report.received) == (1, 2_500, 2_500)
    assert "1,500 complaints are here already, in 3 parts" in caplog.text
    load = last_load(tmp_path)
    assert (load["load_id"], load["outcome"], load["failure"]) == (1, "complete", None)
    assert rows(tmp_path, "SELECT * FROM load_seen") == []
    other = tmp_path / "other"
    other.mkdir()
    run(Emulator(COMPLAINTS), other, query=ALL_DAYS, page_size=500)
    assert rows(tmp_path, STORED) == rows(other, STORED)


def test_restart_begins_anew(broken: tuple[Faulty, str], tmp_path: Path) -> None:
    """With --restart every page is asked for again, in a load of its own."""
    faulty, url = broken

    report = run_at(url, tmp_path, query=ALL_DAYS, page_size=500, restart=True).result()

    assert place(faulty.requests[4]) == ("2011-12-01", None)
    assert (report.rows, report.new, report.unchanged) == (2_500, 1_000, 1_500)
    assert last_load(tmp_path)["load_id"] == 2
    assert {row["load_id"] for row in rows(tmp_path, "SELECT * FROM load_part")} == {2}


def test_another_question_is_no_resumption(broken: tuple[Faulty, str], tmp_path: Path) -> None:
    """Other filters, other dates or a limit begin a load of their own; the broken one waits."""
    faulty, url = broken
    for query, limit in ((Query(since="2011-12-02"), None), (ALL_DAYS, 1_500)):
        before = len(faulty.requests)
        run_at(url, tmp_path, query=query, limit=limit, page_size=500)
        assert "search_after" not in dict(faulty.requests[before])
    before = len(faulty.requests)

    run_at(url, tmp_path, query=ALL_DAYS, page_size=500)

    assert "search_after" in dict(faulty.requests[before])
    assert [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")] == ["complete"] * 3


def test_a_finished_query_is_read_anew(broken: tuple[Faulty, str], tmp_path: Path) -> None:
    """Once it is complete, the same command reads everything again."""
    faulty, url = broken
    run_at(url, tmp_path, query=ALL_DAYS, page_size=500)
    before = len(faulty.requests)

    report = run_at(url, tmp_path, query=ALL_DAYS, page_size=500).result()

    assert len(faulty.requests) - before == 6
    assert (report.rows, report.unchanged) == (2_500, 2_500)


def test_a_limited_load_starts_over(tmp_path: Path) -> None:
    """The newest are others by the next run, so that a limit is never gone on with."""
    faulty = Faulty(Emulator(COMPLAINTS), {2: faults.forbidden_html()})
    with serve(faulty) as url:
        run_at(url, tmp_path, limit=1_000, page_size=500)
        run_at(url, tmp_path, limit=1_000, page_size=500)

    assert [place(parameters)[1] is None for parameters in faulty.requests] == [
        *(True, False),
        *(True, False),
    ]
    assert [load["outcome"] for load in rows(tmp_path, "SELECT * FROM load")] == [
        "failed",
        "complete",
    ]


def test_the_end_date_is_that_of_the_beginning(tmp_path: Path) -> None:
    """What is received after a load began is left to the next, however late it is gone on with."""
    newest = max(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
    emulator = Emulator(c for c in COMPLAINTS if str(c["date_received"])[:10] < newest)
    faulty = Faulty(emulator, {2: faults.forbidden_html()})
    with serve(faulty) as url:
        run_at(url, tmp_path, query=ALL_DAYS)
        for complaint in COMPLAINTS:
            emulator.put(complaint)
        report = run_at(url, tmp_path, query=ALL_DAYS).result()

    assert report.newest < newest
    assert report.received == report.expected == len(rows(tmp_path))


PULL = """
import sys
from pathlib import Path
from cfpb_etl.flow import load_complaints
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.model.query import Query
from cfpb_etl.fetch.search_api import SearchApi

source = SearchApi(
    Query(since="2011-12-01"), url=sys.argv[1], page_size=100, rate_limit=RateLimit(2000, 60)
)
report = load_complaints(source, Path("complaints.db"), None)
print("complete", report.received, report.expected)
"""


Cursor = tuple[int, str]
WHOLE: Cursor = (2**63, "")


def reached(folder: Path) -> dict[str, Cursor]:
    """Return how far each window that was begun has come, by its first day."""
    parts = rows(folder, "SELECT key, next FROM load_part")
    cursors = {part["key"]: json.loads(part["next"] or "{}").get("after") for part in parts}
    return {
        part["key"]: tuple(cursors[part["key"]]) if part["next"] else WHOLE
        for part in parts
        if part["next"] is None or cursors[part["key"]]
    }


def asked_again(requests: list[Parameters], before: dict[str, Cursor]) -> list[Parameters]:
    """Return the requests for pages that were stored before."""

    def cursor(parameters: Parameters) -> Cursor:
        moment, _, identity = dict(parameters).get("search_after", "0_").partition("_")
        return int(moment), identity

    return [
        parameters
        for parameters in requests
        if cursor(parameters) < before.get(dict(parameters)["date_received_min"], (0, ""))
    ]


@pytest.mark.slow
def test_kills_leave_the_same_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL at random moments in a row costs no stored page, and the result is the same."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    environment = {name: value for name, value in os.environ.items() if "COV" not in name}
    complaints = generate_complaints(20_000, era="deployed")
    dice = random.Random()  # noqa: S311 - moments, not secrets
    # Answers take their time, so that several windows are under way when the kill comes.
    faulty = Faulty(faults.Delayed(Emulator(complaints), 0.15))
    before: dict[str, Cursor] = {}
    stored: list[int] = []
    with serve(faulty) as url:
        for _ in range(soak(2)):
            asked = len(faulty.requests)
            process = subprocess.Popen(
                [sys.executable, "-c", PULL, url], cwd=tmp_path, env=environment
            )
            requests, pause = dice.randrange(1, 14), dice.uniform(0, 0.3)
            while len(faulty.requests) - asked < requests:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
                assert process.poll() is None
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause)
            process.kill()
            process.wait()
            assert not asked_again(faulty.requests[asked:], before)
            before = reached(tmp_path)
            stored.append(len(rows(tmp_path, STORED)))
        asked = len(faulty.requests)
        said = subprocess.check_output(
            [sys.executable, "-c", PULL, url], cwd=tmp_path, env=environment, text=True
        )
        assert not asked_again(faulty.requests[asked:], before)

    print(f"stored at each kill: {stored}")
    assert said.strip() == "complete 20000 20000"
    assert not SOAKING or len(set(stored)) > 5
    assert not SOAKING or stored[-1] > 0
    assert stored[-1] < 20_000
    assert last_load(tmp_path)["parts"] < 260
    other = tmp_path / "other"
    other.mkdir()
    run(Emulator(complaints), other, query=ALL_DAYS)
    assert rows(tmp_path, STORED) == rows(other, STORED)
