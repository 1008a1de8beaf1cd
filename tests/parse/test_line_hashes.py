"""Lines that the database holds as they stand are left out, and nothing else comes of it."""

from __future__ import annotations

import csv
import io
import sqlite3
import tempfile
from array import array
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.parse import csv_process as complaint_stream
from cfpb_etl.parse import csv_rows as complaint_csv
from cfpb_etl.parse import line_hashes as known_lines
from cfpb_etl.parse.csv_rows import COLUMNS, ComplaintRows
from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.loads import begin_load
from cfpb_etl.store.part_writer import store_part
from cfpb_etl.store.sqlite_file import connect, ensure_schema
from support.loads import load, query
from support.parts import complaint, part
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.part import ReadStats

TITLES = [title for title in COLUMNS if title != "Consumer complaint narrative"]
PLACE = Path("complaints.csv")


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """Make a database of no complaints."""
    with closing(connect(path, make=True)) as connection:
        ensure_schema(connection, path)
        yield connection


def row(number: object, day: str = "2026-08-14", **changed: str) -> list[str]:
    """Return the fields of a row."""
    fields = {"date_received": day, "date_sent_to_company": day, "timely": "Yes"} | changed
    fields["complaint_id"] = str(number)
    return [fields.get(COLUMNS[title], "") for title in TITLES]


def csv_of(rows: Sequence[Sequence[str]], titles: Sequence[str] = TITLES, **style: Any) -> str:
    """Return a file."""
    text = io.StringIO(newline="")
    csv.writer(text, **style).writerows([titles, *rows])
    return text.getvalue()


class Read:
    """A file that was read, and its lines kept."""

    def __init__(self, connection: sqlite3.Connection, content: str, place: Path = PLACE) -> None:
        keeper = LineHashWriter(connection)
        kept: list[bytes] = []
        lines = io.StringIO(content, newline="")
        rows = ComplaintRows(lines, place, StoredLines(connection), kept.append)
        self.ids: list[int] = []
        for complaints in rows:
            self.ids += [each.complaint_id for each in complaints]
            kept.append(rows.fingerprints)
        self.read_stats: ReadStats = rows.read_stats
        self.all_ids = {*rows.ids}
        self.kept = [*chain.from_iterable(array("q", each) for each in kept)]
        for each in filter(None, kept):
            keeper.keep(each)
        keeper.end(rows.read_stats.duplicate_ids)


# --- what is left out -----------------------------------------------------------------------


def test_the_same_lines_are_left_out(database: sqlite3.Connection) -> None:
    """Of a file that was stored only what is new has to be parsed; all is counted."""
    old = [row(number, f"2026-08-{1 + number % 28:02}") for number in range(10_000, 13_000)]
    assert len(Read(database, csv_of(old)).ids) == 3_000

    again = Read(database, csv_of([row(20_000), row(10_001, timely="No"), *old[2:]]))

    assert again.ids == [20_000, 10_001]
    assert (again.read_stats.rows, again.read_stats.known) == (3_000, 2_998)
    assert again.read_stats.days == ["2026-08-01", "2026-08-28"]
    assert again.all_ids == {20_000, *range(10_001, 13_000)}
    assert len({*again.kept}) == 3_000


@pytest.mark.parametrize("at", [0, 1, 499, 500, 501, 1_200, 2_999])
def test_a_change_in_any_place_costs_itself(database: sqlite3.Connection, at: int) -> None:
    """Also where CFPB does not write what is changed first."""
    rows = [row(number) for number in range(10_000, 13_000)]
    Read(database, csv_of(rows))
    rows[at] = row(10_000 + at, timely="No")

    assert Read(database, csv_of(rows)).ids == [10_000 + at]
    assert Read(database, csv_of(rows)).ids == []


