"""CFPB's search API as a source: one request for each page (docs/facts.md, "The search API").

The limits at the top may change, because CFPB has changed them before.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, cast

from cfpb_etl.fetch.errors import NothingToUpdateError
from cfpb_etl.fetch.http.addresses import refuse_unsafe, whole
from cfpb_etl.fetch.http.client import get_json, url_with
from cfpb_etl.fetch.http.errors import SearchBackendError, UnexpectedBodyError
from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT, RateLimit, rate_limiter_for
from cfpb_etl.fetch.pages import Page, next_page
from cfpb_etl.fetch.search_answer import Answer, day_of_hit, read_answer
from cfpb_etl.model.age import FIRST_DAY, LAST_UPDATED, Age
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import SourceKind  # noqa: TC001 - Prefect reads the annotations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.fetch.http.rate_limit import RateLimiter
    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Watermark

SEARCH_URL = "https://www.consumerfinance.gov/data-research/consumer-complaints/search/api/v1/"
PAGE_SIZE = 10_000  # the maximum for one answer (docs/facts.md, "Page size")
SMALL_PAGE_SIZE = 1_000  # used after a status 424 for the first page: perhaps a lower maximum
MAX_CONCURRENCY = 6  # windows in parallel; enough for answers of 14 s at CFPB's rate limit

_LAST_DAY = date.max.isoformat()
_NO_EXTRAS = [("no_aggs", "true"), ("no_highlight", "true")]
# Without this, CFPB searches only narratives (docs/facts.md, "Search words").
_ALL_FIELDS = ("field", "all")


@dataclass(frozen=True)
class SearchApi:
    """The search API with one query.

    Attributes:
        query: The filters.
        limit: How many complaints to fetch at most, the newest first. None to fetch all matches,
            the oldest first; this order is safer while CFPB adds complaints (docs/facts.md,
            "Paging").
        url: The URL of the API. A URL with a query must be given as for `BulkFile`.
        kind: `api`, or `sample` for made-up complaints.
        rate_limit: The server's rate limit; None if the server has no limit.
        page_size: How many complaints one request asks for.
        lookback: Only for an update: start this many days before the newest stored day. An update
            uses the query of the last complete load.
        updates_load_id: The id of the load to update; None if that load is not found yet.
        last_ended: The day on which the last load into the database ended; None if none has ended.
        stored_newest: The newest day received in the database, also if it is not plausible.

    Raises:
        AddressRefusedError, SecretAddressError: If the URL must not be stored.
    """

    query: Query = field(default_factory=Query)
    limit: int | None = None
    url: str = SEARCH_URL
    kind: SourceKind = "api"
    rate_limit: RateLimit | None = CFPB_RATE_LIMIT
    page_size: int = PAGE_SIZE
    lookback: int | None = None
    updates_load_id: int | None = None
    last_ended: str | None = None
    stored_newest: str | None = None

    def __post_init__(self) -> None:
        refuse_unsafe("api_url", self.url)

    @property
    def address(self) -> str:
        """Return the URL, as a load records it. The sample's port differs in each run."""
        return "local emulator" if self.kind == "sample" else self.url

    @property
    def part_noun(self) -> str:
        """Return the noun for the parts: `page`."""
        return "page"

    @property
    def max_concurrency(self) -> int:
        """Return how many windows to fetch in parallel. A load with a limit has only one window."""
        return MAX_CONCURRENCY if self.limit is None else 1

    @property
    def is_update(self) -> bool:
        """Say whether the source repeats an earlier load."""
        return self.lookback is not None or self.updates_load_id is not None

    @property
    def is_partial(self) -> bool:
        """Say whether the source asks for only some of all complaints."""
        return self.limit is not None or bool(self.query)

    @property
    def proves_absence(self) -> bool:
        """Say whether the source asks for all complaints received on the requested days."""
        return self.limit is None and not self.query.filters_more_than_days

    @property
    def rate_limiter(self) -> RateLimiter:
        """Return the rate limiter that all requests to this server share."""
        return rate_limiter_for(self.url, self.rate_limit)

    def rate_limit_use(self) -> str:
        """Return in words how much of the rate limit is in use; "" if the server has no limit."""
        limit = self.rate_limit
        if limit is None:
            return ""
        return f"{self.rate_limiter.used()} of {limit.requests} searches in {limit.seconds:g} s"

    def query_json(self) -> str:
        """Return the query and the limit as JSON."""
        limit = {} if self.limit is None else {"limit": self.limit}
        return json.dumps(self.query.to_dict() | limit)

    def resume_from(self, watermark: Watermark) -> SearchApi:
        """Return this source with what the database has.

        For an update, return the source with the query of the last complete load.

        An update looks back from the newest stored day. If it looked back from today, it could miss
        the days since the last load for ever.

        Raises:
            NothingToUpdateError: If the database has no complete load to update.
        """
        source = replace(self, last_ended=watermark.last_ended, stored_newest=watermark.newest)
        if self.lookback is None:
            return source
        if watermark.covers_until is None:
            raise NothingToUpdateError
        query = Query.from_dict(json.loads(watermark.query))
        covered = date.fromisoformat(watermark.covers_until).toordinal()
        start = date.fromordinal(max(covered - self.lookback, 1)).isoformat()
        query = replace(query, since=max(filter(None, (query.since, start))))
        return replace(source, query=query, lookback=None, updates_load_id=watermark.load_id)

    def parts(self) -> Sequence[Page]:
        """Return the first page of a single window. Its answer shows the size of the window."""
        return [Page(self.page_size, self.query.since, self.query.until)]

    def part_from_json(self, text: str) -> Page:
        """Return the page from the JSON that `to_json` wrote."""
        return Page.from_json(text)

    def for_other_processes(self, counted_at: str) -> SearchApi | None:
        """Return this source with a shared rate limit; None for the sample, which is local."""
        limit = self.rate_limit and replace(self.rate_limit, counted_at=counted_at)
        return None if self.kind == "sample" else replace(self, rate_limit=limit)

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:
        """Return the next page. Its window is split if the rate limit allows more requests.

        The number of parallel requests is the allowed rate times the seconds that an answer takes
        (Little's law). A quarter is added, because some answers take longer. Each new window costs
        about half a request more, because its last page is not full.
        """
        if self.limit is not None or self.rate_limit is None or not raw.next_parts:
            return raw.next_parts
        rate = self.rate_limit.requests / self.rate_limit.seconds
        wanted = min(self.max_concurrency, 1 + int(1.25 * rate * raw.info.seconds))
        return cast("Page", raw.next_parts[0]).split(wanted - in_flight)

    def fetch(self, part: Page) -> RawPart:
        """Fetch one page, within the rate limit.

        Raises:
            ServerError: If the request fails; each subclass is one kind of failure.
        """
        try:
            return self._fetch(part)
        except SearchBackendError as error:
            # A server that says when to come back has another problem than the size of the page.
            is_outage = error.retry_after is not None
            if is_outage or part.number > 1 or part.size_within(self.limit) <= SMALL_PAGE_SIZE:
                raise
            return self._fetch(replace(part, size=SMALL_PAGE_SIZE))

    def _fetch(self, part: Page) -> RawPart:
        answer, url, seconds = self._request(part)
        later: tuple[Page, ...] = ()
        today = answer.today
        if self._may_reach_beyond(part, today) and today < _LAST_DAY:
            # Days after today are not plausible. They have a window of their own, so that they do
            # not set the last day of this load.
            if max(answer.newest_day, self.stored_newest or "") > today:
                next_day = (date.fromisoformat(today) + timedelta(1)).isoformat()
                later = (Page(part.size, next_day, part.until),)
            if answer.newest_day > today:
                part = replace(part, until=today)
                answer, url, seconds = self._request(part)
        if answer.newest_day > today and part.index_day is None:
            index_day = self._newest_day_until(today)
            part = replace(part, index_day=index_day)
            later = tuple(replace(page, index_day=index_day) for page in later)
        if self.limit is None:
            # The first answer sets the window's last day. Later complaints belong to another load.
            newest = max(answer.newest_day, part.since or "")
            if newest > today:
                newest = max(newest, self.stored_newest or "")
            part = replace(part, until=min(filter(None, (part.until, newest))))
        following = next_page(part, answer.hits, answer.matching, self.limit, url)
        info = PartInfo(
            part=part,
            name=f"{part}, {len(answer.hits):,} complaints",
            rows=len(answer.hits),
            matching=answer.matching,
            expected=min(answer.matching, self.limit or answer.matching),
            age=_age_of(answer, part),
            today=today,
            origin="answer",
            days=(part.since, part.until),
            proves_absence=self.proves_absence,
            seconds=seconds,
            source_total=answer.source_total,
        )
        return RawPart(answer.hits, info, (*filter(None, (following,)), *later))

    def _may_reach_beyond(self, part: Page, day: str) -> bool:
        """Say whether this is the first page of a window that has days up to a day and after it."""
        is_first = part.number == 1 and self.limit is None
        return is_first and (part.since or "") <= day and (part.until or _LAST_DAY) > day

    def _request(self, part: Page) -> tuple[Answer, str, float]:
        """Request a page, and return its answer, its URL and the seconds that it took."""
        url = self._page_url(part)
        with self.rate_limiter.request():
            started = time.monotonic()
            body, server_day = get_json(url)
            seconds = time.monotonic() - started
        answer = read_answer(body, url, latest_plausible_day(self.last_ended, server_day))
        requested = part.size_within(self.limit)
        if len(answer.hits) > requested:
            detail = f"{len(answer.hits):,} hits where {requested:,} were requested"
            raise UnexpectedBodyError(url, detail=detail)
        return answer, url, seconds

    def _newest_day_until(self, day: str) -> str | None:
        """Return the newest day received in the whole index until a day; None if there is none."""
        index = replace(self, query=Query(), limit=1)
        answer, url, _ = index._request(Page(1, until=day))  # noqa: SLF001 - of the same class
        return day_of_hit(answer.hits[0], url) if answer.hits else None

    def _page_url(self, part: Page) -> str:
        parameters = [
            *_filters(replace(self.query, since=part.since, until=part.until)),
            ("size", str(part.size_within(self.limit))),
            ("sort", "created_date_asc" if self.limit is None else "created_date_desc"),
            *_NO_EXTRAS,
        ]
        if part.after is not None:
            parameters.append(("search_after", f"{part.after[0]}_{part.after[1]}"))
        return url_with(whole(self.url), parameters)


def _age_of(answer: Answer, part: Page) -> Age:
    """Return how old an answer is: the newest plausible day of the whole index."""
    if answer.newest_day <= answer.today:
        return Age.on(answer.newest_day, LAST_UPDATED)
    if part.index_day is not None:
        return Age.on(part.index_day, "newest day at CFPB")
    return Age(FIRST_DAY, min(answer.indexed_day, answer.today), "_meta.last_indexed")


def _filters(query: Query) -> list[tuple[str, str]]:
    parameters = query.parameters()
    return [*parameters, _ALL_FIELDS] if query.search is not None else parameters


def fetch_count(query: Query, url: str = SEARCH_URL) -> int:
    """Return how many complaints the server counts for a query. No complaints are fetched.

    Raises:
        ServerError: If the request fails; each subclass is one kind of failure.
    """
    url = url_with(whole(url), [*_filters(query), ("size", "0"), *_NO_EXTRAS])
    body, _ = get_json(url)
    return read_answer(body, url, latest_plausible_day()).matching
