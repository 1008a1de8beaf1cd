"""Decides once for a file whether day or month comes first in dates such as `03/04/2020`.

Both date columns of all rows count. A row does not fit an order if, in this order, one of its dates
is impossible, before CFPB's first complaint or after today, or if the complaint was sent to the
company more than a day before it was received (docs/facts.md, "Date formats").
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cfpb_etl.parse.csv_format.days import FIRST_DAY, LONGEST, ORDERS, readings
from cfpb_etl.parse.errors import UncertainDatesError
from cfpb_etl.parse.values import DATE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cfpb_etl.parse.csv_format.days import Order

# A few rows may be wrong in themselves, so they must not decide the order of a whole file.
_WRONG_ROWS = 1 / 1000  # share of a file's rows
_CLEAR = 10  # how many times as many rows must contradict each other order
_ENOUGH = 1_000  # rows that contradict each other order; then the rest of the file is not read


def decide_order(rows: Iterable[tuple[int, Sequence[str]]], today: str, path: Path) -> Order | None:
    """Return the order of day and month in a file; None if too few rows need it to matter.

    Args:
        rows: The line number of each row, and the texts of its dates: the day received and, if the
            file has the column, the day sent to the company.
        today: The latest plausible day, `YYYY-MM-DD`.
        path: The file, for the error.

    Raises:
        UncertainDatesError: If the rows do not show the order.
    """
    count = dates = uncertain = 0
    misfits = dict.fromkeys(ORDERS, 0)
    first: tuple[int, str, dict[Order, str]] | None = None
    for line, texts in rows:
        count += 1
        fits, unclear = _fitting(tuple(text[: LONGEST + 1] for text in texts), today)
        if fits is None:
            continue  # each date of the row is certain
        dates += 1
        if unclear is not None:
            uncertain += 1
            first = first or (line, unclear, readings(unclear))
        if fits:
            for order in ORDERS:
                misfits[order] += order not in fits
        best, second = sorted(ORDERS, key=misfits.__getitem__)[:2]
        if misfits[second] >= _ENOUGH and _is_clear(misfits[best], misfits[second], dates):
            return best
    best, second = sorted(ORDERS, key=misfits.__getitem__)[:2]
    if _is_clear(misfits[best], misfits[second], dates) or first is None:
        return best
    if uncertain <= _WRONG_ROWS * count:
        return None  # these rows are rejected
    line, text, days = first
    raise UncertainDatesError(path=path, line=line, written=text, readings=days)


def _is_clear(misfits: int, other_misfits: int, rows: int) -> bool:
    return other_misfits > _WRONG_ROWS * rows and other_misfits >= _CLEAR * misfits


@lru_cache(maxsize=20_000)
def _fitting(texts: tuple[str, ...], today: str) -> tuple[frozenset[Order] | None, str | None]:
    """Return the orders that a row fits, and its first text whose day depends on the order.

    The orders are None if all dates are certain.
    """
    days = [readings(text) for text in texts]
    if all(len({*each.values()}) <= 1 and len(each) in {0, len(ORDERS)} for each in days):
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
