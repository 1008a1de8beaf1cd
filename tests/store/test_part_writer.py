"""A part is stored as a whole or not at all, and newer values are kept."""

from __future__ import annotations

import gc
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.model.age import Age
from cfpb_etl.model.complaint import ALWAYS_SENT, Complaint
from cfpb_etl.model.dates import latest_plausible_day
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.store import sqlite_file as schema
from cfpb_etl.store.errors import DatabaseInUseError, NotADatabaseError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from cfpb_etl.store.sqlite_file import count_complaints
from support.loads import FakeSource, load, load_ids, outcomes, query, start, stored
from support.parts import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    WINDOW,
    NextPart,
    complaint,
    complaints,
    part,
    part_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart


def not_applied(path: Path) -> list[int]:
    """Return how many differing complaints each load has left as they were stored."""
    return [n for (n,) in query(path, "SELECT not_applied FROM load ORDER BY load_id")]


# --- what a part does -----------------------------------------------------------------------


def test_new_complaints_are_inserted(path: Path) -> None:
    """The table has the values of the part."""
    full = Complaint(9, *(f"{name} ’" for name in ALL[1:]))

    assert load(path, part(full, complaint(2**63 - 1, issue="a\0b"))) == [(2, 0, 0)]
    assert query(path, f"SELECT {', '.join(ALL)} FROM complaint WHERE complaint_id = 9") == [full]  # noqa: S608
    assert stored(path)[2**63 - 1] == {"issue": "a\0b"}


def test_counts_are_exact(path: Path) -> None:
    """New, changed and unchanged complaints of one part are counted separately."""
    load(path, part(*complaints(*range(10), timely="Yes")))

    changed = complaints(*range(3), timely="No")
    same = complaints(*range(3, 8), timely="Yes")
    new = complaints(*range(20, 27), timely="Yes")
    assert load(path, part(*new, *changed, *same)) == [(7, 3, 5)]


def test_an_empty_part_counts_as_a_part(path: Path) -> None:
    """The last page of a window can be empty."""
    assert load(path, part()) == [(0, 0, 0)]
    assert query(path, "SELECT parts, rows, as_of_latest FROM load") == [(1, 0, JUNE)]


@pytest.mark.parametrize("field", ALL[1:])
def test_every_column_is_compared(path: Path, field: str) -> None:
    """A value can change to another, to NULL, and from NULL."""
    load(path, part(complaint(1, **{field: "a"}), complaint(2, **{field: "a"}), complaint(3)))

    changed = part(complaint(1, **{field: "b"}), complaint(2), complaint(3, **{field: "c"}))
    assert load(path, changed) == [(0, 3, 0)]
    assert stored(path) == {1: {field: "b"}, 2: {}, 3: {field: "c"}}
    assert load_ids(path) == {1: 2, 2: 2, 3: 2}


def test_an_unchanged_row_is_not_written(path: Path) -> None:
    """A second run keeps every row's load, and writes no page of the table."""
    thousand = complaints(*range(1000), complaint_what_happened="x" * 1000)
    load(path, part(*thousand))
    wal = path.with_name(f"{path.name}-wal")

    with open_load(path, FakeSource()) as running:
        before = wal.stat().st_size
        report = store_part(part(*thousand), running.id, path)
        written = wal.stat().st_size - before

    assert report.unchanged == 1000
    assert set(load_ids(path).values()) == {1}
    assert written < 10 * 8192  # the load's own row; the complaints fill 125 pages


def test_the_later_copy_within_a_part_counts(path: Path) -> None:
    """Both copies are counted, and the later one is kept."""
    twice = part(complaint(1, timely="Yes"), complaint(2), complaint(1, timely="No"), complaint(2))

    assert load(path, twice) == [(2, 1, 1)]
    assert stored(path) == {1: {"timely": "No"}, 2: {}}


def test_only_columns_of_the_part_are_compared(path: Path) -> None:
    """A source without narratives neither removes one nor changes the row."""
    load(path, part(complaint(1, complaint_what_happened="told", timely="Yes")))

    assert load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE)) == [(0, 0, 1)]
    assert load(path, part(complaint(1, timely="No"), columns=NO_NARRATIVE)) == [(0, 1, 0)]
    assert stored(path) == {1: {"complaint_what_happened": "told", "timely": "No"}}


def test_a_column_of_the_part_can_become_null(path: Path) -> None:
    """A source that sends narratives has removed one."""
    load(path, part(complaint(1, complaint_what_happened="told")))

    assert load(path, part(complaint(1))) == [(0, 1, 0)]
    assert stored(path) == {1: {}}


