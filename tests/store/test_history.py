"""What became another value is remembered, and what a source no longer has is marked."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.loads import open_load
from support.loads import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    WINDOW,
    Asked,
    break_off,
    complaint,
    complaints,
    load,
    load_ids,
    part,
    part_of,
    query,
    seen,
    store,
    stored,
)
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.part import ParsedPart

Change = tuple[int, int, str, str | None, str | None]
"""A complaint, the load that brought the new value, the column, the old value and the new."""


def changes(path: Path) -> list[Change]:
    """Return what the database remembers, in the order in which it happened."""
    columns = "complaint_id, load_id, column_name, old, new"
    return query(path, f"SELECT {columns} FROM complaint_change ORDER BY rowid")  # noqa: S608


def withdrawn(path: Path) -> dict[int, str]:
    """Return which complaints are marked, and on which day they were first missed."""
    return dict(
        query(
            path,
            "SELECT complaint_id, withdrawn_on FROM complaint WHERE withdrawn_on IS NOT NULL",
        )
    )


# --- changes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL[1:])
def test_a_changed_value_is_remembered(path: Path, name: str) -> None:
    """Each column of an updated row that became another value, or none, or one, is a change."""
    load(path, part(*complaints(1, 2, **{name: "a"}), complaint(3), complaint(4)))
    load(path, part(complaint(1, **{name: "b"}), complaint(2), complaint(3, **{name: "c"})))

    assert changes(path) == [
        (1, 2, name, "a", "b"),
        (2, 2, name, "a", None),
        (3, 2, name, None, "c"),
    ]


def test_inserts_and_what_is_unchanged_are_no_changes(path: Path) -> None:
    """A row that stays, or is new, leaves nothing in the history."""
    load(path, part(*complaints(1, 2, timely="Yes", state="CA")))
    load(path, part(*complaints(1, 2, 3, timely="Yes", state="CA")))

    assert changes(path) == []


def test_each_changed_column_is_a_row(path: Path) -> None:
    """Of a row of which two columns changed two changes are kept, and of the others none."""
    load(path, part(complaint(1, timely="Yes", state="CA", issue="x"), complaint(2, issue="y")))
    load(path, part(complaint(1, timely="No", state="TX", issue="x"), complaint(2, issue="y")))

    assert sorted(changes(path)) == [(1, 2, "state", "CA", "TX"), (1, 2, "timely", "Yes", "No")]


def test_a_complaints_history_is_that_of_all_loads(path: Path) -> None:
    """Each load adds what it changed; back from today's row every earlier one can be told."""
    for response in ("In progress", "In progress", "Closed", None, "Closed"):
        load(path, part(complaint(1, company_response=response)))

    assert changes(path) == [
        (1, 3, "company_response", "In progress", "Closed"),
        (1, 4, "company_response", "Closed", None),
        (1, 5, "company_response", None, "Closed"),
    ]


def test_a_column_that_a_source_newly_carries_is_no_change(path: Path) -> None:
    """Where nobody had looked before, what is found there now did not come to be."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE))
    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told")))

    assert stored(path)[1]["complaint_what_happened"] == "told"
    assert changes(path) == []

    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told otherwise")))
    assert changes(path) == [(1, 3, "complaint_what_happened", "told", "told otherwise")]


def test_what_a_source_had_carried_empty_is_a_change_when_filled(path: Path) -> None:
    """A narrative that CFPB publishes later, with the consumer's consent, is news."""
    load(path, part(complaint(1)))
    load(path, part(complaint(1, complaint_what_happened="told")))

    assert changes(path) == [(1, 2, "complaint_what_happened", None, "told")]


def test_what_only_some_parts_carried_was_not_looked_for(path: Path) -> None:
    """A load of mixed eras carries what all of its parts do."""
    pages = part(complaint(1), next_parts=[WINDOW]), part(complaint(2), columns=NO_NARRATIVE)
    load(path, *pages)
    load(path, part(*complaints(1, 2, complaint_what_happened="told", timely="Yes")))

    assert changes(path) == [(1, 2, "timely", None, "Yes"), (2, 2, "timely", None, "Yes")]


def test_a_column_is_not_taken_for_another_that_contains_its_name(path: Path) -> None:
    """To carry `sub_issue` is not to carry `issue`."""
    load(path, part(complaint(1), columns=["complaint_id", "sub_issue", "company_response"]))
    load(path, part(complaint(1, issue="a", sub_issue="b", company="c")))

    assert changes(path) == [(1, 2, "sub_issue", None, "b")]


