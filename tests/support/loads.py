"""Loads made by hand, and what they leave, for the tests of the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyroaring import BitMap64

from cfpb_etl.fetch.pages import Page
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import ParsedContent, ParsedPart, PartInfo, RawPart, ReadStats
from cfpb_etl.store.loads import begin_load
from cfpb_etl.store.part_writer import store_part
from support import PYTHONPATH

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.part import Part
    from cfpb_etl.model.source import Watermark
    from cfpb_etl.store.loads import Load

ALL = Complaint._fields
NO_NARRATIVE = frozenset(ALL) - {"complaint_what_happened"}
JANUARY, MARCH, JUNE = "2026-01-31", "2026-03-31", "2026-06-30"
WINDOW = Page(2)  # of all days


@dataclass(frozen=True)
class Asked:
    """A source as a load sees it, which is not asked for anything."""

    kind: str = "api"
    limit: int | None = None
    address: str = "https://cfpb.example/"
    query: str = '{"state": ["CA"]}'
    updates: int | None = None
    windows: tuple[Page, ...] = (WINDOW,)
    pace: None = None
    max_concurrency: int = 1
    proves_absence: bool = False

    def described(self) -> str:
        """Return the query."""
        return self.query

    def resume_from(self, watermark: Watermark) -> Asked:  # noqa: ARG002
        """Return this: whatever the database has reached, the same is asked for."""
        return self

    def parts(self) -> Sequence[Page]:
        """Return the windows."""
        return self.windows

    def part_from_json(self, progress: str) -> Page:
        """Return the page that was remembered."""
        return Page.from_json(progress)

    def fetch(self, part: Any) -> RawPart:
        """Never happens: these tests begin and end loads, and store parts that they made."""
        raise NotImplementedError(part)

    def split(self, raw: RawPart, under_way: int) -> Sequence[Part]:
        """Never happens, as nothing is fetched."""
        raise NotImplementedError(raw, under_way)


@dataclass(frozen=True)
class Following:
    """A part to come, and something to do when it is asked, which is amid a transaction."""

    then: Callable[[], object] = str
    key: str = WINDOW.key

    def to_json(self) -> str:
        """Return what is remembered of it."""
        self.then()
        return replace(WINDOW, number=2).to_json()

    def first(self) -> Page:
        """Return the first page."""
        return WINDOW


@dataclass(frozen=True)
class File:
    """A file to read, whole."""

    key: str

    def __str__(self) -> str:
        return self.key

    def to_json(self) -> str:
        """Return what is remembered of it."""
        return "{}"

    def first(self) -> File:
        """Return the file."""
        return self


def complaint(number: int, **fields: str | None) -> Complaint:
    """Make a complaint of these fields and no others."""
    return Complaint(number, *map(fields.get, ALL[1:]))


def complaints(*numbers: int, **fields: str | None) -> list[Complaint]:
    """Make complaints that are alike."""
    return [complaint(number, **fields) for number in numbers]


def part(*complaints: Complaint, **info: Any) -> ParsedPart:
    """Make a part that was parsed."""
    return part_of([*complaints], **info)


def part_of(
    complaints: list[Complaint],
    *,
    at: Part = WINDOW,
    columns: Collection[str] = ALL,
    as_of: str = JUNE,
    matching: int | None = None,
    expected: int | None = None,
    days: tuple[str | None, str | None] = (None, None),
    proves_absence: bool = False,
    following: Sequence[Part] = (),
    unknown: Collection[str] = (),
) -> ParsedPart:
    """Make a part that was parsed, of this very list: all that its source has, unless it says."""
    counted = len({each[0] for each in list.__iter__(complaints)}) if matching is None else matching
    info = PartInfo(
        part=at,
        name="page 1",
        rows=len(complaints),
        matching=counted,
        expected=counted if expected is None else expected,
        as_of=as_of,
        days=days,
        proves_absence=proves_absence,
        seconds=0.1,
    )
    read = ParsedContent(complaints, columns, unknown, ReadStats(rows=len(complaints)))
    return RawPart(b"", lambda _body, _name: read, info, following).parsed()


def whole(
    *complaints: Complaint,
    key: str = "complaints.csv",
    columns: Collection[str] = ALL,
    as_of: str = JUNE,
    rejected: Collection[int] = (),
    nameless: int = 0,
    **info: Any,
) -> ParsedPart:
    """Make a part that is a file of all complaints, which is parsed while it is stored."""
    met = {each.complaint_id for each in complaints}
    read_stats = ReadStats(
        rows=len(complaints),
        duplicates=len(complaints) - len(met),
        rejected=len(rejected) + nameless,
        without_id=nameless,
        warnings=["line 7: no complaint"] * bool(rejected or nameless),
        ids=BitMap64([*met, *rejected]),
    )
    info = {"proves_absence": True, **info}
    every = PartInfo(File(key), key, None, None, None, as_of, **info)
    content = ParsedContent(iter(complaints), columns, (), read_stats)
    return RawPart(None, lambda _path, _name: content, every).parsed()


def load_file(database: Path, *complaints: Complaint, kind: str = "bulk", **info: Any) -> LoadStats:
    """Load a file of all complaints, or as the archive one that only adds, and say what it did."""
    info = info if kind == "bulk" else {"proves_absence": False, "fills_gaps_only": True, **info}
    part = whole(*complaints, **info)
    files: Any = (part.info.part,)
    asked = Asked(kind=kind, query="{}", windows=files, proves_absence=kind == "bulk")
    with begin_load(database, asked) as under_way:
        return store_part(part, under_way.id, database)


def asked_for(*parts: ParsedPart, **asked: Any) -> Asked:
    """Make a source whose windows are those of these parts."""
    firsts = {each.info.part.key: each.info.part.first() for each in parts}
    windows: Any = tuple(firsts.values()) or (WINDOW,)
    return Asked(windows=windows, **asked)


def store(under_way: Load, database: Path, *parts: ParsedPart) -> None:
    """Store parts as the flow does."""
    for each in parts:
        under_way.report += store_part(each, under_way.id, database)


def load(database: Path, *parts: ParsedPart, **asked: Any) -> list[tuple[int, int, int]]:
    """Load these parts, and return what each did: inserted, updated, unchanged."""
    with begin_load(database, asked_for(*parts, **asked)) as under_way:
        reports = [store_part(each, under_way.id, database) for each in parts]
    return [(report.new, report.changed, report.unchanged) for report in reports]


def fail(database: Path, error: BaseException, *parts: ParsedPart, **asked: Any) -> None:
    """Load these parts, and end by an error."""
    with begin_load(database, asked_for(*parts, **asked)) as under_way:
        store(under_way, database, *parts)
        raise error


def break_off(database: Path, *parts: ParsedPart, **asked: Any) -> None:
    """Load these parts, and stop there as by Ctrl-C."""
    with suppress(KeyboardInterrupt):
        fail(database, KeyboardInterrupt(), *parts, **asked)


def query(database: Path, sql: str) -> list[Any]:
    """Ask the file as any reader would."""
    with closing(sqlite3.connect(database, timeout=0)) as connection:
        return connection.execute(sql).fetchall()


def stored(database: Path) -> dict[int, dict[str, str]]:
    """Return each complaint's fields that are not NULL."""
    rows = query(database, f"SELECT {', '.join(ALL)} FROM complaint")  # noqa: S608
    return {
        row[0]: {name: value for name, value in zip(ALL[1:], row[1:], strict=True) if value}
        for row in rows
    }


def load_ids(database: Path) -> dict[int, int]:
    """Return which load each complaint was written by."""
    return dict(query(database, "SELECT complaint_id, load_id FROM complaint"))


def outcomes(database: Path) -> list[tuple[str, str | None]]:
    """Return how each load ended, and why."""
    return query(database, "SELECT outcome, failure FROM load ORDER BY load_id")


def seen(database: Path) -> list[int]:
    """Return what is remembered of windows that are not whole."""
    return [n for (n,) in query(database, "SELECT complaint_id FROM load_seen ORDER BY 1")]


# --- other processes ------------------------------------------------------------------------

BEGIN = (
    "import os, sys\nfrom pathlib import Path\nfrom support.loads import *\nP = Path(sys.argv[1])\n"
)
HOLD = """
with begin_load(P, Asked()) as under_way:
    store_part(part(complaint(1)), under_way.id, P)
    print("loading", flush=True)
    sys.stdin.read()
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    """Start another process that knows what stands in this file, and our names."""
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + code, path],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def loading_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold a load in another process."""
    with start(HOLD, path) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "loading\n"
            yield child
        finally:
            child.kill()
