"""The emulator of the complaint search and the file server, as an ASGI application.

The emulator checks a search in the same order as the real server: content negotiation (404, 406),
rate limit (429), method (405), parameters (400), index (424, 500). The source of this order is
docs/facts.md, "Address and methods".
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

from cfpb_etl.emulator.data.complaints import Era, RawComplaint
from cfpb_etl.emulator.data.files import DOCUMENTS_PATH, Columns, write_bulk_file
from cfpb_etl.emulator.errors import HttpError
from cfpb_etl.emulator.file_server import ARCHIVE_PATH, file_server
from cfpb_etl.emulator.parameters import read_query
from cfpb_etl.emulator.search import SCORE, Index, Page, Query
from cfpb_etl.emulator.throttle import Throttle

SEARCH_PATH = "/data-research/consumer-complaints/search/api/v1/"
"""The path of the search API. A path that is neither this path nor a file's gets an HTML page."""

_FILE_PATHS = ("/ccdb/", DOCUMENTS_PATH, ARCHIVE_PATH)

_WEB_PAGE = "<!DOCTYPE html><html><title>Search the Consumer Complaint Database</title></html>"
_COMMON_HEADERS = {"Allow": "GET, OPTIONS", "Vary": "Accept, Cookie"}
_SUCCESS_HEADERS = {
    "Access-Control-Allow-Origin": "https://cfpb.github.io",
    "Access-Control-Allow-Methods": "GET",
    "Edge-Cache-Tag": "complaints",
}
_ACCEPTS_JSON = {"application/json", "application/*", "*/*"}
_ACCEPTS_CSV = {"text/csv", "text/*", "*/*"}
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
    """A search request and the status of its response."""

    at: float
    """The time of the request, measured by the emulator's clock."""
    parameters: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    status: int


