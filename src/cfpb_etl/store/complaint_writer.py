"""Writes the complaints of a part: new rows, and rows merged with stored complaints."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from functools import cache
from operator import itemgetter, lt
from typing import TYPE_CHECKING, Any

import msgspec
from pyroaring import BitMap64

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.store.file.schema import own_schema
from cfpb_etl.store.merge import rules
from cfpb_etl.store.merge.order import may_add_complaints

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from cfpb_etl.model.part import ParsedPart
    from cfpb_etl.store.merge.order import Precedence

_ALWAYS_WRITTEN = 2  # columns, because an itemgetter of one column does not return a tuple
_ID = itemgetter(0)
_NARRATIVE = "complaint_what_happened"
_SEARCH_TRIGGER = "narrative_insert"


@contextmanager
def without_search_trigger(connection: sqlite3.Connection) -> Iterator[None]:
    """Drop the search's trigger while the block writes complaints, within the caller's transaction.

    With the trigger, SQLite copies every page that an insertion changes to a temporary file, to be
    able to undo this insertion alone. For 100,000 complaints of the search API these were 4.5 GB,
    and storing them took 2.5 s of processor time instead of 1.3 s.
    """
    # Another program may have replaced the file. The first missing table shows this.
    connection.execute(f"DROP TRIGGER IF EXISTS {_SEARCH_TRIGGER}")
    yield
    connection.execute(own_schema()[f"trigger {_SEARCH_TRIGGER}"][1])


class ComplaintWriter:
    """Writes the complaints of a part within one transaction, and counts them.

    It adds their narratives to the search itself, so it is used `without_search_trigger`.

    Args:
        connection: The connection that writes.
        before: Reads the rows to compare; in WAL mode a second connection with the old state. On
            `connection`, changed pages fill the cache: a million complaints took 790,000 reads.
        load_id: The load.
        parsed: The part.
        precedence: The loads whose values may not be replaced.
        was_empty: Whether the database had no complaints before this part.

    Attributes:
        rows, new, changed, not_applied, values_not_applied, uncertain, born_withdrawn: The same as
            in `LoadStats`.
        skipped: The ids of the complaints that were not stored.
        ids: The ids of the complaints, if the part is a page.
        set_here: The ids of complaints whose values this part has set.
    """

    def __init__(  # noqa: PLR0913 - each says something else about the part or the database
        self,
        connection: sqlite3.Connection,
        before: sqlite3.Connection,
        load_id: int,
        parsed: ParsedPart,
        precedence: Precedence,
        *,
        was_empty: bool,
    ) -> None:
        self._connection = connection
        self._before = before
        self._load_id = load_id
        self._parsed = parsed
        self._precedence = precedence
        self._was_empty = was_empty
        self._may_replace = frozenset(parsed.columns)
        self._rules = rules.MergeRules(load_id, self._may_replace, precedence)
        self._adds = not parsed.info.fills_gaps_only or may_add_complaints(connection, load_id)
        self.rows = self.new = self.changed = self.born_withdrawn = 0
        self.not_applied = self.values_not_applied = self.uncertain = 0
        self.skipped = BitMap64()
        self.ids: list[int] = []
        self.set_here = BitMap64()

    def write(self, complaints: list[Complaint]) -> None:
        """Write some complaints of the part."""
        self.rows += len(complaints)
        columns = self._columns_to_write(complaints)
        if not self._parsed.info.is_window:
            self.ids += map(_ID, complaints)
        elif self._was_empty and self._has_no_duplicates:
            self._insert(complaints, columns)  # none of the complaints can be stored already
            return
        while complaints:
            # The later copy of a complaint counts, so it is merged after the earlier copy.
            first, complaints = _distinct(complaints)
            self._write_distinct(first, columns)

    @property
    def _has_no_duplicates(self) -> bool:
        """Say whether no complaint has occurred twice so far. For a page this is not known."""
        return self._parsed.info.is_window and not self._parsed.read_stats.duplicates

    def _columns_to_write(self, complaints: Sequence[Complaint]) -> tuple[str, ...]:
        """Return the part's columns, and any other column that has a value in these complaints."""
        return tuple(
            name
            for place, name in enumerate(Complaint._fields)
            if place < _ALWAYS_WRITTEN
            or name in self._may_replace
            or any(map(itemgetter(place), complaints))
        )

    def _write_distinct(self, complaints: list[Complaint], columns: tuple[str, ...]) -> None:
        """Write complaints with different ids, in the order of the ids.

        Rows that would not change are not written, because SQLite would keep a journal for each
        row, which took twice as long.
        """
        ids = [*map(_ID, complaints)]
        reader = self._before if self._has_no_duplicates else self._connection
        rows = reader.execute(rules.stored_sql(columns, len(ids)), ids).fetchall()
        if rows == complaints:
            return
        equal = dict(zip(map(_ID, rows), rows, strict=True))
        differing = [each for each in complaints if equal.get(each[0]) != each]
        numbers = msgspec.json.encode([*map(_ID, differing)]).decode()
        stored = {
            row[0]: rules.StoredRow(row[:-2], *row[-2:])
            for row in reader.execute(rules.stored_rows_sql(columns), (numbers,))
        }
        self._insert([each for each in differing if each[0] not in stored], columns)
        self._merge([each for each in differing if each[0] in stored], stored)

    def _insert(self, complaints: list[Complaint], columns: tuple[str, ...]) -> None:
        if not complaints:
            return
        if not self._adds:
            self.skipped.update(map(_ID, complaints))
            return
        withdrawn_on = self._precedence.withdrawn_on
        statement = rules.insert_sql(self._load_id, columns, withdrawn_on)
        self._connection.executemany(statement, map(_values_of(columns), complaints))
        self.new += len(complaints)
        if withdrawn_on is not None:
            self.born_withdrawn += len(complaints)
        if not self._was_empty:
            self.set_here.update(map(_ID, complaints))
        if _NARRATIVE in columns:
            # The rows are read, because a user's trigger may have changed or skipped some.
            self._connection.executemany(
                "INSERT INTO narrative_search (rowid, narrative) SELECT complaint_id,"
                " complaint_what_happened FROM complaint"
                " WHERE complaint_id = ? AND complaint_what_happened IS NOT NULL",
                [each[:1] for each in complaints if each.complaint_what_happened is not None],
            )

    def _merge(self, complaints: list[Complaint], stored: dict[int, rules.StoredRow]) -> None:
        """Merge complaints into stored rows, and count the values that were not applied."""
        changed: defaultdict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
        for each in complaints:
            row = stored[each[0]]
            merged = self._rules.merge(rules.with_stored_white_space(each, row.values), row)
            self.values_not_applied += merged.not_applied
            self.uncertain += merged.uncertain
            if merged.is_changed:
                values = merged.row.changed_from(row)
                changed[(*values,)].append((*values.values(), merged.row.load_id, each[0]))
            elif merged.not_applied:
                self.not_applied += 1
            if merged.is_changed and merged.row.load_id == self._load_id:
                self.set_here.add(each[0])
        for names, rows in changed.items():
            self._connection.executemany(rules.update_sql(self._load_id, names), rows)
            self.changed += len(rows)


@cache
def _values_of(columns: tuple[str, ...]) -> Callable[[Complaint], tuple[Any, ...]]:
    """Return a function that returns these columns of a complaint.

    sqlite3 binds a tuple faster than a namedtuple. Binding None takes the longest.
    """
    return itemgetter(*map(Complaint._fields.index, columns))


def _distinct(complaints: list[Complaint]) -> tuple[list[Complaint], list[Complaint]]:
    """Return the first copy of each complaint in the order of the ids, and the later copies."""
    ordered = sorted(complaints, key=_ID)
    ids = [*map(_ID, ordered)]
    if all(map(lt, ids, ids[1:])):
        return ordered, []
    first = {each[0]: each for each in reversed(complaints)}
    later = [each for each in complaints if first[each[0]] is not each]
    return [first[number] for number in sorted(first)], later
