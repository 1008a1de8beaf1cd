"""CSV and JSON files, written with Python's standard library and msgspec.

CSV files are in UTF-8, and have the quotes of RFC 4180. An empty cell is NULL, and each line ends
with LF. JSON files have one object in each line.
"""

from __future__ import annotations

import csv
import gzip
import sqlite3
import zlib
from contextlib import contextmanager
from functools import partial
from itertools import chain, starmap
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from cfpb_etl.model.wording import counted
from cfpb_etl.publish.counts import report_rows, verify_rows
from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import ExportStats
from cfpb_etl.publish.origin import has_columns_of_export, notes_of
from cfpb_etl.publish.replacement import replaced
from cfpb_etl.read.connection import open_snapshot
from cfpb_etl.read.errors import RowsNotReadError
from cfpb_etl.read.provenance import read_provenance
from cfpb_etl.store.file.schema import find_additions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cfpb_etl.read.selection import Selection

    _Write = Callable[[list[tuple[Any, ...]]], None]

_ROWS = 500  # read at a time
_CHUNK_BYTES = 2**20
_GZIP_LEVEL = 6  # gzip's own default; with 9, a file was 8 % smaller and took 50 % more time
_LINE_BYTES = 2**26  # the longest first line of an export; a foreign file can be a single line
_KINDS = {int, str, type(None)}


def export_text(database: Path, path: Path, selection: Selection) -> ExportStats:
    """Write a table to a file that ends in .csv, .csv.gz or .jsonl.

    Raises:
        ForeignTargetError: If the existing file is not an export of this program.
        TargetNotWrittenError: If the file cannot be written.
        DifferentRowsError: If the file would not have all rows.
        DatabaseError: If the database cannot be read; each subclass is one reason.
    """
    (table,) = selection.tables
    names = [each.name for each in selection.columns_of(table)]
    is_json = _is_json(path)
    refuse_foreign = partial(_refuse_foreign, path)
    with replaced(path, refuse_foreign) as new, open_snapshot(database) as connection:
        sql, values, _ = selection.count_statement(table)
        (expected,) = connection.execute(sql, values).fetchone()
        provenance = read_provenance(connection)
        additions = find_additions(connection)
        notes = notes_of(provenance, selection, {table: expected}, additions)
        sql, values, _ = selection.statement(table)
        written = empty_texts = 0
        with _open_new(new, path) as file:
            write = (_write_json if is_json else _write_csv)(file, names)
            for rows in _checked_rows(connection.execute(sql, values), database):
                write(rows)
                if "" in chain.from_iterable(rows):
                    empty_texts += sum(value == "" for value in chain.from_iterable(rows))
                report_rows(table, written, written + len(rows), expected)
                written += len(rows)
        verify_rows(path, table, expected, written, _count_rows(new, path) - (not is_json))
        size = new.stat().st_size
    if empty_texts and not is_json:
        notes += (f"{counted(empty_texts, 'cell')} with an empty text cannot be told from NULL.",)
    return ExportStats(str(path), {table: expected}, {table: expected}, size, notes)


def _fetch(cursor: sqlite3.Cursor, database: Path) -> list[tuple[Any, ...]]:
    try:
        return cursor.fetchmany(_ROWS)
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        raise RowsNotReadError(path=database, detail=f"a value is not text ({error})") from None


def _checked_rows(cursor: sqlite3.Cursor, database: Path) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows in batches. Other programs can store values of other types."""
    while batch := _fetch(cursor, database):
        if other := {*map(type, chain.from_iterable(batch))} - _KINDS:
            kind = other.pop().__name__
            raise RowsNotReadError(path=database, detail=f"a value is of the type {kind}")
        yield batch


# --- formats --------------------------------------------------------------------------------


@contextmanager
def _open_new(new: Path, path: Path) -> Iterator[IO[bytes]]:
    """Open the new file. Equal rows become equal bytes: its header has no name and no time."""
    with new.open("wb") as raw:
        if not path.name.lower().endswith(".gz"):
            yield raw
            return
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, fileobj=raw, mtime=0) as packed:
            yield cast("IO[bytes]", packed)


def _write_csv(file: IO[bytes], names: list[str]) -> _Write:
    lines: list[str] = []
    # Python 3.11 writes a text with a carriage return in quotes only if the ends of lines have a
    # carriage return.
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")

    def write(rows: list[tuple[Any, ...]]) -> None:
        writer.writerows(rows)
        text = "".join(lines)
        if text.count("\r") == len(lines):
            text = text.replace("\r\n", "\n")
        else:  # some are in values
            text = "".join([f"{line[:-2]}\n" for line in lines])
        file.write(text.encode())
        lines.clear()

    write([tuple(names)])
    return write


def _write_json(file: IO[bytes], names: list[str]) -> _Write:
    encoder = msgspec.json.Encoder()
    kind = msgspec.defstruct("Row", names)  # takes half of the time of a dict

    def write(rows: list[tuple[Any, ...]]) -> None:
        file.write(encoder.encode_lines(starmap(kind, rows)))

    return write


def _is_json(path: Path) -> bool:
    return path.name.lower().endswith(".jsonl")


def _open_finished(file: Path, path: Path) -> IO[bytes]:
    is_packed = path.name.lower().endswith(".gz")
    return cast("IO[bytes]", gzip.open(file) if is_packed else file.open("rb"))


def _count_rows(new: Path, path: Path) -> int:
    """Count the lines of a finished file, without the ends of lines between quotes."""
    lines = quotes = 0
    with _open_finished(new, path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            if _is_json(path):
                lines += chunk.count(b"\n")
                continue
            pieces = chunk.split(b'"')
            lines += sum(piece.count(b"\n") for piece in pieces[quotes % 2 :: 2])
            quotes += len(pieces) - 1
    return lines


def _refuse_foreign(path: Path, existing: Path) -> None:
    """Refuse a file that does not begin with the column names of an export.

    These files have no place for a mark of this program. An empty file contains nothing to lose.
    """
    if not existing.exists() or (existing.is_file() and not existing.stat().st_size):
        return
    if not existing.is_file():
        raise ForeignTargetError(target=str(existing), detail="is not a file")
    try:
        with _open_finished(existing, path) as file:
            names = _names_in(file, is_json=_is_json(path))
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError):
        names = []
    if not has_columns_of_export(names):
        raise ForeignTargetError(
            target=str(existing), detail="does not have the columns of an export"
        )


def _names_in(file: IO[bytes], *, is_json: bool) -> list[str]:
    """Return the column names in the first line of a file.

    Raises:
        ValueError: If the first line is not text or not a JSON object.
    """
    if is_json:
        return [*msgspec.json.decode(file.readline(_LINE_BYTES), type=dict[str, Any])]
    return file.readline(_LINE_BYTES).decode().rstrip("\n").split(",")
