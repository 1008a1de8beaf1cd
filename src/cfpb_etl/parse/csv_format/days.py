"""The spellings of a day in CSV files, and the day that each spelling means.

CFPB's own files have `2020-01-10`. Socrata, Excel, pandas, R, Spark and others write the same day
in other ways (docs/facts.md, "Date formats"). A spelling such as `03/04/2020` has two readings, so
it needs the order of day and month, which is decided once for a file (`date_order.py`).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The program finds out by itself if a file has year-first dates such as `20/03/04`. Users cannot
# choose this order, because Excel, R and the others write it only with four digits of the year.
Order: TypeAlias = Literal["month-first", "day-first", "year-first"]
ORDERS: tuple[Order, ...] = ("month-first", "day-first", "year-first")

FIRST_DAY = "2011-12-01"  # of CFPB's first complaint: docs/facts.md, "Number of complaints"
_CENTURY, _FIRST_YEAR = 2000, 11  # a year of two digits is 2011 to 2099, because CFPB began in 2011
_TWO_DIGITS = 2
LONGEST = 60  # characters; "Wednesday, September 30, 2020 12:00:00.000 AM +00:00" has 52
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(?P<name>jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|january|february|march"
_MONTH += r"|april|august|september|october|november|december)\.?"
_WEEKDAY = "(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?,? )?"
_SPACE = r"[\s\xa0\u202f]"  # new versions of Excel write a narrow space before AM
_TIME = (
    rf"(?:(?:T|,?{_SPACE}+)\d{{1,2}}:\d\d(?::\d\d(?:[.,]\d{{1,9}})?)?(?:{_SPACE}?[AP]\.?M\.?)?"
    r"(?:\s?(?:Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?)?"
)


def _pattern(day: str) -> re.Pattern[str]:
    return re.compile(day + _TIME, re.ASCII | re.IGNORECASE)


_CERTAIN = (
    _pattern(r"(?P<year>\d{4})(?P<sign>[-/.] ?)(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})\.?"),
    _pattern(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"),
    _pattern(rf"(?P<day>\d{{1,2}})(?P<sign>[-/. ]?){_MONTH}(?P=sign)(?P<year>\d{{4}}|\d\d)"),
    _pattern(rf"{_WEEKDAY}(?P<day>\d{{1,2}}) {_MONTH},? (?P<year>\d{{4}})"),
    _pattern(rf"{_WEEKDAY}{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}})"),
    _pattern(rf"(?P<year>\d{{4}})(?P<sign>[-/. ]){_MONTH}(?P=sign)(?P<day>\d{{1,2}})"),
)
_ORDERED = _pattern(r"(\d{1,2})([-/.] ?)(\d{1,2})\2(\d{4}|\d\d)\.?")


class Days(dict[str, str]):
    """The days of a file by their spelling; each spelling is read once.

    Args:
        find_order: Returns the file's order of day and month, or None if no order is certain. It is
            called at most once, when the first spelling needs the order.

    Raises:
        ValueError: If a text is not a day, or its order is not certain.
    """

    _MAX = 20_000  # spellings in memory; CFPB has had fewer days since its first complaint

    def __init__(self, find_order: Callable[[], Order | None]) -> None:
        super().__init__()
        self._find_order = find_order
        self._order: Order | None = None
        self._is_decided = False

    def __missing__(self, text: str) -> str:
        if len(self) >= self._MAX:
            self.clear()
        self[text] = day = self._read(text)
        return day

    def _read(self, text: str) -> str:
        days = readings(text)
        if is_certain(days):
            return days[ORDERS[0]]
        if days and not self._is_decided:
            self._order, self._is_decided = self._find_order(), True
            self.clear()
        if self._order is not None and self._order in days:
            return days[self._order]
        raise ValueError(f"not a date: {text[:40]!r}")


def is_certain(days: Mapping[Order, str]) -> bool:
    """Say whether a spelling with these readings means the same day in each order."""
    return len(days) == len(ORDERS) and len({*days.values()}) == 1


def readings(text: str) -> dict[Order, str]:
    """Return the day, `YYYY-MM-DD`, that a text spells in each order; empty if it is not a day.

    The time of day and the time zone are ignored, as in `model/dates.py`.

    >>> readings("03/04/2020")
    {'month-first': '2020-03-04', 'day-first': '2020-04-03'}
    """
    return _readings(text) if len(text) <= LONGEST else {}


@lru_cache(maxsize=20_000)
def _readings(text: str) -> dict[Order, str]:
    text = text.strip()
    for pattern in _CERTAIN:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            name = found.get("name")
            month = _MONTHS.index(name[:3].lower()) + 1 if name else found["month"]
            day = _day(found["year"], month, found["day"])
            return dict.fromkeys(ORDERS, day) if day else {}
    match = _ORDERED.fullmatch(text)
    if match is None:
        return {}
    first, _, second, third = match.groups()
    days = {"month-first": _day(third, first, second), "day-first": _day(third, second, first)}
    if len(third) == len(first) == _TWO_DIGITS:
        days["year-first"] = _day(first, second, third)
    return {order: days[order] for order in ORDERS if days.get(order)}  # type: ignore[misc]


def _day(year: str, month: str | int, day: str) -> str | None:
    number = int(year)
    if len(year) == _TWO_DIGITS:
        number = _CENTURY + number if number >= _FIRST_YEAR else 0
    with suppress(ValueError):
        return date(number, int(month), int(day)).isoformat()
    return None
