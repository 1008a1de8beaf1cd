"""Parquet files: their types, order and metadata, and the engines that read them."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cfpb_etl import __version__
from cfpb_etl.publish import parquet
from cfpb_etl.publish.errors import ForeignTargetError
from cfpb_etl.publish.export import export_complaints
from cfpb_etl.read.tables import tables
from support.exports import make_odd_database, rows_in_sqlite, rows_in_target
from support.loads import load, load_file
from support.parts import JUNE, complaint, part

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a database, and its exports to a folder and to a file."""
    folder = tmp_path_factory.mktemp("parquet")
    make_odd_database(folder / "complaints.db", 2_000)
    for target in ("out", "one.parquet"):
        export_complaints(str(folder / target), database=folder / "complaints.db")
    return folder


@pytest.fixture(scope="module")
def years(exported: Path) -> dict[int | None, int]:
    """Return how many complaints of each year the database has."""
    days = (row[1] for row in rows_in_sqlite(exported / "complaints.db", "complaint"))
    return Counter(day and int(day[:4]) for day in days)


def test_the_types(exported: Path) -> None:
    """Ids are int64, days date32, and categories are in dictionaries, also after reading."""
    kinds = {
        "integer": pa.int64(),
        "day": pa.date32(),
        "category": pa.dictionary(pa.int32(), pa.string()),
        "text": pa.string(),
    }
    for table in ("complaint", "complaint_change", "load"):
        for file in (exported / "out" / table).rglob("*.parquet"):
            schema = pq.read_schema(file)
            expected = {each.name: kinds[each.kind] for each in tables()[table].columns}
            assert dict(zip(schema.names, schema.types, strict=True)) == expected
    assert pq.read_table(exported / "one.parquet")["product"].type == kinds["category"]


def test_the_metadata(exported: Path) -> None:
    """Each file says what it has, where it comes from, under which license and of which day."""
    for file in (exported / "out" / "load" / "part-0.parquet", exported / "one.parquet"):
        schema = pq.read_schema(file)
        found = {key.decode(): value.decode() for key, value in schema.metadata.items()}
        table = "load" if file.parent.name == "load" else "complaint"
        rows = len(rows_in_target(exported / "out", table))
        assert found.pop("source").startswith("Consumer Financial Protection Bureau")
        assert found == {
            "table": table,
            "description": tables()[table].description,
            "rows": str(rows),
            "license": "CC0",
            "as_of": JUNE,
            "newest_load": "3",
            "made_up": "false",
            "filters": "{}",
            "narratives": "true",
            "cfpb_etl_version": __version__,
        }
        for field in schema:
            assert field.metadata[b"description"]


def test_the_metadata_of_made_up_complaints(path: Path, tmp_path: Path) -> None:
    """They do not name CFPB as their source."""
    load(path, part(complaint(1)), kind="sample")
    export_complaints(str(tmp_path / "x.parquet"), database=path)

    metadata = pq.read_schema(tmp_path / "x.parquet").metadata
    assert metadata[b"made_up"] == b"true"
    assert metadata[b"source"] == b"cfpb-etl; these complaints are made up"


