"""What other programs add to the file stays, and what they have changed is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store.errors import (
    ChangedDatabaseError,
    DatabaseError,
    NotADatabaseError,
    RowRefusedError,
    SqliteError,
    VanishedError,
)
from cfpb_etl.store.file.schema import own_schema
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from cfpb_etl.store.sqlite_file import connect, named_errors, open_for_reading
from support.loads import FakeSource, execute, load, load_file, outcomes, query, stored
from support.parts import NextPart, complaint, complaints, part

if TYPE_CHECKING:
    from pathlib import Path

VIEWS = [name for name in own_schema() if name.startswith("view ")]
LOSSES = {
    "DROP INDEX complaint_date_received": "the index complaint_date_received is missing",
    "DROP TRIGGER complaint_update": "the trigger complaint_update is missing",
    "DROP TABLE line_block": "the table line_block is missing",
    "DROP TABLE narrative_search": "the table narrative_search is missing",
    "ALTER TABLE complaint RENAME TO complaints": "the table complaint is missing",
    "ALTER TABLE complaint RENAME COLUMN tags TO labels": "the column complaint.tags is missing",
    "ALTER TABLE load DROP COLUMN failure": "the column load.failure is missing",
}


def read(path: Path) -> None:
    """Read from each view, as a program for reading does."""
    with open_for_reading(path) as connection:
        for view in VIEWS:
            connection.execute(f"SELECT * FROM {view.split()[1]}").fetchall()  # noqa: S608


# --- additions that do not matter -----------------------------------------------------------


def test_additions_stay(path: Path) -> None:
    """A user's columns, indexes, triggers, tables and views outlive loads, also a first one."""
    load(path)
    execute(
        path,
        "ALTER TABLE complaint ADD COLUMN note TEXT NOT NULL DEFAULT 'new'",
        "CREATE UNIQUE INDEX own ON complaint (complaint_id, state)",
        "CREATE INDEX partial ON complaint (state) WHERE state = 'CA'",
        "CREATE INDEX expression ON complaint (UPPER(company))",
        "CREATE TABLE seen (complaint_id INTEGER REFERENCES complaint)",
        "CREATE TRIGGER count_new AFTER INSERT ON complaint BEGIN"
        " INSERT INTO seen VALUES (NEW.complaint_id); END",
        "CREATE VIEW mine AS SELECT * FROM complaint WHERE note <> ''",
    )
    before = query(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")

    load_file(path, *complaints(1, 2, company="Bank"))
    load_file(path, *complaints(1, company="Other bank"), *complaints(2, 3, company="Bank"))

    assert query(path, "SELECT complaint_id, company, note FROM mine") == [
        (1, "Other bank", "new"),
        (2, "Bank", "new"),
        (3, "Bank", "new"),
    ]
    assert query(path, "SELECT * FROM seen") == [(1,), (2,), (3,)]
    assert query(path, "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2") == before
    read(path)


def test_quotes_do_not_matter(path: Path) -> None:
    """A table that was renamed and named back is as before, except for SQLite's quotes."""
    load(path, part(complaint(1)))
    execute(
        path,
        "ALTER TABLE complaint RENAME TO complaints",
        "ALTER TABLE complaints RENAME TO complaint",
    )

    assert load(path, part(complaint(1, state="CA"))) == [(0, 1, 0)]
    read(path)


@pytest.mark.parametrize("view", VIEWS)
def test_a_missing_view_is_created_again(path: Path, view: str) -> None:
    """Until the next load, an error names the view and says that."""
    load(path, part(complaint(1)))
    before = query(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")
    execute(path, f"DROP {view}")

    said = f"was changed by another program: the {view} is missing. The next load creates missing"
    with pytest.raises(ChangedDatabaseError, match=said):
        read(path)
    load(path)
    read(path)
    assert query(path, "SELECT name, sql FROM sqlite_schema ORDER BY name") == before


# --- changes that a load does not survive ---------------------------------------------------


@pytest.mark.parametrize(("statement", "said"), LOSSES.items(), ids=LOSSES)
def test_what_a_load_needs_is_checked_first(path: Path, statement: str, said: str) -> None:
    """The load does not start, and the file stays as it is."""
    load(path, part(complaint(1)))
    execute(path, statement)
    before = path.read_bytes()

    with pytest.raises(ChangedDatabaseError, match=f"was changed by another program: .*{said}"):
        load(path, part(complaint(2)))

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_cure_for_a_missing_index(path: Path) -> None:
    """The error quotes the statement that creates it again."""
    load(path, part(complaint(1)))
    execute(path, "DROP INDEX complaint_company")

    with pytest.raises(ChangedDatabaseError) as caught:
        load(path)
    execute(path, str(caught.value).partition("run in sqlite3: ")[2])

    assert load(path, part(complaint(2))) == [(1, 0, 0)]


def test_a_trigger_with_another_meaning_is_named(path: Path) -> None:
    """A changed trigger could let a load take changed rows for unchanged ones."""
    load(path, part(complaint(1)))
    execute(
        path,
        "DROP TRIGGER complaint_delete",
        "CREATE TRIGGER complaint_delete AFTER DELETE ON complaint BEGIN SELECT 1; END",
    )

    with pytest.raises(ChangedDatabaseError, match=r"trigger complaint_delete has changed\. Load"):
        load(path)


def test_many_changes_are_counted(path: Path) -> None:
    """The error names the first three."""
    load(path, part(complaint(1)))
    execute(path, *(f"DROP TABLE {name}" for name in ("load_seen", "load_part", "line_outdated")))
    execute(path, "DROP TABLE line_block")

    with pytest.raises(
        ChangedDatabaseError, match=r"the table load_part is missing, .* and 1 more"
    ):
        load(path)


def test_a_table_changed_during_a_load(path: Path) -> None:
    """The part is not stored, and the error names the table."""
    load(path, part(complaint(1)))
    execute(path, "CREATE TRIGGER mine AFTER INSERT ON complaint BEGIN SELECT secret(1); END")

    with pytest.raises(ChangedDatabaseError, match=r"no such function: secret; .*the trigger mine"):
        load(path, part(complaint(2)))
    assert stored(path) == {1: {}}

    execute(path, "DROP TRIGGER mine")
    with open_load(path, FakeSource()) as running:
        execute(path, "DROP TABLE load_seen")
        with pytest.raises(ChangedDatabaseError, match="the table load_seen is missing"):
            store_part(part(complaint(2)), running.id, path)
    assert stored(path) == {1: {}}


# --- rows that are refused ------------------------------------------------------------------


REFUSALS = {
    "CREATE UNIQUE INDEX one_each ON complaint (company)": (
        "UNIQUE constraint failed: complaint.company",
        "index one_each",
    ),
    "CREATE UNIQUE INDEX one_each ON complaint (company) WHERE state IS NULL": (
        "UNIQUE constraint failed: complaint.company",
        "index one_each",
    ),
    "CREATE UNIQUE INDEX one_each ON complaint (UPPER(company))": (
        "UNIQUE constraint failed: index 'one_each'",
        "index one_each",
    ),
    "CREATE TRIGGER no_more BEFORE INSERT ON complaint WHEN NEW.complaint_id = 2"
    " BEGIN SELECT RAISE(ABORT, 'not this one'); END": ("not this one", "trigger no_more"),
    "CREATE TRIGGER no_more BEFORE INSERT ON complaint WHEN NEW.complaint_id = 2"
    " BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END": ("not this one", "trigger no_more"),
    "ALTER TABLE complaint ADD COLUMN note CHECK (company IS NULL OR complaint_id <> 2)": (
        "CHECK constraint failed",
        "column complaint.note",
    ),
}


@pytest.mark.parametrize("stored_before", [0, 1])
@pytest.mark.parametrize(("statement", "said"), REFUSALS.items(), ids=REFUSALS)
def test_a_row_refused_by_an_addition(
    path: Path, statement: str, said: tuple[str, str], stored_before: int
) -> None:
    """Neither the page nor the file that has the row is stored. The error names the addition."""
    first = complaints(*range(10, 10 + stored_before))
    load_file(path, *first)
    execute(path, statement)
    two = complaints(1, 2, company="Bank")

    for attempt in (lambda: load(path, part(*two)), lambda: load_file(path, *first, *two)):
        with pytest.raises(RowRefusedError) as caught:
            attempt()
        message, addition = said
        assert f"{path} refused a row: {message}" in str(caught.value)
        assert f"cfpb-etl did not create the {addition}. Remove" in str(caught.value)
    assert [*stored(path)] == [each.complaint_id for each in first]
    assert query(path, "SELECT COUNT(*) FROM load_seen") == [(0,)]
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_row_refused_for_a_column_without_a_value(path: Path) -> None:
    """A program that rebuilds the table can add a column that must have a value."""
    load(path)
    ((sql,),) = query(path, "SELECT sql FROM sqlite_schema WHERE name = 'complaint'")
    others = query(
        path,
        "SELECT sql FROM sqlite_schema WHERE tbl_name = 'complaint'"
        " AND type IN ('index', 'trigger') AND sql <> ''",
    )
    execute(
        path,
        "DROP TABLE complaint",
        sql.replace("withdrawn_on TEXT", "withdrawn_on TEXT, note NOT NULL"),
        *(each for (each,) in others),
    )

    with pytest.raises(RowRefusedError, match=r"NOT NULL constraint failed: complaint\.note"):
        load(path, part(complaint(1)))


def test_a_mistake_of_the_program_is_not_blamed_on_the_user(path: Path) -> None:
    """If nothing was added or changed, the error of SQLite is raised as it is."""
    load(path)

    with (
        pytest.raises(sqlite3.IntegrityError),
        named_errors(path),
        closing(connect(path)) as connection,
    ):
        connection.execute("INSERT INTO complaint (complaint_id) VALUES (1)")


def test_sqlite_without_a_function_that_is_needed(path: Path) -> None:
    """The error quotes SQLite and says which SQLite is needed."""
    load(path)

    with (
        pytest.raises(
            SqliteError, match=r"no such module: fts9.*needs SQLite 3\.35 or later, with"
        ),
        named_errors(path),
        closing(connect(path)) as connection,
    ):
        connection.execute("CREATE VIRTUAL TABLE search USING fts9(a)")


# --- a file that is gone --------------------------------------------------------------------


def remove(path: Path) -> None:
    """Delete the database."""
    path.unlink()


def move(path: Path) -> None:
    """Move the database to another name."""
    path.rename(path.with_name("moved.db"))


def replace(path: Path) -> None:
    """Replace the database by an empty file."""
    path.unlink()
    path.touch()


def remove_folder(path: Path) -> None:
    """Delete the folder of the database."""
    for each in path.parent.iterdir():
        each.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("change", [remove, move, replace, remove_folder])
@pytest.mark.parametrize("when", ["before a part", "within a part", "at the end"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_database_that_vanishes_during_a_load(
    tmp_path: Path, change: object, when: str, journal: str
) -> None:
    """The load fails, because its rows are in no file of this name."""
    path = tmp_path / "folder" / "complaints.db"
    path.parent.mkdir()
    load(path)
    execute(path, f"PRAGMA journal_mode = {journal}")

    def run() -> None:
        assert callable(change)
        with open_load(path, FakeSource()) as running:
            if when == "before a part":
                change(path)
            within = [NextPart(lambda: change(path))] if when == "within a part" else []
            store_part(part(complaint(1), next_parts=within), running.id, path)
            if when == "at the end":
                change(path)

    said = "was deleted, moved or replaced while it was in use|its folder does not exist"
    with pytest.raises(DatabaseError, match=said):
        run()


def test_a_link_to_the_database_is_not_a_move(path: Path, tmp_path: Path) -> None:
    """A load by a link writes the file itself; a link to a missing file creates the file."""
    link = tmp_path / "link.db"
    link.symlink_to(path)

    assert load(link, part(complaint(1))) == [(1, 0, 0)]
    assert load(link, part(complaint(2))) == [(1, 0, 0)]
    assert link.is_symlink()
    assert stored(path) == {1: {}, 2: {}}
    assert outcomes(path) == [("complete", None)] * 2
    assert {each.name for each in tmp_path.iterdir()} == {link.name, path.name}


def test_another_program_put_its_file_there(path: Path) -> None:
    """It is not ours, and is not changed."""
    load(path)
    with open_load(path, FakeSource()) as running:
        ours = path.read_bytes()
        other = path.with_name("other.db")
        execute(other, "PRAGMA application_id = 7", "CREATE TABLE photo (a)")
        theirs = other.read_bytes()
        path.rename(path.with_name("ours.db"))
        other.rename(path)
        with pytest.raises((NotADatabaseError, VanishedError)):
            store_part(part(complaint(1)), running.id, path)
        assert path.read_bytes() == theirs
        path.with_name("ours.db").rename(path)
        assert path.read_bytes() == ours
