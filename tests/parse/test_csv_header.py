"""The header of CSV files of every era, and the newest day in a file."""

from __future__ import annotations

import pytest

from cfpb_etl.model.complaint import ALWAYS_SENT, CSV_COLUMNS
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


def row_names(*texts: str, named: int) -> str:
    """Return the lines of rows with these narratives; the first rows start with a row name."""
    lines = [
        csv_of(fields_of(n, complaint_what_happened="~")).partition("\r\n")[2].replace("~", text)
        for n, text in enumerate(texts, 1)
    ]
    return "".join([*(f'"{n}",{line}' for n, line in enumerate(lines[:named])), *lines[named:]])


@pytest.mark.parametrize("text", ["x", r'"say \"no\", I said"', '"a\r\nb"', r'"a \"\r\nb\", c"'])
@pytest.mark.parametrize("rows", [2, 3, 40])
def test_row_names_without_a_title(rows: int, text: str) -> None:
    """R's `write.table` writes them."""
    complaints, reader = read(csv_of() + row_names(*[text] * rows, named=rows))

    assert [each.complaint_id for each in complaints] == [*range(1, rows + 1)]
    assert reader.read_stats.warnings == []


@pytest.mark.parametrize(("rows", "named"), [(2, 1), (3, 1), (10, 5), (40, 5), (1, 1)])
def test_a_few_rows_with_a_field_too_many(rows: int, named: int) -> None:
    """Each of them is rejected, and the other rows are read."""
    complaints, reader = read(csv_of() + row_names(*["x"] * rows, named=named))

    assert [each.complaint_id for each in complaints] == [*range(named + 1, rows + 1)]
    assert reader.read_stats.rejected == named
