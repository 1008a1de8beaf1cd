"""The numbers of a load, or of one part of a load."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import add, and_, or_
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.age import Age

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WARNINGS = 20


def _smallest(first: str | None, second: str | None) -> str | None:
    return min(filter(None, (first, second)), default=None)


def _largest(first: str | None, second: str | None) -> str | None:
    return max(filter(None, (first, second)), default=None)


def _first_known(first: Any, second: Any) -> Any:  # noqa: ANN401 - of any field's type
    return second if first is None else first


def _widest(first: Age | None, second: Age | None) -> Age | None:
    if first is None or second is None:
        return first or second
    words = dict.fromkeys((*first.evidence.split("; "), *second.evidence.split("; ")))
    return Age(
        min(first.earliest, second.earliest),
        max(first.latest, second.latest),
        "; ".join(words),
        _smallest(first.taken_from, second.taken_from),
    )


def _joined(
    first: tuple[str, ...] | None, second: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    return ((first or ()) + (second or ()))[:MAX_WARNINGS] or None


def _field(default: Any, combine: Callable[[Any, Any], Any], *, stored: bool = False) -> Any:  # noqa: ANN401 - of any field's type
    return field(default=default, metadata={"combine": combine, "stored": stored})


def _count(*, stored: bool = False) -> Any:  # noqa: ANN401 - dataclasses type it as the field
    return _field(0, add, stored=stored)


# Prefect tracks a task's result by weak reference, so the class needs a weakref slot.
@dataclass(frozen=True, slots=True, weakref_slot=True)
class LoadStats:
    """The numbers of a load, or of one part of a load. The stats of two parts can be added.

    Fields marked as stored are columns of the same name in the table `load`.

    Attributes:
        parts: Pages or files stored.
        rows: Complaints read.
        new: Complaints read that the database did not have.
        changed: Complaints read whose stored values were different.
        withdrawn: Stored complaints that the source no longer has.
        skipped: Complaints of the archive that were not stored, because the database is partial.
        duplicates: Complaints read whose id occurs earlier in the same file; the last copy counts.
        rejected: Rows in files that are not valid complaints.
        not_applied: Complaints read that differ from the stored complaints, although nothing was
            changed: the stored data are newer, or nothing shows which data are newer.
        values_not_applied: Values of the complaints read that differ from the stored values, which
            were kept.
        uncertain: These values, if nothing shows which data are newer.
        born_withdrawn: New complaints that were stored as already withdrawn, because newer data of
            all complaints do not have them.
        after_today: Complaints read with a day that is later than today.
        today: The latest plausible day.
        part_reason: Why a file counts as a part of all complaints; None if it has all of them.
        age: Between which days the data are.
        without_id: Rejected rows that have no readable complaint id.
        repeated_headers: Rows of files that repeat the header.
        warnings: The first problems found in the files, each with its line number. None if there
            were no problems. An empty tuple would not work: `()` is always the same object, so
            Prefect would link unrelated tasks.
        unchanged_files: Files that were not read, because this version of the file is stored.
        oldest: Earliest day received among the complaints read; None if none were read.
        newest: Latest plausible day received among the complaints read; None if none were read.
        matching: How many complaints the source counted at the first request.
        windows: Date windows or files that were read completely.
        expected: How many complaints the source counted in these windows.
        received: How many distinct complaints of these windows were received.
        proves_absence: Whether a complaint's absence from a window proves that the source no longer
            has it.
        unknown_columns: Names in the data that are not columns.
        missing_columns: Columns that a part does not have, although every CFPB release so far has
            them.
    """

    parts: int = _count(stored=True)
    rows: int = _count(stored=True)
    new: int = _count(stored=True)
    changed: int = _count(stored=True)
    withdrawn: int = _count(stored=True)
    skipped: int = _count(stored=True)
    duplicates: int = _count(stored=True)
    rejected: int = _count(stored=True)
    not_applied: int = _count(stored=True)
    values_not_applied: int = _count(stored=True)
    uncertain: int = _count(stored=True)
    born_withdrawn: int = _count(stored=True)
    after_today: int = _count(stored=True)
    today: str | None = _field(None, _largest)
    part_reason: str | None = _field(None, _first_known, stored=True)
    age: Age | None = _field(None, _widest)  # noqa: RUF009 - as the fields above
    without_id: int = _count()
    repeated_headers: int = _count()
    warnings: tuple[str, ...] | None = _field(None, _joined)
    unchanged_files: int = _count()
    oldest: str | None = _field(None, _smallest, stored=True)
    newest: str | None = _field(None, _largest, stored=True)
    matching: int | None = _field(None, _first_known, stored=True)
    windows: int = _count()
    expected: int = _count()
    received: int = _count()
    proves_absence: bool = _field(default=True, combine=and_)
    unknown_columns: frozenset[str] = _field(frozenset(), or_)
    missing_columns: frozenset[str] = _field(frozenset(), or_)

    @property
    def unchanged(self) -> int:
        """Return how many complaints were read whose stored values were the same."""
        return self.rows - self.new - self.changed - self.skipped - self.not_applied

    def __add__(self, later: LoadStats) -> LoadStats:
        return LoadStats(
            **{
                each.name: each.metadata["combine"](
                    getattr(self, each.name), getattr(later, each.name)
                )
                for each in fields(self)
            }
        )


STORED_STATS = tuple(each.name for each in fields(LoadStats) if each.metadata["stored"])
