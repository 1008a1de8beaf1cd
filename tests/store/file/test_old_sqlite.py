"""SQLite 3.26 reads and writes the file: programs such as extensions of VS Code contain it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.file.schema import create_schema
from support.loads import load_file, loading_elsewhere, query, stored
from support.parts import complaint

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = os.environ.get("CFPB_ETL_OLD_SQLITE")  # .ci/old_sqlite builds it
needs_program = pytest.mark.skipif(not PROGRAM, reason="CFPB_ETL_OLD_SQLITE names no program")

# The words of SQL that the stored statements use, all of them older than SQLite 3.26. To add a word
# here, look up since when SQLite has it (https://www.sqlite.org/changes.html).
WORDS = {
    *("AFTER", "AND", "AS", "BEGIN", "BETWEEN", "BLOB", "BY", "CASE", "CHECK", "CREATE"),
    *("DEFAULT", "DELETE", "DESC", "DISTINCT", "ELSE", "END", "EXISTS", "FROM", "GROUP"),
    *("HAVING", "IN", "INDEX", "INSERT", "INTEGER", "INTO", "IS", "JOIN", "KEY", "LEFT", "LIMIT"),
    *("NEW", "NOT", "NULL", "OF", "OLD", "ON", "OR", "ORDER", "PRIMARY", "REFERENCES", "ROWID"),
    *("SELECT", "SET", "TABLE", "TEXT", "THEN", "TRIGGER", "UNION", "ALL", "UNIQUE", "UPDATE"),
    *("USING", "VALUES", "VIEW", "VIRTUAL", "WHEN", "WHERE", "WITH", "WITHOUT"),
    *("COALESCE", "COUNT", "MAX", "MIN", "NULLIF", "ROUND", "SUBSTR", "SUM"),
    # SQLite itself writes the statements of the tables of the search.
    *("block", "c", "id", "idx", "k", "pgno", "segid", "sz", "term", "v", "origin"),
}
OPERATORS = {"(", ")", ",", ".", ";", "=", "<>", "<", ">", "<=", ">=", "*", "/", "+", "-", "||"}
SEARCH_OPTIONS = {"content", "content_rowid"}  # of FTS5, since its first version
# Newer statements from old words, with the version of SQLite that first has them.
NEWER = {
    r"\bDISTINCT\s+FROM\b": "3.39",
    r"\bUPDATE\s+\w+\s+SET\b[^;]*\sFROM\b(?![^(]*\))": "3.33",
    r"\b(?:SUM|COUNT|MIN|MAX)\([^()]*\sORDER BY\b": "3.44",
    r"\bsqlite_schema\b": "3.33",
    r"^CREATE TABLE[^;]*\sAS \(": "3.31",
    r"\d_\d": "3.46",
}


def old_sqlite(path: Path, sql: str) -> list[str]:
    """Run SQL in SQLite 3.26, and return the rows as text."""
    assert PROGRAM
    end_of_row = "\x1e"
    child = subprocess.run(
        [PROGRAM, "-batch", "-bail", "-newline", end_of_row, path, sql],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (child.returncode, child.stderr) == (0, "")
    return child.stdout.split(end_of_row)[:-1]


def fill(path: Path) -> None:
    """Load complaints with narratives, renamed products, changes and a withdrawal."""
    every = [
        complaint(
            number,
            date_received=f"2026-0{number % 5 + 1}-03",
            product=("Credit reporting", "Mortgage", "Credit card or prepaid card")[number % 3],
            sub_product=("Gift card", None)[number % 2],
            company=f"Bank {number % 4}",
            state=("CA", "TX", None)[number % 3],
            timely=("Yes", "No", None)[number % 3],
            complaint_what_happened=(f"My identity was\nstolen {number}", None)[number % 2],
        )
        for number in range(1, 40)
    ]
    load_file(path, *every)
    changed = [each._replace(company="Bank 9") for each in every[:20]]
    load_file(path, *changed, *every[20:-1], as_of="2026-07-01", max_withdrawn=1.0)


# --- the statements -------------------------------------------------------------------------


def newer_parts(name: str, sql: str, names: set[str]) -> set[str]:
    """Return the parts of a stored statement that may be newer than SQLite 3.26.

    Args:
        name: The name of what the statement creates.
        sql: The statement.
        names: The names of tables, columns and so on.
    """
    code = re.sub(r"--[^\n]*", "", sql)
    code = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", "''", code)
    words = {*re.findall(r"[A-Za-z_]\w*", code)} - WORDS - names - {name}
    operators = {*re.findall(r"[^\w\s'(),;.]+|[(),;.]", code)} - OPERATORS
    functions = {*re.findall(r"\b([a-z]\w*)\(", code)} - {"fts5", *names, name}
    forms = {version for form, version in NEWER.items() if re.search(form, code, re.MULTILINE)}
    return words | operators | functions | forms


def statements() -> dict[str, str]:
    """Return each stored statement by the name of what it creates."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql <> ''")
        return dict(rows.fetchall())


