"""How far CFPB has moved on: its own count beside what the database holds."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.search_api import SEARCH_URL, fetch_count
from cfpb_etl.model.query import Query
from cfpb_etl.store.merge import is_mirrored

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True)
class Drift:
    """CFPB's own count, beside the database's.

    Attributes:
        query: What is counted, as a load records it; empty for all complaints.
        known: How many the database holds that CFPB still has. Where it cannot tell, of a search
            for words or of the newest only: how many CFPB counted when it was asked.
        load_id: The load that asked then, or None.
        counted: How many CFPB counts now, or None where it could not be asked.
        failure: Why it could not, or None.
    """

    query: dict[str, Any]
    known: int
    load_id: int | None = None
    counted: int | None = None
    failure: str | None = None

    def __str__(self) -> str:
        if self.counted is None:
            return f"unknown; {self.failure}"
        query = str(Query.from_dict(self.query))
        what = f"match {query}" if query else "complaints"
        moved = self.counted - self.known
        than = f"{abs(moved):,} {'more' if moved > 0 else 'fewer'} than" if moved else "as many as"
        if self.load_id is not None:
            where = f"when load {self.load_id} asked"
        else:
            where = f"the {self.known:,} here that are not withdrawn" if moved else "here"
        return f"{self.counted:,} {what}, {than} {where}"


def known_count(connection: sqlite3.Connection) -> tuple[str, Drift | None]:
    """Return what CFPB can count that the database knows too, and where CFPB was asked.

    That is all complaints where the daily file was loaded, else what the newest complete load of
    the search API asked for that was no update.
    """
    if is_mirrored(connection):
        return SEARCH_URL, Drift({}, _held(connection, Query()))
    asked = connection.execute(
        "SELECT load_id, address, query, matching FROM load WHERE source = 'api'"
        " AND outcome = 'complete' AND matching IS NOT NULL AND updates IS NULL"
        " ORDER BY load_id DESC LIMIT 1"
    ).fetchone()
    if asked is None:
        return SEARCH_URL, None
    load_id, address, described, matching = asked
    described = json.loads(described)
    if described.pop("limit", None) is not None or "search" in described:
        return address, Drift(described, matching, load_id)
    return address, Drift(described, _held(connection, Query.from_dict(described)))


def _held(connection: sqlite3.Connection, query: Query) -> int:
    """Return how many complaints match a query, but for its words, and are not withdrawn."""
    conditions, values = ["withdrawn_on IS NULL"], []
    for day, compared in ((query.since, ">="), (query.until, "<=")):
        if day is not None:
            conditions.append(f"date_received {compared} ?")
            values.append(day)
    for columns, wanted in (
        (("state",), query.state),
        (("company",), query.company),
        (("product", "sub_product"), query.product),
        (("issue", "sub_issue"), query.issue),
    ):
        matches = []
        for each in wanted:
            if any(other.startswith(f"{each}•") for other in wanted):
                continue  # CFPB narrows to the part (CCDB_API.md section 3)
            levels = each.split("•") if len(columns) > 1 else [each]
            pairs = zip(columns, levels, strict=False)
            matches.append(" AND ".join(f"{column} = ?" for column, _ in pairs))
            values.extend(levels)
        if matches:
            conditions.append(f"({' OR '.join(matches)})")
    if len(conditions) == 1:
        # One end of an index each, where both in one would read every complaint.
        sql = (
            "SELECT (SELECT COUNT(*) FROM complaint)"
            " - (SELECT COUNT(*) FROM complaint WHERE withdrawn_on IS NOT NULL)"
        )
    else:
        sql = f"SELECT COUNT(*) FROM complaint WHERE {' AND '.join(conditions)}"  # noqa: S608 - names of ours
    (held,) = connection.execute(sql, values).fetchone()
    return int(held)


def fetch_drift(known: Drift, url: str) -> Drift:
    """Ask CFPB for its count; that it cannot be asked is part of the answer, not an error."""
    try:
        return replace(known, counted=fetch_count(Query.from_dict(known.query), url))
    except CfpbEtlError as error:
        return replace(known, failure=error.brief)
