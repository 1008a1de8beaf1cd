"""Queries that are fetched page by page from an application."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from cfpb_etl.emulator import serve
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.parse.dispatch import parse_part
from support.made_up import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from cfpb_etl.model.part import RawPart

COMPLAINTS = made_up(2_500, era="2024")
NEWEST_DAY = "2024-11-05"


def fetch_all(source: SearchApi) -> Iterator[RawPart]:
    """Fetch all pages of all windows one after the other, like the flow without concurrency."""
    waiting = deque[Any](source.parts())
    while waiting:
        raw = source.fetch(waiting.popleft())
        raw.next_parts = source.split(raw, len(waiting))
        waiting.extendleft(reversed(raw.next_parts))
        yield raw


def fetch_pages(app: ASGIApp, **options: Any) -> list[RawPart]:
    """Fetch all pages of a query from an application."""
    with serve(app) as url:
        return list(fetch_all(SearchApi(**{"url": url, "rate_limit": None, **options})))


def ids_of(pages: list[RawPart]) -> list[int]:
    """Parse pages, and return the ids of their complaints in order."""
    return [
        complaint.complaint_id
        for raw in pages
        for batch in parse_part(raw).take_batches()
        for complaint in batch.complaints
    ]


def day_of(complaint: Any) -> str:
    """Return the day on which a complaint was received."""
    return str(complaint["date_received"])[:10]
