"""CFPB's search API as a source: what may be asked, and one page a request.

CCDB_API.md is the contract. The limits that CFPB has moved before, and may move again, stand at the
top.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
import requests

from cfpb_etl.errors import NothingToUpdateError
from cfpb_etl.fetch.http.client import get_json, is_sound_address, start_of
from cfpb_etl.fetch.http.errors import (
    NoAdvanceError,
    PartialAnswerError,
    SearchBackendError,
    ThrottledError,
    UnexpectedBodyError,
)
from cfpb_etl.fetch.http.rate_limit import CFPB_RATE_LIMIT, RateLimit, rate_limiter_for
from cfpb_etl.fetch.pages import Page
from cfpb_etl.model.dates import parse_date
from cfpb_etl.model.errors import InvalidQueryError
from cfpb_etl.model.part import ParsedContent, PartInfo, RawPart, ReadStats
from cfpb_etl.model.query import Query
from cfpb_etl.parse.search_hits import parse_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.fetch.http.rate_limit import RateLimiter
    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Watermark

SEARCH_URL = "https://www.consumerfinance.gov/data-research/consumer-complaints/search/api/v1/"
PAGE_SIZE = 10_000  # the most that one answer was seen to hold (CCDB_API.md section 4)
SMALL_PAGE_SIZE = 1_000  # after a 424 on a first page: the window may have shrunk
MAX_CONCURRENCY = 6  # windows side by side: enough for answers of 14 s at CFPB's pace

_END_OF_TIME = 253_402_300_800_000  # milliseconds to the year 10000, the calendar's last
_MOST_COMPLAINTS = 2**40  # 18 million as this is written; anything like this is no count
_LONGEST_LOOKBACK = 36_500  # days

T = TypeVar("T")


@dataclass(frozen=True)
class SearchApi:
    """The search API, asked one query.

    Attributes:
        query: Which complaints.
        limit: How many at most, the newest first; None for all that match, oldest first, which is
            the safer order while complaints arrive (CCDB_API.md section 4).
        url: Where it is.
        kind: `api`, or `sample` for made-up complaints.
        rate_limit: What the server allows, or None for one that does not count.
        page_size: Complaints a request.
        lookback: For an update: over how many days, before the last that the database covers. The
            query is then that of the database's last complete load.
        updates: The load that this brings up to date, when it has been found.

    Raises:
        InvalidQueryError: If the limit, the lookback or the address cannot be.
    """

    query: Query = field(default_factory=Query)
    limit: int | None = None
    url: str = SEARCH_URL
    kind: str = "api"
    rate_limit: RateLimit | None = CFPB_RATE_LIMIT
    page_size: int = PAGE_SIZE
    lookback: int | None = None
    updates: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InvalidQueryError("limit", self.limit, "give a number of complaints from 1")
        if self.lookback is not None and not 1 <= self.lookback <= _LONGEST_LOOKBACK:
            allowed = f"give a number of days from 1 to {_LONGEST_LOOKBACK:,}"
            raise InvalidQueryError("lookback", self.lookback, allowed)
        if not is_sound_address(self.url):
            allowed = "give an address that begins with https:// or http://, without a password"
            raise InvalidQueryError("api_url", self.url, allowed)

    @property
    def address(self) -> str:
        """Return where it is, for the record; the sample's port is another each time."""
        return "local emulator" if self.kind == "sample" else self.url

    @property
    def max_concurrency(self) -> int:
        """Return how many windows may be walked side by side; with a limit there is one."""
        return MAX_CONCURRENCY if self.limit is None else 1

    @property
    def proves_absence(self) -> bool:
        """Say whether it asks for all complaints of some days."""
        return self.limit is None and not self.query.narrows

    def described(self) -> str:
        """Return what is asked for as JSON, leaving out what is not."""
        return json.dumps(
            self.query.described() | ({} if self.limit is None else {"limit": self.limit})
        )

    def resume_from(self, watermark: Watermark) -> SearchApi:
        """Return this, or for an update: what the database's last complete load asked for.

        An update looks back from the last day that the database covers, not from today: the days in
        between would be left out for ever.

        Raises:
            NothingToUpdateError: If there is no such load.
        """
        if self.lookback is None:
            return self
        if watermark.until is None:
            raise NothingToUpdateError
        query = Query.from_dict(json.loads(watermark.query))
        back = date.fromisoformat(watermark.until) - timedelta(self.lookback)
        since = max(filter(None, (query.since, back.isoformat())))
        return replace(
            self, query=replace(query, since=since), lookback=None, updates=watermark.load_id
        )

    def parts(self) -> Sequence[Page]:
        """Return the first page, of one window: how many complaints it has, its answer tells."""
        return [Page(self.page_size, self.query.since, self.query.until)]

    def part_from_json(self, progress: str) -> Page:
        """Return the page that `to_json` told of."""
        return Page.from_json(progress)

    def split(self, raw: RawPart, under_way: int) -> Sequence[Part]:
        """Divide what is left of a window, if that many max_concurrency are needed to use the rate_limit.

        Requests a second times the seconds of an answer is how many must be under way (Little's
        law), and a quarter more, since answers take unequal time. A window more costs about half a
        request: its last page is not full.
        """
        if self.limit is not None or self.rate_limit is None or not raw.following:
            return raw.following
        rate = self.rate_limit.requests / self.rate_limit.seconds
        wanted = min(self.max_concurrency, 1 + int(1.25 * rate * raw.info.seconds))
        return cast("Page", raw.following[0]).split(wanted - under_way)

    @property
    def pace(self) -> RateLimiter:
        """Return the gate that every request to its server goes through."""
        return rate_limiter_for(urlsplit(self.url).netloc, self.rate_limit)

    def fetch(self, part: Page) -> RawPart:
        """Fetch one page, at the server's pace.

        Raises:
            ServerError: One of its subclasses, for every way in which that can fail.
        """
        try:
            return self._fetch(part)
        except SearchBackendError:
            if part.number > 1 or self._size(part) <= SMALL_PAGE_SIZE:
                raise
            return self._fetch(replace(part, size=SMALL_PAGE_SIZE))

    def _fetch(self, part: Page) -> RawPart:
        request = requests.Request("GET", self.url, params=self._parameters(part))
        url = str(request.prepare().url)
        self.pace.wait()
        began = time.monotonic()
        try:
            body = get_json(url)
        except ThrottledError as error:
            self.pace.hold(error.retry_after)
            raise
        seconds = time.monotonic() - began
        answer = _Answer.of(body, url)
        if len(answer.hits) > self._size(part):
            raise UnexpectedBodyError(
                url, detail=f"{len(answer.hits):,} hits where {self._size(part):,} were asked for"
            )
        if self.limit is None:
            # The last day is settled by the first answer: what comes later belongs to another load.
            newest = max(answer.newest_day, part.since or "")
            part = replace(part, until=min(filter(None, (part.until, newest))))
        following = self._following(part, answer, url)
        info = PartInfo(
            part=part,
            name=f"{part}, {len(answer.hits):,} complaints",
            rows=len(answer.hits),
            matching=answer.matching,
            expected=min(answer.matching, self.limit or answer.matching),
            as_of=answer.as_of,
            days=(part.since, part.until),
            proves_absence=self.proves_absence,
            seconds=seconds,
        )
        return RawPart(answer.hits, read_page, info, () if following is None else (following,))

    def _parameters(self, part: Page) -> list[tuple[str, str]]:
        parameters = [
            *replace(self.query, since=part.since, until=part.until).parameters(),
            ("size", str(self._size(part))),
            ("sort", self._sort),
            ("no_aggs", "true"),
            ("no_highlight", "true"),
        ]
        if part.after is not None:
            parameters.append(("search_after", f"{part.after[0]}_{part.after[1]}"))
        return parameters

    def _size(self, part: Page) -> int:
        """Return how many complaints to ask for: no more than the limit leaves."""
        return part.size if self.limit is None else min(part.size, self.limit - part.before_it)

    @property
    def _sort(self) -> str:
        return "created_date_asc" if self.limit is None else "created_date_desc"

    def _following(self, part: Page, answer: _Answer, url: str) -> Page | None:
        """Return the page after this one, or None if the window ends here.

        Raises:
            NoAdvanceError: If the page does not lie beyond its cursor: a server that overlooks the
                cursor sends the first page for ever (CCDB_API.md section 4).
        """
        hits = answer.hits
        if not hits:
            return None
        first, last = _sort_value(hits[0], url), _sort_value(hits[-1], url)
        steps = [(part.after, first)] if part.after else []
        steps += [(first, last)] if len(hits) > 1 else []
        for earlier, later in steps:
            if earlier == later or (earlier < later) != (self.limit is None):
                raise NoAdvanceError(url, detail=f"{later} came after {earlier}")
        walked = part.before_it + len(hits)
        if len(hits) < self._size(part) or walked == self.limit:
            return None
        return replace(
            part,
            number=part.number + 1,
            after=last,
            before_it=walked,
            left=max(answer.matching - walked, 0),
        )


