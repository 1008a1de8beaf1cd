"""Writes the rows of an export into the tables of the schema `cfpb`, and compares them with SQLite.

A reader is never blocked: rows are inserted, updated and deleted, and no table is emptied or
replaced. So a reader sees the rows before the export or those after it.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.model.events import Progress, emit
from cfpb_etl.publish.postgres.schema import KEYS, SCHEMA, own_tables
from cfpb_etl.publish.postgres.tables import create_indexes

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable

    import psycopg

    from cfpb_etl.publish.postgres.copy import RowCopier
    from cfpb_etl.publish.postgres.plan import SourceStatements
    from cfpb_etl.read.selection import Selection

_STAGED, _TOUCHED = "pg_temp.staged", "pg_temp.touched"
# What is compared: the number of rows, of withdrawals or of new values, and a sum of which load
# belongs to which complaint. The factors are small, so that no sum overflows. Both databases have
# the same SQL.
_PAIRS = "CAST(SUM((complaint_id % 65521) * ({} % 65521)) AS bigint)"
_DIGESTS = {
    "complaint": f"COUNT(*), COUNT(withdrawn_on), {_PAIRS.format('changed_load_id')}",
    "complaint_change": f"COUNT(*), COUNT(new), {_PAIRS.format('load_id')}",
    "load": "COUNT(*), CAST(SUM(rows) AS bigint), CAST(SUM(changed) AS bigint)",
}


class Merger:
    """Writes the rows of one export.

    Args:
        connection: The connection to PostgreSQL.
        copier: Copies rows of SQLite.
        indexes: The names of the indexes that exist.

    Attributes:
        written: How many rows of each table were inserted or changed.
        removed: How many rows of each table were deleted.
    """

    def __init__(
        self, connection: psycopg.Connection, copier: RowCopier, indexes: Collection[str]
    ) -> None:
        self._connection = connection
        self._copier = copier
        self._indexes = indexes
        self.written: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()

    def fill(self, statements: SourceStatements, table: str) -> None:
        """Copy all rows into a table that this transaction has created, and create its indexes."""
        self.written[table] += self._copy(statements, table, _in_schema(table), freeze=True)
        emit(Progress(f"Indexing {table}", "", None))
        create_indexes(self._connection, table, ())

    def write(self, statements: SourceStatements, tables: Iterable[str]) -> None:
        """Write rows into tables that have rows.

        Args:
            statements: The statements that read the rows.
            tables: The tables.

        Raises:
            RowsNotReadError: If a value in SQLite is not of the type of its column.
        """
        if statements.loads is not None:
            self._execute("CREATE TEMP TABLE touched (complaint_id bigint) ON COMMIT DROP")
            self._copier.copy(statements.touched(), _TOUCHED, step="Comparing")
        for table in tables:
            create_indexes(self._connection, table, self._indexes)
            write = self._merge if table in KEYS else self._replace
            write(statements, table)

    def _merge(self, statements: SourceStatements, table: str) -> None:
        """Insert, update and delete rows of a table with a key. Equal rows are not written."""
        stored, columns = _in_schema(table), [each.name for each in own_tables()[table].columns]
        names, key = ", ".join(columns), ", ".join(KEYS[table])
        self._execute(
            f"CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT {names} FROM {stored} WITH NO DATA"
        )
        self._copy(statements, table, _STAGED)
        is_whole = statements.loads is None or table != "complaint"
        if is_whole:
            self._execute(f"ANALYZE {_STAGED}")  # so that the deletion is planned well
        touched = "" if is_whole else f"{key} IN (SELECT {key} FROM {_TOUCHED}) AND "
        self.removed[table] += self._execute(
            f"DELETE FROM ONLY {stored} AS stored WHERE {touched}"
            f"NOT EXISTS (SELECT FROM {_STAGED} WHERE {_equal(KEYS[table])})"
        )
        self.written[table] += self._execute(
            f"INSERT INTO {stored} AS stored ({names}) SELECT {names} FROM {_STAGED}"
            f" ON CONFLICT ({key}) DO UPDATE SET ({names}) = ROW({_of('excluded', columns)})"
            f" WHERE ({_of('stored', columns)}) IS DISTINCT FROM ({_of('excluded', columns)})"
        )
        self._execute(f"DROP TABLE {_STAGED}")

    def _replace(self, statements: SourceStatements, table: str) -> None:
        """Replace the rows of a table without a key."""
        condition = "true"
        if statements.loads is not None:
            condition = f"load_id IN ({statements.loads})"
            if statements.is_filtered:
                condition += f" OR complaint_id IN (SELECT complaint_id FROM {_TOUCHED})"
        self.removed[table] += self._execute(
            f"DELETE FROM ONLY {_in_schema(table)} WHERE {condition}"
        )
        self.written[table] += self._copy(statements, table, _in_schema(table))

    def _copy(
        self, statements: SourceStatements, table: str, into: str, *, freeze: bool = False
    ) -> int:
        return self._copier.copy(
            statements.rows(table),
            into,
            step=f"Exporting {table}",
            counted=statements.count(table) if statements.loads is None else None,
            freeze=freeze,
        )

    def _execute(self, statement: str) -> int:
        return self._connection.execute(statement).rowcount


def _in_schema(table: str) -> str:
    return f"{SCHEMA}.{table}"


def _of(table: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{table}.{column}" for column in columns)


def _equal(columns: Iterable[str]) -> str:
    return " AND ".join(f"staged.{column} = stored.{column}" for column in columns)


# --- comparison with SQLite -----------------------------------------------------------------


class Difference(NamedTuple):
    """A table that differs from SQLite.

    Attributes:
        table: The table.
        expected: How many rows it has in SQLite.
        found: How many rows it has in PostgreSQL, which can be the same number.
    """

    table: str
    expected: int
    found: int


def count_rows(
    source: sqlite3.Connection,
    target: psycopg.Connection,
    selection: Selection,
    tables: Iterable[str],
) -> tuple[dict[str, int], Difference | None]:
    """Count the rows of the tables in PostgreSQL, and compare them with SQLite.

    Returns:
        The number of rows of each table, and the first table that differs.
    """
    emit(Progress("Comparing counts", "", None))
    queries = {table: f"SELECT {_DIGESTS[table]} FROM {{}} WHERE {{}}" for table in tables}

    def digests_in_target() -> list[Any]:
        return [
            target.execute(query.format(f"ONLY {_in_schema(table)}", "true")).fetchone()
            for table, query in queries.items()
        ]

    # Each database reads whole tables, so they work at the same time.
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(digests_in_target)
        expected = []
        for table, query in queries.items():
            condition, values = selection.condition(table)
            expected.append(source.execute(query.format(table, condition), values).fetchone())
    rows: dict[str, int] = {}
    difference = None
    for table, wanted, digest in zip(queries, expected, found.result(), strict=True):
        rows[table] = digest[0]
        if wanted != digest and difference is None:
            difference = Difference(table, wanted[0], digest[0])
    return rows, difference
