"""Complaints as frames of pandas and polars, and as Arrow tables."""

from __future__ import annotations

import inspect
import sys
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cfpb_etl
from cfpb_etl.errors import CfpbEtlError, MissingExtraError
from cfpb_etl.parameters.read_parameters import ReadParameters
from cfpb_etl.read.tables import NARRATIVE, tables
from support.arrow_reading import make_many, rows_of, stored_rows
from support.loads import execute, load_file
from support.parts import complaint

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = tables()["complaint"].columns
NAMES = [each.name for each in COLUMNS]
MANY = 9_000  # rows, in two batches
KINDS = ("pandas", "polars", "arrow")
COMPLAINTS = (
    complaint(3, date_received="2024-03-01", company="É", state="NY", zip_code="02139"),
    complaint(1, date_received="2024-05-01", company="B", complaint_what_happened="Why\0\n🎉"),
    complaint(2, date_received="2024-03-02", company="A", state="CA", timely="No"),
    complaint(2**60, date_received="2024-04-01", product="Mortgage", tags="Servicemember"),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of four complaints."""
    path = tmp_path_factory.mktemp("frames") / "complaints.db"
    load_file(path, *COMPLAINTS)
    return path


def rows_of_any(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a frame or table with SQLite's values."""
    if isinstance(frame, pd.DataFrame):
        frame = frame.astype(object).where(frame.notna(), None)
        rows = frame.to_dict("records")
        return [
            {
                str(name): value.date().isoformat() if isinstance(value, datetime) else value
                for name, value in row.items()
            }
            for row in rows
        ]
    return rows_of(frame if isinstance(frame, pa.Table) else frame.to_arrow())


def is_typed(frame: Any, kind: str, name: str) -> bool:
    """Say whether a column has the type of its kind."""
    if isinstance(frame, pa.Table):
        types = {
            "integer": pa.int64(),
            "day": pa.date32(),
            "category": pa.dictionary(pa.int32(), pa.string()),
            "text": pa.string(),
        }
        return bool(frame.schema.field(name).type == types[kind])
    if isinstance(frame, pl.DataFrame):
        polars_types = {"integer": pl.Int64, "day": pl.Date, "category": pl.Categorical}
        return bool(frame.schema[name] == polars_types.get(kind, pl.String))
    dtype = frame[name].dtype
    types = pd.api.types
    return bool(
        {
            "integer": dtype == "int64",
            "day": types.is_datetime64_any_dtype(dtype),
            "category": isinstance(dtype, pd.CategoricalDtype),
            "text": types.is_string_dtype(dtype),
        }[kind]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_values_and_types(database: Path, kind: Any) -> None:
    """Each kind has the values of SQLite, sorted by day. An empty result has the same types."""
    frame = cfpb_etl.read_complaints(database, kind=kind)
    empty = cfpb_etl.read_complaints(database, kind=kind, since="2024-06-01")

    assert rows_of_any(frame) == stored_rows(database, "complaint")
    assert rows_of_any(frame)[0]["complaint_id"] == 3
    assert len(empty) == 0
    for result in (frame, empty):
        assert [*(result.column_names if kind == "arrow" else result.columns)] == NAMES
        for column in COLUMNS:
            assert is_typed(result, column.kind, column.name), column


@pytest.mark.parametrize("kind", KINDS)
def test_several_batches(path: Path, kind: Any) -> None:
    """Categories of several batches are one list of categories."""
    make_many(path, MANY)

    frame = cfpb_etl.read_complaints(path, kind=kind, columns=("complaint_id", "company"))

    stored = [
        {name: row[name] for name in ("complaint_id", "company")}
        for row in stored_rows(path, "complaint")
    ]
    assert rows_of_any(frame) == stored
    if kind == "pandas":
        counts = frame.groupby("company", observed=True).size().to_dict()
    elif kind == "polars":
        counts = dict(frame.group_by("company").len().drop_nulls().iter_rows())
    else:
        grouped = frame.group_by("company").aggregate([([], "count_all")]).to_pylist()
        counts = {each["company"]: each["count_all"] for each in grouped if each["company"]}
    assert len(counts) == 500
    assert sum(counts.values()) == MANY - 1  # the first has no company


def test_categories_of_pandas_are_sorted(database: Path) -> None:
    """So groups and charts have the order of the alphabet, as with `astype("category")`."""
    frame = cfpb_etl.read_complaints(database, kind="pandas")

    assert [*frame["company"].cat.categories] == ["A", "B", "É"]
    assert frame["company"].isna().tolist() == [False, False, True, False]
    assert not frame["company"].cat.ordered
    assert frame["date_received"].dt.month.tolist() == [3, 3, 4, 5]
    assert frame["withdrawn_on"].isna().all()


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, [3, 2, 2**60, 1]),
        ({"since": date(2024, 4, 1)}, [2**60, 1]),
        ({"since": "2024-03-02", "until": datetime(2024, 4, 1)}, [2, 2**60]),  # noqa: DTZ001
        ({"state": "ca"}, [2]),
        ({"state": ["CA", "NY"]}, [3, 2]),
        ({"state": "PW"}, []),
        ({"company": {"A", "B"}}, [2, 1]),
        ({"company": pd.Series(["A", "É"]).unique()}, [3, 2]),
        ({"product": "Mortgage"}, [2**60]),
        ({"search": "why"}, [1]),
        ({"timely": "No"}, [2]),
        ({"tag": "Servicemember"}, [2**60]),
        ({"zip_code": ["02139"]}, [3]),
        ({"state": []}, [3, 2, 2**60, 1]),
    ],
)
def test_filters(database: Path, filters: dict[str, Any], ids: list[int]) -> None:
    """The filters are those of exports. A filter can be a text, a date or several texts."""
    table = cfpb_etl.read_complaints(database, kind="arrow", columns="complaint_id", **filters)

    assert table["complaint_id"].to_pylist() == ids


