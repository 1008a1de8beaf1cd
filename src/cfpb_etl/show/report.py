"""The report of a database: one HTML page with charts, which needs no other files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cfpb_etl import __version__
from cfpb_etl.atomic_file import write_atomically
from cfpb_etl.fetch.errors import NotWritableFileError
from cfpb_etl.plain_text import plain
from cfpb_etl.show.charts import COLOURS, bar_chart, chart_library, month_chart
from cfpb_etl.show.status import read_status
from cfpb_etl.store.sqlite_file import open_for_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_PRODUCTS = 7  # products with a colour of their own; all other products share one colour
_OTHERS = "All other products"
_MAX_BARS, _MAX_CHANGES = 15, 15
_RECENT_DAYS = 30

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Section:
    """A section of the page. A table is folded if the section has a chart, and open otherwise.

    Attributes:
        name: The id of the chart in the page.
        title: The heading.
        text: A sentence below the heading.
        columns: The column names of the table.
        rows: The rows of the table; a section without rows is left out.
        chart: The chart as a Vega-Lite specification; None if the section has no chart.
        colours: The legend of the chart, as (name, colour).
    """

    name: str
    title: str
    text: str
    columns: tuple[str, ...]
    rows: Sequence[Row] = ()
    chart: dict[str, Any] | None = None
    colours: tuple[tuple[str, str], ...] = ()


def write_report(database: Path, page: Path) -> int:
    """Write the report of a database.

    Returns:
        The number of complaints in the database.

    Raises:
        DatabaseError: If the database cannot be read; each subclass is one reason.
        NotWritableFileError: If the page cannot be written.
    """
    with open_for_reading(database) as connection:
        connection.execute("BEGIN")  # all queries read the same state, even during a load
        status = read_status(connection, database)
        sections = [
            _months(connection, status.complaints),
            _companies(connection),
            _states(connection, status.complaints),
            _responses(connection, status.complaints),
            _changes(connection),
        ]
    environment = Environment(
        loader=PackageLoader("cfpb_etl", "show"),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
        # The library of the charts is marked as HTML.
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    html = environment.get_template("report.html").render(
        status=status,
        sections=[section for section in sections if section.rows],
        charts={section.name: section.chart for section in sections if section.chart},
        library=chart_library(),
        file=database.name,
        version=__version__,
        now=datetime.now(UTC),
    )
    try:
        write_atomically(page, html.encode())
    except OSError as error:
        raise NotWritableFileError(path=page, detail=str(error)) from error
    return status.complaints


# --- the sections ---------------------------------------------------------------------------


def _months(connection: sqlite3.Connection, complaints: int) -> Section:
    counted: list[tuple[str, str, int]] = connection.execute(
        "SELECT month, COALESCE(product, 'No product'), complaints"
        " FROM complaints_by_month_and_product WHERE month GLOB '[12][0-9][0-9][0-9]-[01][0-9]'"
    ).fetchall()
    totals = Counter[str]()
    for _, product, number in counted:
        totals[product] += number
    shown = [product for product, _ in totals.most_common()]
    if len(shown) > _PRODUCTS + 1:
        shown[_PRODUCTS:] = [_OTHERS]
    months: dict[str, Counter[str]] = {}
    for month, product, number in counted:
        months.setdefault(month, Counter())[product if product in shown else _OTHERS] += number
    values = [
        {"month": month, "product": product, "complaints": numbers[product]}
        for month, numbers in months.items()
        for product in shown
        if numbers[product]
    ]
    undated = complaints - totals.total()
    return Section(
        "months",
        "Complaints by month and product",
        "Complaints by the month in which CFPB received them. The newest months are incomplete:"
        " CFPB publishes a complaint when the company has responded, or after 15 days."
        + (f" Not shown: {undated:,} without a date." if undated else ""),
        ("month", *shown, "all"),
        [
            (month, *(numbers[product] for product in shown), numbers.total())
            for month, numbers in months.items()
        ],
        month_chart(values, shown) if values else None,
        tuple(zip(shown, COLOURS, strict=False)),
    )


def _companies(connection: sqlite3.Connection) -> Section:
    rows = connection.execute(
        "SELECT company, complaints, ROUND(100 - late_percent, 1) FROM timeliness_by_company"
        " WHERE company IS NOT NULL LIMIT ?",
        (_MAX_BARS,),
    ).fetchall()
    section = Section(
        "companies",
        "Companies with the most complaints",
        "Complaints of each company, and the share answered on time or not yet due (CFPB's"
        " 'timely' flag).",
        ("company", "complaints", "% timely"),
        rows,
    )
    labels = ["" if timely is None else f" · {timely} % timely" for *_, timely in rows]
    return _with_bars(section, labels)


def _states(connection: sqlite3.Connection, complaints: int) -> Section:
    counted = connection.execute(
        "SELECT state, complaints FROM complaints_by_state WHERE state IS NOT NULL"
    )
    empty = Section(
        "states",
        "States with the most complaints",
        "Where the consumers live, as a share of all complaints. Territories and military addresses"
        " count as states.",
        ("state", "complaints", "%"),
    )
    return _with_shares(empty, counted, complaints)


def _responses(connection: sqlite3.Connection, complaints: int) -> Section:
    counted = connection.execute(
        "SELECT COALESCE(company_response, 'No response recorded'), COUNT(*) FROM complaint"
        " GROUP BY 1 ORDER BY 2 DESC"
    )
    empty = Section(
        "responses",
        "How companies responded",
        "The company's response to the consumer, as a share of all complaints.",
        ("response", "complaints", "%"),
    )
    return _with_shares(empty, counted, complaints)


def _with_shares(section: Section, counted: Iterable[Row], complaints: int) -> Section:
    """Return a section with names, numbers, and each number as a percentage of all complaints."""
    rows = [(name, number, round(100 * number / complaints, 1)) for name, number in counted]
    labels = [f" · {percent} %" if percent else " · < 0.1 %" for *_, percent in rows]
    return _with_bars(replace(section, rows=rows), labels)


def _with_bars(section: Section, labels: Iterable[str]) -> Section:
    """Return a section with a chart, which has a bar for each of the first rows.

    Args:
        section: The section with names and numbers, without a chart.
        labels: The text after the number at the end of each bar.
    """
    values = [
        {"name": row[0], "complaints": row[1], "label": f"{row[1]:,}{label}"}
        for row, label in zip(section.rows[:_MAX_BARS], labels, strict=False)
    ]
    chart = bar_chart(values, section.columns[0].capitalize()) if values else None
    return replace(section, chart=chart)


def _changes(connection: sqlite3.Connection) -> Section:
    (since,) = connection.execute(
        "SELECT DATE(MAX(started_at), ?) FROM load", (f"-{_RECENT_DAYS} days",)
    ).fetchone()
    rows = connection.execute(
        "SELECT IIF(column_name = 'withdrawn_on', 'withdrawn by CFPB', column_name),"
        " IIF(column_name = 'withdrawn_on', IIF(old IS NULL, 'no', 'yes'), old),"
        " IIF(column_name = 'withdrawn_on', IIF(new IS NULL, 'no', 'yes'), new),"
        " COUNT(*) FROM complaint_change"
        " WHERE column_name <> 'complaint_what_happened' AND load_id IN"
        " (SELECT load_id FROM load WHERE started_at >= ?)"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
        (since, _MAX_CHANGES),
    ).fetchall()
    return Section(
        "changes",
        "Recent changes",
        f"The most frequent changes to stored complaints by loads since {since}.",
        ("column", "before", "after", "changes"),
        rows,
    )
