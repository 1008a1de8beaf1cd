"""The order of day and month is decided once for a file, or the file is refused."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.parse.csv_format.date_order import decide_order
from cfpb_etl.parse.errors import UncertainDatesError

if TYPE_CHECKING:
    from cfpb_etl.parse.csv_format.days import Order

PATH = Path("complaints.csv")
TODAY = "2026-11-27"
US, EUROPE = "%m/%d/%Y", "%d.%m.%Y"


def decide(*rows: tuple[str, ...]) -> Order | None:
    """Decide the order for rows that start in line 2."""
    return decide_order(enumerate(rows, 2), TODAY, PATH)


def days(spelling: str, number: int = 60, step: int = 1, lag: int = 1) -> list[tuple[str, str]]:
    """Return the dates of rows: each is sent `lag` days after it is received."""
    received = [date(2020, 1, 1) + timedelta(step * n) for n in range(number)]
    return [(day.strftime(spelling), (day + timedelta(lag)).strftime(spelling)) for day in received]


@pytest.mark.parametrize(
    ("spelling", "order"),
    [
        ("%m/%d/%Y", "month-first"),
        ("%m/%d/%y", "month-first"),
        ("%m/%d/%Y 12:00:00 AM", "month-first"),
        ("%m.%d.%Y", "month-first"),
        ("%d/%m/%Y", "day-first"),
        ("%d.%m.%Y", "day-first"),
        ("%d-%m-%y", "day-first"),
        ("%y/%m/%d", "year-first"),
    ],
)
def test_the_days_of_two_months_show_the_order(spelling: str, order: Order) -> None:
    """A dot or a slash does not show the order, but impossible dates do."""
    assert decide(*days(spelling)) == order


@pytest.mark.parametrize(
    ("row", "order"),
    [
        (("01/13/2020",), "month-first"),
        (("13/01/2020",), "day-first"),
        (("01/02/2020", "01/13/2020"), "month-first"),
        (("2020-01-02", "13/01/2020"), "day-first"),
        (("11/12/2026",), "month-first"),
        (("12/11/2026",), "day-first"),
        (("03/12/2020", "04/01/2020"), "month-first"),
        (("12/03/2020", "01/04/2020"), "day-first"),
        (("01/12/2011",), "day-first"),
    ],
    ids=str,
)
def test_one_row_can_show_the_order(row: tuple[str, ...], order: Order) -> None:
    """By an impossible date, a day after today or before CFPB, or sent before received."""
    rows = [("02/02/2020",) * len(row), row, ("03/04/2020",) * len(row)]
    assert decide(*rows) == order


def test_sent_one_day_before_received_is_possible() -> None:
    """CFPB has such complaints, so they exclude no order."""
    assert decide(("05/02/2020", "05/01/2020"), ("03/04/2020", "")) == "month-first"
    with pytest.raises(UncertainDatesError):  # two days before fit no order
        decide(("05/03/2020", "05/01/2020"), ("03/04/2020", ""))


def test_both_orders_fit() -> None:
    """The error has both readings of the first such row, and the option that decides."""
    with pytest.raises(UncertainDatesError) as caught:
        decide(("2020-01-02", "2020-01-02"), ("05/05/2020", ""), ("03/04/2020", "03/05/2020"))

    assert (caught.value.line, caught.value.written) == (4, "03/04/2020")
    assert str(caught.value) == (
        "complaints.csv has dates with more than one meaning: '03/04/2020' in line 4 is"
        " 2020-03-04 (month-first) or 2020-04-03 (day-first). Nothing of it was stored. Find out"
        " which order the file has, and run again with --date-order month-first or --date-order"
        " day-first."
    )


def test_a_year_of_two_digits_can_come_first() -> None:
    """Such a date has three readings, and no row excludes one of them."""
    with pytest.raises(UncertainDatesError, match=r"2012-11-13 \(year-first"):
        decide(("12/11/13",))


@pytest.mark.parametrize("rows", [[], [("2020-01-02", "")], [("05/05/2020", "06/06/2020")]])
def test_no_row_needs_the_order(rows: list[tuple[str, ...]]) -> None:
    """Any order gives the same days."""
    assert decide(*rows) is not None


@pytest.mark.parametrize("wrong", [("13/45/2020", ""), ("x", "99/99/99"), ("01/02/2062", "")])
def test_rows_that_fit_no_order_decide_nothing(wrong: tuple[str, str]) -> None:
    """They are wrong in themselves."""
    assert decide(wrong, *days(US), wrong) == "month-first"
    with pytest.raises(UncertainDatesError):
        decide(wrong, ("03/04/2020", "03/05/2020"), wrong)


@pytest.mark.parametrize("at", [0, 30, 60])
def test_a_few_rows_in_the_other_order_decide_nothing(at: int) -> None:
    """They are rejected later; the order is that of nearly all rows."""
    rows = days(US)
    rows[at:at] = [("31/12/2020", "31/12/2020")]

    assert decide(*rows) == "month-first"


def test_one_row_of_thousands_shows_no_order() -> None:
    """It may be wrong, as one row in a thousand may be."""
    rows = [("03/04/2020", "03/05/2020")] * 1_500
    assert decide(*rows[:900], ("01/13/2020", "")) == "month-first"

    with pytest.raises(UncertainDatesError):
        decide(*rows, ("01/13/2020", ""))


def test_rows_that_contradict_each_other() -> None:
    """If too many rows have each order, the file is refused."""
    with pytest.raises(UncertainDatesError):
        decide(*days(US, 40), *days(EUROPE, 40))


def test_a_few_uncertain_rows_in_a_large_file() -> None:
    """Up to one in a thousand, they are rejected as rows and do not refuse the file."""
    certain = [("2020-01-02", "2020-01-03")] * 11_988
    uncertain = [("03/04/2020", "")] * 12

    assert decide(*certain, *uncertain) is None
    with pytest.raises(UncertainDatesError):
        decide(*certain[1:], *uncertain)


@pytest.mark.parametrize("odd", ["2-03-20", "20-10-31", "20-10-05", "01/13/2020", "03/04/2020"])
def test_a_few_odd_dates_among_certain_ones(odd: str) -> None:
    """They can be damaged, so they neither refuse the file nor show an order."""
    certain = [("2020-01-02", "2020-01-03")] * 10

    assert decide((odd, ""), *certain[:2]) is None
    assert decide(*[(odd, "")] * 9, *certain) is None


def test_many_odd_dates_among_certain_ones() -> None:
    """A file may have been put together from two, but no program writes `20-10-31`."""
    certain = [("2020-01-02", "2020-01-03")] * 100

    assert decide(*certain, *days(EUROPE, 40)) == "day-first"
    assert decide(*certain, *days("%y-%m-%d", 40)) is None
    assert decide(*certain[:1], *days("%y-%m-%d", 40)) is None
    with pytest.raises(UncertainDatesError):
        decide(*certain, *[("03/04/2020", "")] * 10)


def test_a_file_is_read_only_as_far_as_needed() -> None:
    """After a thousand rows that exclude the other order, the rest is not read."""
    endless = (row for rows in repeat(days(US)) for row in rows)

    assert decide_order(enumerate(endless), TODAY, PATH) == "month-first"
