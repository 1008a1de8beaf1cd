"""The same file, as other programs and other years wrote it, has the same complaints."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.file import CsvFile
from cfpb_etl.parse.csv_process import parse_file
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.errors import NotUtf8Error, TooManyRejectedError, UncertainDatesError
from support.csv_files import OPTIONS, TITLES_15, TITLES_18, csv_of, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint

ROWS = [
    fields_of(
        3_000_000 + n,
        date_received=f"2020-{n + 1:02}-{10 + n}",
        date_sent_to_company=f"2020-{n + 1:02}-{20 + n}",
        company="EXAMPLE BANK",
        state="CA",
        zip_code="02139",
        sub_issue="",
        complaint_what_happened="",
        tags="",
    )
    for n in range(3)
]
PLAIN = csv_of(*ROWS)
DAY = re.compile(r"2020-(\d\d)-(\d\d)")


def number(text: str) -> str:
    """Return a number without leading zeros."""
    return str(int(text))


def in_2012(content: str) -> str:
    """Return the content with the 14 columns of 2012 to 2015."""
    columns = [
        *("Complaint ID", "Product", "Sub-product", "Issue", "Sub-issue", "State", "ZIP code"),
        *("Submitted via", "Date received", "Date sent to company", "Company"),
        *("Company response to consumer", "Timely response?", "Consumer disputed?"),
    ]
    rows = csv.DictReader(content.splitlines())
    lines = [",".join(columns).replace("response to consumer", "response")]
    lines += [",".join(row[title] for title in columns) for row in rows]
    return "\n".join(lines) + "\n"


def with_titles(change: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that changes the titles."""

    def changed(content: str) -> str:
        header, _, rows = content.partition("\r\n")
        return ",".join(map(change, header.split(","))) + "\r\n" + rows

    return changed


def with_days(spelling: str) -> Callable[[str], str]:
    """Return a function that changes the days; `m` and `d` are without leading zeros."""

    def changed(content: str) -> str:
        return DAY.sub(
            lambda match: spelling.format(
                M=match[1], D=match[2], m=number(match[1]), d=number(match[2])
            ),
            content,
        )

    return changed


def with_missing(text: str) -> Callable[[str], str]:
    """Return a function that writes a text for each empty field."""
    return lambda content: re.sub(r"(?<=,)(?=,)", lambda _: text, content)


SAVED: dict[str, Callable[[str], str]] = {
    "CFPB's export": with_days("{M}/{D}/20"),
    "Socrata": with_days("{M}/{D}/2020"),
    "Socrata with times": with_days("{M}/{D}/2020 12:00:00 AM"),
    "Excel US": with_days("{m}/{d}/2020"),
    "Excel US with times": with_days("{m}/{d}/2020 0:00"),
    "Excel Asia": with_days("2020/{m}/{d}"),
    "Excel Germany": lambda content: with_days("{D}.{M}.2020")(content).replace(",", ";"),
    "Excel UK": with_days("{D}/{M}/2020"),
    "Excel text": lambda content: content.replace(",", "\t"),
    "Excel blank rows": lambda content: content + 3 * ("," * 17 + "\r\n"),
    "pandas": with_days("2020-{M}-{D} 00:00:00"),
    "pandas strings": with_missing("nan"),
    "pandas floats": lambda content: re.sub(r"(300000\d)", r"\1.0", content),
    "pandas index": lambda content: "".join(
        f"{n or ''},{line}" for n, line in enumerate(content.splitlines(keepends=True))
    ),
    "R": with_missing("NA"),
    "R titles": with_titles(lambda title: re.sub("[^A-Za-z]", ".", title)),
    "Spark": with_days("2020-{M}-{D}T00:00:00.000"),
    "Postgres": with_missing(r"\N"),
    "MySQL": with_missing("NULL"),
    "the API": with_titles(CSV_COLUMNS.__getitem__),
    "the API's dates": with_days("2020-{M}-{D}T12:00:00-05:00"),
    "BigQuery": lambda content: content.replace(",Yes,", ",true,"),
    "2012": in_2012,
}


def load(path: Path, **options: object) -> tuple[list[Complaint], ComplaintRows]:
    """Read a file in this process."""
    with open_csv(path) as (lines, _, _):
        rows = ComplaintRows(lines, path, OPTIONS._replace(**options))  # type: ignore[arg-type]
        complaints = [complaint for batch in rows for complaint in batch.complaints]
    rows.check_rejected()
    return complaints, rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / "complaints.csv"


@pytest.mark.parametrize("program", SAVED)
def test_a_file_that_was_saved_again(path: Path, program: str) -> None:
    """Every column that the file has is equal, and nothing is reported."""
    path.write_text(PLAIN, newline="")
    expected, _ = load(path)
    path.write_text(SAVED[program](PLAIN), newline="")

    complaints, rows = load(path)

    assert [{name: getattr(each, name) for name in rows.header.places} for each in complaints] == [
        {name: getattr(each, name) for name in rows.header.places} for each in expected
    ]
    assert {*rows.header.places} == {*CSV_COLUMNS.values()} or program == "2012"
    assert (rows.read_stats.rows, rows.read_stats.warnings) == (3, [])
    assert rows.header.unknown == set()


# --- the order of day and month ---------------------------------------------------------------


def uncertain(n: int = 3) -> str:
    """Return a CSV whose dates do not show the order of day and month."""
    return csv_of(
        *[
            fields_of(number, date_received="03/04/2020", date_sent_to_company="03/05/2020")
            for number in range(1, n + 1)
        ]
    )


