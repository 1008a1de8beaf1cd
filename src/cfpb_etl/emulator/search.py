"""The stand-in for the index: it filters, sorts and pages complaints as OpenSearch does.

The facts are those of CCDB_API.md sections 2 to 4.
"""

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import inf
from threading import Lock
from typing import NamedTuple

from cfpb_etl.emulator.data.complaints import Source
from cfpb_etl.emulator.refusal import backend_trouble, unexpected_trouble

MAX_RESULT_WINDOW = 10_000
"""The most hits of one response: OpenSearch's default, and a larger size is a 424."""

BULLET = "•"
"""Stands between a product and its sub-product, an issue and its sub-issue, in one value."""

SCORE = 1.0
"""The score of every hit, so that a walk by relevance goes by the ids that break the tie."""

Key = tuple[float, str]
Days = tuple[date | None, date | None]
Wanted = tuple[tuple[str, frozenset[str]], ...]
Test = Callable[[Source], bool]

_SUB_FIELDS = {"product": "sub_product", "issue": "sub_issue"}
_DATE_CURSOR = re.compile(r"(\d+)_([^_]*)")
_SCORE_CURSOR = re.compile(r"(\d+(?:\.\d+)?)_([^_]*)")
_PLAIN_TERM = re.compile(r"[A-Za-z0-9\s]*")
_OPERATOR = re.compile("AND|OR|NOT|TO")
_WORD = re.compile(r"[\w']+")
_LISTS_KEPT = 16


@dataclass(frozen=True)
class Filters:
    """Which complaints are asked for."""

    date_received: Days = (None, None)
    date_sent_to_company: Days = (None, None)
    including: Wanted = ()
    excluding: Wanted = ()
    search_term: str | None = None
    search_field: str = "all"


@dataclass(frozen=True)
class Query:
    """A search whose parameters were found to be valid."""

    filters: Filters = Filters()
    size: int = 25
    by_relevance: bool = True
    descending: bool = True
    search_after: str | None = None
    aggregations: bool = True


class Row:
    """A complaint with its place in the index: when it was received, then its id as a string."""

    __slots__ = ("id", "key", "source")

    def __init__(self, source: Source) -> None:
        self.id: str = source["complaint_id"]
        self.key: Key = (_epoch_ms(source["date_received"]), self.id)
        self.source = source


class Page(NamedTuple):
    """What a search found: how many complaints in all, and the rows of the page asked for."""

    total: int
    rows: Sequence[Row]