def fetch_count(query: Query, url: str = SEARCH_URL) -> int:
    """Return how many complaints match by the server's own count, by a search for none of them.

    Raises:
        ServerError: One of its subclasses.
    """
    none = [("size", "0"), ("no_aggs", "true"), ("no_highlight", "true")]
    request = requests.Request("GET", url, params=[*query.parameters(), *none])
    url = str(request.prepare().url)
    return _Answer.of(get_json(url), url).matching


def read_page(hits: list[msgspec.Raw], name: str) -> ParsedContent:
    """Return the complaints of a page, which are all here.

    Raises:
        InvalidHitError: If a hit cannot be a complaint.
    """
    complaints, columns, unknown = parse_page(hits, name)
    return ParsedContent(complaints, columns, unknown, ReadStats(rows=len(complaints)))


def _sort_value(raw: msgspec.Raw, url: str) -> tuple[int, str]:
    """Return a hit's sort value; the id in it is text, and is ordered as text."""
    hit = _decoded(raw, url, Any)
    match hit:
        case {"sort": [int(milliseconds), str(identity)]} if 0 <= milliseconds < _END_OF_TIME:
            return milliseconds, identity
    raise UnexpectedBodyError(url, detail=f"a hit without a sort value: {hit!r:.80}")


class _Hits(msgspec.Struct):
    total: Any = None
    hits: list[msgspec.Raw] | None = None


