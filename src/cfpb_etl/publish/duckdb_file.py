"""A DuckDB file with the tables, their descriptions and the views of the SQLite file."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cfpb_etl.errors import MissingExtraError
from cfpb_etl.publish.counts import report_rows, verify_rows
from cfpb_etl.publish.errors import ForeignTargetError, TargetNotWrittenError
from cfpb_etl.publish.export import ExportStats
from cfpb_etl.publish.origin import described, metadata_of, notes_of
from cfpb_etl.publish.replacement import replaced
from cfpb_etl.publish.views import NARRATIVES, PRODUCT_TODAY, product_names, views
from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.tables import NAMES, tables

try:
    import duckdb
    import pyarrow as pa
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "duckdb") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.read.arrow import ArrowSnapshot
    from cfpb_etl.read.selection import Selection

_TYPES = {"integer": "BIGINT", "day": "DATE", "category": "VARCHAR", "text": "VARCHAR"}
_MONTH = "STRFTIME(date_received, '%Y-%m')"
# DuckDB rounds 0.15 to 0.1, because the double is a little less. SQLite rounds it to 0.2.
_ROUNDED = re.compile(r"\bROUND\((.*?), 1\s*\)", re.DOTALL)
_ROUNDED_AS_DECIMAL = r"CAST(ROUND(CAST(\1 AS DECIMAL(18, 12)), 1) AS DOUBLE)"
_ORIGIN = "cfpb_etl_export"  # the table that shows that this program wrote the file
_MAGIC = slice(8, 12), b"DUCK"  # https://duckdb.org/docs/stable/internals/storage
_Config = dict[str, str | bool | int | float | list[str]]
# Without the limit, five million complaints with narratives needed 1.7 GB of memory, not 350 MB.
# With several threads, the rows would be read in another thread than the main one.
_WRITE: _Config = {"memory_limit": "200MB", "threads": 1}
# A file of another program is only looked at.
_LOOK: _Config = {
    "enable_external_access": False,
    "autoload_known_extensions": False,
}


def export_duckdb(database: Path, path: Path, selection: Selection) -> ExportStats:
    """Write tables and views to a DuckDB file.

    Raises:
        ForeignTargetError: If the existing file is not an export of this program, or has other
            tables in it.
        TargetNotWrittenError: If the file cannot be written.
        DifferentRowsError: If the file would not have all rows.
        RowsNotReadError: If a value cannot be read.
        DatabaseError: If the database cannot be read; each subclass is one reason.
    """
    with replaced(path, _refuse_foreign) as new, open_arrow(database, selection) as snapshot:
        counts = snapshot.counts
        with _named_errors(path):
            with duckdb.connect(str(new), config=_WRITE) as connection:
                written = _write(connection, snapshot, selection)
            with duckdb.connect(str(new), read_only=True) as connection:
                for table in selection.tables:
                    verify_rows(
                        path, table, counts[table], written[table], _count(connection, table)
                    )
        notes = notes_of(snapshot.provenance, selection, counts, snapshot.additions)
        size = new.stat().st_size
    if "complaint" in selection.tables and not selection.narratives:
        notes += (f"The view {NARRATIVES} is left out, because it needs the narratives.",)
    return ExportStats(str(path), counts, written, size, notes)


def _write(
    connection: duckdb.DuckDBPyConnection, snapshot: ArrowSnapshot, selection: Selection
) -> dict[str, int]:
    """Write everything in one transaction, and return how many rows each table has got."""
    written = dict.fromkeys(selection.tables, 0)
    connection.execute("BEGIN")
    for table, schema, batches in snapshot.read():
        columns = selection.columns_of(table)
        _create_table(connection, table, {each.name: _TYPES[each.kind] for each in columns})
        counted = _counted(table, batches, written, snapshot.counts[table])
        _insert(connection, table, schema, counted)
        _comment(connection, "TABLE", table, tables()[table].description, described(columns))
    if "complaint" in selection.tables:
        _write_views(connection, narratives=selection.narratives)
    _create_table(connection, _ORIGIN, {"name": "VARCHAR", "value": "VARCHAR"})
    _comment(connection, "TABLE", _ORIGIN, "where the rows come from", {})
    rows = {f"rows of {table}": str(count) for table, count in snapshot.counts.items()}
    connection.executemany(
        f"INSERT INTO {_ORIGIN} VALUES (?, ?)",  # noqa: S608 - our name
        [*(metadata_of(snapshot.provenance, selection) | rows).items()],
    )
    connection.execute("COMMIT")
    return written


def _insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
) -> None:
    """Insert the rows of a table.

    DuckDB writes the rows of one statement to the file meanwhile. It would keep those of many
    statements in memory until the transaction ends.
    """
    failed: list[BaseException] = []

    def rows() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except (Exception, KeyboardInterrupt) as error:
            failed.append(error)  # DuckDB raises an error of its own instead
            raise

    connection.register("rows", pa.RecordBatchReader.from_batches(schema, rows()))
    try:
        connection.execute(f"INSERT INTO {table} SELECT * FROM rows")  # noqa: S608 - our names
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    connection.unregister("rows")


def _counted(
    table: str, batches: Iterator[pa.RecordBatch], written: dict[str, int], total: int
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a table, and count and report their rows."""
    for batch in batches:
        yield batch
        before = written[table]
        written[table] += batch.num_rows
        report_rows(table, before, written[table], total)