def test_a_file_that_does_not_show_the_order(path: Path) -> None:
    """It is refused, and an option decides."""
    path.write_text(uncertain(), newline="")

    with pytest.raises(UncertainDatesError, match="'03/04/2020' in line 2 is 2020-03-04"):
        load(path)
    for order, day in (("month-first", "2020-03-04"), ("day-first", "2020-04-03")):
        complaints, _ = load(path, date_order=order)
        assert [each.date_received for each in complaints] == [day] * 3


def test_the_option_reaches_the_process(path: Path) -> None:
    """The process that reads the file decides as this process."""
    path.write_text(uncertain(), newline="")

    with pytest.raises(UncertainDatesError) as caught:
        [*parse_file(CsvFile(path, None, OPTIONS)).batches]
    assert (caught.value.path, caught.value.line) == (path, 2)
    options = OPTIONS._replace(date_order="day-first")
    (batch,) = parse_file(CsvFile(path, None, options)).batches
    assert {each.date_received for each in batch.complaints} == {"2020-04-03"}


def test_an_iso_file_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a date with two readings needs the other rows of the file."""
    path.write_text(PLAIN, newline="")
    monkeypatch.setattr(ComplaintRows, "_find_order", None)

    assert len(load(path)[0]) == 3


def test_a_few_uncertain_dates_in_a_large_file(path: Path) -> None:
    """They are rejected like other wrong rows, and the file is read."""
    rows = [fields_of(number) for number in range(1, 2_000)]
    path.write_text(csv_of(*rows, fields_of(2_000, date_received="03/04/20")), newline="")

    complaints, read = load(path)

    assert len(complaints) == 1_999
    assert read.read_stats.warnings == ["line 2,001: date_received is '03/04/20', not a date"]


def test_dates_in_the_other_order_are_rejected(path: Path) -> None:
    """The order is that of nearly all rows, so two files in one do not become wrong days."""
    days = [f"{month:02}/{day:02}/2020" for month in range(1, 13) for day in range(1, 29)]
    wrong = [f"{day[3:5]}/{day[:2]}/2020" for day in days[:30]]
    rows = [fields_of(n, date_received=day, date_sent_to_company="") for n, day in enumerate(days)]
    rows += [fields_of(9_000 + n, date_received=day) for n, day in enumerate(wrong)]
    path.write_text(csv_of(*rows), newline="")

    with pytest.raises(TooManyRejectedError):
        load(path)


# --- rejected rows ----------------------------------------------------------------------------


def with_bad_rows(bad: int, good: int) -> str:
    """Return a CSV with some rows that are not valid."""
    return csv_of(*[fields_of("x")] * bad, *[fields_of(n) for n in range(good)])


@pytest.mark.parametrize(
    ("bad", "good", "allowed", "accepted"),
    [
        (1, 999, None, True),
        (1, 998, None, False),
        (1, 2, None, False),
        (1, 2, 1, True),
        (2, 2, 1, False),
        (2, 2, 2, True),
        (2, 2, 0.5, True),
        (3, 2, 0.5, False),
        (2, 18, 0.1, True),
        (1, 9_999, 0, False),
        (0, 5, 0, True),
        (3, 0, 5, True),
    ],
)
def test_how_many_rows_may_be_rejected(
    path: Path, bad: int, good: int, allowed: float | None, *, accepted: bool
) -> None:
    """One in a thousand, or a number of rows, or a share of the rows."""
    path.write_text(with_bad_rows(bad, good), newline="")

    if accepted:
        complaints, rows = load(path, allow_rejected=allowed)
        assert (len(complaints), rows.read_stats.rejected) == (good, bad)
    else:
        with pytest.raises(TooManyRejectedError, match=f"--allow-rejected {bad}"):
            load(path, allow_rejected=allowed)


@pytest.mark.parametrize("good", [0, 5])
def test_windows_text_is_named(path: Path, good: int) -> None:
    """It is never stored as wrong characters."""
    odd = [fields_of(n, company="Crédit “Agricole”") for n in range(5)]
    rows = [*odd, *[fields_of(10 + n) for n in range(good)]]
    path.write_bytes(csv_of(*rows).encode("cp1252"))

    with pytest.raises(NotUtf8Error, match=r"not UTF-8 \(it may be Windows-1252") as caught:
        load(path)
    assert caught.value.rows == 5
    assert "iconv -f WINDOWS-1252 -t UTF-8" in str(caught.value)


def test_one_row_that_is_not_utf8(path: Path) -> None:
    """It is rejected like any other row."""
    rows = [fields_of(n) for n in range(1_999)]
    path.write_bytes(csv_of(*rows, fields_of(7_777, company="Crédit")).encode("cp1252"))

    assert load(path)[1].read_stats.rejected == 1


def test_blank_rows_are_empty_lines(path: Path) -> None:
    """They may be anywhere, also with another number of fields."""
    blank = ["," * 17 + "\r\n", ",,,\r\n", "\r\n", '"",""\r\n', " , \t\r\n"]
    path.write_text(csv_of(*blank, ROWS[0], *blank, ROWS[1], *blank * 900, ROWS[2]), newline="")

    complaints, rows = load(path)

    assert [each.complaint_id for each in complaints] == [3_000_000, 3_000_001, 3_000_002]
    assert (rows.read_stats.rejected, rows.read_stats.warnings) == (0, [])


def test_a_file_of_15_columns_is_not_a_mixed_file(path: Path) -> None:
    """Each release by itself is read."""
    for titles in (TITLES_15, TITLES_18):
        path.write_text(csv_of(*ROWS, titles=titles), newline="")
        assert len(load(path)[0]) == 3
