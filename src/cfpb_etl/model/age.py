"""The age of data: between which days the data were taken from CFPB.

All ages are days on one scale: the newest day received among all of CFPB's complaints at the moment
when the data were taken. This day never gets earlier, and the search API, the daily file and the
archive all show it. A part of the complaints shows it only between two days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_DAY = "2011-12-01"  # CFPB's first complaint (docs/facts.md, "Number of complaints")
LAST_UPDATED = "_meta.last_updated"  # the evidence of the search API
MAX_LAG = 6  # days; CFPB calls older data stale (docs/facts.md, "Shape of a response")


class Age(NamedTuple):
    """Between which days data are.

    Attributes:
        earliest: The earliest possible day of the data, `YYYY-MM-DD`.
        latest: The latest possible day. It is the same day if the day is certain.
        evidence: What shows the days, such as `newest day received`.
        taken_from: The earliest day, by the calendar, on which a part can have been taken from
            CFPB; None for other data. It can be later than `earliest`, because nothing may be
            received on some days.
    """

    earliest: str
    latest: str
    evidence: str
    taken_from: str | None = None

    def __str__(self) -> str:
        return days_in_words(self.earliest, self.latest)

    @classmethod
    def on(cls, day: str, evidence: str) -> Age:
        """Return the age of data whose day is certain."""
        return cls(day, day, evidence)


def days_in_words(earliest: str, latest: str) -> str:
    """Return the day of data as text: one day if both are the same.

    >>> days_in_words("2026-10-01", "2026-10-07")
    'a day between 2026-10-01 and 2026-10-07'
    """
    return earliest if earliest == latest else f"a day between {earliest} and {latest}"


@dataclass(frozen=True)
class Evidence:
    """What shows the age of a file, apart from its complaints.

    Attributes:
        as_of: The day of the data by `--as-of`, `YYYY-MM-DD`; None if the user gave no day.
        archived_until: The last day of the archive, if the file is a part of the whole archive.
        not_after: Days after which the file cannot have been written, each with the words for this
            evidence.
        exported_on: The day in CFPB's own name for an export; None if the file has another name.
    """

    as_of: str | None = None
    archived_until: str | None = None
    not_after: tuple[tuple[str, str], ...] = ()
    exported_on: str | None = None

    @property
    def stated(self) -> Age | None:
        """Return the age that does not depend on the complaints; None if there is no such age."""
        if self.as_of is not None:
            return Age.on(self.as_of, "--as-of")
        if self.archived_until is not None:
            return Age.on(self.archived_until, "the archive's last month")
        return None


class NewestDays(NamedTuple):
    """The newest plausible days in a file's columns; None if a file has no such day.

    Attributes:
        received: The newest day received.
        any: The newest day received or sent to the company.
    """

    received: str | None = None
    any: str | None = None


def newest_of(days: Iterable[str | None], today: str) -> str | None:
    """Return the newest plausible day; None if there is none.

    Args:
        days: The days, `YYYY-MM-DD`, or None where a complaint has no day.
        today: The latest plausible day.
    """
    return max((day for day in days if day and day <= today), default=None)


def oldest_of(days: Iterable[str | None]) -> str | None:
    """Return the first day since CFPB's first complaint; None if days have no such day."""
    return min((day for day in days if day and day >= FIRST_DAY), default=None)


def age_of_file(
    evidence: Evidence, newest: NewestDays, today: str, *, is_whole: bool
) -> Age | None:
    """Return the age of a file; None if nothing shows it, because no complaint has a day.

    A whole file has the day of its newest complaint. A part is not older than its newest day, and
    not newer than the evidence shows. Evidence that contradicts the complaints, or that is in the
    future, is not used.

    Args:
        evidence: What shows the age, apart from the complaints.
        newest: The newest days in the file.
        today: The latest plausible day.
        is_whole: Whether the file has all complaints that CFPB publishes.
    """
    if evidence.stated is not None:
        return evidence.stated
    if newest.any is None:
        return None
    if is_whole and newest.received is not None:
        return Age.on(newest.received, "newest day received")
    earliest, taken_from = newest.received or FIRST_DAY, newest.any
    bounds = [(day, words) for day, words in evidence.not_after if taken_from <= day <= today]
    exported = evidence.exported_on
    if exported is not None and taken_from <= exported <= today:
        bounds.append((exported, "name of the export"))
        start = (date.fromisoformat(exported) - timedelta(MAX_LAG)).isoformat()
        earliest, taken_from = max(earliest, start), exported
    latest, words = min(bounds, default=(today, "today"))
    return Age(earliest, latest, f"newest day in its dates, {words}", taken_from)
