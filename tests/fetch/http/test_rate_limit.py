"""The rate limiter never allows more than the server, and holds all requests during a pause."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from pyrate_limiter import limiter as pyrate

from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT, RateLimit, RateLimiter, rate_limiter_for

TICK = 0.005  # seconds; the limiter's clock counts milliseconds


def wait_for(limiter: RateLimiter, requests: int) -> list[float]:
    """Wait for this many requests, and return when each was allowed."""

    def wait() -> float:
        limiter.wait()
        return time.monotonic()

    return [wait() for _ in range(requests)]


def wait_in_threads(limiter: RateLimiter, threads: int, requests: int) -> list[float]:
    """Wait for this many requests in each thread, and return when all were allowed, sorted."""
    with ThreadPoolExecutor(threads) as pool:
        moments = [*pool.map(lambda _: wait_for(limiter, requests), range(threads))]
    return sorted(chain.from_iterable(moments))


def test_the_rate_limit_of_cfpb() -> None:
    """CFPB allows 20 searches a minute."""
    assert RateLimit(requests=20, seconds=60) == CFPB_RATE_LIMIT


def test_the_whole_limit_can_be_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 20 requests are allowed without a pause."""
    monkeypatch.setattr(pyrate, "sleep", pytest.fail)

    assert len(wait_for(RateLimiter(CFPB_RATE_LIMIT), CFPB_RATE_LIMIT.requests)) == 20


@pytest.mark.parametrize("threads", [1, 4])
def test_no_window_has_more_than_the_limit(threads: int) -> None:
    """With a limit of four, the fifth request waits until the window has passed, in any thread."""
    started = time.monotonic()
    limiter = RateLimiter(RateLimit(requests=4, seconds=0.2))
    moments = wait_in_threads(limiter, threads, 8 // threads)

    assert all(moment - started >= 0.2 - TICK for moment in moments[4:])
    assert len(moments) == 8


def test_without_a_limit_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of requests is allowed at once."""
    monkeypatch.setattr(time, "sleep", pytest.fail)

    assert len(wait_for(RateLimiter(None), 1000)) == 1000


@pytest.mark.parametrize("rate_limit", [None, CFPB_RATE_LIMIT])
def test_a_pause_holds_all_threads(
    rate_limit: RateLimit | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is allowed before the pause ends, and then all are."""
    limiter = RateLimiter(rate_limit)
    started = time.monotonic()
    limiter.pause(0.1)

    assert wait_in_threads(limiter, 3, 1)[0] - started >= 0.1

    monkeypatch.setattr(time, "sleep", pytest.fail)
    assert wait_for(limiter, 1)


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """The pause that ends later counts."""
    limiter = RateLimiter(None)
    started = time.monotonic()
    limiter.pause(0.1)
    limiter.pause(0.01)

    assert wait_for(limiter, 1)[0] - started >= 0.1


def test_a_pause_during_a_wait_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that waits already is held by the new pause too."""
    limiter = RateLimiter(None)
    sleep, paused = time.sleep, threading.Event()

    def pause_and_sleep(seconds: float) -> None:
        if not paused.is_set():
            paused.set()
            limiter.pause(0.15)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", pause_and_sleep)
    started = time.monotonic()
    limiter.pause(0.02)

    assert wait_for(limiter, 1)[0] - started >= 0.15


class Clock:
    """A clock for the limiter that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def monotonic_ns(self) -> int:
        """Return the time in nanoseconds."""
        return round(self.seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the limiter's clock; each wait moves it."""
    clock = Clock()
    monkeypatch.setattr("pyrate_limiter.clocks.monotonic_ns", clock.monotonic_ns)
    monkeypatch.setattr(pyrate, "sleep", clock.move)
    return clock


def test_the_use_of_the_limit(clock: Clock) -> None:
    """A request is in use from when it is sent until its window has passed."""
    limiter = RateLimiter(CFPB_RATE_LIMIT)

    assert limiter.used() == 0
    wait_for(limiter, 3)
    clock.move(10)
    wait_for(limiter, 2)
    assert limiter.used() == 5
    clock.move(50.5)
    assert limiter.used() == 5, "the window has a margin"
    clock.move(1)
    assert limiter.used() == 2
    clock.move(10)
    assert limiter.used() == 0


def test_reading_the_use_frees_nothing(clock: Clock) -> None:
    """However often the use is read, no window has more than the limit."""
    limiter = RateLimiter(RateLimit(requests=2, seconds=60))
    started = clock.seconds
    wait_for(limiter, 2)

    assert [limiter.used() for _ in range(9)] == [2] * 9
    wait_for(limiter, 1)
    assert clock.seconds - started >= 60


def test_without_a_limit_nothing_is_in_use() -> None:
    """Without a limit nothing is used up."""
    limiter = RateLimiter(None)
    wait_for(limiter, 3)

    assert (limiter.used(), limiter.rate_limit) == (0, None)


def test_a_limiter_has_its_limit() -> None:
    """The console shows how much of it is in use."""
    assert RateLimiter(CFPB_RATE_LIMIT).rate_limit is CFPB_RATE_LIMIT


def test_a_server_has_one_limiter() -> None:
    """All requests to one server share a limiter, and each server has its own."""
    rate_limit = RateLimit(requests=20, seconds=60)
    limiter = rate_limiter_for("https://a.example:443/api/", rate_limit)

    assert rate_limiter_for("https://a.example:443/file.zip", rate_limit) is limiter
    assert rate_limiter_for("https://b.example:443/api/", rate_limit) is not limiter


def test_threads_get_one_limiter_at_once() -> None:
    """A load that is resumed begins with several windows, whose threads ask at the same moment."""
    together = threading.Barrier(4)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for number in range(50):

                def limiter(number: int = number) -> RateLimiter:
                    together.wait()
                    return rate_limiter_for(f"https://{number}.example/", CFPB_RATE_LIMIT)

                futures = [pool.submit(limiter) for _ in range(4)]
                assert len({id(future.result()) for future in futures}) == 1
    finally:
        sys.setswitchinterval(interval)
