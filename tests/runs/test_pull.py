"""Everything that a query matches comes, at the server's pace, whatever moves meanwhile."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.emulator import Emulator, generate_complaints
from cfpb_etl.fetch.http.rate_limit import RateLimit
from cfpb_etl.model.query import Query
from support import PYTHONPATH, faults
from support.faults import Delayed, Exchange, Faulty
from support.prefect_runs import last_load, rows, run, run_at

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

ALL_DAYS = Query(since="2011-12-01")
COMPLAINTS = generate_complaints(5_000, era="deployed")
# As slow as this, and as often: five windows are needed to use the rate limit.
SLOW, OFTEN = 0.1, RateLimit(requests=4_000, seconds=100)


def ids(complaints: Any) -> set[int]:
    """Return the numbers of complaints."""
    return {int(complaint["complaint_id"]) for complaint in complaints}


def test_windows_are_walked_side_by_side(tmp_path: Path) -> None:
    """Slow answers are asked for side by side, and every complaint comes once."""
    app = Delayed(Emulator(COMPLAINTS), SLOW)
    report = run(app, tmp_path, query=ALL_DAYS, page_size=200, rate_limit=OFTEN).result()

    assert (report.rows, report.new, report.received) == (5_000, 5_000, 5_000)
    assert 5 <= report.windows <= 12
    assert report.parts <= 25 + report.windows
    assert ids(rows(tmp_path)) == ids(COMPLAINTS)
    windows = rows(tmp_path, "SELECT * FROM load_part")
    assert sum(window["expected"] for window in windows) == 5_000
    assert all(window["kept"] == window["expected"] for window in windows)


def test_no_more_under_way_than_lanes(tmp_path: Path) -> None:
    """However slow the answers, no more requests are open at once than the source has max_concurrency."""
    open_requests, most = 0, 0
    slow = Delayed(Emulator(COMPLAINTS), SLOW)

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal open_requests, most
        open_requests += 1
        most = max(most, open_requests)
        await slow(scope, receive, send)
        open_requests -= 1

    rate_limit = RateLimit(requests=100_000, seconds=60)
    run(counting, tmp_path, query=ALL_DAYS, page_size=100, rate_limit=rate_limit)

    assert most == 6


def test_fast_answers_need_no_second_window(tmp_path: Path) -> None:
    """Where one walk alone uses the rate_limit, the query is not divided."""
    report = run(
        Emulator(COMPLAINTS), tmp_path, query=ALL_DAYS, rate_limit=RateLimit(1_000, 1_000)
    ).result()

    assert (report.parts, report.windows) == (6, 1)


@pytest.mark.slow
def test_a_day_of_one_timestamp(tmp_path: Path) -> None:
    """40,000 complaints of one day, all at its noon in the old date style, come completely."""
    made = generate_complaints(41_000, era="2024")
    noon = "2023-05-14T12:00:00-05:00"
    made[:40_000] = [{**complaint, "date_received": noon} for complaint in made[:40_000]]

    report = run(
        Delayed(Emulator(made), SLOW),
        tmp_path,
        query=Query(since="2015-01-01"),
        page_size=10_000,
        rate_limit=OFTEN,
    ).result()

    assert (report.new, report.received, report.expected) == (41_000, 41_000, 41_000)
    ((of_the_day,),) = (
        row.values()
        for row in rows(
            tmp_path, "SELECT COUNT(*) FROM complaint WHERE date_received = '2023-05-14'"
        )
    )
    assert of_the_day == 40_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("delay", [0, SLOW], ids=["one window", "several windows"])
def test_a_source_that_moves(seed: int, delay: float, tmp_path: Path) -> None:
    """Rows added, changed and withdrawn between pages: nothing that stayed is missing."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    everything = [*COMPLAINTS]
    dice.shuffle(everything)
    late, there = everything[:500], everything[500:]
    changing, leaving = there[:400], there[400:500]
    stayed = ids(there) - ids(leaving)
    emulator = Emulator(there)
    came, gone = [], []

    async def moving(exchange: Exchange) -> None:
        for complaint in [late.pop() for _ in range(dice.randrange(min(len(late), 12) + 1))]:
            came.append(complaint)
            emulator.put(complaint)
        for complaint in [
            changing.pop() for _ in range(dice.randrange(min(len(changing), 12) + 1))
        ]:
            emulator.put({**complaint, "company_response": "Closed with relief"})
        for complaint in [leaving.pop() for _ in range(dice.randrange(min(len(leaving), 3) + 1))]:
            gone.append(complaint)
            emulator.withdraw(complaint["complaint_id"])
        await exchange.respond(await exchange.answer())

    app = Faulty(Delayed(emulator, delay), otherwise=moving)
    state = run(app, tmp_path, query=ALL_DAYS, page_size=300, rate_limit=OFTEN)

    report = state.result()
    stored = rows(tmp_path)
    assert stayed <= ids(stored) <= stayed | ids(came) | ids(gone) | ids(leaving)
    assert came
    assert gone
    windows = rows(tmp_path, "SELECT * FROM load_part")
    assert all(window["next"] is None for window in windows)
    assert any(window["readings"] == 2 for window in windows)
    assert sum(abs(w["expected"] - w["kept"]) for w in windows) <= len(came) + len(gone)
    assert report.expected == sum(window["expected"] for window in windows)
    # A second pull of what now stands still is equal to it.
    again = run(emulator, tmp_path, query=ALL_DAYS).result()
    assert again.kept == again.expected == 4_500 + len(came) - len(gone)
    there_now = ids(row for row in rows(tmp_path) if row["withdrawn_on"] is None)
    assert there_now == ids(there) - ids(gone) | ids(came)


