"""Loads of hand-made parts, and queries of the stored rows."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from cfpb_etl.store.sqlite_file import connect, ensure_schema, named_errors
from support import PYTHONPATH
from support.parts import ALL, WINDOW, file_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.part import ParsedPart, Part, RawPart
    from cfpb_etl.model.source import SourceKind, Watermark
    from cfpb_etl.store.loads import Load


@dataclass(frozen=True)
class FakeSource:
    """A source that fetches nothing. Tests store their own parts."""

    kind: SourceKind = "api"
    limit: int | None = None
    address: str = "https://cfpb.example/"
    query: str = '{"state": ["CA"]}'
    updates_load_id: int | None = None
    windows: tuple[Any, ...] = (WINDOW,)
    part_noun: str = "page"
    max_concurrency: int = 1
    is_update: bool = False
    is_partial: bool = True
    proves_absence: bool = False

    def rate_limit_use(self) -> str:
        """Return "", because this source has no rate limit."""
        return ""

    def query_json(self) -> str:
        """Return the query."""
        return self.query

    def resume_from(self, watermark: Watermark) -> FakeSource:  # noqa: ARG002
        """Return the source unchanged."""
        return self

    def parts(self) -> Sequence[Page]:
        """Return the windows."""
        return self.windows

    def part_from_json(self, text: str) -> Page:
        """Return the page from the JSON that `to_json` wrote."""
        return Page.from_json(text)

    def fetch(self, part: Any) -> RawPart:
        """Raise an error, because no test calls this."""
        raise NotImplementedError(part)

    def for_other_processes(self, counted_at: str) -> FakeSource:  # noqa: ARG002
        """Return the source unchanged."""
        return self

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:
        """Raise an error, because no test calls this."""
        raise NotImplementedError(raw, in_flight)


INSERT = (  # as another program inserts a complaint
    "INSERT INTO complaint (complaint_id, load_id, first_load_id, changed_load_id)"
    " VALUES (1, 1, 1, 1)"
)


def create_database(database: Path) -> None:
    """Open the file in the same way as a load, which creates the file."""
    with named_errors(database), closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)


def execute(database: Path, *statements: str) -> None:
    """Change the file in the same way as another program."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def load_file(
    database: Path, *complaints: Complaint, kind: SourceKind = "bulk", **info: Any
) -> LoadStats:
    """Load a file of all complaints, or an archive file, which only fills gaps."""
    info = info if kind == "bulk" else {"proves_absence": False, "fills_gaps_only": True, **info}
    part = file_of(*complaints, **info)
    source = FakeSource(
        kind=kind,
        query="{}",
        windows=(part.info.part,),
        is_partial=False,
        proves_absence=kind == "bulk",
        part_noun="file",
    )
    with open_load(database, source) as running:
        return store_part(part, running.id, database)


def source_of(*parts: ParsedPart, **request: Any) -> FakeSource:
    """Return a source with the windows of these parts."""
    firsts = {each.info.part.key: each.info.part.first() for each in parts}
    return FakeSource(windows=tuple(firsts.values()) or (WINDOW,), **request)


def store(running: Load, database: Path, *parts: ParsedPart) -> None:
    """Store parts in the same way as the flow."""
    for each in parts:
        running.stats += store_part(each, running.id, database)


def load(database: Path, *parts: ParsedPart, **request: Any) -> list[tuple[int, int, int]]:
    """Load these parts, and return the counts of each: new, changed, unchanged."""
    with open_load(database, source_of(*parts, **request)) as running:
        every = [store_part(each, running.id, database) for each in parts]
    return [(stats.new, stats.changed, stats.unchanged) for stats in every]


def fail(database: Path, error: BaseException, *parts: ParsedPart, **request: Any) -> None:
    """Load these parts, and then raise an error."""
    with open_load(database, source_of(*parts, **request)) as running:
        store(running, database, *parts)
        raise error


def interrupt(database: Path, *parts: ParsedPart, **request: Any) -> None:
    """Load these parts, and interrupt the load in the same way as Ctrl-C."""
    with suppress(KeyboardInterrupt):
        fail(database, KeyboardInterrupt(), *parts, **request)


Change = tuple[int, int, str, str | None, str | None]
"""A complaint, the load that changed it, the column, the old value and the new value."""


def changes(database: Path) -> list[Change]:
    """Return the changed values in the order in which they changed."""
    columns = "complaint_id, load_id, column_name, old, new"
    return query(database, f"SELECT {columns} FROM complaint_change ORDER BY rowid")  # noqa: S608


def withdrawn(database: Path) -> dict[int, str]:
    """Return the complaints that are marked as withdrawn, each with its mark."""
    marks = "SELECT complaint_id, withdrawn_on FROM complaint WHERE withdrawn_on IS NOT NULL"
    return dict(query(database, marks))


def query(database: Path, sql: str) -> list[Any]:
    """Query the file in the same way as another program."""
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
    """Return the load whose values count, for each complaint."""
    return dict(query(database, "SELECT complaint_id, load_id FROM complaint"))


def outcomes(database: Path) -> list[tuple[str, str | None]]:
    """Return the outcome and the failure of each load."""
    return query(database, "SELECT outcome, failure FROM load ORDER BY load_id")


def seen(database: Path) -> list[int]:
    """Return the ids received in unfinished windows."""
    return [n for (n,) in query(database, "SELECT complaint_id FROM load_seen ORDER BY 1")]


# --- other processes ------------------------------------------------------------------------

BEGIN = """
import os, sys
from pathlib import Path
from support.loads import *
from support.parts import *
P = Path(sys.argv[1])
"""
HOLD = """
with open_load(P, FakeSource()) as running:
    store_part(part(complaint(1)), running.id, P)
    print("loading", flush=True)
    sys.stdin.read()
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    """Start a second process that can use the names of this module and of `parts`."""
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + code, path],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def loading_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Keep a load running in a second process."""
    with start(HOLD, path) as child:
        try:
            assert child.stdout
            assert child.stdout.readline() == "loading\n"
            yield child
        finally:
            child.kill()
