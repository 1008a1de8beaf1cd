"""Many complaints at once, column by column: the fast way for values without peculiarities.

It gives the same complaints as `parse/values.py`, or raises an error so that the caller parses
them one by one; `test_columns_are_parsed_as_single_complaints` compares the two. 10,000 search hits
took 43 ms, and 71 ms one by one.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import filterfalse
from operator import eq
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import DATE_FORMATS, calendar_day, parse_date
from cfpb_etl.parse.values import DATE_FIELDS, EMPTY, MAX_ID, TEXT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DIGITS_TO_ZERO = str.maketrans("123456789", "000000000")


def parse_columns(columns: Mapping[str, Sequence[Any]], rows: int) -> list[Complaint]:
    """Return complaints as `parse_fields` does, given column by column.

    Args:
        columns: The values of each column, by its name; unknown columns are ignored.
        rows: How many complaints there are.

    Raises:
        TypeError, ValueError, KeyError: If the complaints have to be parsed one by one.
    """
    parsed = {
        name: _text_or_null(columns[name]) if name in columns else [None] * rows
        for name in TEXT_FIELDS
    }
    for name in DATE_FIELDS:
        parsed[name] = _days(parsed[name])
    # As `Complaint._make`, without a Python call for each complaint.
    make = partial(tuple.__new__, Complaint)
    return [*map(make, zip(_plain_numbers(columns["complaint_id"]), *parsed.values()))]  # noqa: B905 - 4 % faster


def _text_or_null(column: Sequence[Any]) -> Sequence[str | None]:
    """Return a column with None for empty values, or raise TypeError if a value is not text."""
    try:
        texts = "\0".join(column)
    except TypeError:
        texts = "\0".join(filter(None, column))
        if not {*filterfalse(None, column)} <= {None, ""}:
            raise
    if not texts.isascii():
        texts.encode()  # a lone surrogate cannot be encoded: ValueError
    if "None" in texts:
        return [None if value in EMPTY else value for value in column]
    return [value or None for value in column] if "" in column else column


def _days(column: Sequence[str | None]) -> Sequence[str | None]:
    """Return dates as `parse_date` does, or raise ValueError."""
    distinct = {*column}
    if len(distinct) * 8 < len(column):  # days, not moments: parse each of them once
        days = {text: text and parse_date(text) for text in distinct}
        return column if all(map(eq, days, days.values())) else [days[text] for text in column]
    texts = [*filter(None, column)]
    # With every digit replaced by 0, few different formats are left.
    formats = "\n".join(texts).translate(_DIGITS_TO_ZERO).split("\n") if texts else []
    if len(formats) != len(texts) or not all(map(DATE_FORMATS.fullmatch, {*formats})):
        raise ValueError
    for day in {text[:10] for text in texts}:
        calendar_day(day)
    return [text and text[:10] for text in column]


def _plain_numbers(ids: Sequence[str]) -> list[int]:
    """Return ids as numbers, or raise ValueError if one of them is unusual."""
    if ids and (min(ids) < "1" or max(map(len, ids)) >= len(str(MAX_ID))):
        raise ValueError
    if not re.fullmatch("[0-9]*", "".join(ids)):
        raise ValueError
    return [*map(int, ids)]
