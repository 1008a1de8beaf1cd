"""Turns the values of CSV files that other programs wrote into CFPB's own values.

The result of each function is again the text of a CSV field, and `parse/values.py` parses it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.parse.values import DATE_FIELDS, EMPTY, FREE_TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cfpb_etl.parse.csv_format.days import Days

# What R, pandas, Spark and database exports write for a missing value. CFPB writes none of these
# (docs/facts.md, "Missing values"). "N/A" is a value of CFPB.
NEVER_WRITTEN = frozenset({"NA"})  # in any column
MISSING = NEVER_WRITTEN | {"<NA>", "NaN", "nan", "NaT", "NULL", "null", r"\N"}
_EMPTY_OR_MISSING = EMPTY | MISSING

# A company or a narrative may be called "NULL". Except for "NA", these texts count as missing only
# in a row that has the same text for a missing value in another column.
CODED = tuple(name for name in Complaint._fields if name not in FREE_TEXT)

YES_OR_NO = ("timely", "consumer_disputed")
_YES_OR_NO = {"true": "Yes", "True": "Yes", "TRUE": "Yes"}
_YES_OR_NO |= {"false": "No", "False": "No", "FALSE": "No"}

# Values that CFPB's own files never have in a coded column.
FOREIGN = MISSING | _YES_OR_NO.keys()

_PLAIN_ID = re.compile("0|[1-9][0-9]*")
_DECIMAL_ID = re.compile("([1-9][0-9]*)[.,]0{1,2}")
_GROUPED_ID = re.compile(
    r"([1-9][0-9]{0,2}(?:(?:,[0-9]{3})+|(?:[. \xa0\u202f][0-9]{3}){2,}))(?:[.,]0{1,2})?"
)
_SCIENTIFIC_ID = re.compile(r"([1-9])(?:[.,]([0-9]+))?([eE])(\+?)([0-9]{1,2})")
_MAX_EXPONENT = 18  # SQLite's largest INTEGER has 19 digits


def plain_fields(fields: Mapping[str, str], days: Days) -> dict[str, str]:
    """Return the fields of a row with CFPB's own spellings. What is not known stays as it is.

    Args:
        fields: The texts by column name.
        days: The days of the file.
    """
    missing = NEVER_WRITTEN | MISSING.intersection(fields[n] for n in CODED if n in fields)
    plain = {
        name: "" if text in (missing if name in FREE_TEXT else _EMPTY_OR_MISSING) else text
        for name, text in fields.items()
    }
    for name in plain.keys() & YES_OR_NO:
        plain[name] = _YES_OR_NO.get(plain[name], plain[name])
    for name in plain.keys() & DATE_FIELDS:
        with suppress(ValueError):
            plain[name] = plain[name] and days[plain[name]]
    text = plain["complaint_id"]
    plain["complaint_id"] = plain_id(text) or text
    return plain


def plain_columns(columns: Mapping[str, Sequence[str]], days: Days) -> dict[str, Sequence[str]]:
    """Return the same values as `plain_fields`, but for whole columns.

    Raises:
        ValueError: If the rows must be parsed one by one.
    """
    plain: dict[str, Sequence[str]] = {}
    for name, column in columns.items():
        if name in FREE_TEXT:
            missing = MISSING.intersection(column)
            if missing - NEVER_WRITTEN:
                raise ValueError
            plain[name] = ["" if t in NEVER_WRITTEN else t for t in column] if missing else column
        elif name == "complaint_id":
            plain[name] = [plain_id(text) or "" for text in column]
        else:
            values = {text: "" if text in _EMPTY_OR_MISSING else text for text in {*column}}
            if name in YES_OR_NO:
                values |= {text: _YES_OR_NO.get(value, value) for text, value in values.items()}
            elif name in DATE_FIELDS:
                values |= {text: value and days[value] for text, value in values.items()}
            plain[name] = [values[text] for text in column]
    return plain


def is_empty(row: Sequence[str]) -> bool:
    """Say whether no cell of a row has a value."""
    return all(text in _EMPTY_OR_MISSING or text.isspace() for text in row)


def plain_id(text: str) -> str | None:
    """Return an id in plain digits; None if the text is not exactly one id.

    pandas writes `3000000.0`, Excel `3,000,000`, R `3e+06` and Java `1.23E7`. Excel also writes
    `3.38E+06`, in which digits are missing, so such a text is not an id (docs/facts.md, "Files
    saved by other programs").
    """
    text = text.strip()
    if _PLAIN_ID.fullmatch(text):
        return text
    if match := _DECIMAL_ID.fullmatch(text):
        return match[1]
    if match := _GROUPED_ID.fullmatch(text):
        return re.sub("[^0-9]", "", match[1])
    match = _SCIENTIFIC_ID.fullmatch(text)
    if match is None or int(match[5]) > _MAX_EXPONENT:
        return None
    first, rest, letter, sign, exponent = match.groups("")
    zeros = int(exponent) - len(rest)
    if zeros < 0:
        return None
    digits = first + rest + "0" * zeros
    # Every digit is written, or the text is what R or Java writes for exactly this number.
    is_r = letter == "e" and sign and len(text) < len(digits)
    is_java = letter == "E" and not sign
    return digits if zeros == 0 or is_r or is_java else None
