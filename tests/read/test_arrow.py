"""Rows are read as Arrow record batches, with the values of SQLite."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pytest

from cfpb_etl.errors import MissingExtraError
from cfpb_etl.model.query import StoredQuery
from cfpb_etl.read import arrow
from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.provenance import Provenance
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NAMES, NARRATIVE, tables
from support.arrow_reading import COMPLAINT, make_many, read_tables, rows_of, stored_rows
from support.loads import execute, load, load_file
from support.parts import JANUARY, MARCH, complaint, complaints, part
from support.unprivileged import run_unprivileged

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

MANY = 12_000  # rows, in three batches
TYPES = {
    "integer": pa.int64(),
    "day": pa.date32(),
    "category": pa.dictionary(pa.int32(), pa.string()),
    "text": pa.string(),
}


def test_all_tables(path: Path) -> None:
    """Each value is the one in SQLite: NULLs, empty texts, days, Unicode, and the history."""
    odd = ("", " ", "a\0b", 'He said "no", é 🎉 \u2028\r\n\t', "ﬁ\u0301", "NULL", "x" * 5_000_000)
    load_file(
        path,
        *(
            complaint(
                number,
                date_received=f"20{number:02}-02-28",
                company=text,
                complaint_what_happened=text,
                zip_code="02139",
                state="CA" if number % 2 else None,
            )
            for number, text in enumerate(odd, 10)
        ),
        complaint(2**62, date_received="0001-01-01", date_sent_to_company="9999-12-31"),
        as_of=JANUARY,
    )
    load_file(path, *complaints(10, 11, 12, company="Other"), as_of=MARCH)

    read = read_tables(path)

    assert [*read] == [*NAMES]
    for name, table in read.items():
        assert rows_of(table) == stored_rows(path, name)
        assert table.schema == pa.schema(
            [(each.name, TYPES[each.kind]) for each in tables()[name].columns]
        )
    assert len(read["complaint"]) == 8
    assert len(read["complaint_change"]) > 3


def test_an_empty_database(path: Path) -> None:
    """Tables without rows have their types."""
    load(path, part())

    read = read_tables(path)

    assert {name: len(table) for name, table in read.items()} == {
        "complaint": 0,
        "complaint_change": 0,
        "load": 1,
    }
    assert read["complaint"].schema.field("date_received").type == pa.date32()


def test_several_batches(path: Path) -> None:
    """The rows are sorted by day. A column can be empty at first and in whole batches."""
    make_many(path, MANY)
    values = f"state = 'CA', zip_code = '02139', withdrawn_on = '2026-01-01', {NARRATIVE} = 'Why'"
    execute(path, f"UPDATE complaint SET {values} WHERE complaint_id = {MANY}")  # noqa: S608

    with open_arrow(path, COMPLAINT) as snapshot:
        ((_, schema, batches),) = [(*each[:2], [*each[2]]) for each in snapshot.read()]

    assert len(batches) == 3
    table = pa.Table.from_batches(batches, schema)
    assert rows_of(table) == stored_rows(path, "complaint")
    days = table["date_received"].to_pylist()
    assert days == sorted(days)
    assert table.slice(MANY - 1).to_pylist()[0]["state"] == "CA"


def test_where_the_rows_come_from(path: Path) -> None:
    """The snapshot has the newest load, the day of the data and the sources."""
    load_file(path, complaint(1), as_of=JANUARY)
    load(path, part(complaint(2), as_of=MARCH))

    with open_arrow(path, Selection()) as snapshot:
        assert snapshot.provenance == Provenance(
            load_id=2,
            outcome="complete",
            as_of=MARCH,
            sources=("api", "bulk"),
            has_everything=True,
            has_complaints=True,
        )
        assert snapshot.counts == {"complaint": 2, "complaint_change": 0, "load": 2}


def test_a_selection(path: Path) -> None:
    """Only the complaints that match, their changes, and the columns that are wanted."""
    first = complaints(1, 2, state="CA", complaint_what_happened="identity theft")
    load_file(path, *first, *complaints(3, state="NY"), as_of=JANUARY)
    changed = [each._replace(complaint_what_happened="other", company="A") for each in first]
    load_file(path, *changed, *complaints(3, state="NY", company="B"), as_of=MARCH)

    query = StoredQuery(state=("CA",))
    with_all = read_tables(path, Selection(query))
    without = read_tables(path, Selection(query, narratives=False))
    columns = read_tables(
        path, Selection(query, ("complaint",), columns=("company", "complaint_id"))
    )
    words = read_tables(path, Selection(StoredQuery(search="other")))

    assert with_all["complaint"]["complaint_id"].to_pylist() == [1, 2]
    assert {*with_all["complaint_change"]["complaint_id"].to_pylist()} == {1, 2}
    assert {*with_all["complaint_change"]["column_name"].to_pylist()} == {NARRATIVE, "company"}
    assert without["complaint_change"]["column_name"].to_pylist() == ["company"] * 2
    assert NARRATIVE not in without["complaint"].column_names
    assert columns["complaint"].to_pylist() == [
        {"company": "A", "complaint_id": 1},
        {"company": "A", "complaint_id": 2},
    ]
    assert words["complaint"]["complaint_id"].to_pylist() == [1, 2]
    assert len(with_all["load"]) == len(words["load"]) == 2


def test_a_long_filter(path: Path) -> None:
    """The request can be larger than the arguments of a process or than a pipe."""
    load_file(path, complaint(1, company="A" * 200), complaint(2))
    companies = ("A" * 200, *(f"{number:0200}" for number in range(5_000)))

    read = read_tables(path, replace(COMPLAINT, query=StoredQuery(company=companies)))

    assert read["complaint"]["complaint_id"].to_pylist() == [1]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_load_meanwhile(path: Path, mode: str) -> None:
    """What is read is the state in which reading began, in all tables."""
    make_many(path, MANY)
    execute(path, f"PRAGMA journal_mode = {mode}")

    with open_arrow(path, Selection()) as snapshot:
        if mode == "WAL":  # with a rollback journal, a load waits until all is read
            execute(path, "DELETE FROM complaint WHERE complaint_id > 1")
            load(path, part(complaint(MANY + 1)))
        rows = {name: sum(map(len, batches)) for name, _, batches in snapshot.read()}

    assert rows == snapshot.counts == {"complaint": MANY, "complaint_change": 0, "load": 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]  # no journal is left


def test_reading_can_end_early(path: Path) -> None:
    """Rows that are not wanted are not read, and the process has ended."""
    make_many(path, MANY)
    processes: list[subprocess.Popen[bytes]] = []
    start = arrow._start

    def started(database: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        processes.append(start(database, errors))
        return processes[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrow, "_start", started)
        with open_arrow(path, COMPLAINT):
            pass
        with open_arrow(path, COMPLAINT) as snapshot:
            _, _, batches = next(snapshot.read())
            next(batches)
        with pytest.raises(ZeroDivisionError), open_arrow(path, COMPLAINT):
            1 / 0  # noqa: B018 - it raises

    assert [each.poll() is None for each in processes] == [False] * 3
    gc.collect()  # a pipe that is not closed would warn


IN_A_FOLDER = """
import sys
from pathlib import Path
from support.arrow_reading import read_tables

