"""Parses and checks the values of one complaint."""

from __future__ import annotations

import re
from reprlib import repr as short_repr
from typing import TYPE_CHECKING

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import parse_date
from cfpb_etl.parse.errors import InvalidFieldError, InvalidTextError

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_FIELDS = Complaint._fields[1:]
DATE_FIELDS = ("date_received", "date_sent_to_company")
FREE_TEXT = ("complaint_what_happened", "company")  # all other columns have fixed values or codes
EMPTY = frozenset({None, "", "None"})  # CFPB's CSV files have "None" for a missing value
MAX_ID = 2**63 - 1  # SQLite's largest INTEGER

_DATE_PLACES = tuple(map(TEXT_FIELDS.index, DATE_FIELDS))


def parse_fields(fields: Mapping[str, object]) -> Complaint:
    """Return the complaint with these values, given by column name.

    Raises:
        InvalidFieldError: If the id is missing or not a number, if a value is neither text nor
            null, or if a date is not valid.
    """
    values = [_parse_text(name, fields.get(name)) for name in TEXT_FIELDS]
    for place in _DATE_PLACES:
        if (text := values[place]) is not None:
            try:
                values[place] = parse_date(text)
            except ValueError:
                detail = f"is {text!r:.60}, not a date"
                raise InvalidFieldError(field=TEXT_FIELDS[place], detail=detail) from None
    return Complaint(parse_id(fields.get("complaint_id")), *values)


def _parse_text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidFieldError(field=name, detail=f"is {short_repr(value)}, not text or null")
    if value is None or value in EMPTY:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidTextError(name) from None
    return value


def parse_id(value: object) -> int:
    """Return the id of a complaint as a number.

    Raises:
        InvalidFieldError: If the id is missing, or is not a plain number as text.
    """
    if value in (None, ""):
        detail = "is missing"
    # If leading zeros were allowed, two different ids could become the same number.
    elif not (isinstance(value, str) and re.fullmatch("0|[1-9][0-9]*", value)):
        detail = f"is {short_repr(value)}, not a plain number as text"
    elif len(value) > len(str(MAX_ID)) or int(value) > MAX_ID:
        detail = f"is {value:.60}, too large a number"
    else:
        return int(value)
    raise InvalidFieldError(field="complaint_id", detail=detail)