class Index:
    """Complaints by date and id; they may be added, changed and withdrawn between two searches."""

    def __init__(self, complaints: Iterable[Source]) -> None:
        self._by_id = {complaint["complaint_id"]: Row(complaint) for complaint in complaints}
        self._rows = sorted(self._by_id.values(), key=_by_date)
        self._found: dict[tuple[Filters, bool], list[Row]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def newest_day(self) -> date:
        """Return the UTC day of the newest complaint."""
        if not self._rows:
            raise unexpected_trouble()
        return datetime.fromtimestamp(self._rows[-1].key[0] / 1000, UTC).date()

    def put(self, complaint: Source) -> None:
        """Add a complaint, or replace the one with its id."""
        if complaint["complaint_id"] in self._by_id:
            self.withdraw(complaint["complaint_id"])
        with self._lock:
            row = self._by_id[complaint["complaint_id"]] = Row(complaint)
            insort(self._rows, row, key=_by_date)
            self._found.clear()

    def withdraw(self, complaint_id: str) -> None:
        """Remove a complaint, as CFPB removes what it should not have published."""
        with self._lock:
            row = self._by_id.pop(complaint_id)
            del self._rows[bisect_left(self._rows, row.key, key=_by_date)]
            self._found.clear()

    def search(self, query: Query) -> Page:
        """Return the page of complaints that comes after the query's cursor."""
        if query.size > MAX_RESULT_WINDOW:
            raise backend_trouble()
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
        """Return the rows that match, in ascending order, and keep them for the next page."""
        if not by_relevance and filters == Filters():
            return self._rows
        asked = (filters, by_relevance)
        if asked not in self._found:
            if len(self._found) == _LISTS_KEPT:
                self._found.clear()
            tests = list(_tests(filters))
            earliest, latest = _epoch_ms_within(filters.date_received)
            start = bisect_left(self._rows, earliest, key=_received_ms)
            end = bisect_left(self._rows, latest, key=_received_ms)
            rows = [row for row in self._rows[start:end] if all(test(row.source) for test in tests)]
            self._found[asked] = sorted(rows, key=_by_score) if by_relevance else rows
        return self._found[asked]


def _by_date(row: Row) -> Key:
    return row.key


def _by_score(row: Row) -> Key:
    return SCORE, row.id


def _received_ms(row: Row) -> float:
    return row.key[0]


def _cursor(query: Query) -> Key:
    """Return where the page starts; what OpenSearch cannot read is its trouble, not a 400.

    A date cursor under the default sort is read as a score far above all: page 1, for ever.
    """
    cursor = _SCORE_CURSOR if query.by_relevance else _DATE_CURSOR
    parts = cursor.fullmatch(query.search_after or "")
    if parts is None or query.size == 0:
        raise backend_trouble()
    return float(parts[1]), parts[2]


def _tests(filters: Filters) -> Iterator[Test]:
    if filters.date_sent_to_company != (None, None):
        yield _sent_within(filters.date_sent_to_company)
    for field, values in filters.including:
        yield _one_of(field, values)
    if filters.excluding:
        excluded = [_one_of(field, values) for field, values in filters.excluding]
        # Two not_ keys exclude only what matches both.
        yield lambda source: not all(test(source) for test in excluded)
    if filters.search_term is not None:
        yield _says(filters.search_term, filters.search_field)


def _sent_within(days: Days) -> Test:
    earliest, latest = _epoch_ms_within(days)
    return lambda source: earliest <= _epoch_ms(source["date_sent_to_company"]) < latest


def _one_of(field: str, values: frozenset[str]) -> Test:
    if field == "has_narrative":
        if not values <= {"true", "false"}:
            raise backend_trouble()
        return lambda source: str(bool(source.get("complaint_what_happened"))).lower() in values
    if field not in _SUB_FIELDS:
        return lambda source: source.get(field) in values
    sub_field = _SUB_FIELDS[field]
    narrowed: dict[str, set[str]] = {}
    for value in values:
        parent, bullet, child = value.partition(BULLET)
        narrowed.setdefault(parent, set()).update([child] if bullet else [])

    def matches(source: Source) -> bool:
        children = narrowed.get(source[field])
        return children is not None and (not children or source[sub_field] in children)

    return matches


def _says(term: str, field: str) -> Test:
    """Return a test for all words of a term, or any of them where the term is a Lucene query."""
    if term.count('"') % 2 or term.count("(") != term.count(")"):
        raise backend_trouble()
    plain = _PLAIN_TERM.fullmatch(term) and not _OPERATOR.search(term)
    quantifier = all if plain else any
    words = _WORD.findall(term.casefold())

    def says(source: Source) -> bool:
        texts = source.values() if field in {"all", "_all"} else (source.get(field),)
        text = " ".join(text for text in texts if isinstance(text, str)).casefold()
        return quantifier(word in text for word in words)

    return says


def _epoch_ms_within(days: Days) -> tuple[float, float]:
    """Return where whole UTC days begin and end; both named days belong to them."""
    first, last = days
    return (
        _epoch_ms(first.isoformat()) if first else -inf,
        _epoch_ms(last.isoformat()) + 86_400_000 if last else inf,
    )


def _epoch_ms(written: str) -> int:
    moment = datetime.fromisoformat(written)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
