"""CSV and JSON files: their format, and which existing files are replaced."""

from __future__ import annotations

import gzip
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import export_complaints
from cfpb_etl.read.errors import RowsNotReadError
from cfpb_etl.read.tables import tables
from support.exports import make_odd_database, rows_in_target
from support.loads import execute, load_file
from support.parts import complaint

if TYPE_CHECKING:
    from pathlib import Path

pd: Any = import_module("pandas")  # it has no type information
NAMES = [each.name for each in tables()["complaint"].columns]
HEADER = ",".join(NAMES)
ENDS = (".csv", ".csv.gz", ".jsonl")


@pytest.fixture
def database(path: Path) -> Path:
    """Return a database with one complaint."""
    load_file(path, complaint(7, date_received="2024-01-01", company='A, "B"\r\nC', state="CA"))
    return path


def test_csv(database: Path, tmp_path: Path) -> None:
    """NULL is an empty cell. Lines end with a line feed. Quotes are where they must be."""
    export_complaints(str(tmp_path / "x.csv"), database=database)

    assert (tmp_path / "x.csv").read_bytes().decode() == (
        f'{HEADER}\n7,2024-01-01,,,,,,,"A, ""B""\r\nC",CA,,,,,,,,,1,1,1,\n'
    )


def test_jsonl(database: Path, tmp_path: Path) -> None:
    """Each line is an object with all columns; NULL is null."""
    export_complaints(str(tmp_path / "x.jsonl"), database=database)

    (line, end) = (tmp_path / "x.jsonl").read_bytes().split(b"\n")
    assert end == b""
    values = {"complaint_id": 7, "date_received": "2024-01-01", "company": 'A, "B"\r\nC'}
    values |= {"state": "CA"} | dict.fromkeys(("load_id", "first_load_id", "changed_load_id"), 1)
    assert json.loads(line) == dict.fromkeys(NAMES) | values


def test_gzip(database: Path, tmp_path: Path) -> None:
    """The packed file is the same each time: its header has neither a name nor a time."""
    for name in ("a.csv.gz", "b.csv.gz"):
        export_complaints(str(tmp_path / name), database=database)
    export_complaints(str(tmp_path / "a.csv"), database=database)

    packed = (tmp_path / "a.csv.gz").read_bytes()
    assert packed == (tmp_path / "b.csv.gz").read_bytes()
    assert packed[3:8] == b"\0\0\0\0\0"  # flags and time (RFC 1952)
    assert gzip.decompress(packed) == (tmp_path / "a.csv").read_bytes()


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_duckdb_and_pandas_read_the_file(path: Path, tmp_path: Path, name: str) -> None:
    """Other readers find the same texts, also those with quotes and ends of lines."""
    make_odd_database(path)
    target = tmp_path / name
    export_complaints(str(target), database=path)
    expected = {row[0]: row[6] for row in rows_in_target(target)}

    if name.endswith(".csv"):
        options = "header=true, all_varchar=true, max_line_size=1000000, parallel=false"
        found = duckdb.execute(
            f"SELECT complaint_id, complaint_what_happened FROM read_csv('{target}', {options})"  # noqa: S608
        ).fetchall()
        frame = pd.read_csv(
            target, dtype=str, keep_default_na=False, na_values=[""], lineterminator="\n"
        )
    else:
        options = "maximum_object_size=10000000"
        found = duckdb.execute(
            f"SELECT complaint_id, complaint_what_happened FROM read_json('{target}', {options})"  # noqa: S608
        ).fetchall()
        frame = pd.read_json(target, lines=True, dtype=False)
    assert {int(key): text for key, text in found} == expected
    texts = frame.complaint_what_happened.astype(object)
    pairs = zip(frame.complaint_id, texts.where(texts.notna(), None), strict=True)
    assert {int(key): text for key, text in pairs} == expected


