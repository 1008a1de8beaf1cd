"""CFPB's search API as a source: what may be asked, one page a request, and its failures by name.

CCDB_API.md is the contract. The limits that CFPB has moved before, and may move again, stand at the
top.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import requests

from cfpb_etl import __version__
from cfpb_etl.complaint import carried_columns, parse_date, parse_hit, unknown_fields
from cfpb_etl.errors import (
    AccessDeniedError,
    CutBodyError,
    InvalidQueryError,
    NoAdvanceError,
    NotFoundError,
    NotJsonError,
    PartialAnswerError,
    RefusedQueryError,
    SearchApiError,
    SearchBackendError,
    ServerFailureError,
    ThrottledError,
    TooLargeError,
    UnexpectedBodyError,
    UnexpectedStatusError,
    UnreachableError,
)
from cfpb_etl.pace import CFPB_SEARCHES, Allowance, pace_of
from cfpb_etl.query import Query
from cfpb_etl.source import RawPart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cfpb_etl.complaint import Complaint

SEARCH_URL = "https://www.consumerfinance.gov/data-research/consumer-complaints/search/api/v1/"
PAGE_SIZE = 10_000  # the most that one answer was seen to hold (CCDB_API.md section 4)
SMALL_PAGE_SIZE = 1_000  # after a 424 on a first page: the window may have shrunk
LARGEST_BODY = 256 * 2**20  # bytes; 10,000 complaints of today are 6.6 MB
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 90  # seconds; 10,000 complaints were seen to take 11.6 s
LONGEST_ANSWER = 300  # seconds for a whole body, however steadily it trickles

_MOST_COMPLAINTS = 2**40  # 18 million as this is written; anything like this is no count
_USER_AGENT = f"cfpb-etl/{__version__} (open-source ETL to SQLite; python-requests)"


@dataclass(frozen=True)
class Page:
    """A place in a walk: the page to ask for next.

    Attributes:
        number: From 1.
        size: Complaints to ask for.
        after: The cursor: the sort value of the last complaint before it, None at the start.
        before_it: How many complaints the pages before it held.
    """

    number: int
    size: int
    after: tuple[int, str] | None = None
    before_it: int = 0

    def __str__(self) -> str:
        return f"page {self.number}"

    def as_progress(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class SearchApi:
    """The search API, asked one query.

    Attributes:
        query: Which complaints.
        limit: How many at most, the newest first; None for all that match, oldest first, which is
            the safer order while complaints arrive (CCDB_API.md section 4).
        url: Where it is.
        kind: `api`, or `sample` for made-up complaints.
        allowance: What the server allows, or None for one that does not count.
        page_size: Complaints a request.

    Raises:
        InvalidQueryError: If the limit or the address cannot be.
    """

    query: Query = field(default_factory=Query)
    limit: int | None = None
    url: str = SEARCH_URL
    kind: str = "api"
    allowance: Allowance | None = CFPB_SEARCHES
    page_size: int = PAGE_SIZE

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InvalidQueryError("limit", self.limit, "give a number of complaints from 1")
        try:
            parts = urlsplit(self.url)
            sound = parts.scheme in ("http", "https") and parts.username is None
            requests.Request("GET", self.url).prepare()
        except ValueError:  # requests' own and urllib3's are such
            sound = False
        if not sound:
            allowed = "give an address that begins with https:// or http://, without a password"
            raise InvalidQueryError("api_url", self.url, allowed)

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        return self.url

    @property
    def lanes(self) -> int:
        """Return 1: a page's cursor comes from the page before it."""
        return 1

    def described(self) -> str:
        """Return what is asked for as JSON, leaving out what is not."""
        asked = {key: value for key, value in asdict(self.query).items() if value}
        return json.dumps(asked | ({} if self.limit is None else {"limit": self.limit}))

    def parts(self) -> Sequence[Page]:
        """Return the first page."""
        return [Page(1, min(self.page_size, self.limit or self.page_size))]

    def fetch(self, part: Page) -> RawPart:
        """Fetch one page, at the server's pace.

        Raises:
            SearchApiError: One of its subclasses, for every way in which that can fail.
        """
        try:
            return self._fetch(part)
        except SearchBackendError:
            if part.number > 1 or part.size <= SMALL_PAGE_SIZE:
                raise
            return self._fetch(replace(part, size=SMALL_PAGE_SIZE))

    def _fetch(self, part: Page) -> RawPart:
        request = requests.Request("GET", self.url, params=self._parameters(part))
        url = str(request.prepare().url)
        pace = pace_of(urlsplit(url).netloc, self.allowance)
        pace.wait()
        try:
            body = _body_of(url)
        except ThrottledError as error:
            pace.hold(error.retry_after)
            raise
        answer = _Answer.of(body, url)
        if len(answer.hits) > part.size:
            raise UnexpectedBodyError(
                url, detail=f"{len(answer.hits):,} hits where {part.size:,} were asked for"
            )
        return RawPart(
            body,
            read_page,
            name=f"{part}, {len(answer.hits):,} complaints",
            rows=len(answer.hits),
            matching=answer.matching,
            as_of=answer.as_of,
            following=self._following(part, answer.hits, url),
        )

    def _parameters(self, part: Page) -> list[tuple[str, str]]:
        parameters = [
            *self.query.parameters(),
            ("size", str(part.size)),
            ("sort", self._sort),
            ("no_aggs", "true"),
            ("no_highlight", "true"),
        ]
        if part.after is not None:
            parameters.append(("search_after", f"{part.after[0]}_{part.after[1]}"))
        return parameters

    @property
    def _sort(self) -> str:
        return "created_date_asc" if self.limit is None else "created_date_desc"

    def _following(self, part: Page, hits: Sequence[Any], url: str) -> Page | None:
        """Return the page after this one, or None if the walk ends here.

        Raises:
            NoAdvanceError: If the page does not lie beyond its cursor: a server that overlooks the
                cursor sends the first page for ever (CCDB_API.md section 4).
        """
        if not hits:
            return None
        first, last = _sort_value(hits[0], url), _sort_value(hits[-1], url)
        steps = [(part.after, first)] if part.after else []
        steps += [(first, last)] if len(hits) > 1 else []
        for earlier, later in steps:
            if earlier == later or (earlier < later) != (self.limit is None):
                raise NoAdvanceError(url, detail=f"{later} came after {earlier}")
        walked = part.before_it + len(hits)
        if len(hits) < part.size or walked == self.limit:
            return None
        size = part.size if self.limit is None else min(part.size, self.limit - walked)
        return Page(part.number + 1, size, last, walked)


