"""Charts as Vega-Lite specifications, and the program that draws them in a browser."""

from __future__ import annotations

from typing import Any

from cfpb_etl.errors import MissingExtraError

try:
    import altair as alt
    from vl_convert import javascript_bundle
except ModuleNotFoundError as error:
    raise MissingExtraError(str(error.name), "inspect") from error

Values = list[dict[str, Any]]
Chart = dict[str, Any]

_BAR = 22  # pixels


def chart_library() -> str:
    """Return the program that draws the charts, Vega and what embeds it, as one script."""
    made = javascript_bundle()  # type: ignore[call-arg]  # its stub asks for more than it does
    return str(made).replace("</script", "<\\/script")


def month_chart(values: Values, products: list[str]) -> Chart:
    """Return columns of `complaints` by `month`, a colour for each `product`, in this order."""
    month = alt.X("utcyearmonth(month):T").title(None)
    legend = alt.Legend(orient="bottom", columns=1, labelLimit=0, title=None, symbolType="square")
    return _as_json(
        alt.Chart(_data(values))
        .mark_bar()
        .encode(
            x=month,
            y=alt.Y("sum(complaints):Q").title("Complaints").axis(format="~s"),
            color=alt.Color("product:N").scale(domain=products, scheme="tableau10").legend(legend),
            tooltip=[
                alt.Tooltip("utcyearmonth(month):T").title("Month"),
                alt.Tooltip("product:N").title("Product"),
                alt.Tooltip("complaints:Q").title("Complaints").format(","),
            ],
        )
        .properties(height=280)
    )


def bar_chart(values: Values, what: str) -> Chart:
    """Return bars of `complaints`, a `name` before each and its `label` behind."""
    most = max(each["complaints"] for each in values)
    bars = alt.Chart(_data(values)).encode(
        y=alt.Y("name:N").sort(None).title(None).axis(labelLimit=140),
        # Room for the words after the longest bar.
        x=alt.X("complaints:Q").title(None).scale(domainMax=most * 2.2).axis(None),
        tooltip=[
            alt.Tooltip("name:N").title(what),
            alt.Tooltip("complaints:Q").title("Complaints").format(","),
            alt.Tooltip("label:N").title("In words"),
        ],
    )
    words = bars.mark_text(align="left", dx=4).encode(text="label:N")
    return _as_json((bars.mark_bar() + words).properties(height=_BAR * len(values)))


def column_chart(values: Values) -> Chart:
    """Return columns of `complaints` by `state`."""
    return _as_json(
        alt.Chart(_data(values))
        .mark_bar()
        .encode(
            x=alt.X("state:N").sort(None).title(None).axis(labelAngle=0, labelOverlap=True),
            y=alt.Y("complaints:Q").title("Complaints").axis(format="~s"),
            tooltip=[
                alt.Tooltip("state:N").title("State"),
                alt.Tooltip("complaints:Q").title("Complaints").format(","),
            ],
        )
        .properties(height=220)
    )


def _data(values: Values) -> Any:  # noqa: ANN401 - Altair does not say
    return alt.Data(values=values)  # type: ignore[no-untyped-call]


def _as_json(chart: alt.Chart | alt.LayerChart) -> Chart:
    made = chart.properties(width="container").configure(
        font="system-ui, sans-serif", background="transparent"
    )
    return dict(made.configure_view(stroke=None).to_dict())
