"""Loads made by hand, and what they leave, for the tests of the database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfpb_etl.complaint import Complaint
from cfpb_etl.database import begin_load, store_part
from cfpb_etl.source import ParsedPart, RawPart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from cfpb_etl.source import Part

ALL = Complaint._fields
NO_NARRATIVE = frozenset(ALL) - {"complaint_what_happened"}
JANUARY, MARCH, JUNE = "2026-01-31", "2026-03-31", "2026-06-30"


@dataclass(frozen=True)
class Asked:
    """A source as a load sees it, which is not asked for anything."""

    kind: str = "api"
    limit: int | None = None
    address: str = "https://cfpb.example/"
    lanes: int = 1

    def described(self) -> str:
        """Return a query."""
        return '{"state": ["CA"]}'

    def parts(self) -> Sequence[Part]:
        """Return none."""
        return []

    def fetch(self, part: Any) -> RawPart:
        """Never happens here."""
        raise NotImplementedError(part)


@dataclass(frozen=True)
class Following:
    """A part to come, and something to do when it is asked, which is amid a transaction."""

    then: Callable[[], object] = str

    def as_progress(self) -> str:
        """Return what is remembered of it."""
        self.then()
        return '{"number": 2}'


def complaint(number: int, **fields: str | None) -> Complaint:
    """Make a complaint of these fields and no others."""
    return Complaint(number, *map(fields.get, ALL[1:]))


def part(
    *complaints: Complaint,
    columns: Collection[str] = ALL,
    as_of: str = JUNE,
    matching: int = 0,
    following: Following | None = None,
    unknown: Collection[str] = (),
) -> ParsedPart:
    """Make a part that was parsed."""
    return part_of([*complaints], columns, as_of, matching, following, unknown)


def part_of(
    complaints: list[Complaint],
    columns: Collection[str] = ALL,
    as_of: str = JUNE,
    matching: int = 0,
    following: Following | None = None,
    unknown: Collection[str] = (),
) -> ParsedPart:
    """Make a part that was parsed, of this very list."""
    return RawPart(
        b"",
        lambda _name, _body: (complaints, columns, unknown),
        name="page 1",
        rows=len(complaints),
        matching=matching,
        as_of=as_of,
        following=following,
    ).parsed()


def load(database: Path, *parts: ParsedPart, kind: str = "api") -> list[tuple[int, int, int]]:
    """Load these parts, and return what each did: inserted, updated, unchanged."""
    with begin_load(database, Asked(kind)) as under_way:
        reports = [store_part(each, under_way.id, database) for each in parts]
    return [(report.inserted, report.updated, report.unchanged) for report in reports]


def fail(database: Path, error: BaseException, *parts: ParsedPart, kind: str = "api") -> None:
    """Load these parts, and end by an error."""
    with begin_load(database, Asked(kind)) as under_way:
        for each in parts:
            store_part(each, under_way.id, database)
        raise error


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


# --- other processes ------------------------------------------------------------------------

BEGIN = "import os, sys\nfrom pathlib import Path\nfrom loads import *\nP = Path(sys.argv[1])\n"
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
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
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
