"""How often a server may be asked: its rate_limit, and its word when it wants more time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cache

from pyrate_limiter import InMemoryBucket, Limiter, Rate

# Requests are counted here when they leave, by the server when they arrive, and the first of a
# window may be longer on its way than the one that follows it: a second of CFPB's sixty.
_MARGIN = 1 / 60


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many requests in any window of so many seconds.

    Attributes:
        requests: The most that may be made in a window.
        seconds: The length of the window, which slides.
    """

    requests: int
    seconds: float


CFPB_RATE_LIMIT = RateLimit(requests=20, seconds=60)  # CCDB_API.md section 6


class RateLimiter:
    """The gate that every request of this process to one server goes through.

    Args:
        rate_limit: What the server allows, or None for a server that does not count.

    Attributes:
        rate_limit: The same.
    """

    def __init__(self, rate_limit: RateLimit | None) -> None:
        self.rate_limit = rate_limit
        self._limiter: Limiter | None = None
        if rate_limit is not None:
            window = round(rate_limit.seconds * (1 + _MARGIN) * 1000)
            # A bucket of our own: handed a rate, the limiter announces it in the log.
            self._bucket = InMemoryBucket([Rate(rate_limit.requests, window)])
            self._limiter = Limiter(self._bucket)
        self._closed_until = 0.0
        self._changing = threading.Lock()

    def wait(self) -> None:
        """Return when one more request may be made."""
        self._wait_until_open()
        if self._limiter is not None:
            self._limiter.try_acquire()
        self._wait_until_open()

    def used(self) -> int:
        """Return how many requests of the rate_limit are in use at this moment."""
        if self._limiter is None:
            return 0
        self._bucket.leak(self._bucket.now())  # type: ignore[no-untyped-call]
        return self._bucket.count()

    def _wait_until_open(self) -> None:
        while (seconds := self._closed_until - time.monotonic()) > 0:
            time.sleep(seconds)

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long: the server's Retry-After, which Prefect does not know."""
        with self._changing:
            self._closed_until = max(self._closed_until, time.monotonic() + seconds)


@cache
def rate_limiter_for(server: str, rate_limit: RateLimit | None) -> RateLimiter:  # noqa: ARG001 - it is the cache's key
    """Return the one pace of this process for a server, by its host and port."""
    return RateLimiter(rate_limit)
