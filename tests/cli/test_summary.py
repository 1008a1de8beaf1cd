"""The closing lines of a run, complete or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cfpb_etl.cli.summary import saved_line, summary_of
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.model.age import Age
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.query import Query
from support.loads import load
from support.parts import complaint, part

NEWEST = SearchApi(limit=1_000)
CALIFORNIA = SearchApi(Query(state=("CA",)))
UPDATE = SearchApi(lookback=60)
BULK = BulkFile()
DAYS: dict[str, Any] = {"oldest": "2024-10-18", "newest": "2024-11-05"}
COMPLETE: dict[str, Any] = {"windows": 1, "expected": 1_000, "received": 1_000}


@pytest.fixture
def database(path: Path) -> Path:
    """Return a database of two complaints."""
    load(path, part(complaint(1), complaint(2)))
    return path


def lines_about_complaints(stats: LoadStats, source: Any, database: Path) -> list[str]:
    """Return the summary without the lines that every summary has."""
    *lines, last_but_one, last = summary_of(stats, database, source, None).splitlines()
    assert last_but_one == f"database   {database}, 2 complaints"
    assert last.startswith("try        sqlite3 ")
    return lines


def test_the_newest(database: Path) -> None:
    """A limited load says how many complaints match in all."""
    stats = LoadStats(parts=1, rows=1_000, new=1_000, matching=25_000, **DAYS, **COMPLETE)

    assert lines_about_complaints(stats, NEWEST, database) == [
        "1,000 complaints in 1 page: 1,000 new, 0 changed, 0 unchanged",
        "received   2024-10-18 to 2024-11-05 (25,000 match)",
        "verified   1,000 of 1,000",
    ]


def test_all_matches(database: Path) -> None:
    """A load without a limit says in how many date windows it was verified."""
    stats = LoadStats(
        parts=7,
        rows=54_377,
        new=54_000,
        changed=7,
        matching=54_377,
        windows=2,
        expected=54_377,
        received=54_377,
        **DAYS,
    )

    assert lines_about_complaints(stats, CALIFORNIA, database) == [
        "54,377 complaints in 7 pages: 54,000 new, 7 changed, 370 unchanged",
        "received   2024-10-18 to 2024-11-05",
        "verified   54,377 of 54,377 (in 2 date windows)",
    ]


SPELLING = "check the spelling of {}, capitals included"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (CALIFORNIA, "ask for more states"),
        (SearchApi(Query(product=("mortgage",))), SPELLING.format("--product")),
        (
            SearchApi(Query(issue=("x",), company=("y",), state=("CA",))),
            SPELLING.format("--issue and --company"),
        ),
        (SearchApi(Query(search="late fees")), "search for fewer or other words"),
        (SearchApi(Query(since="2026-10-01")), "ask for more days"),
        (
            SearchApi(Query(until="2012-01-01", product=("x",), search="y"), limit=9),
            f"{SPELLING.format('--product')}, or search for fewer or other words,"
            " or ask for more days",
        ),
        (UPDATE, "CFPB has no such complaint in these days now"),
        (SearchApi(), "CFPB has no complaints now"),
    ],
)
def test_nothing_matches(database: Path, source: SearchApi, hint: str) -> None:
    """The hint is about what the user asked for."""
    stats = LoadStats(parts=1, matching=0, windows=1)

    first, second, *_ = lines_about_complaints(stats, source, database)

    assert first == "0 complaints in 1 page: 0 new, 0 changed, 0 unchanged"
    assert second == f"nothing matches: {hint}"


@pytest.mark.parametrize("proves_absence", [True, False])
def test_an_update(database: Path, *, proves_absence: bool) -> None:
    """Under a filter, withdrawn complaints cannot be found, and the summary says so."""
    stats = LoadStats(
        parts=1,
        rows=1_000,
        new=1,
        withdrawn=2,
        matching=1_000,
        proves_absence=proves_absence,
        **DAYS,
        **COMPLETE,
    )
    not_checked = "withdrawn  not checked: under a filter, a missing complaint may have changed"

    assert lines_about_complaints(stats, UPDATE, database) == [
        "1,000 complaints in 1 page: 1 new, 0 changed, 999 unchanged, 2 withdrawn",
        "received   2024-10-18 to 2024-11-05",
        "verified   1,000 of 1,000",
        "withdrawn  2 marked, 0 added as withdrawn" if proves_absence else not_checked,
    ]


def test_a_file(database: Path) -> None:
    """A file has rows; CFPB does not say how many, so nothing is called verified."""
    stats = LoadStats(
        parts=1,
        rows=1_000,
        new=1_000,
        duplicates=1,
        rejected=2,
        **DAYS,
        **COMPLETE,
    )

    assert lines_about_complaints(stats, BULK, database) == [
        "1,000 complaints in 1 file: 1,000 new, 0 changed, 0 unchanged, 2 rejected",
        "received   2024-10-18 to 2024-11-05",
        "rows       1,002 read (1 duplicate, 2 rejected rows)",
        "withdrawn  0 marked, 0 added as withdrawn",
    ]


def test_a_part(database: Path) -> None:
    """A file that has not all complaints has a line that says why, and its day can be a range."""
    stats = LoadStats(
        parts=1,
        rows=3,
        new=2,
        not_applied=1,
        age=Age("2020-03-12", "2026-11-26", "newest day in its dates, time of the file"),
        part_reason="its days start on 2020-01-10",
        born_withdrawn=1,
        **DAYS,
    )

    assert lines_about_complaints(stats, BULK, database) == [
        "3 complaints in 1 file: 2 new, 0 changed, 0 unchanged, 1 not applied",
        "received   2024-10-18 to 2024-11-05",
        "data of    a day between 2020-03-12 and 2026-11-26"
        " (newest day in its dates, time of the file)",
        "rows       3 read",
        "scope      a part: its days start on 2020-01-10 (use --whole if it has all)",
        "withdrawn  0 marked, 1 added as withdrawn",
    ]


def test_an_unchanged_file(database: Path) -> None:
    """When no file was read, there is nothing else to say of the complaints."""
    stats = LoadStats(parts=1, unchanged_files=1, windows=1)

    assert lines_about_complaints(stats, BULK, database) == [
        "already up to date: 1 file not changed since the last load"
    ]


def test_some_unchanged_files(database: Path) -> None:
    """Only files that were read count as files of complaints."""
    stats = LoadStats(parts=3, unchanged_files=2, rows=1_000, new=1_000, **COMPLETE)

    assert lines_about_complaints(stats, Archive(), database) == [
        "already up to date: 2 files not changed since the last load",
        "1,000 complaints in 1 file: 1,000 new, 0 changed, 0 unchanged",
        "rows       1,000 read",
        "withdrawn  0 marked, 0 added as withdrawn",
    ]


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture has a line, and the command to try quotes the name of the database."""
    monkeypatch.chdir(tmp_path)
    database = Path("my complaints.db")
    load(database, part(complaint(1)))

    assert summary_of(LoadStats(), database, NEWEST, Path("flow.svg")).splitlines()[-3:] == [
        "database   my complaints.db, 1 complaint",
        "picture    flow.svg",
        "try        sqlite3 'my complaints.db'"
        ' "SELECT product, COUNT(*) FROM complaint GROUP BY 1 ORDER BY 2 DESC LIMIT 5"',
    ]


# --- a run that did not complete ------------------------------------------------------------


def test_what_was_stored_is_saved(path: Path) -> None:
    """A limited load starts over, because other complaints are then the newest."""
    stats = LoadStats(parts=1, rows=10_000)
    saved = f"10,000 complaints are saved in {path}. Run the same command again"

    assert saved_line(stats, path, CALIFORNIA) == f"{saved} to resume."
    assert saved_line(stats, path, NEWEST) == f"{saved} to start over."
    assert saved_line(LoadStats(), path, CALIFORNIA) == "Nothing was stored."


@pytest.mark.parametrize("source", [BULK, Archive()])
def test_a_download_is_kept(source: BulkFile | Archive, path: Path) -> None:
    """The next run uses it instead of downloading the file again."""
    assert saved_line(LoadStats(), path, source) == "Nothing was stored."

    path.with_name(f"{path.name}-download-x.json").touch()
    path.with_name("other.db-download-x.json").touch()

    kept = "The download is kept, and the next run will use it."
    assert saved_line(LoadStats(), path, source) == f"Nothing was stored. {kept}"
    assert saved_line(LoadStats(), path, CALIFORNIA) == "Nothing was stored."
    assert "download " not in saved_line(LoadStats(rows=5), path, source)
