"""The date formats of CFPB."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.dates import parse_date
from support.soak import soak


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-08-14", "2026-08-14"),
        ("2024-11-05T12:00:00-05:00", "2024-11-05"),
        ("2024-05-14T12:00:00-05:00", "2024-05-14"),
        ("2023-03-11T14:26:56.000Z", "2023-03-11"),
        ("2026-06-30T23:45:02.000Z", "2026-06-30"),
        ("2026-06-30T23:45:02Z", "2026-06-30"),
        ("2024-02-29", "2024-02-29"),
    ],
)
def test_date_formats(text: str, day: str) -> None:
    """Each format gives the day as it is written."""
    assert parse_date(text) == day


@given(
    day=st.dates(),
    clock=st.times(),
    zone=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=14))]),
)
@settings(deadline=None, derandomize=True, max_examples=soak(150))
def test_no_time_zone_moves_the_day(day: date, clock: time, zone: timezone) -> None:
    """With any hour and offset, the day is the one that is written."""
    moment = datetime.combine(day, clock, zone).isoformat(timespec="milliseconds")

    assert parse_date(moment) == parse_date(moment.replace("+00:00", "Z")) == day.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "9/24/19",
        "20260814",
        "2026-8-14",
        "2026-W40-1",
        "2026-13-01",
        "2026-02-29",
        "2100-02-29",
        "0000-01-01",
        "2026-08-14\n",
        " 2026-08-14",
        "2026-08-14 12:00:00",
        "2026-08-14T12:00",
        "2026-08-14T",
        "2026-08-14T12:00:00.Z",
        "\uff12026-08-14",  # starts with a full-width 2
        "2026-08-14T12:00:00-05:00Z",
        "-026-08-14",
    ],
)
def test_other_dates_are_rejected(text: str) -> None:
    """Another format, or a day that the calendar does not have, is not a date."""
    with pytest.raises(ValueError, match=r"not a date|month|day|year"):
        parse_date(text)


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d{2}-\d{2}.{0,3}"))
@settings(deadline=None, derandomize=True, max_examples=soak(200))
def test_any_text_is_a_day_or_a_value_error(text: str) -> None:
    """The result is a real day, with which the text starts."""
    try:
        day = parse_date(text)
    except ValueError:
        return
    assert date.fromisoformat(day).isoformat() == day == text[:10]