def test_the_order_and_the_row_groups(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are sorted by day, in row groups of the same number of rows, packed with zstd."""
    monkeypatch.setattr(parquet, "_ROW_GROUP", 700)
    days = [
        f"{year}-{month:02}-{day:02}"
        for day, month, year in product(range(1, 29), range(1, 13), (2025, 2024))
    ]
    every = [complaint(n, date_received=day, state="CA") for n, day in enumerate(days * 3)]
    load_file(path, *every)
    for target in ("x.parquet", "out"):
        export_complaints(str(tmp_path / target), database=path, table="complaint")

    year = tmp_path / "out" / "complaint" / "year_received=2024" / "part-0.parquet"
    for file, rows in ((tmp_path / "x.parquet", len(every)), (year, len(every) // 2)):
        metadata = pq.read_metadata(file)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        assert [each.num_rows for each in groups] == [
            *([700] * (rows // 700)),
            *([rows % 700] if rows % 700 else []),
        ]
        assert [each.sorting_columns[0].column_index for each in groups] == [1] * len(groups)
        assert {each.column(1).compression for each in groups} == {"ZSTD"}
        found = pq.read_table(file)["date_received"].to_pylist()
        assert found == sorted(found)
        assert all(each.column(9).has_dictionary_page for each in groups)
        assert not any(each.column(0).has_dictionary_page for each in groups)


def test_no_column_for_the_year(exported: Path) -> None:
    """The year is in the name of the folder only: engines add it as a column."""
    for file in (exported / "out" / "complaint").rglob("*.parquet"):
        assert "year_received" not in pq.read_schema(file).names


def test_duckdb_reads_the_years(exported: Path, years: dict[int | None, int]) -> None:
    """The year is a number, and NULL for complaints without a day."""
    found = duckdb.execute(
        "SELECT year_received, COUNT(*), BOOL_AND(year_received IS NOT DISTINCT FROM"
        " YEAR(date_received)) FROM read_parquet(?, hive_partitioning = true) GROUP BY 1",
        [f"{exported}/out/complaint/*/*.parquet"],
    ).fetchall()

    assert {year: rows for year, rows, _ in found} == years
    assert all(is_equal for *_, is_equal in found)


def test_pyarrow_reads_the_years(exported: Path, years: dict[int | None, int]) -> None:
    """The year is a number, and null for complaints without a day."""
    table = ds.dataset(exported / "out" / "complaint", partitioning="hive").to_table()

    assert Counter(table["year_received"].to_pylist()) == years
    assert pa.types.is_integer(table.schema.field("year_received").type)


def test_polars_reads_the_years(exported: Path, years: dict[int | None, int]) -> None:
    """The year is a number, and null for complaints without a day."""
    frame = pl.scan_parquet(exported / "out" / "complaint", hive_partitioning=True)
    counted = frame.group_by("year_received").len().collect()

    assert dict(counted.iter_rows()) == years
    recent = frame.filter(pl.col("year_received") >= 2024).collect()
    assert len(recent) == sum(rows for year, rows in years.items() if year and year >= 2024)


# Dask 2026 uses arguments that pandas will remove.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("all_have_days", [True, False])
def test_dask_reads_the_years(
    exported: Path, tmp_path: Path, years: dict[int | None, int], *, all_have_days: bool
) -> None:
    """The year is a category. For complaints without a day, Dask must be given its type."""
    folder = tmp_path / "complaint"
    shutil.copytree(exported / "out" / "complaint", folder)
    options: dict[str, Any] = {}
    if all_have_days:  # as all complaints of CFPB
        shutil.rmtree(folder / "year_received=__HIVE_DEFAULT_PARTITION__")
    else:
        schema = pa.schema([("year_received", pa.int32())])
        options["dataset"] = {"partitioning": {"flavor": "hive", "schema": schema}}
    frame = dd.read_parquet(folder, columns=["complaint_id", "year_received"], **options)
    counted = frame.groupby("year_received", observed=True).complaint_id.count().compute()

    expected = {year: rows for year, rows in years.items() if year is not None}
    assert {int(year): rows for year, rows in counted.items() if rows} == expected
    assert len(frame) == sum(years.values()) - all_have_days * years[None]


@pytest.mark.parametrize("day", [None, "2024-01-01"])
def test_a_folder_that_lacks_years(path: Path, tmp_path: Path, day: str | None) -> None:
    """Engines read complaints that all have no day, and a folder without complaints."""
    load_file(path, complaint(1, date_received=None, state="CA"))
    export_complaints(str(tmp_path / "out"), database=path, until=day)

    rows = 0 if day else 1
    files = f"{tmp_path}/out/complaint/*/*.parquet"
    assert len(rows_in_target(tmp_path / "out")) == rows
    read = duckdb.execute("SELECT year_received FROM read_parquet(?)", [files])
    assert read.fetchall() == [(None,)] * rows
    assert pl.scan_parquet(tmp_path / "out" / "complaint").collect().shape == (rows, 23)
    assert len(dd.read_parquet(tmp_path / "out" / "complaint")) == rows


# --- existing files -------------------------------------------------------------------------


def write_as(file: Path, change: Any) -> None:
    """Change an exported table in the way of another program, and write it with its metadata."""
    pq.write_table(change(pq.read_table(file)), file)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"mine"),
        lambda file: file.write_bytes(file.read_bytes()[:-8]),
        lambda file: file.write_bytes(b"PAR1" * 5),
        lambda file: write_as(file, lambda table: table.slice(1)),
        lambda file: write_as(file, lambda table: table.append_column("mine", [table["state"]])),
        lambda file: write_as(file, lambda table: table.drop_columns("state")),
        lambda file: write_as(file, lambda table: table.replace_schema_metadata()),
        lambda file: write_as(file, lambda table: table.replace_schema_metadata({"rows": "9"})),
    ],
)
def test_a_file_of_somebody(path: Path, exported: Path, tmp_path: Path, change: Any) -> None:
    """A file that is not as an export has written it is refused and stays."""
    load_file(path, complaint(1))
    target = tmp_path / "x.parquet"
    target.write_bytes((exported / "one.parquet").read_bytes())
    change(target)
    mine = target.read_bytes()

    with pytest.raises(ForeignTargetError, match="is not an export of cfpb-etl"):
        export_complaints(str(target), database=path)

    assert target.read_bytes() == mine


def test_an_earlier_export_is_replaced(path: Path, exported: Path, tmp_path: Path) -> None:
    """An export of any table, without narratives, without rows, or an empty file is replaced."""
    load_file(path, complaint(1))
    target = tmp_path / "x.parquet"
    target.touch()
    for choice in ({"table": "load"}, {"narratives": False}, {"state": "TX"}, {}):
        export_complaints(str(target), database=path, **choice)

    assert len(rows_in_target(target)) == 1
