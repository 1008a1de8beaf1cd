"""Pages of search hits: the next page, the end of paging, and the splitting of a window."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from cfpb_etl.fetch.http.client import decode_json
from cfpb_etl.fetch.http.errors import NoAdvanceError, UnexpectedBodyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

Cursor = tuple[int, str]
"""The sort value of a hit: milliseconds since 1970, and the id, which is sorted as text."""

_MAX_MILLISECONDS = 253_402_300_800_000  # the end of the year 9999


@dataclass(frozen=True)
class Page:
    """A page of a date window, to be fetched.

    Attributes:
        size: How many complaints to request.
        since: First day of the window; None if the window starts with the source's first day.
        until: Last day of the window; None if it is the newest day, which the first answer shows.
        number: The page's number in the window, from 1.
        after: The cursor, which is the sort value of the last complaint on the previous page; None
            for the first page.
        before_it: How many complaints the earlier pages of the window had.
        left: How many complaints of the window are left; None on the first page, when this is not
            known.
        index_day: The newest plausible day received in the whole index, if a request has found it;
            None if each answer shows this day.
    """

    size: int
    since: str | None = None
    until: str | None = None
    number: int = 1
    after: Cursor | None = None
    before_it: int = 0
    left: int | None = None
    index_day: str | None = None

    def __str__(self) -> str:
        return f"{self._days}page {self.number}"

    @property
    def _days(self) -> str:
        """Return the window in words, such as `2026-10-01 to 2026-10-07, `; "" if it has all days.

        The words are ASCII: Prefect's picture of a run leaves out all other characters.
        """
        match self.since, self.until:
            case None, None:
                return ""
            case since, None:
                return f"since {since}, "
            case None, until:
                return f"until {until}, "
            case since, until:
                return f"{since}, " if since == until else f"{since} to {until}, "

    @property
    def key(self) -> str:
        """Return the window's first day, which splitting the window does not change."""
        return self.since or ""

    def to_json(self) -> str:
        """Return the page as JSON."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        )

    @classmethod
    def from_json(cls, text: str) -> Page:
        """Return the page from the JSON that `to_json` wrote."""
        values = json.loads(text)
        if "after" in values:
            values["after"] = tuple(values["after"])
        return cls(**values)

    def first(self) -> Page:
        """Return the first page of the same window."""
        return Page(self.size, self.since, self.until)

    def size_within(self, limit: int | None) -> int:
        """Return how many complaints to request. The limit of a query can lower this number."""
        return self.size if limit is None else min(self.size, limit - self.before_it)

    def split(self, count: int) -> tuple[Page, ...]:
        """Split the rest of the window by days into at most `count` windows.

        The first new window keeps the cursor and the first day. The other windows start with their
        first page.
        """
        pages_left = -(-(self.left or 0) // self.size)
        if self.after is None or self.until is None:
            return (self,)
        cursor = datetime.fromtimestamp(self.after[0] / 1000, UTC).date()
        reached = max(cursor, date.fromisoformat(self.since or "0001-01-01"))
        days = (date.fromisoformat(self.until) - reached).days + 1
        pieces = min(count, pages_left, days)
        if pieces < 2:  # noqa: PLR2004 - one piece is the page itself
            return (self,)
        starts = [reached + timedelta(days * piece // pieces) for piece in range(1, pieces)]
        ends = [(start - timedelta(1)).isoformat() for start in starts]
        return (
            replace(self, until=ends[0], left=None),
            *(
                Page(self.size, start.isoformat(), end, index_day=self.index_day)
                for start, end in zip(starts, [*ends[1:], self.until], strict=True)
            ),
        )


def next_page(
    page: Page, hits: Sequence[msgspec.Raw], matching: int, limit: int | None, url: str
) -> Page | None:
    """Return the page after a fetched page; None if the page was the last page of its window.

    The last page of a window is empty, has fewer hits than requested, or reaches the limit
    (docs/facts.md, "Paging").

    Args:
        page: The fetched page.
        hits: The hits of the page.
        matching: How many complaints match in the window.
        limit: How many complaints to fetch, the newest first; None to fetch all, the oldest first.
        url: The page's URL, for the error.

    Raises:
        NoAdvanceError: If a hit does not come after the cursor. A server that ignores the cursor
            sends the first page again and again (docs/facts.md, "Cursor without sort").
        UnexpectedBodyError: If a hit has no sort value.
    """
    if not hits:
        return None
    last = _cursor_of(hits[-1], url)
    cursors = [page.after, _cursor_of(hits[0], url), last if len(hits) > 1 else None]
    for earlier, later in pairwise(filter(None, cursors)):
        if earlier == later or (earlier < later) != (limit is None):
            raise NoAdvanceError(url, detail=f"{later} came after {earlier}")
    fetched = page.before_it + len(hits)
    if len(hits) < page.size_within(limit) or fetched == limit:
        return None
    return replace(
        page,
        number=page.number + 1,
        after=last,
        before_it=fetched,
        left=max(matching - fetched, 0),
    )


def _cursor_of(hit: msgspec.Raw, url: str) -> Cursor:
    match decoded := decode_json(hit, url, Any):
        case {"sort": [int(milliseconds), str(number)]} if 0 <= milliseconds < _MAX_MILLISECONDS:
            return milliseconds, number
    raise UnexpectedBodyError(url, detail=f"a hit without a sort value: {decoded!r:.80}")
