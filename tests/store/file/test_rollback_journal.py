"""A load works with a rollback journal, in which a writer locks out readers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store import sqlite_file
from support.loads import changes, execute, load_file, query, withdrawn
from support.parts import complaints

if TYPE_CHECKING:
    from pathlib import Path

MANY = range(1, 3_000)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_file_that_does_not_fit_into_the_cache(
    path: Path, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    """SQLite writes changed pages before the end of the transaction. Rows are still compared."""
    monkeypatch.setattr(sqlite_file, "_CACHE_KIBIBYTES", 100)
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0)
    load_file(path, *complaints(*MANY, company="a" * 500), as_of="2026-06-01")
    execute(path, f"PRAGMA journal_mode = {journal}")

    later = complaints(*MANY[:-1], 10_000, company="b" * 500)
    stats = load_file(path, *later, as_of="2026-06-02")

    assert (stats.new, stats.changed, stats.withdrawn) == (1, len(MANY) - 1, 1)
    assert len(changes(path)) == len(MANY)  # one is the mark of the withdrawal
    assert withdrawn(path) == {MANY[-1]: "2026-06-02"}
    assert query(path, "PRAGMA journal_mode") == [(journal.lower(),)]


def test_the_lines_of_the_stored_file_are_not_read_during_a_load(path: Path) -> None:
    """A process that reads them would keep the load from committing, so all lines are parsed."""
    load_file(path, *complaints(*MANY))
    execute(path, "INSERT INTO line_block VALUES (1, x'0102030405060708')")
    with closing(StoredLines(path)) as lines:
        assert lines
    execute(path, "PRAGMA journal_mode = DELETE")

    with closing(StoredLines(path)) as lines:
        assert not lines
        assert load_file(path, *complaints(*MANY, state="CA"), as_of="2026-07-01").changed