def test_an_older_source_changes_no_value(path: Path) -> None:
    """Values that stay, and what fills a place where nobody had looked, are no changes."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE))
    load(path, part(complaint(1, timely="No", complaint_what_happened="told"), as_of=MARCH))

    assert stored(path) == {1: {"timely": "Yes", "complaint_what_happened": "told"}}
    assert changes(path) == []


def test_a_part_that_was_not_stored_changed_nothing(path: Path) -> None:
    """Changes are taken back with the rows."""

    class Torn(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from self[:1_200]
            raise ZeroDivisionError

    load(path, part(*complaints(*range(1_300), timely="Yes")))
    torn = part_of(Torn(complaints(*range(1_300), timely="No")))
    with pytest.raises(ZeroDivisionError):
        load(path, torn)

    assert changes(path) == []


def test_two_copies_on_a_page_are_two_steps(path: Path) -> None:
    """What the first copy changed, and the second changed back, is all remembered."""
    load(path, part(complaint(1, timely="Yes")))
    load(path, part(complaint(1, timely="No"), complaint(1, timely="Yes")))

    assert changes(path) == [(1, 2, "timely", "Yes", "No"), (1, 2, "timely", "No", "Yes")]


# --- withdrawals ----------------------------------------------------------------------------

DAYS = ("2026-01-10", "2026-01-20")
SPRING = "2026-04-30"


def everything(
    *numbers: int, day: str | None = "2026-01-15", as_of: str = MARCH, **info: Any
) -> ParsedPart:
    """Make all complaints that a source has of `DAYS`, each received on this one."""
    info = {"days": DAYS, "proves_absence": True} | info
    return part(*complaints(*numbers, date_received=day), as_of=as_of, **info)


def test_what_is_absent_is_marked(path: Path) -> None:
    """What the source no longer has keeps its row, with the day of the data that lack it."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, 4, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}
    assert stored(path).keys() == {1, 2, 3, 4}
    assert load_ids(path) == {1: 1, 2: 2, 3: 2, 4: 2}
    assert changes(path) == [
        (2, 2, "withdrawn_on", None, MARCH),
        (3, 2, "withdrawn_on", None, MARCH),
    ]
    assert (running.stats.withdrawn, running.stats.new) == (2, 1)
    assert query(path, "SELECT withdrawn, new, changed, unchanged FROM load") == [
        (0, 3, 0, 0),
        (2, 1, 0, 1),
    ]


@pytest.mark.parametrize(
    ("day", "absent"),
    [
        (DAYS[0], True),
        (DAYS[1], True),
        ("2026-01-09", False),
        ("2026-01-21", False),
        (None, False),
    ],
)
def test_only_the_days_that_were_read_are_looked_at(
    path: Path,
    day: str | None,
    absent: bool,  # noqa: FBT001
) -> None:
    """A complaint of another day, or of none, was not asked for."""
    load(path, part(complaint(1, date_received=day), as_of=JANUARY))
    load(path, everything(2))

    assert withdrawn(path) == ({1: MARCH} if absent else {})


@pytest.mark.parametrize(
    ("days", "marked"),
    [((None, "2026-01-02"), {1, 2}), (("2026-01-02", None), {2, 3}), ((None, None), {1, 2, 3})],
    ids=str,
)
def test_days_may_be_open(
    path: Path, days: tuple[str | None, str | None], marked: Collection[int]
) -> None:
    """Where no first or last day bounds the window, all days before or after are looked at."""
    dated = [complaint(n, date_received=f"2026-01-0{n}") for n in (1, 2, 3)]
    load(path, part(*dated, complaint(4), as_of=JANUARY))
    load(path, everything(5, days=days))

    assert withdrawn(path).keys() == marked


def test_an_empty_answer_may_withdraw_all(path: Path) -> None:
    """Where the source counts nothing in days that held complaints, they are gone."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything())

    assert withdrawn(path) == {1: MARCH, 2: MARCH}


def test_all_pages_of_a_window_count(path: Path) -> None:
    """Only at its end is it known what a window does not hold."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, matching=2, next_parts=[WINDOW]))
        assert withdrawn(path) == {}
        store(running, path, everything(3, matching=2))

    assert withdrawn(path) == {2: MARCH}


