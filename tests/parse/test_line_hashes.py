"""Unchanged lines are skipped, and the result is the same as without comparing lines."""

from __future__ import annotations

import csv
import io
import sqlite3
import tempfile
from array import array
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.part import ReadOptions
from cfpb_etl.parse import csv_process, csv_rows, line_hashes
from cfpb_etl.parse.csv_format import rows as csv_format_rows
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.errors import UnclosedQuoteError
from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from cfpb_etl.store.sqlite_file import connect, ensure_schema
from support.loads import load, query
from support.parts import complaint, part
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.part import CsvFile, ReadStats

TITLES = [title for title in CSV_COLUMNS if title != "Consumer complaint narrative"]
PATH = Path("complaints.csv")
OPTIONS = ReadOptions(today="2026-11-27")


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Create a database without complaints."""
    with closing(connect(path, make=True)) as connection:
        ensure_schema(connection, path)
        yield connection


def row(number: object, day: str = "2026-08-14", **changed: str) -> list[str]:
    """Return the fields of a row."""
    fields = {"date_received": day, "date_sent_to_company": day, "timely": "Yes"} | changed
    fields["complaint_id"] = str(number)
    return [fields.get(CSV_COLUMNS[title], "") for title in TITLES]


def csv_of(rows: Sequence[Sequence[str]], titles: Sequence[str] = TITLES, **style: Any) -> str:
    """Return a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, **style).writerows([titles, *rows])
    return text.getvalue()


class Read:
    """A file that was read, and the hashes of its lines stored."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        content: str,
        path: Path = PATH,
        options: ReadOptions = OPTIONS,
    ) -> None:
        (_, _, database), *_ = connection.execute("PRAGMA database_list")
        writer = LineHashWriter(connection)
        self.ids: list[int] = []
        self.hashes: list[int] = []
        blocks: list[bytes] = []
        with closing(StoredLines(Path(database))) as stored:
            rows = ComplaintRows(io.StringIO(content, newline=""), path, options, stored)
            for batch in rows:
                self.ids += [each.complaint_id for each in batch.complaints]
                self.hashes += array("Q", batch.line_hashes)
                blocks.append(batch.line_hashes)
        self.read_stats: ReadStats = rows.read_stats
        self.all_ids = {*rows.ids}
        for block in filter(None, blocks):
            writer.write(block)
        writer.finish(rows.read_stats.duplicate_ids)


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


# --- whole loads ----------------------------------------------------------------------------


class InThisProcess:
    """Parses in this process, with the same frames, and from the same moment on."""

    def __init__(self, file: CsvFile, _stderr: object) -> None:
        self.stdout = io.BytesIO()
        csv_process._write_frames(file, self.stdout)
        self.stdout.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End, as a process does."""

    def wait(self) -> int:
        """Return the exit code of success."""
        return 0

    def kill(self) -> None:
        """Do nothing: it has ended."""


FIELDS = st.fixed_dictionaries(
    {
        "timely": st.sampled_from(["Yes", "No", ""]),
        "issue": st.sampled_from(["a", "a", "a", '5" b', "c\r\nd", "e\n1,2", '"f"']),
    }
)
DAYS = st.sampled_from(["2026-08-13", "2026-08-14", "2026-08-14", "", "2026-02-30"])
LINES = st.builds(
    lambda number, day, fields: row(number, day, **fields),
    st.integers(0, 12) | st.sampled_from(["None", "", "x", 2**64]),
    DAYS,
    FIELDS,
)
CHANGES = st.lists(st.tuples(st.integers(0, 30), LINES | st.none()), max_size=4)
BETWEEN = st.sampled_from(["nothing", "an edit", "a deletion", "the API"])
AS_OF = st.sampled_from(["2026-08-15", "2026-08-18", "2026-08-25"])
DAYS_OF_CHANGES = st.lists(
    st.tuples(CHANGES, BETWEEN, AS_OF, st.booleans()), min_size=1, max_size=5
)
RESULTS = (
    "SELECT * FROM complaint ORDER BY 1",
    "SELECT * FROM complaint_change ORDER BY 1, 2, 3",
    "SELECT outcome, rows, new, changed, unchanged, withdrawn, duplicates, rejected, not_applied,"
    " warnings, oldest, newest, covers_until, columns_sent FROM load ORDER BY load_id",
    "SELECT expected, received FROM load_part ORDER BY part_id",
)


