"""Rows that a quote has swallowed are found again, or the file is refused."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.parse.csv_format import rows as csv_format_rows
from cfpb_etl.parse.errors import UnclosedQuoteError
from support.csv_files import TITLES_18, csv_of, fields_of, read
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Sequence

NARRATIVE = "complaint_what_happened"
STORY = 'They said "no".\r\n\r\n2020-01-10, a Friday, I wrote:\r\n"Pay me back", and more.'


def line_of(number: int, **changed: str) -> str:
    """Return the line or lines of a row."""
    return csv_of(fields_of(number, **changed)).partition("\r\n")[2]


def opened(number: int, text: str = "They kept it.") -> str:
    """Return the line of a row whose narrative has an opening quote and no closing quote."""
    return line_of(number, **{NARRATIVE: "~"}).replace("~", f'"{text}')


def closed(number: int, text: str = "They kept it.") -> str:
    """Return the line of a row whose narrative has a closing quote and no opening quote."""
    return line_of(number, **{NARRATIVE: "~"}).replace("~", f'{text}"')


def content_of(*rows: str, end: str = "\r\n", titles: Sequence[str] = TITLES_18) -> str:
    """Return a CSV with these rows."""
    return "".join([",".join(titles) + "\r\n", *rows]).replace("\r\n", end)


def ids_of(content: str) -> tuple[list[int], list[str]]:
    """Read a CSV; return the ids of its complaints, and the warnings."""
    complaints, rows = read(content)
    assert len(rows.read_stats.warnings) == rows.read_stats.rejected
    return [each.complaint_id for each in complaints], rows.read_stats.warnings


def warning(line: int, again: int, rows: str) -> str:
    """Return the warning about a quote."""
    return (
        f"line {line:,}: a quote is not closed; reading went on in line {again:,}, and found"
        f" {rows} that the quote had swallowed"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("at", [1, 2, 250, 499, 500, 501, 1_100])
def test_a_quote_that_is_never_closed(at: int, end: str) -> None:
    """All rows after the broken one are read, wherever it is, and its id is noted."""
    rows = [line_of(number) for number in range(1, 1_201)]
    rows[at - 1] = opened(at)

    complaints, read_rows = read(content_of(*rows, end=end))

    assert [each.complaint_id for each in complaints] == [n for n in range(1, 1_201) if n != at]
    assert {*read_rows.ids} == {*range(1, 1_201)}
    stats = read_rows.read_stats
    assert (stats.rejected, stats.without_id) == (1, 0)
    assert stats.warnings == [warning(at + 1, at + 2, f"{1_200 - at:,} rows")]


def test_a_quote_that_is_never_closed_in_the_last_row() -> None:
    """It has swallowed nothing, so only this row is rejected."""
    assert ids_of(content_of(line_of(1), opened(2))) == (
        [1],
        ["line 3: a quote is not closed"],
    )
    assert ids_of(content_of(line_of(1), opened(2), "\r\n", "\r\n"))[0] == [1]


def test_a_last_row_that_is_cut_off() -> None:
    """The rest of the file may be missing, so the file is refused."""
    with pytest.raises(UnclosedQuoteError) as caught:
        ids_of(content_of(line_of(1), opened(2)[:100]))

    assert caught.value.line == 3


def test_more_rows_than_one_field_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's reader gives up at its limit; the rows beyond are read too."""
    monkeypatch.setattr(csv_format_rows, "MAX_FIELD", 200_000)
    rows = [line_of(number) for number in range(1, 3_001)]
    rows[9] = opened(10)

    ids, (problem,) = ids_of(content_of(*rows))

    assert ids == [n for n in range(1, 3_001) if n != 10]
    assert problem.startswith("line 11: a quote is not closed; reading went on in line 12, and")
    assert " found at least " in problem


def test_a_quote_that_a_later_row_closes() -> None:
    """The record is valid CSV with a day and an id, but its narrative holds rows."""
    rows = [line_of(1), opened(2), line_of(3), line_of(4), closed(5), line_of(6)]
    fields = [*csv.reader(io.StringIO(content_of(*rows), newline=""))]
    assert [len(each) for each in fields] == [18] * 4

    complaints, read_rows = read(content_of(*rows))

    assert [each.complaint_id for each in complaints] == [1, 3, 4, 5, 6]
    assert complaints[3].complaint_what_happened == 'They kept it."'
    assert {*read_rows.ids} == {*range(1, 7)}
    assert read_rows.read_stats.warnings == [warning(3, 4, "3 rows")]


