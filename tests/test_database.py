"""A load stores what came, whole parts at a time."""

from __future__ import annotations

import signal
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl import schema
from cfpb_etl.complaint import Complaint
from cfpb_etl.database import begin_load, store_part
from cfpb_etl.errors import (
    DatabaseInUseError,
)
from loads import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    Asked,
    Following,
    complaint,
    load,
    load_ids,
    outcomes,
    part,
    part_of,
    query,
    start,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cfpb_etl.source import ParsedPart


# --- what a part does -----------------------------------------------------------------------


def test_new_complaints_are_inserted(path: Path) -> None:
    """A part's complaints stand in the table as they were parsed."""
    full = Complaint(9, *(f"{name} ’" for name in ALL[1:]))

    assert load(path, part(full, complaint(2**63 - 1, issue="a\0b"))) == [(2, 0, 0)]
    assert query(path, f"SELECT {', '.join(ALL)} FROM complaint WHERE complaint_id = 9") == [full]  # noqa: S608
    assert stored(path)[2**63 - 1] == {"issue": "a\0b"}


def test_counts_are_exact(path: Path) -> None:
    """Inserted, updated and unchanged are told apart within one part."""
    load(path, part(*(complaint(n, timely="Yes") for n in range(10))))

    changed = [complaint(n, timely="No") for n in range(3)]
    same = [complaint(n, timely="Yes") for n in range(3, 8)]
    new = [complaint(n, timely="Yes") for n in range(20, 27)]
    assert load(path, part(*new, *changed, *same)) == [(7, 3, 5)]


def test_an_empty_part_is_a_part(path: Path) -> None:
    """The last page of a walk may hold nothing, and counts as a part of no complaints."""
    assert load(path, part()) == [(0, 0, 0)]
    assert query(path, "SELECT parts, complaints_read, as_of FROM load") == [(1, 0, JUNE)]


@pytest.mark.parametrize("field", ALL[1:])
def test_a_change_in_any_column_is_a_change(path: Path, field: str) -> None:
    """Every column is compared: to another text, to NULL, and from NULL."""
    load(path, part(complaint(1, **{field: "a"}), complaint(2, **{field: "a"}), complaint(3)))

    changed = part(complaint(1, **{field: "b"}), complaint(2), complaint(3, **{field: "c"}))
    assert load(path, changed) == [(0, 3, 0)]
    assert stored(path) == {1: {field: "b"}, 2: {}, 3: {field: "c"}}
    assert load_ids(path) == {1: 2, 2: 2, 3: 2}


def test_an_unchanged_row_is_not_written(path: Path) -> None:
    """A second run keeps every row's load, and writes no page of the table."""
    complaints = [complaint(n, complaint_what_happened="x" * 1000) for n in range(1000)]
    load(path, part(*complaints))
    wal = path.with_name(f"{path.name}-wal")

    with begin_load(path, Asked()) as under_way:
        before = wal.stat().st_size
        report = store_part(part(*complaints), under_way.id, path)
        written = wal.stat().st_size - before

    assert report.unchanged == 1000
    assert set(load_ids(path).values()) == {1}
    assert written < 10 * 4096  # the load's own row; the complaints fill 250 pages


def test_the_later_copy_within_a_part_wins(path: Path) -> None:
    """One complaint met twice is counted twice, and kept as it came last."""
    twice = part(complaint(1, timely="Yes"), complaint(2), complaint(1, timely="No"), complaint(2))

    assert load(path, twice) == [(2, 1, 1)]
    assert stored(path) == {1: {"timely": "No"}, 2: {}}


def test_only_carried_columns_are_compared(path: Path) -> None:
    """A source without narratives neither erases one nor finds the row changed."""
    load(path, part(complaint(1, complaint_what_happened="told", timely="Yes")))

    assert load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE)) == [(0, 0, 1)]
    assert load(path, part(complaint(1, timely="No"), columns=NO_NARRATIVE)) == [(0, 1, 0)]
    assert stored(path) == {1: {"complaint_what_happened": "told", "timely": "No"}}


