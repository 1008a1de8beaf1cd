"""Complaints as frames of pandas and polars, and as Arrow tables."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.parameters.read_parameters import ReadParameters
from cfpb_etl.parameters.signature import did_you_mean, with_parameters_of
from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NARRATIVE, tables

if TYPE_CHECKING:
    from typing import TypedDict, Unpack

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from cfpb_etl.parameters.read_parameters import Kind
    from cfpb_etl.parameters.types import (
        Channels,
        Companies,
        Day,
        Issues,
        Products,
        Responses,
        States,
        Tags,
        Texts,
        Timely,
        Words,
        ZipCodes,
    )

    class Options(TypedDict, total=False):
        """The parameters of `read_complaints` that do not decide the type of its result."""

        columns: Texts
        narratives: bool
        since: Day
        until: Day
        state: States
        product: Products
        issue: Issues
        company: Companies
        search: Words
        tag: Tags
        zip_code: ZipCodes
        timely: Timely
        submitted_via: Channels
        company_response: Responses


_TABLE = "complaint"
_PACKAGES: dict[Kind, str] = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}

if TYPE_CHECKING:

    @overload
    def read_complaints(
        database: Path | str = ..., *, kind: Literal["pandas"], **options: Unpack[Options]
    ) -> pd.DataFrame: ...
    @overload
    def read_complaints(
        database: Path | str = ..., *, kind: Literal["polars"], **options: Unpack[Options]
    ) -> pl.DataFrame: ...
    @overload
    def read_complaints(
        database: Path | str = ..., *, kind: Literal["arrow"], **options: Unpack[Options]
    ) -> pa.Table: ...
    @overload
    def read_complaints(
        database: Path | str = ..., *, kind: None = None, **options: Unpack[Options]
    ) -> Any: ...  # noqa: ANN401 - one of these
    def read_complaints(*_: Any, **__: Any) -> Any: ...  # noqa: D103 - see below

else:

    @with_parameters_of(ReadParameters)
    def read_complaints(parameters):  # noqa: ANN001, ANN201 - the types are above
        """Return complaints as a frame of pandas or polars, or as an Arrow table.

        The rows are sorted by the day received. They are of one moment, also if a load runs
        meanwhile. Ids are 64-bit integers, days are dates, and columns with few different values
        are categories. A value that CFPB does not have is missing (NA, null).

        Raises:
            TypeError: If a parameter has a wrong name.
            CfpbEtlError: If a parameter has a wrong value, a package is missing, or the database
                cannot be read. The message says what to do.
        """
        return _read(parameters)


def _read(parameters: ReadParameters) -> Any:  # noqa: ANN401 - of the type that the user wants
    installed = [each for each in _PACKAGES if _is_installed(each)]
    default: Kind = next(iter(installed), "arrow")
    kind = parameters.kind or default
    if kind not in installed and kind != "arrow":
        reason = f"{kind!r} needs a package: {sys.executable} -m pip install {_PACKAGES[kind]}"
        raise WrongParameterError(parameter="kind", reason=reason)
    table = _read_table(parameters)
    if kind == "pandas":
        return _to_pandas(table)
    if kind == "polars":
        import polars as pl

        return pl.from_arrow(table)
    return table


def _is_installed(kind: Kind) -> bool:
    return find_spec(_PACKAGES[kind]) is not None


def _read_table(parameters: ReadParameters) -> pa.Table:
    selection = Selection(
        parameters.query, (_TABLE,), parameters.narratives, _checked_columns(parameters)
    )
    with open_arrow(Path(parameters.database), selection) as snapshot:
        import pyarrow as pa

        for _, schema, batches in snapshot.read():
            table = pa.Table.from_batches(batches, schema)
    # Arrow itself cannot group by a column whose batches have different dictionaries.
    return table.unify_dictionaries()


def _checked_columns(parameters: ReadParameters) -> tuple[str, ...] | None:
    if not parameters.columns:
        return None
    names = [each.name for each in tables()[_TABLE].columns]
    for wrong in set(parameters.columns) - set(names):
        hint = did_you_mean(wrong, names)
        reason = f"{wrong!r} is not a column of the table {_TABLE}{hint}"
        raise WrongParameterError(parameter="columns", reason=reason)
    if NARRATIVE in parameters.columns and not parameters.narratives:
        raise WrongParameterError(
            parameter="narratives", reason=f"contradicts `columns`, which has {NARRATIVE}"
        )
    return tuple(dict.fromkeys(parameters.columns))


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    # Without these options, days become Python objects, and the peak of the memory is higher.
    frame = table.to_pandas(date_as_object=False, split_blocks=True, self_destruct=True)
    for name in frame.select_dtypes("category"):
        categories = frame[name].cat.categories
        frame[name] = frame[name].cat.reorder_categories(categories.sort_values())
    return frame
