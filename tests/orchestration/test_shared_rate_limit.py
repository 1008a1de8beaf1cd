"""Several processes keep one rate limit together, which Prefect's server counts.

Two limiters stand for two processes: they share nothing but the server.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from cfpb_etl.fetch.http.errors import ThrottledError
from cfpb_etl.fetch.http.rate_limit import RateLimit, rate_limiter_for
from cfpb_etl.orchestration.errors import UncountedRequestError
from cfpb_etl.orchestration.shared_rate_limit import SharedRateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("prefect_server")

PERIOD = 0.2  # seconds between two requests
TICK = 0.01  # seconds; Prefect's clock counts milliseconds


def rate_limit() -> RateLimit:
    """Return a rate limit that allows a request in each period."""
    return RateLimit(requests=20, seconds=1, counted_at=str(PREFECT_API_URL.value()))


def two_processes(server: str = "") -> tuple[SharedRateLimiter, SharedRateLimiter]:
    """Return a limiter for each of two processes."""
    server = server or f"{uuid4()}.example"
    return SharedRateLimiter(server, rate_limit()), SharedRateLimiter(server, rate_limit())


def limit_of(limiter: SharedRateLimiter) -> GlobalConcurrencyLimitResponse:
    """Return the limit that Prefect's server has."""
    with get_client(sync_client=True) as prefect:
        return prefect.read_global_concurrency_limit_by_name(limiter._name)


def test_processes_share_one_limit() -> None:
    """Requests of all threads and processes follow each other after a period."""
    limiters = two_processes() * 2
    started = time.monotonic()

    def wait(limiter: SharedRateLimiter) -> list[float]:
        moments = []
        for _ in range(3):
            limiter.wait()
            moments.append(time.monotonic() - started)
        return moments

    with ThreadPoolExecutor(len(limiters)) as pool:
        moments = sorted(moment for each in pool.map(wait, limiters) for moment in each)

    assert len(moments) == 12
    for number, moment in enumerate(moments):
        assert moment >= number * (PERIOD - TICK)


@pytest.mark.parametrize("seconds", [PERIOD / 2, 5 * PERIOD])
def test_a_pause_holds_other_processes(seconds: float) -> None:
    """Retry-After counts for all processes."""
    one, other = two_processes()
    other.wait()
    throttled = ThrottledError("https://cfpb.example/", status=429, retry_after=seconds)
    started = time.monotonic()
    with pytest.raises(ThrottledError), one.request():
        raise throttled

    other.wait()

    assert time.monotonic() - started >= seconds


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The pause that ends later counts, also if another process asks for it."""
    one, other = two_processes()
    started = time.monotonic()
    one.pause(1)
    other.pause(0.1)
    other.pause(0)

    other.wait()

    assert time.monotonic() - started >= 1


def test_no_pause_frees_the_slot() -> None:
    """`Retry-After: 0` does not allow a request before its time."""
    one, other = two_processes()
    started = time.monotonic()
    one.wait()
    one.pause(0)
    other.wait()
    other.pause(0)
    one.wait()

    assert time.monotonic() - started >= 2 * (PERIOD - TICK)


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"limit": 100},
        {"slot_decay_per_second": 1_000.0},
        {"slot_decay_per_second": 0.0},
    ],
)
def test_a_changed_limit_is_corrected(change: dict[str, Any]) -> None:
    """Otherwise it would allow more requests than the server, or none."""
    one, other = two_processes()
    one.wait()
    before = limit_of(one)
    with get_client(sync_client=True) as prefect:
        prefect.update_global_concurrency_limit(one._name, GlobalConcurrencyLimitUpdate(**change))

    other.wait()

    after = limit_of(one)
    assert after.active
    assert (after.limit, after.slot_decay_per_second) == (1, before.slot_decay_per_second)


def test_a_deleted_limit_is_created_again() -> None:
    """A user may tidy up while no run needs the limit, and even while one does."""
    one, other = two_processes()
    one.wait()
    with get_client(sync_client=True) as prefect:
        prefect.delete_global_concurrency_limit_by_name(one._name)

    other.wait()

    assert limit_of(one).limit == 1


@pytest.mark.parametrize("server", ["[::1]:8080", "env:A B/C?", "secret:über"])
def test_any_server_has_a_limit(server: str) -> None:
    """Prefect does not allow every letter in a name."""
    one, _ = two_processes(server)
    one.wait()

    assert limit_of(one).active_slots == 1


def test_without_prefect_no_request_is_allowed() -> None:
    """The error says what all workers need."""
    limit = RateLimit(20, 1, counted_at="http://127.0.0.1:1/api")
    tell: list[Callable[[], None]] = [
        SharedRateLimiter("cfpb.example", limit).wait,
        lambda: SharedRateLimiter("cfpb.example", limit).pause(1),
    ]
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        for ask in tell:
            with pytest.raises(UncountedRequestError) as raised:
                ask()
            assert "server at http://127.0.0.1:1/api, which one of them" in str(raised.value)


def test_a_source_gets_the_shared_limiter() -> None:
    """`rate_limiter_for` returns it if the rate limit says where requests are counted."""
    import cfpb_etl.flow  # noqa: F401 - it sets the limiter

    assert isinstance(rate_limiter_for("https://a.example/api/", rate_limit()), SharedRateLimiter)


@pytest.mark.parametrize("active_slots", [0, 1, 20])
@pytest.mark.parametrize("ahead", [0.0, 0.05, 3.33, -3.33, 3_600, -3_600])
def test_wrong_clocks_cost_little(active_slots: int, ahead: float) -> None:
    """A worker whose clock is wrong asks again before the slot has been free for long.

    Args:
        active_slots: How many slots are taken.
        ahead: How many seconds the worker's clock is ahead of the server's.
    """
    limiter = SharedRateLimiter("cfpb.example", rate_limit())
    updated: Any = datetime.now(UTC) - timedelta(seconds=ahead)
    limit = GlobalConcurrencyLimitResponse(
        name="any", limit=1, active_slots=active_slots, updated=updated
    )

    seconds = limiter._seconds_to_wait(limit)

    least = (max(active_slots, 1) - 1) * PERIOD
    assert 0 < seconds <= least + PERIOD / 4
    if ahead == 0.0:
        assert seconds >= least