def _sort_value(hit: object, url: str) -> tuple[int, str]:
    """Return a hit's sort value; the id in it is text, and is ordered as text."""
    match hit:
        case {"sort": [int(milliseconds), str(identity)]}:
            return milliseconds, identity
    raise UnexpectedBodyError(url, detail=f"a hit without a sort value: {hit!r:.80}")


@dataclass(frozen=True)
class _Answer:
    hits: list[Any]
    matching: int
    as_of: str

    @classmethod
    def of(cls, body: bytes, url: str) -> _Answer:
        """Check a body against the contract (CCDB_API.md section 2), but for the hits themselves.

        Raises:
            UnexpectedBodyError: If it is not so.
            PartialAnswerError: If the index says that it has not looked everywhere.
        """
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UnexpectedBodyError(
                url, body_start=_start_of(body), detail=f"no JSON: {error}"
            ) from None
        match answer:
            case {"timed_out": True}:
                raise PartialAnswerError(url, detail="it ran out of time")
            case {"_shards": {"failed": int(failed)}} if failed:
                raise PartialAnswerError(url, detail=f"{failed} of its shards failed")
            case {
                "hits": {"total": {"value": int(matching)}, "hits": list(hits)},
                "_meta": {"last_indexed": str(indexed)},
            } if len(hits) <= matching < _MOST_COMPLAINTS:
                try:
                    return cls(hits, matching, parse_date(indexed))
                except ValueError as error:
                    raise UnexpectedBodyError(
                        url, detail=f"_meta.last_indexed is {error}"
                    ) from None
        raise UnexpectedBodyError(
            url,
            body_start=_start_of(body),
            detail="hits.hits, hits.total.value or _meta.last_indexed is missing or cannot be",
        )


