"""The titles, delimiters and extra columns of files of every era, and of other programs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import CSV_COLUMNS, NOT_STORED, RELEASES, Complaint
from cfpb_etl.parse.csv_format.header import folded
from cfpb_etl.parse.errors import MixedReleasesError, TooManyRejectedError, UnexpectedColumnsError
from support.csv_files import FIELDS, TITLES_15, TITLES_16, TITLES_18, csv_of, fields_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

R_TITLES = [title.translate(str.maketrans(" -?", "...")) for title in TITLES_18]
KAGGLE = (
    "date_received,product,sub_product,issue,sub_issue,consumer_complaint_narrative,"
    "company_public_response,company,state,zipcode,tags,consumer_consent_provided,submitted_via,"
    "date_sent_to_company,company_response_to_consumer,timely_response,consumer_disputed?,"
    "complaint_id"
).split(",")
BIGQUERY = (
    "date_received,product,subproduct,issue,subissue,consumer_complaint_narrative,"
    "company_public_response,company_name,state,zip_code,tags,consumer_consent_provided,"
    "submitted_via,date_sent_to_company,company_response_to_consumer,timely_response,"
    "consumer_disputed,complaint_id"
).split(",")
IN_2012 = (
    "Complaint ID,Product,Sub-product,Issue,Sub-issue,State,ZIP code,Submitted via,Date received,"
    "Date sent to company,Company,Company response,Timely response?,Consumer disputed?"
).split(",")
COLUMNS_IN_2012 = [
    *("complaint_id", "product", "sub_product", "issue", "sub_issue", "state", "zip_code"),
    *("submitted_via", "date_received", "date_sent_to_company", "company", "company_response"),
    *("timely", "consumer_disputed"),
]
ALL = [*CSV_COLUMNS.values()]
VALUES = {name: FIELDS[title] for title, name in CSV_COLUMNS.items()}
COMPLAINT = Complaint(**(VALUES | {"complaint_id": 3384392}))  # type: ignore[arg-type]


def titled(titles: Sequence[str], columns: Sequence[str], **style: str) -> str:
    """Return a CSV of one complaint, with these titles for these columns."""
    text = io.StringIO(newline="")
    csv.writer(text, **style).writerows([titles, [VALUES.get(name, "1") for name in columns]])  # type: ignore[arg-type]
    return text.getvalue()


@pytest.mark.parametrize(
    ("titles", "columns"),
    [
        (TITLES_18, ALL),
        (ALL, ALL),
        (R_TITLES, ALL),
        (KAGGLE, ALL),
        (BIGQUERY, ALL),
        (IN_2012, COLUMNS_IN_2012),
        ([title.upper() for title in TITLES_18], ALL),
        ([title.title() for title in TITLES_18], ALL),
        ([title.replace(" ", "") for title in TITLES_18], ALL),
        ([title.replace(" ", "_").removesuffix("?") for title in TITLES_18], ALL),
        ([f" {title} " for title in TITLES_18], ALL),
        (["\ufeffDate received", *TITLES_18[1:]], ALL),
        (["Complaint ID", "Date received"], ["complaint_id", "date_received"]),
    ],
    ids=[
        *("CFPB", "API", "R", "Kaggle", "BigQuery", "2012", "upper case", "title case"),
        *("no spaces", "underscores", "spaces", "byte order mark", "two columns"),
    ],
)
def test_the_titles_of_an_era(titles: list[str], columns: list[str]) -> None:
    """The columns of the file are carried, and only they."""
    (complaint,), rows = read(titled(titles, columns))

    assert {*rows.header.places} == {*columns}
    assert rows.header.unknown == set()
    assert {name: getattr(complaint, name) for name in columns} == {
        name: getattr(COMPLAINT, name) for name in columns
    }
    assert {getattr(complaint, name) for name in {*ALL} - {*columns}} <= {None}


def test_titles_are_folded() -> None:
    """Only letters and digits count, in lower case."""
    assert folded(" Consumer_Consent.Provided? ") == "consumerconsentprovided"


@pytest.mark.parametrize("title", ["Date submitted", "Date Sumbited"])
def test_a_file_with_a_day_submitted(title: str) -> None:
    """Maven's file calls the day received "submitted", and the day sent "received"."""
    columns = ["complaint_id", "date_received", "date_sent_to_company"]

    (complaint,), rows = read(titled(["Complaint ID", title, "Date received"], columns))

    assert {*rows.header.places} == {*columns}
    assert complaint.date_received == COMPLAINT.date_received
    assert complaint.date_sent_to_company == COMPLAINT.date_sent_to_company

    titles = ["Complaint ID", title, "Date received", "Date sent to company"]
    (complaint,), rows = read(titled(titles, ["complaint_id", "x", *columns[1:]]))
    assert complaint.date_received == COMPLAINT.date_received
    assert rows.header.unknown == {title}


def test_other_names_of_single_documents_are_ignored() -> None:
    """They describe CFPB's index; a truly unknown title is reported."""
    extra = [*NOT_STORED, "Event tag"]

    (complaint,), rows = read(titled([*ALL, *extra], [*ALL, *extra]))

    assert complaint == COMPLAINT
    assert rows.header.unknown == {"Event tag"}


