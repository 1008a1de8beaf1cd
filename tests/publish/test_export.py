"""The target of an export, what is left out, and the notes about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.model.events import ExportWritten, Progress, listening
from cfpb_etl.publish.errors import DifferentRowsError, ForeignTargetError
from cfpb_etl.publish.export import export_complaints
from cfpb_etl.read.errors import RowsNotReadError
from cfpb_etl.read.selection import Selection
from cfpb_etl.store.errors import NotADatabaseError
from support.exports import TARGETS, rows_in_target, tables_of
from support.loads import create_database, execute, interrupt, load, load_file
from support.parts import JANUARY, MARCH, complaint, complaints, part


@pytest.fixture
def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a database with changes, in the current folder."""
    monkeypatch.chdir(path.parent)
    load_file(path, *complaints(1, 2, state="CA", complaint_what_happened="Why"), as_of=JANUARY)
    second = [
        complaint(1, state="NY", complaint_what_happened="Because"),
        complaint(2, state="CA", complaint_what_happened="Why not"),
    ]
    load_file(path, *second, as_of=MARCH)
    return path


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "is not the path of a file or folder"),
        (" ", "is not the path of a file or folder"),
        ("-", "is not the path of a file or folder"),
        ("a\0b", "is not the path of a file or folder"),
        ("\udc80", "is not the path of a file or folder"),
        ("complaints.xlsx", "must end in .parquet, .csv, .csv.gz, .jsonl, .duckdb, or in /"),
        ("complaints.csv.zip", "must end in .parquet"),
        ("copy.db", "must end in .parquet"),
        ("none/out/", "is in a folder that does not exist; create it first"),
        ("none/out.csv", "is in a folder that does not exist; create it first"),
        ("complaints.db/out.csv", "is in a folder that does not exist; create it first"),
        ("complaints.db", "is the database or belongs to it"),
        ("complaints.db/", "is the database or belongs to it"),
        ("complaints.db-wal", "is the database or belongs to it"),
        ("./complaints.db-wal/", "is the database or belongs to it"),
        ("link", "is the database or belongs to it"),
        ("mysql://me:it@host/db", "is not a path; of addresses, only postgresql:// is possible"),
        ("host=here user=me password=it dbname=x", "is not a path; of addresses, only postgresql"),
        ("x.csv/postgresql:/me:it@host", "is not a path; of addresses, only postgresql:// is"),
        ("postgresql//me:it@host/db", "is not a path; of addresses, only postgresql:// is"),
        ("s3://bucket/out.parquet", "is not a path"),
        ("https:/me:it@host/x.csv", "is not a path"),
    ],
)
def test_wrong_targets(database: Path, target: str, reason: str) -> None:
    """Each is refused with a reason, without the login of an address."""
    Path("link").symlink_to("complaints.db")
    before = sorted(Path().iterdir())

    with pytest.raises(WrongParameterError) as raised:
        export_complaints(target, database=database)

    assert reason in str(raised.value)
    assert "me:it" not in str(raised.value)
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl", "x.parquet", "x.duckdb", "x"])
def test_capitals_and_folders(database: Path, name: str) -> None:
    """Capitals in the end do not count. A folder in the place of a file is refused."""
    stats = export_complaints(name.upper(), database=database)
    assert stats.target == name.upper()
    assert Path(name.upper()).exists()

    Path(name).mkdir()
    (Path(name) / "mine").touch()
    with pytest.raises(ForeignTargetError, match=r"is not a file|has no manifest"):
        export_complaints(name, database=database)
    assert (Path(name) / "mine").exists()


def test_a_slash_means_a_folder(database: Path) -> None:
    """With a slash at its end, the end of a name does not count."""
    export_complaints("complaints.parquet/", database=database)

    assert Path("complaints.parquet/manifest.json").is_file()
    with pytest.raises(ForeignTargetError, match="is not a file"):
        export_complaints("complaints.parquet", database=database)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_selected(database: Path, name: str) -> None:
    """Narratives and their changes can be left out, and filters select complaints."""
    target = Path(name)
    stats = export_complaints(name, database=database, narratives=False, state="NY")

    expected = {"complaint": 1, "complaint_change": 1, "load": 2}
    assert stats.tables == {table: expected[table] for table in tables_of(target)}
    assert stats.rows == sum(stats.tables.values())
    (row,) = rows_in_target(target, narratives=False)
    assert row[0] == 1
    assert "NY" in row
    if "complaint_change" in stats.tables:
        assert rows_in_target(target, "complaint_change") == [(1, 2, "state", "CA", "NY")]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("table", ["complaint_change", "load"])
def test_a_chosen_table(database: Path, name: str, table: str) -> None:
    """One table can be chosen for each kind of target."""
    stats = export_complaints(name, database=database, table=table)

    assert [*stats.tables] == [table]
    if name.endswith(("folder", ".duckdb", ".csv")):
        assert len(rows_in_target(Path(name), table)) == stats.rows