def _write_views(connection: duckdb.DuckDBPyConnection, *, narratives: bool) -> None:
    names = product_names()
    _create_table(connection, PRODUCT_TODAY, dict.fromkeys(names.columns, "VARCHAR"))
    connection.executemany(f"INSERT INTO {PRODUCT_TODAY} VALUES (?, ?, ?)", names.rows)  # noqa: S608 - our name
    _comment(connection, "TABLE", PRODUCT_TODAY, names.description, names.columns)
    for view in views(_MONTH, narratives=narratives):
        connection.execute(_ROUNDED.sub(_ROUNDED_AS_DECIMAL, view.sql))
        _comment(connection, "VIEW", view.name, view.description, view.columns)


def _create_table(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str]
) -> None:
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({listed})")


def _comment(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    name: str,
    text: str,
    columns: dict[str, str],
) -> None:
    comments = {f"{kind} {name}": text}
    comments |= {f"COLUMN {name}.{column}": comment for column, comment in columns.items()}
    for place, comment in comments.items():
        quoted = comment.replace("'", "''")
        connection.execute(f"COMMENT ON {place} IS '{quoted}'")


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()[0]  # noqa: S608 - our names
    return int(count)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise TargetNotWrittenError(target=str(path), detail=str(error)) from error


# --- existing files -------------------------------------------------------------------------


def _refuse_foreign(existing: Path) -> None:
    """Refuse a file that is not as an export has written it. An empty file has nothing to lose."""
    detail = _what_is_foreign(existing)
    if detail is not None:
        raise ForeignTargetError(target=str(existing), detail=detail)


def _what_is_foreign(existing: Path) -> str | None:
    log = Path(f"{existing}.wal")
    if log.exists():
        return f"is open, or has changes in {log.name}"
    if not existing.exists():
        return None
    if not existing.is_file():
        return "is not a file"
    place, magic = _MAGIC
    with existing.open("rb") as file:
        header = file.read(place.stop)
    if header[place] != magic:
        return "is not a DuckDB file" if header else None
    try:
        with duckdb.connect(str(existing), read_only=True, config=_LOOK) as connection:
            return _what_was_added(connection)
    except duckdb.Error as error:
        return f"cannot be read as an export ({error})"


def _what_was_added(connection: duckdb.DuckDBPyConnection) -> str | None:
    found = {
        name
        for (name,) in connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE NOT internal"
            " UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
    }
    if _ORIGIN not in found:
        return "is not an export of cfpb-etl"
    own = {*NAMES, _ORIGIN, PRODUCT_TODAY, *(each.name for each in views(_MONTH, narratives=True))}
    for name in sorted(found - own):
        return f"contains {name!r}, which is not part of the export"
    origin = dict(connection.execute(f"SELECT name, value FROM {_ORIGIN}").fetchall())  # noqa: S608 - our name
    for table in sorted(found & {*NAMES}):
        if origin.get(f"rows of {table}") != str(_count(connection, table)):
            return f"contains {table!r}, which has changed since the export"
    return None