@pytest.mark.parametrize("before", [0, 1, 3])
def test_swallowed_rows_with_quotes_of_their_own(before: int) -> None:
    """The next quote closes the open one and is followed by text, which is not valid CSV."""
    rows = [opened(1), *[line_of(10 + n) for n in range(before)]]
    rows += [line_of(2, **{NARRATIVE: STORY}), line_of(3, **{NARRATIVE: "a, b"}), line_of(4)]

    complaints, read_rows = read(content_of(*rows))

    assert [each.complaint_id for each in complaints] == [*range(10, 10 + before), 2, 3, 4]
    assert complaints[before].complaint_what_happened == STORY
    assert {*read_rows.ids} == {1, 2, 3, 4, *range(10, 10 + before)}
    assert (read_rows.read_stats.rejected, read_rows.read_stats.without_id) == (1, 0)


@pytest.mark.parametrize("text", ["\r\nthat", '""', '"', ",", '",', "\r\n", '\r\n"\r\n'])
def test_swallowed_rows_whose_narrative_starts_in_any_way(text: str) -> None:
    """Whatever follows the next quote, the rows are found."""
    rows = [line_of(1), opened(2), line_of(3, **{NARRATIVE: text}), line_of(4)]

    complaints, read_rows = read(content_of(*rows))

    assert [each.complaint_id for each in complaints] == [1, 3, 4]
    assert complaints[1].complaint_what_happened == text
    assert read_rows.read_stats.rejected == 1


def test_several_quotes_in_a_file() -> None:
    """Each of them is reported with its line."""
    rows = [opened(1), line_of(2), opened(3), opened(4), line_of(5), closed(6), line_of(7)]
    rows += [line_of(n) for n in range(8, 700)]
    rows += [opened(700), line_of(701)]

    ids, warnings = ids_of(content_of(*rows))

    assert ids == [2, 5, 6, 7, *range(8, 700), 701]
    assert [each.partition(":")[0] for each in warnings] == [
        *("line 2", "line 4", "line 5", "line 701")
    ]


def test_the_line_is_that_of_the_quote() -> None:
    """A field before the open quote may span several lines."""
    broken = opened(2).replace("I do not know", '"one\r\ntwo\r\nthree"')

    ids, (problem,) = ids_of(content_of(line_of(1), broken, line_of(3)))

    assert ids == [1, 3]
    assert problem == warning(5, 6, "1 row")


def test_an_open_quote_in_any_field() -> None:
    """The narrative is only one of the fields."""
    for title in TITLES_18[1:]:
        row = fields_of(2) | {title: "~" + fields_of(2)[title]}
        broken = csv_of(row).partition("\r\n")[2].replace("~", '"')

        ids, warnings = ids_of(content_of(line_of(1), broken, line_of(3), line_of(4)))

        assert (ids, len(warnings)) == ([1, 3, 4], 1), title


@pytest.mark.parametrize("order", [list, reversed, sorted])
def test_an_open_quote_in_any_order_of_columns(order: type[list[str]]) -> None:
    """The day and the id may be anywhere."""
    titles = [*order(TITLES_18)]
    rows = [
        csv_of(fields_of(n, **{NARRATIVE: STORY if n == 4 else "~"}), titles=titles)
        .partition("\r\n")[2]
        .replace("~", '"' if n == 2 else "")
        for n in range(1, 6)
    ]

    ids, warnings = ids_of(content_of(*rows, titles=titles))

    assert (ids, len(warnings)) == ([1, 3, 4, 5], 1)


def test_other_delimiters_and_dates() -> None:
    """A row is what is a row by the header, delimiter and dates of the file."""
    rows = [line_of(1), opened(2), line_of(3), line_of(4)]
    content = content_of(*rows).replace("They kept it.", "kept, not paid").replace(",", ";")
    content = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\1/\2/\3", content)

    ids, warnings = ids_of(content)

    assert (ids, len(warnings)) == ([1, 3, 4], 1)


@pytest.mark.parametrize(
    "text",
    [
        STORY,
        "a\r\nb",
        "\r\n".join(["1,2,3"] * 50),
        # A line with the right number of fields, but no day or no id in its place.
        "\r\n" + "x," * 17 + "7\r\n",
        "\r\n2020-01-10," + "x," * 16 + "x\r\n",
        "\r\n2020-01-10," + "x," * 15 + "7\r\n",
        "\r\n2020-13-10," + "x," * 16 + "7\r\n",
        '\r\n2020-01-10,"\r\n' * 3,
        "\r\n" + ",".join(TITLES_18) + "\r\n",
    ],
)
def test_the_lines_of_a_narrative_are_not_rows(text: str) -> None:
    """A narrative may quote lines of a CSV, unless they are complete rows."""
    complaints, rows = read(content_of(line_of(1), line_of(2, **{NARRATIVE: text}), line_of(3)))

    assert [each.complaint_id for each in complaints] == [1, 2, 3]
    assert complaints[1].complaint_what_happened == text
    assert rows.read_stats.rejected == 0


