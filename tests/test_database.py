"""A load stores what came, whole parts at a time, and the file tells what became of it."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl import __version__, database, schema
from cfpb_etl.complaint import Complaint
from cfpb_etl.database import Load, LoadReport, begin_load, count_complaints, store_part
from cfpb_etl.errors import (
    DatabaseInUseError,
    IncompleteLoadError,
    NotADatabaseError,
    NotWritableError,
    OtherKindError,
)
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a database may be made."""
    return tmp_path / "complaints.db"


# --- other processes ------------------------------------------------------------------------

BEGIN = (
    "import os, sys\nfrom pathlib import Path\nfrom test_database import *\nP = Path(sys.argv[1])\n"
)
HOLD = """
with begin_load(P, Asked()) as under_way:
    store_part(part(complaint(1)), under_way.id, P)
    print("loading", flush=True)
    sys.stdin.read()
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    """Start another process that knows what stands in this file."""
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


# --- the record of a load -------------------------------------------------------------------


def test_a_load_is_recorded(path: Path) -> None:
    """Whence, what, when and by which program, from the beginning; the end when it has ended."""
    began = datetime.now(UTC).replace(microsecond=0)
    what = "source, address, query, flow_run_id, program_version, outcome, ended_at"
    with begin_load(path, Asked("bulk"), "a-run") as under_way:
        assert query(path, f"SELECT {what} FROM load") == [  # noqa: S608
            ("bulk", Asked.address, '{"state": ["CA"]}', "a-run", __version__, "running", None)
        ]
        assert under_way.id == 1

    [(outcome, failure, started, ended)] = query(
        path, "SELECT outcome, failure, started_at, ended_at FROM load"
    )
    assert (outcome, failure) == ("complete", None)
    assert began <= datetime.fromisoformat(started) <= datetime.fromisoformat(ended)
    assert ended.endswith("+00:00")


def test_progress_is_that_of_the_newest_part(path: Path) -> None:
    """Counts add up over parts; the day is the oldest part's, the rest the last part's."""
    with begin_load(path, Asked()) as under_way:
        first = part(complaint(1), complaint(2), as_of=MARCH, matching=7, following=Following())
        store_part(first, under_way.id, path)
        progress = "SELECT as_of, parts, complaints_read, matching, next_part FROM load"
        assert query(path, progress) == [(MARCH, 1, 2, 7, '{"number": 2}')]
        store_part(
            part(complaint(1), complaint(2, timely="No"), complaint(3), matching=9),
            under_way.id,
            path,
        )

    assert query(path, progress) == [(MARCH, 2, 5, 9, None)]
    assert query(path, "SELECT inserted, updated, unchanged FROM load") == [(3, 1, 1)]


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ValueError("page 3 is torn"), ("failed", "page 3 is torn")),
        (TimeoutError(), ("failed", "TimeoutError")),
        (IncompleteLoadError(10, 9), ("failed", str(IncompleteLoadError(10, 9)))),
        (KeyboardInterrupt(), ("interrupted", "KeyboardInterrupt")),
        (SystemExit(143), ("interrupted", "143")),
    ],
    ids=repr,
)
def test_a_load_that_ends_early_says_why(
    path: Path, error: BaseException, ended: tuple[str, str]
) -> None:
    """An error is a failure, Ctrl-C an interruption; what was stored stays, the error goes on."""
    with pytest.raises(type(error)) as caught:
        fail(path, error, part(complaint(1)))

    assert caught.value is error
    assert outcomes(path) == [ended]
    assert query(path, "SELECT ended_at IS NOT NULL FROM load") == [(1,)]
    assert count_complaints(path) == 1


def test_an_error_outweighs_that_its_end_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the file is locked as a load fails, the failure is told, not the lock."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0)
    load(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:

        def lock_and_fail() -> None:
            with begin_load(path, Asked()):
                other.execute("BEGIN IMMEDIATE")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            lock_and_fail()
        other.execute("COMMIT")
    assert [outcome for outcome, _ in outcomes(path)] == ["complete", "running"]


def test_an_ended_load_stays_as_it_ended(path: Path) -> None:
    """The next load marks only what was left running."""
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError())
    load(path)
    load(path)

    assert outcomes(path) == [
        ("failed", "ZeroDivisionError"),
        ("complete", None),
        ("complete", None),
    ]


# --- one load at a time ---------------------------------------------------------------------


def test_two_processes_do_not_load_at_once(path: Path, tmp_path: Path) -> None:
    """The second load is refused, whatever the file is called; another file is free."""
    alias = tmp_path / "alias.db"
    alias.symlink_to(path)
    with loading_elsewhere(path) as child:
        for name in (path, alias, tmp_path / "." / path.name):
            with pytest.raises(DatabaseInUseError, match="being loaded by another run") as caught:
                load(name)
            assert caught.value.path == name
        assert load(tmp_path / "other.db", part(complaint(1))) == [(1, 0, 0)]
        assert outcomes(path) == [("running", None)]
        child.communicate(timeout=60)

    assert outcomes(path) == [("complete", None)]
    assert load(alias) == []


def test_the_claim_is_let_go_by_sigkill(path: Path) -> None:
    """A killed load is in nobody's way: the next one marks it and goes on."""
    with loading_elsewhere(path) as child:
        child.kill()
        child.wait(60)

    assert load(path, part(complaint(2))) == [(1, 0, 0)]
    assert outcomes(path) == [("interrupted", "ended without a word"), ("complete", None)]
    assert stored(path) == {1: {}, 2: {}}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("error", [None, ValueError(), KeyboardInterrupt()], ids=repr)
