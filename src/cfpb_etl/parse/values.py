"""What a complaint is here, and how a search hit becomes one."""

from __future__ import annotations

import re
from functools import partial
from itertools import filterfalse
from operator import eq
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

from cfpb_etl.parse.errors import InvalidFieldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import _DATE_SPELLINGS, _calendar_day, parse_date

_TEXT_FIELDS = Complaint._fields[1:]
_DATE_FIELDS = ("date_received", "date_sent_to_company")
_DATE_PLACES = tuple(map(_TEXT_FIELDS.index, _DATE_FIELDS))
_EMPTY = frozenset({None, "", "None"})  # "None" is how CFPB's CSV export spells null
_LARGEST_ID = 2**63 - 1  # SQLite's INTEGER

_NOUGHTS = str.maketrans("123456789", "000000000")


def parse_columns(columns: Mapping[str, Sequence[Any]], rows: int) -> list[Complaint]:
    """Do as `parse_fields` does for many complaints at once, given column by column.

    Args:
        columns: The values of each column that there is, by our names; others are left out.
        rows: How many complaints these are.

    Raises:
        TypeError, ValueError, KeyError: If `parse_fields` has to look closer.
    """
    parsed = {
        name: _text_or_null(columns[name]) if name in columns else [None] * rows
        for name in _TEXT_FIELDS
    }
    for name in _DATE_FIELDS:
        parsed[name] = _days(parsed[name])
    # As `Complaint._make`, without a call in Python for each.
    made = partial(tuple.__new__, Complaint)
    return [*map(made, zip(_plain_numbers(columns["complaint_id"]), *parsed.values()))]  # noqa: B905 - 4 % faster


def _text_or_null(column: Sequence[Any]) -> Sequence[str | None]:
    """Return a column with None for what is empty, or raise TypeError where it is not text."""
    try:
        texts = "\0".join(column)
    except TypeError:
        texts = "\0".join(filter(None, column))
        if not {*filterfalse(None, column)} <= {None, ""}:
            raise
    if not texts.isascii():
        texts.encode()  # half a character, which no file can hold, raises a ValueError
    if "None" in texts:
        return [None if value in _EMPTY else value for value in column]
    return [value or None for value in column] if "" in column else column


def _days(column: Sequence[str | None]) -> Sequence[str | None]:
    """Return dates as `parse_date` does, or raise ValueError."""
    spellings = {*column}
    if len(spellings) * 8 < len(column):  # days rather than moments: look at each of them once
        days = {text: text and parse_date(text) for text in spellings}
        return column if all(map(eq, days, days.values())) else [days[text] for text in column]
    spelled = [*filter(None, column)]
    # With every digit a nought few spellings are left to look at.
    forms = "\n".join(spelled).translate(_NOUGHTS).split("\n") if spelled else []
    if len(forms) != len(spelled) or not all(map(_DATE_SPELLINGS.fullmatch, {*forms})):
        raise ValueError
    for day in {text[:10] for text in spelled}:
        _calendar_day(day)
    return [text and text[:10] for text in column]


def _plain_numbers(ids: Sequence[str]) -> list[int]:
    """Return ids as numbers, or raise ValueError where `parse_hit` has to look closer."""
    if ids and (min(ids) < "1" or max(map(len, ids)) >= len(str(_LARGEST_ID))):
        raise ValueError
    if not re.fullmatch("[0-9]*", "".join(ids)):
        raise ValueError
    return [*map(int, ids)]


def parse_fields(fields: Mapping[str, object]) -> Complaint:
    """Turn the fields of one complaint, by our names, into a complaint.

    Raises:
        InvalidFieldError: If the id is missing or not a number, a field is neither text nor null,
            or a date is not a date.
    """
    values = [_parse_text(name, fields.get(name)) for name in _TEXT_FIELDS]
    for at in _DATE_PLACES:
        if (text := values[at]) is not None:
            try:
                values[at] = parse_date(text)
            except ValueError:
                raise InvalidFieldError(_TEXT_FIELDS[at], f"is {text!r:.60}, not a date") from None
    return Complaint(parse_id(fields.get("complaint_id")), *values)


def _parse_text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidFieldError(name, f"is {short(value)}, not text or null")
    if value is None or value in _EMPTY:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidFieldError(name, "holds what is no text in UTF-8") from None
    return value


def parse_id(spelled: object) -> int:
    """Return a complaint's number.

    Raises:
        InvalidFieldError: If it is missing, or not a plain number as text.
    """
    if spelled in (None, ""):
        raise InvalidFieldError("complaint_id", "is missing")
    # A leading zero would lay two ids of CFPB's on one row of ours.
    if not (isinstance(spelled, str) and re.fullmatch("0|[1-9][0-9]*", spelled)):
        raise InvalidFieldError("complaint_id", f"is {short(spelled)}, not a plain number as text")
    if len(spelled) > len(str(_LARGEST_ID)) or int(spelled) > _LARGEST_ID:
        raise InvalidFieldError("complaint_id", f"is {spelled:.60}, too large a number")
    return int(spelled)
