"""Hand-made complaints and parsed parts, for tests of the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyroaring import BitMap64

from cfpb_etl.fetch.pages import Page
from cfpb_etl.model.age import Age
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import (
    Batch,
    ParsedContent,
    ParsedPart,
    PartInfo,
    RawPart,
    ReadStats,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cfpb_etl.model.part import Part

ALL = Complaint._fields
NO_NARRATIVE = frozenset(ALL) - {"complaint_what_happened"}
JANUARY, MARCH, JUNE = "2026-01-31", "2026-03-31", "2026-06-30"
WINDOW = Page(2)  # the window of all days


@dataclass(frozen=True)
class NextPart:
    """A part to fetch next. Storing it calls a function within the transaction."""

    then: Callable[[], object] = str
    key: str = WINDOW.key

    def to_json(self) -> str:
        """Return the part as JSON."""
        self.then()
        return replace(WINDOW, number=2).to_json()

    def first(self) -> Page:
        """Return the first page."""
        return WINDOW


@dataclass(frozen=True)
class File:
    """A file to fetch."""

    key: str

    def __str__(self) -> str:
        return self.key

    def to_json(self) -> str:
        """Return the file as JSON."""
        return "{}"

    def first(self) -> File:
        """Return the file."""
        return self


def complaint(number: int, **fields: str | None) -> Complaint:
    """Return a complaint with only these fields."""
    return Complaint(number, *map(fields.get, ALL[1:]))


def complaints(*numbers: int, **fields: str | None) -> list[Complaint]:
    """Return complaints with the same fields."""
    return [complaint(number, **fields) for number in numbers]


def part(*complaints: Complaint, **info: Any) -> ParsedPart:
    """Return a parsed page of these complaints."""
    return part_of([*complaints], **info)


def part_of(
    complaints: list[Complaint],
    *,
    at: Part = WINDOW,
    columns: Collection[str] = ALL,
    as_of: str | None = JUNE,
    evidence: str = "_meta.last_updated",
    earliest: str | None = None,
    matching: int | None = None,
    expected: int | None = None,
    next_parts: Sequence[Part] = (),
    unknown_columns: Collection[str] = (),
    **info: Any,
) -> ParsedPart:
    """Return a parsed page of this list object. By default, the source has no more complaints."""
    distinct = len({each[0] for each in list.__iter__(complaints)})
    matching = distinct if matching is None else matching
    every = PartInfo(
        part=at,
        name="page 1",
        rows=len(complaints),
        matching=matching,
        expected=matching if expected is None else expected,
        age=Age(earliest or as_of, as_of, evidence) if as_of else None,
        origin="answer",
        **info,
    )
    content = ParsedContent(
        batches(complaints), columns, unknown_columns, ReadStats(rows=len(complaints))
    )
    return ParsedPart(content, RawPart(None, every, next_parts), every)


def batches(complaints: Iterable[Complaint]) -> Iterator[Batch]:
    """Yield complaints in batches, like a parser."""
    left = iter(complaints)
    while batch := [*islice(left, 500)]:
        yield Batch(batch)


def file_of(
    *complaints: Complaint,
    key: str = "complaints.csv",
    columns: Collection[str] = ALL,
    as_of: str = JUNE,
    evidence: str = "Last-Modified",
    rejected: Collection[int] = (),
    without_id: int = 0,
    **info: Any,
) -> ParsedPart:
    """Return a parsed file of all complaints."""
    ids = {each.complaint_id for each in complaints}
    read_stats = ReadStats(
        rows=len(complaints),
        duplicates=len(complaints) - len(ids),
        rejected=len(rejected) + without_id,
        without_id=without_id,
        warnings=["line 7: not a complaint"] * bool(rejected or without_id),
        ids=BitMap64([*ids, *rejected]),
    )
    info = {
        "age": Age.on(as_of, evidence),
        "origin": "download",  # so a file is newer than the file of the same day before it
        "proves_absence": True,
        "is_whole": True,
        **info,
    }
    every = PartInfo(File(key), key, rows=None, matching=None, expected=None, **info)
    content = ParsedContent(batches(complaints), columns, (), read_stats)
    return ParsedPart(content, RawPart(None, every), every)
