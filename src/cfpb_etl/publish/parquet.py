"""Parquet: a folder with all tables, or one file with one table.

In a folder, the complaints of each year received have a file of their own, in a folder whose name
has the year (https://arrow.apache.org/docs/python/dataset.html, "Hive partitioning").
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Self

from cfpb_etl.errors import MissingExtraError
from cfpb_etl.publish.counts import report_rows, verify_rows
from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import ExportStats
from cfpb_etl.publish.folder import refuse_foreign_folder, write_manifest
from cfpb_etl.publish.origin import (
    VERSION_KEY,
    described,
    has_columns_of_export,
    metadata_of,
    notes_of,
)
from cfpb_etl.publish.replacement import replaced
from cfpb_etl.publish.views import PRODUCT_TODAY, product_names
from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.tables import NARRATIVE, tables

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "parquet") from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    from cfpb_etl.read.selection import Selection

_ROW_GROUP = 100_000
_NO_DAY = "__HIVE_DEFAULT_PARTITION__"  # Hive's name for NULL
_PART = "part-0.parquet"
_FIRST_YEAR = 2011  # in which CFPB received its first complaints


def export_parquet_file(database: Path, path: Path, selection: Selection) -> ExportStats:
    """Write a table to a Parquet file.

    Raises:
        ForeignTargetError: If the existing file is not an export of this program.
        TargetNotWrittenError: If the file cannot be written.
        DifferentRowsError: If the file would not have all rows.
        RowsNotReadError: If a value cannot be read.
        DatabaseError: If the database cannot be read; each subclass is one reason.
    """
    (table,) = selection.tables
    with replaced(path, _refuse_foreign_file) as new, open_arrow(database, selection) as snapshot:
        ((_, schema, batches),) = snapshot.read()
        expected = snapshot.counts[table]
        origin = metadata_of(snapshot.provenance, selection)
        with _TableFile(new, _described(table, schema, origin, expected)) as file:
            for batch in _reported(table, batches, expected):
                file.write(batch)
        verify_rows(path, table, expected, file.rows, pq.read_metadata(new).num_rows)
        notes = notes_of(snapshot.provenance, selection, snapshot.counts, snapshot.additions)
        size = new.stat().st_size
    return ExportStats(str(path), {table: expected}, {table: expected}, size, notes)


def export_parquet_folder(database: Path, path: Path, selection: Selection) -> ExportStats:
    """Write tables to a folder of Parquet files, with a manifest.

    Raises:
        ForeignTargetError: If the existing folder is not an export of this program, or has other
            files in it.
        TargetNotWrittenError: If the folder cannot be written.
        DifferentRowsError: If the files would not have all rows.
        RowsNotReadError: If a value cannot be read.
        DatabaseError: If the database cannot be read; each subclass is one reason.
    """
    with replaced(path, refuse_foreign_folder) as new, open_arrow(database, selection) as snapshot:
        new.mkdir()
        counts, origin = snapshot.counts, metadata_of(snapshot.provenance, selection)
        files: dict[str, dict[str, int]] = {}
        for table, schema, batches in snapshot.read():
            described = _described(table, schema, origin, counts[table])
            rows = _reported(table, batches, counts[table])
            files[table] = _write_folder(new, table, described, rows)
            found = (pq.read_metadata(new / name).num_rows for name in files[table])
            verify_rows(path, table, counts[table], sum(files[table].values()), sum(found))
        if "complaint" in files:
            files[PRODUCT_TODAY] = _write_product_names(new)
        notes = notes_of(snapshot.provenance, selection, counts, snapshot.additions)
        write_manifest(new, selection, files, origin, notes)
        size = sum(each.stat().st_size for each in new.rglob("*") if each.is_file())
    return ExportStats(str(path), counts, counts, size, notes)


class _TableFile:
    """A Parquet file to which batches are written in row groups.

    Attributes:
        rows: How many rows were written.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self.rows = 0
        repeated = [name for name in schema.names if name not in ("complaint_id", NARRATIVE)]
        order = pq.SortingColumn(schema.get_field_index("date_received"), nulls_first=True)
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=repeated,
            sorting_columns=[order] if "date_received" in schema.names else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None and (self._waiting or not self.rows):
                self._write_row_group(self._waiting_rows)
        finally:
            self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, together with the batches before it that do not fill a row group."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        while self._waiting_rows >= _ROW_GROUP:
            self._write_row_group(_ROW_GROUP)

    def _write_row_group(self, rows: int) -> None:
        # With different dictionaries in a row group, pyarrow would write some values plainly.
        waiting = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        self._writer.write_table(waiting.slice(0, rows), row_group_size=_ROW_GROUP)
        self.rows += rows
        self._waiting_rows -= rows
        self._waiting = waiting.slice(rows).to_batches()