def test_names_with_commas(database: Path) -> None:
    """Python accepts the names of tables as the command line does, and a path as a target."""
    target = Path("all.duckdb")
    stats = export_complaints(target, database=database, table="load,complaint")
    again = export_complaints(target, database=database, table=["load", "complaint"])

    assert stats.tables == again.tables
    assert [*stats.tables] == ["load", "complaint"]


@pytest.mark.parametrize("end", [".parquet", ".csv", ".csv.gz", ".jsonl"])
def test_several_tables_in_a_file_of_one(database: Path, end: str) -> None:
    """They are refused."""
    with pytest.raises(WrongParameterError, match=r"names several tables, and a .* file has one"):
        export_complaints(f"x{end}", database=database, table=["complaint", "load"])


@pytest.mark.parametrize("name", TARGETS)
def test_an_empty_database(path: Path, tmp_path: Path, name: str) -> None:
    """The target has all tables and columns without rows, with a note."""
    create_database(path)

    stats = export_complaints(str(tmp_path / name), database=path)
    again = export_complaints(str(tmp_path / name), database=path)

    assert set(stats.tables.values()) == {0}
    assert rows_in_target(tmp_path / name) == []
    assert stats.notes == again.notes == ("Nothing was loaded into the database yet.",)


def notes(database: Path, **parameters: Any) -> tuple[str, ...]:
    """Return the notes of an export."""
    return export_complaints("notes.csv", database=database, **parameters).notes


def test_notes_of_a_whole_database(database: Path) -> None:
    """After a load of all complaints, an export has no notes."""
    assert notes(database) == ()


def test_notes_of_a_selection(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not have all complaints is named so, and so is a load without an end."""
    monkeypatch.chdir(path.parent)
    load(path, part(complaint(1, state="CA")))
    assert [each.split(":")[0] for each in notes(path)] == [
        "The database has only a selection of CFPB's complaints"
    ]

    interrupt(path, part(complaint(2)), query="{}")
    assert "Load 2 is not complete (interrupted). What it has stored is exported." in notes(path)


def test_notes_of_the_sample(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up complaints are named so."""
    monkeypatch.chdir(path.parent)
    load(path, part(complaint(1)), kind="sample")

    assert notes(path) == ("The complaints are made up.",)


def test_notes_of_filters(database: Path) -> None:
    """Filters that select nothing, or that a table does not have, are named."""
    assert notes(database, state="TX") == ("No complaint matches the filters.",)
    assert notes(database, state="TX", table="load") == (
        "The table load has all loads, because filters select complaints.",
    )
    load_file(database, complaint(1), complaint(3), as_of="2026-04-30")
    execute(database, "DELETE FROM complaint")
    assert notes(database) == ("The database has no complaints.",)


def test_notes_of_other_columns(database: Path) -> None:
    """Columns that a user has added are not exported, and are named."""
    execute(
        database,
        "ALTER TABLE complaint ADD COLUMN mine",
        'ALTER TABLE complaint ADD COLUMN "its \x1b[31m" TEXT',
        "ALTER TABLE load ADD COLUMN theirs",
        "CREATE TABLE other (a)",
    )
    left_out = "Columns that cfpb-etl did not create are not exported: "
    assert notes(database) == (f"{left_out}complaint.mine, complaint.its \\x1b[31m.",)
    assert notes(database, table="load") == (f"{left_out}load.theirs.",)


@pytest.mark.parametrize("name", TARGETS)
def test_another_number_of_rows(database: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """If the database counts other rows than it returns, nothing is published."""
    export_complaints(name, database=database)
    before = rows_in_target(Path(name))
    count = Selection.count_statement

    def count_wrong(selection: Selection, table: str) -> Any:
        statement = count(selection, table)
        return statement._replace(sql=statement.sql.replace("COUNT(*)", "COUNT(*) + 1"))

    monkeypatch.setattr(Selection, "count_statement", count_wrong)
    with pytest.raises((DifferentRowsError, RowsNotReadError)):
        export_complaints(name, database=database)

    assert rows_in_target(Path(name)) == before


@pytest.mark.parametrize("name", TARGETS)
def test_another_programs_database(path: Path, tmp_path: Path, name: str) -> None:
    """It is refused, and nothing is written."""
    path.write_text("mine")

    with pytest.raises(NotADatabaseError):
        export_complaints(str(tmp_path / name), database=path)

    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", TARGETS)
def test_progress(path: Path, tmp_path: Path, name: str) -> None:
    """The last report of a table says that all rows are written; then the old target goes."""
    load_file(path, *complaints(*range(1, 25_001), date_received="2024-01-01"))
    events: list[object] = []

    with listening(events.append):
        export_complaints(str(tmp_path / name), database=path, table="complaint")

    shown = [each for each in events if isinstance(each, Progress) and each.share is not None]
    assert [(each.step, each.so_far, each.share, each.done) for each in shown] == [
        ("Exporting complaint", "25,000 of 25,000", 1, 25_000)
    ]
    assert isinstance(events[-1], ExportWritten)
