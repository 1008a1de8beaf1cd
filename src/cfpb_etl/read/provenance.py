"""Where the rows of a database come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cfpb_etl.store.merge.order import EVERYTHING_SQL

if TYPE_CHECKING:
    import sqlite3

LICENSE = "CC0"  # stated in CFPB's answers (docs/facts.md, "Shape of a response")
PROVENANCE_SQL = f"""
SELECT
    MAX(load_id) AS load_id,
    (SELECT outcome FROM load ORDER BY load_id DESC LIMIT 1) AS outcome,
    MAX(as_of_earliest) AS as_of,
    GROUP_CONCAT(DISTINCT source) AS sources,
    EXISTS (SELECT 1 FROM load WHERE {EVERYTHING_SQL} AND rows > 0) AS has_everything,
    EXISTS (SELECT 1 FROM complaint) AS has_complaints
FROM load"""  # noqa: S608 - our SQL


@dataclass(frozen=True)
class Provenance:
    """Where the rows of a database come from.

    Attributes:
        load_id: The newest load; None if nothing was loaded.
        outcome: How the newest load ended; None if nothing was loaded.
        as_of: The day that the newest data have at least; None if nothing was loaded.
        sources: The sources of all loads, such as `api` and `bulk`.
        has_everything: Whether all complaints that CFPB publishes were loaded.
        has_complaints: Whether the database has a complaint.
    """

    load_id: int | None
    outcome: str | None
    as_of: str | None
    sources: tuple[str, ...]
    has_everything: bool
    has_complaints: bool

    @property
    def is_sample(self) -> bool:
        """Say whether complaints are made up."""
        return "sample" in self.sources

    @classmethod
    def from_row(
        cls,
        load_id: int | None,
        outcome: str | None,
        as_of: str | None,
        sources: str | None,
        *facts: int,
    ) -> Provenance:
        """Return the provenance in a row of `PROVENANCE_SQL`."""
        names = sources.split(",") if sources else ()
        return cls(load_id, outcome, as_of, tuple(sorted(names)), *map(bool, facts))


def read_provenance(connection: sqlite3.Connection) -> Provenance:
    """Return where the rows of a database come from."""
    return Provenance.from_row(*connection.execute(PROVENANCE_SQL).fetchone())
