"""One schema: a new file gets it, and a file of any other is refused and stays as it is."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.load_stats import STORED_STATS
from cfpb_etl.store import sqlite_file
from cfpb_etl.store.errors import (
    DatabaseError,
    EmptyDatabaseError,
    NotADatabaseError,
    OtherSchemaError,
)
from cfpb_etl.store.file.schema import create_schema
from cfpb_etl.store.sqlite_file import SCHEMA_VERSION, connect, ensure_schema, open_for_reading
from support.loads import create_database, execute, query

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {"complaint", "load", "load_part", "load_seen", "complaint_change"}


def definitions(database: Path) -> dict[str, str]:
    """Return the SQL of each table, index, view and trigger."""
    return dict(query(database, "SELECT name, sql FROM sqlite_schema"))


def read(database: Path) -> None:
    """Open the file as a reader does."""
    with open_for_reading(database):
        pass


# --- a new file -----------------------------------------------------------------------------


def test_a_missing_file_is_created(path: Path) -> None:
    """A new file has the columns of `Complaint` as text, its own number, and is in WAL mode."""
    create_database(path)

    columns = query(path, "SELECT name, type, pk FROM pragma_table_info('complaint')")
    assert columns == [
        ("complaint_id", "INTEGER", 1),
        *((name, "TEXT", 0) for name in Complaint._fields[1:]),
        ("load_id", "INTEGER", 0),
        ("first_load_id", "INTEGER", 0),
        ("changed_load_id", "INTEGER", 0),
        ("withdrawn_on", "TEXT", 0),
    ]
    assert query(path, "PRAGMA application_id") == [(0x43465042,)]
    assert query(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """A file of no bytes is used as a new one, as SQLite itself does."""
    path.touch()

    create_database(path)

    assert set(definitions(path)) >= TABLES


def test_an_empty_file_cannot_be_read(path: Path) -> None:
    """The error says what to do, and the file stays empty."""
    path.touch()

    with pytest.raises(EmptyDatabaseError, match=r"is empty\. Load complaints into it first"):
        read(path)

    assert path.stat().st_size == 0


def test_counts_of_a_load_are_columns(path: Path) -> None:
    """Each count that is stored has a column of its name."""
    create_database(path)

    names = {name for (name,) in query(path, "SELECT name FROM pragma_table_info('load')")}
    assert names >= {*STORED_STATS, "unchanged"}


def test_the_schema_is_commented(path: Path) -> None:
    """Each column of each table has a comment, which `.schema` shows."""
    create_database(path)

    kinds = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'"
    tables = {name: sql for name, sql in query(path, kinds) if "fts" not in name and sql}
    tables = {name: sql for name, sql in tables.items() if not name.startswith("narrative_")}
    assert set(tables) > TABLES
    for name, sql in tables.items():
        columns = query(path, f"SELECT name FROM pragma_table_info('{name}')")  # noqa: S608
        for (column,) in columns:
            assert re.search(rf"^ +{column} [^\n]*-- \w", sql, re.MULTILINE), (name, column)


def test_the_package_contains_the_schema() -> None:
    """The SQL files are data files of the package."""
    folder = resources.files("cfpb_etl.store")

    assert {each.name for each in folder.iterdir()} >= {"schema.sql", "views.sql"}


def test_opening_again_writes_nothing(path: Path) -> None:
    """A file with the schema stays as it is."""
    create_database(path)
    before = path.read_bytes()

    with (
        closing(sqlite3.connect(path)) as watching,
        closing(connect(path, make=True)) as connection,
    ):
        seen = watching.execute("PRAGMA data_version").fetchone()
        ensure_schema(connection, path)
        assert watching.execute("PRAGMA data_version").fetchone() == seen
    assert path.read_bytes() == before


def test_a_failed_creation_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is created as a whole or not at all; the next run creates it."""
    create = create_schema

    def create_and_fail(connection: sqlite3.Connection) -> None:
        create(connection)
        connection.execute("CREATE TABLE complaint (a)")  # it exists already

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "create_schema", create_and_fail)
        for _ in range(2):
            with pytest.raises(DatabaseError, match="already exists"):
                create_database(path)
            assert definitions(path) == {}

    create_database(path)
    assert set(definitions(path)) >= TABLES


# --- a file that is refused -----------------------------------------------------------------


@pytest.mark.parametrize("use", [create_database, read])
@pytest.mark.parametrize("version", [7, 9])
def test_a_file_of_another_schema_is_refused(path: Path, use: Any, version: int) -> None:
    """An older or newer file is neither used nor changed; the error says what to do."""
    create_database(path)
    execute(path, f"PRAGMA user_version = {version}")
    before = path.read_bytes()

    said = rf"has schema {version}, and this cfpb-etl .* only supports schema 8\. Load again into"
    with pytest.raises(OtherSchemaError, match=said) as caught:
        use(path)

    assert caught.value.path == path
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("use", [create_database, read])
@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE photo (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 1196444487"],
)
def test_another_programs_file_is_refused(path: Path, use: Any, statement: str) -> None:
    """A SQLite file that shows in any way that another program created it keeps every byte."""
    execute(path, statement)
    before = path.read_bytes()

    with pytest.raises(NotADatabaseError, match="another program's SQLite file"):
        use(path)

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("use", [create_database, read])
@pytest.mark.parametrize("content", [b"hello", b"Complaint ID,Product\n" * 1000], ids=len)
def test_a_text_file_is_refused(path: Path, use: Any, content: bytes) -> None:
    """A file that is not SQLite keeps every byte."""
    path.write_bytes(content)

    with pytest.raises(NotADatabaseError, match="is damaged or is not SQLite"):
        use(path)

    assert path.read_bytes() == content