def test_empty_texts(database: Path, tmp_path: Path) -> None:
    """An empty text of another program looks like NULL in a CSV file, with a note."""
    execute(database, "UPDATE complaint SET product = '', issue = ''")

    stats = export_complaints(str(tmp_path / "x.csv"), database=database)
    assert stats.notes == ("2 cells with an empty text cannot be told from NULL.",)
    stats = export_complaints(str(tmp_path / "x.jsonl"), database=database)
    assert stats.notes == ()
    assert json.loads((tmp_path / "x.jsonl").read_text())["product"] == ""


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("company = x'00ff'", "bytes"),
        ("load_id = 1.5", "float"),
        ("load_id = 9e999", "float"),
    ],
)
def test_values_of_other_types(
    database: Path, tmp_path: Path, end: str, change: str, kind: str
) -> None:
    """Values of another program that are neither text nor whole numbers are refused."""
    execute(database, f"UPDATE complaint SET {change}")  # noqa: S608

    with pytest.raises(RowsNotReadError, match=f"a value is of the type {kind}"):
        export_complaints(str(tmp_path / f"x{end}"), database=database)

    assert [*tmp_path.iterdir()] == [database]


@pytest.mark.parametrize("end", ENDS)
def test_an_earlier_export_is_replaced(database: Path, tmp_path: Path, end: str) -> None:
    """An export of any table, without narratives, without rows, or an empty file is replaced."""
    target = tmp_path / f"x{end}"
    target.touch()
    for choice in (
        {"table": "load"},
        {"narratives": False},
        {"state": "TX"},
        {},
    ):
        export_complaints(str(target), database=database, **choice)

    assert len(rows_in_target(target)) == 1


MINE = {
    "of CFPB": b"Date received,Product,Sub-product\n2024-01-01,Mortgage,\n",
    "saved by a spreadsheet": HEADER.encode() + b"\r\n",
    "with a mark of Unicode": b"\xef\xbb\xbf" + HEADER.encode() + b"\n",
    "with a column more": HEADER.encode() + b",mine\n",
    "with a column less": HEADER.rpartition(",")[0].encode() + b"\n",
    "not text": b"\xff\xfe\x00",
    "one end of a line": b"\n",
    "JSON of other names": b'{"complaint_id": 1}\n',
    "a JSON list": b"[1]\n",
    "JSON in lines": json.dumps(dict.fromkeys(NAMES), indent=1).encode(),
}


@pytest.mark.parametrize("what", MINE)
@pytest.mark.parametrize("end", ENDS)
def test_a_file_of_somebody(database: Path, tmp_path: Path, end: str, what: str) -> None:
    """A file that does not begin as an export is refused and stays."""
    target = tmp_path / f"x{end}"
    mine = gzip.compress(MINE[what]) if end.endswith(".gz") else MINE[what]
    target.write_bytes(mine)

    with pytest.raises(ForeignTargetError, match="does not have the columns of an export"):
        export_complaints(str(target), database=database)

    assert target.read_bytes() == mine


@pytest.mark.parametrize(
    "packed",
    [
        b"not packed",
        gzip.compress(b"mine" * 100)[:-20],
        gzip.compress(b"")[:5],
        b"\x1f\x8b\x08" * 9,
    ],
    ids=["text", "without its end", "only a header", "no header"],
)
def test_a_damaged_packed_file(database: Path, tmp_path: Path, packed: bytes) -> None:
    """It is refused and stays."""
    target = tmp_path / "x.csv.gz"
    target.write_bytes(packed)

    with pytest.raises(ForeignTargetError):
        export_complaints(str(target), database=database)

    assert target.read_bytes() == packed


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl"])
def test_a_text_that_is_not_unicode(database: Path, tmp_path: Path, name: str) -> None:
    """It is named as what it is, and the database does not count as damaged."""
    execute(database, "UPDATE complaint SET company = CAST(x'ff' AS TEXT)")

    with pytest.raises(RowsNotReadError, match="a value is not text"):
        export_complaints(str(tmp_path / name), database=database)


def test_a_link_with_another_end(database: Path, tmp_path: Path) -> None:
    """The end of the given name counts, and not that of the file to which a link leads."""
    (tmp_path / "x.csv").symlink_to("data.txt")
    for _ in range(2):
        export_complaints(str(tmp_path / "x.csv"), database=database)

    assert (tmp_path / "data.txt").read_bytes().startswith(HEADER.encode())