def load_bulk(file: Path, database: Path) -> LoadStats:
    """Load a file as the flow does."""
    source = BulkFile(str(file), database, allow_withdrawals=True)
    with open_load(database, source) as current:
        (file_part,) = current.parts_left()
        return store_part(parse_part(current.source.fetch(file_part)), current.id, database)


def change(database: Path, what: str) -> None:
    """Change something between two files."""
    if what == "the API":
        load(database, part(complaint(3, timely="No"), as_of="2026-08-20"), query="{}")
        return
    statement = {
        "nothing": "SELECT 1",
        "an edit": "UPDATE complaint SET issue = 'g' WHERE complaint_id % 5 = 2",
        "a deletion": "DELETE FROM complaint WHERE complaint_id = 4",
    }[what]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def parse_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse files in this process."""
    monkeypatch.setattr(csv_process, "_reader", InThisProcess)


@pytest.mark.usefixtures("parse_here")
def test_the_lines_of_an_older_file_are_not_stored(path: Path, tmp_path: Path) -> None:
    """The values of a newer file count, so a complaint may differ from the older file's line."""
    file = tmp_path / "complaints.csv"
    files = {"2026-08-20": "No", "2026-08-15": "Yes", "2026-08-22": "Yes"}
    for as_of, timely in files.items():
        file.write_text(csv_of([row(99, as_of), row(1, timely=timely)]), newline="")
        load_bulk(file, path)

    stored = "SELECT timely FROM complaint WHERE complaint_id = 1"
    assert query(path, stored) == [("Yes",)]
    changes = "SELECT load_id, old, new FROM complaint_change WHERE complaint_id = 1"
    assert query(path, changes) == [(3, "No", "Yes")]


@given(
    rows=st.lists(LINES, max_size=20),
    days=DAYS_OF_CHANGES,
    sizes=st.tuples(*[st.integers(1, 5)] * 2),
)
@settings(deadline=None, derandomize=True, max_examples=soak(80))
def test_comparing_lines_does_not_change_the_result(
    rows: list[list[str]],
    days: list[tuple[list[tuple[int, list[str] | None]], str, str, bool]],
    sizes: tuple[int, int],
) -> None:
    """Whatever is in the files, the database is the same as when every line is parsed."""
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_process, "_reader", InThisProcess)
        patch.setattr(csv_rows, "MAX_REJECTED", 0.999)
        patch.setattr(line_hashes, "_CHUNK", sizes[0])
        patch.setattr(csv_format_rows, "_BATCH", sizes[1])
        comparing, parsing = Path(temporary, "comparing.db"), Path(temporary, "parsing.db")
        file = Path(temporary, "complaints.csv")
        for changes, between, as_of, backwards in [([], "nothing", "2026-08-15", False), *days]:
            for place, changed in changes:
                if changed is None:
                    del rows[place : place + 1]
                else:
                    rows[place : place + place % 2] = [changed]
            day = [row(99, as_of), *(reversed(rows) if backwards else rows)]
            file.write_text(csv_of(day), newline="")
            for database in (comparing, parsing):
                if database.exists():
                    change(database, between)
                load_bulk(file, database)
                if database is parsing:
                    with closing(sqlite3.connect(database)) as connection, connection:
                        connection.execute("DELETE FROM line_block")
            for sql in RESULTS:
                assert query(comparing, sql) == query(parsing, sql)
