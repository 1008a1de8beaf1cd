"""A limit on each client's requests in a sliding window (docs/facts.md, "Rate limit")."""

from collections import defaultdict, deque
from collections.abc import Callable


class Throttle:
    """Counts the accepted requests of each client. Refused requests do not count."""

    def __init__(self, limit: int, window_seconds: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._clock = clock
        self._accepted: defaultdict[str, deque[float]] = defaultdict(deque)

    def seconds_to_wait(self, client: str) -> float:
        """Accept and count a request and return 0, or return how long the client must wait.

        If the client is over its limit, the request is refused and not counted.
        """
        now = self._clock()
        accepted = self._accepted[client]
        while accepted and accepted[0] <= now - self._window_seconds:
            accepted.popleft()
        if len(accepted) >= self._limit:
            return accepted[0] + self._window_seconds - now
        accepted.append(now)
        return 0
