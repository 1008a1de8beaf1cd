"""Judges what a load did to a database, by what its sources showed and by what was true.

The judge knows the true moment of each load. It never asks the program for an order: what the days
of two loads prove is in `Sighting.is_after` and `Sighting.is_before`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.time_world import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cfpb_etl.model.load_stats import LoadStats
    from support.time_world import Row, Sighting

MARK = "withdrawn_on"
Stored = dict[int, "Row"]
COUNTS = ("new", "changed", "unchanged", "skipped", "not_applied", "withdrawn", "born_withdrawn")


@dataclass
class Judge:
    """What was loaded, and what should be stored.

    Attributes:
        loads: The loads so far.
        marked_by: The load that marked a complaint as withdrawn.
        events: How often each kind of change occurred.
    """

    loads: list[Sighting] = field(default_factory=list)
    marked_by: dict[int, Sighting] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)

    # --- what is known ----------------------------------------------------------------------

    def readers(self, number: int) -> list[Sighting]:
        """Return the loads that had a complaint."""
        return [each for each in self.loads if number in each.rows]

    def _wholes(self) -> list[Sighting]:
        return [each for each in self.loads if each.is_whole]

    def _concluding(self) -> list[Sighting]:
        """Return the loads that may conclude something from what they lack."""
        return [each for each in self.loads if each.is_whole or each.since is not None]

    def _without(self, number: int, row: Row) -> list[Sighting]:
        """Return the loads that showed that CFPB did not have a complaint."""
        found = [each for each in self.loads if each.lacks(number, row)]
        marker = self.marked_by.get(number)
        return found if marker is None or marker in found else [*found, marker]

    def _others_are_older(self, now: Sighting, others: Iterable[Sighting]) -> bool:
        """Say whether it is certain that all these loads are older."""
        return all(now.is_after(each) for each in others)

    def _may_be_newer(self, now: Sighting, others: Iterable[Sighting]) -> bool:
        """Say whether the rules allow a load to count as newer than all these loads."""
        return all(now.is_after(each, stated=True) for each in others)

    # --- a load -----------------------------------------------------------------------------

    def judge(self, now: Sighting, before: Stored, after: Stored, stats: LoadStats) -> None:
        """Check what a load did, and remember it."""
        counts = Counter[str]()
        assert before.keys() <= after.keys() <= before.keys() | now.rows.keys()
        for number in now.rows.keys() | before.keys():
            old, new = before.get(number), after.get(number)
            try:
                counts += self._counted(now, number, old, new)
            except AssertionError as error:
                error.add_note(self.story(now, number, old, new))
                raise
        # A mark that stays, although the load has the complaint, may count as not applied or not.
        marks = stats.not_applied - counts["not_applied"]
        assert 0 <= marks <= counts["kept mark"], (stats.not_applied, counts)
        counts += Counter(not_applied=marks)
        counts["unchanged"] -= marks
        wrong = {
            name: (getattr(stats, name), counts[name])
            for name in COUNTS
            if getattr(stats, name) != counts[name]
        }
        assert not wrong, f"wrong counts, each with what it should be: {wrong}"
        least, most = counts["surely uncertain"], counts["maybe uncertain"]
        assert least <= stats.uncertain <= most, f"{stats.uncertain} uncertain: {least} to {most}"
        assert stats.rows == len(now.rows)
        self.loads.append(now)
        self._check_truth(after)

    def _counted(
        self, now: Sighting, number: int, old: Row | None, new: Row | None
    ) -> Counter[str]:
        """Check one complaint, and return what the load has to count for it."""
        if old is None:
            return self._added(now, number, now.rows[number], new)
        assert new is not None, "deleted"
        if number in now.rows:
            return self._merged(now, number, old, new)
        return self._missing(now, number, old, new)

    def story(self, now: Sighting, number: int, old: Row | None, new: Row | None) -> str:
        """Return what all loads showed of a complaint, for the message of an error."""

        def told(row: Row | None) -> str:
            return "missing" if row is None else str([row.get(name) for name in (*VALUES, MARK)])

        loads = [f"{told(each.rows.get(number))} in {each}" for each in (*self.loads, now)]
        return "\n".join(
            [f"complaint {number}", *loads, f"before {told(old)}", f"after {told(new)}"]
        )

    def _added(self, now: Sighting, number: int, row: Row, new: Row | None) -> Counter[str]:
        kinds = {each.source.kind for each in self.loads if each.rows}
        if now.source.kind == "archive" and kinds - {"archive"} and not self._wholes():
            assert new is None, "the archive added a complaint to a partial database"
            return Counter(skipped=1)
        assert new is not None
        assert {name: value for name, value in new.items() if value and name != MARK} == {
            name: value for name, value in row.items() if value
        }
        newer = [each for each in self._wholes() if now.is_before(each)]
        newer_pulls = [
            each
            for each in self._without(number, row)
            if not each.is_whole and now.is_before(each, stated=True)
        ]
        if newer:
            assert new[MARK] == min(each.latest for each in newer)
        elif new[MARK] is not None:
            assert newer_pulls, "born withdrawn, although nothing newer lacks it"
        if new[MARK] is None:
            return Counter(new=1)
        self.events["born withdrawn"] += 1
        return Counter(new=1, born_withdrawn=1)

    def _merged(self, now: Sighting, number: int, old: Row, new: Row) -> Counter[str]:
        row, sent = now.rows[number], now.columns - {"complaint_id"}
        for name in old.keys() - sent - {MARK}:
            assert new[name] == old[name], f"{name} was changed by a load that does not have it"
        kept = Counter[str]()
        for name in sent:
            if row[name] == old[name]:
                assert new[name] == old[name]
            else:
                kept += self._value(now, number, name, old, new)
        self._check_mark(now, number, old, new)
        kept["maybe uncertain"] += new[MARK] is not None
        if new != old:
            return kept + Counter(changed=1)
        if any(row[name] != new[name] for name in sent):
            return kept + Counter(not_applied=1)
        return kept + Counter({"unchanged": 1, "kept mark": int(new[MARK] is not None)})

    def _value(self, now: Sighting, number: int, name: str, old: Row, new: Row) -> Counter[str]:
        """Check a value that differs from the stored one; return what counts as uncertain."""
        value, stored, readers = now.rows[number][name], old[name], self.readers(number)
        unsure = [] if old[MARK] else [w for w in self._wholes() if number not in w.rows]
        saw = [each for each in readers if name in each.columns]
        agree = [each for each in saw if each.rows[number][name] == stored]
        is_certain = any(now.is_before(each) for each in agree)
        may_be_older = any(now.is_before(each, stated=True) for each in (*readers, *unsure))
        assert new[name] in (value, stored)
        if self._others_are_older(now, (*readers, *unsure)):
            assert new[name] == value, f"{name} was not replaced by newer data"
        elif stored is None:
            if is_certain:
                assert new[name] is None, f"{name} was filled, but newer data have no value"
            elif not any(now.is_before(each, stated=True) for each in (*saw, *unsure)):
                assert new[name] == value, f"the empty {name} was not filled"
        elif not self._may_be_newer(now, agree):
            assert new[name] == stored, f"{name} was replaced, although the order is not known"
        else:
            self.events["open"] += 1  # the rules allow both
        if new[name] != stored:
            self.events["filled" if stored is None else "replaced"] += 1
            is_older = any(each.moment.number > now.moment.number for each in agree)
            assert stored is None or not is_older, f"{name} was replaced by older data"
            return Counter()
        self.events["kept: older" if is_certain else "kept: not certain"] += 1
        if agree and now.is_after(agree[0]) and stored is not None:
            self.events["kept: flap"] += 1  # a later load has confirmed the value
        if not is_certain and any(each.latest == now.earliest for each in agree):
            self.events["kept: tie"] += 1
        return Counter(
            {"surely uncertain": int(not may_be_older), "maybe uncertain": int(not is_certain)}
        )

    def _check_mark(self, now: Sighting, number: int, old: Row, new: Row) -> None:
        """Check the mark of a complaint that a load has."""
        if old[MARK] is None:
            assert new[MARK] is None, "marked, although the load has it"
            return
        lacking = self._without(number, old)
        if self._others_are_older(now, (*self._concluding(), *lacking)):
            assert new[MARK] is None, "still marked, although newer data have it"
        elif not self._may_be_newer(now, lacking):
            assert new[MARK] == old[MARK], "unmarked by data that are not newer"
        if new[MARK] is None:
            assert all(each.moment.number <= now.moment.number for each in lacking), (
                "unmarked, although it was missing later"
            )
            self.marked_by.pop(number, None)
            self.events["unmarked"] += 1
        else:
            self.events["stayed marked"] += 1

    def _missing(self, now: Sighting, number: int, old: Row, new: Row) -> Counter[str]:
        """Check a stored complaint that a load does not have."""
        assert new | {MARK: None} == old | {MARK: None}
        if old[MARK] is not None:
            assert new[MARK] == old[MARK]
            return Counter()
        readers = self.readers(number)
        unsure = [each for each in self._wholes() if number not in each.rows]
        if now.lacks(number, old) and self._others_are_older(now, (*readers, *unsure)):
            assert new[MARK] == now.latest, "not marked, although newer data do not have it"
        elif not (now.lacks(number, old) or now.may_cover):
            assert new[MARK] is None, "marked by data that prove nothing"
        elif not self._may_be_newer(now, readers):
            assert new[MARK] is None, "marked, although the order is not known"
            self.events["not marked: not certain"] += now.lacks(number, old)
        if new[MARK] is None:
            return Counter()
        assert number not in now.moment.rows, "marked, although CFPB had it"
        assert all(each.moment.number <= now.moment.number for each in readers), (
            "marked, although it was there later"
        )
        self.marked_by[number] = now
        self.events["marked"] += 1
        return Counter(withdrawn=1)

    # --- the truth --------------------------------------------------------------------------

    def _check_truth(self, stored: Stored) -> None:
        """Check that the newest truth is stored, wherever the order of all loads can be told."""
        for number, row in stored.items():
            newest = max(self.readers(number), key=lambda each: each.moment.number)
            lacking = self._without(number, row)
            others = [*self.readers(number), *lacking]
            if not all(self._is_older(each, newest) for each in others if each is not newest):
                last = max(lacking, key=lambda each: each.moment.number, default=None)
                if (
                    last
                    and last.is_whole
                    and all(self._is_older(e, last) for e in others if e is not last)
                ):
                    assert row[MARK] is not None, "not marked, although it is gone"
                continue
            self.events["true"] += 1
            if all(self._is_older(e, newest) for e in self._concluding() if e is not newest):
                assert row[MARK] is None, "marked, although the newest data have it"
            for name in newest.columns - {"complaint_id"}:
                assert row[name] == newest.rows[number][name], f"{name} is not the newest"

    def _is_older(self, one: Sighting, other: Sighting) -> bool:
        """Say whether it was certain, when the later of two loads came, that one is older."""
        if self.loads.index(one) < self.loads.index(other):
            return other.is_after(one)
        return one.is_before(other)
