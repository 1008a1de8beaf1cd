"""What becomes of CFPB's CSV files of every era, and of all that can be odd in them."""

from __future__ import annotations

import csv
import io
import os
import re
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import ALWAYS_SENT, CSV_COLUMNS, Complaint
from cfpb_etl.model.load_stats import MAX_WARNINGS
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse import csv_rows
from cfpb_etl.parse.csv_rows import ComplaintRows, newest_day
from cfpb_etl.parse.errors import InvalidFieldError, UnexpectedColumnsError
from cfpb_etl.parse.values import parse_fields
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RECORDED = Path(os.environ.get("CFPB_ETL_RECORDINGS", ""), "bulk-csv-18col-2018-2020.csv")
PATH = Path("complaints.csv")

TITLES_18 = [*CSV_COLUMNS]
TITLES_16 = [t for t in TITLES_18 if t not in ("Consumer consent provided?", "Consumer disputed?")]
TITLES_15 = [t for t in TITLES_16 if t != "Consumer complaint narrative"]
TITLES_19 = [*TITLES_18, "Event tag"]
FIELDS = {
    "Date received": "2019-09-24",
    "Product": "Debt collection",
    "Sub-product": "I do not know",
    "Issue": "Attempts to collect debt not owed",
    "Sub-issue": "Debt is not yours",
    "Consumer complaint narrative": "They kept {$120.00} on XX/XX/XXXX.",
    "Company public response": "Company chooses not to provide a public response",
    "Company": "TRANSWORLD SYSTEMS INC",
    "State": "FL",
    "ZIP code": "335XX",
    "Tags": "Servicemember",
    "Consumer consent provided?": "Consent provided",
    "Submitted via": "Web",
    "Date sent to company": "2019-09-25",
    "Company response to consumer": "Closed with explanation",
    "Timely response?": "Yes",
    "Consumer disputed?": "N/A",
    "Complaint ID": "3384392",
    "Event tag": "x",
}
TITLE_OF = {name: title for title, name in CSV_COLUMNS.items()}


def made(number: object = 3384392, **changed: str) -> dict[str, str]:
    """Return the fields of a complaint, some of them changed by our names."""
    return (
        FIELDS
        | {TITLE_OF[name]: value for name, value in changed.items()}
        | {"Complaint ID": str(number)}
    )


def csv_of(
    *rows: dict[str, str] | str, titles: Sequence[str] = TITLES_18, end: str = "\r\n"
) -> str:
    """Return a file of complaints; what is given as text stands in it as it is."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(titles)
    for row in rows:
        if isinstance(row, str):
            text.write(row)
        else:
            writer.writerow([row[title] for title in titles])
    return text.getvalue()


def lines_of(content: str | bytes) -> Iterable[str]:
    """Return a file's lines as `opened` does."""
    raw = content.encode() if isinstance(content, str) else content
    return io.TextIOWrapper(io.BytesIO(raw), "utf-8-sig", errors="surrogateescape", newline="")


def read(content: str | bytes) -> tuple[list[Complaint], ComplaintRows]:
    """Read a file to its end; return its complaints, and what read them."""
    rows = ComplaintRows(lines_of(content), PATH)
    return [complaint for batch in rows for complaint in batch.complaints], rows


def read_one(**changed: str) -> Complaint:
    """Return the one complaint of a file, which holds nothing odd."""
    (complaint,), rows = read(csv_of(made(**changed)))
    assert rows.read_stats == ReadStats(rows=1)
    return complaint


def unreadable(content: str | bytes) -> str:
    """Return what is wrong with a file that cannot be read."""
    with pytest.raises(UnreadableFileError) as caught:
        read(content)
    assert caught.value.path == PATH
    return caught.value.detail


# --- the header -----------------------------------------------------------------------------