class FileRequest(NamedTuple):
    """A request for a file or for the archive's page, and the status of its response."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int


class Emulator:
    """An ASGI application that answers complaint searches and sends CFPB's files.

    The attribute `requests` lists all search requests. The attribute `file_requests` lists all
    requests for files. The complaints decide the era: "2024" if any complaint has a narrative,
    otherwise "deployed" (docs/facts.md, "Releases").

    Args:
        complaints: The complaints to serve.
        files: The folder of the files to send. `publish`, `write_bulk_file` and `write_archive`
            write to this folder.
        throttle: How many requests a client may send in `window_seconds`; the real server's limit
            is 20.
        window_seconds: The length of the sliding window in which `throttle` counts requests.
        today: The current day, which decides whether the data are stale. Default: the day after
            the newest complaint.
        clock: Returns the time in seconds for `throttle` and `SearchRequest.at`.
    """

    def __init__(  # noqa: PLR0913 - the options are independent of each other
        self,
        complaints: Iterable[RawComplaint],
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
        self._file_rows = {complaint["complaint_id"]: complaint for complaint in complaints}
        self._new_rows: dict[str, RawComplaint] = {}
        self._throttle = None if throttle is None else Throttle(throttle, window_seconds, clock)
        self._today = today
        self._clock = clock

    def put(self, complaint: RawComplaint) -> None:
        """Add a complaint, or replace the complaint with the same id."""
        self._index.put(complaint)
        self._new_rows[complaint["complaint_id"]] = complaint

    def withdraw(self, complaint_id: str) -> None:
        """Remove a complaint."""
        self._index.withdraw(complaint_id)
        self._new_rows.pop(complaint_id, None)
        self._file_rows.pop(complaint_id, None)

    def publish(self, day: date, *, columns: Columns = 15) -> None:
        """Write the bulk file of a day, in CFPB's order.

        Complaints that were added or replaced after the last file was written come first. The other
        complaints follow in the order of the last file (docs/facts.md, "Order of the daily file").

        Args:
            day: The day on which the file is published.
            columns: The number of columns, which depends on the era.

        Raises:
            ValueError: If the emulator has no folder for files.
        """
        if self._files is None:
            raise ValueError("the emulator has no folder for files")
        # In a union of dicts, a key keeps its first position and gets its last value.
        self._file_rows = self._new_rows | self._file_rows | self._new_rows
        self._new_rows = {}
        write_bulk_file(self._files, list(self._file_rows.values()), day=day, columns=columns)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (the ASGI interface)."""
        request = Request(scope)
        if scope["path"].startswith(_FILE_PATHS):
            await self._file_server(scope, receive, self._logging_send(request, send))
        else:
            await self._response(request)(scope, receive, send)

    def _logging_send(self, request: Request, send: Send) -> Send:
        """Return a `send` function that also adds the request and its status to `file_requests`."""

        async def logging_send(message: Message) -> None:
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

        return logging_send

    def _response(self, request: Request) -> Response:
        if request.scope["path"] != SEARCH_PATH:
            return HTMLResponse(_WEB_PAGE)
        try:
            response = self._search(request)
        except HttpError as error:
            response = _json(error.status, error.body, error.headers)
        parameters = tuple(request.query_params.multi_items())
        self.requests.append(
            SearchRequest(self._clock(), parameters, dict(request.headers), response.status_code)
        )
        return response

    def _search(self, request: Request) -> Response:
        _check_format(request, self.era)
        self._check_rate(request)
        if request.method == "OPTIONS":
            return _json(200, {"name": "Search", "renders": ["application/json", "text/csv"]}, {})
        if request.method != "GET":
            raise HttpError(405, {"detail": f'Method "{request.method}" not allowed.'})
        query = read_query(request.query_params.multi_items(), self.era)
        newest_day = self._index.newest_day()
        page = self._index.search(query)
        return _json(200, self._response_body(query, page, newest_day), _SUCCESS_HEADERS)

    def _check_rate(self, request: Request) -> None:
        """Refuse a request if its client is over the limit. Invalid requests count too."""
        if self._throttle is None:
            return
        address = request.client.host if request.client else ""
        client = request.headers.get("X-Forwarded-For", address)
        seconds = math.ceil(self._throttle.seconds_to_wait(client))
        if seconds:
            plural = "" if seconds == 1 else "s"
            raise HttpError(
                429,
                {
                    "detail": "Request was throttled."
                    f" Expected available in {seconds} second{plural}."
                },
                {"Retry-After": str(seconds)},
            )

    def _response_body(self, query: Query, page: Page, newest_day: date) -> dict[str, Any]:
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
                "is_data_stale": newest_day < today - _stale_after(today),
                "has_data_issue": False,
                "break_points": {},
            },
        }

    def _hits(self, query: Query, page: Page) -> list[dict[str, Any]]:
        index = "complaint-public-v1" if self.era == "2024" else "complaint-public-v2"
        hit_type = {"_type": "_doc"} if self.era == "2024" else {}
        return [
            {
                "_index": index,
                **hit_type,
                "_id": row.id,
                "_score": SCORE if query.by_relevance else None,
                "_source": row.source,
                "sort": (SCORE, row.id) if query.by_relevance else row.key,
            }
            for row in page.rows
        ]


def _check_format(request: Request, era: Era) -> None:
    """Refuse an unsupported format or Accept header (docs/facts.md, "Address and methods")."""
    requested = request.query_params.get("format") or "default"
    if requested not in {"default", "csv"} and not (requested == "json" and era == "2024"):
        raise HttpError(404, {"detail": "Not found."})
    accepted = {
        kind.split(";")[0].strip() for kind in request.headers.get("Accept", "*/*").split(",")
    }
    as_json = requested != "csv" and accepted & _ACCEPTS_JSON
    as_csv = requested != "json" and accepted & _ACCEPTS_CSV
    if not as_json and not as_csv:
        raise HttpError(406, {"detail": "Could not satisfy the request Accept header."})
    if requested == "json" or not as_json:
        # The real server would send an export here.
        raise HttpError(501, {"detail": "The emulator does not support exports."})


def _stale_after(today: date) -> timedelta:
    """Return the age at which data become stale (docs/facts.md, "Shape of a response")."""
    friday = 4
    return timedelta(today.weekday() if today.weekday() >= friday else 6)


def _json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    return Response(
        msgspec.json.encode(body),
        status,
        {**_COMMON_HEADERS, **headers},
        media_type="application/json",
    )