def test_nothing_stays_beside_the_database(path: Path, error: BaseException | None) -> None:
    """However a load ends, its claim and SQLite's own files are gone."""
    beside: list[bool] = []
    look = Following(lambda: beside.append(path.with_name("complaints.db-loading").exists()))
    if error is None:
        load(path, part(following=look))
    else:
        with pytest.raises(type(error)):
            fail(path, error, part(following=look))

    assert beside == [True]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("heir", [False, True])
@pytest.mark.parametrize("before", ["PRAGMA synchronous = OFF", "BEGIN EXCLUSIVE"])
def test_a_claim_that_ends_while_another_is_made(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    heir: bool,  # noqa: FBT001
) -> None:
    """The lock of a file that was removed meanwhile is no claim: never do two loads hold one."""
    heirs = []

    class Slow(database._Claim):
        def execute(self, sql: str, /, *_: object) -> sqlite3.Cursor:
            if sql == before:
                monkeypatch.undo()
                database._sole_writer(path).close()
                if heir:
                    heirs.append(database._sole_writer(path))
            return super().execute(sql)

    monkeypatch.setattr(database, "_Claim", Slow)
    with pytest.raises(DatabaseInUseError):
        load(path)

    assert len(heirs) == heir
    for claim in heirs:
        with pytest.raises(DatabaseInUseError):
            load(path)
        claim.close()
    assert load(path) == []


def test_a_claim_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in the file's place is no database, also when it is called by a dot."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in (folder, Path(), folder / "none" / "complaints.db"):
        with pytest.raises(NotWritableError, match="unable to open"):
            load(name)

    assert [*tmp_path.rglob("*")] == [folder]


def test_a_claim_that_is_somebody_elses_file(path: Path) -> None:
    """A file of another kind in the claim's place is not removed, nor the load begun."""
    claim = path.with_name("complaints.db-loading")
    claim.write_bytes(b"notes\n" * 100)

    with pytest.raises(NotADatabaseError):
        load(path)

    assert claim.read_bytes() == b"notes\n" * 100
    assert not path.exists()


# --- made-up and real -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("sample", "api", "holds made-up complaints, which are never mixed with real ones"),
        ("api", "sample", "holds real complaints, which are never mixed with made-up ones"),
        ("bulk", "sample", "holds real complaints, which are never mixed with made-up ones"),
    ],
)
def test_made_up_and_real_are_never_mixed(path: Path, first: str, second: str, said: str) -> None:
    """The other kind is refused, before a load is recorded, and the file is as it was."""
    load(path, part(complaint(1)), kind=first)

    with pytest.raises(OtherKindError, match=re.escape(said)):
        load(path, part(complaint(2)), kind=second)

    assert stored(path) == {1: {}}
    assert query(path, "SELECT source FROM load") == [(first,)]
    assert load(path, part(complaint(2)), kind=first) == [(1, 0, 0)]


@pytest.mark.parametrize(("first", "second"), [("sample", "api"), ("api", "sample")])
def test_a_load_that_stored_nothing_decides_nothing(path: Path, first: str, second: str) -> None:
    """A file is of a kind once it holds a complaint of it."""
    load(path, part(), kind=first)
    with pytest.raises(ZeroDivisionError):
        fail(path, ZeroDivisionError(), kind=first)

    assert load(path, part(complaint(1)), kind=second) == [(1, 0, 0)]


