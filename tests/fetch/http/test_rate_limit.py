"""The limiter_ lets through what the server allows, and nobody while it asked for time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from pyrate_limiter import limiter

from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT, RateLimit, RateLimiter, rate_limiter_for

TICK = 0.005  # a limiter's clock counts milliseconds


def passed(limiter_: RateLimiter, requests: int) -> list[float]:
    """Go through the gate so many times, and return when each was through."""

    def go() -> float:
        limiter_.wait()
        return time.monotonic()

    return [go() for _ in range(requests)]


def passed_by_threads(limiter_: RateLimiter, threads: int, requests: int) -> list[float]:
    """Let threads go through so many times each, and return when, in order."""
    with ThreadPoolExecutor(threads) as pool:
        moments = [*pool.map(lambda _: passed(limiter_, requests), range(threads))]
    return sorted(chain.from_iterable(moments))


def test_the_allowance_is_cfpbs() -> None:
    """CFPB allows 20 searches a minute."""
    assert RateLimit(requests=20, seconds=60) == CFPB_RATE_LIMIT


def test_the_allowance_may_be_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as are allowed go through without a pause."""
    monkeypatch.setattr(limiter, "sleep", pytest.fail)

    assert len(passed(RateLimiter(CFPB_RATE_LIMIT), CFPB_RATE_LIMIT.requests)) == 20


@pytest.mark.parametrize("threads", [1, 4])
def test_no_window_holds_more_than_is_allowed(threads: int) -> None:
    """The fifth of four waits for the first one's window to end, whichever thread asks."""
    began = time.monotonic()
    moments = passed_by_threads(
        RateLimiter(RateLimit(requests=4, seconds=0.2)), threads, 8 // threads
    )

    assert all(moment - began >= 0.2 - TICK for moment in moments[4:])
    assert len(moments) == 8


def test_a_server_that_does_not_count_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an rate_limit nobody sleeps."""
    monkeypatch.setattr(time, "sleep", pytest.fail)

    assert len(passed(RateLimiter(None), 1000)) == 1000


@pytest.mark.parametrize("rate_limit", [None, CFPB_RATE_LIMIT])
def test_a_hold_stops_everybody(
    rate_limit: RateLimit | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a Retry-After no thread is through before it has passed, and then all are."""
    limiter_ = RateLimiter(rate_limit)
    began = time.monotonic()
    limiter_.pause(0.1)

    assert passed_by_threads(limiter_, 3, 1)[0] - began >= 0.1

    monkeypatch.setattr(time, "sleep", pytest.fail)
    assert passed(limiter_, 1)


def test_a_shorter_hold_does_not_shorten_a_longer_one() -> None:
    """Of two words of the server the one that reaches further counts."""
    limiter_ = RateLimiter(None)
    began = time.monotonic()
    limiter_.pause(0.1)
    limiter_.pause(0.01)

    assert passed(limiter_, 1)[0] - began >= 0.1


def test_a_hold_that_comes_while_waiting_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who already waits when another thread is told to slow down waits for that too."""
    limiter_ = RateLimiter(None)
    sleep, held = time.sleep, threading.Event()

    def meanwhile(seconds: float) -> None:
        if not held.is_set():
            held.set()
            limiter_.pause(0.15)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", meanwhile)
    began = time.monotonic()
    limiter_.pause(0.02)

    assert passed(limiter_, 1)[0] - began >= 0.15


class Clock:
    """A clock for the limiter, which stands still until it is moved on."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds

    def monotonic_ns(self) -> int:
        """Return what time it is."""
        return round(self.seconds * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the limiter's clock; whoever waits moves it on."""
    clock = Clock()
    monkeypatch.setattr("pyrate_limiter.clocks.monotonic_ns", clock.monotonic_ns)
    monkeypatch.setattr(limiter, "sleep", clock.move)
    return clock


def test_the_limiter__tells_how_much_is_in_use(clock: Clock) -> None:
    """Each request counts from when it leaves until its window has passed, and is then free."""
    limiter_ = RateLimiter(CFPB_RATE_LIMIT)

    assert limiter_.used() == 0
    passed(limiter_, 3)
    clock.move(10)
    passed(limiter_, 2)
    assert limiter_.used() == 5
    clock.move(50.5)
    assert limiter_.used() == 5, "the window has a margin"
    clock.move(1)
    assert limiter_.used() == 2
    clock.move(10)
    assert limiter_.used() == 0


def test_asking_what_is_in_use_frees_nothing(clock: Clock) -> None:
    """However often that is asked, no window holds more than is allowed."""
    limiter_ = RateLimiter(RateLimit(requests=2, seconds=60))
    began = clock.seconds
    passed(limiter_, 2)

    assert [limiter_.used() for _ in range(9)] == [2] * 9
    passed(limiter_, 1)
    assert clock.seconds - began >= 60


def test_a_server_that_does_not_count_has_nothing_in_use() -> None:
    """Without an rate_limit nothing of it is in use."""
    limiter_ = RateLimiter(None)
    passed(limiter_, 3)

    assert (limiter_.used(), limiter_.rate_limit) == (0, None)


def test_a_limiter__tells_its_allowance() -> None:
    """The screen shows what is in use of how much."""
    assert RateLimiter(CFPB_RATE_LIMIT).rate_limit is CFPB_RATE_LIMIT


def test_a_server_has_one_limiter_() -> None:
    """All that asks one server goes through one gate, and each server has its own."""
    rate_limit = RateLimit(requests=20, seconds=60)

    assert rate_limiter_for("a.example:443", rate_limit) is rate_limiter_for(
        "a.example:443", rate_limit
    )
    assert rate_limiter_for("a.example:443", rate_limit) is not rate_limiter_for(
        "b.example:443", rate_limit
    )