def test_each_window_answers_for_its_own_days(path: Path) -> None:
    """What another window holds is not missed in this one, and the other way round."""
    early, late = Page(2, "2026-01-01", "2026-01-15"), Page(2, "2026-01-16", "2026-01-31")

    def window(at: Page, *numbers: int, as_of: str) -> ParsedPart:
        days = at.since, at.until
        return everything(*numbers, day=at.until, at=at, days=days, as_of=as_of)

    load(path, window(early, 1, 2, as_of=JANUARY), window(late, 3, 4, as_of=JANUARY))
    load(path, window(late, 4, as_of=MARCH), window(early, 1, as_of=MARCH))

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_what_is_marked_is_not_marked_again(path: Path) -> None:
    """The day stays that on which it was first missed."""
    load(path, everything(1, 2, as_of=JANUARY))
    for as_of in (MARCH, JUNE):
        load(path, everything(1, as_of=as_of))

    assert withdrawn(path) == {2: MARCH}
    assert changes(path) == [(2, 2, "withdrawn_on", None, MARCH)]
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (1,), (0,)]
    assert load_ids(path) == {1: 1, 2: 2}


def test_what_comes_again_is_no_longer_marked(path: Path) -> None:
    """A complaint that returns is updated, which is remembered, and may go again."""
    for numbers, as_of in (((1, 2), JANUARY), ((1,), MARCH), ((1, 2), SPRING), ((1,), JUNE)):
        load(path, everything(*numbers, as_of=as_of))

    assert withdrawn(path) == {2: JUNE}
    assert changes(path) == [
        (2, 2, "withdrawn_on", None, MARCH),
        (2, 3, "withdrawn_on", MARCH, None),
        (2, 4, "withdrawn_on", None, JUNE),
    ]
    assert query(path, "SELECT changed, unchanged, withdrawn FROM load") == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 1, 0),
        (0, 1, 1),
    ]


def test_any_source_that_has_it_takes_the_mark_back(path: Path) -> None:
    """Also a filtered load that meets the complaint shows that it is there."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=MARCH))
    load(path, part(complaint(2, date_received="2026-01-15"), as_of=MARCH, columns=["timely"]))

    assert withdrawn(path) == {}


def test_under_a_filter_nothing_is_marked(path: Path) -> None:
    """Where absence proves nothing a complaint may only have changed, and match no more."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, proves_absence=False))

    assert withdrawn(path) == {}
    assert query(path, "SELECT withdrawn FROM load") == [(0,), (0,)]


def test_a_window_that_is_not_proved_marks_nothing(path: Path) -> None:
    """Neither what fell short, nor what is explained by movement, shows that something is gone."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, matching=2))
        assert withdrawn(path) == {}
        assert running.parts_left() == [WINDOW]

        store(running, path, everything(1, matching=1, next_parts=[WINDOW]))
        store(running, path, everything(matching=2))
        assert running.verify() == 1
        assert running.stats.withdrawn == 0

    assert withdrawn(path) == {}


def test_what_went_while_it_was_read_is_not_marked(path: Path) -> None:
    """A window that holds more than its source counts in the end marks the others."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        for _ in range(2):
            store(running, path, everything(1, 2, matching=2, next_parts=[WINDOW]))
            store(running, path, everything(matching=1))
        assert running.verify() == 1

    assert withdrawn(path) == {3: MARCH}


def test_the_second_reading_marks(path: Path) -> None:
    """What the first reading had seen, and the second has not, is gone."""
    load(path, everything(1, 2, 3, as_of=JANUARY))
    with open_load(path, Asked()) as running:
        store(running, path, everything(1, 2, matching=1))
        store(running, path, everything(1, matching=1))
        assert running.verify() == 0

    assert withdrawn(path) == {2: MARCH, 3: MARCH}


def test_a_load_that_goes_on_remembers_what_it_saw(path: Path) -> None:
    """What came before a load was broken off is not missed at its end."""
    load(path, everything(1, 2, 3, as_of=JANUARY), query="{}")
    break_off(path, everything(1, matching=2, next_parts=[WINDOW]))
    load(path, everything(2, matching=2))

    assert withdrawn(path) == {3: MARCH}


