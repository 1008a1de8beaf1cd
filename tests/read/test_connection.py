"""A connection for queries, which cannot write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import cfpb_etl
from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.errors import (
    DatabaseInUseError,
    EmptyDatabaseError,
    NotADatabaseError,
    OtherSchemaError,
)
from cfpb_etl.store.file.schema import own_schema
from cfpb_etl.store.sqlite_file import SCHEMA_VERSION, transaction
from cfpb_etl.store.sqlite_file import connect as connect_for_writing
from support.loads import execute, load, load_file, loading_elsewhere, query
from support.parts import JANUARY, complaint, complaints, part
from support.unprivileged import run_unprivileged

if TYPE_CHECKING:
    from pathlib import Path

VIEWS = [each.split()[1] for each in own_schema() if each.startswith("view ")]
WRITING = (
    "INSERT INTO load DEFAULT VALUES",
    "DELETE FROM complaint",
    "DROP VIEW narratives",
    "CREATE TABLE mine (a)",
    "PRAGMA user_version = 3",
    "PRAGMA journal_mode = DELETE",
    "VACUUM",
)


def test_queries(path: Path) -> None:
    """All tables and views can be read, and the questions can be asked."""
    load_file(path, complaint(1, state="CA", complaint_what_happened="identity theft"))

    with closing(cfpb_etl.connect(path)) as connection:
        assert connection.execute("SELECT state, narrative FROM narratives").fetchall() == [
            ("CA", "identity theft")
        ]
        for view in VIEWS:
            connection.execute(f"SELECT * FROM {view}").fetchall()  # noqa: S608 - our names
        for question in QUESTIONS:
            assert connection.execute(question.sql).fetchall(), question.title
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


@pytest.mark.parametrize("name", ["complaints.db", "50% of #1? a;b&c=d.db", "é 🎉.db", ":memory:"])
def test_any_name(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name may have characters with a meaning in URIs, and may be a text or a path."""
    monkeypatch.chdir(tmp_path)
    load(tmp_path / name, part(complaint(1)))

    for database in (name, tmp_path / name):
        with closing(cfpb_etl.connect(database)) as connection:
            assert connection.execute("SELECT COUNT(*) FROM complaint").fetchone() == (1,)


def test_the_default_is_the_default_of_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name, the database is complaints.db in the current folder."""
    monkeypatch.chdir(tmp_path)
    load(tmp_path / "complaints.db", part(complaint(1)))

    with closing(cfpb_etl.connect()) as connection:
        assert connection.execute("SELECT COUNT(*) FROM complaint").fetchone() == (1,)


@pytest.mark.parametrize("statement", WRITING)
@pytest.mark.parametrize("is_query_only", [True, False])
def test_nothing_can_be_written(
    path: Path,
    statement: str,
    is_query_only: bool,  # noqa: FBT001
) -> None:
    """Not even if someone turns off `query_only`."""
    load_file(path, complaint(1, complaint_what_happened="Why"))
    execute(path, "DROP VIEW complaints_by_state")
    before = path.read_bytes()

    with closing(cfpb_etl.connect(path)) as connection:
        if not is_query_only:
            connection.execute("PRAGMA query_only = OFF")
        with pytest.raises(sqlite3.OperationalError):
            connection.execute(statement)
    assert path.read_bytes() == before


def test_an_attached_database_is_not_written(path: Path, tmp_path: Path) -> None:
    """A query can join another database."""
    load_file(path, complaint(1))
    other = tmp_path / "other.db"
    execute(other, "CREATE TABLE mine (complaint_id)", "INSERT INTO mine VALUES (1)")

    with closing(cfpb_etl.connect(path)) as connection:
        connection.execute("ATTACH ? AS other", (str(other),))
        assert connection.execute(
            "SELECT complaint_id FROM complaint JOIN other.mine USING (complaint_id)"
        ).fetchall() == [(1,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM other.mine")


def test_missing_views(path: Path) -> None:
    """A view that someone has removed is there, and the file is left as it is."""
    load_file(path, *complaints(1, 2, state="CA", complaint_what_happened="Why"))
    for view in VIEWS:
        execute(path, f"DROP VIEW {view}")
    before = path.read_bytes()

    with closing(cfpb_etl.connect(path)) as connection:
        for view in VIEWS:
            assert connection.execute(f"SELECT * FROM {view}").fetchall(), view  # noqa: S608
    assert path.read_bytes() == before
    assert query(path, "SELECT name FROM sqlite_schema WHERE type = 'view'") == []


def test_what_a_user_has_made_counts(path: Path) -> None:
    """A table or view that a user has made in the place of a view is used."""
    load_file(path, complaint(1, state="CA"))
    execute(
        path,
        *("DROP VIEW complaints_by_state", "CREATE TABLE complaints_by_state (mine)"),
        *("DROP VIEW complaints_by_month", "CREATE VIEW complaints_by_month AS SELECT 'mine'"),
    )

    with closing(cfpb_etl.connect(path)) as connection:
        assert connection.execute("SELECT * FROM complaints_by_state").fetchall() == []
        assert connection.execute("SELECT * FROM complaints_by_month").fetchall() == [("mine",)]


def test_reading_while_a_load_writes(path: Path) -> None:
    """A query reads the state before the load's transaction, and the next one the newest."""
    load_file(path, *complaints(1, 2))
    count = "SELECT COUNT(*) FROM complaint"

    with closing(cfpb_etl.connect(path)) as connection:
        with closing(connect_for_writing(path)) as writer, transaction(writer):
            writer.execute("DELETE FROM complaint WHERE complaint_id = 1")
            assert connection.execute(count).fetchone() == (2,)
        assert connection.execute(count).fetchone() == (1,)

        connection.execute("BEGIN")
        assert connection.execute(count).fetchone() == (1,)
        load_file(path, *complaints(1, 2, 3))
        assert connection.execute(count).fetchone() == (1,)
        connection.execute("COMMIT")
        assert connection.execute(count).fetchone() == (3,)