def test_a_part_that_moved_is_found(database: sqlite3.Connection) -> None:
    """Wherever lines go on that went together, no more than a block of them is parsed."""
    rows = [row(number) for number in range(10_000, 20_000)]
    Read(database, csv_of(rows))

    moved = Read(database, csv_of([*rows[7_300:], *rows[:2_100], *rows[4_050:7_300]]))

    assert len(moved.ids) < 3 * 500
    assert moved.read_stats.rows == len(rows) - 1_950


def test_lines_in_no_order_are_parsed(database: sqlite3.Connection) -> None:
    """It takes longer, and is as right."""
    rows = [row(number) for number in range(10_000, 20_000)]
    Read(database, csv_of(rows))
    rows = [each for start in range(97) for each in rows[start::97]]

    again = Read(database, csv_of(rows))

    assert again.read_stats.rows == len({*again.all_ids}) == len({*again.kept}) == 10_000


@pytest.mark.parametrize(
    "titles",
    [
        [*TITLES[1:-1], TITLES[0], TITLES[-1]],
        [*TITLES[:-2], TITLES[-1], TITLES[-2]],
    ],
    ids=["day", "id"],
)
def test_columns_in_another_order(database: sqlite3.Connection, titles: list[str]) -> None:
    """Where the day or the id stands elsewhere, every line is parsed, each time."""
    places = [TITLES.index(title) for title in titles]
    content = csv_of([[row(n)[place] for place in places] for n in range(700)], titles)

    for _ in range(2):
        read = Read(database, content)
        assert (len(read.ids), read.kept) == (700, [])


def test_other_columns_make_other_lines(database: sqlite3.Connection) -> None:
    """The same text under another header may tell something else."""
    rows = [row(number) for number in range(600)]
    Read(database, csv_of(rows))
    renamed = ["Event tag" if title == "Tags" else title for title in TITLES]
    exchanged = [{"Issue": "Sub-issue", "Sub-issue": "Issue"}.get(name, name) for name in TITLES]
    renamed[TITLES.index("Tags")] = "Tags"

    assert len(Read(database, csv_of(rows, exchanged)).ids) == 600


def test_another_version_reads_anew(
    database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may make something else of a line."""
    content = csv_of([row(number) for number in range(600)])
    Read(database, content)
    monkeypatch.setattr(known_lines, "__version__", "99.0")

    assert len(Read(database, content).ids) == 600


def test_quotes_around_everything(database: sqlite3.Connection) -> None:
    """A line that does not begin with its day is parsed, and is not in the way of the others."""
    content = csv_of([row(number) for number in range(1, 600)], quoting=csv.QUOTE_ALL)
    for _ in range(2):
        read = Read(database, content)
        assert (len(read.ids), read.kept) == (599, [])


def test_lines_of_a_field_are_not_kept(database: sqlite3.Connection) -> None:
    """They are no rows, whatever they look like."""
    rows = [row(1), row(2, issue=f"\r\n{row(3)[0]},\r\n{row(3)[0]}"), row(4)]

    assert Read(database, csv_of(rows)).kept == []


@pytest.mark.parametrize("inside", [1_210, 1_900])
def test_a_field_that_goes_on_ends_it(database: sqlite3.Connection, inside: int) -> None:
    """What follows a quote that is open may look like a row and be none: nothing is left out."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    line = csv_of([rows[inside]]).splitlines()[1]
    rows[1_200] = row(9, issue=f"\r\n{line}\r\n")
    del rows[inside]

    again = Read(database, csv_of(rows))

    assert again.ids == [
        *range(11_000, 11_200),
        9,
        *range(11_201, 10_000 + inside),
        *range(10_001 + inside, 12_000),
    ]
    assert again.read_stats.rows == 1_999


# --- what has to be parsed all the same -----------------------------------------------------


@pytest.mark.parametrize("between", [0, 3, 700])
@pytest.mark.parametrize("first", ["known", "changed"])
def test_the_later_copy_counts(database: sqlite3.Connection, between: int, first: str) -> None:
    """Also where it is the known one."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    copies = [rows[0], row(10_000, timely="No")]
    if first == "changed":
        copies.reverse()

    again = Read(database, csv_of([copies[0], *rows[1 : 1 + between], copies[1], *rows[1_000:]]))

    assert again.ids[-1] == 10_000
    assert again.ids.count(10_000) == (1 if first == "known" and between == 700 else 2)
    assert (again.read_stats.duplicates, {*again.read_stats.duplicate_ids}) == (1, {10_000})
    assert Read(database, csv_of(rows)).ids.count(10_000) == 1


def test_the_same_line_twice(database: sqlite3.Connection) -> None:
    """It is a copy like any other."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))

    again = Read(database, csv_of([*rows, rows[1_000]]))

    assert (again.read_stats.rows, again.read_stats.duplicates) == (2_001, 1)
    assert again.read_stats.warnings == [
        "line 2,002: complaint 11000 came before; this later copy counts"
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE complaint SET timely = 'No' WHERE complaint_id = 1100",
        "DELETE FROM complaint WHERE complaint_id = 1100",
        "INSERT INTO complaint (complaint_id, load_id) VALUES (1100, 1)"
        " ON CONFLICT DO UPDATE SET timely = 'No'",
    ],
)
def test_what_somebody_changed(database: sqlite3.Connection, statement: str) -> None:
    """A complaint that was touched since is compared with its line, until that is kept anew."""
    content = csv_of([row(number) for number in range(1_000, 2_000)])
    Read(database, content)
    database.execute("INSERT INTO complaint (complaint_id, load_id) VALUES (1100, 1)")
    database.execute(statement)
    if "CONFLICT" in statement:
        database.execute(statement)  # the trigger's own conflict is none

    assert Read(database, content).ids == [1_100]
    assert Read(database, content).ids == []


