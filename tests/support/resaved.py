"""The same file of complaints, as different programs save it again.

Each `Resaved` writes complaints by the rules of one program, and knows which values its file still
carries. Where a program is not installed, the rules are written here by hand, with their source.
The rules of pandas were compared with pandas 3.1.1.
"""

from __future__ import annotations

import csv
import io
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Literal, TypeAlias

from cfpb_etl.emulator import generate_complaints

Row: TypeAlias = Mapping[str, str | None]
"""A complaint: its 18 values by column name, None for a missing value, dates as YYYY-MM-DD."""

Table: TypeAlias = list[list[str]]
"""The cells of a file with its header."""

# Not imported: the test must not share a mistake with the program (docs/facts.md, "Columns by
# era" and "Names in the API").
TITLES = {
    "date_received": "Date received",
    "product": "Product",
    "sub_product": "Sub-product",
    "issue": "Issue",
    "sub_issue": "Sub-issue",
    "complaint_what_happened": "Consumer complaint narrative",
    "company_public_response": "Company public response",
    "company": "Company",
    "state": "State",
    "zip_code": "ZIP code",
    "tags": "Tags",
    "consumer_consent_provided": "Consumer consent provided?",
    "submitted_via": "Submitted via",
    "date_sent_to_company": "Date sent to company",
    "company_response": "Company response to consumer",
    "timely": "Timely response?",
    "consumer_disputed": "Consumer disputed?",
    "complaint_id": "Complaint ID",
}
NAMES_18 = (*TITLES,)
NAMES_16 = tuple(n for n in NAMES_18 if n not in {"consumer_consent_provided", "consumer_disputed"})
NAMES_15 = tuple(n for n in NAMES_16 if n != "complaint_what_happened")
NAMES_14 = (
    *("complaint_id", "product", "sub_product", "issue", "sub_issue", "state", "zip_code"),
    *("submitted_via", "date_received", "date_sent_to_company", "company", "company_response"),
    *("timely", "consumer_disputed"),
)
TITLES_2012 = TITLES | {"company_response": "Company response"}
TITLES_KAGGLE = {
    **{name: title.lower().replace(" ", "_").replace("-", "_") for name, title in TITLES.items()},
    "zip_code": "zipcode",
    "consumer_consent_provided": "consumer_consent_provided",
    "timely": "timely_response",
}
# R's `make.names` replaces each character that is not allowed in a name by a dot.
TITLES_R = {
    name: "".join(c if c.isalnum() else "." for c in title) for name, title in TITLES.items()
}
TITLES_API = {name: name for name in NAMES_18}

DATES = {"date_received", "date_sent_to_company"}
NARRATIVE = "complaint_what_happened"

NARRATIVES = (
    "First line.\nSecond line.\n\nThird, after a blank line.",
    'They said "no", then ""never"", and hung up; twice.',
    '"Quoted" at the start, and at the "end"',
    ", a comma first; a semicolon, and a comma last,",
    "One; two; three;\nfour; 5, 6",
    "Café à la carte — €5, “curly quotes”, 中文, \U0001f3e6",
    "On 03/04/2020 and 2020-03-04, I paid {$120.00}.",
    "None of it was mine. N/A",
    "Tab\there, and a trailing space in the middle .",
    "2019-09-24,Mortgage,a line that starts like a row\nbut is none",
    'A\nB,C\n"D","E"\nF',
)
SHORT_IDS = ("1007", "23456", "345678", "4567890")


