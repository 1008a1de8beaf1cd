"""The values of one complaint: what is text, null, a date or an id, and what is rejected."""

from __future__ import annotations

from typing import Any

import pytest

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.parse.errors import InvalidFieldError
from cfpb_etl.parse.values import parse_fields
from support.hits import FIELDS_15


def parsed(**changed: object) -> Complaint:
    """Parse a complaint with some fields changed or added."""
    return parse_fields(FIELDS_15 | changed)


def rejected(**changed: object) -> InvalidFieldError:
    """Return the error of a complaint with some fields changed or added."""
    with pytest.raises(InvalidFieldError) as caught:
        parsed(**changed)
    return caught.value


@pytest.mark.parametrize("field", ["date_received", "date_sent_to_company"])
def test_the_error_of_a_wrong_date_has_its_field(field: str) -> None:
    """Both dates are checked."""
    error = rejected(**{field: "2026-02-30"})

    assert error.field == field
    assert "2026-02-30" in str(error)


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [None, "", "None"])
@pytest.mark.parametrize("field", Complaint._fields[1:])
def test_empty_values_are_null(field: str, empty: str | None) -> None:
    """A null, an empty text and the "None" of CSV files are NULL, in dates too."""
    assert getattr(parsed(**{field: empty}), field) is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("consumer_disputed", "N/A"),
        ("consumer_consent_provided", "N/A"),
        ("zip_code", "02139"),
        ("zip_code", "391XX"),
        ("tags", "Older American, Servicemember"),
        ("state", "UNITED STATES MINOR OUTLYING ISLANDS"),
        ("sub_product", "Traveler’s/Cashier’s checks"),
        ("company", "null"),
        ("complaint_what_happened", "one\r\ntwo\n  three "),
        ("complaint_what_happened", "x" * 200_000),
        ("complaint_what_happened", "None of it was mine"),
        ("issue", "a\0b"),
    ],
)
def test_text_is_kept_as_it_is(field: str, text: str) -> None:
    """It is not stripped, split, shortened or taken for a number or null."""
    assert getattr(parsed(**{field: text}), field) == text


@pytest.mark.parametrize("value", [0, 2139, 1.5, True, [], ["a"], {}, {"a": None}])
@pytest.mark.parametrize("field", Complaint._fields[1:])
def test_a_value_of_another_type_is_rejected(field: str, value: object) -> None:
    """Only text and null are valid; the error has the field and the value."""
    error = rejected(**{field: value})

    assert error.field == field
    assert repr(value) in error.detail


def test_the_message_about_a_huge_value_is_short() -> None:
    """The error quotes only the beginning of a long or deeply nested value."""
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]

    assert len(str(rejected(company=["x" * 10**6] * 99))) < 400
    assert len(str(rejected(company=deep))) < 400
    assert len(str(rejected(complaint_id=deep))) < 400
    assert len(str(rejected(complaint_id="9" * 10**6))) < 400
    assert len(str(rejected(date_received="9" * 10**6))) < 400


# --- ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", "7", "17800720", str(2**63 - 1)])
def test_an_id_is_a_plain_number_as_text(value: str) -> None:
    """Ids up to the largest integer of SQLite are valid."""
    assert parsed(complaint_id=value).complaint_id == int(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing"),
        ("", "is missing"),
        ("None", "not a plain number"),
        (17800720, "not a plain number"),
        (True, "not a plain number"),
        (["1"], "not a plain number"),
        ({}, "not a plain number"),
        ("007", "not a plain number"),
        ("-7", "not a plain number"),
        ("+7", "not a plain number"),
        ("1_000", "not a plain number"),
        ("7.0", "not a plain number"),
        ("7e3", "not a plain number"),
        (" 7", "not a plain number"),
        ("7\n", "not a plain number"),
        ("\u0667", "not a plain number"),
        ("\uff17", "not a plain number"),
        ("\xb2", "not a plain number"),
        ("1\u0667", "not a plain number"),
        (str(2**63), "too large"),
        ("9" * 5_000, "too large"),
    ],
)
def test_other_ids_are_rejected(value: object, problem: str) -> None:
    """The error says why it is not an id, or not the only form of one."""
    error = rejected(complaint_id=value)

    assert error.field == "complaint_id"
    assert problem in error.detail


def test_a_missing_id_is_rejected() -> None:
    """The column itself may be missing."""
    fields = {name: value for name, value in FIELDS_15.items() if name != "complaint_id"}

    with pytest.raises(InvalidFieldError, match="complaint_id is missing"):
        parse_fields(fields)
