"""What a complaint is here, and how a search hit becomes one."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache, partial
from itertools import filterfalse
from operator import eq, itemgetter
from reprlib import repr as short
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cfpb_etl.errors import InvalidFieldError
from cfpb_etl.server_errors import InvalidHitError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Complaint(NamedTuple):
    """One consumer complaint, field by field as the table `complaint` holds it.

    All fields but the id are text or None; dates are `YYYY-MM-DD`. The search API uses these very
    names (DATA.md section 2), so they are the mapping from its `_source` too.
    """

    complaint_id: int
    date_received: str | None
    product: str | None
    sub_product: str | None
    issue: str | None
    sub_issue: str | None
    complaint_what_happened: str | None
    company_public_response: str | None
    company: str | None
    state: str | None
    zip_code: str | None
    tags: str | None
    consumer_consent_provided: str | None
    submitted_via: str | None
    date_sent_to_company: str | None
    company_response: str | None
    timely: str | None
    consumer_disputed: str | None


# What CFPB has sent in every release so far (CCDB_API.md section 0): to miss one of these is news.
OF_EVERY_RELEASE = frozenset(Complaint._fields) - {
    "complaint_what_happened",
    "consumer_consent_provided",
    "consumer_disputed",
}

NOT_STORED = frozenset(
    # has_narrative follows from the narrative. The others stand in single documents of the older
    # API and in its fixtures (DATA.md section 2); they describe CFPB's index, not the complaint.
    {"has_narrative", "date_indexed", ":updated_at", "date_received_formatted"}
    | {"date_sent_to_company_formatted", "date_indexed_formatted"}
)

# So many decoded hits fit a processor's cache: all 10,000 of a page at once took 71 ms, these 48.
_HITS_AT_ONCE = 500

_TEXT_FIELDS = Complaint._fields[1:]
_DATE_FIELDS = ("date_received", "date_sent_to_company")
_DATE_PLACES = tuple(map(_TEXT_FIELDS.index, _DATE_FIELDS))
_EMPTY = frozenset({None, "", "None"})  # "None" is how CFPB's CSV export spells null
_LARGEST_ID = 2**63 - 1  # SQLite's INTEGER

# 2026-08-14, 2024-11-05T12:00:00-05:00 and 2023-03-11T14:26:56.000Z (DATA.md section 6).
_DATE_SPELLINGS = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?", re.ASCII
)
_NOUGHTS = str.maketrans("123456789", "000000000")


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


def parse_page(
    hits: Sequence[msgspec.Raw], part: str
) -> tuple[list[Complaint], set[str], set[str]]:
    """Turn the search hits of a page into complaints, and say what they carry.

    Args:
        hits: As the search API sends them (CCDB_API.md section 2), each a JSON text.
        part: The page's name, for the error.

    Returns:
        The complaints; the columns that every hit carries, since a page may mix eras, and what
        only some carry must not erase what is stored for the others; and the names that no release
        of the API is known to have used.

    Raises:
        InvalidHitError: As `parse_hit` does, for the first that cannot be a complaint.
    """
    complaints: list[Complaint] = []
    carried, unknown = set(Complaint._fields), set[str]()
    for before in range(0, len(hits), _HITS_AT_ONCE):
        few = _decoded(hits[before : before + _HITS_AT_ONCE], part, before)
        parsed, shapes = parse_hits(few, part, before)
        complaints += parsed
        carried.intersection_update(*shapes)
        unknown.update(*shapes)
    return complaints, carried, unknown - set(Complaint._fields) - NOT_STORED


def _decoded(hits: Sequence[msgspec.Raw], part: str, before: int) -> list[Any]:
    decode = msgspec.json.decode
    unreadable = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
    try:
        return decode(b"[%b]" % b",".join(hits), type=list[Any])
    except unreadable:
        decoded = []
        for place, hit in enumerate(hits, before + 1):
            try:
                decoded.append(decode(hit))
            except unreadable as error:
                raise InvalidHitError(part, place, "JSON", f"cannot be read: {error}") from None
        return decoded


def parse_hits(
    hits: Sequence[Any], part: str, before: int = 0
) -> tuple[list[Complaint], set[tuple[str, ...]]]:
    """Turn search hits into complaints, and return the names that a hit has, for each variety.

    Args:
        hits: Some hits of a page.
        part: The page's name, for the error.
        before: How many hits of the page come before these.

    Raises:
        InvalidHitError: As `parse_hit` does, for the first that cannot be a complaint.
    """
    try:
        complaints, names = _parse_columns(hits)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        complaints = [parse_hit(hit, place, part) for place, hit in enumerate(hits, before + 1)]
        return complaints, {tuple(hit["_source"]) for hit in hits}
    return complaints, {names}


def _parse_columns(hits: Sequence[Any]) -> tuple[list[Complaint], tuple[str, ...]]:
    """Do as `parse_hit` does for hits of one shape, which is returned; raise at anything odd.

    10,000 took 43 ms, and 71 ms hit by hit.
    """
    sources = [hit["_source"] for hit in hits]
    names = tuple(sources[0])
    if {*map(len, sources)} != {len(names)}:
        raise ValueError
    values = zip(*map(itemgetter(*names), sources), strict=True)
    return parse_columns(dict(zip(names, values, strict=True)), len(sources)), names


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


def parse_hit(hit: object, place: int, part: str) -> Complaint:
    """Turn one search hit into a complaint.

    Args:
        hit: A hit as the search API sends it, with `_id` and `_source` (CCDB_API.md section 2).
        place: Its place on the page from 1, for the error.
        part: The page's name, for the error.

    Raises:
        InvalidHitError: If it has no `_source`, or `parse_fields` refuses that.
    """
    match hit:
        case {"_source": dict(source)}:
            pass
        case _:
            raise InvalidHitError(part, place, "_source", "is missing")
    try:
        return parse_fields(source)
    except InvalidFieldError as error:
        raise InvalidHitError(part, place, error.field, error.problem) from None


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
