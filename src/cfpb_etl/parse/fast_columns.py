"""Parses many complaints at once, column by column. This is fast, but works only for usual values.

The result is the same as with `parse/values.py`. For unusual values the functions raise an error,
and the caller parses the complaints one by one. `test_columns_are_parsed_as_single_complaints`
compares both ways. 10,000 search hits took 43 ms by columns, and 71 ms one by one.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import filterfalse
from operator import eq
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import DATE_FORMATS, calendar_day, parse_date
from cfpb_etl.parse.values import DATE_FIELDS, EMPTY, FREE_TEXT, MAX_ID, TEXT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DIGITS_TO_ZERO = str.maketrans("123456789", "000000000")


def parse_columns(
    columns: Mapping[str, Sequence[Any]],
    rows: int,
    refused: frozenset[str] = frozenset(),
    refused_anywhere: frozenset[str] = frozenset(),
) -> list[Complaint]:
    """Return the same complaints as `parse_fields`, but from whole columns.

    Args:
        columns: The values of each column, by column name. Unknown columns are ignored.
        rows: The number of complaints.
        refused: Texts that cannot be parsed here if a column other than free text has them.
        refused_anywhere: Texts that cannot be parsed here if a column of free text has them.

    Raises:
        TypeError, ValueError, KeyError: If the complaints must be parsed one by one.
    """
    parsed: dict[str, Sequence[str | None]] = {}
    for name in TEXT_FIELDS:
        if name not in columns:
            parsed[name] = [None] * rows
        elif name in FREE_TEXT:
            parsed[name] = _text_or_null(columns[name], refused_anywhere)
        else:
            parsed[name] = _code_or_null(columns[name], refused)
    for name in DATE_FIELDS:
        parsed[name] = _days(parsed[name])
    # This does the same as `Complaint._make`, but without a Python call for each complaint.
    make = partial(tuple.__new__, Complaint)
    return [*map(make, zip(_plain_numbers(columns["complaint_id"]), *parsed.values()))]  # noqa: B905 - 4 % faster


def _text_or_null(column: Sequence[Any], refused: frozenset[str]) -> Sequence[str | None]:
    """Return a column with None for empty values; raise TypeError if a value is not text."""
    try:
        texts = "".join(column)
    except TypeError:
        texts = "".join(filter(None, column))
        if not {*filterfalse(None, column)} <= {None, ""}:
            raise
    if not texts.isascii():
        texts.encode()  # raises ValueError for a lone surrogate, which cannot be encoded
    if "\0" in texts or any(text in column for text in refused):
        raise ValueError
    if "None" in column:
        return [None if value in EMPTY else value for value in column]
    return [value or None for value in column] if "" in column else column


def _code_or_null(column: Sequence[Any], refused: frozenset[str]) -> Sequence[str | None]:
    """Return the same as `_text_or_null`, faster for a column with few different texts."""
    distinct = {*column}
    values = distinct - EMPTY
    texts = "".join(values)  # raises TypeError for a number
    if not texts.isascii():
        texts.encode()
    if "\0" in texts or not refused.isdisjoint(values):
        raise ValueError
    if len(values) == len(distinct):
        return column
    if "None" in distinct:
        return [None if value in EMPTY else value for value in column]
    return [value or None for value in column]


def _days(column: Sequence[str | None]) -> Sequence[str | None]:
    """Return the same days as `parse_date`; raise ValueError if a date is unusual."""
    distinct = {*column}
    if len(distinct) * 8 < len(column):  # there are no times: parse each distinct day once
        days = {text: text and parse_date(text) for text in distinct}
        return column if all(map(eq, days, days.values())) else [days[text] for text in column]
    texts = [*filter(None, column)]
    # When every digit is replaced by 0, only a few different formats remain.
    formats = "\n".join(texts).translate(_DIGITS_TO_ZERO).split("\n") if texts else []
    if len(formats) != len(texts) or not all(map(DATE_FORMATS.fullmatch, {*formats})):
        raise ValueError
    for day in {text[:10] for text in texts}:
        calendar_day(day)
    return [text and text[:10] for text in column]


def _plain_numbers(ids: Sequence[str]) -> list[int]:
    """Return ids as numbers; raise ValueError if an id is unusual."""
    if ids and (min(ids) < "1" or max(map(len, ids)) >= len(str(MAX_ID))):
        raise ValueError
    if not re.fullmatch("[0-9]*", "".join(ids)):
        raise ValueError
    return [*map(int, ids)]
