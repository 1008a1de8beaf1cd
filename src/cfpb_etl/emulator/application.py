"""The emulator itself: the complaint database as an ASGI application, its search and its files.

It decides on a search in the order of the real server: what can be answered in (404, 406), how
often (429), the method (405), the parameters (400), then what its index can do (424, 500) -
CCDB_API.md sections 1 and 10.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from cfpb_etl.emulator.data.complaints import Era, Source
from cfpb_etl.emulator.data.files import DOCUMENTS_PATH, Columns, write_bulk_file
from cfpb_etl.emulator.file_server import ARCHIVE_PATH, file_server
from cfpb_etl.emulator.parameters import read_query
from cfpb_etl.emulator.refusal import RefusedError
from cfpb_etl.emulator.search import SCORE, Index, Page, Query
from cfpb_etl.emulator.throttle import Throttle

SEARCH_PATH = "/data-research/consumer-complaints/search/api/v1/"
"""Where the search is, exactly; what is no file either is the page that people search with."""

_FILE_PATHS = ("/ccdb/", DOCUMENTS_PATH, ARCHIVE_PATH)

_SEARCH_PAGE = "<!DOCTYPE html><html><title>Search the Consumer Complaint Database</title></html>"
_EVERY_ANSWER = {"Allow": "GET, OPTIONS", "Vary": "Accept, Cookie"}
_FOUND = {
    "Access-Control-Allow-Origin": "https://cfpb.github.io",
    "Access-Control-Allow-Methods": "GET",
    "Edge-Cache-Tag": "complaints",
}
_JSON_ACCEPTED = {"application/json", "application/*", "*/*"}
_CSV_ACCEPTED = {"text/csv", "text/*", "*/*"}
_AGGREGATIONS = (
    "company",
    "company_public_response",
    "company_response",
    "issue",
    "product",
    "state",
    "submitted_via",
    "tags",
    "timely",
)


class SearchRequest(NamedTuple):
    """A request for a search, as it was received and answered."""

    at: float
    """When, by the emulator's clock."""
    parameters: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    status: int