def test_an_older_source_marks_only_what_is_older_still(path: Path) -> None:
    """What a newer source wrote is there, whatever an older one had."""
    load(path, everything(1, as_of=JANUARY))
    load(path, everything(1, 2, as_of=JUNE))
    load(path, everything(3, as_of=MARCH))

    assert withdrawn(path) == {1: MARCH}
    assert load_ids(path) == {1: 3, 2: 2, 3: 3}


def test_an_older_source_does_not_take_a_newer_mark_back(path: Path) -> None:
    """That an older source still had it says nothing; it may fill what is empty."""
    known = frozenset(ALL) - {"timely"}
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=JUNE, columns=known))
    older = complaint(2, date_received="2026-01-15", timely="No")
    assert load(path, part(older, as_of=MARCH)) == [(0, 1, 0)]

    assert withdrawn(path) == {2: JUNE}
    assert stored(path)[2]["timely"] == "No"
    assert load_ids(path)[2] == 2


# --- the same, against plain dicts ----------------------------------------------------------

MODELLED = ("date_received", "product", "timely", "complaint_what_happened")
HALVES = (("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-04"))
WHOLE = (("2026-01-01", "2026-01-04"),)
COUNTS = ("new", "changed", "unchanged", "withdrawn", "not_applied")


@dataclass(frozen=True)
class Answers:
    """What a source has of one window, page by page, and what it says of it."""

    pages: list[list[Complaint]]
    columns: frozenset[str]
    as_of: str
    proves_absence: bool
    more: int  # that it counts, and does not have

    @property
    def matching(self) -> int:
        """Return what it counts."""
        return self.more + len({each.complaint_id for page in self.pages for each in page})


@dataclass(frozen=True)
class Pull:
    """A load: its windows, and after which of its pages it is broken off."""

    windows: list[Answers]
    breaks: frozenset[int]


