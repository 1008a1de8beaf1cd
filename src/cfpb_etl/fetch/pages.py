"""Where a walk through matching complaints stands: windows of days, each page by page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta

Cursor = tuple[int, str]
"""The sort value of a complaint: milliseconds since 1970, and its id, which is ordered as text."""


@dataclass(frozen=True)
class Page:
    """The page to ask for next in a window of days.

    Attributes:
        size: Complaints to ask for.
        since: First day of the window, or None for the source's first.
        until: Last day of the window, or None for the newest; the first answer settles it.
        number: From 1, within the window.
        after: The cursor: the sort value of the last complaint before it, None at the start.
        before_it: How many complaints the pages before it held.
        left: How many are still to come, by the window's last count; None at the start.
    """

    size: int
    since: str | None = None
    until: str | None = None
    number: int = 1
    after: Cursor | None = None
    before_it: int = 0
    left: int | None = None

    def __str__(self) -> str:
        return f"{self._days}page {self.number}"

    @property
    def _days(self) -> str:
        """Return the window for a person, such as `2026-10-01…07, `; nothing for all days."""
        if not self.since and not self.until:
            return ""
        since, until = self.since or "", self.until or ""
        if since == until:
            return f"{since}, "
        alike = 8 if since[:8] == until[:8] else 5 if since[:5] == until[:5] else 0
        return f"{since}…{until[alike:]}, "

    @property
    def key(self) -> str:
        """Return what a window is known by however it is divided: its first day."""
        return self.since or ""

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {name: value for name, value in asdict(self).items() if value is not None}
        )

    @classmethod
    def from_json(cls, progress: str) -> Page:
        """Return the page that `to_json` told of."""
        told = json.loads(progress)
        if "after" in told:
            told["after"] = tuple(told["after"])
        return cls(**told)

    def first(self) -> Page:
        """Return the first page of its window."""
        return Page(self.size, self.since, self.until)

    def split(self, into: int) -> tuple[Page, ...]:
        """Divide what is left of the window by days, so that so many can be walked side by side.

        The first keeps the cursor and the window's beginning; the others begin anew.
        """
        pages_left = -(-(self.left or 0) // self.size)
        if self.after is None or self.until is None:
            return (self,)
        cursor = datetime.fromtimestamp(self.after[0] / 1000, UTC).date()
        reached = max(cursor, date.fromisoformat(self.since or "0001-01-01"))
        days = (date.fromisoformat(self.until) - reached).days + 1
        pieces = min(into, pages_left, days)
        if pieces < 2:  # noqa: PLR2004 - one piece is the page itself
            return (self,)
        begins = [reached + timedelta(days * piece // pieces) for piece in range(1, pieces)]
        ends = [(begin - timedelta(1)).isoformat() for begin in begins]
        return (
            replace(self, until=ends[0], left=None),
            *(
                Page(self.size, begin.isoformat(), end)
                for begin, end in zip(begins, [*ends[1:], self.until], strict=True)
            ),
        )
