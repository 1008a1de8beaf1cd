"""The rate limit of a server, and the pauses that the header Retry-After asks for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cache

from pyrate_limiter import InMemoryBucket, Limiter, Rate

# Requests are counted here before they are sent, but the server counts them when they arrive. The
# first request of a window may take longer to arrive than the next: it opens a connection, or its
# thread gets the processor later. That takes the same time whatever the length of the window.
_MARGIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests a server allows.

    Attributes:
        requests: The maximum number of requests in one window.
        seconds: The length of the sliding window in seconds.
    """

    requests: int
    seconds: float


CFPB_RATE_LIMIT = RateLimit(requests=20, seconds=60)  # docs/facts.md, "Rate limit"


class RateLimiter:
    """Limits the rate at which this process sends requests to one server.

    Args:
        rate_limit: The server's rate limit; None if the server has no limit.

    Attributes:
        rate_limit: The server's rate limit; None if the server has no rate limit.
    """

    def __init__(self, rate_limit: RateLimit | None) -> None:
        self.rate_limit = rate_limit
        self._limiter: Limiter | None = None
        if rate_limit is not None:
            window = round((rate_limit.seconds + _MARGIN_SECONDS) * 1000)
            # If the limiter gets a rate instead of a bucket, it writes a line to the log.
            self._bucket = InMemoryBucket([Rate(rate_limit.requests, window)])
            self._limiter = Limiter(self._bucket)
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until one more request is allowed."""
        self._wait_for_pause()
        if self._limiter is not None:
            self._limiter.try_acquire()
        self._wait_for_pause()

    def used(self) -> int:
        """Return how many of the allowed requests are used now."""
        if self._limiter is None:
            return 0
        self._bucket.leak(self._bucket.now())  # type: ignore[no-untyped-call]
        return self._bucket.count()

    def pause(self, seconds: float) -> None:
        """Pause all requests for the seconds in the header Retry-After, which Prefect ignores."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _wait_for_pause(self) -> None:
        while (seconds := self._paused_until - time.monotonic()) > 0:
            time.sleep(seconds)


@cache
def rate_limiter_for(server: str, rate_limit: RateLimit | None) -> RateLimiter:  # noqa: ARG001 - the cache's key
    """Return the rate limiter for all requests of this process to a server (host and port)."""
    return RateLimiter(rate_limit)
