"""Which complaints of the database a file has, and whether a missing complaint was withdrawn."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from pyroaring import BitMap64

from cfpb_etl.store.merge.order import is_everything_loaded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from cfpb_etl.model.file import Scope
    from cfpb_etl.model.part import ParsedPart

# The largest share of the complaints of a whole file that the next whole file lacks. 0.2 % of the
# archive's complaints were not in the daily file (docs/facts.md, "Removed complaints").
MAX_REMOVED = 1 / 100
_LACKING = "complaint_id IN (SELECT complaint_id FROM temp.missing)"
_FILTERS = ("submitted_via", "company_response", "timely", "tags")  # on CFPB's page
_ANSWER = "company_public_response"
# Columns that CFPB changes, and that its page filters by.
_CHANGING = ("company_response", "timely", _ANSWER)
_ENOUGH = 50  # complaints; among 50, there are several responses, and some were not timely


class Coverage(NamedTuple):
    """Which complaints a file has.

    Attributes:
        days: The first and the last day received, as far as they are plausible; None if it has no
            such day.
        missing: The stored complaints that it lacks and that are not marked as withdrawn.
        still_missing: The complaints that are marked as withdrawn and that it lacks too.
        stored: How many complaints were stored before it and were not marked as withdrawn.
        part_reason: Why it has only a part of all complaints; None if it has all of them.
    """

    days: tuple[str | None, str | None] = (None, None)
    missing: BitMap64 = BitMap64()
    still_missing: BitMap64 = BitMap64()
    stored: int = 0
    part_reason: str | None = None


def missing_complaints(connection: sqlite3.Connection, ids: BitMap64) -> tuple[BitMap64, BitMap64]:
    """Return the stored complaints that a file lacks: those without a mark, and those with one."""
    missing = BitMap64()
    # The ids are read for a day at a time, which took half as long as one id at a time.
    for (some,) in connection.execute(
        "SELECT json_group_array(complaint_id) FROM complaint"
        " INDEXED BY complaint_date_received GROUP BY date_received"
    ):
        missing.update(msgspec.json.decode(some, type=list[int]))
    missing -= ids
    marks = connection.execute("SELECT complaint_id FROM complaint WHERE withdrawn_on IS NOT NULL")
    still_missing = missing & BitMap64(number for (number,) in marks)
    return missing - still_missing, still_missing


def count_stored(connection: sqlite3.Connection) -> int:
    """Return how many complaints are stored and not marked as withdrawn."""
    (stored,) = connection.execute(
        "SELECT (SELECT COUNT(*) FROM complaint)"
        " - (SELECT COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL)"
    ).fetchone()
    return int(stored)


def why_part(
    connection: sqlite3.Connection,
    parsed: ParsedPart,
    scope: Scope,
    coverage: Coverage,
) -> str | None:
    """Return why a file has only a part of all complaints; None if it has all of them.

    Args:
        connection: An open connection to the database, which has the file's complaints.
        parsed: The file.
        scope: The scope of the complaints that were parsed.
        coverage: Which complaints the file has, without the reason.
    """
    missing, stored = coverage.missing, coverage.stored
    info, survey = parsed.info, parsed.survey
    if info.is_whole is not None:
        return None if info.is_whole else "--partial"
    if survey is not None and survey.is_complete:
        reason: str | None = survey.scope.why_part(survey.oldest, survey.newest.received)
        return reason
    if is_everything_loaded(connection):
        has_nearly_all = len(missing) <= MAX_REMOVED * stored
        if has_nearly_all and not _filtered_column(connection, missing):
            return None
        if scope.why_part(*coverage.days) is None:
            return None
        return f"it lacks {len(missing):,} of the {stored:,} stored complaints"
    if not missing:  # then the database has no other complaints
        for column, values in (("state", scope.states), ("product", scope.products)):
            rows = connection.execute(f"SELECT DISTINCT {column} FROM complaint")  # noqa: S608 - our names
            values.update(value for (value,) in rows)
    return scope.why_part(*coverage.days)


def covers_database(connection: sqlite3.Connection, coverage: Coverage) -> bool:
    """Say whether a file has the days, states and products of all complaints that it lacks.

    Args:
        connection: An open connection to the database, which has the file's complaints.
        coverage: Which complaints the file has.
    """
    oldest, newest = coverage.days
    if oldest is None or newest is None:
        return False
    with _temporary_table(connection, coverage.missing):
        (outside,) = connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM complaint WHERE {_LACKING}"  # noqa: S608 - our SQL
            " AND (date_received IS NULL OR date_received NOT BETWEEN ? AND ?))",
            (oldest, newest),
        ).fetchone()
        return not outside and not _may_be_filtered(connection)


def _filtered_column(connection: sqlite3.Connection, missing: BitMap64) -> str | None:
    """Return a column in which missing complaints have a value that no other complaint has.

    Such a file has a filter by this column.
    """
    with _temporary_table(connection, missing):
        return _column_without(connection, _FILTERS)


def _may_be_filtered(connection: sqlite3.Connection) -> bool:
    """Say whether the file may have a filter.

    With a filter by a value that CFPB changes, a missing complaint may only have another value now.
    """
    # Few complaints can have the same values by chance.
    columns = ", ".join(f"COUNT(DISTINCT IFNULL({name}, ''))" for name in _CHANGING)
    total, answered, *distinct = connection.execute(
        f"SELECT COUNT(*), COUNT({_ANSWER}), {columns} FROM complaint"  # noqa: S608 - our SQL
        f" WHERE withdrawn_on IS NULL AND NOT {_LACKING}"
    ).fetchone()
    is_answer_constant = distinct.pop() == 1 and answered == total  # the filter needs a value
    if total >= _ENOUGH and (
        1 in distinct or is_answer_constant or _all_have_narratives(connection)
    ):
        return True
    return _column_without(connection, ("state", "product", *_FILTERS)) is not None


def _all_have_narratives(connection: sqlite3.Connection) -> bool:
    """Say whether a filter may have chosen complaints with narratives, which can be removed."""
    (found,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM complaint WHERE withdrawn_on IS NULL"  # noqa: S608 - our SQL
        f" AND complaint_what_happened IS NULL AND NOT {_LACKING})"
    ).fetchone()
    return not found


def _column_without(connection: sqlite3.Connection, columns: Iterable[str]) -> str | None:
    for column in columns:
        values = connection.execute(
            f"SELECT DISTINCT {column} FROM complaint WHERE {_LACKING}"  # noqa: S608 - our names
        ).fetchall()
        for (value,) in values:
            (found,) = connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM complaint WHERE {column} IS ?"  # noqa: S608 - our names
                f" AND withdrawn_on IS NULL AND NOT {_LACKING})",
                (value,),
            ).fetchone()
            if not found:
                return column
    return None


@contextmanager
def _temporary_table(connection: sqlite3.Connection, missing: BitMap64) -> Iterator[None]:
    connection.execute("CREATE TEMP TABLE missing (complaint_id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO missing VALUES (?)", zip(missing, strict=True))
    yield
    connection.execute("DROP TABLE temp.missing")