def complaints(count: int = 60) -> list[Row]:
    """Return made-up complaints of all eras, among them every value that is easily damaged."""
    rows: list[Row] = []
    for number, raw in enumerate(generate_complaints(count, era="2024", seed=17)):
        row: dict[str, str | None] = {name: raw.get(name) or None for name in NAMES_18}
        for name in DATES:
            row[name] = str(raw[name])[:10]
        row["consumer_disputed"] = ("N/A", "Yes", "No", None)[number % 4]
        row["consumer_consent_provided"] = ("Consent provided", "N/A", None)[number % 3]
        if number % 2:
            row[NARRATIVE] = NARRATIVES[number // 2 % len(NARRATIVES)]
        if number % 5 == 0:
            row["zip_code"] = ("02139", "00501", "391XX", None)[number // 5 % 4]
        if number % 7 == 0:
            row["tags"] = "Older American, Servicemember"
        if number % 11 == 0:
            row["company"] = ("ACME, INC.", 'THE "BEST" BANK', "M&T BANK; N.A.")[number // 11 % 3]
        if number % 15 == 0 and number < 60:
            row["complaint_id"] = SHORT_IDS[number // 15]
        if number % 17 == 0:
            row["state"] = "UNITED STATES MINOR OUTLYING ISLANDS"
        rows.append(row)
    return rows


# --- cells ----------------------------------------------------------------------------------

Cell: TypeAlias = Callable[[str, str | None], str]
"""Writes a value of a column as the text of a cell."""

Carried: TypeAlias = Callable[[str, str | None], str | None]
"""Returns the value of a column that is left in a file."""

NULL = "\0"  # a cell with a missing value, where a file distinguishes this from an empty text
ISO = "{y}-{m:02}-{d:02}"
US = "{m:02}/{d:02}/{y}"
EXCEL_US = "{m}/{d}/{y}"
ANSWERS = ("timely", "consumer_disputed")


def cells(
    days: str = ISO,
    missing: str = "",
    ids: str = "{}",
    yes: str = "Yes",
    no: str = "No",
    **others: str,
) -> Cell:
    """Return a writer of cells.

    Args:
        days: The form of days, with the fields y, m, d and yy (a year of two digits).
        missing: The text of a missing value.
        ids: The form of the complaint id.
        yes: The text of "Yes" in the columns of answers.
        no: The text of "No" in the columns of answers.
        others: The text of a missing value in other columns, by name.
    """

    def cell(name: str, value: str | None) -> str:
        if value is None:
            return others.get(name, missing)
        if name in DATES:
            when = date.fromisoformat(value)
            return days.format(y=when.year, m=when.month, d=when.day, yy=when.year % 100)
        if name == "complaint_id":
            return ids.format(int(value))
        return {"Yes": yes, "No": no}.get(value, value) if name in ANSWERS else value

    return cell


def everything(_: str, value: str | None) -> str | None:
    """Return the value unchanged: nothing is lost."""
    return value


def without_na(_: str, value: str | None) -> str | None:
    """Return None for "N/A", which pandas reads as a missing value by default."""
    return None if value == "N/A" else value


def without_answer(name: str, value: str | None) -> str | None:
    """Return None for the last answer of consumers, which CFPB asked for until 2017."""
    return None if name == "consumer_disputed" else value


def without_zeros(name: str, value: str | None) -> str | None:
    """Return a ZIP code without leading zeros, as Excel and LibreOffice read it by default."""
    return str(int(value)) if name == "zip_code" and value and value.isdecimal() else value


# --- files ----------------------------------------------------------------------------------


def text(
    table: Table,
    encoding: str = "utf-8",
    end: str = "\n",
    delimiter: str = ",",
    quoting: Literal[0, 1] = csv.QUOTE_MINIMAL,
) -> bytes:
    """Return a file by the usual rules: quotes where they are needed, and doubled within quotes."""
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator=end, delimiter=delimiter, quoting=quoting).writerows(table)
    return file.getvalue().encode(encoding)


def excel(table: Table, encoding: str = "utf-8-sig", delimiter: str = ",") -> bytes:
    """Return a file by the rules of Excel: CRLF after rows, and blank rows at the end.

    A row whose contents were deleted stays in the used range, and is saved as delimiters.
    """
    blank = [""] * len(table[0])
    return text([*table, blank, blank, blank], encoding, "\r\n", delimiter)


def excel_without_last_cells(table: Table) -> bytes:
    """Return a file in which Excel omits the delimiters of empty last cells, 16 rows at a time.

    Stata's FAQ "How Excel writes empty cells" describes this.
    """
    head, *rows = table
    for start in range(0, len(rows), 16):
        block = rows[start : start + 16]
        while not any(row[-1] for row in block):
            block = [row[:-1] for row in block]
        rows[start : start + 16] = block
    return text([head, *rows], "utf-8-sig", "\r\n")


def with_row_names(table: Table, first: int = 0) -> Table:
    """Return a table with the numbers of the rows before each row, and a header without title."""
    head, *rows = table
    return [["", *head], *([str(number), *row] for number, row in enumerate(rows, first))]


def lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Return a file of cells that are already quoted."""
    return "".join(",".join(row) + "\n" for row in rows).encode()


def quoted(cell: str, quote_within: str = '""') -> str:
    """Return a cell in quotes."""
    return '"' + cell.replace('"', quote_within) + '"'


def quoted_if_needed(cell: str, quote_within: str = '""') -> str:
    """Return a cell in quotes if it has a comma, a quote or a line end."""
    return quoted(cell, quote_within) if {*cell} & {*',"\r\n'} else cell


def libreoffice(table: Table) -> bytes:
    """Return a file by the rules of LibreOffice's option "Quote all text cells".

    Numbers, days and empty cells have no quotes (LibreOffice help, "Export text file").
    """

    def cell(value: str) -> str:
        is_text = value and not value.replace("-", "").isdecimal()
        return quoted(value) if is_text else value

    return lines(map(cell, row) for row in table)


def write_csv(table: Table) -> bytes:
    """Return a file by the rules of R's `write.csv` (R, help page of `write.table`).

    Row names and titles are text. Text has quotes, an empty text too. Numbers, NA, TRUE and FALSE
    have no quotes.
    """
    head, *rows = with_row_names(table, first=1)

    def cell(value: str) -> str:
        return value if value in {"NA", "TRUE", "FALSE"} else quoted(value)

    return lines([map(quoted, head), *([*map(cell, row[:-1]), row[-1]] for row in rows)])


def empty_text_quoted(table: Table) -> bytes:
    """Return a file in which an empty text is `""`, and a missing value is nothing.

    PostgreSQL's COPY (its manual, "CSV Format") and `fwrite` of R's data.table (its help page,
    argument `na`) write such files.
    """

    def cell(value: str) -> str:
        return "" if value == NULL else quoted_if_needed(value) or '""'

    return lines(map(cell, row) for row in table)


def spark(table: Table) -> bytes:
    r"""Return a file by the default rules of Spark, which writes a quote as \" (CSVOptions.scala).

    A backslash in quotes is doubled, an empty text is `""`, and a missing value is nothing.
    """

    def cell(value: str) -> str:
        if value == NULL:
            return ""
        escaped = value.replace("\\", "\\\\") if {*value} & {*',"\r\n'} else value
        return quoted_if_needed(escaped, '\\"') or '""'

    return lines(map(cell, row) for row in table)


def sqlite_shell(table: Table) -> bytes:
    """Return a file of SQLite's shell (`-csv -header`): CRLF, and quotes around a space too.

    The columns after the complaint's are those of the table `complaint`.
    """
    head, *rows = table
    more = [[*head, "load_id", "withdrawn_on"], *([*row, "1", ""] for row in rows)]
    plain = {*string.ascii_letters, *string.digits, *"-./:_+"}
    return b"".join(
        ",".join(cell if {*cell} <= plain else quoted(cell) for cell in row).encode() + b"\r\n"
        for row in more
    )


# --- the programs ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Resaved:
    """A program, and the file that it saves.

    Attributes:
        program: The name of the program, with the way in which it is used.
        cell: Writes a value as a cell.
        file: Writes the cells as a file.
        titles: The title of each column.
        names: The columns of the file, in their order.
        carried: Returns the value of a column that the file still carries.
        refusal: A pattern of the refusal, if the file may be refused instead of read, because it
            has lost information or could be read in two ways; None if it must be read.
    """

    program: str
    cell: Cell = field(default_factory=cells)
    file: Callable[[Table], bytes] = text
    titles: Mapping[str, str] = field(default_factory=lambda: TITLES)
    names: tuple[str, ...] = NAMES_18
    carried: Carried = everything
    refusal: str | None = None

    def __str__(self) -> str:
        return self.program

    def save(self, rows: Iterable[Row]) -> bytes:
        """Return the file with these complaints."""
        head = [self.titles[name] for name in self.names]
        left = self.rows_left(rows)
        return self.file([head, *([self.cell(n, row[n]) for n in self.names] for row in left)])

    def rows_left(self, rows: Iterable[Row]) -> list[dict[str, str | None]]:
        """Return what the file still says of these complaints, with None for absent columns."""
        return [
            {n: self.carried(n, row[n]) if n in self.names else None for n in NAMES_18}
            for row in rows
        ]


_excel_eu = partial(excel, delimiter=";")
_pandas = partial(Resaved, carried=without_na)
_r = partial(Resaved, titles=TITLES_R, file=write_csv)

# The forms of days are those of docs/facts.md, "Date formats", and of Windows' regional settings.
RESAVED = (
    Resaved("CFPB, daily file of 18 columns"),
    Resaved("CFPB, daily file of 16 columns", names=NAMES_16),
    Resaved("CFPB, daily file of 15 columns", names=NAMES_15),
    Resaved("CFPB, 2012 to 2015", titles=TITLES_2012, names=NAMES_14),
    Resaved("CFPB, 2012 to 2015, US dates", cells(US), titles=TITLES_2012, names=NAMES_14),
    Resaved(
        "CFPB, Export data of 2017 to 2026",
        cells("{m:02}/{d:02}/{yy:02}", "None"),
        partial(text, end="\r\n"),
    ),
    Resaved(
        "CFPB, Export data since 2026",
        cells("{y}-{m:02}-{d:02}T14:26:56.000Z", "None"),
        partial(text, end="\r\n"),
        names=NAMES_15,
    ),
    Resaved("CFPB's API names", titles=TITLES_API),
    Resaved("Socrata", cells(US)),
    Resaved("Kaggle, snake_case", cells(US), titles=TITLES_KAGGLE),
    Resaved("capitals", titles={name: title.upper() for name, title in TITLES.items()}),
    Resaved("four columns", names=("state", "date_received", "complaint_id", "timely")),
    Resaved("all quoted, CRLF", file=partial(text, end="\r\n", quoting=csv.QUOTE_ALL)),
    Resaved("lines end with CR", file=partial(text, end="\r")),
    # Excel keeps the ZIP code 02139 only if its column is text: otherwise the file has 2139, and
    # the program cannot know more than the file. All other columns must be equal.
    Resaved("Excel, US", cells(EXCEL_US), excel, carried=without_zeros),
    Resaved("Excel, US, ZIP codes as text", cells(EXCEL_US), excel),
    Resaved("Excel, Germany", cells("{d:02}.{m:02}.{y}"), _excel_eu),
    Resaved("Excel, Finland", cells("{d}.{m}.{y}"), _excel_eu),
    Resaved("Excel, France", cells("{d:02}/{m:02}/{y}"), _excel_eu),
    Resaved("Excel, United Kingdom", cells("{d:02}/{m:02}/{y}"), excel),
    Resaved("Excel, Netherlands", cells("{d}-{m}-{y}"), _excel_eu, refusal="not a date"),
    Resaved("Excel, Japan", cells("{y}/{m:02}/{d:02}"), excel),
    Resaved("Excel, China", cells("{y}/{m}/{d}"), excel),
    Resaved("Excel, Sweden", cells(), _excel_eu),
    Resaved(
        "Excel, Unicode text", cells(EXCEL_US), partial(excel, encoding="utf-16", delimiter="\t")
    ),
    Resaved("tabs", cells(), partial(text, delimiter="\t")),
    Resaved(
        "Excel, last column empty",
        cells(EXCEL_US),
        excel_without_last_cells,
        names=(*NAMES_15[::-1], "consumer_disputed"),
        carried=without_answer,
        refusal="fields where the header has",
    ),
    Resaved("LibreOffice", file=libreoffice),
    Resaved("LibreOffice, Germany", cells("{d:02}.{m:02}.{yy:02}"), libreoffice),
    _pandas("pandas"),
    _pandas("pandas with its index", file=lambda table: text(with_row_names(table))),
    _pandas("pandas on Windows", file=partial(text, end="\r\n")),
    _pandas("pandas, ids as floats", cells(ids="{}.0")),
    _pandas("pandas, dates as objects", cells(f"{ISO} 00:00:00")),
    _pandas("pandas, dates with a zone", cells(f"{ISO} 00:00:00+00:00")),
    _pandas("pandas, nan", cells(missing="nan"), refusal="nan"),
    _pandas("pandas, answers as booleans", cells(yes="True", no="False")),
    _r("R, write.csv", cells(tags="NA", sub_issue="NA", company_public_response="NA")),
    _r("R, write.csv, logical", cells(yes="TRUE", no="FALSE", missing="NA")),
    _r("R, write.csv, ids as doubles", cells(ids="{:.6e}"), refusal="complaint_id"),
    Resaved("R, fwrite", cells(tags=NULL), empty_text_quoted),
    Resaved("R, fwrite, logical", cells(yes="TRUE", no="FALSE", missing=NULL), empty_text_quoted),
    Resaved("Spark, dates", cells(missing=NULL), spark, refusal="quote|valid CSV|fields where"),
    Resaved(
        "Spark, timestamps, empty texts",
        cells(f"{ISO}T00:00:00.000"),
        spark,
        refusal="quote|valid CSV|fields where",
    ),
    Resaved("Spark, escape set to a quote", cells(f"{ISO}T00:00:00.000Z", NULL), empty_text_quoted),
    Resaved("PostgreSQL, COPY", cells(missing=NULL), empty_text_quoted, TITLES_API),
    Resaved("SQLite's shell", file=sqlite_shell, titles=TITLES_API),
)
