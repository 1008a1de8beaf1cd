"""The fast way for many complaints gives the same complaints as the careful way for each one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.parse.fast_columns import parse_columns
from cfpb_etl.parse.values import parse_fields
from support.hits import FIELDS_15, FIELDS_16, FIELDS_19
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Sequence

OLD_DATES = {"date_received": "2024-11-05T12:00:00-05:00", "date_sent_to_company": "2024-11-06"}
DATES = [
    *("2026-08-14", "2024-11-05T12:00:00-05:00", "2023-03-11T14:26:56.000Z", "2024-02-29"),
    *(
        "9/24/19",
        "2026-02-30T12:00:00-05:00",
        "2026-02-29",
        "2026-13-01",
        "20260814",
        "2026-08-14\n",
        "\uff12026-08-14",
    ),
    *("2026-08-14\n2026-08-15", "2026-08-1", "9" * 5_000),
]
IDS = [
    *("0", "007", "-7", " 7", "7\n", "\u0667", "\xb2", "1\u0667", "None", "x", "", "9" * 5_000),
    *(str(2**63 - 1), str(2**63), "1" * 18, "1" * 19, "0" * 19),
]
TEXTS = [
    *("CA", "None of it", "null", "a\0b", " ", "Traveler’s/Cashier’s checks", "half \udcff"),
    *(0, 1.5, True, False, [], ["a"], {}, 2139),
]
EMPTY = [None, "", "None"]


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of rows by column."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def row_values(name: str) -> st.SearchStrategy[Any]:
    """Return mostly ordinary values of a column, and unusual ones."""
    if name == "complaint_id":
        return st.integers(1, 10**12).map(str) | st.sampled_from([*IDS, *EMPTY])
    if name.startswith("date_"):
        return st.sampled_from(DATES[:4]) | st.sampled_from([*DATES, *EMPTY])
    return st.sampled_from([*TEXTS[:6], *EMPTY]) | st.sampled_from([*TEXTS, *EMPTY])


def tables(names: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return tables with these columns, and with ordinary values in the others."""
    row = st.fixed_dictionaries({name: row_values(name) for name in names})
    return st.lists(row.map(lambda values: FIELDS_19 | values), min_size=1, max_size=30)


TABLES = st.lists(st.sampled_from(Complaint._fields), max_size=3, unique=True).flatmap(tables)


@given(TABLES)
@settings(deadline=None, derandomize=True, max_examples=soak(120, 5_000))
def test_columns_are_parsed_as_single_complaints(rows: list[dict[str, Any]]) -> None:
    """The result is that of `parse_fields` for each row, or an error so that the caller uses it."""
    try:
        complaints = parse_columns(columns_of(rows), len(rows))
    except (TypeError, ValueError, KeyError):
        return
    assert complaints == [parse_fields(row) for row in rows]


@pytest.mark.parametrize(
    "rows",
    [
        [FIELDS_15],
        [FIELDS_15 | OLD_DATES] * 3,
        [FIELDS_15 | {"complaint_id": str(9_999_998 + n)} for n in range(40)],
        [FIELDS_16, FIELDS_16 | {"complaint_what_happened": "", "tags": "None"}],
        [FIELDS_15, FIELDS_15 | {"date_received": "", "date_sent_to_company": None}],
        [FIELDS_15 | {"event_tag": ["x"]}],
        [FIELDS_15 | {"complaint_id": "9" * 18}],
        [FIELDS_15 | dict.fromkeys(Complaint._fields[1:])],
    ],
    ids=["one", "old dates", "ids", "empty", "no date", "unknown", "long id", "only nulls"],
)
def test_ordinary_complaints_are_parsed_fast(rows: list[dict[str, Any]]) -> None:
    """Values such as CFPB has sent raise no error."""
    assert parse_columns(columns_of(rows), len(rows)) == [parse_fields(row) for row in rows]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("complaint_id", "007"),
        ("complaint_id", str(2**63)),
        ("date_received", "9/24/19"),
        ("date_received", "2026-02-30T12:00:00-05:00"),
        ("state", 7),
        ("company", "\udcff"),
    ],
)
def test_unusual_values_are_left_to_the_careful_way(name: str, value: object) -> None:
    """They raise one of the errors that the caller expects."""
    rows = [FIELDS_15, FIELDS_15 | {name: value}]

    with pytest.raises((TypeError, ValueError)):
        parse_columns(columns_of(rows), len(rows))


def test_complaints_without_an_id_are_left_to_the_careful_way() -> None:
    """A missing column raises KeyError."""
    fields = {name: value for name, value in FIELDS_15.items() if name != "complaint_id"}

    with pytest.raises(KeyError):
        parse_columns(columns_of([fields]), 1)
