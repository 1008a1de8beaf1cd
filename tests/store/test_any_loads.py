"""After any sequence of loads the database holds what a plain model of dicts holds."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.pages import Page
from cfpb_etl.store.loads import open_load
from support.loads import FakeSource, changes, query, seen, store
from support.parts import JANUARY, JUNE, MARCH, complaint, part
from support.soak import soak

if TYPE_CHECKING:
    from cfpb_etl.model.complaint import Complaint
    from support.loads import Change

MODELLED = ("date_received", "product", "timely", "complaint_what_happened")
HALVES = (("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-04"))
WHOLE = (("2026-01-01", "2026-01-04"),)
COUNTS = ("new", "changed", "unchanged", "withdrawn", "not_applied")


@dataclass(frozen=True)
class Answers:
    """The pages of one window, and what the source reports with them."""

    pages: list[list[Complaint]]
    columns: frozenset[str]
    as_of: str
    proves_absence: bool
    more: int  # complaints that it counts and does not send

    @property
    def matching(self) -> int:
        """Return the source's count."""
        return self.more + len({each.complaint_id for page in self.pages for each in page})


@dataclass(frozen=True)
class Pull:
    """A load: its windows, and the numbers of pages after which it is interrupted."""

    windows: list[Answers]
    breaks: frozenset[int]


@dataclass
class Model:
    """What the database should hold, in plain dicts."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    ages: dict[int, tuple[str, str]] = field(default_factory=dict)
    carried: dict[int, frozenset[str]] = field(default_factory=dict)
    present: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    missing: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    counts: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 5))
    seen: set[int] = field(default_factory=set)
    present_now: set[int] = field(default_factory=set)

    def store(
        self, load_id: int, answers: Answers, page: list[Complaint], days: tuple[str, str] | None
    ) -> None:
        """Store a page; with the days of a window, finish the window too."""
        as_of = answers.as_of
        others = self.carried.keys() - {load_id}  # only loads with complaints
        ages = {each: self.ages[each] for each in others}
        # One server's answers are in the order in which they were asked for, unless the newest day
        # is earlier.
        newer = {known for known, (earliest, _) in ages.items() if earliest > as_of}
        was_empty, self.present_now = not self.rows, set()
        for each in page:
            self._upsert(load_id, each, answers, newer)
        if not was_empty:
            self.present[load_id] |= self.present_now
        self.seen.update(each.complaint_id for each in page)
        if days:
            if answers.proves_absence and not answers.more:
                self._withdraw(load_id, days, as_of, newer)
            self.seen.clear()
        earliest, latest = self.ages.get(load_id, (as_of, as_of))
        self.ages[load_id] = min(earliest, as_of), max(latest, as_of)
        if page:
            carried = self.carried.get(load_id, answers.columns)
            self.carried[load_id] = carried & answers.columns

    def _protectors(self, number: int, loads: set[int]) -> set[int]:
        """Return which of these loads have set the values of a row, or have seen it."""
        written = self.rows[number]["load_id"]
        return {each for each in loads if each == written or number in self.present[each]}

    def _upsert(self, load_id: int, came: Complaint, answers: Answers, newer: set[int]) -> None:
        number, columns = came.complaint_id, answers.columns
        row = self.rows.get(number)
        if row is None:
            values = {name: getattr(came, name) for name in MODELLED}
            loads = dict.fromkeys(("load_id", "first_load_id", "changed_load_id"), load_id)
            self.rows[number] = values | {"withdrawn_on": None} | loads
            self.counts[load_id][0] += 1
            return
        protectors = self._protectors(number, newer)
        told = frozenset[str]().union(*(self.carried[each] for each in protectors))
        kept = bool(protectors)
        before, after = dict(row), dict(row)
        for name in MODELLED:
            if name not in told and (row[name] is None or (name in columns and not kept)):
                after[name] = getattr(came, name)
        differs = [
            name
            for name in MODELLED
            if after[name] != getattr(came, name)
            and (name in columns or getattr(came, name) is not None)
        ]
        lacking = any(number in self.missing[each] for each in newer)
        if (row["withdrawn_on"] or "") <= answers.as_of and not lacking:
            after["withdrawn_on"] = None
        if after == row:
            self.counts[load_id][4 if differs else 2] += 1
        else:
            self.counts[load_id][1] += 1
            self._change(load_id, number, after)
        if after != before and not kept:
            row["load_id"] = load_id
        else:
            self.present_now.add(number)

    def _withdraw(
        self, load_id: int, days: tuple[str, str], as_of: str, protecting: set[int]
    ) -> None:
        for number, row in self.rows.items():
            within = row["date_received"] and days[0] <= row["date_received"] <= days[1]
            # The source has what this load wrote, in this window or in another.
            if not within or number in self.seen or row["load_id"] == load_id:
                continue
            if row["withdrawn_on"]:
                self.missing[load_id].add(number)
                continue
            if self._protectors(number, protecting):
                continue
            self._change(load_id, number, row | {"withdrawn_on": as_of})
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


class InterruptedLoadError(Exception):
    """Raised in the middle of a load."""


def pull(path: Path, each: Pull, model: Model, source: FakeSource) -> None:
    """Run a load with its interruptions, and let the model do the same."""
    answers = dict(zip([window.key for window in source.windows], each.windows, strict=True))
    stored_pages = 0

    def run() -> None:
        nonlocal stored_pages
        with open_load(path, source) as running:
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
                    raise InterruptedLoadError

    for _ in range(len(each.breaks) + 1):
        try:
            run()
        except InterruptedLoadError:
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
def test_loads_do_what_the_model_does(pulls: list[Pull]) -> None:
    """Rows, marks, changes and counts are those of the model."""
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "complaints.db"
        for place, each in enumerate(pulls):
            days = HALVES if len(each.windows) == 2 else WHOLE
            windows = tuple(Page(2, *window) for window in days)
            pull(path, each, model, FakeSource(query=str(place), windows=windows))

        columns = (*MODELLED, "withdrawn_on", "load_id", "first_load_id", "changed_load_id")
        rows = query(path, f"SELECT complaint_id, {', '.join(columns)} FROM complaint")  # noqa: S608
        assert {n: dict(zip(columns, v, strict=True)) for n, *v in rows} == model.rows
        assert sorted(changes(path), key=str) == sorted(model.changes, key=str)
        ages = query(path, "SELECT load_id, as_of_earliest, as_of_latest FROM load")
        assert {load_id: (*days,) for load_id, *days in ages} == model.ages
        kept = query(path, f"SELECT load_id, {', '.join(COUNTS)} FROM load")  # noqa: S608
        assert {load_id: each for load_id, *each in kept} == model.counts