print({name: len(table) for name, table in read_tables(Path(sys.argv[1])).items()})
"""


def test_a_read_only_folder(tmp_path: Path) -> None:
    """Neither the file nor its folder must be writable."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    database = folder / "complaints.db"
    load(database, part(complaint(1), complaint(2)))
    database.chmod(0o444)
    folder.chmod(0o555)

    read = run_unprivileged(IN_A_FOLDER, database)

    assert read == "{'complaint': 2, 'complaint_change': 0, 'load': 1}\n"
    assert [*folder.iterdir()] == [database]


@pytest.mark.parametrize("name", ["50% of #1? a;b&c=d.db", "é 🎉.db", "\udcff.db", "a\nb.db"])
def test_any_name(tmp_path: Path, name: str) -> None:
    """The name may have characters with a meaning in URIs, and bytes that are not text."""
    load_file(tmp_path / name, complaint(1))

    assert len(read_tables(tmp_path / name, COMPLAINT)["complaint"]) == 1


def test_modules_in_the_current_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process does not import files that happen to have the name of a module."""
    load_file(path, complaint(1))
    for name in ("json", "pyarrow", "adbc_driver_sqlite", "cfpb_etl", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)

    assert len(read_tables(path, COMPLAINT)["complaint"]) == 1


def test_a_process_that_says_much(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More messages than a pipe can hold do not stop it."""
    make_many(path, MANY)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.stderr.write('warning\\n' * 100_000)"
    )
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    assert len(read_tables(path, COMPLAINT)["complaint"]) == MANY


@pytest.mark.parametrize("module", ["pyarrow", "adbc_driver_sqlite"])
def test_a_missing_package(path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    load_file(path, complaint(1))
    monkeypatch.setitem(sys.modules, module, None)

    with (
        pytest.raises(MissingExtraError, match=r"cfpb-etl\[parquet\]"),
        open_arrow(path, COMPLAINT),
    ):
        pass