def test_other_columns_fill_gaps(path: Path) -> None:
    """A value that only some hits of a page have is stored where the row has NULL."""
    load(path, part(complaint(1), complaint(2, complaint_what_happened="told")))

    mixed = part(
        complaint(1, complaint_what_happened="new"),
        complaint(2, complaint_what_happened="other"),
        columns=NO_NARRATIVE,
    )
    assert load(path, mixed) == [(0, 1, 0)]
    assert stored(path) == {
        1: {"complaint_what_happened": "new"},
        2: {"complaint_what_happened": "told"},
    }


def test_an_older_source_adds_and_fills_gaps(path: Path) -> None:
    """It never replaces a value of a newer source."""
    newer = complaint(1, timely="Yes"), complaint(2, timely="Yes")
    load(path, part(*newer, columns=frozenset(ALL) - {"tags"}, as_of=JUNE))

    older = part(
        complaint(1, timely="No", tags="Servicemember"),
        complaint(2, timely="No", state="CA"),
        complaint(3, timely="No"),
        as_of=MARCH,
    )
    assert load(path, older) == [(1, 1, 0)]
    assert not_applied(path) == [0, 1]
    assert stored(path) == {
        1: {"timely": "Yes", "tags": "Servicemember"},
        2: {"timely": "Yes"},
        3: {"timely": "No"},
    }
    assert load_ids(path) == {1: 1, 2: 1, 3: 2}


def test_a_filled_row_still_belongs_to_the_newer_load(path: Path) -> None:
    """A source of a day between the two cannot replace its values."""
    untagged = frozenset(ALL) - {"tags"}
    load(path, part(complaint(1, timely="Yes"), columns=untagged, as_of=JUNE))
    load(path, part(complaint(1, tags="Servicemember"), as_of=JANUARY))

    assert load(path, part(complaint(1, timely="No", tags="x"), as_of=MARCH)) == [(0, 0, 0)]
    assert not_applied(path) == [0, 0, 1]
    assert stored(path) == {1: {"timely": "Yes", "tags": "Servicemember"}}


def test_an_older_source_replaces_rows_older_still(path: Path) -> None:
    """The age of the row counts, not that of the newest load."""
    load(path, part(complaint(1, timely="Yes"), as_of=JANUARY))
    load(path, part(complaint(2, timely="Yes"), as_of=JUNE))

    both = part(complaint(1, timely="No"), complaint(2, timely="No"), as_of=MARCH)
    assert load(path, both) == [(0, 1, 0)]
    assert not_applied(path) == [0, 0, 1]
    assert stored(path) == {1: {"timely": "No"}, 2: {"timely": "Yes"}}


def test_a_source_of_the_same_day_replaces_values(path: Path) -> None:
    """Of two loads of the same day the later one counts."""
    load(path, part(complaint(1, timely="Yes"), as_of=JUNE))

    assert load(path, part(complaint(1, timely="No"), as_of=JUNE)) == [(0, 1, 0)]


@pytest.mark.parametrize("newer_first", [True, False])
def test_two_sources_lead_to_the_same_rows(path: Path, newer_first: bool) -> None:  # noqa: FBT001
    """A new source without narratives and an old one with them can be loaded in any order."""

    def newer() -> ParsedPart:
        answered = complaints(1, 2, timely="No", state="CA")
        return part(*answered, complaint(3), columns=NO_NARRATIVE, as_of=JUNE)

    def older() -> ParsedPart:
        told = complaints(2, 3, 4, timely="Yes", complaint_what_happened="told")
        return part(*told, as_of=MARCH)

    for each in (newer, older) if newer_first else (older, newer):
        load(path, each())

    rows = stored(path)
    assert rows[1] == {"timely": "No", "state": "CA"}
    assert rows[2] == {"timely": "No", "state": "CA", "complaint_what_happened": "told"}
    assert rows[4] == {"timely": "Yes", "complaint_what_happened": "told"}
    assert rows[3].pop("complaint_what_happened") == "told"
    # The newer source sends the column: its NULL counts.
    assert rows[3] == {}


# --- all of a part, or nothing --------------------------------------------------------------


def test_a_failure_after_the_rows_rolls_them_back(path: Path) -> None:
    """If the progress cannot be written, neither are the rows nor the load's counts."""

    def fails() -> None:
        raise ZeroDivisionError

    second = part(complaint(2), next_parts=[NextPart(fails)])
    with pytest.raises(ZeroDivisionError):
        load(path, part(complaint(1), matching=5, next_parts=[NextPart()]), second)

    assert stored(path) == {1: {}}
    assert query(path, "SELECT parts, rows, new, matching FROM load") == [(1, 1, 1, 5)]