def test_columns(database: Path) -> None:
    """The columns have the order that was asked for, and each is there once."""
    wanted = ["state", "complaint_id", "state"]

    frame = cfpb_etl.read_complaints(database, kind="polars", columns=wanted)
    without = cfpb_etl.read_complaints(database, kind="arrow", narratives=False)

    assert frame.columns == ["state", "complaint_id"]
    assert without.column_names == [name for name in NAMES if name != NARRATIVE]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        (
            {"columns": ["state", "prodct"]},
            "`columns` 'prodct' is not a column of the table complaint. Did you mean 'product'?",
        ),
        (
            {"columns": "Company"},
            "`columns` 'Company' is not a column of the table complaint. Did you mean 'company'?",
        ),
        ({"columns": "xyz"}, "`columns` 'xyz' is not a column of the table complaint"),
        ({"columns": 7}, "`columns` 7 is not valid; give a text, or a list of texts"),
        (
            {"columns": NARRATIVE, "narratives": False},
            f"`narratives` contradicts `columns`, which has {NARRATIVE}",
        ),
        ({"kind": "numpy"}, "`kind` 'numpy' is not valid; give 'pandas', 'polars' or 'arrow'"),
        ({"state": "California"}, "`state` 'CALIFORNIA' is not valid; CFPB's data have these"),
        ({"since": "2024-02-30"}, "`since` '2024-02-30' is not valid; give a day"),
        ({"since": "2024-03-02", "until": "2024-03-01"}, "`since` '2024-03-02' is not valid"),
        ({"search": "!!"}, "`search` '!!' is not valid; give words with letters or digits"),
        ({"database": "none.db"}, "`database` 'none.db' does not exist"),
    ],
)
def test_wrong_values(database: Path, parameters: dict[str, Any], problem: str) -> None:
    """The error names the parameter and what is allowed, or the nearest name."""
    with pytest.raises(CfpbEtlError) as refused:
        cfpb_etl.read_complaints(**{"database": database, **parameters})

    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"stat": "CA"}, "'stat'. Did you mean 'state'?"),
        ({"column": "state"}, "'column'. Did you mean 'columns'?"),
        ({"Since": "2024-01-01"}, "'Since'. Did you mean 'since'?"),
        ({"xyz": 1}, "'xyz'"),
    ],
)
def test_wrong_names(database: Path, wrong: dict[str, Any], problem: str) -> None:
    """A name that is not a parameter is a TypeError with the nearest name."""
    with pytest.raises(TypeError) as refused:
        cfpb_etl.read_complaints(database, **wrong)

    expected = f"read_complaints() got an unexpected keyword argument {problem}"
    assert str(refused.value) == expected


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        ((), pd.DataFrame),
        (("pandas",), pl.DataFrame),
        (("pandas", "polars"), pa.Table),
    ],
)
def test_the_default_is_what_is_installed(
    database: Path, missing: tuple[str, ...], kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kind, the result is of pandas, else of polars, else an Arrow table."""
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    assert type(cfpb_etl.read_complaints(database)) is kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_package(database: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow" if kind == "arrow" else kind, None)

    with pytest.raises(CfpbEtlError) as refused:
        cfpb_etl.read_complaints(database, kind=kind)

    if kind == "arrow":
        assert isinstance(refused.value, MissingExtraError)
    else:
        install = f"{sys.executable} -m pip install {kind}"
        assert str(refused.value) == f"`kind` {kind!r} needs a package: {install}"


def test_editors_show_the_parameters() -> None:
    """The signature has all parameters with plain types, and the help describes each."""
    signature = inspect.signature(cfpb_etl.read_complaints)
    described = inspect.getdoc(cfpb_etl.read_complaints) or ""

    assert [*signature.parameters] == [
        name for name in inspect.signature(ReadParameters).parameters if name != "_"
    ]
    for name, parameter in signature.parameters.items():
        assert f"\n    {name}: " in described
        assert "Annotated" not in str(parameter)
    assert str(signature.parameters["since"]) == "since: str | datetime.date | None = None"


def test_a_wrong_database(path: Path) -> None:
    """A value that another program has written is named."""
    load_file(path, *COMPLAINTS)
    execute(path, "UPDATE complaint SET date_received = '2024-13-01' WHERE complaint_id = 1")

    with pytest.raises(CfpbEtlError, match="date_received is not a day"):
        cfpb_etl.read_complaints(path)
