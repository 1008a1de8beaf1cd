"""Charts as Vega-Lite specifications, and the JavaScript that draws the charts."""

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

# Tableau's palette without two colours. The products that have no colour share the last colour.
COLOURS = (
    "#4c78a8",
    "#f58518",
    "#54a24b",
    "#e45756",
    "#72b7b2",
    "#eeca3b",
    "#b279a2",
    "#9aa5b1",
)
_BAR, _ROW = 10, 36  # pixels
_MAX_MONTH_LABELS = 24  # with more months, the labels of the axis are years
_THOUSANDS_FROM = 10_000  # from this number, the labels of the axis are in thousands


def chart_library() -> str:
    """Return the JavaScript that draws the charts (Vega and its embedding), as one script."""
    script = javascript_bundle()  # type: ignore[call-arg]  # its stub requires an argument
    return str(script).replace("</script", "<\\/script")


def month_chart(values: Values, products: list[str]) -> Chart:
    """Return a chart of `complaints` by `month` (YYYY-MM), stacked by `product`.

    The argument `products` gives the order of the colours.
    """
    totals = Counter[str]()
    for each in values:
        totals[each["month"]] += each["complaints"]
    months = _months(min(totals), max(totals))
    few = len(months) <= _MAX_MONTH_LABELS
    axis = alt.Axis(
        values=months if few else [month for month in months if month.endswith("-01")],
        labelExpr="utcFormat(toDate(datum.value), '%b %Y')" if few else "slice(datum.value, 0, 4)",
        labelAngle=0,
        labelOverlap=True,
        title=None,
    )
    numbers = ",d" if max(totals.values()) < _THOUSANDS_FROM else "~s"
    return _to_dict(
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
    """Return all months from the first to the last, as `YYYY-MM`."""
    years = range(int(first[:4]), int(last[:4]) + 1)
    months = [f"{year:04}-{month:02}" for year in years for month in range(1, 13)]
    return [month for month in months if first <= month <= last]


def bar_chart(values: Values, noun: str) -> Chart:
    """Return a bar chart of `complaints`. The `name` and `label` of each bar are above the bar."""
    rows = alt.Chart(_data(values)).encode(
        y=alt.Y("name:N").sort(None).axis(None),
        tooltip=[
            alt.Tooltip("name:N").title(noun),
            alt.Tooltip("complaints:Q").title("Complaints").format(","),
            alt.Tooltip("label:N").title("Label"),
        ],
    )
    largest = max(each["complaints"] for each in values)
    length = alt.X("complaints:Q").scale(domain=[0, largest]).axis(None)
    bars = rows.mark_bar(size=_BAR, yOffset=_ROW // 4, color=COLOURS[0]).encode(x=length)
    above = _ROW // 4 - _BAR // 2 - 3
    names = rows.mark_text(
        align="left", baseline="bottom", dy=above, fontSize=12, limit=alt.expr("width - 150")
    ).encode(x=alt.value(0), text="name:N")
    labels = rows.mark_text(align="right", baseline="bottom", dy=above, fontSize=12).encode(
        x=alt.value("width"), text="label:N"
    )
    return _to_dict((bars + names + labels).properties(height=_ROW * len(values)))


def _data(values: Values) -> Any:  # noqa: ANN401 - Altair gives no type
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def _to_dict(chart: alt.Chart | alt.LayerChart) -> Chart:
    styled = chart.properties(width="container").configure(
        font="system-ui, sans-serif", background="transparent"
    )
    return dict(styled.configure_view(stroke=None).to_dict())