class FileRequest(NamedTuple):
    """A request for a file or for the archive's page, as it was received and answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int


class Emulator:
    """A complaint database that answers searches and sends files, as an ASGI application.

    It plays the release that published complaints of this shape: with narratives that of 2024,
    without them the deployed one (CCDB_API.md section 0). `throttle` is how many requests a
    client may make in `window_seconds`; the real server allows 20. `today` is the day it believes
    it is, the day after its newest complaint unless told: then its data were last indexed, and by
    it they are stale or not. `files` is the folder whose files it sends: what `publish`,
    `write_bulk_file` and `write_archive` write there. Every search is noted in `requests`, every
    request for a file in `file_requests`.
    """

    def __init__(  # noqa: PLR0913 - what is emulated, and options of which none needs another
        self,
        complaints: Iterable[Source],
        *,
        files: Path | None = None,
        throttle: int | None = None,
        window_seconds: float = 60,
        today: date | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        complaints = list(complaints)
        narratives = any("complaint_what_happened" in complaint for complaint in complaints)
        self.era: Era = "2024" if narratives else "deployed"
        self.requests: list[SearchRequest] = []
        self.file_requests: list[FileRequest] = []
        self._index = Index(complaints)
        self._files = files
        self._file_server = file_server(files)
        self._in_file = {complaint["complaint_id"]: complaint for complaint in complaints}
        self._changed: dict[str, Source] = {}
        self._throttle = None if throttle is None else Throttle(throttle, window_seconds, clock)
        self._today = today
        self._clock = clock

    def put(self, complaint: Source) -> None:
        """Add a complaint, or replace the one that has its id."""
        self._index.put(complaint)
        self._changed[complaint["complaint_id"]] = complaint

    def withdraw(self, complaint_id: str) -> None:
        """Remove a complaint."""
        self._index.withdraw(complaint_id)
        self._changed.pop(complaint_id, None)
        self._in_file.pop(complaint_id, None)

    def publish(self, day: date, *, columns: Columns = 15) -> None:
        """Write the bulk file of a day: what was put since the last one first, then the rest.

        That is CFPB's order (DATA.md section 4), which is not one of dates.
        """
        if self._files is None:
            raise ValueError("this emulator has no folder for files")
        # A key stands where it came first, and has the value that came last.
        self._in_file = self._changed | self._in_file | self._changed
        self._changed = {}
        write_bulk_file(self._files, list(self._in_file.values()), day=day, columns=columns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI asks for it."""
        request = Request(scope)
        if scope["path"].startswith(_FILE_PATHS):
            await self._file_server(scope, receive, self._noting(request, send))
        else:
            await self._response(request)(scope, receive, send)

    def _noting(self, request: Request, send: Send) -> Send:
        """Return a `send` that notes with which status the request for a file is answered."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.file_requests.append(
                    FileRequest(
                        request.method,
                        request.scope["path"],
                        dict(request.headers),
                        message["status"],
                    )
                )
            await send(message)

        return noting

    def _response(self, request: Request) -> Response:
        if request.scope["path"] != SEARCH_PATH:
            return HTMLResponse(_SEARCH_PAGE)
        try:
            response = self._searched(request)
        except RefusedError as refusal:
            response = _json(refusal.status, refusal.body, refusal.headers)
        parameters = tuple(request.query_params.multi_items())
        self.requests.append(
            SearchRequest(self._clock(), parameters, dict(request.headers), response.status_code)
        )
        return response

    def _searched(self, request: Request) -> Response:
        _negotiate(request, self.era)
        self._admit(request)
        if request.method == "OPTIONS":
            return _json(200, {"name": "Search", "renders": ["application/json", "text/csv"]}, {})
        if request.method != "GET":
            raise RefusedError(405, {"detail": f'Method "{request.method}" not allowed.'})
        query = read_query(request.query_params.multi_items(), self.era)
        newest_day = self._index.newest_day()
        return _json(200, self._envelope(query, self._index.search(query), newest_day), _FOUND)

    def _admit(self, request: Request) -> None:
        """Refuse a client that asks too often; whatever it asks, it has asked."""
        if self._throttle is None:
            return
        address = request.client.host if request.client else ""
        seconds = math.ceil(self._throttle.wait(request.headers.get("X-Forwarded-For", address)))
        if seconds:
            plural = "" if seconds == 1 else "s"
            raise RefusedError(
                429,
                {
                    "detail": "Request was throttled."
                    f" Expected available in {seconds} second{plural}."
                },
                {"Retry-After": str(seconds)},
            )

    def _envelope(self, query: Query, page: Page, newest_day: date) -> dict[str, Any]:
        today = self._today or newest_day + timedelta(1)
        aggregations = {
            name: {
                "doc_count": page.total,
                name: {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": []},
            }
            for name in _AGGREGATIONS
        }
        return {
            "took": 1,
            "timed_out": False,
            "_shards": {"total": 5, "successful": 5, "skipped": 0, "failed": 0},
            "hits": {
                "total": {"value": page.total, "relation": "eq"},
                "max_score": None,
                "hits": self._hits(query, page),
            },
            **({"aggregations": aggregations} if query.aggregations else {}),
            "_meta": {
                "license": "CC0",
                "last_updated": f"{newest_day}T12:00:00-05:00",
                "last_indexed": f"{today}T12:00:00-05:00",
                "total_record_count": len(self._index),
                "is_data_stale": newest_day < today - _patience(today),
                "has_data_issue": False,
                "break_points": {},
            },
        }

    def _hits(self, query: Query, page: Page) -> list[dict[str, Any]]:
        index = "complaint-public-v1" if self.era == "2024" else "complaint-public-v2"
        typed = {"_type": "_doc"} if self.era == "2024" else {}
        return [
            {
                "_index": index,
                **typed,
                "_id": row.id,
                "_score": SCORE if query.by_relevance else None,
                "_source": row.source,
                "sort": (SCORE, row.id) if query.by_relevance else row.key,
            }
            for row in page.rows
        ]


def _negotiate(request: Request, era: Era) -> None:
    """Refuse a format or an Accept header that the server does not answer in (section 1)."""
    asked = request.query_params.get("format") or "default"
    if asked not in {"default", "csv"} and not (asked == "json" and era == "2024"):
        raise RefusedError(404, {"detail": "Not found."})
    accepted = {
        kind.split(";")[0].strip() for kind in request.headers.get("Accept", "*/*").split(",")
    }
    as_json = asked != "csv" and accepted & _JSON_ACCEPTED
    as_csv = asked != "json" and accepted & _CSV_ACCEPTED
    if not as_json and not as_csv:
        raise RefusedError(406, {"detail": "Could not satisfy the request Accept header."})
    if asked == "json" or not as_json:
        # The real server would export here, and this one says that it does not.
        raise RefusedError(501, {"detail": "The emulator makes no exports."})


def _patience(today: date) -> timedelta:
    """Return how old data may be before they are called stale (section 2)."""
    friday = 4
    return timedelta(today.weekday() if today.weekday() >= friday else 6)


def _json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    return Response(
        msgspec.json.encode(body),
        status,
        {**_EVERY_ANSWER, **headers},
        media_type="application/json",
    )
