"""Charts as Vega-Lite specifications, and the program that draws them in a browser."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cfpb_etl.errors import MissingExtraError

try:
    import altair as alt
    from vl_convert import javascript_bundle
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "inspect") from error

Values = list[dict[str, Any]]
Chart = dict[str, Any]

# Tableau's ten, less two; the last is for what has no colour of its own.
COLOURS = (
    *("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#eeca3b", "#b279a2"),
    "#9aa5b1",
)
_BAR, _ROW = 10, 36  # pixels
_EACH_MONTH = 24  # months that are named each; of more, the years are
_THOUSANDS = 10_000  # from here on an axis counts in thousands


def chart_library() -> str:
    """Return the program that draws the charts, Vega and what embeds it, as one script."""
    made = javascript_bundle()  # type: ignore[call-arg]  # its stub asks for more than it does
    return str(made).replace("</script", "<\\/script")


def month_chart(values: Values, products: list[str]) -> Chart:
    """Return columns of `complaints` by `month`, YYYY-MM, a colour for each `product`, in order."""
    totals = Counter[str]()
    for each in values:
        totals[each["month"]] += each["complaints"]
    months = _months(min(totals), max(totals))
    few = len(months) <= _EACH_MONTH
    axis = alt.Axis(
        values=months if few else [month for month in months if month.endswith("-01")],
        labelExpr="utcFormat(toDate(datum.value), '%b %Y')" if few else "slice(datum.value, 0, 4)",
        labelAngle=0,
        labelOverlap=True,
        title=None,
    )
    numbers = ",d" if max(totals.values()) < _THOUSANDS else "~s"
    return _as_json(
        alt.Chart(_data(values))
        .mark_bar()
        .encode(
            x=alt.X("month:O").scale(domain=months).axis(axis),
            y=alt.Y("sum(complaints):Q").title("Complaints").axis(format=numbers, tickMinStep=1),
            color=alt.Color("product:N")
            .scale(domain=products, range=COLOURS[: len(products)])
            .legend(None),
            tooltip=[
                alt.Tooltip("month:O").title("Month"),
                alt.Tooltip("product:N").title("Product"),
                alt.Tooltip("complaints:Q").title("Complaints").format(","),
            ],
        )
        .properties(height=280)
    )


def _months(first: str, last: str) -> list[str]:
    year, month = map(int, first.split("-"))
    months = []
    while (name := f"{year:04}-{month:02}") <= last:
        months.append(name)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)  # noqa: PLR2004 - of a year
    return months


def bar_chart(values: Values, what: str) -> Chart:
    """Return bars of `complaints`, above each its `name`, and its `label` at the right end."""
    rows = alt.Chart(_data(values)).encode(
        y=alt.Y("name:N").sort(None).axis(None),
        tooltip=[
            alt.Tooltip("name:N").title(what),
            alt.Tooltip("complaints:Q").title("Complaints").format(","),
            alt.Tooltip("label:N").title("In words"),
        ],
    )
    most = max(each["complaints"] for each in values)
    length = alt.X("complaints:Q").scale(domain=[0, most]).axis(None)
    bars = rows.mark_bar(size=_BAR, yOffset=_ROW // 4, color=COLOURS[0]).encode(x=length)
    above = _ROW // 4 - _BAR // 2 - 3
    names = rows.mark_text(
        align="left", baseline="bottom", dy=above, fontSize=12, limit=alt.expr("width - 130")
    ).encode(x=alt.value(0), text="name:N")
    labels = rows.mark_text(align="right", baseline="bottom", dy=above, fontSize=12).encode(
        x=alt.value("width"), text="label:N"
    )
    return _as_json((bars + names + labels).properties(height=_ROW * len(values)))


def _data(values: Values) -> Any:  # noqa: ANN401 - Altair does not say
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def _as_json(chart: alt.Chart | alt.LayerChart) -> Chart:
    made = chart.properties(width="container").configure(
        font="system-ui, sans-serif", background="transparent"
    )
    return dict(made.configure_view(stroke=None).to_dict())