def read_page(name: str, body: bytes) -> tuple[list[Complaint], Collection[str], Collection[str]]:
    """Read a page's complaints, the columns that all of them carry, and the fields nobody knows.

    Raises:
        InvalidHitError: If a hit cannot be a complaint.
    """
    hits = orjson.loads(body)["hits"]["hits"]
    complaints = [parse_hit(hit, place, name) for place, hit in enumerate(hits, 1)]
    return complaints, carried_columns(hits), unknown_fields(hits)


def _body_of(url: str) -> bytes:
    """Return the body of an answer that says it is JSON.

    Raises:
        SearchApiError: One of its subclasses.
    """
    deadline = time.monotonic() + LONGEST_ANSWER
    body = bytearray()
    try:
        # A session for each request: at 20 a minute a kept connection is as often a dead one.
        with (
            requests.Session() as session,
            session.get(
                url,
                headers={"User-Agent": _USER_AGENT},
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
                stream=True,
                # Before it follows one, requests reads a redirect's body whole, however long.
                allow_redirects=False,
            ) as response,
        ):
            for chunk in response.iter_content(2**16):
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise TooLargeError(url, status=response.status_code)
                if time.monotonic() > deadline:
                    raise UnreachableError(url, detail=f"no end within {LONGEST_ANSWER} s")
    except requests.exceptions.ChunkedEncodingError as error:
        raise CutBodyError(url, detail=f"after {len(body):,} bytes") from error
    except requests.Timeout as error:
        raise UnreachableError(url, detail=f"no answer within {READ_TIMEOUT} s") from error
    except requests.ConnectionError as error:
        raise UnreachableError(url, detail=_reason(error)) from error
    except requests.RequestException as error:
        raise UnexpectedBodyError(url, detail=str(error)) from error
    except ValueError as error:  # urllib3's, of a host name that cannot be one
        raise UnreachableError(url, detail=str(error)) from error
    _raise_unless_json(response, bytes(body), url)
    return bytes(body)


def _reason(error: BaseException) -> str:
    """Return what the system said at the bottom of a chain of exceptions, without the chain."""
    said = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            said = cause.strerror or str(cause)
        cause = cause.__cause__ or cause.__context__
    return said


_BY_STATUS: Mapping[int, type[SearchApiError]] = {
    400: RefusedQueryError,
    403: AccessDeniedError,
    404: NotFoundError,
    424: SearchBackendError,
}


def _raise_unless_json(response: requests.Response, body: bytes, url: str) -> None:
    status = response.status_code
    start = _start_of(body)
    if status == requests.codes.too_many_requests:
        raise ThrottledError(url, retry_after=_retry_after(response), body_start=start)
    if status >= requests.codes.internal_server_error or status == requests.codes.request_timeout:
        raise ServerFailureError(url, status=status, body_start=start, detail=str(status))
    if status in _BY_STATUS:
        raise _BY_STATUS[status](url, status=status, body_start=start)
    if status != requests.codes.ok:
        elsewhere = f"{status} {response.headers.get('Location', '')[:200]}".rstrip()
        raise UnexpectedStatusError(url, status=status, body_start=start, detail=elsewhere)
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise NotJsonError(url, status=status, body_start=start, detail=kind or "no Content-Type")


def _retry_after(response: requests.Response) -> float:
    """Return the seconds of Retry-After: CFPB sends a whole number (CCDB_API.md section 6).

    Anything else, or more than an hour, is taken as the whole window.
    """
    text = response.headers.get("Retry-After", "")
    seconds = int(text) if re.fullmatch(r"\d{1,4}", text, re.ASCII) else CFPB_SEARCHES.seconds
    return min(seconds, 3600)


def _start_of(body: bytes) -> str:
    """Return the beginning of a body as one short line."""
    return " ".join(body[:400].decode("utf-8", "replace").split())[:120]
