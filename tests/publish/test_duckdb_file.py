"""DuckDB files: types, comments and views, and which existing files are replaced."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import export_complaints
from cfpb_etl.read.descriptions import read_descriptions
from cfpb_etl.read.errors import RowsNotReadError
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.sqlite_file import connect
from support.exports import in_order, make_odd_database, rows_in_target
from support.loads import load_file, query
from support.parts import JUNE, complaint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VIEWS = (
    *("complaints_by_month", "complaints_by_day_and_product", "complaints_by_month_and_product"),
    *("complaints_by_product", "complaints_by_company", "complaints_by_state"),
    *("timeliness_by_company", "narratives"),
)
UNSORTED = ("complaints_by_day_and_product", "narratives")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database, and its export."""
    folder = tmp_path_factory.mktemp("duckdb")
    make_odd_database(folder / "complaints.db", 2_000)
    export_complaints(str(folder / "x.duckdb"), database=folder / "complaints.db")
    return folder


def ask(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, with days as text."""
    with duckdb.connect(str(file), read_only=True) as connection:
        rows = connection.execute(sql).fetchall()
    return [
        tuple(each.isoformat() if isinstance(each, date) else each for each in row) for row in rows
    ]


def change(file: Path, *statements: str) -> None:
    """Change a file in the way of another program."""
    with duckdb.connect(str(file)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_each_view_is_tested(exported: Path) -> None:
    """The views are those of the SQLite file."""
    with closing(sqlite3.connect(exported / "complaints.db")) as connection:
        views = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")
        assert {name for (name,) in views} == {*VIEWS}
    found = ask(exported / "x.duckdb", "SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert {name for (name,) in found} == {*VIEWS}


@pytest.mark.parametrize("view", VIEWS)
def test_the_views(exported: Path, view: str) -> None:
    """Each view has the rows of SQLite in the same order, also where values are NULL."""
    with closing(sqlite3.connect(exported / "complaints.db")) as connection:
        expected = connection.execute(f"SELECT * FROM {view}").fetchall()  # noqa: S608
    found = ask(exported / "x.duckdb", f"FROM {view}")

    assert len(expected) > 5
    if view in UNSORTED:
        found, expected = in_order(found), in_order(expected)
    assert found == expected


@pytest.mark.parametrize("name", ["top-products", "top-companies", "newest-days", "loads"])
def test_the_questions(exported: Path, name: str) -> None:
    """The questions of the documents have the same SQL and the same answers."""
    (sql,) = (each.sql for each in QUESTIONS if each.name == name)
    with closing(sqlite3.connect(exported / "complaints.db")) as connection:
        assert ask(exported / "x.duckdb", sql) == connection.execute(sql).fetchall()


def test_shares_are_rounded_in_the_same_way(path: Path, target: Path) -> None:
    """`late_percent` is the same number for shares that are just between two numbers."""
    shares = ((3, 2_000), (227, 2_000), (1_999, 2_000), (1, 16), (15, 16), (1, 40), (0, 1), (1, 3))
    rows = [
        (f"{late}/{total}", "No" if place < late else "Yes")
        for late, total in shares
        for place in range(total)
    ]
    complaints = (
        complaint(number, company=company, timely=timely)
        for number, (company, timely) in enumerate(rows)
    )
    load_file(path, *complaints, as_of=JUNE)

    export_complaints(str(target), database=path, table=["complaint"])

    assert ask(target, "FROM timeliness_by_company") == query(
        path, "SELECT * FROM timeliness_by_company"
    )


def test_the_types(exported: Path) -> None:
    """Ids are BIGINT, days DATE and texts VARCHAR; counts of views are BIGINT."""
    found = ask(
        exported / "x.duckdb",
        "SELECT table_name || '.' || column_name, data_type FROM duckdb_columns()"
        " WHERE NOT internal",
    )
    types = dict(found)
    assert types["complaint.complaint_id"] == types["load.load_id"] == "BIGINT"
    assert types["complaint.date_received"] == types["load.as_of_latest"] == "DATE"
    assert types["complaint.product"] == types["complaint_change.old"] == "VARCHAR"
    assert types["complaints_by_month.complaints"] == "BIGINT"
    assert {*types.values()} == {"BIGINT", "DATE", "VARCHAR", "DOUBLE"}


def test_the_comments(exported: Path) -> None:
    """Each table, view and column has the comment of the SQLite file."""
    with closing(connect(exported / "complaints.db")) as connection:
        described = read_descriptions(connection)
    comments = dict(
        ask(
            exported / "x.duckdb",
            "SELECT table_name, comment FROM duckdb_tables() UNION ALL"
            " SELECT view_name, comment FROM duckdb_views() WHERE NOT internal",
        )
    )
    assert comments.pop("cfpb_etl_export") == "where the rows come from"
    assert comments == {name: described[name].text for name in comments}
    columns = ask(
        exported / "x.duckdb",
        "SELECT table_name, column_name, comment FROM duckdb_columns()"
        " WHERE NOT internal AND table_name <> 'cfpb_etl_export'",
    )
    assert len(columns) >= 100
    for table, column, comment in columns:
        assert described[table].columns[column].removesuffix(", YYYY-MM-DD") == (
            comment.removesuffix(", YYYY-MM-DD")
        )


def test_the_origin(exported: Path) -> None:
    """A table says where the rows come from."""
    origin = dict(ask(exported / "x.duckdb", "FROM cfpb_etl_export"))
    assert (origin["license"], origin["as_of"], origin["newest_load"]) == ("CC0", JUNE, "3")


def test_what_is_left_out(exported: Path, tmp_path: Path) -> None:
    """Without narratives or complaints, the views that need them are left out."""
    target = tmp_path / "x.duckdb"
    database = exported / "complaints.db"
    stats = export_complaints(str(target), database=database, narratives=False)
    assert stats.notes == ("The view narratives is left out, because it needs the narratives.",)
    found = ask(target, "SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert {name for (name,) in found} == {*VIEWS} - {"narratives"}

    stats = export_complaints(str(target), database=database, table="load")
    assert stats.notes == ()
    assert ask(target, "SELECT view_name FROM duckdb_views() WHERE NOT internal") == []


# --- existing files -------------------------------------------------------------------------


@pytest.fixture
def target(path: Path, exported: Path, tmp_path: Path) -> Path:
    """Return a copy of the export, beside another database."""
    load_file(path, complaint(1))
    (tmp_path / "x.duckdb").write_bytes((exported / "x.duckdb").read_bytes())
    return tmp_path / "x.duckdb"


def write_new(file: Path, *statements: str) -> None:
    """Write a file as another program."""
    file.unlink()
    change(file, *statements)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: file.write_bytes(b"mine"), "is not a DuckDB file"),
        (lambda file: file.write_bytes(file.read_bytes()[:5_000]), "cannot be read as an export"),
        (write_new, "is not an export of cfpb-etl"),
        (lambda file: write_new(file, "CREATE TABLE complaint (a INT)"), "is not an export of"),
        (lambda file: change(file, "CREATE TABLE mine (a INT)"), "contains 'mine', which is not"),
        (lambda file: change(file, "CREATE VIEW mine AS FROM load"), "contains 'mine', which is"),
        (lambda file: change(file, "DELETE FROM load"), "contains 'load', which has changed"),
        (lambda file: (file.parent / "x.duckdb.wal").touch(), r"has changes in x\.duckdb\.wal"),
    ],
)
def test_a_file_of_somebody(
    path: Path, target: Path, change: Callable[[Path], object], reason: str
) -> None:
    """A file that is not as an export has written it is refused and stays."""
    change(target)
    mine = target.read_bytes()

    with pytest.raises(ForeignTargetError, match=reason):
        export_complaints(str(target), database=path)

    assert target.read_bytes() == mine


def test_an_earlier_export_is_replaced(path: Path, target: Path) -> None:
    """An export of some tables, and an empty file, are replaced."""
    export_complaints(str(target), database=path, table="complaint_change")
    export_complaints(str(target), database=path)
    assert len(rows_in_target(target)) == 1

    target.write_bytes(b"")
    export_complaints(str(target), database=path)
    assert len(rows_in_target(target)) == 1


def test_a_file_that_is_open(path: Path, target: Path) -> None:
    """A program that only reads keeps the old file; one that writes is not disturbed."""
    with duckdb.connect(str(target), read_only=True) as connection:
        rows = connection.execute("SELECT COUNT(*) FROM complaint").fetchall()
        subprocess.run(
            [sys.executable, "-m", "cfpb_etl.flow", "export", target, "--database", path],
            check=True,
        )
        assert connection.execute("SELECT COUNT(*) FROM complaint").fetchall() == rows
    assert len(rows_in_target(target)) == 1

    with duckdb.connect(str(target)):
        done = subprocess.run(
            [sys.executable, "-m", "cfpb_etl.flow", "export", target, "--database", path],
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert "failed: " in done.stderr
    assert "could not set lock" in done.stderr.lower()


@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_value_that_cannot_be_read(tmp_path: Path, rows: int) -> None:
    """The error is that of the database, not of the file, also after many rows."""
    path = tmp_path / "complaints.db"
    load_file(path, *map(complaint, range(rows)))
    with closing(connect(path)) as connection, connection:
        connection.execute(f"UPDATE complaint SET state = x'ff' WHERE complaint_id = {rows - 1}")  # noqa: S608 - a number

    with pytest.raises(RowsNotReadError, match="state"):
        export_complaints(str(tmp_path / "x.duckdb"), database=path)

    assert not (tmp_path / "x.duckdb").exists()