@pytest.mark.parametrize("title", ["", " ", "Unnamed: 0", "unnamed_0"])
@pytest.mark.parametrize("at", [0, 5, 18])
def test_row_numbers_are_ignored(title: str, at: int) -> None:
    """Pandas and R write a column of row numbers."""
    titles, columns = [*TITLES_18], [*ALL]
    titles.insert(at, title)
    columns.insert(at, "number")

    (complaint,), rows = read(titled(titles, columns))

    assert complaint == COMPLAINT
    assert rows.header.unknown == set()


@pytest.mark.parametrize("first", ["", "a\r\nb", "a, b"])
def test_row_names_without_a_title(first: str) -> None:
    """R's `write.table` writes a header that is one field shorter than the rows."""
    rows = [fields_of(n, complaint_what_happened=first) for n in (1, 2)]
    header, _, body = csv_of(*rows).partition("\r\n")
    names = [f'"{n}",{csv_of(row).partition(chr(10))[2]}' for n, row in enumerate(rows, 1)]

    complaints, read_rows = read(f"{header}\r\n{''.join(names)}")

    assert [each.complaint_id for each in complaints] == [1, 2]
    assert complaints == read(f"{header}\r\n{body}")[0]
    assert read_rows.read_stats.rejected == 0


# --- delimiters -------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_delimiter_is_told_from_the_header(delimiter: str, quoting: int) -> None:
    """Excel writes semicolons in Europe, and tabs as Unicode text."""
    content = titled(TITLES_18, ALL, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]

    assert read(content)[0] == [COMPLAINT]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_line_that_names_the_delimiter(delimiter: str) -> None:
    """Excel reads `sep=;` in the first line; the lines are still counted as in an editor."""
    content = titled(TITLES_18, ALL, delimiter=delimiter)

    complaints, rows = read(f"sep={delimiter}\r\n{content}x\r\n")

    assert complaints == [COMPLAINT]
    assert rows.read_stats.warnings == ["line 4: 1 fields where the header has 18"]


def test_another_delimiter_is_an_error() -> None:
    """The error shows the start of the header."""
    with pytest.raises(UnexpectedColumnsError, match=r"starts with 'Date received\|Product"):
        read(titled(TITLES_18, ALL, delimiter="|"))
    with pytest.raises(UnreadableFileError, match="it is empty"):
        read("sep=;\r\n")


# --- lines that are compared ------------------------------------------------------------------


@pytest.mark.parametrize("titles", RELEASES, ids=len)
def test_only_cfpbs_own_files_are_compared_by_line(titles: tuple[str, ...]) -> None:
    """The order, the delimiter and the titles are CFPB's own."""

    def is_compared(titles: Sequence[str], delimiter: str = ",") -> bool:
        return read(delimiter.join(titles))[1].header.has_lines_to_compare

    assert is_compared(titles)
    assert not is_compared(titles, ";")
    assert not is_compared(["date_received", *titles[1:]])
    assert not is_compared([*titles[1:-1], titles[0], titles[-1]])
    assert not is_compared(["", *titles])


# --- the day of a release ---------------------------------------------------------------------


def rows_of(titles: Sequence[str], first: int, last: int) -> str:
    """Return the rows of a release, without its header."""
    return csv_of(
        *[fields_of(number) for number in range(first, last + 1)], titles=titles
    ).partition("\r\n")[2]


ERAS = pytest.mark.parametrize(
    ("header", "others"),
    [
        (TITLES_16, TITLES_15),
        (TITLES_15, TITLES_16),
        (TITLES_18, TITLES_16),
        (TITLES_16, TITLES_18),
    ],
    ids=["16 over 15", "15 over 16", "18 over 16", "16 over 18"],
)


@ERAS
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 30_000), (200, 200)])
def test_two_releases_in_a_file(
    header: list[str], others: list[str], before: int, after: int
) -> None:
    """It is CFPB's own fault on the day of a release, so nothing of the file is read."""
    content = ",".join(header) + "\r\n" + rows_of(header, 1, before)
    content += rows_of(others, 1_000, 1_020) + rows_of(header, 2_000, 1_999 + after)

    with pytest.raises(MixedReleasesError) as caught:
        read(content)

    error = caught.value
    assert (error.line, error.fields, error.titles) == (before + 2, len(others), len(header))
    assert "download the file again tomorrow" in str(error)


@ERAS
def test_few_rows_of_another_release(header: list[str], others: list[str]) -> None:
    """If they are all rows of the file, that is the reason; a few of many are only rejected."""
    few = rows_of(others, 1, 3)
    _, rows = read(",".join(header) + "\r\n" + few)
    with pytest.raises(MixedReleasesError, match="the row in line 2 has the"):
        rows.check_rejected()

    complaints, rows = read(",".join(header) + "\r\n" + few + rows_of(header, 4, 4_000))
    assert (len(complaints), rows.read_stats.rejected) == (3_997, 3)
    rows.check_rejected()


def test_rows_that_lack_another_field_are_rejected() -> None:
    """Their state or day is in another place."""
    titles = [title for title in TITLES_16 if title != "Tags"]
    _, rows = read(",".join(TITLES_16) + "\r\n" + rows_of(titles, 1, 50))

    with pytest.raises(TooManyRejectedError):
        rows.check_rejected()