def test_rows_that_are_no_complaints(database: sqlite3.Connection) -> None:
    """They are told each time, in their lines, and so is the header in the middle."""
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
    # Of rows that are parsed together with an odd one no line is kept.
    assert len(first.kept) == len({*first.kept}) == 1_004
    assert len(again.ids) == 996


def test_an_open_quote_is_told_with_its_line(database: sqlite3.Connection) -> None:
    """Lines that are left out count."""
    content = csv_of([row(number) for number in range(10_000, 12_000)])
    Read(database, content)

    with pytest.raises(UnreadableFileError, match=r"begins in line 2,002 does not"):
        Read(database, content + '2026-08-14,"')


def test_a_quote_that_opens_beside_a_stray_one(database: sqlite3.Connection) -> None:
    """Their number is even, and the field goes on all the same: no line within it is left out."""
    rows = [row(number) for number in range(10_000, 12_000)]
    Read(database, csv_of(rows))
    new = csv_of([row(number) for number in range(20_000, 23_000)]).partition("\r\n")[2]
    opened = csv_of(rows[:600]) + '2026-08-14,5" b,"open\r\n'

    with pytest.raises(UnreadableFileError, match=r"begins in line 602 does not end"):
        Read(database, opened + new)

    inside = csv_of(rows[700:701]).partition("\r\n")[2]
    closed = Read(database, f'{opened}{inside}"" 5\r\n",' + ",".join(row(9)[3:]))
    assert closed.ids[-1] == 9
    assert 10_700 not in closed.all_ids


def test_nothing_kept_leaves_what_was(database: sqlite3.Connection) -> None:
    """A load that keeps no lines, as of a page, does not forget the file's, nor what changed."""
    content = csv_of([row(number) for number in range(1_000, 2_000)])
    Read(database, content)
    database.execute("INSERT INTO line_outdated VALUES (1500)")
    LineHashWriter(database).end(())

    assert Read(database, content).ids == [1_500]


# --- the whole ------------------------------------------------------------------------------