def names_in(every: dict[str, str]) -> set[str]:
    """Return the names of tables, columns and so on."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        columns = (
            "SELECT column.name FROM sqlite_schema AS main, pragma_table_xinfo(main.name) AS column"
        )
        names = {name for (name,) in connection.execute(columns)}
    return {*every, *names, *SEARCH_OPTIONS, "fts5", "filed", "renamed", "rowid"}


def test_stored_statements_have_only_old_words() -> None:
    """Each word, operator and option in a stored statement is older than SQLite 3.26."""
    every = statements()
    names = names_in(every)

    assert {
        name: found for name, sql in every.items() if (found := newer_parts(name, sql, names))
    } == {}


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW more AS SELECT COUNT(*) FILTER (WHERE timely = 'No') FROM complaint",
        "CREATE VIEW more AS SELECT IIF(timely = 'No', 1, 0) FROM complaint",
        "CREATE VIEW more AS SELECT SUM(1 ORDER BY company) FROM complaint",
        "CREATE VIEW more AS SELECT timely IS DISTINCT FROM 'No' FROM complaint",
        "CREATE VIEW more AS SELECT company ->> 'a' FROM complaint",
        "CREATE VIEW more AS SELECT unixepoch(date_received) FROM complaint",
        "CREATE VIEW more AS SELECT CONCAT(state, company) FROM complaint",
        "CREATE VIEW more AS SELECT 1_000 FROM complaint",
        "CREATE VIEW more AS SELECT name FROM sqlite_schema",
        "CREATE VIEW more AS SELECT state FROM complaint ORDER BY state NULLS LAST",
        "CREATE VIEW more AS SELECT * FROM complaint FULL JOIN load USING (load_id)",
        "CREATE VIEW more AS WITH filed AS MATERIALIZED (SELECT 1) SELECT * FROM filed",
        "CREATE TABLE more (state TEXT, company AS (state))",
        "CREATE TABLE more (state TEXT) STRICT",
        "CREATE VIRTUAL TABLE more USING fts5(narrative, contentless_delete=1)",
        "CREATE TRIGGER more AFTER INSERT ON complaint BEGIN"
        " UPDATE load SET new = rows FROM complaint WHERE complaint.load_id = 1; END",
        "CREATE TRIGGER more AFTER INSERT ON complaint BEGIN"
        " DELETE FROM load RETURNING load_id; END",
    ],
)
def test_newer_words_would_be_found(sql: str) -> None:
    """The test above fails for statements that SQLite 3.26 does not understand."""
    assert newer_parts("more", sql, names_in(statements()))


def test_the_format_of_the_file_is_old(path: Path) -> None:
    """SQLite has read this format since version 3.7 (https://www.sqlite.org/fileformat.html)."""
    fill(path)

    header = path.read_bytes()[:100]
    assert header[:16] == b"SQLite format 3\0"
    assert header[18:20] == b"\2\2"  # WAL mode, since 3.7.0
    assert header[21:24] == bytes([64, 32, 32])  # shares of a page
    assert header[44:48] == bytes([0, 0, 0, 4])  # format of the schema, since 3.3.0
    assert header[56:60] == bytes([0, 0, 0, 1])  # UTF-8


# --- the program ----------------------------------------------------------------------------


@needs_program
def test_old_sqlite_reads_everything(path: Path) -> None:
    """Each table, view and question has the same rows as in today's SQLite."""
    assert re.match(r"3\.26\.0 ", old_sqlite(path, "SELECT sqlite_version() || ' '")[0])
    fill(path)

    assert old_sqlite(path, "PRAGMA integrity_check") == ["ok"]
    names = query(path, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
    assert len(names) > 15
    for (name,) in names:
        columns = query(path, f"SELECT name FROM pragma_table_xinfo('{name}') WHERE hidden = 0")  # noqa: S608
        quoted = " || ' ' || ".join(f'QUOTE("{column}")' for (column,) in columns)
        sql = f'SELECT {quoted} FROM "{name}"'  # noqa: S608
        rows = [text for (text,) in query(path, sql)]
        assert old_sqlite(path, sql) == rows, name
        assert rows or name in {"line_block", "line_outdated", "load_presence", "load_seen"}, name
    for question in QUESTIONS:
        rows = ["|".join(map(str, row)) for row in query(path, question.sql)]
        assert old_sqlite(path, question.sql) == rows
    search = "SELECT COUNT(*) FROM narrative_search WHERE narrative_search MATCH 'identity'"
    assert old_sqlite(path, search) == ["19"]


@needs_program
def test_old_sqlite_changes_rows(path: Path) -> None:
    """The triggers work in it, and so do later loads."""
    fill(path)

    old_sqlite(
        path,
        "UPDATE complaint SET complaint_what_happened = 'by hand' WHERE complaint_id = 2;"
        " DELETE FROM complaint WHERE complaint_id = 4;"
        " INSERT INTO complaint (complaint_id, complaint_what_happened, load_id, first_load_id,"
        " changed_load_id) VALUES (99, 'also by hand', 1, 1, 1); VACUUM; REINDEX;"
        " INSERT INTO narrative_search (narrative_search) VALUES ('integrity-check')",
    )

    assert {(2,), (4,)} <= {*query(path, "SELECT complaint_id FROM line_outdated")}
    by_hand = "SELECT rowid FROM narrative_search('hand') ORDER BY 1"
    assert query(path, by_hand) == [(2,), (99,)]
    load_file(path, complaint(99, state="CA"), as_of="2026-08-01", max_withdrawn=1.0)
    assert stored(path)[99] == {"state": "CA"}
    assert query(path, by_hand) == [(2,)]


@needs_program
def test_old_sqlite_reads_during_a_load(path: Path) -> None:
    """Today's SQLite and the old one share the log and its index."""
    with loading_elsewhere(path) as child:
        assert old_sqlite(path, "SELECT complaint_id FROM complaint") == ["1"]
        child.communicate(timeout=60)
    assert old_sqlite(path, "SELECT outcome FROM load") == ["complete"]


@needs_program
def test_old_sqlite_creates_the_schema(path: Path, tmp_path: Path) -> None:
    """What `.schema` shows is a script for it."""
    fill(path)
    script = ";\n".join(
        sql
        for (sql,) in query(
            path,
            "SELECT sql FROM sqlite_schema WHERE sql <> '' AND name NOT LIKE 'narrative~_search~_%'"
            " ESCAPE '~' ORDER BY type = 'trigger', rowid",
        )
    )

    assert old_sqlite(tmp_path / "new.db", script) == []
