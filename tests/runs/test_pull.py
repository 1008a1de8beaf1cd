"""A pull loads every match of a query, within the rate limit, while CFPB changes its data."""

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
from support.made_up import made_up
from support.prefect_runs import last_load, rows, run, run_at

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

ALL_DAYS = Query(since="2011-12-01")
COMPLAINTS = made_up(5_000, era="deployed")
# With answers this slow, using the rate limit takes five windows in parallel.
SLOW, RATE_LIMIT = 0.1, RateLimit(requests=4_000, seconds=100)


def ids(complaints: Any) -> set[int]:
    """Return the ids of complaints."""
    return {int(complaint["complaint_id"]) for complaint in complaints}


def test_windows_are_fetched_in_parallel(tmp_path: Path) -> None:
    """Slow answers are fetched in parallel, and every complaint is loaded once."""
    app = Delayed(Emulator(COMPLAINTS), SLOW)
    stats = run(app, tmp_path, query=ALL_DAYS, page_size=200, rate_limit=RATE_LIMIT).result()

    assert (stats.rows, stats.new, stats.received) == (5_000, 5_000, 5_000)
    assert 5 <= stats.windows <= 12
    assert stats.parts <= 25 + stats.windows
    assert ids(rows(tmp_path)) == ids(COMPLAINTS)
    windows = rows(tmp_path, "SELECT * FROM load_part")
    assert sum(window["expected"] for window in windows) == 5_000
    assert all(window["received"] == window["expected"] for window in windows)


def test_parallel_requests_are_limited(tmp_path: Path) -> None:
    """However slow the answers, at most `max_concurrency` requests are open at a time."""
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


def test_fast_answers_need_one_window(tmp_path: Path) -> None:
    """Where one request at a time uses the rate limit, the query is not split."""
    app, rate_limit = Emulator(COMPLAINTS), RateLimit(1_000, 1_000)
    stats = run(app, tmp_path, query=ALL_DAYS, rate_limit=rate_limit).result()

    assert (stats.parts, stats.windows) == (6, 1)


@pytest.mark.slow
def test_a_day_with_a_single_timestamp(tmp_path: Path) -> None:
    """All of 40,000 complaints are loaded that have the same noon, in the old date format."""
    complaints = generate_complaints(41_000, era="2024")
    noon = "2023-05-14T12:00:00-05:00"
    complaints[:40_000] = [{**each, "date_received": noon} for each in complaints[:40_000]]

    stats = run(
        Delayed(Emulator(complaints), SLOW),
        tmp_path,
        query=Query(since="2015-01-01"),
        page_size=10_000,
        rate_limit=RATE_LIMIT,
    ).result()

    assert (stats.new, stats.received, stats.expected) == (41_000, 41_000, 41_000)
    of_the_day = "SELECT COUNT(*) AS count FROM complaint WHERE date_received = '2023-05-14'"
    assert rows(tmp_path, of_the_day) == [{"count": 40_000}]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("delay", [0, SLOW], ids=["one window", "several windows"])
def test_a_source_that_changes_between_pages(seed: int, delay: float, tmp_path: Path) -> None:
    """While complaints are added, changed and withdrawn, none of the others is missed."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    everything = [*COMPLAINTS]
    dice.shuffle(everything)
    late, published = everything[:500], everything[500:]
    changing, leaving = published[:400], published[400:500]
    staying = ids(published) - ids(leaving)
    emulator = Emulator(published)
    added: list[dict[str, Any]] = []
    withdrawn: list[dict[str, Any]] = []

    def some(complaints: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        return [complaints.pop() for _ in range(dice.randrange(min(len(complaints), most) + 1))]

    async def change(exchange: Exchange) -> None:
        for complaint in some(late, 12):
            added.append(complaint)
            emulator.put(complaint)
        for complaint in some(changing, 12):
            emulator.put({**complaint, "company_response": "Closed with relief"})
        for complaint in some(leaving, 3):
            withdrawn.append(complaint)
            emulator.withdraw(complaint["complaint_id"])
        await exchange.respond(await exchange.answer())

    app = Faulty(Delayed(emulator, delay), otherwise=change)
    state = run(app, tmp_path, query=ALL_DAYS, page_size=300, rate_limit=RATE_LIMIT)

    stats = state.result()
    stored = rows(tmp_path)
    assert staying <= ids(stored) <= staying | ids(added) | ids(withdrawn) | ids(leaving)
    assert added
    assert withdrawn
    windows = rows(tmp_path, "SELECT * FROM load_part")
    assert all(window["next"] is None for window in windows)
    assert any(window["readings"] == 2 for window in windows)
    differences = sum(abs(window["expected"] - window["received"]) for window in windows)
    assert differences <= len(added) + len(withdrawn)
    assert stats.expected == sum(window["expected"] for window in windows)
    # A second pull, of data that no longer change, has the same complaints as the source.
    again = run(emulator, tmp_path, query=ALL_DAYS).result()
    assert again.received == again.expected == 4_500 + len(added) - len(withdrawn)
    present = ids(row for row in rows(tmp_path) if row["withdrawn_on"] is None)
    assert present == ids(published) - ids(withdrawn) | ids(added)


def test_changes_during_a_load_cause_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning has the number of complaints that changed in both readings of a window."""
    first, *late = sorted(COMPLAINTS, key=lambda complaint: str(complaint["date_received"]))[:41]
    emulator = Emulator(c for c in COMPLAINTS if c not in late)

    async def arriving(exchange: Exchange) -> None:
        if "search_after" in dict(exchange.parameters) and late:
            emulator.put(late.pop())
        await exchange.respond(await exchange.answer())

    stats = run(Faulty(emulator, otherwise=arriving), tmp_path, query=ALL_DAYS).result()

    assert int(first["complaint_id"]) in ids(rows(tmp_path))
    missing = stats.expected - stats.received
    assert missing == 4
    assert f"{missing} complaints appeared or disappeared during the load" in caplog.text
    assert last_load(tmp_path)["outcome"] == "complete"


def test_a_long_pull_suggests_the_bulk_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A pull of more than half a million says once that one file has all complaints."""

    async def many(exchange: Exchange) -> None:
        page = json.loads(bytes((await exchange.answer()).body))
        page["hits"]["total"]["value"] = 600_000
        await faults.wrong_shape(page)(exchange)

    run(Faulty(Emulator(COMPLAINTS[:100]), {1: many}), tmp_path, query=ALL_DAYS, page_size=50)

    lines = [r.getMessage() for r in caplog.records if "--source bulk" in r.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith("600,000 complaints match")


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
def test_the_rate_limit_is_used(tmp_path: Path) -> None:
    """With a fifth of the real times, 20 requests in 12 s, 90 % of the rate limit is used."""
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
        rate_limit = RateLimit(20, window)
        state = run_at(url, tmp_path, query=ALL_DAYS, page_size=100, rate_limit=rate_limit)
        stats = state.result()
        server.stdin.write("\n")
        server.stdin.flush()
        requests = json.loads(server.stdout.read())

    assert stats.received == 10_500
    moments = [moment for moment, _ in requests]
    # At the end fewer date windows are left than can be fetched in parallel: 105 full pages need
    # five windows of the rate limit and a part of a sixth one.
    used = sum(moment - moments[0] < 5 * window for moment in moments)
    share = used / (5 * 20)
    print(f"{used} of {len(moments)} requests in 5 windows of 20; {stats.windows} date windows")
    assert {status for _, status in requests} == {200}
    assert share >= 0.9
