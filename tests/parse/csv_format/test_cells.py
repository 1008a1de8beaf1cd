"""The values that other programs write become CFPB's own values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.parse.csv_format.cells import (
    CODED,
    MISSING,
    is_empty,
    plain_columns,
    plain_fields,
    plain_id,
)
from cfpb_etl.parse.csv_format.days import Days
from cfpb_etl.parse.errors import InvalidFieldError
from cfpb_etl.parse.fast_columns import parse_columns
from cfpb_etl.parse.values import parse_fields
from support.csv_files import read_one
from support.soak import soak

FIELDS = dict.fromkeys(Complaint._fields, "x") | {
    "complaint_id": "7",
    "date_received": "2020-01-10",
    "date_sent_to_company": "2020-01-11",
}


def days() -> Days:
    """Return the days of a file with the month first."""
    return Days(lambda: "month-first")


@pytest.mark.parametrize("text", sorted(MISSING))
@pytest.mark.parametrize("name", sorted({*CODED} - {"complaint_id"}))
def test_missing_values_are_null(name: str, text: str) -> None:
    """R, pandas, Spark and databases write them; in a coded column they are never a value."""
    assert getattr(read_one(**{name: text}), name) is None


@pytest.mark.parametrize("text", sorted(MISSING - {"NA"}))
@pytest.mark.parametrize("name", ["company", "complaint_what_happened"])
def test_a_company_may_have_the_name_of_a_missing_value(name: str, text: str) -> None:
    """It is missing only if the row has the same text in a coded column."""
    assert getattr(read_one(**{name: text}), name) == text
    assert getattr(read_one(**{name: text, "tags": text}), name) is None
    other = "NULL" if text != "NULL" else "NA"
    assert getattr(read_one(**{name: text, "tags": other}), name) == text


@pytest.mark.parametrize("name", Complaint._fields[1:])
def test_na_is_always_missing(name: str) -> None:
    """CFPB never writes it, and R writes it in any column, whatever the other columns have."""
    assert getattr(read_one(**{name: "NA"}), name) is None


@pytest.mark.parametrize("text", ["N/A", "na", "Na", "n/a", "NAN", "-", "Null", "N", "Nano", " NA"])
def test_other_texts_are_values(text: str) -> None:
    """`N/A` is a value of CFPB, and texts that only look alike are kept."""
    assert read_one(consumer_disputed=text).consumer_disputed == text


@pytest.mark.parametrize("name", ["timely", "consumer_disputed"])
@pytest.mark.parametrize("text", ["true", "True", "TRUE", "false", "False", "FALSE"])
def test_truth_values_are_yes_and_no(name: str, text: str) -> None:
    """BigQuery, R and Excel write them for Yes and No."""
    expected = "Yes" if text.lower() == "true" else "No"

    assert getattr(read_one(**{name: text}), name) == expected


def test_truth_values_elsewhere_are_text() -> None:
    """Only two columns have Yes and No."""
    one = read_one(company="TRUE", tags="true")

    assert (one.company, one.tags) == ("TRUE", "true")


# --- ids --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("3384392", "3384392"),
        ("0", "0"),
        (" 7 ", "7"),
        ("3000000.0", "3000000"),
        ("3384392.00", "3384392"),
        ("3384392,0", "3384392"),
        ("3,384,392", "3384392"),
        ("384,392", "384392"),
        ("3.384.392", "3384392"),
        ("17 800 720", "17800720"),
        ("17\u202f800\xa0720", "17800720"),
        ("3,384,392.00", "3384392"),
        ("3e+06", "3000000"),
        ("1.2e+07", "12000000"),
        ("1e+05", "100000"),
        ("3.384392E+06", "3384392"),
        ("3.384392e6", "3384392"),
        ("1.780072E7", "17800720"),
        ("1.7800720E7", "17800720"),
        ("3.0E7", "30000000"),
        ("9.223372036854775807E+18", "9223372036854775807"),
    ],
)
def test_ids_that_are_exact(text: str, plain: str) -> None:
    """pandas, Excel, R and Java write numbers in these ways."""
    assert plain_id(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        *("", "NA", "x", "007", "-7", "+7", "7.5", "1_000", "\u0667", "3384392.0000001"),
        # Excel's short form lacks digits, and so does the form of C's `%g`.
        *("3.38E+06", "3E+06", "3.00E+06", "3.38439e+06", "1.78E+07", "1e-5", "3.3843925E+06"),
        *("3.384", "3,38,4392", "3,3843,92", "1e+99", "9" * 5_000 + "x", "3 384", "0e+5"),
    ],
)
def test_ids_that_are_not_exact(text: str) -> None:
    """Such a row is rejected, because another complaint could have the id."""
    assert plain_id(text) is None


def test_an_id_with_missing_digits_is_rejected() -> None:
    """The error quotes the id as it is written."""
    fields = plain_fields(FIELDS | {"complaint_id": "3.38E+06"}, days())

    with pytest.raises(InvalidFieldError, match=r"complaint_id is '3\.38E\+06', not a plain"):
        parse_fields(fields)


# --- empty rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "empty"),
    [
        ([], True),
        ([""] * 18, True),
        (["", " ", "\t"], True),
        (["NA"] * 18, True),
        (["", "None"], True),
        (["", "N/A"], False),
        (["", "0"], False),
    ],
)
def test_a_row_without_any_value_is_empty(row: list[str], *, empty: bool) -> None:
    """Excel and R write such rows for deleted rows."""
    assert is_empty(row) is empty


# --- whole columns ----------------------------------------------------------------------------

TEXTS = st.sampled_from(["x", "", "None", "N/A", "NA", "NULL", "TRUE", "false", "Yes", "nan"])
DATES = st.sampled_from(["2020-01-10", "1/10/2020", "10-Jan-20", "", "NA", "13/13/2020", "soon"])
IDS = st.sampled_from(["7", "3000000.0", "3,384,392", "3.38E+06", "", "NA", "8", "9"])


def value_of(name: str) -> st.SearchStrategy[str]:
    """Return values of a column, mostly valid ones."""
    if name == "complaint_id":
        return IDS
    return DATES if name.startswith("date_") else TEXTS


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                name: value_of(name)
                for name in ("complaint_id", "date_received", "company", "timely", "tags")
            },
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(deadline=None, derandomize=True, max_examples=soak(150, 5_000))
def test_columns_are_the_rows_one_by_one(changes: list[dict[str, str]]) -> None:
    """Both ways give the same complaints, or whole columns raise an error."""
    rows = [FIELDS | changed for changed in changes]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in FIELDS}
    try:
        complaints = parse_columns(plain_columns(columns, days()), len(rows))
    except (TypeError, ValueError):
        return
    assert complaints == [parse_fields(plain_fields(row, days())) for row in rows]


def test_foreign_values_are_parsed_in_whole_columns() -> None:
    """Files of other programs need not be parsed row by row."""
    foreign = {"date_received": "1/10/2020", "complaint_id": "3,384,392", "timely": "TRUE"}
    rows = [FIELDS | foreign | {"tags": "NA"}] * 3
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in FIELDS}

    one, *_ = parse_columns(plain_columns(columns, days()), 3)

    assert (one.complaint_id, one.date_received, one.timely, one.tags) == (
        3384392,
        "2020-01-10",
        "Yes",
        None,
    )
