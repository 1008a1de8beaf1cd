"""The rows of CSV files as complaints, also unusual and invalid ones."""

from __future__ import annotations

import csv
import io
import os
import re
from itertools import chain, repeat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import CSV_COLUMNS, Complaint
from cfpb_etl.model.load_stats import MAX_WARNINGS
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse.csv_format import rows as csv_format_rows
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.errors import InvalidFieldError, UnclosedQuoteError
from cfpb_etl.parse.values import parse_fields
from support.csv_files import (
    OPTIONS,
    PATH,
    TITLE_OF,
    TITLES_18,
    csv_of,
    fields_of,
    lines_of,
    read,
    read_one,
    unreadable,
)
from support.soak import soak

RECORDED = Path(os.environ.get("CFPB_ETL_RECORDINGS", ""), "bulk-csv-18col-2018-2020.csv")


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("consumer_disputed", "N/A"),
        ("consumer_consent_provided", "N/A"),
        ("zip_code", "02139"),
        ("zip_code", "391XX"),
        ("tags", "Older American, Servicemember"),
        ("state", "UNITED STATES MINOR OUTLYING ISLANDS"),
        ("sub_product", "Traveler’s/Cashier’s checks"),
        ("company", "null"),
        ("company", " M&T BANK, N.A. "),
        ("issue", "a\0b"),
        ("complaint_what_happened", "one\ntwo\r\nthree\rfour\u2028five\x0bsix\n\n"),
        ("complaint_what_happened", 'They said "no", ""never"", "'),
        ("complaint_what_happened", "None of it was mine"),
        ("complaint_what_happened", "x" * 131_072 + "’" * 1_000),
        ("complaint_what_happened", "\U0001f3e6 中文"),
    ],
)
def test_text_is_kept_as_it_is(name: str, text: str) -> None:
    """It is not stripped, split, shortened or taken for a number or null."""
    assert getattr(read_one(**{name: text}), name) == text


@pytest.mark.parametrize("empty", ["", "None"])
@pytest.mark.parametrize("name", Complaint._fields[1:])
def test_empty_values_are_null(name: str, empty: str) -> None:
    """An empty field and "None" are NULL, in dates too."""
    assert getattr(read_one(**{name: empty}), name) is None


@pytest.mark.parametrize(
    "text", ["2023-03-11", "2023-03-11T12:00:00-05:00", "2023-03-11T23:26:56.000Z"]
)
def test_date_formats(text: str) -> None:
    """Each format gives the day as it is written."""
    assert read_one(date_received=text).date_received == "2023-03-11"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n\r\n\n"])
def test_line_ends(end: str, last: str) -> None:
    """All three line ends are accepted, and the last line needs none."""
    text = csv_of(fields_of(1), fields_of(2, timely="No"), end=end).removesuffix(end)

    complaints, rows = read(text + last)

    assert [(each.complaint_id, each.timely) for each in complaints] == [(1, "Yes"), (2, "No")]
    assert rows.read_stats == ReadStats(rows=2)


