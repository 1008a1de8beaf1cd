"""Histories in which a simpler order in time stores a wrong value, although no file is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from support.time_cases import OTHER, C, Cfpb
from support.time_world import COLUMNS, COMPANIES, DISPUTED, NARRATIVE, PRODUCTS, day_in

if TYPE_CHECKING:
    from cfpb_etl.emulator import RawComplaint

# The process that reads files is tested in tests/parse/test_csv_process.py.
pytestmark = pytest.mark.usefixtures("reader_in_this_process")

FIRST, SECOND, THIRD, FOURTH = "2026-09-21", "2026-09-22", "2026-09-23", "2026-09-24"


@pytest.fixture
def cfpb(cfpb: Cfpb) -> Cfpb:
    """Return CFPB on the first day."""
    cfpb.change(C, timely="Yes", company_response="In progress")
    cfpb.receive(FIRST)
    return cfpb


def recent(raw: RawComplaint) -> bool:
    """Filter the complaints of 2026."""
    return day_in(raw).startswith("2026")


# --- the scale ------------------------------------------------------------------------------


def test_a_complaint_sent_after_the_newest_day_received(cfpb: Cfpb) -> None:
    """A part is not newer than a daily file because a complaint was sent to a company later.

    On two quiet days nothing is received, but a complaint is sent. Both files are of the same day
    on the scale of the newest day received.
    """
    cfpb.receive("2026-09-19", sent=SECOND)
    part = cfpb.csv(cfpb.text(recent), SECOND)
    cfpb.change(C, timely="No")
    cfpb.load_file(cfpb.csv(cfpb.text(), THIRD))

    stats = cfpb.load_file(part)

    assert (cfpb.value(), stats.changed, stats.not_applied) == ("No", 0, 1)


@pytest.mark.parametrize("indexed", [FOURTH, "2062-03-05"])
def test_a_pull_whose_newest_day_is_not_plausible(cfpb: Cfpb, indexed: str) -> None:
    """Then its day is only known to be between the days of its rows and the index.

    The index was written on a later day than its newest complaint, so a file of a day in between
    may be newer.
    """
    cfpb.receive("2062-03-04")
    cfpb.publish(indexed)
    cfpb.pull()
    cfpb.change(C, timely="No")
    cfpb.withdraw(OTHER)
    new = cfpb.receive(SECOND)
    stats = cfpb.load_file(cfpb.csv(cfpb.text()))

    assert stats.not_applied == stats.uncertain or cfpb.value() == "No"
    assert cfpb.value("withdrawn_on", new) is None


def test_an_index_that_is_behind_the_daily_file(cfpb: Cfpb) -> None:
    """An answer of today is not newer than a part of a file with a newer day."""

    def days_ago(days: int) -> str:
        return str(datetime.now(UTC).date() - timedelta(days))

    cfpb.receive(days_ago(4))
    cfpb.publish(days_ago(3))  # the index stays like this
    cfpb.receive(days_ago(2))
    cfpb.change(C, timely="No")
    cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: recent(raw) and day_in(raw) < days_ago(3))))

    stats = cfpb.pull()

    assert (cfpb.value(), stats.changed) == ("No", 0)


# --- who has seen a value -------------------------------------------------------------------


def test_a_part_confirms_the_values_that_are_equal_and_not_the_others(cfpb: Cfpb) -> None:
    """A value that was seen at a moment that may be later is not replaced.

    The answer flaps: Yes, No, Yes. The part sees the second Yes, and another value that differs.
    """
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.change(C, timely="No")
    cfpb.receive(SECOND)
    middle = cfpb.csv(cfpb.text())
    cfpb.change(C, timely="Yes", company_response="Closed")
    assert cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: raw["complaint_id"] == str(C)))).rows == 1

    cfpb.load_file(middle)

    assert cfpb.value() == "Yes"


def test_an_empty_value_that_newer_data_have_seen_stays_empty(cfpb: Cfpb) -> None:
    """Newer data have seen that there is no value, although another value was not applied."""
    columns = {*COLUMNS, DISPUTED}  # the daily file does not have the last one
    cfpb.change(C, consumer_disputed="Yes")
    old = cfpb.csv(cfpb.text(recent, columns), FIRST)
    cfpb.receive(SECOND)
    cfpb.change(C, consumer_disputed=None, timely="No")
    newer = cfpb.csv(cfpb.text(recent, columns))
    cfpb.receive(THIRD)
    cfpb.change(C, timely="Yes")
    cfpb.load_file(cfpb.csv(cfpb.text()))
    assert cfpb.load_file(newer).not_applied == 1  # its day is between the second day and today

    cfpb.load_file(old)

    assert cfpb.value("consumer_disputed") is None


def test_a_gap_that_was_filled_is_not_emptied_without_a_certain_order(cfpb: Cfpb) -> None:
    """The value may be newer than the data that filled it, so it is protected as any other."""
    cfpb.change(C, company_response=None)
    cfpb.receive(SECOND)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.receive(THIRD)
    middle = cfpb.csv(cfpb.text())
    cfpb.change(C, company_response="Closed", timely="No")
    one = cfpb.csv(cfpb.text(lambda raw: raw["complaint_id"] == str(C)))
    assert cfpb.load_file(one).changed == 1

    cfpb.load_file(middle)

    assert cfpb.value("company_response") == "Closed"


def test_a_file_confirms_what_a_later_file_marks(cfpb: Cfpb) -> None:
    """Values that a daily file has seen are not replaced because they are marked later."""
    cfpb.load_file(cfpb.csv(cfpb.text(recent), FIRST))
    cfpb.receive(SECOND)
    cfpb.change(C, timely="No")
    tied = cfpb.csv(cfpb.text(recent), SECOND)  # of the same day as the next file
    cfpb.change(C, timely="Yes")
    cfpb.load_file(cfpb.csv(cfpb.text(), SECOND))
    cfpb.withdraw(C)
    cfpb.receive(THIRD)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    assert cfpb.marks() == {C: THIRD}

    stats = cfpb.load_file(tied)

    assert (cfpb.value(), cfpb.marks(), stats.changed) == ("Yes", {C: THIRD}, 0)


def test_a_part_has_seen_a_complaint_with_values_that_were_not_applied(cfpb: Cfpb) -> None:
    """Such a complaint is not marked by a file that may be older than the part."""
    cfpb.load_file(cfpb.csv(cfpb.text()))
    gone = cfpb.withdraw(C)
    cfpb.receive(SECOND)
    middle = cfpb.csv(cfpb.text())
    cfpb.rows[C] = gone | {"timely": "No"}  # it is back, with another value
    cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: raw["complaint_id"] == str(C))))

    cfpb.load_file(middle)

    assert (cfpb.value(), cfpb.marks()) == ("Yes", {})


# --- marks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_pull", [False, True])
def test_a_mark_stays_if_a_still_newer_load_lacks_the_complaint(
    cfpb: Cfpb, *, by_pull: bool
) -> None:
    """A complaint was gone, came back and is gone again; the file in between is loaded last."""
    cfpb.load_file(cfpb.csv(cfpb.text()))
    gone = cfpb.withdraw()
    cfpb.receive(SECOND)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.rows[C] = gone
    cfpb.receive(THIRD)
    between = cfpb.csv(cfpb.text())
    cfpb.withdraw()
    cfpb.receive(FOURTH)
    if by_pull:
        cfpb.publish(FOURTH)
        cfpb.pull()
    else:
        cfpb.load_file(cfpb.csv(cfpb.text()))
    assert cfpb.marks() == {C: SECOND}

    cfpb.load_file(between)

    assert cfpb.marks().keys() == {C}


def test_a_mark_goes_if_the_newest_load_has_the_complaint(cfpb: Cfpb) -> None:
    """The same history in the order of time."""
    cfpb.load_file(cfpb.csv(cfpb.text()))
    gone = cfpb.withdraw()
    cfpb.receive(SECOND)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    assert cfpb.marks() == {C: SECOND}
    cfpb.rows[C] = gone
    cfpb.receive(THIRD)

    assert cfpb.load_file(cfpb.csv(cfpb.text())).changed == 1
    assert cfpb.marks() == {}


# --- days that are not plausible ------------------------------------------------------------


def test_an_odd_early_day_does_not_make_a_file_whole(cfpb: Cfpb) -> None:
    """The other complaints of a file start in 2013, so it has only a part of all complaints."""

    def since_2013(raw: RawComplaint) -> bool:
        return not "2011" <= day_in(raw) < "2013"

    cfpb.receive("0001-01-05")
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.load_file(cfpb.csv(cfpb.text(since_2013)))

    reasons = [reason for (reason,) in cfpb.query("SELECT part_reason FROM load")]
    assert reasons[0] is None
    assert reasons[1] is not None
    assert reasons[1].startswith("its days start on 2013-")


# --- filters on what can change -------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "kept", "changed"),
    [
        ("timely", "Yes", "No"),
        ("company_public_response", "Company believes it acted appropriately", None),
        (NARRATIVE, "They did it.", None),
    ],
)
def test_a_complaint_that_matches_a_filter_no_longer_is_not_withdrawn(
    cfpb: Cfpb, column: str, kept: str, changed: str | None
) -> None:
    """The export of timely responses is saved again after one response became untimely.

    The same holds for an export of complaints with a public response, or with a narrative.
    """

    def chosen(raw: RawComplaint) -> bool:
        return recent(raw) and raw.get(column) == kept

    def save(day: str) -> str:
        text = cfpb.text(chosen, (*COLUMNS, NARRATIVE))
        return cfpb.csv(text, name=f"complaints-{day}_10_30.csv")

    for number in [*cfpb.rows][1:]:
        cfpb.change(number, **{column: kept})
    for _ in range(40):
        cfpb.receive(FIRST)
    cfpb.load_file(save("2026-09-22"))
    cfpb.change(C, **{column: changed})
    cfpb.change(cfpb.receive("2026-09-29"), **{column: kept})

    stats = cfpb.load_file(save("2026-09-30"))

    assert (stats.new, stats.withdrawn, cfpb.marks()) == (1, 0, {})


def test_a_filter_by_response_does_not_leave_a_whole_file(cfpb: Cfpb) -> None:
    """It has all states, products and days, but the other complaints are not withdrawn."""
    cfpb.change(C, company_response="Closed with monetary relief")
    old = cfpb.csv(cfpb.text(recent), FIRST)
    for number in cfpb.rows.keys() - {C}:
        cfpb.change(number, company_response="Closed")
    for place in range(1_200):
        company, product = (names[place % len(names)] for names in (COMPANIES, PRODUCTS))
        number = cfpb.receive(SECOND, company=company, product=product)
        cfpb.change(number, company_response="Closed", tags=None if place % 9 else "Servicemember")
    cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: raw["company_response"] == "Closed")))

    cfpb.load_file(old)

    assert cfpb.value("withdrawn_on") is None


def test_a_filter_that_leaves_almost_all_does_not_leave_a_whole_file(cfpb: Cfpb) -> None:
    """The few complaints whose answers were not timely are not withdrawn (0.4 % of all)."""
    for number in cfpb.rows.keys() - {C}:
        cfpb.change(number, timely="Yes")
    for _ in range(1_200):
        cfpb.change(cfpb.receive(FIRST), timely="Yes")
    cfpb.change(C, timely="No")
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.change(cfpb.receive(SECOND), timely="Yes")

    stats = cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: raw["timely"] == "Yes")))

    assert (stats.new, stats.withdrawn, cfpb.marks()) == (1, 0, {})
