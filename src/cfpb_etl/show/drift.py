"""How far CFPB is ahead: CFPB's current count, compared with the count in the database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.errors import NoAddressError, UnknownQueryError
from cfpb_etl.model.query import Query
from cfpb_etl.read.filters import conditions_of
from cfpb_etl.store.merge.order import is_everything_loaded

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True)
class Drift:
    """CFPB's current count for a query, compared with an earlier count.

    Attributes:
        address: The URL of the search API.
        query: The filters, as a load records them; empty for all complaints.
        baseline: How many matching complaints the database has, not counting withdrawn complaints.
            The database cannot count the matches if the load had search words or a limit. For such
            a load, `baseline` is CFPB's count at the time of the load.
        load_id: The load whose count is the `baseline`; None if the database counted the matches.
        current: CFPB's current count; None if CFPB could not be asked.
        failure: The reason why CFPB could not be asked; None if there was no failure.
    """

    address: str
    query: dict[str, Any]
    baseline: int
    load_id: int | None = None
    current: int | None = None
    failure: str | None = None

    def __str__(self) -> str:
        if self.current is None:
            return f"unknown: {self.failure}"
        query = Query.from_dict(self.query)
        moved = self.current - self.baseline
        difference = f"{abs(moved):,} {'more' if moved > 0 else 'fewer'} than"
        other = f"in load {self.load_id}"
        if self.load_id is None:
            other = f"this database ({self.baseline:,} excluding withdrawn)"
        return (
            f"{self.current:,} {f'match {query}' if query else 'complaints'},"
            f" {difference if moved else 'the same number as'} {other}"
        )


def read_drift(connection: sqlite3.Connection, stored: int) -> Drift | None:
    """Return a query whose matches CFPB can count, and the number of matches in the database.

    Return None if the database has no such query.

    If the daily file was loaded, the query is for all complaints. Otherwise it is the query of the
    newest complete load from the search API that is not an update.

    Args:
        connection: The database.
        stored: How many complaints it has, not counting withdrawn complaints.
    """
    if is_everything_loaded(connection):
        from cfpb_etl.fetch.search_api import SEARCH_URL

        return Drift(SEARCH_URL, {}, stored)
    load = connection.execute(
        "SELECT load_id, address, query, row_limit, matching FROM load WHERE source = 'api'"
        " AND outcome = 'complete' AND matching IS NOT NULL AND updates_load_id IS NULL"
        " ORDER BY load_id DESC LIMIT 1"
    ).fetchone()
    if load is None:
        return None
    load_id, address, query_json, limit, matching = load
    query = Query.from_record(query_json)
    if limit is not None or query.search is not None:
        return Drift(address, query.to_dict(), matching, load_id)
    matching = _count_stored(connection, query) if query else stored
    return Drift(address, query.to_dict(), matching)


def _count_stored(connection: sqlite3.Connection, query: Query) -> int:
    """Return how many stored complaints match a query and are not withdrawn.

    The query has a filter, and no search words.
    """
    conditions, values = conditions_of(query)
    # Every index has the id. For `withdrawn_on IS NULL`, SQLite would read the rows themselves: a
    # million complaints would take 0.7 s instead of 0.03 s.
    conditions.append(
        "complaint_id NOT IN (SELECT complaint_id FROM complaint WHERE withdrawn_on IS NOT NULL)"
    )
    sql = f"SELECT COUNT(*) FROM complaint WHERE {' AND '.join(conditions)}"  # noqa: S608 - fixed names
    return int(connection.execute(sql, values).fetchone()[0])


def fetch_drift(drift: Drift, url: str | None = None) -> Drift:
    """Ask CFPB for its current count. A failure is recorded in the result, not raised."""
    from cfpb_etl.fetch.search_api import fetch_count

    drift = replace(drift, address=url or drift.address)
    try:
        return replace(drift, current=fetch_count(Query.from_dict(drift.query), drift.address))
    except (UnknownQueryError, NoAddressError) as error:
        return replace(drift, failure=str(error))
    except CfpbEtlError as error:
        return replace(drift, failure=error.brief)
