"""Dates as CFPB writes them."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

# 2026-08-14, 2024-11-05T12:00:00-05:00 and 2023-03-11T14:26:56.000Z (DATA.md section 6).
_DATE_SPELLINGS = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?", re.ASCII
)


def parse_date(text: str) -> str:
    """Return the day of a date in any of its three spellings, as `YYYY-MM-DD`.

    The day is taken as it is written, never moved to another zone: the old style's noon is not a
    time, and the new style's UTC day is the one that CFPB's own files carry (DATA.md section 6).

    Raises:
        ValueError: If it is none of them, or no day of the calendar.

    >>> parse_date("2024-11-05T12:00:00-05:00")
    '2024-11-05'
    """
    spelled = _DATE_SPELLINGS.fullmatch(text)
    if spelled is None:
        raise ValueError(f"not a date: {text[:40]!r}")
    return _calendar_day(spelled[1])


@lru_cache(maxsize=20_000)  # every day since CFPB's first, and then some
def _calendar_day(day: str) -> str:
    return date.fromisoformat(day).isoformat()
