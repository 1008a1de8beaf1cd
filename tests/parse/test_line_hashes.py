"""Unchanged lines are skipped, and all other lines are parsed."""

from __future__ import annotations

import csv
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.parse import line_hashes
from cfpb_etl.parse.errors import UnclosedQuoteError
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.sqlite_file import connect, ensure_schema
from support.stored_lines import OPTIONS, TITLES, Read, csv_of, row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Create a database without complaints."""
    with closing(connect(path, make=True)) as connection:
        ensure_schema(connection, path)
        yield connection


# --- unchanged lines -----------------------------------------------------------------------


def test_unchanged_lines_are_skipped(database: sqlite3.Connection) -> None:
    """Only new and changed lines are parsed; all of them are counted."""
    old = [row(number, f"2026-08-{1 + number % 28:02}") for number in range(10_000, 13_000)]
    assert len(Read(database, csv_of(old)).ids) == 3_000

    again = Read(database, csv_of([row(20_000), row(10_001, timely="No"), *old[2:]]))

    assert again.ids == [20_000, 10_001]
    assert (again.read_stats.rows, again.read_stats.unchanged) == (3_000, 2_998)
    assert again.read_stats.days == ["2026-08-01", "2026-08-28"]
    assert again.all_ids == {20_000, *range(10_001, 13_000)}
    assert len({*again.hashes}) == 3_000


@pytest.mark.parametrize("at", [0, 1, 499, 500, 501, 1_200, 2_999])
def test_a_change_in_any_place_is_parsed_alone(database: sqlite3.Connection, at: int) -> None:
    """Changed lines need not come first, as CFPB writes them."""
    rows = [row(number) for number in range(10_000, 13_000)]
    Read(database, csv_of(rows))
    rows[at] = row(10_000 + at, timely="No")

    assert Read(database, csv_of(rows)).ids == [10_000 + at]
    assert Read(database, csv_of(rows)).ids == []


def test_lines_that_moved_are_found(database: sqlite3.Connection) -> None:
    """Where a run of stored lines continues elsewhere, at most one block of it is parsed."""
    rows = [row(number) for number in range(10_000, 20_000)]
    Read(database, csv_of(rows))

    moved = Read(database, csv_of([*rows[7_300:], *rows[:2_100], *rows[4_050:7_300]]))

    assert len(moved.ids) < 3 * 500
    assert moved.read_stats.rows == len(rows) - 1_950


def test_shuffled_lines_are_parsed(database: sqlite3.Connection) -> None:
    """That takes longer, with the same result."""
    rows = [row(number) for number in range(10_000, 20_000)]
    Read(database, csv_of(rows))
    rows = [each for start in range(97) for each in rows[start::97]]

    again = Read(database, csv_of(rows))

    assert again.read_stats.rows == len({*again.all_ids}) == len({*again.hashes}) == 10_000


@pytest.mark.parametrize(
    "titles",
    [
        [*TITLES[1:-1], TITLES[0], TITLES[-1]],
        [*TITLES[:-2], TITLES[-1], TITLES[-2]],
    ],
    ids=["day", "id"],
)
def test_columns_in_another_order(database: sqlite3.Connection, titles: list[str]) -> None:
    """If the day or the id is in another place, every line is parsed each time."""
    places = [TITLES.index(title) for title in titles]
    content = csv_of([[row(n)[place] for place in places] for n in range(700)], titles)

    for _ in range(2):
        read = Read(database, content)
        assert (len(read.ids), read.hashes) == (700, [])


def test_lines_under_another_header_are_parsed(database: sqlite3.Connection) -> None:
    """The same text under another header has another meaning."""
    rows = [row(number) for number in range(600)]
    Read(database, csv_of(rows))
    renamed = ["Event tag" if title == "Tags" else title for title in TITLES]
    exchanged = [{"Issue": "Sub-issue", "Sub-issue": "Issue"}.get(name, name) for name in TITLES]
    renamed[TITLES.index("Tags")] = "Tags"

    assert len(Read(database, csv_of(rows, exchanged)).ids) == 600


def test_another_version_parses_all_lines(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may parse a line to other values."""
    content = csv_of([row(number) for number in range(600)])
    Read(database, content)
    monkeypatch.setattr(line_hashes, "__version__", "99.0")

    assert len(Read(database, content).ids) == 600


