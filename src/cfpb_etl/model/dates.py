"""The date formats of CFPB, and the latest plausible day."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

# 2026-08-14, 2024-11-05T12:00:00-05:00 and 2023-03-11T14:26:56.000Z: docs/facts.md, "Date formats".
DATE_FORMATS = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?", re.ASCII
)

RELEASED = "2026-11-26"  # the day of this version; a clock that shows an earlier day is behind


def clock_day() -> str:
    """Return today by the computer's clock, `YYYY-MM-DD` in UTC."""
    return datetime.now(UTC).date().isoformat()


def latest_plausible_day(*known: str | None) -> str:
    """Return the latest day that data can have, `YYYY-MM-DD`.

    This is the day after today, because a server's clock can be in another time zone. Today is the
    latest of the computer's clock, this version's release and the days that are known to have
    passed, because a computer's clock can be behind.
    """
    today = date.fromisoformat(max(filter(None, (clock_day(), RELEASED, *known))))
    return (today + timedelta(today < date.max)).isoformat()


def is_clock_behind(today: str) -> bool:
    """Say whether the computer's clock is at least two days behind the latest plausible day."""
    behind = date.fromisoformat(today) - date.fromisoformat(clock_day())
    return behind > timedelta(2)  # one day is the allowance for time zones


def http_moment(text: str | None) -> datetime | None:
    """Return the moment of an HTTP date, in UTC; None if the text is not such a date."""
    try:
        moment = parsedate_to_datetime(text or "")
        # The zone -0000 means UTC. For this zone Python returns a time without a zone.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def http_day(text: str | None) -> str | None:
    """Return the day of an HTTP date, `YYYY-MM-DD` in UTC; None if the text is not such a date."""
    moment = http_moment(text)
    return None if moment is None else moment.date().isoformat()


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
