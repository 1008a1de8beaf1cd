"""Exports a database to a schema of PostgreSQL: all rows at first, then those that have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cfpb_etl.publish.errors import DifferentRowsError
from cfpb_etl.publish.export import ExportStats
from cfpb_etl.publish.origin import notes_of
from cfpb_etl.publish.postgres.contents import read_contents, remember
from cfpb_etl.publish.postgres.copy import RowCopier
from cfpb_etl.publish.postgres.errors import DifferentValuesError, ForeignSchemaError
from cfpb_etl.publish.postgres.merge import Merger, count_rows
from cfpb_etl.publish.postgres.plan import SourceStatements, make_plan, selection_as_json
from cfpb_etl.publish.postgres.schema import EXPORT, PRODUCTS
from cfpb_etl.publish.postgres.session import open_target
from cfpb_etl.publish.postgres.tables import (
    create_tables,
    create_views,
    drop_others,
    upgrade,
    wanted_tables,
)
from cfpb_etl.read.connection import open_snapshot
from cfpb_etl.read.provenance import read_provenance
from cfpb_etl.store.file.schema import find_additions

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from cfpb_etl.publish.postgres.merge import Difference
    from cfpb_etl.publish.postgres.session import Target
    from cfpb_etl.read.provenance import Provenance
    from cfpb_etl.read.selection import Selection


def export_postgres(database: Path, address: str, selection: Selection) -> ExportStats:
    """Export a database to the schema `cfpb` of a PostgreSQL database, in one transaction.

    If the schema has an earlier export of the same database and the same selection, only rows that
    have changed since then are copied. Otherwise all rows are compared, and a note says why.

    Args:
        database: The SQLite file.
        address: The address of the PostgreSQL database, `env:NAME` or `secret:NAME`.
        selection: What is exported.

    Raises:
        InvalidAddressError, NoAddressError: If the address cannot be used.
        ExportError: If the export fails; each subclass is one reason.
        DatabaseError, RowsNotReadError: If the SQLite file cannot be read.
    """
    # The snapshot is taken when no other export runs, so that it is newer than what they exported.
    with open_target(address) as target, open_snapshot(database) as source:
        return _Export(source, database, target, selection).run()


class _Export:
    """One export, within a transaction of each database."""

    def __init__(
        self, source: sqlite3.Connection, database: Path, target: Target, selection: Selection
    ) -> None:
        self._source = source
        self._database = database
        self._target = target
        self._selection = selection
        self._contents = read_contents(target)
        self._wanted = wanted_tables(selection.tables)
        # The products are those of the program, and have no load.
        self._counted = [each for each in self._wanted if each not in (PRODUCTS, EXPORT.name)]
        self._described = selection_as_json(selection, self._counted)
        self._copier = RowCopier(source, database, target.connection)
        self._merger = Merger(target.connection, self._copier, self._contents.kinds)
        self._notes: list[str] = []

    def run(self) -> ExportStats:
        connection, contents = self._target.connection, self._contents
        provenance = read_provenance(self._source)
        self._refuse_mixture(provenance)
        plan = make_plan(connection, self._source, contents, self._described)
        if plan.reason is not None:
            self._note_comparison(plan.reason)
        grants = upgrade(connection, contents) if contents.is_older else []
        rows = self._write_rows(plan.loads)
        dropped = drop_others(connection, contents, self._wanted)
        if "complaint" in self._wanted:
            create_views(connection, () if contents.is_older else contents.kinds)
        for grant in grants:
            connection.execute(grant)
        remember(connection, self._database, self._described, provenance, self._wanted)
        self._note_differences(dropped)
        additions = find_additions(self._source)
        origin = notes_of(provenance, self._selection, rows, additions)
        written = {table: self._merger.written[table] for table in self._counted}
        return ExportStats(self._target.name, rows, written, notes=(*self._notes, *origin))

    def _refuse_mixture(self, provenance: Provenance) -> None:
        """Refuse to replace real complaints by made-up ones, or made-up ones by real ones."""
        last = self._contents.last
        if last is None or not provenance.sources or last.is_sample == provenance.is_sample:
            return
        old, new = ("made-up", "real") if last.is_sample else ("real", "made-up")
        detail = f"has {old} complaints, and {self._database} has {new} ones"
        raise ForeignSchemaError(target=self._target.name, detail=detail)

    def _write_rows(self, loads: tuple[int, ...] | None) -> dict[str, int]:
        """Write the rows that these loads have changed, or all; return the rows of each table.

        Raises:
            DifferentRowsError: If the tables then differ from the database.
        """
        changed, every = (SourceStatements(self._selection, each) for each in (loads, None))
        created = create_tables(self._target.connection, self._contents, self._wanted)
        tables = [each for each in self._wanted if each != EXPORT.name]
        for table in tables:
            if table in created:
                self._merger.fill(every, table)
        if len(created) < len(self._wanted):
            self._merger.write(changed, [each for each in tables if each not in created])
        rows, difference = self._count_rows()
        if difference is not None and loads is not None:
            self._note_comparison(f"the table {difference.table} differed from the database")
            self._merger.write(every, tables)
            rows, difference = self._count_rows()
        if difference is not None:
            is_equal_count = difference.expected == difference.found
            kind = DifferentValuesError if is_equal_count else DifferentRowsError
            raise kind(target=self._target.name, **difference._asdict())
        return rows

    def _count_rows(self) -> tuple[dict[str, int], Difference | None]:
        return count_rows(self._source, self._target.connection, self._selection, self._counted)

    def _note_comparison(self, reason: str) -> None:
        self._notes.append(f"All rows were compared, because {reason}.")

    def _note_differences(self, dropped: Iterable[str]) -> None:
        """Note what was removed from the target, added to it, or stored in another form."""
        self._notes += [
            f"The table {name} was dropped, because it was not selected." for name in dropped
        ]
        if removed := self._merger.removed["complaint"]:
            self._notes.append(f"Complaints removed from the target: {removed:,}.")
        if "load" not in self._selection.tables:
            self._notes.append("The table load was exported too, because the next export needs it.")
        if self._copier.nul_values:
            self._notes.append(
                f"Texts with the character U+0000, which PostgreSQL cannot store:"
                f" {self._copier.nul_values:,}. It was replaced by U+FFFD."
            )