KILLED_AMID_ROWS = """
class Deadly(list):
    def __iter__(self):
        yield from self[:15_000]
        os.kill(os.getpid(), 9)

SECOND = part_of(Deadly(complaints(*range(1, 20_000), issue="x" * 500)))
"""
KILLED_BEFORE_COMMIT = """
DEADLY = NextPart(lambda: os.kill(os.getpid(), 9))
SECOND = part(complaint(1, timely="No"), complaint(2), next_parts=[DEADLY])
"""
STORE_BOTH = """
with open_load(P, FakeSource()) as running:
    store_part(part(complaint(1, timely="Yes"), next_parts=[NextPart()]), running.id, P)
    store_part(SECOND, running.id, P)
"""


@pytest.mark.parametrize("second", [KILLED_AMID_ROWS, KILLED_BEFORE_COMMIT])
def test_a_killed_process_loses_one_part(path: Path, second: str) -> None:
    """The part before it, and its progress, are stored."""
    with start(second + STORE_BOTH, path) as child:
        assert child.wait(60) == -signal.SIGKILL

    assert stored(path) == {1: {"timely": "Yes"}}
    assert query(path, "SELECT outcome, parts, rows FROM load") == [("running", 1, 1)]
    assert query(path, "SELECT json_extract(next, '$.number') FROM load_part") == [(2,)]
    assert query(path, "SELECT complaint_id FROM load_seen") == [(1,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert load(path, part(complaint(1, timely="Yes"), complaint(2))) == [(1, 0, 1)]
    assert outcomes(path) == [("complete", None)]


FULL_DISK = """
import resource
from cfpb_etl.store.errors import NotWritableError

try:
    with open_load(P, FakeSource()) as running:
        store_part(part(complaint(1)), running.id, P)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        many = complaints(*range(1, 9_999), issue="x" * 1000)
        store_part(part(*many), running.id, P)
except NotWritableError as error:
    print(error)
"""


def test_a_full_disk_loses_one_part(path: Path) -> None:
    """The error says what to check."""
    with start(FULL_DISK, path) as child:
        said, _ = child.communicate(timeout=60)

    assert f"{path} cannot be written" in said
    assert "free disk space" in said
    assert stored(path) == {1: {}}
    assert load(path, part(complaint(2))) == [(1, 0, 0)]


class Interrupting(list[Complaint]):
    """A list that sets off Ctrl-C 5 ms after its first complaint."""

    def __iter__(self) -> Iterator[Complaint]:
        """Set the alarm."""
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        yield from self[:]


def test_ctrl_c_while_rows_are_written(path: Path) -> None:
    """It is raised as Ctrl-C and not as a SQLite error; the part is not stored."""
    load(path, part(*complaints(*range(20_000), timely="Yes")))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    # Python drops an exception within a garbage collector's callback, and Hypothesis has one.
    gc.disable()
    try:
        changed = Interrupting(complaints(*range(20_000), timely="No"))
        with pytest.raises(KeyboardInterrupt):
            load(path, part_of(changed))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()

    assert outcomes(path) == [("complete", None), ("interrupted", "KeyboardInterrupt")]
    assert query(path, "SELECT DISTINCT timely FROM complaint") == [("Yes",)]


# --- readers --------------------------------------------------------------------------------


def test_readers_see_whole_parts(path: Path) -> None:
    """While a part is stored a reader need not wait, and sees the rows before it."""
    seen: list[dict[int, dict[str, str]]] = []
    look = NextPart(lambda: seen.append(stored(path)))
    with open_load(path, FakeSource()) as running:
        store_part(part(complaint(1, timely="Yes")), running.id, path)
        changed = part(complaint(1, timely="No"), complaint(2), next_parts=[look])
        store_part(changed, running.id, path)

    assert seen == [{1: {"timely": "Yes"}}]
    assert stored(path) == {1: {"timely": "No"}, 2: {}}


def test_readers_do_not_block_a_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader within a transaction goes on seeing the same rows."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0)
    load(path, part(complaint(1)))
    count = "SELECT COUNT(*) FROM complaint"

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute(count).fetchone() == (1,)
        assert load(path, part(complaint(2)), part(complaint(3))) == [(1, 0, 0), (1, 0, 0)]
        assert reader.execute(count).fetchone() == (1,)
        reader.execute("COMMIT")
        assert reader.execute(count).fetchone() == (3,)


def test_another_writer_blocks_a_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it, and only this part is lost."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0.05)
    with (
        open_load(path, FakeSource()) as running,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        store_part(part(complaint(1)), running.id, path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseInUseError, match="locked by another program"):
            store_part(part(complaint(2)), running.id, path)
        other.execute("COMMIT")
        store_part(part(complaint(3)), running.id, path)

    assert stored(path) == {1: {}, 3: {}}
    assert query(path, "SELECT parts FROM load") == [(2,)]


# --- what is said of it ---------------------------------------------------------------------


def test_a_part_returns_its_stats(path: Path) -> None:
    """They have its counts, its days and the source's count."""
    with open_load(path, FakeSource()) as running:
        first = part(complaint(1), complaint(2), next_parts=[NextPart()])
        store_part(first, running.id, path)
        report = store_part(
            part(
                complaint(1, date_received="2026-05-01"),
                complaint(2),
                complaint(3, date_received="2026-04-01"),
                matching=70,
                expected=3,
                unknown_columns=["event_tag"],
            ),
            running.id,
            path,
        )

    assert report == LoadStats(
        parts=1,
        rows=3,
        new=1,
        changed=1,
        oldest="2026-04-01",
        newest="2026-05-01",
        matching=70,
        windows=1,
        expected=3,
        received=3,
        proves_absence=False,
        unknown_columns=frozenset({"event_tag"}),
        today=latest_plausible_day(),
        age=Age.on(JUNE, "_meta.last_updated"),
    )
    assert report.unchanged == 1


def test_missing_columns_are_reported(path: Path) -> None:
    """An empty part cannot show which columns are missing."""
    sent = {"complaint_id", "product", "complaint_what_happened"}
    with open_load(path, FakeSource()) as running:
        lacking = store_part(part(complaint(1), columns=sent), running.id, path)
        empty = store_part(part(columns=sent), running.id, path)

    assert lacking.missing_columns == ALWAYS_SENT - {"complaint_id", "product"}
    assert empty.missing_columns == frozenset()


def test_the_parts_of_a_load_are_added_up(path: Path) -> None:
    """Counts are summed, and days span all parts."""
    counts = "parts, rows, new, changed, unchanged, matching"
    days = "as_of_earliest, as_of_latest, oldest, newest, covers_until"
    with open_load(path, FakeSource()) as running:
        first = part(
            *complaints(1, 2, date_received="2026-02-01"),
            as_of=MARCH,
            days=(None, "2026-02-28"),
            matching=7,
            next_parts=[NextPart()],
        )
        store_part(first, running.id, path)
        assert query(path, f"SELECT {counts} FROM load") == [(1, 2, 2, 0, 0, 7)]  # noqa: S608
        assert query(path, f"SELECT {days} FROM load") == [  # noqa: S608
            (MARCH, MARCH, "2026-02-01", "2026-02-01", "2026-02-28")
        ]
        second = part(
            complaint(1, date_received="2026-02-01"),
            complaint(2, date_received="2026-02-02"),
            complaint(3, date_received="2026-01-01"),
            as_of=JUNE,
            days=(None, "2026-02-20"),
            matching=9,
            next_parts=[NextPart()],
        )
        store_part(second, running.id, path)
        store_part(part(), running.id, path)

    assert query(path, f"SELECT {counts} FROM load") == [(3, 5, 3, 1, 1, 7)]  # noqa: S608
    assert query(path, f"SELECT {days} FROM load") == [  # noqa: S608
        (MARCH, JUNE, "2026-01-01", "2026-02-02", "2026-02-28")
    ]


def test_a_load_sends_the_columns_of_all_its_parts(path: Path) -> None:
    """Parts without complaints do not count."""
    carried = "SELECT columns_sent FROM load"
    with open_load(path, FakeSource()) as running:
        store_part(part(columns=[], next_parts=[WINDOW]), running.id, path)
        assert query(path, carried) == [(None,)]
        for columns in (["timely", "issue"], ["issue", "state"]):
            more = part(complaint(1), columns=columns, next_parts=[WINDOW])
            store_part(more, running.id, path)
        store_part(part(columns=[]), running.id, path)

    assert query(path, carried) == [('["issue"]',)]


def test_complaints_are_counted(path: Path) -> None:
    """The count is that of all loads."""
    load(path)
    assert count_complaints(path) == 0

    load(path, part(*complaints(1, 2, 1)))
    load(path, part(*complaints(2, 3)))
    assert count_complaints(path) == 3


def test_complaints_of_a_text_file_cannot_be_counted(path: Path) -> None:
    """The error names the file."""
    path.write_text("Complaint ID,Product\n" * 100, encoding="utf-8")

    with pytest.raises(NotADatabaseError):
        count_complaints(path)
