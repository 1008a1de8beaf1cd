"""What a database holds, as one page of charts that needs nothing but a browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from cfpb_etl import __version__
from cfpb_etl.charts import bar_chart, chart_library, column_chart, month_chart
from cfpb_etl.file_errors import NotWritableFileError
from cfpb_etl.schema import opened_for_reading
from cfpb_etl.status import Status, read_status

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_PRODUCTS = 7  # with a colour of their own; the others share one
_OTHERS = "All other products"
_COMPANIES, _STATES, _CHANGES = 15, 25, 15
_CHANGED_DAYS = 30
_CAVEAT = (
    "<strong>Unverified complaints, not scaled by size.</strong> CFPB does not check what consumers"
    " tell, and large companies and states naturally have more complaints than small ones."
)

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
        is_open: Whether the table shows at once.
    """

    name: str
    title: str
    text: str
    columns: tuple[str, ...] = ()
    rows: Sequence[tuple[Any, ...]] = ()
    chart: dict[str, Any] | None = None
    is_open: bool = False

    def __str__(self) -> str:
        chart = f'<div class="chart" id="{self.name}"></div>' if self.chart else ""
        table = _table(self.columns, self.rows) if self.rows else ""
        if table and not self.is_open:
            table = f"<details><summary>The numbers</summary>{table}</details>"
        words = f"<h2>{escape(self.title)}</h2>\n<p>{escape(self.text)}</p>"
        return f"<section>\n{words}\n{chart}{table}\n</section>"


def write_report(database: Path, page: Path) -> None:
    """Write the page for a database.

    Raises:
        DatabaseError: One of its subclasses, if the database cannot be read.
        NotWritableFileError: If the page cannot be written.
    """
    with opened_for_reading(database) as connection:
        connection.execute("BEGIN")  # one state, whatever a load does meanwhile
        status = read_status(connection, database)
        sections = [
            _months(connection),
            _companies(connection),
            _states(connection),
            _responses(connection, status.complaints),
            _changes(connection),
        ]
    shown = [section for section in sections if section.rows or section.chart]
    charts = {section.name: section.chart for section in shown if section.chart}
    template = Template(resources.files(__package__).joinpath("report.html").read_text("utf-8"))
    text = template.substitute(
        title="CFPB consumer complaints",
        subtitle=escape(_subtitle(status)),
        figures="\n".join(_figures(status)),
        caveat=_CAVEAT,
        sections="\n".join(map(str, shown)),
        footer=f"Made by cfpb-etl {__version__} from {escape(database.name)}. CFPB's data are in"
        " the public domain (CC0). Products have the names of today, whatever they were filed as.",
        library=chart_library(),
        # Whatever a company is called, it does not end the script.
        charts=json.dumps(charts, ensure_ascii=False).replace("<", "\\u003c"),
    )
    try:
        page.write_text(text, "utf-8")
    except OSError as error:
        raise NotWritableFileError(page, str(error)) from error


def _subtitle(status: Status) -> str:
    if not status.oldest:
        return "The database holds no complaints yet."
    made_up = any(load.source == "sample" for load in status.loads)
    days = next((load.as_of for load in status.loads if load.as_of), None)
    kind = "Made-up complaints" if made_up else "Complaints"
    return f"{kind} received {status.oldest} to {status.newest}, as of {days}"


def _figures(status: Status) -> Iterable[str]:
    for label, number in (
        ("complaints", status.complaints),
        ("with a narrative", status.narratives),
        ("withdrawn by CFPB", status.withdrawn),
        ("updated in the last 7 days", status.updated_lately),
    ):
        yield f"<div><dt>{label}</dt><dd>{number:,}</dd></div>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def cell(value: object, tag: str = "td") -> str:
        if isinstance(value, int | float):
            return f'<{tag} class="number">{value:,}</{tag}>'
        return f"<{tag}>{escape('' if value is None else str(value))}</{tag}>"

    head = "".join(cell(column, "th") for column in columns)
    body = "\n".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f'<div class="table"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


# --- the sections ---------------------------------------------------------------------------


