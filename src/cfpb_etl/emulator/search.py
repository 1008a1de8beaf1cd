"""The search index, which filters, sorts and pages complaints like OpenSearch.

The rules are in docs/facts.md, from "Shape of a response" to "Page size".
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import inf
from threading import Lock
from typing import NamedTuple

from cfpb_etl.emulator.data.complaints import RawComplaint
from cfpb_etl.emulator.errors import internal_error, search_backend_error

MAX_RESULT_WINDOW = 10_000
"""The most hits in one response (OpenSearch's default). A larger size gets the status 424."""

BULLET = "•"
"""The separator between a product or issue and its sub-product or sub-issue, in a filter."""

SCORE = 1.0
"""The score of every hit. All scores are equal, so a sort by relevance sorts by the ids."""

Key = tuple[float, str]
DateRange = tuple[date | None, date | None]
FieldValues = tuple[tuple[str, frozenset[str]], ...]
Predicate = Callable[[RawComplaint], bool]

_SUB_FIELDS = {"product": "sub_product", "issue": "sub_issue"}
_DATE_CURSOR = re.compile(r"(\d+)_([^_]*)")
_SCORE_CURSOR = re.compile(r"(\d+(?:\.\d+)?)_([^_]*)")
_PLAIN_TERM = re.compile(r"[A-Za-z0-9\s]*")
_OPERATOR = re.compile("AND|OR|NOT|TO")
_WORD = re.compile(r"[\w']+")
_MAX_CACHED_RESULTS = 16


@dataclass(frozen=True)
class Filters:
    """The filters of a search."""

    date_received: DateRange = (None, None)
    date_sent_to_company: DateRange = (None, None)
    including: FieldValues = ()
    excluding: FieldValues = ()
    search_term: str | None = None
    search_field: str = "complaint_what_happened"


@dataclass(frozen=True)
class Query:
    """A search with valid parameters."""

    filters: Filters = Filters()
    size: int = 25
    by_relevance: bool = True
    descending: bool = True
    search_after: str | None = None
    aggregations: bool = True


class Row:
    """A complaint with its sort key: the time received (ms since 1970), and then the id as text."""

    __slots__ = ("id", "key", "source")

    def __init__(self, source: RawComplaint) -> None:
        self.id: str = source["complaint_id"]
        self.key: Key = (_epoch_ms(source["date_received"]), self.id)
        self.source = source


class Page(NamedTuple):
    """The result of a search: the number of matches, and the rows of one page."""

    total: int
    rows: Sequence[Row]


class Index:
    """The complaints in order of date and id. They can change between two searches."""

    def __init__(self, complaints: Iterable[RawComplaint]) -> None:
        self._by_id = {complaint["complaint_id"]: Row(complaint) for complaint in complaints}
        self._rows = sorted(self._by_id.values(), key=_by_date)
        self._cached: dict[tuple[Filters, bool], list[Row]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def newest_day(self) -> date:
        """Return the UTC day of the newest complaint.

        If the index is empty, the request gets the status 500, as at CFPB.
        """
        if not self._rows:
            raise internal_error()
        return datetime.fromtimestamp(self._rows[-1].key[0] / 1000, UTC).date()

    def put(self, complaint: RawComplaint) -> None:
        """Add a complaint, or replace the complaint with the same id."""
        if complaint["complaint_id"] in self._by_id:
            self.withdraw(complaint["complaint_id"])
        with self._lock:
            row = self._by_id[complaint["complaint_id"]] = Row(complaint)
            insort(self._rows, row, key=_by_date)
            self._cached.clear()

    def withdraw(self, complaint_id: str) -> None:
        """Remove a complaint (docs/facts.md, "Removed complaints")."""
        with self._lock:
            row = self._by_id.pop(complaint_id)
            del self._rows[bisect_left(self._rows, row.key, key=_by_date)]
            self._cached.clear()

    def search(self, query: Query) -> Page:
        """Return the page of complaints after the query's cursor."""
        if query.size > MAX_RESULT_WINDOW:
            raise search_backend_error()
        cursor = None if query.search_after is None else _cursor(query)
        key = _by_score if query.by_relevance else _by_date
        with self._lock:
            rows = self._matching(query.filters, by_relevance=query.by_relevance)
            if query.descending:
                end = len(rows) if cursor is None else bisect_left(rows, cursor, key=key)
                page = rows[max(0, end - query.size) : end][::-1]
            else:
                start = 0 if cursor is None else bisect_right(rows, cursor, key=key)
                page = rows[start : start + query.size]
            return Page(len(rows), page)

    def _matching(self, filters: Filters, *, by_relevance: bool) -> list[Row]:
        """Return the matching rows in ascending order. The result is cached for the next page."""
        if not by_relevance and filters == Filters():
            return self._rows
        cache_key = (filters, by_relevance)
        if cache_key not in self._cached:
            if len(self._cached) == _MAX_CACHED_RESULTS:
                self._cached.clear()
            predicates = list(_predicates(filters))
            earliest, latest = _epoch_ms_within(filters.date_received)
            start = bisect_left(self._rows, earliest, key=_received_ms)
            end = bisect_left(self._rows, latest, key=_received_ms)
            rows = [
                row
                for row in self._rows[start:end]
                if all(predicate(row.source) for predicate in predicates)
            ]
            self._cached[cache_key] = sorted(rows, key=_by_score) if by_relevance else rows
        return self._cached[cache_key]


def _by_date(row: Row) -> Key:
    return row.key


def _by_score(row: Row) -> Key:
    return SCORE, row.id


def _received_ms(row: Row) -> float:
    return row.key[0]


def _cursor(query: Query) -> Key:
    """Return the sort key in the query's cursor.

    A malformed cursor gets the status 424, not 400. With the default sort, a date cursor is parsed
    as a score above all other scores. Therefore the search returns the first page again
    (docs/facts.md, "Cursor without sort").
    """
    cursor = _SCORE_CURSOR if query.by_relevance else _DATE_CURSOR
    parts = cursor.fullmatch(query.search_after or "")
    if parts is None or query.size == 0:
        raise search_backend_error()
    return float(parts[1]), parts[2]


def _predicates(filters: Filters) -> Iterator[Predicate]:
    if filters.date_sent_to_company != (None, None):
        yield _sent_within(filters.date_sent_to_company)
    for field, values in filters.including:
        yield _has_value(field, values)
    if filters.excluding:
        excluded = [_has_value(field, values) for field, values in filters.excluding]
        # Two `not_` parameters exclude only complaints that match both (docs/facts.md,
        # "Parameters").
        yield lambda source: not all(test(source) for test in excluded)
    if filters.search_term is not None:
        yield _contains(filters.search_term, filters.search_field)


def _sent_within(days: DateRange) -> Predicate:
    earliest, latest = _epoch_ms_within(days)

    def matches(source: RawComplaint) -> bool:
        day: str | None = source["date_sent_to_company"]
        return day is not None and earliest <= _epoch_ms(day) < latest

    return matches


def _has_value(field: str, values: frozenset[str]) -> Predicate:
    if field == "has_narrative":
        if not values <= {"true", "false"}:
            raise search_backend_error()
        return lambda source: str(bool(source.get("complaint_what_happened"))).lower() in values
    if field not in _SUB_FIELDS:
        return lambda source: source.get(field) in values
    sub_field = _SUB_FIELDS[field]
    sub_values: dict[str, set[str]] = {}
    for value in values:
        parent, bullet, child = value.partition(BULLET)
        sub_values.setdefault(parent, set()).update([child] if bullet else [])

    def matches(source: RawComplaint) -> bool:
        children = sub_values.get(source[field])
        return children is not None and (not children or source[sub_field] in children)

    return matches


def _contains(term: str, field: str) -> Predicate:
    """Return a test that checks whether a complaint contains the words of a term.

    A Lucene query matches if any word occurs. Any other term matches if all words occur.
    """
    if term.count('"') % 2 or term.count("(") != term.count(")"):
        raise search_backend_error()
    plain = _PLAIN_TERM.fullmatch(term) and not _OPERATOR.search(term)
    quantifier = all if plain else any
    words = _WORD.findall(term.casefold())

    def contains(source: RawComplaint) -> bool:
        texts = source.values() if field in {"all", "_all"} else (source.get(field),)
        text = " ".join(text for text in texts if isinstance(text, str)).casefold()
        return quantifier(word in text for word in words)

    return contains


def _epoch_ms_within(days: DateRange) -> tuple[float, float]:
    """Return the start and end of a range of whole UTC days, including both days."""
    first, last = days
    return (
        _epoch_ms(first.isoformat()) if first else -inf,
        _epoch_ms(last.isoformat()) + 86_400_000 if last else inf,
    )


def _epoch_ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
