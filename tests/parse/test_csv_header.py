"""The header of CSV files of every era, and the newest day in a file."""

from __future__ import annotations

import pytest

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import ALWAYS_SENT, CSV_COLUMNS
from cfpb_etl.parse import csv_process
from cfpb_etl.parse.csv_process import newest_day
from cfpb_etl.parse.errors import UnexpectedColumnsError
from support.csv_files import (
    FIELDS,
    PATH,
    TITLE_OF,
    TITLES_15,
    TITLES_16,
    TITLES_18,
    TITLES_19,
    csv_of,
    fields_of,
    lines_of,
    read,
    read_one,
)


@pytest.mark.parametrize("titles", [TITLES_15, TITLES_16, TITLES_18, TITLES_19], ids=len)
@pytest.mark.parametrize("order", [list, reversed, sorted])
def test_every_era_in_any_order(titles: list[str], order: type[list[str]]) -> None:
    """A file fills its columns, in any order, and the others are NULL."""
    (complaint,), rows = read(csv_of(fields_of(), titles=[*order(titles)]))

    expected = {name: FIELDS[t] if t in titles else None for t, name in CSV_COLUMNS.items()}
    assert complaint._asdict() == expected | {"complaint_id": 3384392}
    assert rows.header.places.keys() == {CSV_COLUMNS[t] for t in titles if t in CSV_COLUMNS}
    assert rows.header.unknown == {*titles} - {*TITLES_18}


@pytest.mark.parametrize("name", ["complaint_id", "date_received"])
def test_the_id_and_the_day_received_are_required(name: str) -> None:
    """They are checked before any row is read."""
    titles = [title for title in TITLES_18 if title != TITLE_OF[name]]

    with pytest.raises(UnexpectedColumnsError, match="lacks") as caught:
        read(csv_of(fields_of(), titles=titles))

    assert (caught.value.missing, caught.value.repeated) == ([TITLE_OF[name]], [])
    assert (caught.value.path, list(caught.value.found)) == (PATH, titles)


@pytest.mark.parametrize("name", sorted({*ALWAYS_SENT} - {"complaint_id", "date_received"}))
def test_a_file_may_lack_any_other_column(name: str) -> None:
    """The column is not carried, so it erases nothing."""
    titles = [title for title in TITLES_18 if title != TITLE_OF[name]]

    (complaint,), rows = read(csv_of(fields_of(), titles=titles))

    assert getattr(complaint, name) is None
    assert {*rows.header.places} == {*CSV_COLUMNS.values()} - {name}


@pytest.mark.parametrize(
    ("titles", "repeated"),
    [
        ([*TITLES_15, "State"], ["State", "State"]),
        ([*TITLES_15, "STATE"], ["State", "STATE"]),
        (
            [*TITLES_15, "Company response"],
            ["Company response to consumer", "Company response"],
        ),
        ([*TITLES_15, "complaint_id"], ["Complaint ID", "complaint_id"]),
    ],
)
def test_two_titles_of_a_column_are_an_error(titles: list[str], repeated: list[str]) -> None:
    """It is not known which of the two counts, even if one is CFPB's own."""
    with pytest.raises(UnexpectedColumnsError, match="more than one title for a column") as caught:
        read(csv_of(titles=titles))

    assert (caught.value.missing, caught.value.repeated) == ([], repeated)


@pytest.mark.parametrize(
    "content", ["\r\n", "No header\r\n", csv_of(fields_of()).split("\r\n", 1)[1], "\0\x1b[31m"]
)
def test_another_file_is_an_error(content: str) -> None:
    """The error has the start of the first line."""
    with pytest.raises(UnexpectedColumnsError, match="its header lacks Date received"):
        read(content)


def test_unknown_columns_are_shortened() -> None:
    """A long title is cut, invalid UTF-8 becomes a question mark, and "" is ignored."""
    header = b",".join([*(t.encode() for t in TITLES_15), b"caf\xe9", b"x" * 200, b"", b" "])

    _, rows = read(header)

    assert rows.header.unknown == {"caf?", "x" * 60}


def test_spaces_around_a_title_are_ignored() -> None:
    """They are ignored in a repeated header too."""
    header = ", ".join(TITLES_18) + " \n"
    (complaint,), rows = read(header + header + csv_of(fields_of()).split("\r\n", 1)[1])

    assert complaint == read_one()
    assert rows.read_stats.repeated_headers == 1


@pytest.mark.parametrize("quoted", [True, False])
def test_a_byte_order_mark(*, quoted: bool) -> None:
    """It is not a part of the first title, quoted or not."""
    text = csv_of(fields_of())
    text = text.replace("Date received", '"Date received"', 1) if quoted else text

    assert read(text.encode("utf-8-sig"))[0] == [read_one()]


# --- the newest day -------------------------------------------------------------------------


def test_the_newest_day() -> None:
    """It is the latest of all rows, in any order; invalid days are ignored."""
    days = ["2019-09-24", "2023-03-11", "9/24/99", "", "2022-01-01"]
    rows = [fields_of(number, date_received=day) for number, day in enumerate(days)]
    content = csv_of(*rows, "\n", "x\n", csv_of(), '"a"b\n', titles=TITLES_18[::-1])

    assert newest_day(lines_of(content), PATH) == "2023-03-11"


@pytest.mark.parametrize("odd", ["2025-13-45", "2025-02-29", "2025-01-0", "soon"])
def test_the_newest_day_is_a_day_of_the_calendar(odd: str) -> None:
    """A moment has the day as it is written; an impossible day is ignored."""
    days = ["2024-11-04", "2024-11-05T23:00:00-05:00", "2023-03-11T14:26:56.000Z", odd]
    rows = [fields_of(number, date_received=day) for number, day in enumerate(days)]

    assert newest_day(lines_of(csv_of(*rows)), PATH) == "2024-11-05"


def test_no_newest_day() -> None:
    """A file without a valid day has none."""
    assert newest_day(lines_of(csv_of(fields_of(date_received="None"))), PATH) is None


def test_the_newest_day_of_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors are the same as when it is read."""
    monkeypatch.setattr(csv_process, "MAX_FIELD", 1_000)
    endless = csv_of(fields_of(1), '"' + "x\n" * 1_000)

    with pytest.raises(UnreadableFileError, match="it is empty"):
        newest_day(lines_of(""), PATH)
    with pytest.raises(UnexpectedColumnsError):
        newest_day(lines_of("x"), PATH)
    with pytest.raises(UnreadableFileError, match=r"is not valid CSV: field larger than"):
        newest_day(lines_of(endless), PATH)
