"""How many requests a client may make within a window that slides (CCDB_API.md section 6)."""

from collections import defaultdict, deque
from collections.abc import Callable


class Throttle:
    """Counts the requests it lets through, per client; those it refuses do not count."""

    def __init__(self, limit: int, window_seconds: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._clock = clock
        self._accepted: defaultdict[str, deque[float]] = defaultdict(deque)

    def wait(self, client: str) -> float:
        """Return 0 and count the request, or the seconds until this client may ask again."""
        now = self._clock()
        accepted = self._accepted[client]
        while accepted and accepted[0] <= now - self._window_seconds:
            accepted.popleft()
        if len(accepted) >= self._limit:
            return accepted[0] + self._window_seconds - now
        accepted.append(now)
        return 0
