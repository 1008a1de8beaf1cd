"""Decides once for a file whether day or month comes first in dates such as `03/04/2020`.

Both date columns of all rows count. A row does not fit an order if, in this order, one of its dates
is impossible, before CFPB's first complaint or after today, or if the complaint was sent to the
company more than a day before it was received (docs/facts.md, "Date formats").
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cfpb_etl.parse.csv_format.days import FIRST_DAY, LONGEST, ORDERS, is_certain, readings
from cfpb_etl.parse.errors import UncertainDatesError
from cfpb_etl.parse.values import DATE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cfpb_etl.parse.csv_format.days import Order

# A few rows may be wrong in themselves, so they must not decide the order of a whole file.
_WRONG_ROWS = 1 / 1000  # share of a file's rows
_CLEAR = 10  # how many times as many rows must contradict each other order
# A damaged `2020-10-31` can be `20-10-31` or `2-10-31`. So a few rows among more rows with certain
# dates show nothing, and next to certain dates, a year of two digits never comes first.
_FEW = 10  # rows
_ENOUGH = 1_000  # rows that contradict each other order; then the rest of the file is not read


def decide_order(rows: Iterable[tuple[int, Sequence[str]]], today: str, path: Path) -> Order | None:
    """Return the order of day and month in a file; None if the few rows that need it are wrong.

    Args:
        rows: The line number of each row, and the texts of its dates: the day received and, if the
            file has the column, the day sent to the company.
        today: The latest plausible day, `YYYY-MM-DD`.
        path: The file, for the error.

    Raises:
        UncertainDatesError: If the rows do not show the order.
    """
    found = _Found(rows, today)
    if found.best == "year-first" and found.certain:
        return None
    if 0 < found.ordered < min(found.certain, _FEW):
        return None
    if found.is_clear or found.first is None:
        return found.best
    if found.uncertain <= _WRONG_ROWS * (found.certain + found.ordered):
        return None
    line, text, days = found.first
    raise UncertainDatesError(path=path, line=line, written=text, readings=days)


class _Found:
    """What the rows of a file show.

    Attributes:
        certain: Rows whose dates are the same days in each order.
        ordered: Rows with a date that is not.
        uncertain: Rows with a date that is a day in more than one order.
        first: The line of the first uncertain row, its date, and what the date can mean.
        best: The order that most rows fit.
        is_clear: Whether enough rows do not fit the other orders.
    """

    def __init__(self, rows: Iterable[tuple[int, Sequence[str]]], today: str) -> None:
        self.certain = self.ordered = self.uncertain = 0
        self.first: tuple[int, str, dict[Order, str]] | None = None
        self.best: Order = ORDERS[0]
        self.is_clear = False
        misfits = dict.fromkeys(ORDERS, 0)
        for line, texts in rows:
            fits, unclear = _fitting(tuple(text[: LONGEST + 1] for text in texts), today)
            if fits is None:
                self.certain += any(map(readings, texts))
                continue
            self.ordered += 1
            if unclear is not None:
                self.uncertain += 1
                self.first = self.first or (line, unclear, readings(unclear))
            for order in ORDERS if fits else ():
                misfits[order] += order not in fits
            self.best, second = sorted(ORDERS, key=misfits.__getitem__)[:2]
            self.is_clear = (
                misfits[second] > _WRONG_ROWS * self.ordered
                and misfits[second] >= _CLEAR * misfits[self.best]
            )
            if self.is_clear and misfits[second] >= _ENOUGH:
                return


@lru_cache(maxsize=20_000)
def _fitting(texts: tuple[str, ...], today: str) -> tuple[frozenset[Order] | None, str | None]:
    """Return the orders that a row fits, and its first text whose day depends on the order.

    The orders are None if all dates are certain.
    """
    days = [readings(text) for text in texts]
    if all(not each or is_certain(each) for each in days):
        return None, None
    fits = frozenset(
        order for order in ORDERS if _is_plausible([each.get(order) for each in days], texts, today)
    )
    unclear = (text for text, each in zip(texts, days, strict=True) if len({*each.values()}) > 1)
    return fits, next(unclear, None)


def _is_plausible(days: Sequence[str | None], texts: Sequence[str], today: str) -> bool:
    known = []
    for day, text in zip(days, texts, strict=True):
        if day is not None and FIRST_DAY <= day <= today:
            known.append(date.fromisoformat(day))
        elif readings(text):
            return False
        # Another text, such as "NA", is not a day in any order.
    return len(known) < len(DATE_FIELDS) or known[1] >= known[0] - timedelta(1)
