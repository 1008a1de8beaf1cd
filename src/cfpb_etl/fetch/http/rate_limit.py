"""The rate limit of a server, and its Retry-After."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cache

from pyrate_limiter import InMemoryBucket, Limiter, Rate

# Requests are counted here when they are sent, and by the server when they arrive. The first of a
# window may take longer than the next, for which one second in 60 is added.
_MARGIN = 1 / 60


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How many requests a server allows.

    Attributes:
        requests: The maximum in one window.
        seconds: The length of the window, which slides.
    """

    requests: int
    seconds: float


CFPB_RATE_LIMIT = RateLimit(requests=20, seconds=60)  # docs/facts.md, "Rate limit"


class RateLimiter:
    """Holds back the requests of this process to one server.

    Args:
        rate_limit: What the server allows, or None for a server without a limit.

    Attributes:
        rate_limit: The same.
    """

    def __init__(self, rate_limit: RateLimit | None) -> None:
        self.rate_limit = rate_limit
        self._limiter: Limiter | None = None
        if rate_limit is not None:
            window = round(rate_limit.seconds * (1 + _MARGIN) * 1000)
            # Given a rate instead of a bucket, the limiter writes a line to the log.
            self._bucket = InMemoryBucket([Rate(rate_limit.requests, window)])
            self._limiter = Limiter(self._bucket)
        self._paused_until = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when one more request can be made."""
        self._wait_for_pause()
        if self._limiter is not None:
            self._limiter.try_acquire()
        self._wait_for_pause()

    def used(self) -> int:
        """Return how many requests of the limit are in use now."""
        if self._limiter is None:
            return 0
        self._bucket.leak(self._bucket.now())  # type: ignore[no-untyped-call]
        return self._bucket.count()

    def pause(self, seconds: float) -> None:
        """Hold back all requests for the server's Retry-After, which Prefect does not know."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _wait_for_pause(self) -> None:
        while (seconds := self._paused_until - time.monotonic()) > 0:
            time.sleep(seconds)


@cache
def rate_limiter_for(server: str, rate_limit: RateLimit | None) -> RateLimiter:  # noqa: ARG001 - the cache's key
    """Return the process's one rate limiter for a server, by host and port."""
    return RateLimiter(rate_limit)