def test_a_narrative_that_quotes_a_complete_row() -> None:
    """It cannot be told from a swallowed row, so no complaint is lost: the row is reported."""
    story = f"I sent:\r\n{line_of(8)}Please read."

    ids, warnings = ids_of(content_of(line_of(1), line_of(2, **{NARRATIVE: story}), line_of(3)))

    assert {1, 8, 3} <= {*ids}
    assert len(warnings) >= 1


def test_rows_that_cannot_be_found_refuse_the_file() -> None:
    """The error has the line in which the quote opens."""
    rows = [line_of(1), opened(2), *["2020-01-10,no row\r\n"] * 30]

    with pytest.raises(UnclosedQuoteError, match="a quote in line 3 is never closed") as caught:
        ids_of(content_of(*rows))

    assert "Download the file again" in str(caught.value)


@pytest.mark.parametrize("end", ["", "x\r\n"])
def test_each_row_with_an_open_quote_is_reported(end: str) -> None:
    """The quote of the next row closes the open one, and both rows are rejected by themselves."""
    rows = [opened(number) for number in range(1, 8)]

    complaints, read_rows = read(content_of(*rows, line_of(8), end))

    assert [each.complaint_id for each in complaints] == [8]
    assert {*read_rows.ids} == {*range(1, 9)}
    assert read_rows.read_stats.rejected == 7 + bool(end)
    assert [each.split(";")[0] for each in read_rows.read_stats.warnings[:7]] == [
        f"line {line}: a quote is not closed" for line in range(2, 9)
    ]


# --- backslashes ------------------------------------------------------------------------------


def escaped(number: int, text: str) -> str:
    """Return a row with a backslash before each quote within a field, as Spark writes it."""
    line = line_of(number, **{NARRATIVE: "~"})
    return line.replace("~", '"' + text.replace('"', '\\"') + '"')


@pytest.mark.parametrize("text", [STORY, 'say "no" now', '"no"', 'a ", b', 'x"', '"x', '\r\n"\r\n'])
@pytest.mark.parametrize("before", [0, 3, 499, 500])
def test_quotes_with_backslashes(text: str, before: int) -> None:
    """Spark and R's `write.table` write them in this way."""
    rows = [line_of(n) for n in range(10, 10 + before)]
    rows += [escaped(1, text), line_of(2), line_of(3, **{NARRATIVE: "a\r\nb"}), escaped(4, text)]

    complaints, read_rows = read(content_of(*rows))

    assert [each.complaint_id for each in complaints[before:]] == [1, 2, 3, 4]
    assert complaints[before].complaint_what_happened == text
    assert complaints[-1].complaint_what_happened == text
    assert read_rows.read_stats.rejected == 0


@pytest.mark.parametrize("text", ["C:\\dir", "a\\", '\\"', 'a\\"b', "\\\r\n\\", 'one\\"\r\n"two'])
def test_backslashes_that_are_text(text: str) -> None:
    """Where quotes are doubled, a backslash has no meaning."""
    rows = [line_of(1), line_of(2, **{NARRATIVE: text}), line_of(3, **{NARRATIVE: STORY})]

    complaints, read_rows = read(content_of(*rows))

    assert [each.complaint_id for each in complaints] == [1, 2, 3]
    assert complaints[1].complaint_what_happened == text
    assert read_rows.read_stats.rejected == 0


# --- any rows ---------------------------------------------------------------------------------

STORIES = st.sampled_from(["a", "a, b", "a\r\nb", STORY, 'x"', "", '",\r\n'])
KINDS = st.lists(st.tuples(st.sampled_from("....oc"), STORIES), min_size=1, max_size=12)


@given(kinds=KINDS, batch=st.sampled_from([1, 2, 5, 500]))
@settings(deadline=None, derandomize=True, max_examples=soak(300))
def test_no_complaint_is_missing_unsaid(kinds: list[tuple[str, str]], batch: int) -> None:
    """Each row is read as it was written, or at least one rejected row stands for it."""
    rows, expected = [], {}
    for number, (kind, story) in enumerate(kinds, 1):
        if kind == ".":
            rows.append(line_of(number, **{NARRATIVE: story}))
            expected[number] = story or None
        else:
            rows.append((opened if kind == "o" else closed)(number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_format_rows, "_BATCH", batch)
        try:
            complaints, read_rows = read(content_of(*rows))
        except UnclosedQuoteError:
            return
    found = {each.complaint_id: each.complaint_what_happened for each in complaints}

    assert {n: found[n] for n in expected if n in found} == {
        n: story for n, story in expected.items() if n in found
    }
    missing = {*range(1, len(kinds) + 1)} - {*found}
    assert not missing or read_rows.read_stats.rejected
    if "o" not in "".join(kind for kind, _ in kinds):
        assert expected.keys() <= found.keys()
