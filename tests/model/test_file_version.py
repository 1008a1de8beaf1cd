"""The day of a file's version."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.file import FileVersion

HTTP_DATE = "Wed, 07 Oct 2026 09:16:00 GMT"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        (HTTP_DATE, "2026-10-07"),
        ("Wed, 07 Oct 2026 23:59:59 GMT", "2026-10-07"),
        ("Wed, 07 Oct 2026 23:59:59 -0500", "2026-10-08"),
        ("Wed, 07 Oct 2026 23:59:59 -0000", "2026-10-07"),
        ("Wednesday, 07-Oct-26 09:16:00 GMT", "2026-10-07"),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
        ("Wed, 31 Feb 2026 09:16:00 GMT", None),
        ("2026", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_the_day_of_a_version(text: str | None, day: str | None) -> None:
    """It is the day in UTC, or None without a valid date."""
    assert FileVersion(last_modified=text).day == day


@given(st.text())
@settings(derandomize=True)
def test_any_text_is_a_day_or_none(text: str) -> None:
    """Whatever a server sends, no error is raised."""
    day = FileVersion(last_modified=text).day
    assert day is None or len(day) == 10
