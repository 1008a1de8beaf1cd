"""Each spelling of a day is read as the day that it means, and nothing else is a day."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.parse.csv_format.days import LONGEST, ORDERS, Days, Order, readings
from support.soak import soak

CERTAIN = [
    *("2020-01-10", "2020-1-10", "2020/01/10", "2020/1/10", "2020.01.10", "2020. 01. 10."),
    *("2020-01-10 00:00:00", "2020-01-10 00:00", "2020-01-10T00:00:00.000", "2020-01-10T00:00"),
    *("2020-01-10T00:00:00Z", "2020-01-10T00:00:00.000Z", "2020-01-10 00:00:00+00:00"),
    *("2020-01-10T00:00:00.000-05:00", "2020-01-10 00:00:00+00", "2020-01-10 00:00:00 UTC"),
    *("2020-01-10T12:00:00-0500", "2020-01-10 00:00:00.000000000", "2020/1/10 0:00"),
    *("20200110", " 2020-01-10 ", "2020-Jan-10"),
    *("10-Jan-20", "10-Jan-2020", "10-JAN-20", "10JAN2020", "10jan2020", "10 Jan 2020"),
    *("10 January 2020", "Jan 10, 2020", "January 10, 2020", "Jan. 10, 2020", "jan 10 2020"),
    *("Friday, January 10, 2020", "Fri 10 Jan 2020", "Friday, 10 January 2020", "10/Jan/2020"),
    *("10-Jan-2020 12:00:00 AM", "Jan 10, 2020, 12:00:00\u202fAM"),
]
MONTH_FIRST = [
    *("01/10/2020", "1/10/2020", "01/10/20", "1/10/20", "01-10-2020", "1.10.2020"),
    *("1/10/2020 0:00", "01/10/2020 12:00:00 AM", "1/10/2020, 12:00:00 AM", "01/10/20 00:00"),
]
NOT_A_DAY = [
    *("", "None", "NA", "soon", "2020", "2020-01", "Jan-20", "43840", "1578614400", "9" * 5_000),
    *("2020-13-01", "2020-02-30", "2020-1-100", "2020-10", "2020-W02-5", "20201301", "01102020"),
    *("2020-01/10", "01/10-2020", "1/10/20200", "1/10/200", "1//2020", "10-Foo-20", "Jan 2020"),
    *("2020-01-10T", "2020-01-10 x", "2020-01-10T00", "2020-01-10\n2020-01-11", "-1/10/2020"),
    *("31/31/2020", "00/10/2020", "01/10/10", "01/10/00", "1/10/2020 PM", "\uff12020-01-10"),
    *("2020-01-10" + " " * LONGEST, "0000-01-10", "0/0/0"),
]


@pytest.mark.parametrize("text", CERTAIN)
def test_a_certain_spelling_has_one_reading(text: str) -> None:
    """It needs no order, and the time of day is ignored."""
    assert readings(text) == dict.fromkeys(ORDERS, "2020-01-10")


@pytest.mark.parametrize("text", MONTH_FIRST)
def test_a_spelling_with_numbers_has_a_reading_for_each_order(text: str) -> None:
    """The year comes last, and it may have two digits."""
    days = readings(text)

    assert (days["month-first"], days["day-first"]) == ("2020-01-10", "2020-10-01")
    assert {*days} <= {*ORDERS}


@pytest.mark.parametrize("text", NOT_A_DAY)
def test_other_texts_are_not_a_day(text: str) -> None:
    """Nothing is guessed: neither numbers of days or seconds, nor a year before CFPB."""
    assert readings(text) == {}


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("12/31/2020", {"month-first": "2020-12-31"}),
        ("31.12.2020", {"day-first": "2020-12-31"}),
        ("10.01.20", {"month-first": "2020-10-01", "day-first": "2020-01-10"}),
        ("20/12/31", {"day-first": "2031-12-20", "year-first": "2020-12-31"}),
        (
            "12/11/13",
            {"month-first": "2013-12-11", "day-first": "2013-11-12", "year-first": "2012-11-13"},
        ),
        ("03/04/62", {"month-first": "2062-03-04", "day-first": "2062-04-03"}),
        ("1/2/99", {"month-first": "2099-01-02", "day-first": "2099-02-01"}),
    ],
)
def test_only_possible_readings_count(text: str, days: dict[str, str]) -> None:
    """The calendar excludes some orders; a year of two digits is 2011 to 2099."""
    assert readings(text) == days


@given(
    st.dates(date(1000, 1, 1)), st.sampled_from(["%m/%d/%Y", "%d.%m.%Y", "%d-%b-%Y", "%Y/%m/%d"])
)
@settings(deadline=None, derandomize=True, max_examples=soak(200))
def test_any_day_is_among_its_readings(day: date, spelling: str) -> None:
    """No day is lost, in any of these spellings."""
    assert day.isoformat() in readings(day.strftime(spelling)).values()


@given(st.text(max_size=30) | st.from_regex(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.{0,9}"))
@settings(deadline=None, derandomize=True, max_examples=soak(60, 3_000))
def test_readings_are_days_of_the_calendar(text: str) -> None:
    """Any text has valid readings or none."""
    for day in readings(text).values():
        assert date.fromisoformat(day).isoformat() == day


# --- the days of a file -----------------------------------------------------------------------


def test_the_order_is_found_once_and_only_if_needed() -> None:
    """Certain dates need no order, and the first uncertain one finds it."""
    calls: list[Order] = []

    def find_order() -> Order:
        calls.append("day-first")
        return calls[-1]

    days = Days(find_order)

    assert [days["2020-01-10"], days["10-Jan-20"]] == ["2020-01-10", "2020-01-10"]
    assert calls == []

    assert [days["03/04/2020"], days["04/03/2020"]] == ["2020-04-03", "2020-03-04"]
    assert calls == ["day-first"]


@pytest.mark.parametrize("text", ["12/31/2020", "20-10-05", "5/31/20"])
def test_a_date_in_another_order_is_no_day(text: str) -> None:
    """Even if it could be only one day, it is not in the order of the file."""
    days = Days(lambda: "day-first")
    with pytest.raises(ValueError, match=f"not a date: '{text}'"):
        days[text]
    assert days["2020-12-31"] == "2020-12-31"


@pytest.mark.parametrize("text", ["03/04/2020", "12/31/2020", "5/5/2020", "20-10-05"])
def test_without_an_order_only_certain_dates_are_days(text: str) -> None:
    """If a file shows no order, a date that needs one is damaged, and its day is not guessed."""
    days = Days(lambda: None)

    with pytest.raises(ValueError, match=f"not a date: '{text}'"):
        days[text]
    assert days["2020-01-10"] == "2020-01-10"


def test_few_spellings_are_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have any number of them."""
    monkeypatch.setattr(Days, "_MAX", 3)
    days = Days(lambda: "month-first")

    for minute in range(10, 60):
        assert days[f"1/2/2020 0:{minute}"] == "2020-01-02"
        assert len(days) <= 3