def test_a_carried_column_may_become_null(path: Path) -> None:
    """A source that has narratives and sends none has taken it back."""
    load(path, part(complaint(1, complaint_what_happened="told")))

    assert load(path, part(complaint(1))) == [(0, 1, 0)]
    assert stored(path) == {1: {}}


def test_a_column_not_carried_fills_an_empty_place(path: Path) -> None:
    """On a page of several eras, what only some hits carry is kept where nothing stood."""
    load(path, part(complaint(1), complaint(2, complaint_what_happened="told")))

    mixed = part(
        complaint(1, complaint_what_happened="new"),
        complaint(2, complaint_what_happened="other"),
        columns=NO_NARRATIVE,
    )
    assert load(path, mixed) == [(0, 1, 1)]
    assert stored(path) == {
        1: {"complaint_what_happened": "new"},
        2: {"complaint_what_happened": "told"},
    }


def test_an_older_source_adds_and_fills_but_never_replaces(path: Path) -> None:
    """What is older fills empty places and brings unknown complaints; newer values stay."""
    load(path, part(complaint(1, timely="Yes"), complaint(2, timely="Yes"), as_of=JUNE))

    older = part(
        complaint(1, timely="No", tags="Servicemember"),
        complaint(2, timely="No"),
        complaint(3, timely="No"),
        as_of=MARCH,
    )
    assert load(path, older) == [(1, 1, 1)]
    assert stored(path) == {
        1: {"timely": "Yes", "tags": "Servicemember"},
        2: {"timely": "Yes"},
        3: {"timely": "No"},
    }
    assert load_ids(path) == {1: 1, 2: 1, 3: 2}


def test_a_filled_row_is_still_the_newer_loads(path: Path) -> None:
    """A fill does not make a row old: what comes between the two cannot replace it."""
    load(path, part(complaint(1, timely="Yes"), as_of=JUNE))
    load(path, part(complaint(1, tags="Servicemember"), as_of=JANUARY))

    assert load(path, part(complaint(1, timely="No", tags="x"), as_of=MARCH)) == [(0, 0, 1)]
    assert stored(path) == {1: {"timely": "Yes", "tags": "Servicemember"}}


def test_an_older_source_replaces_what_is_older_still(path: Path) -> None:
    """A row's own age counts, not that of the newest load in the file."""
    load(path, part(complaint(1, timely="Yes"), as_of=JANUARY))
    load(path, part(complaint(2, timely="Yes"), as_of=JUNE))

    both = part(complaint(1, timely="No"), complaint(2, timely="No"), as_of=MARCH)
    assert load(path, both) == [(0, 1, 1)]
    assert stored(path) == {1: {"timely": "No"}, 2: {"timely": "Yes"}}


def test_a_source_of_the_same_day_replaces(path: Path) -> None:
    """Of two loads of one day's data the later run counts."""
    load(path, part(complaint(1, timely="Yes"), as_of=JUNE))

    assert load(path, part(complaint(1, timely="No"), as_of=JUNE)) == [(0, 1, 0)]


@pytest.mark.parametrize("newer_first", [True, False])
def test_two_sources_end_in_the_same_rows(path: Path, newer_first: bool) -> None:  # noqa: FBT001
    """A new source without narratives and an old one with them agree in either order."""

    def newer() -> ParsedPart:
        complaints = [complaint(n, timely="No", state="CA") for n in (1, 2)]
        return part(*complaints, complaint(3), columns=NO_NARRATIVE, as_of=JUNE)

    def older() -> ParsedPart:
        told = [complaint(n, timely="Yes", complaint_what_happened="told") for n in (2, 3, 4)]
        return part(*told, as_of=MARCH)

    for each in (newer, older) if newer_first else (older, newer):
        load(path, each())

    rows = stored(path)
    assert rows[1] == {"timely": "No", "state": "CA"}
    assert rows[2] == {"timely": "No", "state": "CA", "complaint_what_happened": "told"}
    assert rows[4] == {"timely": "Yes", "complaint_what_happened": "told"}
    assert rows[3].pop("complaint_what_happened") == "told"
    # The newer source's NULL does not stand against the older one's value: it may only be unknown.
    assert rows[3] == ({"timely": "Yes"} if newer_first else {})


# --- the same, against a plain dict ---------------------------------------------------------