class Here:
    """A reader in this process: its frames are the same, and it is begun at the same moment."""

    def __init__(self, path: Path, database: Path | None, _said: object) -> None:
        self.stdout = io.BytesIO()
        complaint_stream._write_frames(path, database, self.stdout)
        self.stdout.seek(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End as a process does."""

    def wait(self) -> int:
        """Return that all went well."""
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
DAY_AFTER_DAY = st.lists(st.tuples(CHANGES, BETWEEN, AS_OF, st.booleans()), min_size=1, max_size=5)
TOLD = (
    "SELECT * FROM complaint ORDER BY 1",
    "SELECT * FROM complaint_change ORDER BY 1, 2, 3",
    "SELECT outcome, complaints_read, inserted, updated, unchanged, withdrawn, repeated, rejected,"
    " remarks, oldest, newest, until, carried FROM load ORDER BY load_id",
    "SELECT expected, kept FROM load_part ORDER BY part_id",
)


def load_bulk(file: Path, database: Path) -> LoadStats:
    """Load a file as the flow does."""
    source = BulkFile(str(file), database, allow_withdrawals=True)
    with begin_load(database, source) as under_way:
        (first,) = under_way.parts_left()
        return store_part(under_way.source.fetch(first).parsed(), under_way.id, database)


def touch(database: Path, what: str) -> None:
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
def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files in this process."""
    monkeypatch.setattr(complaint_stream, "_reader", Here)


@pytest.mark.usefixtures("read_here")
def test_an_older_files_lines_are_not_kept(path: Path, tmp_path: Path) -> None:
    """What a newer file told stands, so that a complaint is not as in them."""
    file = tmp_path / "complaints.csv"
    told = {"2026-08-20": "No", "2026-08-15": "Yes", "2026-08-22": "Yes"}
    for as_of, timely in told.items():
        file.write_text(csv_of([row(99, as_of), row(1, timely=timely)]), newline="")
        load_bulk(file, path)

    stands = "SELECT timely FROM complaint WHERE complaint_id = 1"
    assert query(path, stands) == [("Yes",)]
    changes = "SELECT load_id, old, new FROM complaint_change WHERE complaint_id = 1"
    assert query(path, changes) == [(3, "No", "Yes")]


@given(
    rows=st.lists(LINES, max_size=20),
    days=DAY_AFTER_DAY,
    at_once=st.tuples(*[st.integers(1, 5)] * 2),
)
@settings(deadline=None, derandomize=True, max_examples=soak(80))
def test_it_makes_no_difference(
    rows: list[list[str]],
    days: list[tuple[list[tuple[int, list[str] | None]], str, str, bool]],
    at_once: tuple[int, int],
) -> None:
    """Whatever the files hold, the database is the same as where every line is parsed."""
    with tempfile.TemporaryDirectory() as temporary, pytest.MonkeyPatch.context() as patch:
        patch.setattr(complaint_stream, "_reader", Here)
        patch.setattr(complaint_stream, "MOST_REJECTED", 1)
        patch.setattr(known_lines, "_AT_ONCE", at_once[0])
        patch.setattr(complaint_csv, "_ROWS_AT_ONCE", at_once[1])
        knowing, forgetting = Path(temporary, "knowing.db"), Path(temporary, "forgetting.db")
        file = Path(temporary, "complaints.csv")
        for changes, between, as_of, backwards in [([], "nothing", "2026-08-15", False), *days]:
            for place, changed in changes:
                if changed is None:
                    del rows[place : place + 1]
                else:
                    rows[place : place + place % 2] = [changed]
            day = [row(99, as_of), *(reversed(rows) if backwards else rows)]
            file.write_text(csv_of(day), newline="")
            for database in (knowing, forgetting):
                if database.exists():
                    touch(database, between)
                load_bulk(file, database)
                if database is forgetting:
                    with closing(sqlite3.connect(database)) as connection, connection:
                        connection.execute("DELETE FROM line_block")
            for sql in TOLD:
                assert query(knowing, sql) == query(forgetting, sql)