@dataclass
class Model:
    """What the database ought to hold, kept in the plainest way."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    as_of: dict[int, str] = field(default_factory=dict)
    carried: dict[int, frozenset[str]] = field(default_factory=dict)
    counts: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))
    seen: set[int] = field(default_factory=set)

    def store(
        self, load_id: int, answers: Answers, page: list[Complaint], days: tuple[str, str] | None
    ) -> None:
        """Store a page, and with the days of a window its end."""
        newer = {known for known, day in self.as_of.items() if day > answers.as_of}
        for each in page:
            self._upsert(load_id, each, answers.columns, newer, answers.as_of)
        self.seen.update(each.complaint_id for each in page)
        if days:
            if answers.proves_absence and not answers.more:
                self._withdraw(load_id, days, answers.as_of, newer)
            self.seen.clear()
        self.as_of[load_id] = min(answers.as_of, self.as_of.get(load_id, answers.as_of))
        if page:
            carried = self.carried.get(load_id, answers.columns)
            self.carried[load_id] = carried & answers.columns

    def _upsert(
        self,
        load_id: int,
        came: Complaint,
        columns: Collection[str],
        newer: set[int],
        as_of: str,
    ) -> None:
        row = self.rows.get(came.complaint_id)
        if row is None:
            values = {name: getattr(came, name) for name in MODELLED}
            loads = dict.fromkeys(("load_id", "first_load_id", "changed_load_id"), load_id)
            self.rows[came.complaint_id] = values | {"withdrawn_on": None} | loads
            self.counts[load_id][0] += 1
            return
        kept = row["load_id"] in newer
        told = self.carried[row["load_id"]] if kept else ()
        after = dict(row)
        for name in MODELLED:
            empty = row[name] is None and not (name in columns and name in told)
            if empty or (name in columns and not kept):
                after[name] = getattr(came, name)
        if (row["withdrawn_on"] or "") <= as_of:
            after["withdrawn_on"] = None
        if after == row:
            differs = any(getattr(came, name) != row[name] for name in columns)
            self.counts[load_id][4 if differs else 2] += 1
            return
        self.counts[load_id][1] += 1
        self._change(load_id, came.complaint_id, after)
        if not kept:
            row["load_id"] = load_id

    def _withdraw(self, load_id: int, days: tuple[str, str], as_of: str, newer: set[int]) -> None:
        for number, row in self.rows.items():
            within = row["date_received"] and days[0] <= row["date_received"] <= days[1]
            # What this very load wrote has come, in this window or in another.
            if not within or number in self.seen or row["load_id"] in newer | {load_id}:
                continue
            if row["withdrawn_on"]:
                continue
            self._change(load_id, number, row | {"withdrawn_on": as_of})
            row["load_id"] = load_id
            self.counts[load_id][3] += 1

    def _change(self, load_id: int, number: int, after: dict[str, Any]) -> None:
        row = self.rows[number]
        looked = self.carried.get(row["load_id"], frozenset()) | {"withdrawn_on"}
        for name in (*MODELLED, "withdrawn_on"):
            old, new = row[name], after[name]
            if old != new and (old is not None or name in looked):
                self.changes.append((number, load_id, name, old, new))
            row[name] = new
        row["changed_load_id"] = load_id


class BrokenOffError(Exception):
    """Raised in the middle of a load."""


def pull(path: Path, each: Pull, model: Model, asked: Asked) -> None:
    """Carry out a load, broken off or not, and let the model do as much."""
    answers = dict(zip([window.key for window in asked.windows], each.windows, strict=True))
    stored_pages = 0

    def go_on() -> None:
        nonlocal stored_pages
        with open_load(path, asked) as running:
            while parts := running.parts_left():
                at = parts[0]
                assert isinstance(at, Page)
                answer, days = answers[at.key], (at.since or "", at.until or "")
                last = at.number == len(answer.pages)
                page = answer.pages[at.number - 1]
                came = part(
                    *page,
                    at=at,
                    columns=answer.columns,
                    as_of=answer.as_of,
                    matching=answer.matching,
                    days=days,
                    proves_absence=answer.proves_absence,
                    next_parts=[] if last else [Page(2, at.since, at.until, at.number + 1)],
                )
                model.store(running.id, answer, page, days if last else None)
                store(running, path, came)
                assert seen(path) == sorted(model.seen)
                stats = running.stats
                assert [getattr(stats, name) for name in COUNTS] == model.counts[running.id]
                stored_pages += 1
                if stored_pages in each.breaks:
                    raise BrokenOffError

    for _ in range(len(each.breaks) + 1):
        try:
            go_on()
        except BrokenOffError:
            continue
        return


DAYS_RECEIVED = st.sampled_from([None, "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05"])
VALUES = st.sampled_from([None, "a", "b"])
COMPLAINTS = st.builds(
    lambda number, *values: complaint(number, **dict(zip(MODELLED, values, strict=True))),
    *(st.integers(1, 4), DAYS_RECEIVED, VALUES, VALUES, VALUES),
)
ANSWERS = st.builds(
    Answers,
    pages=st.lists(st.lists(COMPLAINTS, max_size=3), min_size=1, max_size=2),
    columns=st.frozensets(st.sampled_from(MODELLED)),
    as_of=st.sampled_from([JANUARY, MARCH, JUNE]),
    proves_absence=st.booleans(),
    more=st.sampled_from([0, 0, 0, 1]),
)
PULLS = st.builds(
    Pull,
    windows=st.lists(ANSWERS, min_size=1, max_size=2),
    breaks=st.frozensets(st.integers(1, 4), max_size=2),
)


@given(st.lists(PULLS, min_size=1, max_size=4))
@settings(deadline=None, derandomize=True, max_examples=soak(60))
def test_loading_is_what_dicts_would_do(pulls: list[Pull]) -> None:
    """Over any loads, broken off or not, rows, marks, changes and counts are those of the model."""
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "complaints.db"
        for place, each in enumerate(pulls):
            days = HALVES if len(each.windows) == 2 else WHOLE
            windows = tuple(Page(2, *window) for window in days)
            pull(path, each, model, Asked(query=str(place), windows=windows))

        columns = (*MODELLED, "withdrawn_on", "load_id", "first_load_id", "changed_load_id")
        rows = query(path, f"SELECT complaint_id, {', '.join(columns)} FROM complaint")  # noqa: S608
        assert {n: dict(zip(columns, v, strict=True)) for n, *v in rows} == model.rows
        assert sorted(changes(path), key=str) == sorted(model.changes, key=str)
        assert dict(query(path, "SELECT load_id, as_of FROM load")) == model.as_of
        kept = query(path, f"SELECT load_id, {', '.join(COUNTS)} FROM load")  # noqa: S608
        assert {load_id: each for load_id, *each in kept} == model.counts