def test_what_moved_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What came or went in both readings of a window is said, with its number."""
    first, *late = sorted(COMPLAINTS, key=lambda complaint: str(complaint["date_received"]))[:41]
    emulator = Emulator(c for c in COMPLAINTS if c not in late)

    async def arriving(exchange: Exchange) -> None:
        if "search_after" in dict(exchange.parameters) and late:
            emulator.put(late.pop())
        await exchange.respond(await exchange.answer())

    report = run(Faulty(emulator, otherwise=arriving), tmp_path, query=ALL_DAYS).result()

    assert int(first["complaint_id"]) in ids(rows(tmp_path))
    missing = report.expected - report.received
    assert missing == 4
    assert f"{missing} complaints came or went while these were read" in caplog.text
    assert last_load(tmp_path)["outcome"] == "complete"


def test_a_long_pull_names_the_bulk_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A pull of more than half a million says in one line that one file has them all."""

    async def many(exchange: Exchange) -> None:
        page = json.loads(bytes((await exchange.answer()).body))
        page["hits"]["total"]["value"] = 600_000
        await faults.wrong_shape(page)(exchange)

    run(Faulty(Emulator(COMPLAINTS[:100]), {1: many}), tmp_path, query=ALL_DAYS, page_size=50)

    told = [r.getMessage() for r in caplog.records if "--source bulk" in r.getMessage()]
    assert len(told) == 1
    assert told[0].startswith("600,000 complaints match")


SERVER = """
import json, sys
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support.faults import Delayed

rows, throttle, window, latency = int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:])
emulator = Emulator(
    generate_complaints(rows, era="deployed"), throttle=throttle, window_seconds=window
)
with serve(Delayed(emulator, latency)) as url:
    print(url, flush=True)
    sys.stdin.readline()
print(json.dumps([[request.at, request.status] for request in emulator.requests]))
"""


@pytest.mark.slow
@pytest.mark.alone
def test_the_allowance_is_used(tmp_path: Path) -> None:
    """At a fifth of the scale, 20 requests in 12 s with answers of 2.32 s: 90 % of them used."""
    window, latency = 12.0, 2.32
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, "10500", "20", str(window), str(latency)],
        env={"PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        url = server.stdout.readline().strip()
        report = run_at(
            url, tmp_path, query=ALL_DAYS, page_size=100, rate_limit=RateLimit(20, window)
        ).result()
        server.stdin.write("\n")
        server.stdin.flush()
        requests = json.loads(server.stdout.read())

    assert report.received == 10_500
    moments = [moment for moment, _ in requests]
    # A window that has begun allows 20 as well.
    windows = int((moments[-1] - moments[0]) / window) + 1
    share = len(moments) / (20 * windows)
    print(
        f"{len(moments)} requests for 105 full pages in {windows} windows of 20: {share:.0%};"
        f" {report.windows} windows of days"
    )
    assert {status for _, status in requests} == {200}
    assert share >= 0.9
