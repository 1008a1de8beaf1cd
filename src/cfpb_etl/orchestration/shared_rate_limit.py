"""The rate limit of a server for requests from several processes, counted by Prefect's server.

A global concurrency limit of Prefect with one slot is the clock of the run. A request takes the
slot, and the slot becomes free again after a fixed time. During a pause, more slots are taken than
there are (docs/design.md, "Task runners").
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import ceil, isclose
from typing import TYPE_CHECKING, Any

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY

from cfpb_etl.fetch.http.rate_limit import RateLimit, RateLimiter
from cfpb_etl.orchestration.errors import UncountedRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse

# Prefect's server allows a request some time before the worker sends it: the answer travels, and
# the thread gets the processor. This may take longer for the first request of a window than for the
# next one. The margin costs 5% of CFPB's rate limit.
_MARGIN_SECONDS = 3.0
_LEAST_WAIT = 0.02  # seconds


class SharedRateLimiter(RateLimiter):
    """Limits the rate at which all processes that use the same Prefect server send requests.

    Args:
        server: The server that gets the requests.
        rate_limit: The server's rate limit, with the URL of Prefect's API.
    """

    def __init__(self, server: str, rate_limit: RateLimit) -> None:
        super().__init__(None)
        self.rate_limit = rate_limit
        self._url = rate_limit.counted_at or ""
        self._name = f"cfpb-etl-{re.sub(r'[^a-zA-Z0-9.:_-]', '-', server)}"
        # Seconds between two requests. A window then never has more requests than allowed.
        self._period = (rate_limit.seconds + _MARGIN_SECONDS) / rate_limit.requests
        self._decay = 1 / self._period
        self._turn = threading.Lock()  # one thread of this process asks, and the others wait

    def wait(self) -> None:
        """Wait until one more request is allowed.

        Raises:
            UncountedRequestError: If Prefect's server cannot be asked.
        """
        with self._turn, self._prefect() as prefect:
            while True:
                self._wait_for_pause()
                limit = self._limit(prefect)
                if not limit.active_slots and self._take_slot(prefect):
                    break
                time.sleep(self._seconds_to_wait(limit))

    def pause(self, seconds: float) -> None:
        """Pause the requests of all processes for the seconds in the header Retry-After.

        Raises:
            UncountedRequestError: If Prefect's server cannot be asked.
        """
        super().pause(seconds)
        slots = ceil(seconds / self._period)
        with self._prefect() as prefect:
            if self._limit(prefect).active_slots <= slots > 0:  # a longer pause stays
                self._update(prefect, active_slots=slots)

    @contextmanager
    def _prefect(self) -> Iterator[SyncPrefectClient]:
        # A worker's own settings may name another server, or make Prefect start one.
        client = SyncPrefectClient(
            self._url,
            auth_string=PREFECT_API_AUTH_STRING.value(),
            api_key=PREFECT_API_KEY.value(),
        )
        try:
            with client:
                yield client
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise UncountedRequestError(url=self._url, reason=reason) from None

    def _limit(self, prefect: SyncPrefectClient) -> GlobalConcurrencyLimitResponse:
        """Read the limit. It is created if it is missing, and corrected if it is another one.

        Reading changes nothing, but an attempt to take a slot that is not free starts Prefect's
        clock again. So a slot is taken only if it looks free.
        """
        while True:
            try:
                found = prefect.read_global_concurrency_limit_by_name(self._name)
            except ObjectNotFound:
                new = GlobalConcurrencyLimitCreate(
                    name=self._name, limit=1, slot_decay_per_second=self._decay
                )
                with suppress(ObjectAlreadyExists):  # another process was faster
                    prefect.create_global_concurrency_limit(new)
                continue
            is_same = isclose(found.slot_decay_per_second, self._decay, rel_tol=1e-3)
            if found.active and found.limit == 1 and is_same:
                return found
            self._update(prefect, active=True, limit=1, slot_decay_per_second=self._decay)

    def _update(self, prefect: SyncPrefectClient, **settings: Any) -> None:  # noqa: ANN401 - Prefect's own
        prefect.update_global_concurrency_limit(
            self._name, GlobalConcurrencyLimitUpdate(**settings)
        )

    def _take_slot(self, prefect: SyncPrefectClient) -> bool:
        """Take the slot, and say whether it was free."""
        try:
            prefect.increment_concurrency_slots([self._name], slots=1, mode="rate_limit")
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.LOCKED:
                raise
            return False  # another process was faster
        return True

    def _seconds_to_wait(self, limit: GlobalConcurrencyLimitResponse) -> float:
        """Return when to ask again: when the slot is free, if both computers' clocks are equal.

        With other clocks, the slot is noticed at most a quarter of the period late.
        """
        slots = max(limit.active_slots, 1)
        updated = limit.updated or datetime.now(UTC)
        elapsed = (datetime.now(UTC) - updated).total_seconds()
        left = slots * self._period - elapsed % self._period
        return max(min(left, (slots - 0.75) * self._period), _LEAST_WAIT)