MODELLED = ("product", "timely", "complaint_what_happened")


class Row(NamedTuple):
    """A row of the model: its values, and the load that wrote it."""

    values: dict[str, str | None]
    load: int


@dataclass
class Model:
    """What the database ought to hold, kept in the plainest way."""

    rows: dict[int, Row]
    as_of: dict[int, str]

    def store(
        self, load: int, complaints: list[Complaint], columns: Collection[str], as_of: str
    ) -> tuple[int, int, int]:
        """Store a part, and return what it did."""
        newer = {known for known, day in self.as_of.items() if day > as_of}
        counts = [0, 0, 0]
        for each in complaints:
            came = {name: getattr(each, name) for name in MODELLED}
            known = self.rows.get(each.complaint_id)
            if known is None:
                self.rows[each.complaint_id] = Row(came, load)
                counts[0] += 1
                continue
            replaced = set() if known.load in newer else set(columns)
            after = {
                name: came[name] if name in replaced or value is None else value
                for name, value in known.values.items()
            }
            counts[1 if after != known.values else 2] += 1
            if after != known.values:
                keeper = known.load if known.load in newer else load
                self.rows[each.complaint_id] = Row(after, keeper)
        self.as_of[load] = min(as_of, self.as_of.get(load, as_of))
        return counts[0], counts[1], counts[2]


VALUES = st.sampled_from([None, "a", "b"])
PARTS = st.tuples(
    st.booleans(),  # whether a load begins with it
    st.lists(
        st.builds(
            lambda number, values: complaint(number, **dict(zip(MODELLED, values, strict=True))),
            st.integers(1, 4),
            st.tuples(VALUES, VALUES, VALUES),
        ),
        max_size=5,
    ),
    st.sets(st.sampled_from(MODELLED)),
    st.sampled_from([JANUARY, MARCH, JUNE]),
)