def _write_folder(
    folder: Path, table: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> dict[str, int]:
    """Write a table to one file, or to one for each year; return their rows by their paths."""
    files: dict[str, int] = {}
    pieces = (piece for batch in batches for piece in _by_file(table, batch))
    for name, group in groupby(pieces, itemgetter(0)):
        files[name] = _write_file(folder / name, schema, (batch for _, batch in group))
    # An engine needs a file to know the columns, and a year to know its type.
    name = _path(table, _FIRST_YEAR)
    if name not in files and all(other == _path(table, None) for other in files):
        files[name] = _write_file(folder / name, schema, ())
    return files


def _write_file(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _TableFile(path, schema) as file:
        for batch in batches:
            file.write(batch)
    return file.rows


def _by_file(table: str, batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the path of a file, and the rows of a batch that belong in it.

    The rows are sorted by day, so each year is in one piece.
    """
    if table != "complaint":
        yield _path(table, None), batch
        return
    years = pc.run_end_encode(pc.year(batch.column("date_received")))
    start = 0
    for year, end in zip(years.values.to_pylist(), years.run_ends.to_pylist(), strict=True):
        yield _path(table, year), batch.slice(start, end - start)
        start = end


def _path(table: str, year: int | None) -> str:
    """Return the path of a file in the folder. Only complaints have a year."""
    if table != "complaint":
        return f"{table}/{_PART}"
    return f"{table}/year_received={_NO_DAY if year is None else year}/{_PART}"


def _write_product_names(folder: Path) -> dict[str, int]:
    """Write today's names of products, which the names in complaints can be joined with."""
    names = product_names()
    fields = [
        pa.field(name, pa.string(), metadata={"description": text})
        for name, text in names.columns.items()
    ]
    schema = pa.schema(fields, metadata={"description": names.description})
    table = pa.Table.from_arrays([*map(pa.array, zip(*names.rows, strict=True))], schema=schema)
    path = f"{PRODUCT_TODAY}/{_PART}"
    (folder / path).parent.mkdir()
    pq.write_table(table, folder / path, compression="zstd")
    return {path: table.num_rows}


def _described(table: str, schema: pa.Schema, origin: dict[str, str], rows: int) -> pa.Schema:
    """Return a schema with the descriptions of the table and its columns."""
    columns = described(tables()[table].columns)
    return pa.schema(
        [each.with_metadata({"description": columns[each.name]}) for each in schema],
        metadata={
            "table": table,
            "description": tables()[table].description,
            "rows": str(rows),  # of the table, which has several files in a folder
            **origin,
        },
    )


def _reported(
    table: str, batches: Iterator[pa.RecordBatch], total: int
) -> Iterator[pa.RecordBatch]:
    """Yield batches, and report how many of their rows were written."""
    done = 0
    for batch in batches:
        yield batch
        report_rows(table, done, done + batch.num_rows, total)
        done += batch.num_rows


def _refuse_foreign_file(existing: Path) -> None:
    """Refuse a file that is not as an export has written it. An empty file has nothing to lose.

    A program that reads an export and writes other rows can keep the metadata of the export.
    """
    if not existing.exists() or (existing.is_file() and not existing.stat().st_size):
        return
    if not existing.is_file():
        raise ForeignTargetError(target=str(existing), detail="is not a file")
    try:
        found = pq.read_metadata(existing)
    except pa.ArrowInvalid:
        found = None
    metadata = (found and found.metadata) or {}
    if (
        VERSION_KEY.encode() not in metadata
        or metadata.get(b"rows") != str(found.num_rows).encode()
        or not has_columns_of_export(found.schema.names)
    ):
        raise ForeignTargetError(target=str(existing), detail="is not an export of cfpb-etl")