def test_quoted_lines_are_parsed(database: sqlite3.Connection) -> None:
    """A line that does not start with its day is parsed each time."""
    content = csv_of([row(number) for number in range(1, 600)], quoting=csv.QUOTE_ALL)
    for _ in range(2):
        read = Read(database, content)
        assert (len(read.ids), read.hashes) == (599, [])


@pytest.mark.parametrize("name", ["date_received", "date_sent_to_company"])
@pytest.mark.parametrize(
    "day", ["03/04/2020", "2020-03-04 00:00:00", "2020/3/4", "04-Mar-20", "2020-03-04T00:00Z"]
)
def test_lines_with_other_dates_are_parsed(
    database: sqlite3.Connection, name: str, day: str
) -> None:
    """What they mean can depend on an option, so they are never skipped."""
    content = csv_of([row(number, **{name: day}) for number in range(1, 600)])
    for order, month in (("month-first", "03"), ("day-first", "04"), ("month-first", "03")):
        read = Read(database, content, options=OPTIONS._replace(date_order=order))  # type: ignore[arg-type]
        assert (len(read.ids), read.hashes) == (599, [])
        months = {getattr(each, name)[5:7] for each in read.complaints}
        assert months == {month if day == "03/04/2020" else "03"}


def test_unchanged_complaints_after_today(database: sqlite3.Connection) -> None:
    """They are counted, and they are never the newest."""
    days = ["2026-11-27", "2026-11-28", "2062-01-01", "2026-08-14"] * 200
    content = csv_of([row(number, day) for number, day in enumerate(days, 1)])
    assert len(Read(database, content).ids) == 800

    again = Read(database, content)

    assert (again.read_stats.unchanged, again.read_stats.after_today) == (800, 400)
    assert again.read_stats.days == ["2026-08-14", "2026-11-27"]
    future = Read(database, content, options=OPTIONS._replace(today="2026-08-13"))
    assert (future.read_stats.days, future.read_stats.after_today) == ([], 800)


def test_lines_within_a_field_are_not_stored(database: sqlite3.Connection) -> None:
    """They are not rows, even if they look like rows."""
    rows = [row(1), row(2, issue=f"\r\n{row(3)[0]},\r\n{row(3)[0]}"), row(4)]

    assert Read(database, csv_of(rows)).hashes == []


@pytest.mark.parametrize("inside", [1_210, 1_900])
def test_a_field_with_line_ends_ends_the_comparison(
    database: sqlite3.Connection, inside: int
) -> None:
    """From its batch on, every line is parsed, because a quote may have swallowed some of them."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    line = csv_of([rows[inside]]).splitlines()[1]
    rows[1_200] = row(9, issue=f"\r\nas in {line}\r\n")

    again = Read(database, csv_of(rows))

    assert again.ids == [*range(11_000, 11_200), 9, *range(11_201, 12_000)]
    assert (again.read_stats.rows, again.read_stats.rejected) == (2_000, 0)


def test_a_swallowed_line_that_is_stored(database: sqlite3.Connection) -> None:
    """It is parsed like the other lines that the quote has swallowed."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    lines = csv_of(rows).splitlines(keepends=True)
    lines[601] = lines[601].replace(",", ',"', 1)

    again = Read(database, "".join(lines))

    assert again.ids == [*range(10_500, 10_600), *range(10_601, 12_000)]
    assert again.all_ids == {*range(10_000, 12_000)}
    assert again.read_stats.warnings == [
        "line 602: a quote is not closed; reading went on in line 603, and found 1,399 rows that"
        " the quote had swallowed"
    ]


# --- lines that are parsed although they are stored ------------------------------------------


