"""Swallowed rows are found in any order of columns, and the lines of a narrative are kept."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.parse.csv_format.quotes import Quotes, quotes_of, split_at_open_quote
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.errors import FieldTooLongError, UnclosedQuoteError, UnwrittenError
from support.csv_files import OPTIONS, PATH, csv_of, fields_of, lines_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

NARRATIVE = "Consumer complaint narrative"
ORDERS = [
    *permutations((NARRATIVE, "Date received", "Complaint ID")),
    *permutations((NARRATIVE, "Date received", "Complaint ID", "Company")),
]
# Each ends in a line that, with the columns after it, has the right number of fields in some order.
STORIES = [
    "first\nsecond",
    "first\nsecond, third",
    "first\nsecond, third, fourth",
    "2020-01-10, a Friday",
    "first\n2020-01-10, a Friday",
    "first\n500, which was too much",
    "500\n7,",
    "first\n7,2020-01-02",
    "7,2020-01-02\nlast",
    "first\n,",
    'first\n"second", third',
    'first\n"a,b"',
    'first\n7,"b",2020-01-10',
    "first\n",
]


def rows_of(titles: Sequence[str], story: str = "Not paid, and kept") -> list[str]:
    """Return the lines of five rows; the second has the story."""
    return [
        csv_of(
            fields_of(n, company="ACME, INC.") | {NARRATIVE: story if n == 2 else "It is, so"},
            titles=titles,
        ).partition("\r\n")[2]
        for n in range(1, 6)
    ]


def read_rows(titles: Sequence[str], rows: Sequence[str]) -> dict[int, str | None]:
    """Return the narratives by id."""
    complaints, _ = read(",".join(titles) + "\r\n" + "".join(rows))
    return {each.complaint_id: each.complaint_what_happened for each in complaints}


@pytest.mark.parametrize("story", STORIES)
def test_the_last_line_of_a_narrative_is_no_row(story: str) -> None:
    """The columns after it are those of its own row."""
    for titles in ORDERS:
        found = read_rows(titles, rows_of(titles, story))

        assert found == {n: story if n == 2 else "It is, so" for n in range(1, 6)}, titles


@pytest.mark.parametrize("story", [" and nothing else", '"', '", "', "\r\nno", ",", "", '"a", b'])
@pytest.mark.parametrize("start", ['"', '"x\r\n', 'x,"y\r\n'])
def test_the_row_after_an_open_quote_is_read(start: str, story: str) -> None:
    """Its own quote closes the open one, wherever the columns are, or the file is refused."""
    refused = 0
    for titles in ORDERS:
        rows = rows_of(titles, story)
        rows[0] = start + rows[0] if start == '"' else rows[0] + start
        try:
            found = read_rows(titles, rows)
        except UnclosedQuoteError:
            refused += 1
            continue
        untouched = range(2, 6) if start == '"' else range(1, 6)
        one_line = [n for n in untouched if n != 2 or "\n" not in story]
        assert {n: found.get(n) for n in one_line} == {
            n: (story or None) if n == 2 else "It is, so" for n in one_line
        }, titles
    assert refused <= len(ORDERS) // 4


def test_two_rows_whose_quotes_are_lost() -> None:
    """The narrative of the first is not closed, that of the second not opened."""
    for titles in ORDERS:
        rows = rows_of(titles)
        rows[1] = rows[1].replace('kept"', "kept")
        rows[2] = rows[2].replace('"It is', "It is")

        complaints, read_rows = read(",".join(titles) + "\r\n" + "".join(rows))

        assert {1, 4, 5} <= {each.complaint_id for each in complaints}, titles
        assert read_rows.read_stats.rejected, titles


def test_quotes_of_a_record() -> None:
    """A doubled quote is text, and a quote within a field without quotes opens nothing."""
    lines = ['a,"b ""c""\n', 'd ""\n', 'e",f"g,"h\n', "i\n"]

    assert quotes_of(lines, ",") == Quotes(
        2, [None, len(lines[1]), 1, len(lines[3])], has_bare=True
    )
    assert quotes_of(['a,"b"\n'], ",") == Quotes(None, [None], has_bare=False)
    assert quotes_of(['"\n', '","\n', '"""\n'], ",") == Quotes(None, [None, 0, 2], has_bare=False)


