"""What a database holds, as one page of charts that needs nothing but a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from cfpb_etl import __version__
from cfpb_etl.fetch.errors import NotWritableFileError
from cfpb_etl.model.atomic_file import write_atomically
from cfpb_etl.show.charts import COLOURS, bar_chart, chart_library, month_chart
from cfpb_etl.show.status import Status, read_status
from cfpb_etl.store.sqlite_file import opened_for_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_PRODUCTS = 7  # with a colour of their own; the others share one
_OTHERS = "All other products"
_BARS, _CHANGES = 15, 15
_CHANGED_DAYS = 30
_UNDRAWN = "Charts need a browser of today, with JavaScript; the numbers are below."
_LICENCE = " CFPB's data are in the public domain (CC0)."

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: What its chart is called in the page.
        title: Its heading.
        text: A sentence below it.
        columns: The heads of its table; none for no table.
        rows: The rows of its table.
        chart: Its chart, a Vega-Lite specification, or None.
        colours: What each colour of the chart stands for, as (name, colour).
        is_open: Whether the table shows at once.
    """

    name: str
    title: str
    text: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    chart: dict[str, Any] | None = None
    colours: tuple[tuple[str, str], ...] = ()
    is_open: bool = False

    def __str__(self) -> str:
        chart = f'<div class="chart" id="{self.name}">{_UNDRAWN}</div>' if self.chart else ""
        for name, colour in self.colours:
            chart += f'<span class="key"><i style="background:{colour}"></i>{escape(name)}</span> '
        table = _table(self.columns, self.rows) if self.rows else ""
        if table and not self.is_open:
            table = f"<details><summary>The numbers</summary>{table}</details>"
        words = f"<h2>{escape(self.title)}</h2>\n<p>{escape(self.text)}</p>"
        return f"<section>\n{words}\n{chart}{table}\n</section>"


def write_report(database: Path, page: Path) -> int:
    """Write the page for a database.

    Returns:
        How many complaints it is of.

    Raises:
        DatabaseError: One of its subclasses, if the database cannot be read.
        NotWritableFileError: If the page cannot be written.
    """
    with opened_for_reading(database) as connection:
        connection.execute("BEGIN")  # one state, whatever a load does meanwhile
        status = read_status(connection, database)
        sections = [
            _months(connection, status.complaints),
            _companies(connection),
            _states(connection, status.complaints),
            _responses(connection, status.complaints),
            _changes(connection),
        ]
    shown = [section for section in sections if section.rows or section.chart]
    charts = {section.name: section.chart for section in shown if section.chart}
    template = Template(resources.files(__package__).joinpath("report.html").read_text("utf-8"))
    now = datetime.now(UTC)
    text = template.substitute(
        title=status.title,
        subtitle=escape(_subtitle(status)),
        figures="\n".join(_figures(status)),
        notes="\n".join(
            f"<p><strong>{escape(headline)}</strong> {escape(words)}</p>"
            for headline, words in status.notes
        ),
        sections="\n".join(map(str, shown)),
        footer=f"Made by cfpb-etl {__version__} from {escape(database.name)} on {now:%Y-%m-%d},"
        f" {now:%H:%M} UTC.{_LICENCE * (not status.is_made_up)} Products have the names of today,"
        " whatever they were filed as.",
        library=chart_library(),
        # Whatever a company is called, it does not end the script.
        charts=json.dumps(charts, ensure_ascii=False).replace("<", "\\u003c"),
    )
    try:
        write_atomically(page, text.encode())
    except OSError as error:
        raise NotWritableFileError(page, str(error)) from error
    return status.complaints


def _subtitle(status: Status) -> str:
    if not status.complaints:
        return "The database holds no complaints yet."
    known = {
        "received": f"{status.oldest} to {status.newest}" if status.oldest else None,
        "as of": status.as_of,
    }
    said = ", ".join(f"{name} {words}" for name, words in known.items() if words)
    return f"{said[:1].upper()}{said[1:]}"


def _figures(status: Status) -> Iterable[str]:
    for label, number in (
        ("complaints", status.complaints),
        ("with a narrative", status.narratives),
        ("withdrawn by CFPB", status.withdrawn),
        ("updated in the last 7 days", status.updated_lately),
    ):
        yield f"<div><dt>{label}</dt><dd>{number:,}</dd></div>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def cell(value: object, tag: str, like: object) -> str:
        words = f"{value:,}" if isinstance(value, int | float) else str(value or "")
        kind = ' class="number"' if isinstance(like, int | float) else ""
        return f"<{tag}{kind}>{escape(words)}</{tag}>"

    head = "".join(cell(name, "th", like) for name, like in zip(columns, rows[0], strict=True))
    body = "\n".join(
        f"<tr>{''.join(cell(value, 'td', value) for value in row)}</tr>" for row in rows
    )
    return f'<div class="table"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