@pytest.mark.parametrize("between", [0, 3, 700])
@pytest.mark.parametrize("first", ["stored", "changed"])
def test_the_last_copy_counts(database: sqlite3.Connection, between: int, first: str) -> None:
    """The last copy counts, even if it is the stored one."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    copies = [rows[0], row(10_000, timely="No")]
    if first == "changed":
        copies.reverse()

    again = Read(database, csv_of([copies[0], *rows[1 : 1 + between], copies[1], *rows[1_000:]]))

    assert again.ids[-1] == 10_000
    assert again.ids.count(10_000) == (1 if first == "stored" and between == 700 else 2)
    assert (again.read_stats.duplicates, {*again.read_stats.duplicate_ids}) == (1, {10_000})
    assert Read(database, csv_of(rows)).ids.count(10_000) == 1


def test_the_same_line_twice(database: sqlite3.Connection) -> None:
    """It is a duplicate like any other."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))

    again = Read(database, csv_of([*rows, rows[1_000]]))

    assert (again.read_stats.rows, again.read_stats.duplicates) == (2_001, 1)
    assert again.read_stats.warnings == [
        "line 2,002: complaint 11000 occurs again; the last copy counts"
    ]


INSERT_1100 = (
    "INSERT INTO complaint (complaint_id, load_id, first_load_id, changed_load_id)"
    " VALUES (1100, 1, 1, 1)"
)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE complaint SET timely = 'No' WHERE complaint_id = 1100",
        "DELETE FROM complaint WHERE complaint_id = 1100",
        f"{INSERT_1100} ON CONFLICT DO UPDATE SET timely = 'No'",
    ],
)
def test_a_complaint_that_was_changed_by_hand(database: sqlite3.Connection, statement: str) -> None:
    """A complaint that was changed since is parsed again, until its line is stored again."""
    content = csv_of([row(number) for number in range(1_000, 2_000)])
    Read(database, content)
    database.execute(INSERT_1100)
    database.execute(statement)
    if "CONFLICT" in statement:
        database.execute(statement)  # the trigger itself must not conflict

    assert Read(database, content).ids == [1_100]
    assert Read(database, content).ids == []


def test_rows_that_are_not_complaints(database: sqlite3.Connection) -> None:
    """They are reported each time with their line numbers, and so is a repeated header."""
    rows = [row(number) for number in range(10_000, 12_000)]
    rows[700:700] = [row(5, "yesterday"), TITLES]
    rows[1_900:1_900] = [row("None"), ["1", "2"]]
    first = Read(database, csv_of(rows))
    again = Read(database, csv_of(rows))

    assert again.read_stats.warnings == first.read_stats.warnings
    assert [each.partition(":")[0] for each in again.read_stats.warnings] == [
        "line 702",
        "line 703",
        "line 1,902",
        "line 1,903",
    ]
    # No line is stored of rows that are parsed together with an unusual one.
    assert len(first.hashes) == len({*first.hashes}) == 1_004
    assert len(again.ids) == 996


def test_an_open_quote_is_reported_with_its_line(database: sqlite3.Connection) -> None:
    """Skipped lines count for the line number."""
    content = csv_of([row(number) for number in range(10_000, 12_000)])
    Read(database, content)

    with pytest.raises(UnclosedQuoteError, match="a quote in line 2,002 is never closed"):
        Read(database, content + '2026-08-14,"')


def test_an_open_quote_beside_a_stray_one(database: sqlite3.Connection) -> None:
    """Their number is even, and still the field continues: no line within it is lost."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    new = csv_of([row(number) for number in range(20_000, 23_000)]).partition("\r\n")[2]

    again = Read(database, csv_of(rows[:600]) + '2026-08-14,5" b,"open\r\n' + new)

    assert again.ids == [*range(10_500, 10_600), *range(20_000, 23_000)]
    assert (again.read_stats.rejected, again.read_stats.without_id) == (1, 1)
    assert again.read_stats.warnings[0].startswith("line 602: a quote is not closed")


def test_a_load_without_lines_keeps_the_stored_ones(database: sqlite3.Connection) -> None:
    """A load that stores no lines, as of a page, keeps those of the file and the changes."""
    content = csv_of([row(number) for number in range(1_000, 2_000)])
    Read(database, content)
    database.execute("INSERT INTO line_outdated VALUES (1500)")
    LineHashWriter(database).finish(())

    assert Read(database, content).ids == [1_500]