@pytest.mark.parametrize("titles", [TITLES_15, TITLES_16, TITLES_18, TITLES_19], ids=len)
@pytest.mark.parametrize("order", [list, reversed, sorted])
def test_every_era_in_any_order(titles: list[str], order: type[list[str]]) -> None:
    """A file fills the columns that it has, wherever they stand, and leaves the others NULL."""
    (complaint,), rows = read(csv_of(made(), titles=[*order(titles)]))

    expected = {name: FIELDS[t] if t in titles else None for t, name in CSV_COLUMNS.items()}
    assert complaint._asdict() == expected | {"complaint_id": 3384392}
    assert rows.header.places.keys() == {CSV_COLUMNS[t] for t in titles if t in CSV_COLUMNS}
    assert rows.header.unknown == {*titles} - {*TITLES_18}


@pytest.mark.parametrize("name", sorted(ALWAYS_SENT))
def test_a_missing_column_is_named(name: str) -> None:
    """What every file has had must be there, before any row is read."""
    titles = [title for title in TITLES_18 if title != TITLE_OF[name]]

    with pytest.raises(UnexpectedColumnsError, match="lacks") as caught:
        read(csv_of(made(), titles=titles))

    assert (caught.value.missing, caught.value.repeated) == ([TITLE_OF[name]], [])
    assert (caught.value.path, list(caught.value.found)) == (PATH, titles)


def test_a_column_that_comes_twice_is_named() -> None:
    """Nobody could tell which of the two counts."""
    with pytest.raises(UnexpectedColumnsError, match="has State more than once") as caught:
        read(csv_of(titles=[*TITLES_15, "State"]))

    assert (caught.value.missing, caught.value.repeated) == ([], ["State"])


@pytest.mark.parametrize(
    "content", ["\r\n", "No header\r\n", csv_of(made()).split("\r\n", 1)[1], "\0\x1b[31m"]
)
def test_a_file_of_anything_else(content: str) -> None:
    """A first line that is no header is told with how it begins."""
    with pytest.raises(UnexpectedColumnsError, match="its header lacks Date received"):
        read(content)


def test_unknown_columns_are_told_as_text_of_bounded_length() -> None:
    """A name is cut where it is told, what is no UTF-8 is a question mark, and "" is no name."""
    header = b",".join([*(t.encode() for t in TITLES_15), b"caf\xe9", b"x" * 200, b"", b" "])

    _, rows = read(header)

    assert rows.header.unknown == {"caf?", "x" * 60}


def test_spaces_around_a_column_do_not_matter() -> None:
    """Not in the header, nor where it stands again."""
    header = ", ".join(TITLES_18) + " \n"
    (complaint,), rows = read(header + header + csv_of(made()).split("\r\n", 1)[1])

    assert complaint == read_one()
    assert rows.read_stats.repeated_headers == 1


@pytest.mark.parametrize("quoted", [True, False])
def test_a_byte_order_mark(*, quoted: bool) -> None:
    """It is no part of the first column's name, quoted or not."""
    text = csv_of(made())
    text = text.replace("Date received", '"Date received"', 1) if quoted else text

    assert read(text.encode("utf-8-sig"))[0] == [read_one()]


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
    """Text is text: nothing is stripped, split, shortened or taken for a number or null."""
    assert getattr(read_one(**{name: text}), name) == text


@pytest.mark.parametrize("empty", ["", "None"])
@pytest.mark.parametrize("name", Complaint._fields[1:])
def test_each_spelling_of_nothing_is_null(name: str, empty: str) -> None:
    """An empty field and "None" are NULL, in dates too."""
    assert getattr(read_one(**{name: empty}), name) is None


@pytest.mark.parametrize(
    "text", ["2023-03-11", "2023-03-11T12:00:00-05:00", "2023-03-11T23:26:56.000Z"]
)
def test_date_spellings(text: str) -> None:
    """Each spelling gives the day as it is written."""
    assert read_one(date_received=text).date_received == "2023-03-11"


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n\r\n\n"])
def test_line_ends(end: str, last: str) -> None:
    """Every kind of line end is one, and the last line needs none."""
    text = csv_of(made(1), made(2, timely="No"), end=end).removesuffix(end)

    complaints, rows = read(text + last)

    assert [(each.complaint_id, each.timely) for each in complaints] == [(1, "Yes"), (2, "No")]
    assert rows.read_stats == ReadStats(rows=2)


