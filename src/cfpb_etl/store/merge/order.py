"""The order in time of the data of the stored loads and of the current part.

A part may replace a stored value only if every load that has set or confirmed this value is
certainly older (docs/design.md, "Age of data").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from pyroaring import BitMap64

from cfpb_etl.model.age import FIRST_DAY, Age
from cfpb_etl.model.file import FileVersion

if TYPE_CHECKING:
    import sqlite3

    from cfpb_etl.model.part import PartInfo
    from cfpb_etl.model.source import SourceKind

EVERYTHING: SourceKind = "bulk"  # only this kind of source can have all complaints
Order: TypeAlias = Literal["older", "newer", "uncertain"]
_ASKED = ("api", "sample")  # kinds of source whose data are answers of one server
# The condition for a load of all complaints.
EVERYTHING_SQL = f"source = '{EVERYTHING}' AND NOT is_partial AND outcome = 'complete'"


@dataclass(frozen=True)
class StoredLoad:
    """A load whose data are not certainly older than those of the current part.

    Attributes:
        load_id: The load.
        columns: The columns that all its parts have.
        has_everything: Whether it is a complete load of all complaints.
        latest: The latest possible day of its data.
        present: The stored complaints that it has and whose values it has not set.
        absent: The complaints that were marked as withdrawn before it, and that it lacks too.
    """

    load_id: int
    columns: frozenset[str]
    has_everything: bool
    latest: str
    present: BitMap64
    absent: BitMap64

    def has(self, number: int, load_id: int, withdrawn_on: str | None) -> bool:
        """Say whether the load has a stored complaint. Its values may then be newer than others.

        Args:
            number: The id of the complaint.
            load_id: The load whose values count for the complaint.
            withdrawn_on: The mark of the complaint.
        """
        if load_id == self.load_id or number in self.present:
            return True
        is_missing = withdrawn_on is not None and withdrawn_on <= self.latest
        return self.has_everything and not is_missing and number not in self.absent

    def lacks(self, number: int, withdrawn_on: str) -> bool:
        """Say whether the load lacks a complaint that is marked as withdrawn on a day."""
        return number in self.absent or (self.has_everything and withdrawn_on <= self.latest)


@dataclass(frozen=True)
class Precedence:
    """The stored loads whose values the current part may not replace.

    Attributes:
        newer: The loads whose data are certainly newer.
        uncertain: The loads that may be older or newer.
        older_marks_until: A mark of this day or an earlier day is certainly older than the part.
        newer_marks_after: A mark after this day is certainly newer than the part.
    """

    newer: tuple[StoredLoad, ...] = ()
    uncertain: tuple[StoredLoad, ...] = ()
    older_marks_until: str = ""
    newer_marks_after: str = date.max.isoformat()

    def __bool__(self) -> bool:
        """Say whether any values may not be replaced."""
        return bool(self.newer or self.uncertain)

    @property
    def withdrawn_on(self) -> str | None:
        """Return the day by which complaints that are not stored were withdrawn; None if unknown.

        A complaint that is not stored is missing in each newer load of all complaints.
        """
        return min((load.latest for load in self.newer if load.has_everything), default=None)

    @property
    def may_mark(self) -> bool:
        """Say whether the part may mark complaints as withdrawn.

        If a load of all complaints is not certainly older, its marks count.
        """
        return not any(load.has_everything for load in (*self.newer, *self.uncertain))

    def protects(self, number: int, load_id: int, withdrawn_on: str | None) -> bool:
        """Say whether the values of a stored complaint may not be replaced."""
        loads = (*self.newer, *self.uncertain)
        return any(load.has(number, load_id, withdrawn_on) for load in loads)

    def order_of_mark(self, number: int, withdrawn_on: str) -> Order:
        """Return whether the mark of a complaint that the part has is older or newer."""
        if withdrawn_on > self.newer_marks_after:
            return "newer"
        if any(load.lacks(number, withdrawn_on) for load in self.newer):
            return "newer"
        if withdrawn_on > self.older_marks_until:
            return "uncertain"
        is_uncertain = any(load.lacks(number, withdrawn_on) for load in self.uncertain)
        return "uncertain" if is_uncertain else "older"


def precedence_of(
    connection: sqlite3.Connection, load_id: int, info: PartInfo, age: Age | None
) -> Precedence:
    """Return the stored loads whose values a part may not replace.

    Args:
        connection: An open connection to the database.
        load_id: The load of the part.
        info: The facts about the part.
        age: How old the part's data are; None if nothing shows it.
    """
    loads: dict[Order, list[StoredLoad]] = {"newer": [], "uncertain": [], "older": []}
    cursor = connection.execute(
        "SELECT load.load_id, as_of_earliest, as_of_latest, taken_from, source, columns_sent,"  # noqa: S608 - our SQL
        f" {EVERYTHING_SQL}, part_id, last_modified"
        " FROM load LEFT JOIN load_part ON load_part.load_id = load.load_id AND key = ?"
        " WHERE load.load_id <> ? AND load.rows > 0 ORDER BY load.load_id",
        (info.part.key, load_id),
    )
    for (
        other,
        earliest,
        latest,
        taken_from,
        source,
        columns,
        has_all,
        *version,
    ) in cursor.fetchall():
        stored = Age(earliest or FIRST_DAY, latest or date.max.isoformat(), "", taken_from)
        order = "uncertain" if age is None else _order(stored, age)
        if order == "uncertain" and age is not None and stored.earliest <= age.latest:
            is_older = (
                # One server's answers are in the order in which they were asked for.
                (info.origin == "answer" and source in _ASKED)
                # On the same day, what CFPB answers now is the newer one, and so is a new version
                # of a file and a file whose day the user gives.
                or (stored.latest == age.earliest and _is_later(info, *version))
            )
            order = "older" if is_older else order
        if order == "older":
            continue
        presence = [_presence(connection, other, is_present=each) for each in (True, False)]
        sent = frozenset(json.loads(columns or "[]"))
        loads[order].append(StoredLoad(other, sent, bool(has_all), stored.latest, *presence))
    older_until, newer_after = "", date.max.isoformat()
    if age is not None:
        # A mark has the latest day of its load. On the day itself, it is older if its load is.
        is_tied = any(load.latest == age.earliest for load in loads["uncertain"])
        older_until = _day_before(age.earliest) if is_tied else age.earliest
        newer_after = age.latest
    return Precedence(tuple(loads["newer"]), tuple(loads["uncertain"]), older_until, newer_after)


def _order(stored: Age, age: Age) -> Order:
    """Return whether stored data are older or newer than the part's data.

    The days on which two parts were taken can be compared too. Of other data, only the newest day
    received is known.
    """
    are_parts = stored.taken_from is not None and age.taken_from is not None
    if stored.latest < age.earliest or (are_parts and stored.latest < (age.taken_from or "")):
        return "older"
    if stored.earliest > age.latest or (are_parts and (stored.taken_from or "") > age.latest):
        return "newer"
    return "uncertain"


def _is_later(info: PartInfo, part_id: int | None, last_modified: str | None) -> bool:
    """Say whether a part is newer than stored data of the same day.

    Args:
        info: The facts about the part.
        part_id: The stored version of the same file; None if no version is stored.
        last_modified: The Last-Modified header of this version; None if it is unknown.
    """
    if info.origin == "answer" or (info.evidence is not None and info.evidence.as_of is not None):
        return True
    if info.origin != "download" or part_id is None:
        return False
    version = info.version or FileVersion()
    now, before = _moment(version.last_modified), _moment(last_modified)
    return now is None or before is None or now >= before


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _day_before(day: str) -> str:
    return date.fromordinal(max(date.fromisoformat(day).toordinal() - 1, 1)).isoformat()


def _presence(connection: sqlite3.Connection, load_id: int, *, is_present: bool) -> BitMap64:
    numbers = BitMap64()
    for (ids,) in connection.execute(
        "SELECT complaint_ids FROM load_presence WHERE load_id = ? AND is_present = ?",
        (load_id, is_present),
    ):
        numbers |= BitMap64.deserialize(ids)
    return numbers


def note_presence(
    connection: sqlite3.Connection, load_id: int, numbers: BitMap64, *, is_present: bool
) -> None:
    """Record which stored complaints a load has, or which marked complaints are still missing."""
    if numbers:
        connection.execute(
            "INSERT INTO load_presence (load_id, is_present, complaint_ids) VALUES (?, ?, ?)",
            (load_id, is_present, numbers.serialize()),
        )


def is_everything_loaded(connection: sqlite3.Connection) -> bool:
    """Say whether the database has a complete load of all complaints that CFPB publishes."""
    (found,) = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM load WHERE {EVERYTHING_SQL} AND rows > 0)"  # noqa: S608 - our SQL
    ).fetchone()
    return bool(found)


def may_add_complaints(connection: sqlite3.Connection, load_id: int) -> bool:
    """Say whether a load that only fills gaps may add complaints that are not stored yet.

    The load may add them if the daily file was loaded, because CFPB has then removed these
    complaints. It may also add them if all other loads are of the same kind. In any other database,
    the complaints may be missing because no load asked for them.
    """
    (others,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM load WHERE rows > 0"
        " AND source <> (SELECT source FROM load WHERE load_id = ?))",
        (load_id,),
    ).fetchone()
    return not others or is_everything_loaded(connection)