def test_real_sources_mix(path: Path) -> None:
    """Only made-up complaints are kept apart."""
    load(path, part(complaint(1)), kind="api")

    assert load(path, part(complaint(2)), kind="bulk") == [(1, 0, 0)]


# --- reports --------------------------------------------------------------------------------


def test_a_part_is_reported(path: Path) -> None:
    """What a part did, the days that it spans and what the source said come back as a value."""
    with begin_load(path, Asked()) as under_way:
        store_part(part(complaint(1), complaint(2)), under_way.id, path)
        report = store_part(
            part(
                complaint(1, date_received="2026-05-01"),
                complaint(2),
                complaint(3, date_received="2026-04-01"),
                matching=70,
                unknown=["event_tag"],
            ),
            under_way.id,
            path,
        )

    assert report == LoadReport(
        parts=1,
        rows=3,
        inserted=1,
        updated=1,
        oldest="2026-04-01",
        newest="2026-05-01",
        opening_count=70,
        closing_count=70,
        unknown=frozenset({"event_tag"}),
    )
    assert report.unchanged == 1


def test_reports_add_up() -> None:
    """Counts are summed, days spanned, the first count opens, the last closes, names collect."""
    reports = [
        LoadReport(1, 10, 5, 2, None, None, 0, 0, 1, frozenset("a"), frozenset("x")),
        LoadReport(1, 20, 6, 3, "2026-02-01", "2026-03-01", 8, 8, 2, frozenset()),
        LoadReport(1, 30, 7, 4, "2026-01-01", "2026-02-01", 9, 9, 0, frozenset("b")),
        LoadReport(),
    ]
    total = LoadReport(
        3, 60, 18, 9, "2026-01-01", "2026-03-01", 0, 9, 3, frozenset("ab"), frozenset("x")
    )

    assert reduce(add, reports) == total
    assert reduce(add, reports, LoadReport()) == total
    assert total.unchanged == 33


@pytest.mark.parametrize(
    ("rows", "opening", "closing", "limit"),
    [
        (100, 100, 100, None),
        (101, 100, 100, None),
        (0, 0, 0, None),
        (0, None, None, None),
        (100, 100, 110, None),  # ten came after their place was passed
        (100, 110, 100, None),
        (90, 110, 100, None),
        (50, 100, 100, 50),
        (100, 100, 100, 500),
        (95, 95, 100, 500),
    ],
)
def test_a_whole_load(
    rows: int, opening: int | None, closing: int | None, limit: int | None
) -> None:
    """What the source counts has come, but for as many as its own count moved meanwhile."""
    report = LoadReport(rows=rows, opening_count=opening, closing_count=closing)

    Load(1, limit, report).prove_complete()


@pytest.mark.parametrize(
    ("rows", "opening", "closing", "limit", "expected"),
    [
        (99, 100, 100, None, 100),
        (0, 1, 1, None, 1),
        (99, 100, 110, None, 110),
        (89, 110, 100, None, 100),
        (49, 100, 100, 50, 50),
        (99, 100, 100, 500, 100),
    ],
)
def test_a_load_that_fell_short(
    rows: int, opening: int, closing: int, limit: int | None, expected: int
) -> None:
    """One complaint less is a failure, with both numbers."""
    report = LoadReport(rows=rows, opening_count=opening, closing_count=closing)

    with pytest.raises(IncompleteLoadError) as caught:
        Load(1, limit, report).prove_complete()

    assert (caught.value.expected, caught.value.read) == (expected, rows)


def test_copies_do_not_count_as_complaints() -> None:
    """A page that repeats one complaint does not pass for a page of as many."""
    report = LoadReport(rows=4, opening_count=4, closing_count=4, repeated=2)

    with pytest.raises(IncompleteLoadError) as caught:
        Load(1, None, report).prove_complete()

    assert caught.value.read == 2


def test_complaints_are_counted(path: Path) -> None:
    """The number of complaints in the file, over all loads."""
    load(path)
    assert count_complaints(path) == 0

    load(path, part(complaint(1), complaint(2), complaint(1)))
    load(path, part(complaint(2), complaint(3)))
    assert count_complaints(path) == 3


def test_what_cannot_be_counted_is_told_by_name(path: Path) -> None:
    """A file that is no database is told as such."""
    path.write_text("Complaint ID,Product\n" * 100, encoding="utf-8")

    with pytest.raises(NotADatabaseError):
        count_complaints(path)