def test_quotes_around_everything() -> None:
    """A file may quote every field, an empty one too."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [TITLES_18, [made(sub_issue="")[title] for title in TITLES_18]]
    )

    assert read(text.getvalue())[0] == [read_one(sub_issue="")]


@pytest.mark.skipif(not RECORDED.is_file(), reason="CFPB_ETL_RECORDINGS names no folder with it")
def test_a_real_file_is_read_whole() -> None:
    """Of 93 real complaints no field is lost; the header that its author repeated is told."""
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
    (remark,) = rows.read_stats.warnings
    assert rows.read_stats == ReadStats(rows=93, repeated_headers=1, warnings=[remark])
    line = int(remark.split()[1].strip(":"))
    assert RECORDED.read_text().splitlines()[line - 1] == ",".join(header)


# --- rows that are odd ----------------------------------------------------------------------


def test_only_a_header() -> None:
    """A file without rows is none of complaints, and no error."""
    complaints, rows = read(csv_of())

    assert (complaints, rows.read_stats, len(rows.ids)) == ([], ReadStats(), 0)


def test_empty_lines_are_nothing() -> None:
    """They are not counted, but as lines they are."""
    complaints, rows = read(csv_of("\r\n\r\n", made(1), "\n", made(2), made("x"), "\n\n"))

    assert [each.complaint_id for each in complaints] == [1, 2]
    (remark,) = rows.read_stats.warnings
    assert remark.startswith("line 7: ")


def test_a_header_in_the_middle_is_told() -> None:
    """It is counted by itself, and not as a rejected row."""
    complaints, rows = read(csv_of(made(1), csv_of(made(2))))

    assert [each.complaint_id for each in complaints] == [1, 2]
    assert rows.read_stats == ReadStats(
        rows=2, repeated_headers=1, warnings=["line 3: the header is repeated"]
    )


@pytest.mark.parametrize("between", [0, 3, 498, 499, 500, 1_200])
@pytest.mark.parametrize("odd", [True, False], ids=["beside an odd row", "by itself"])
def test_an_id_that_comes_twice(between: int, *, odd: bool) -> None:
    """Both copies are handed over in their order, and the later one is told."""
    filling = [made(number) for number in range(10, 10 + between)]
    last = csv_of() if odd else ""

    complaints, rows = read(csv_of(made(7), *filling, made(7, timely="No"), last))

    twice = [each for each in complaints if each.complaint_id == 7]
    assert [each.timely for each in twice] == ["Yes", "No"]
    assert (rows.read_stats.rows, rows.read_stats.duplicates) == (between + 2, 1)
    assert len(rows.ids) == between + 1
    assert rows.read_stats.warnings[0] == (
        f"line {between + 3:,}: complaint 7 occurs again; the last copy counts"
    )


def test_an_id_that_comes_three_times() -> None:
    """Every copy after the first is one."""
    _, rows = read(csv_of(made(7), made(7), made(8), made(7)))

    assert (rows.read_stats.rows, rows.read_stats.duplicates) == (4, 2)


OTHER_WIDTH = "2019-09-24,Mortgage\r\n"
NO_UTF_8 = made(company="caf\udce9")
REJECTED: list[tuple[dict[str, str] | str, str, set[int], int]] = [
    (made(number=""), "complaint_id is missing", set(), 0),
    (made(number="None"), "complaint_id is 'None'", set(), 0),
    (made(number="7.0"), "complaint_id is '7.0'", set(), 1),
    (made(number="007"), "complaint_id is '007'", set(), 1),
    (made(number=2**63), "too large a number", set(), 1),
    (made(number="x", date_received="9/24/19"), "'9/24/19', not a date", set(), 1),
    (made(number=5, date_received="9/24/19"), "'9/24/19', not a date", {5}, 0),
    (made(number=5, date_sent_to_company="2019-02-29"), "'2019-02-29', not a date", {5}, 0),
    (made(number="", date_received="x"), "not a date", set(), 0),
    (NO_UTF_8, "company is not valid UTF-8", {3384392}, 0),
    (OTHER_WIDTH, "2 fields where the header has 18", set(), 1),
    ("x" + 18 * ",\n", "2 fields where the header has 18", set(), 18),
    (',"a"b,c\r\n', "',' expected after '\"'", set(), 1),
    ('"a" ,c\r\n', "',' expected after '\"'", set(), 1),
]


@pytest.mark.parametrize(("row", "problem", "ids", "nameless"), REJECTED)
def test_a_row_that_is_no_complaint_costs_itself(
    row: dict[str, str] | str, problem: str, ids: set[int], nameless: int
) -> None:
    """It is counted and told, its id is known where it tells one, and the others are read."""
    content = csv_of(made(1), row, made(2)).encode(errors="surrogateescape")
    rejected = max(1, nameless)

    complaints, rows = read(content)

    assert [each.complaint_id for each in complaints] == [1, 2]
    read_stats = rows.read_stats
    assert (read_stats.rows, read_stats.rejected, read_stats.without_id) == (2, rejected, nameless)
    assert len(read_stats.warnings) == rejected
    assert read_stats.warnings[0].startswith("line 3: ")
    assert problem in read_stats.warnings[0]
    assert {*rows.ids} == {1, 2} | ids


def test_a_rejected_copy_is_no_copy() -> None:
    """The complaint that came well is not repeated because a row that was rejected has its id."""
    bad = made(5, date_received="x")

    _, rows = read(csv_of(bad, made(5), bad))

    read_stats = rows.read_stats
    assert (read_stats.rows, read_stats.duplicates, read_stats.rejected) == (1, 0, 2)
    assert {*rows.ids} == {5}


def test_the_first_remarks_are_kept() -> None:
    """All is counted, and the first twenty are told."""
    _, rows = read(csv_of(*[made("x")] * 30, *[made(1)] * 3))

    assert (rows.read_stats.rejected, rows.read_stats.duplicates) == (30, 2)
    assert len(rows.read_stats.warnings) == MAX_WARNINGS == 20
    assert rows.read_stats.warnings[-1].startswith("line 21: ")


@pytest.mark.parametrize("inner", ["\n", "\r\n", "\r", "\n\r", "\r\r\n\n"])
@pytest.mark.parametrize("before", [0, 1, 499, 500, 501])
def test_lines_are_counted_as_an_editor_does(inner: str, before: int) -> None:
    """Line ends of any kind within fields count, before a fault and after it."""
    texts = {"complaint_what_happened": f"one{inner}two", "company": f"{inner}x{inner}"}
    good = [made(number, **texts) for number in range(before + 1)]
    fault = f'a,"b{inner}"c,d\r\n'

    _, rows = read(csv_of(*good[1:], fault, good[0], made("x"), fault, made("y")))

    ends = len(re.findall("\r\n|\r|\n", inner))
    height = 1 + 3 * ends
    first = 2 + before * height
    last = first + (1 + ends) + height + 1
    assert [each.partition(":")[0] for each in rows.read_stats.warnings] == [
        f"line {line:,}" for line in (first, last - 1, last, last + 1 + ends)
    ]


def test_a_fault_far_down_is_told_with_its_line() -> None:
    """Also beyond the first rows that are read at once."""
    filling = [made(n, complaint_what_happened="a\r\nb") for n in range(1, 1_301)]

    complaints, rows = read(csv_of(*filling, '"a"b\n', *filling[:1]))

    assert len(complaints) == 1_301
    assert rows.read_stats.warnings == [
        "line 2,602: ',' expected after '\"'",
        "line 2,603: complaint 1 occurs again; the last copy counts",
    ]


def test_what_came_before_a_fault_is_handed_over_first() -> None:
    """Batches are whole: no row is lost or moved by the fault that follows it."""
    rows = ComplaintRows(lines_of(csv_of(made(1), made(2), '"a"b\n', made(3))), PATH)

    assert [[each.complaint_id for each in batch.complaints] for batch in rows] == [[1, 2], [3]]


# --- what is no file of complaints ----------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\ufeff"])
def test_an_empty_file(content: str) -> None:
    """Nothing at all is not even a header."""
    assert unreadable(content) == "it is empty"


@pytest.mark.parametrize("content", ['"Date received', '"Date" received,Product\n'])
def test_a_header_that_is_no_csv(content: str) -> None:
    """A quote that is out of place in the first line is told as that."""
    assert unreadable(content).startswith("its first line is not valid CSV: ")


def test_a_quote_that_is_open_at_the_end() -> None:
    """How many complaints it swallowed nobody knows, so that the file is refused."""
    content = csv_of(made(1), made(2, company="a\nb"), '1,"2,3\n', *[made(3)] * 900)

    assert unreadable(content) == (
        "the row that starts in line 5 does not end (unexpected end of data); a quote in it may"
        " never be closed"
    )


def test_a_quote_that_is_never_closed_is_given_up() -> None:
    """However much follows: it is not all kept, nor read for hours."""
    endless = chain(lines_of(csv_of(made(1)) + '1,"2\n'), repeat("no end of it " * 1_000 + "\n"))
    rows = iter(ComplaintRows(endless, PATH))

    assert len(next(rows).complaints) == 1
    with pytest.raises(UnreadableFileError, match=r"line 3 does not end \(field larger than"):
        next(rows)


# --- the whole ------------------------------------------------------------------------------

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
).map(lambda changed: [*made(changed.pop("complaint_id"), **changed).values()][:18])
ROWS = st.lists(
    FIELD_LISTS | st.just(TITLES_18) | st.lists(ANY_TEXT, max_size=20) | st.just([]), max_size=25
)


@given(rows=ROWS, at_once=st.integers(1, 8))
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_rows_at_once_are_the_rows_one_by_one(rows: list[list[str]], at_once: int) -> None:
    """Whatever stands in the rows: complaints, counts and lines are those of a plain read_stats."""
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
            elif row:
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
        patch.setattr(csv_rows, "_BATCH", at_once)
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
def test_any_bytes_are_rows_or_our_own_error(after: bytes) -> None:
    """Whatever follows the header, it is counted as something or refused by name."""
    header = csv_of().encode()
    try:
        complaints, rows = read(header + after)
    except UnreadableFileError:
        return
    assert complaints == []
    assert rows.read_stats.rows == rows.read_stats.duplicates == 0
    assert (rows.read_stats.rejected > 0) == bool(after.strip(b"\r\n"))


# --- the newest day -------------------------------------------------------------------------


def test_the_newest_day() -> None:
    """It is the latest that any row tells, wherever it stands; what is no day does not count."""
    days = ["2019-09-24", "2023-03-11", "9/24/99", "", "2022-01-01"]
    rows = [made(number, date_received=day) for number, day in enumerate(days)]
    content = csv_of(*rows, "\n", "x\n", csv_of(), '"a"b\n', titles=TITLES_18[::-1])

    assert newest_day(lines_of(content), PATH) == "2023-03-11"


@pytest.mark.parametrize("odd", ["2025-13-45", "2025-02-29", "2025-01-0", "soon"])
def test_the_newest_day_is_one_of_the_calendar(odd: str) -> None:
    """A moment tells its day as it is written, and what no calendar has does not count."""
    days = ["2024-11-04", "2024-11-05T23:00:00-05:00", "2023-03-11T14:26:56.000Z", odd]
    rows = [made(number, date_received=day) for number, day in enumerate(days)]

    assert newest_day(lines_of(csv_of(*rows)), PATH) == "2024-11-05"


def test_no_day_at_all() -> None:
    """A file that tells no day has none."""
    assert newest_day(lines_of(csv_of(made(date_received="None"))), PATH) is None


def test_the_newest_day_of_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is told by the same errors as when it is read."""
    monkeypatch.setattr(csv_rows, "MAX_FIELD", 1_000)
    endless = csv_of(made(1), '"' + "x\n" * 1_000)

    with pytest.raises(UnreadableFileError, match="it is empty"):
        newest_day(lines_of(""), PATH)
    with pytest.raises(UnexpectedColumnsError):
        newest_day(lines_of("x"), PATH)
    with pytest.raises(UnreadableFileError, match=r"is not valid CSV: field larger than"):
        newest_day(lines_of(endless), PATH)
