"""The rate limit of a server, and the pauses that the header Retry-After asks for.

The requests of one process are counted in its memory. If a run fetches in several processes, they
count their requests together (`share_rate_limits_by`).
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cfpb_etl.fetch.http.errors import RetriableError
from cfpb_etl.model.dates import http_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests
    from pyrate_limiter import Limiter

MAX_WAIT = 3600  # seconds; a run that would have to wait longer fails, and says how long
_MAX_SECONDS = 10**9  # a larger number is not a time

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
        counted_at: The URL of Prefect's API that counts the requests of all processes of a run;
            None if one process makes all requests and counts them itself.
    """

    requests: int
    seconds: float
    counted_at: str | None = None


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
            # It imports asyncio and multiprocessing, which the count of `status` need not wait for.
            from pyrate_limiter import InMemoryBucket, Limiter, Rate  # noqa: PLC0415

            window = round((rate_limit.seconds + _MARGIN_SECONDS) * 1000)
            # If the limiter gets a rate instead of a bucket, it writes a line to the log.
            self._bucket = InMemoryBucket([Rate(rate_limit.requests, window)])
            self._limiter = Limiter(self._bucket)
        self._paused_until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Wait until one more request is allowed, and pause if the server then asks for it."""
        self.wait()
        try:
            yield
        except RetriableError as error:
            if error.retry_after is not None and error.attempts > 1:
                self.pause(error.retry_after)
            raise

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
        """Pause all requests for the seconds in the header Retry-After, which Prefect ignores.

        The pause runs while Prefect waits before a retry, so the two waits do not add up.
        """
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _wait_for_pause(self) -> None:
        while (seconds := self._paused_until - time.monotonic()) > 0:
            time.sleep(seconds)


def rate_limiter_for(url: str, rate_limit: RateLimit | None = None) -> RateLimiter:
    """Return the rate limiter for all requests of this process to the server of a URL."""
    with _making:  # threads that ask for the first time at once must not get two of them
        return _rate_limiter(urlsplit(url).netloc or url, rate_limit)  # env:NAME has no host


_making = threading.Lock()
_makers: dict[str, Callable[[str, RateLimit], RateLimiter]] = {}  # "shared": of several processes


def share_rate_limits_by(make: Callable[[str, RateLimit], RateLimiter]) -> None:
    """Set the function that makes the rate limiter of a server for several processes.

    It receives the server and a rate limit with `counted_at`.
    """
    _makers["shared"] = make


@cache
def _rate_limiter(server: str, rate_limit: RateLimit | None) -> RateLimiter:
    if rate_limit is None or rate_limit.counted_at is None:
        return RateLimiter(rate_limit)
    return _makers["shared"](server, rate_limit)


def retry_after(response: requests.Response) -> int | None:
    """Return the seconds in the header Retry-After; None if it is missing or not valid.

    The header has seconds or a date (RFC 9110, 10.2.3). A date is compared with the server's own
    clock, because this computer's clock can be wrong. If a server and a proxy both send the header,
    the longer wait counts.
    """
    now = http_moment(response.headers.get("Date")) or datetime.now(UTC)
    waits = [_seconds(text.strip(), now) for text in response.raw.headers.getlist("Retry-After")]
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str, now: datetime) -> int | None:
    if re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        return ceil(min(float(text), _MAX_SECONDS))
    moment = http_moment(text)
    return None if moment is None else max(ceil((moment - now).total_seconds()), 0)