@pytest.mark.parametrize(
    ("text", "fields", "rest"),
    [
        ('a,"b, c","d, e', ["a", "b, c"], '"d, e'),
        ('a,"b, "c", d",e', ["a"], '"b, "c", d",e'),
        ('a"b,"c ""d""",', ['a"b', 'c ""d""'], ""),
        ('"a\nb","', ["a\nb"], '"'),
        ('a,"b"', ["a"], '"b"'),
        ("", [], ""),
    ],
)
def test_the_fields_before_an_open_quote(text: str, fields: list[str], rest: str) -> None:
    """A delimiter between quotes is text, as long as the quotes close."""
    assert split_at_open_quote(text, ",") == (fields, rest)


# --- long fields, and parts that were never written ---------------------------------------------


def fault_of(content: str) -> str:
    """Return the error of a file."""
    with pytest.raises((FieldTooLongError, UnclosedQuoteError, UnwrittenError)) as caught:
        [*ComplaintRows(lines_of(content), PATH, OPTIONS)]
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ab " * 2**23, "a field in line 2 has more than 16,777,216 characters"),
        ('"' + "a, " * 2**23 + '"', "a field in line 2 has more than 16,777,216 characters"),
        ('"' + "a,\n" * 2**23 + '"', "a quote in line 2 is not closed within 16,777,216 char"),
    ],
)
def test_a_field_that_is_too_long(text: str, fault: str) -> None:
    """It has no quote, a quote that closes, or one that closes many lines later."""
    content = csv_of(fields_of(1), fields_of(2)).replace("They kept {$120.00}", text, 1)

    assert fault in fault_of(content)


@pytest.mark.parametrize("size", [4_096, 10_000, 2**24 + 1])
@pytest.mark.parametrize("ends_in", [2, 3, 30])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("They", "kept"),
        ("TRANS", "WORLD"),
        ("2019-", "09-24,"),
        ("Sub", "XX/XX"),
        ("XX/XX", "Web"),
        ("Web,", "Company chooses"),
        (",Yes", ",N/A"),
        (",N/A,1", ""),
    ],
)
def test_a_hole_in_a_file(before: str, after: str, ends_in: int, size: int) -> None:
    """Rows are missing where it was, even if the rest of two rows is one row."""
    rows = csv_of(*[fields_of(n, tags="Sub") for n in range(10, 60)]).splitlines(keepends=True)
    start = sum(map(len, rows[:1])) + rows[1].index(before) + len(before)
    end = sum(map(len, rows[:ends_in])) + rows[ends_in].index(after)
    content = "".join(rows)

    assert "has zero bytes where there were rows, so the file was never written" in fault_of(
        content[:start] + "\0" * size + content[end:]
    )


@pytest.mark.parametrize("quote", ["opened", "closed"])
def test_a_hole_in_a_narrative_with_lines(quote: str) -> None:
    """The quote before it or after it was lost in it."""
    rows = csv_of(
        *[fields_of(n, complaint_what_happened="a, b\r\nc, d") for n in range(10, 60)]
    ).splitlines(keepends=True)
    place = 11 if quote == "opened" else 12
    hole = rows[place].replace("a, b" if quote == "opened" else "c, d", "\0" * 5_000)
    rows[place] = hole if quote == "opened" else hole.replace('"', "")

    assert "zero bytes" in fault_of("".join(rows))


@pytest.mark.parametrize("count", [1, 512, 1_023])
def test_some_nul_characters_are_text(count: int) -> None:
    """They are no hole of a disk."""
    text = "a" + "\0" * count
    complaints, rows = read(csv_of(fields_of(1, complaint_what_happened=text, tags="\0")))

    assert [(each.complaint_what_happened, each.tags) for each in complaints] == [(text, "\0")]
    assert rows.read_stats.rejected == 0