def test_quotes_around_everything() -> None:
    """A file may quote every field, an empty one too."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [TITLES_18, [fields_of(sub_issue="")[title] for title in TITLES_18]]
    )

    assert read(text.getvalue())[0] == [read_one(sub_issue="")]


@pytest.mark.skipif(not RECORDED.is_file(), reason="CFPB_ETL_RECORDINGS names no folder with it")
def test_a_real_file_is_read_completely() -> None:
    """No field of 93 real complaints is lost; the header that its author repeated is reported."""
    with RECORDED.open(encoding="utf-8", newline="") as file:
        header, *raw = csv.reader(file)
    raw.remove(header)

    complaints, rows = read(RECORDED.read_bytes())

    assert len(complaints) == len(raw) == len(rows.ids) == 93
    for complaint, values in zip(complaints, raw, strict=True):
        assert str(complaint.complaint_id) == values[-1]
        assert [*complaint[1:]] == [
            None if values[header.index(title)] in ("", "None") else values[header.index(title)]
            for title in map(TITLE_OF.__getitem__, Complaint._fields[1:])
        ]
    (warning,) = rows.read_stats.warnings
    assert rows.read_stats == ReadStats(rows=93, repeated_headers=1, warnings=[warning])
    line = int(warning.split()[1].strip(":"))
    assert RECORDED.read_text().splitlines()[line - 1] == ",".join(header)


# --- unusual rows ---------------------------------------------------------------------------


def test_only_a_header() -> None:
    """A file without rows is not an error."""
    complaints, rows = read(csv_of())

    assert (complaints, rows.read_stats, len(rows.ids)) == ([], ReadStats(), 0)


def test_empty_lines_are_ignored() -> None:
    """They count only for the line numbers."""
    complaints, rows = read(
        csv_of("\r\n\r\n", fields_of(1), "\n", fields_of(2), fields_of("x"), "\n\n")
    )

    assert [each.complaint_id for each in complaints] == [1, 2]
    (warning,) = rows.read_stats.warnings
    assert warning.startswith("line 7: ")


def test_a_repeated_header_is_reported() -> None:
    """It has a count of its own, and is not a rejected row."""
    complaints, rows = read(csv_of(fields_of(1), csv_of(fields_of(2))))

    assert [each.complaint_id for each in complaints] == [1, 2]
    assert rows.read_stats == ReadStats(
        rows=2, repeated_headers=1, warnings=["line 3: the header is repeated"]
    )


@pytest.mark.parametrize("between", [0, 3, 498, 499, 500, 1_200])
@pytest.mark.parametrize("odd", [True, False], ids=["beside an unusual row", "by itself"])
def test_a_duplicate(between: int, *, odd: bool) -> None:
    """Both copies are returned in their order, and the later one is reported."""
    filling = [fields_of(number) for number in range(10, 10 + between)]
    last = csv_of() if odd else ""

    complaints, rows = read(csv_of(fields_of(7), *filling, fields_of(7, timely="No"), last))

    twice = [each for each in complaints if each.complaint_id == 7]
    assert [each.timely for each in twice] == ["Yes", "No"]
    assert (rows.read_stats.rows, rows.read_stats.duplicates) == (between + 2, 1)
    assert len(rows.ids) == between + 1
    assert rows.read_stats.warnings[0] == (
        f"line {between + 3:,}: complaint 7 occurs again; the last copy counts"
    )


def test_three_copies() -> None:
    """Each copy after the first is a duplicate."""
    _, rows = read(csv_of(fields_of(7), fields_of(7), fields_of(8), fields_of(7)))

    assert (rows.read_stats.rows, rows.read_stats.duplicates) == (4, 2)


OTHER_WIDTH = "2019-09-24,Mortgage\r\n"
NO_UTF_8 = fields_of(company="caf\udce9")
REJECTED: list[tuple[dict[str, str] | str, str, set[int], int]] = [
    (fields_of(number=""), "complaint_id is missing", set(), 0),
    (fields_of(number="None"), "complaint_id is missing", set(), 0),
    (fields_of(number="7.5"), "complaint_id is '7.5'", set(), 1),
    (fields_of(number="007"), "complaint_id is '007'", set(), 1),
    (fields_of(number=2**63), "too large a number", set(), 1),
    (fields_of(number="x", date_received="24/19"), "'24/19', not a date", set(), 1),
    (fields_of(number=5, date_received="24/19"), "'24/19', not a date", {5}, 0),
    (fields_of(number=5, date_sent_to_company="2019-02-29"), "'2019-02-29', not a date", {5}, 0),
    (fields_of(number="", date_received="x"), "not a date", set(), 0),
    (NO_UTF_8, "company is not valid UTF-8", {3384392}, 0),
    (OTHER_WIDTH, "2 fields where the header has 18", set(), 1),
    ("x" + 18 * ",x\n", "2 fields where the header has 18", set(), 18),
    (',"a"b,c\r\n', "',' expected after '\"'", set(), 1),
    ('"a" ,c\r\n', "',' expected after '\"'", set(), 1),
]


@pytest.mark.parametrize(("row", "problem", "ids", "without_id"), REJECTED)
def test_a_row_that_is_not_valid_is_rejected(
    row: dict[str, str] | str, problem: str, ids: set[int], without_id: int
) -> None:
    """It is counted and reported, its id is noted if it has one, and the other rows are read."""
    content = csv_of(fields_of(1), row, fields_of(2)).encode(errors="surrogateescape")
    rejected = max(1, without_id)

    complaints, rows = read(content)

    assert [each.complaint_id for each in complaints] == [1, 2]
    read_stats = rows.read_stats
    assert (read_stats.rows, read_stats.rejected, read_stats.without_id) == (
        2,
        rejected,
        without_id,
    )
    assert len(read_stats.warnings) == rejected
    assert read_stats.warnings[0].startswith("line 3: ")
    assert problem in read_stats.warnings[0]
    assert {*rows.ids} == {1, 2} | ids


def test_a_rejected_row_is_not_a_duplicate() -> None:
    """A valid row does not repeat a rejected row with the same id."""
    bad = fields_of(5, date_received="x")

    _, rows = read(csv_of(bad, fields_of(5), bad))

    read_stats = rows.read_stats
    assert (read_stats.rows, read_stats.duplicates, read_stats.rejected) == (1, 0, 2)
    assert {*rows.ids} == {5}


def test_only_the_first_warnings_are_kept() -> None:
    """All rows are counted, and the first twenty are reported."""
    _, rows = read(csv_of(*[fields_of("x")] * 30, *[fields_of(1)] * 3))

    assert (rows.read_stats.rejected, rows.read_stats.duplicates) == (30, 2)
    assert len(rows.read_stats.warnings) == MAX_WARNINGS == 20
    assert rows.read_stats.warnings[-1].startswith("line 21: ")


@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r", "\n\r", "\r\r\n\n"])
@pytest.mark.parametrize("before", [0, 1, 499, 500, 501])
def test_line_numbers_are_those_of_an_editor(inner: str, before: int) -> None:
    """Any line end within a field counts, before a fault and after it."""
    texts = {"complaint_what_happened": f"one{inner}two", "company": f"{inner}x{inner}"}
    good = [fields_of(number, **texts) for number in range(before + 1)]
    fault = f'a,"b{inner}"c,d\r\n'

    _, rows = read(csv_of(*good[1:], fault, good[0], fields_of("x"), fault, fields_of("y")))

    ends = len(re.findall("\r\n|\r|\n", inner))
    height = 1 + 3 * ends
    first = 2 + before * height
    last = first + (1 + ends) + height + 1
    assert [each.partition(":")[0] for each in rows.read_stats.warnings] == [
        f"line {line:,}" for line in (first, last - 1, last, last + 1 + ends)
    ]


def test_the_line_number_of_a_late_fault() -> None:
    """It is right beyond the first batch of rows."""
    filling = [fields_of(n, complaint_what_happened="a\r\nb") for n in range(1, 1_301)]

    complaints, rows = read(csv_of(*filling, '"a"b\n', *filling[:1]))

    assert len(complaints) == 1_301
    assert rows.read_stats.warnings == [
        "line 2,602: ',' expected after '\"'",
        "line 2,603: complaint 1 occurs again; the last copy counts",
    ]


def test_rows_before_a_fault_are_returned_first() -> None:
    """No row is lost or moved by the fault after it."""
    rows = ComplaintRows(
        lines_of(csv_of(fields_of(1), fields_of(2), '"a"b\n', fields_of(3))), PATH, OPTIONS
    )

    assert [[each.complaint_id for each in batch.complaints] for batch in rows] == [[1, 2], [3]]


# --- files that cannot be read --------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\ufeff"])
def test_an_empty_file(content: str) -> None:
    """It has no header."""
    assert unreadable(content) == "it is empty"


@pytest.mark.parametrize("content", ['"Date received', '"Date" received,Product\n'])
def test_a_header_that_is_not_csv(content: str) -> None:
    """A misplaced quote in the first line is an error."""
    assert unreadable(content).startswith("its first line is not valid CSV: ")


def test_a_quote_that_is_open_at_the_end() -> None:
    """It may contain any number of complaints, so the file is rejected."""
    content = csv_of(fields_of(1), fields_of(2, company="a\nb"), '1,"2,3\n', *["4,5\n"] * 900)

    with pytest.raises(UnclosedQuoteError, match=r"a quote in line 5 is never closed"):
        read(content)


def test_a_quote_that_is_never_closed() -> None:
    """The rest is not kept in memory, and not read to its end."""
    endless = chain(
        lines_of(csv_of(fields_of(1)) + '1,"2\n'), repeat("no end of it " * 1_000 + "\n")
    )
    rows = iter(ComplaintRows(endless, PATH, OPTIONS))

    with pytest.raises(UnclosedQuoteError, match=r"line 3 is not closed within 16,777,216"):
        next(rows)


# --- any rows -------------------------------------------------------------------------------

ANY_TEXT = st.text(st.sampled_from('ab,"\r\n\0 ’é\u2028'), max_size=6)
FIELD_LISTS = st.fixed_dictionaries(
    {
        "complaint_id": st.sampled_from(["1", "2", "10", "999999999999999999", "0", "", "None"])
        | st.integers(0, 2**64).map(str)
        | ANY_TEXT,
        "date_received": st.sampled_from(["2019-09-24", "2019-02-29", "", "2019-09-24T12:00:00Z"]),
        "company": ANY_TEXT | st.sampled_from(["None", "x" * 300]),
        "complaint_what_happened": ANY_TEXT,
        "date_sent_to_company": st.just("2019-09-24") | ANY_TEXT,
    }
).map(lambda changed: [*fields_of(changed.pop("complaint_id"), **changed).values()][:18])
ROWS = st.lists(
    FIELD_LISTS | st.just(TITLES_18) | st.lists(ANY_TEXT, max_size=20) | st.just([]), max_size=25
)


@given(rows=ROWS, batch_size=st.integers(1, 8))
@settings(deadline=None, derandomize=True, max_examples=soak(100, 3_000))
def test_batches_are_the_rows_one_by_one(rows: list[list[str]], batch_size: int) -> None:
    """For any rows, the complaints, counts and line numbers are those of a simple loop."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(TITLES_18)
    expected: list[Complaint] = []
    ids, counts, lines = (
        set[int](),
        dict.fromkeys(("duplicates", "repeated_headers", "rejected"), 0),
        [],
    )
    for row in rows:
        line = 1 + len(re.findall("\r\n|\r|\n", text.getvalue()))
        writer.writerow(row)
        what = ""
        try:
            if row == TITLES_18:
                what = "repeated_headers"
            elif {*row} - {"", "None"} and "".join(row).strip():
                fields = dict(zip(CSV_COLUMNS.values(), row, strict=True))
                expected.append(parse_fields(fields))
                number = expected[-1].complaint_id
                what = "duplicates" if number in ids else ""
                ids.add(number)
        except (InvalidFieldError, ValueError):
            what = "rejected"
        if what:
            counts[what] += 1
            lines.append(line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_format_rows, "_BATCH", batch_size)
        complaints, read_rows = read(text.getvalue())

    assert complaints == expected
    assert {name: getattr(read_rows.read_stats, name) for name in counts} == counts
    assert read_rows.read_stats.rows == len(expected)
    assert {*read_rows.ids} >= ids
    assert [each.partition(":")[0] for each in read_rows.read_stats.warnings] == [
        f"line {line}" for line in lines[:MAX_WARNINGS]
    ]


@given(st.binary(max_size=200) | st.text(st.sampled_from('1,"\r\n'), max_size=60).map(str.encode))
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_any_bytes_are_rows_or_an_error(after: bytes) -> None:
    """Whatever follows the header, it is counted or raises UnreadableFileError."""
    header = csv_of().encode()
    try:
        complaints, rows = read(header + after)
    except (UnreadableFileError, UnclosedQuoteError):
        return
    assert complaints == []
    assert rows.read_stats.rows == rows.read_stats.duplicates == 0
    is_blank = not re.sub('[",]', "", after.decode(errors="replace")).strip()
    assert is_blank or rows.read_stats.rejected > 0