def test_reading_while_another_process_loads(path: Path) -> None:
    """A load that has not ended is not in the way."""
    load(path, part(complaint(2)))
    with loading_elsewhere(path), closing(cfpb_etl.connect(path)) as connection:
        loads = connection.execute("SELECT outcome FROM load ORDER BY load_id").fetchall()

    assert loads == [("complete",), ("running",)]


def test_a_rollback_journal(path: Path) -> None:
    """A database that is not in WAL mode can be read too."""
    load(path, part(complaint(1)))
    execute(path, "PRAGMA journal_mode = DELETE")

    with closing(cfpb_etl.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM complaint").fetchone() == (1,)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_locked_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exclusive lock of another program is named."""
    monkeypatch.setattr("cfpb_etl.store.sqlite_file.READER_MILLISECONDS", 50)
    load(path, part(complaint(1)))
    execute(path, "PRAGMA journal_mode = DELETE")

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseInUseError):
            cfpb_etl.connect(path)


IN_A_FOLDER = """
import sys
from contextlib import closing
import cfpb_etl

with closing(cfpb_etl.connect(sys.argv[1])) as connection:
    print(*connection.execute("SELECT COUNT(*) FROM complaint").fetchone())
    print(*connection.execute("SELECT complaints FROM complaints_by_product").fetchone())
"""


def test_a_read_only_folder(tmp_path: Path) -> None:
    """Neither the file nor its folder must be writable."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    database = folder / "complaints.db"
    load(database, part(complaint(1), complaint(2)))
    execute(database, "DROP VIEW complaints_by_product")
    database.chmod(0o444)
    folder.chmod(0o555)

    assert run_unprivileged(IN_A_FOLDER, database) == "2\n2\n"
    assert [*folder.iterdir()] == [database]


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("CREATE TABLE photo (a)", NotADatabaseError),
        (f"PRAGMA user_version = {SCHEMA_VERSION + 1}", OtherSchemaError),
    ],
)
def test_other_files_are_refused(path: Path, statement: str, error: type[Exception]) -> None:
    """Another program's file, and one of another schema, are refused and stay as they are."""
    if error is OtherSchemaError:
        load(path, part(complaint(1)))
    execute(path, statement)
    before = path.read_bytes()

    with pytest.raises(error):
        cfpb_etl.connect(path)

    assert path.read_bytes() == before


def test_files_that_are_no_databases(path: Path) -> None:
    """Text and nothing are refused."""
    path.write_text("Complaint ID,State\n" * 100)
    with pytest.raises(NotADatabaseError, match="is damaged or is not SQLite"):
        cfpb_etl.connect(path)

    path.write_bytes(b"")
    with pytest.raises(EmptyDatabaseError):
        cfpb_etl.connect(path)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("database", "problem"),
    [
        ("none.db", "`database` 'none.db' does not exist; load complaints into it first"),
        (".", "`database` '.' is a folder"),
        ("", "`database` '.' is a folder"),
        ("/dev/null", "`database` '/dev/null' is not a file"),
        ("no folder/a.db", "`database` 'no folder/a.db' is in a folder that does not exist"),
        (None, "`database` None is not valid; give the path of a file"),
        (7, "`database` 7 is not valid; give the path of a file"),
        ("a\0b", "is not the path of a file"),
        ("bytes \udcff.db", "is not the path of a file"),
    ],
)
def test_a_wrong_path(
    database: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the parameter, and no file is made."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CfpbEtlError) as refused:
        cfpb_etl.connect(database)

    assert problem in str(refused.value)
    assert [*tmp_path.iterdir()] == []


IN_A_READ_ONLY_FOLDER = """
import sys
from pathlib import Path
from cfpb_etl.read.connection import open_snapshot
from cfpb_etl.store.errors import DatabaseError
from support.loads import load_file
from support.parts import complaints

path, folder = Path(sys.argv[1]), Path(sys.argv[1]).parent
folder.chmod(0o555)
try:
    with open_snapshot(path) as connection:
        folder.chmod(0o755)
        if sys.argv[2] == "load":
            load_file(path, *complaints(*range(5_000), state="NY"))
        print(connection.execute("SELECT COUNT(*) FROM complaint").fetchone())
except DatabaseError as error:
    print(type(error).__name__)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("meanwhile", "printed"), [("nothing", "(2,)\n"), ("load", "ChangedWhileReadError\n")]
)
def test_a_load_while_a_read_only_folder_is_read(path: Path, meanwhile: str, printed: str) -> None:
    """SQLite cannot lock the file there, so what was read meanwhile is not used."""
    load_file(path, *complaints(1, 2), as_of=JANUARY)

    assert run_unprivileged(IN_A_READ_ONLY_FOLDER, path, meanwhile).endswith(printed)
