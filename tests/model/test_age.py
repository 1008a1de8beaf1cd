"""How old a file is: its complaints and the evidence beside them."""

from __future__ import annotations

import pytest

from cfpb_etl.model.age import (
    Age,
    Evidence,
    NewestDays,
    age_of_file,
    days_in_words,
    newest_of,
    oldest_of,
)

TODAY = "2026-11-27"
NEWEST = NewestDays("2026-10-07", "2026-10-09")


def age(evidence: Evidence, newest: NewestDays = NEWEST, *, is_whole: bool = False) -> Age | None:
    """Return the age of a file that was read on one day."""
    return age_of_file(evidence, newest, TODAY, is_whole=is_whole)


def test_a_whole_file_is_of_its_newest_day_received() -> None:
    """Dates outside of the complaints do not matter."""
    evidence = Evidence(not_after=(("1980-01-01", "date in the zip"),), exported_on="2026-10-20")

    assert age(evidence, is_whole=True) == Age.on("2026-10-07", "newest day received")


def test_a_part_is_between_its_newest_day_and_the_earliest_evidence() -> None:
    """The day sent to the company counts too, because CFPB knew it."""
    evidence = Evidence(not_after=(("2026-10-20", "Last-Modified"), ("2026-10-12", "zip")))

    found = age(evidence)
    words = "newest day in its dates, zip"
    assert found == Age("2026-10-07", "2026-10-12", words, taken_from="2026-10-09")
    assert str(found) == "a day between 2026-10-07 and 2026-10-12"


@pytest.mark.parametrize("day", ["1980-01-01", "2026-10-08", "2026-11-28", "2036-01-01"])
def test_evidence_that_contradicts_the_complaints_or_is_in_the_future(day: str) -> None:
    """The file can then be as new as today."""
    expected = Age("2026-10-07", TODAY, "newest day in its dates, today", "2026-10-09")

    assert age(Evidence(not_after=((day, "zip"),))) == expected
    assert age(Evidence(exported_on=day)) == expected


def test_an_export_is_not_much_older_than_its_name() -> None:
    """CFPB's index can be six days behind, so the newest day may be earlier."""
    exported = Evidence(exported_on="2026-10-31")

    words = "newest day in its dates, name of the export"
    assert age(exported) == Age("2026-10-25", "2026-10-31", words, "2026-10-31")
    earlier = age(Evidence(exported_on="2026-10-11"))
    assert earlier == Age("2026-10-07", "2026-10-11", words, "2026-10-11")


def test_a_stated_day_counts() -> None:
    """The user's day comes first, then the archive's."""
    both = Evidence(as_of="2026-11-01", archived_until="2026-08-31")

    assert age(both, is_whole=True) == Age.on("2026-11-01", "--as-of")
    assert age(Evidence(archived_until="2026-08-31")) == Age.on(
        "2026-08-31", "the archive's last month"
    )


def test_a_file_without_days_has_no_age() -> None:
    """Nothing shows how old it is."""
    evidence = Evidence(not_after=(("2026-10-20", "Last-Modified"),))

    assert age(evidence, NewestDays()) is None
    assert age(evidence, NewestDays(), is_whole=True) is None


def test_the_newest_plausible_day() -> None:
    """Days in the future and missing days do not count."""
    assert newest_of(["2026-10-07", None, "", "2062-01-01", TODAY], TODAY) == TODAY
    assert newest_of([None, "2062-01-01"], TODAY) is None


def test_the_first_plausible_day() -> None:
    """CFPB's first complaint is of December 2011."""
    assert oldest_of(["2013-01-01", None, "0001-01-05", "2011-12-01"]) == "2011-12-01"
    assert oldest_of([None, "0001-01-05"]) is None


def test_days_in_words() -> None:
    """A certain day is one day."""
    assert days_in_words("2026-10-07", "2026-10-07") == "2026-10-07"