@given(st.lists(PARTS, min_size=1, max_size=8))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_storing_is_what_a_dict_would_do(
    parts: list[tuple[bool, list[Complaint], set[str], str]],
) -> None:
    """Over any sequence of parts the rows, their loads and all counts are those of the model."""
    model = Model({}, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "complaints.db"
        remaining = [*parts]
        while remaining:
            with begin_load(path, Asked()) as under_way:
                while remaining:
                    _, complaints, columns, as_of = remaining.pop(0)
                    came = part(*complaints, columns=columns, as_of=as_of)
                    report = store_part(came, under_way.id, path)
                    counts = report.inserted, report.updated, report.unchanged
                    assert counts == model.store(under_way.id, complaints, columns, as_of)
                    if remaining and remaining[0][0]:
                        break
        rows = query(path, f"SELECT complaint_id, {', '.join(MODELLED)}, load_id FROM complaint")  # noqa: S608
        assert {n: Row(dict(zip(MODELLED, v, strict=True)), i) for n, *v, i in rows} == model.rows
        assert dict(query(path, "SELECT load_id, as_of FROM load")) == model.as_of


# --- all of a part, or nothing --------------------------------------------------------------


def test_a_failure_after_the_rows_takes_them_back(path: Path) -> None:
    """Progress that cannot be told leaves no rows either, and the load's counts as they were."""

    def fails() -> None:
        raise ZeroDivisionError

    second = part(complaint(2), following=Following(fails))
    with pytest.raises(ZeroDivisionError):
        load(path, part(complaint(1), matching=5), second)

    assert stored(path) == {1: {}}
    assert query(path, "SELECT parts, complaints_read, inserted, matching FROM load") == [
        (1, 1, 1, 5)
    ]


KILLED_AMID_ROWS = """
class Deadly(list):
    def __iter__(self):
        for number, each in enumerate(super().__iter__()):
            if number == 15_000:
                os.kill(os.getpid(), 9)
            yield each

SECOND = part_of(Deadly(complaint(n, issue="x" * 500) for n in range(1, 20_000)))
"""
KILLED_BEFORE_COMMIT = """
DEADLY = Following(lambda: os.kill(os.getpid(), 9))
SECOND = part(complaint(1, timely="No"), complaint(2), following=DEADLY)
"""
STORE_BOTH = """
with begin_load(P, Asked()) as under_way:
    store_part(part(complaint(1, timely="Yes"), following=Following()), under_way.id, P)
    store_part(SECOND, under_way.id, P)
"""


@pytest.mark.parametrize("second", [KILLED_AMID_ROWS, KILLED_BEFORE_COMMIT])
def test_a_killed_process_loses_one_part(path: Path, second: str) -> None:
    """After SIGKILL in the middle of a part, the part before it and its progress stand alone."""
    with start(second + STORE_BOTH, path) as child:
        assert child.wait(60) == -signal.SIGKILL

    assert stored(path) == {1: {"timely": "Yes"}}
    assert query(path, "SELECT outcome, parts, complaints_read, next_part FROM load") == [
        ("running", 1, 1, '{"number": 2}')
    ]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert load(path, part(complaint(1, timely="Yes"), complaint(2))) == [(1, 0, 1)]
    assert outcomes(path) == [("interrupted", "ended without a word"), ("complete", None)]


FULL_DISK = """
import resource
from cfpb_etl.errors import NotWritableError

try:
    with begin_load(P, Asked()) as under_way:
        store_part(part(complaint(1)), under_way.id, P)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        many = part(*(complaint(n, issue="x" * 1000) for n in range(1, 9_999)))
        store_part(many, under_way.id, P)
except NotWritableError as error:
    print(error)
"""


def test_a_disk_that_fills_up_costs_one_part(path: Path) -> None:
    """When the file cannot grow the part is not stored, which is said with what to check."""
    with start(FULL_DISK, path) as child:
        said, _ = child.communicate(timeout=60)

    assert f"{path} cannot be written" in said
    assert "free disk space" in said
    assert stored(path) == {1: {}}
    assert load(path, part(complaint(2))) == [(1, 0, 0)]


class Interrupting(list[Complaint]):
    """A list whose walk is followed by a Ctrl-C 5 ms later, and which is walked in C."""

    def __iter__(self) -> Iterator[Complaint]:
        """Set the alarm, once."""
        if signal.getsignal(signal.SIGALRM) is signal.default_int_handler:
            signal.setitimer(signal.ITIMER_REAL, 0.005)
        return super().__iter__()


def test_ctrl_c_while_rows_are_written(path: Path) -> None:
    """Ctrl-C amid the updates of a part is Ctrl-C, not SQLite's failure; the part is not stored."""
    load(path, part(*(complaint(n, timely="Yes") for n in range(20_000))))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        changed = Interrupting(complaint(n, timely="No") for n in range(20_000))
        with pytest.raises(KeyboardInterrupt):
            load(path, part_of(changed))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert outcomes(path) == [("complete", None), ("interrupted", "KeyboardInterrupt")]
    assert query(path, "SELECT DISTINCT timely FROM complaint") == [("Yes",)]


# --- readers --------------------------------------------------------------------------------


def test_readers_see_whole_parts(path: Path) -> None:
    """While a part is being stored a reader is not kept waiting, and sees what was before."""
    seen: list[dict[int, dict[str, str]]] = []
    look = Following(lambda: seen.append(stored(path)))
    with begin_load(path, Asked()) as under_way:
        store_part(part(complaint(1, timely="Yes")), under_way.id, path)
        changed = part(complaint(1, timely="No"), complaint(2), following=look)
        store_part(changed, under_way.id, path)

    assert seen == [{1: {"timely": "Yes"}}]
    assert stored(path) == {1: {"timely": "No"}, 2: {}}


def test_readers_do_not_block_a_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader amid its own transaction holds no load up, and keeps what it began with."""
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


def test_another_writer_holds_a_part_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's transaction is waited for, told by name, and costs only this part."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0.05)
    with (
        begin_load(path, Asked()) as under_way,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        store_part(part(complaint(1)), under_way.id, path)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseInUseError, match="locked by another program"):
            store_part(part(complaint(2)), under_way.id, path)
        other.execute("COMMIT")
        store_part(part(complaint(3)), under_way.id, path)

    assert stored(path) == {1: {}, 3: {}}
    assert query(path, "SELECT parts FROM load") == [(2,)]
