"""The date formats of CFPB."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

# 2026-08-14, 2024-11-05T12:00:00-05:00 and 2023-03-11T14:26:56.000Z: docs/facts.md, "Date formats".
DATE_FORMATS = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?", re.ASCII
)


def parse_date(text: str) -> str:
    """Return the day of a date as `YYYY-MM-DD`. The date has one of CFPB's three formats.

    The time and the time zone are ignored. In the old format, the time of day is always noon, which
    is only a placeholder. In the new format, the UTC day equals the day in CFPB's files
    (docs/facts.md, "Date formats").

    Raises:
        ValueError: If the text has another format, or the calendar does not have the day.

    >>> parse_date("2024-11-05T12:00:00-05:00")
    '2024-11-05'
    """
    match = DATE_FORMATS.fullmatch(text)
    if match is None:
        raise ValueError(f"not a date: {text[:40]!r}")
    return calendar_day(match[1])


@lru_cache(maxsize=20_000)  # CFPB has had fewer days since its first complaint
def calendar_day(day: str) -> str:
    """Return a day `YYYY-MM-DD`, or raise ValueError if the calendar does not have the day."""
    return date.fromisoformat(day).isoformat()
