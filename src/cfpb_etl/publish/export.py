"""Exports a database to the kind of target that its name selects."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cfpb_etl.errors import MissingExtraError, WrongParameterError
from cfpb_etl.fetch.http.addresses import is_named
from cfpb_etl.parameters.checks import is_like_address
from cfpb_etl.parameters.export_parameters import ExportParameters
from cfpb_etl.parameters.signature import with_parameters_of
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POSTGRES = re.compile(r"postgres(ql)?://", re.IGNORECASE)
_ONE_TABLE = (".parquet", ".csv", ".csv.gz", ".jsonl")


@dataclass(frozen=True)
class ExportStats:
    """What was exported.

    Attributes:
        target: The target, without a password.
        tables: The number of rows of each table in the target, by the table's name.
        written: The number of rows that this export has written, by the table's name.
        bytes: The size of the target; None for PostgreSQL.
        notes: What the reader of the numbers must know, such as what was left out.
    """

    target: str
    tables: dict[str, int]
    written: dict[str, int]
    bytes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Return the number of rows of all tables in the target."""
        return sum(self.tables.values())


@with_parameters_of(ExportParameters)
def export_complaints(parameters: ExportParameters) -> ExportStats:
    """Export a database, as it is now, to files or to another database. The database is only read.

    Raises:
        CfpbEtlError: If a parameter is wrong or the export fails. The message says what to do.
    """
    target, database = str(parameters.target), Path(parameters.database)
    if _is_postgres(target):
        with _psycopg():
            from cfpb_etl.publish.postgres.export import export_postgres
        return export_postgres(database, target, _selection(parameters, NAMES))
    path, end = _path_and_end(target, database)
    if end in _ONE_TABLE:
        selection = _selection(parameters, NAMES[:1])
        if len(selection.tables) > 1:
            reason = f"names several tables, and a {end} file has one; export to a folder"
            raise WrongParameterError(parameter="table", reason=reason)
    else:
        selection = _selection(parameters, NAMES)
    return _exporter(end)(database, path, selection)


def check_target(target: str, database: Path) -> None:
    """Check what can be checked before a long load: the name of a target, and what it needs.

    Raises:
        WrongParameterError: If the target is not the path of a file or folder for an export.
        InvalidAddressError, NoAddressError: If it is not the address of a PostgreSQL database.
        MissingExtraError: If a package is not installed.
    """
    if _is_postgres(target):
        with _psycopg():
            from cfpb_etl.publish.postgres.address import read_address
        read_address(target)
    else:
        _, end = _path_and_end(target, database)
        _exporter(end)


def _is_postgres(target: str) -> bool:
    return bool(_POSTGRES.match(target)) or is_named(target)


@contextmanager
def _psycopg() -> Iterator[None]:
    """Name the extra that psycopg needs."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("psycopg", "postgres") from error


def _path_and_end(target: str, database: Path) -> tuple[Path, str]:
    """Return the path of a target, and the end of its name, which is empty for a folder.

    Raises:
        WrongParameterError: If the target is not the path of a file or folder for an export.
    """

    def refuse(reason: str) -> NoReturn:
        raise WrongParameterError(parameter="target", reason=reason)

    if is_like_address(target) and not Path(target).exists():
        refuse("is not a path; of addresses, only postgresql:// is possible")  # may have a password
    if target.strip() in ("", "-"):
        refuse(f"{target!r} is not the path of a file or folder")
    path = Path(target)
    try:
        real, source = path.resolve(), database.resolve()
        str(real).encode()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, or not text
        refuse(f"{target[:60]!r} is not the path of a file or folder")
    if not real.parent.is_dir():
        refuse(f"{target!r} is in a folder that does not exist; create it first")
    if real == source or (real.parent == source.parent and real.name.startswith(f"{source.name}-")):
        refuse(f"{target!r} is the database or belongs to it")
    if target.endswith(("/", os.sep)):
        return path, ""
    end = next((end for end in (*_ONE_TABLE, ".duckdb") if path.name.lower().endswith(end)), "")
    if not end and path.suffix and not path.is_dir():
        ends = ", ".join((*_ONE_TABLE, ".duckdb"))
        refuse(f"{target!r} must end in {ends}, or in / if it is a folder")
    return path, end


def _selection(parameters: ExportParameters, default: tuple[str, ...]) -> Selection:
    tables = tuple(parameters.table) or default
    return Selection(parameters.query, tables, parameters.narratives)


def _exporter(end: str) -> Callable[[Path, Path, Selection], ExportStats]:
    """Return the function that writes a file with this end, or a folder if the end is empty.

    Each needs an extra, or modules that no other target needs.
    """
    if end in (".csv", ".csv.gz", ".jsonl"):
        from cfpb_etl.publish.text_file import export_text

        return export_text
    if end == ".duckdb":
        from cfpb_etl.publish.duckdb_file import export_duckdb

        return export_duckdb
    if end == ".parquet":
        from cfpb_etl.publish.parquet import export_parquet_file

        return export_parquet_file
    from cfpb_etl.publish.parquet import export_parquet_folder

    return export_parquet_folder