# --- the sections ---------------------------------------------------------------------------


def _months(connection: sqlite3.Connection, complaints: int) -> Section:
    rows: Rows = connection.execute(
        "SELECT month, COALESCE(product, 'No product'), complaints"
        " FROM complaints_by_month_and_product WHERE month GLOB '[12][0-9][0-9][0-9]-[01][0-9]'"
    ).fetchall()
    totals: dict[str, int] = {}
    for _, product, count in rows:
        totals[product] = totals.get(product, 0) + count
    largest = sorted(totals, key=lambda product: -totals[product])
    shown = largest if len(largest) <= _PRODUCTS + 1 else [*largest[:_PRODUCTS], _OTHERS]
    undated = complaints - sum(totals.values())
    folded: dict[str, dict[str, int]] = {}
    for month, product, count in rows:
        of_month = folded.setdefault(month, dict.fromkeys(shown, 0))
        of_month[product if product in shown else _OTHERS] += count
    values = [
        {"month": month, "product": product, "complaints": count}
        for month, of_month in folded.items()
        for product, count in of_month.items()
        if count
    ]
    return Section(
        "months",
        "Complaints by month and product",
        "When complaints were received. The newest months still grow: CFPB publishes a complaint"
        " when the company has answered, or after 15 days."
        f"{f' Left out: {undated:,} without a day.' * bool(undated)}",
        ("month", *shown, "all"),
        [(month, *of_month.values(), sum(of_month.values())) for month, of_month in folded.items()],
        month_chart(values, shown) if values else None,
        tuple(zip(shown, COLOURS, strict=False)),
    )


def _companies(connection: sqlite3.Connection) -> Section:
    rows: Rows = connection.execute(
        "SELECT company, complaints, ROUND(100 - late_percent, 1) FROM timeliness_by_company"
        " WHERE company IS NOT NULL LIMIT ?",
        (_BARS,),
    ).fetchall()
    values = [
        {
            "name": company,
            "complaints": complaints,
            "label": f"{complaints:,}" if timely is None else f"{complaints:,} · {timely} % timely",
        }
        for company, complaints, timely in rows
    ]
    return Section(
        "companies",
        "Companies with the most complaints",
        "How many complaints each has, and the share of them that CFPB calls timely: answered in"
        " time, or not due yet.",
        ("company", "complaints", "% timely"),
        rows,
        bar_chart(values, "Company") if values else None,
    )


def _states(connection: sqlite3.Connection, complaints: int) -> Section:
    counted = connection.execute(
        "SELECT state, complaints FROM complaints_by_state WHERE state IS NOT NULL"
    ).fetchall()
    text = (
        "Where the consumers live, and the share of all complaints; territories and military"
        " addresses count as states."
    )
    return _shares("state", "States with the most complaints", text, counted, complaints)


def _responses(connection: sqlite3.Connection, complaints: int) -> Section:
    counted = connection.execute(
        "SELECT COALESCE(company_response, 'Nothing told'), COUNT(*) FROM complaint"
        " GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    text = "The company's answer to the consumer, of all complaints."
    return _shares("answer", "What became of the complaints", text, counted, complaints)


def _shares(what: str, title: str, text: str, counted: Rows, complaints: int) -> Section:
    """Return a section of counts, each with its share of all complaints; bars for the first."""
    rows = [(name, number, round(100 * number / complaints, 1)) for name, number in counted]
    values = [
        {
            "name": name,
            "complaints": number,
            "label": f"{number:,} · {f'{percent} %' if percent else '< 0.1 %'}",
        }
        for name, number, percent in rows[:_BARS]
    ]
    chart = bar_chart(values, what.capitalize()) if values else None
    return Section(f"{what}s", title, text, (what, "complaints", "%"), rows, chart)


def _changes(connection: sqlite3.Connection) -> Section:
    (since,) = connection.execute(
        "SELECT DATE(MAX(started_at), ?) FROM load", (f"-{_CHANGED_DAYS} days",)
    ).fetchone()
    rows: Rows = connection.execute(
        "SELECT IIF(column_name = 'withdrawn_on', 'withdrawn by CFPB', column_name),"
        " CASE column_name WHEN 'withdrawn_on' THEN IIF(old IS NULL, 'no', 'yes') ELSE old END,"
        " CASE column_name WHEN 'withdrawn_on' THEN IIF(new IS NULL, 'no', 'yes') ELSE new END,"
        " COUNT(*) FROM complaint_change"
        " WHERE column_name <> 'complaint_what_happened' AND load_id IN"
        " (SELECT load_id FROM load WHERE started_at >= ?)"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
        (since, _CHANGES),
    ).fetchall()
    return Section(
        "changes",
        "What changed lately",
        f"The most frequent changes that the loads since {since} brought to complaints known"
        " before.",
        ("column", "before", "after", "changes"),
        rows,
        is_open=True,
    )