class _Body(msgspec.Struct):
    hits: _Hits | None = None
    meta: Any = msgspec.field(name="_meta", default=None)
    shards: Any = msgspec.field(name="_shards", default=None)
    timed_out: Any = None


def _decoded(text: bytearray | msgspec.Raw, url: str, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=type_)
    # These three are all that it raises: https://github.com/msgspec/msgspec/issues/714
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedBodyError(
            url, body_start=start_of(bytes(text)), detail=f"no JSON of a search: {error}"
        ) from None


@dataclass(frozen=True)
class _Answer:
    hits: list[msgspec.Raw]
    matching: int
    as_of: str
    newest_day: str

    @classmethod
    def of(cls, body: bytearray, url: str) -> _Answer:
        """Check a body against the contract (CCDB_API.md section 2), but for the hits themselves.

        Raises:
            UnexpectedBodyError: If it is not so.
            PartialAnswerError: If the index says that it has not looked everywhere.
        """
        match _decoded(body, url, _Body):
            case _Body(timed_out=True):
                raise PartialAnswerError(url, detail="it ran out of time")
            case _Body(shards={"failed": int(failed)}) if failed:
                raise PartialAnswerError(url, detail=f"{failed} of its shards failed")
            case _Body(
                hits=_Hits(total={"value": int(matching)}, hits=list(hits)),
                meta={"last_indexed": str(indexed), "last_updated": str(newest)},
            ) if len(hits) <= matching < _MOST_COMPLAINTS:
                try:
                    return cls(hits, matching, parse_date(indexed), parse_date(newest))
                except ValueError as error:
                    raise UnexpectedBodyError(url, detail=f"a date in _meta is {error}") from None
        raise UnexpectedBodyError(
            url,
            body_start=start_of(body),
            detail="hits.hits, hits.total.value or a date in _meta is missing or cannot be",
        )
