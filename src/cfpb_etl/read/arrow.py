"""Rows of a database as Arrow record batches.

A second process reads the database with ADBC's driver for SQLite, and this process uses the rows
meanwhile (docs/design.md, "Reading and exports").

It must be another process, because the driver has its own copy of SQLite, and two copies in one
process do not see each other's locks. If one of them closes the file, the system releases the locks
of the other (https://www.sqlite.org/howtocorrupt.html section 2.2.1).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, cast

from cfpb_etl.child_process import start_child
from cfpb_etl.errors import CfpbEtlError, MissingExtraError
from cfpb_etl.read.connection import CACHE_KIBIBYTES
from cfpb_etl.read.errors import ReadingStoppedError, RowsNotReadError
from cfpb_etl.read.provenance import PROVENANCE_SQL, Provenance
from cfpb_etl.store import sqlite_file
from cfpb_etl.store.file.schema import find_additions
from cfpb_etl.store.sqlite_file import named_errors, open_for_reading, read_only_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from cfpb_etl.read.selection import Selection, Statement
    from cfpb_etl.store.sqlite_file import Connection

_PACKAGES = {"pyarrow": "pyarrow", "adbc_driver_sqlite": "adbc-driver-sqlite"}
_MODULE = "cfpb_etl.read.arrow_process"
_END_SECONDS = 5  # for a process that has closed its output


class ArrowSnapshot:
    """The selected rows of a database, as it was at one moment.

    Attributes:
        counts: How many rows each table has, by the table's name.
        provenance: Where the rows come from.
        additions: What `find_additions` has found in the database.
    """

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        process: subprocess.Popen[bytes],
        errors: IO[bytes],
    ) -> None:
        self._connection = connection
        self._selection = selection
        self._process = process
        self._output = cast("IO[bytes]", process.stdout)
        self._errors = errors
        *counts, provenance = self._read_facts()
        connection.refuse_if_moved()  # the process may have opened another file
        self.provenance = Provenance.from_row(*provenance)
        self.additions = find_additions(connection)
        self.counts: dict[str, int] = {
            table: count for table, (count,) in zip(selection.tables, counts, strict=True)
        }

    def read(self) -> Iterator[tuple[str, pa.Schema, Iterator[pa.RecordBatch]]]:
        """Yield the name, the schema and the rows of each selected table.

        The rows of a table must be read before the next table.

        Raises:
            RowsNotReadError: If a value is not of its column's type, or the process has failed.
            DatabaseError: If the file is damaged or locked; each subclass is one reason.
        """
        for table in self._selection.tables:
            statement = self._selection.statement(table)
            try:
                reader = _open_stream(self._output)
            except (OSError, ValueError):
                raise self._failure(statement) from None
            yield table, reader.schema, self._batches(reader, statement, self.counts[table])

    def _batches(self, reader: Any, statement: Statement, expected: int) -> Iterator[Any]:  # noqa: ANN401
        rows = 0
        try:
            for batch in reader:
                rows += batch.num_rows
                yield batch
        except (OSError, ValueError):
            raise self._failure(statement) from None
        # To Arrow, a stream that is cut off between two batches is complete.
        if rows != expected:
            raise self._failure(statement, detail=f"{rows:,} of {expected:,} came")

    def _read_facts(self) -> list[list[Any]]:
        try:
            facts: list[list[Any]] = json.loads(self._output.readline())
        except ValueError:  # it ended before the end of the line
            counts = map(self._selection.count_statement, self._selection.tables)
            raise self._failure(*counts) from None
        return facts

    def _failure(self, *statements: Statement, detail: str = "") -> CfpbEtlError:
        """Return the reason why the process has failed.

        The driver describes an error of SQLite, and Python's sqlite3 has its code. So the
        statements run again.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        path = self._connection.database
        if code == RowsNotReadError.exit_code:
            return RowsNotReadError(path=path, detail=lines[-1])
        try:
            with named_errors(path, reads=True):
                self._connection.refuse_if_moved()
                for statement in statements:
                    for _ in self._connection.execute(*statement[:2]):
                        pass
        except CfpbEtlError as error:
            return error
        last_line = lines[-1] if lines else "without a message"
        detail = detail or f"the process ended with code {code} ({last_line})"
        return ReadingStoppedError(path=path, detail=detail)


@contextmanager
def open_arrow(database: Path, selection: Selection) -> Iterator[ArrowSnapshot]:
    """Read the selected rows as Arrow record batches. A load that runs meanwhile is not seen.

    The types are int64, date32, dictionary<int32, string> and string. Each batch has dictionaries
    of its own. Bytes in a column of text are read as text, if they are UTF-8.

    Raises:
        MissingExtraError: If pyarrow or ADBC's driver is not installed.
        DatabaseError: If the file is another program's or cannot be read; each subclass is one
            reason.
        RowsNotReadError: If a value is not of its column's type, or the process has failed.
    """
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise MissingExtraError(package, "parquet")
    with open_for_reading(database) as connection, tempfile.TemporaryFile() as errors:
        process = _start(database, errors)
        try:
            _send(process, _request(database, selection))
            yield ArrowSnapshot(connection, selection, process, errors)
        finally:
            process.kill()
            process.communicate()


def _start(database: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the process. Its errors go to a file, because a pipe could become full."""
    try:
        return start_child(_MODULE, stdout=subprocess.PIPE, stderr=errors)
    except (OSError, TypeError) as error:  # sys.executable names no program, or is None
        detail = f"no second Python could be started ({error})"
        raise ReadingStoppedError(path=database, detail=detail) from None


def _send(process: subprocess.Popen[bytes], request: dict[str, Any]) -> None:
    """Write the request to the process's standard input, where its size has no limit."""
    pipe = cast("IO[bytes]", process.stdin)
    with suppress(BrokenPipeError):  # the process has ended; its output shows why
        pipe.write(f"{json.dumps(request)}\n".encode())
        pipe.flush()


def _request(database: Path, selection: Selection) -> dict[str, Any]:
    statements = [selection.statement(table) for table in selection.tables]
    return {
        "address": read_only_address(database),
        "cache": CACHE_KIBIBYTES,
        "wait": sqlite_file.READER_MILLISECONDS,
        "facts": [
            *(selection.count_statement(table)[:2] for table in selection.tables),
            (PROVENANCE_SQL, []),
        ],
        "statements": [
            (each.sql, each.values, [column[:2] for column in each.columns]) for each in statements
        ],
    }


def _open_stream(output: IO[bytes]) -> pa.RecordBatchReader:
    import pyarrow as pa

    return pa.ipc.open_stream(output)