def _months(connection: sqlite3.Connection) -> Section:
    rows: Rows = connection.execute(
        "SELECT month, COALESCE(product, 'No product'), complaints"
        " FROM complaints_by_month_and_product WHERE month IS NOT NULL"
    ).fetchall()
    totals: dict[str, int] = {}
    for _, product, complaints in rows:
        totals[product] = totals.get(product, 0) + complaints
    largest = sorted(totals, key=lambda product: -totals[product])
    shown = largest if len(largest) <= _PRODUCTS + 1 else [*largest[:_PRODUCTS], _OTHERS]
    folded: dict[tuple[str, str], int] = {}
    for month, product, complaints in rows:
        key = month, product if product in shown else _OTHERS
        folded[key] = folded.get(key, 0) + complaints
    values = [
        {"month": f"{month}-01", "product": product, "complaints": complaints}
        for (month, product), complaints in folded.items()
    ]
    return Section(
        "months",
        "Complaints by month and product",
        "When complaints were received. The newest months still grow: CFPB publishes a complaint"
        " when the company has answered, or after 15 days.",
        ("product", "complaints"),
        [(product, totals[product]) for product in largest],
        month_chart(values, shown) if values else None,
    )


def _companies(connection: sqlite3.Connection) -> Section:
    rows: Rows = connection.execute(
        "SELECT company, complaints, ROUND(100 - late_percent, 1) FROM timeliness_by_company"
        " WHERE company IS NOT NULL LIMIT ?",
        (_COMPANIES,),
    ).fetchall()
    values = [
        {
            "name": company,
            "complaints": complaints,
            "label": f"{complaints:,} · {timely} %",
        }
        for company, complaints, timely in rows
    ]
    return Section(
        "companies",
        f"The {len(rows)} companies with the most complaints",
        "How many complaints each has, and the share of them that it answered in time.",
        ("company", "complaints", "% timely"),
        rows,
        bar_chart(values, "Company") if values else None,
    )


def _states(connection: sqlite3.Connection) -> Section:
    rows: Rows = connection.execute(
        "SELECT state, complaints FROM complaints_by_state WHERE state IS NOT NULL LIMIT ?",
        (_STATES,),
    ).fetchall()
    values = [{"state": state, "complaints": complaints} for state, complaints in rows]
    return Section(
        "states",
        f"The {len(rows)} states with the most complaints",
        "Where the consumers live, territories and military addresses too.",
        ("state", "complaints"),
        rows,
        column_chart(values) if values else None,
    )


def _responses(connection: sqlite3.Connection, complaints: int) -> Section:
    counted: Rows = connection.execute(
        "SELECT COALESCE(company_response, 'None told'), COUNT(*) FROM complaint"
        " GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    rows = [(answer, number, round(100 * number / complaints, 1)) for answer, number in counted]
    values = [
        {"name": answer, "complaints": number, "label": f"{percent} %"}
        for answer, number, percent in rows
    ]
    return Section(
        "responses",
        "How companies answered",
        "The answer to the consumer, of all complaints.",
        ("answer", "complaints", "%"),
        rows,
        bar_chart(values, "Answer") if values else None,
    )


def _changes(connection: sqlite3.Connection) -> Section:
    rows: Rows = connection.execute(
        "SELECT column_name,"
        " CASE column_name WHEN 'withdrawn_on' THEN IIF(old IS NULL, 'there', 'gone') ELSE old END,"
        " CASE column_name WHEN 'withdrawn_on' THEN IIF(new IS NULL, 'there', 'gone') ELSE new END,"
        " COUNT(*) FROM complaint_change"
        " WHERE column_name <> 'complaint_what_happened' AND load_id IN"
        " (SELECT load_id FROM load WHERE started_at >="
        "  (SELECT DATETIME(MAX(started_at), ?) FROM load))"
        " GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT ?",
        (f"-{_CHANGED_DAYS} days", _CHANGES),
    ).fetchall()
    return Section(
        "changes",
        "What changed lately",
        f"The most frequent changes that the loads of the last {_CHANGED_DAYS} days brought to"
        " complaints known before.",
        ("column", "before", "after", "complaints"),
        rows,
        is_open=True,
    )
