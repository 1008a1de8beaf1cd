"""Named cases of the order in time: what people load, and what must simply work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.model import dates
from cfpb_etl.store.errors import TooManyWithdrawnError
from support.time_cases import ARCHIVE_FILES, OTHER, C, Cfpb, load_with
from support.time_world import day_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from cfpb_etl.emulator import RawComplaint

# The process that reads files is tested in tests/parse/test_csv_process.py.
pytestmark = pytest.mark.usefixtures("reader_in_this_process")

FIRST, SECOND, THIRD = "2026-09-21", "2026-09-22", "2026-09-23"  # three days of CFPB
FUTURE = "2050-01-02"
IMPLAUSIBLE = "2062-03-04"


@pytest.fixture
def cfpb(cfpb: Cfpb) -> Cfpb:
    """Return CFPB on the first day."""
    cfpb.change(C, timely="Yes")
    cfpb.receive(FIRST)
    return cfpb


def live(cfpb: Cfpb, day: str = SECOND) -> int:
    """Let CFPB change a complaint, remove another one and receive a new one; return its id."""
    cfpb.change(C, timely="No")
    cfpb.withdraw(OTHER)
    return cfpb.receive(day)


def of_state(*states: str) -> Callable[[RawComplaint], bool]:
    """Return a filter by state."""
    return lambda raw: raw["state"] in states


def of_year(year: str) -> Callable[[RawComplaint], bool]:
    """Return a filter by year."""
    return lambda raw: day_in(raw).startswith(year)


# --- dates of files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "changed"),
    [
        ("1980-01-01", ""),
        ("1980-01-01", "1999-09-09"),
        (FIRST, FIRST),
        (SECOND, FUTURE),
        (FUTURE, FIRST),
        (FUTURE, FUTURE),
    ],
)
def test_the_next_daily_file_counts_whatever_its_zip_says(
    cfpb: Cfpb, day: str, changed: str
) -> None:
    """A zip written by Python carries 1980."""
    cfpb.load_file(cfpb.zip(cfpb.text(), FIRST))
    new = live(cfpb)

    stats = cfpb.load_file(cfpb.zip(cfpb.text(), day, changed))

    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 1, 0)
    assert cfpb.value() == "No"
    assert cfpb.marks() == {OTHER: SECOND}
    assert cfpb.value("date_received", new) == SECOND


@pytest.mark.parametrize("day", ["1980-01-01", THIRD, FUTURE])
def test_an_old_daily_file_does_not_count_whatever_its_zip_says(cfpb: Cfpb, day: str) -> None:
    """It may have been zipped today; what newer data lack is stored as withdrawn."""
    old = cfpb.text()
    live(cfpb)
    cfpb.load_file(cfpb.csv(cfpb.text()))

    stats = cfpb.load_file(cfpb.zip(old, day))

    assert (stats.new, stats.changed, stats.not_applied, stats.uncertain) == (1, 0, 1, 0)
    assert (stats.born_withdrawn, stats.withdrawn) == (1, 0)
    assert cfpb.value() == "No"
    assert cfpb.marks() == {OTHER: SECOND}


@pytest.mark.parametrize("modified", [FUTURE, "1999-09-09"])
def test_a_wrong_date_of_a_server_does_no_harm(cfpb: Cfpb, modified: str) -> None:
    """A later file counts, and its new complaints are not stored as withdrawn."""
    cfpb.publish(FIRST, last_modified=modified)
    cfpb.download()
    live(cfpb)
    cfpb.publish(SECOND)

    stats = cfpb.download()

    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 1, 0)
    assert cfpb.marks() == {OTHER: SECOND}


def test_an_index_day_in_the_future_does_no_harm(cfpb: Cfpb) -> None:
    """Later loads of each kind count."""
    cfpb.publish(FUTURE)
    cfpb.pull()
    live(cfpb)
    cfpb.publish(SECOND)

    stats = cfpb.download()

    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 1, 0)
    cfpb.change(C, timely="Yes")
    cfpb.receive(THIRD)
    cfpb.publish(FUTURE)
    assert cfpb.pull().changed == 1
    assert cfpb.value() == "Yes"


@pytest.mark.parametrize("clock", ["1970-01-01", "2026-09-01"])
def test_a_clock_that_is_behind_does_no_harm(
    cfpb: Cfpb, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days of the data are plausible, although the clock has not reached them."""
    monkeypatch.setattr(dates, "clock_day", lambda: clock)
    cfpb.publish(FIRST)
    cfpb.download()
    cfpb.pull()
    live(cfpb)

    stats = cfpb.load_file(cfpb.csv(cfpb.text()))

    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 1, 0)
    assert cfpb.marks() == {OTHER: SECOND}


# --- a complaint of 2062 --------------------------------------------------------------------


def test_a_complaint_of_2062_in_the_daily_file(cfpb: Cfpb) -> None:
    """It is stored, can change and can be withdrawn, and does not set the age of the file."""
    odd = cfpb.receive(IMPLAUSIBLE)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    assert cfpb.value("date_received", odd) == IMPLAUSIBLE
    live(cfpb)
    cfpb.change(odd, timely="No")

    stats = cfpb.load_file(cfpb.csv(cfpb.text()))

    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 2, 1, 0)
    assert stats.newest == SECOND
    assert cfpb.marks() == {OTHER: SECOND}
    cfpb.withdraw(odd)
    cfpb.receive(THIRD)
    assert cfpb.load_file(cfpb.csv(cfpb.text())).withdrawn == 1
    assert cfpb.marks() == {OTHER: SECOND, odd: THIRD}


def test_an_update_after_a_complaint_of_2062(cfpb: Cfpb) -> None:
    """It asks from the newest plausible day, and finds changes of the odd complaint too."""
    odd = cfpb.receive(IMPLAUSIBLE)
    cfpb.publish(FIRST)
    stats = cfpb.pull()
    assert stats.rows == stats.expected == stats.received == len(cfpb.rows)
    live(cfpb)
    cfpb.change(odd, timely="No")
    cfpb.publish(SECOND)

    stats, running = load_with(cfpb.database, cfpb.api(lookback=100))

    assert running.source.query_json() == '{"since": "2026-06-13"}'
    assert stats.expected == stats.received == stats.rows
    assert (stats.new, stats.changed, stats.withdrawn) == (1, 2, 1)
    assert cfpb.value("timely", odd) == "No"
    cfpb.withdraw(odd)
    cfpb.receive(THIRD)
    cfpb.publish(THIRD)
    assert load_with(cfpb.database, cfpb.api(lookback=100))[0].withdrawn == 1
    assert cfpb.marks().keys() == {OTHER, odd}


def test_an_update_after_the_daily_file_with_a_complaint_of_2062(cfpb: Cfpb) -> None:
    """The same, if the complaint came with the daily file."""
    odd = cfpb.receive(IMPLAUSIBLE)
    cfpb.publish(FIRST)
    cfpb.download()
    live(cfpb, THIRD)
    cfpb.change(odd, timely="No")
    cfpb.publish(THIRD)

    stats, running = load_with(cfpb.database, cfpb.api(lookback=100))

    assert running.source.query_json() == '{"since": "2026-06-13"}'
    assert (stats.new, stats.changed, stats.withdrawn) == (1, 2, 1)


def test_an_update_after_a_newest_day_of_year_one(cfpb: Cfpb) -> None:
    """No day before the first day of the calendar is asked for."""
    number = cfpb.receive("0001-01-05")
    cfpb.load_file(cfpb.csv(cfpb.text(lambda raw: raw["complaint_id"] == str(number))), whole=True)
    del cfpb.rows[number]
    cfpb.publish(FIRST)

    stats, running = load_with(cfpb.database, cfpb.api(lookback=60))

    assert running.source.query_json() == '{"since": "0001-01-01"}'
    assert stats.rows == len(cfpb.rows)


# --- parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("years", [("2020", "2019"), ("2019", "2020")])
def test_year_files_load_in_any_order(cfpb: Cfpb, years: tuple[str, str]) -> None:
    """No complaint is marked as withdrawn, and each file is recorded as a part."""
    for year in years:
        stats = cfpb.load_file(cfpb.csv(cfpb.text(of_year(year)), name=f"year_{year}.csv"))
        assert stats.new == stats.rows > 1
        assert (stats.withdrawn, stats.born_withdrawn) == (0, 0)

    assert cfpb.marks() == {}
    assert cfpb.query("SELECT is_partial, part_reason IS NOT NULL FROM load") == [(1, 1)] * 2


@pytest.mark.parametrize("states", [("CA", "TX"), ("TX", "CA")])
def test_one_state_loads_after_another(cfpb: Cfpb, states: tuple[str, str]) -> None:
    """The first state is neither missed nor marked."""
    for state in states:
        stats = cfpb.load_file(cfpb.csv(cfpb.text(of_state(state))))
        assert stats.new == stats.rows > 1
        assert (stats.withdrawn, stats.born_withdrawn) == (0, 0)

    assert cfpb.marks() == {}


def test_a_part_is_no_base_of_an_update_or_of_the_archive(cfpb: Cfpb) -> None:
    """An update has nothing to repeat, and the archive adds only narratives."""
    from cfpb_etl.fetch.errors import NothingToUpdateError

    files = cfpb.archive()
    part = cfpb.load_file(cfpb.csv(cfpb.text(of_year("2026"))))
    cfpb.publish(FIRST)
    with pytest.raises(NothingToUpdateError):
        load_with(cfpb.database, cfpb.api(lookback=60))

    stats = cfpb.load_archive(*files)

    assert stats.new == 0
    assert stats.skipped > 1
    assert stats.changed == part.rows - 1  # one complaint is newer than the archive


@pytest.mark.parametrize(
    "filtered", [of_year("2026"), of_state("CA", "TX", "WY")], ids=["a year", "states"]
)
@pytest.mark.parametrize("named", [True, False])
def test_the_same_export_saved_again_a_week_later(
    cfpb: Cfpb, filtered: Callable[[RawComplaint], bool], *, named: bool
) -> None:
    """What has changed is applied, with the dates in CFPB's names or in the files."""
    cfpb.change(C, state="CA")
    cfpb.receive("2026-09-30", state="CA")
    name = "complaints-2026-10-01_10_30.csv" if named else "mine.csv"
    cfpb.load_file(cfpb.csv(cfpb.text(filtered), "" if named else "2026-10-01", name))
    cfpb.change(C, timely="No")
    cfpb.receive("2026-10-07", state="CA")
    name = "complaints-2026-10-08_09_15.csv" if named else "mine.csv"

    stats = cfpb.load_file(cfpb.csv(cfpb.text(filtered), "" if named else "2026-10-08", name))

    assert (stats.new, stats.changed, stats.not_applied, stats.withdrawn) == (1, 1, 0, 0)
    assert cfpb.value() == "No"


def test_a_part_whose_order_is_not_certain_only_adds(cfpb: Cfpb) -> None:
    """Nothing is replaced or marked, gaps are filled, and the rest is counted."""
    cfpb.change(OTHER, timely=None)
    cfpb.receive(THIRD)
    cfpb.load_file(cfpb.csv(cfpb.text()))
    cfpb.change(C, timely="No")
    cfpb.change(OTHER, timely="No")
    new = cfpb.receive(SECOND)  # published late

    stats = cfpb.load_file(cfpb.csv(cfpb.text(of_year("2026"))))

    assert (stats.new, stats.changed, stats.not_applied, stats.withdrawn) == (1, 1, 1, 0)
    assert stats.uncertain == 1
    assert (cfpb.value(), cfpb.value("timely", OTHER)) == ("Yes", "No")
    assert cfpb.value("withdrawn_on", new) is None


def test_a_whole_file_that_lacks_too_many_is_refused(cfpb: Cfpb) -> None:
    """Nothing of it is stored, unless this is allowed."""
    cfpb.publish(FIRST)
    cfpb.download()
    live(cfpb)
    for number in [*cfpb.rows][60:66]:
        cfpb.withdraw(number)
    cfpb.publish(SECOND)

    with pytest.raises(TooManyWithdrawnError):
        cfpb.download()

    assert (cfpb.value(), cfpb.marks()) == ("Yes", {})
    file = cfpb.csv(cfpb.text())
    assert cfpb.load_file(file, whole=True, allow_withdrawals=True).withdrawn == 7


def test_a_partial_database_keeps_what_a_forced_part_lacks(cfpb: Cfpb) -> None:
    """With `whole=False`, even a daily file concludes nothing from what it lacks."""
    cfpb.load_file(cfpb.csv(cfpb.text()))
    live(cfpb)

    stats = cfpb.load_file(cfpb.csv(cfpb.text(of_year("2026"))), whole=False)

    assert (stats.new, stats.changed, stats.withdrawn) == (1, 1, 0)
    assert cfpb.marks() == {}


# --- sources one after the other ------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [("download", "csv"), ("csv", "zip"), ("zip", "download"), ("download", "download")],
)
def test_daily_file_after_daily_file(cfpb: Cfpb, first: str, second: str) -> None:
    """From CFPB, saved and unzipped, and zipped again."""

    def load_daily(kind: str, day: str) -> tuple[int, ...]:
        cfpb.publish(day)
        if kind == "download":
            stats = cfpb.download()
        else:
            text = cfpb.text()
            stats = cfpb.load_file(
                cfpb.csv(text) if kind == "csv" else cfpb.zip(text, "1980-01-01")
            )
        return stats.new, stats.changed, stats.withdrawn, stats.not_applied

    rows = len(cfpb.rows)
    assert load_daily(first, FIRST) == (rows, 0, 0, 0)
    live(cfpb)
    assert load_daily(second, SECOND) == (1, 1, 1, 0)
    cfpb.change(C, timely="Yes")
    cfpb.receive(THIRD)
    assert load_daily(first, THIRD) == (1, 1, 0, 0)
    assert cfpb.marks() == {OTHER: SECOND}


def test_a_download_of_the_same_day_counts(cfpb: Cfpb) -> None:
    """On a quiet day nothing new is received, but the server's later file is newer."""
    cfpb.publish(FIRST)
    cfpb.download()
    cfpb.change(C, timely="No")
    cfpb.withdraw(OTHER)
    cfpb.publish(SECOND)

    stats = cfpb.download()

    assert (stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 0)


def test_two_saved_files_of_the_same_day_do_not_replace_each_other(cfpb: Cfpb) -> None:
    """Nothing shows which of them is newer."""
    cfpb.load_file(cfpb.csv(cfpb.text(), FIRST))
    cfpb.change(C, timely="No")
    cfpb.withdraw(OTHER)

    stats = cfpb.load_file(cfpb.csv(cfpb.text(), SECOND))

    assert (stats.changed, stats.withdrawn, stats.not_applied, stats.uncertain) == (0, 0, 1, 1)
    assert stats.unchanged == stats.rows - 1
    assert (cfpb.value(), cfpb.marks()) == ("Yes", {})
    stats = cfpb.load_file(cfpb.csv(cfpb.text(of_year("2026"))), as_of=FIRST)
    assert (stats.changed, cfpb.value()) == (1, "No")


@pytest.mark.parametrize("as_of", ["2026-09-20", "2011-12-01"])
def test_a_day_before_the_data_is_refused(cfpb: Cfpb, as_of: str) -> None:
    """The data of a day cannot have a complaint of a later day."""
    from cfpb_etl.errors import CfpbEtlError

    with pytest.raises(CfpbEtlError, match=as_of):
        cfpb.load_file(cfpb.csv(cfpb.text()), as_of=as_of)


def test_pulls_before_and_after_the_daily_file(cfpb: Cfpb) -> None:
    """Each newer load counts, and each may mark."""
    cfpb.publish(FIRST)
    cfpb.pull()
    live(cfpb)
    cfpb.publish(SECOND)
    stats = cfpb.download()
    assert (stats.new, stats.changed, stats.withdrawn, stats.not_applied) == (1, 1, 1, 0)

    cfpb.change(C, timely="Yes")
    stats = load_with(cfpb.database, cfpb.api(lookback=100))[0]
    assert stats.changed == 0  # the servers still show the same
    cfpb.publish(THIRD)  # nothing new was received
    stats = load_with(cfpb.database, cfpb.api(lookback=100))[0]
    assert (stats.changed, stats.not_applied, cfpb.value()) == (1, 0, "Yes")

    cfpb.change(C, timely="No")
    gone = cfpb.receive(THIRD)
    cfpb.publish(THIRD)
    assert load_with(cfpb.database, cfpb.api(lookback=100))[0].changed == 1
    cfpb.withdraw(gone)
    cfpb.receive("2026-09-24")
    cfpb.publish("2026-09-24")
    assert load_with(cfpb.database, cfpb.api(lookback=100))[0].withdrawn == 1
    assert cfpb.marks() == {OTHER: SECOND, gone: "2026-09-24"}


@pytest.mark.parametrize("files", [0, 1, 2], ids=["page", "one file", "both files"])
@pytest.mark.parametrize("archive_first", [True, False])
def test_the_archive_in_any_order(cfpb: Cfpb, files: int, *, archive_first: bool) -> None:
    """Its narratives are added, its old values do not count, and what is gone is marked."""
    cfpb.withdraw(max(cfpb.rows))  # all others were received before the archive was made
    paths = cfpb.archive()[::-1][:files]
    archived = {number for number, raw in cfpb.rows.items() if day_in(raw) >= "2014-01-01"}
    archived = archived if files == 1 else {*cfpb.rows}
    live(cfpb)
    cfpb.publish(SECOND)
    if archive_first:
        cfpb.load_archive(*paths)
        cfpb.download(allow_withdrawals=True)  # of so few complaints, one is more than 1 %
    else:
        cfpb.download()
        stats = cfpb.load_archive(*paths)
        assert (stats.new, stats.born_withdrawn) == (1, 1)

    stories = dict(cfpb.query("SELECT complaint_id, complaint_what_happened FROM complaint"))
    assert {number for number, story in stories.items() if story} == archived
    assert cfpb.value() == "No"
    assert cfpb.marks() == {OTHER: SECOND}
    assert len(stories) == len(cfpb.rows) + 1


def test_the_first_file_of_the_archive_alone(cfpb: Cfpb) -> None:
    """It is not older than its complaints, and not newer than the archive."""
    assert len(ARCHIVE_FILES) == 2
    first = cfpb.archive()[0]
    old = min(cfpb.rows)
    cfpb.change(old, timely="No" if cfpb.rows[old]["timely"] == "Yes" else "Yes")
    cfpb.load_file(cfpb.csv(cfpb.text()))

    stats = cfpb.load_archive(first)

    assert (stats.new, stats.changed, stats.uncertain) == (0, stats.rows, 0)  # all get narratives
    assert cfpb.value("timely", old) == cfpb.rows[old]["timely"]


def test_an_unchanged_load_changes_nothing(cfpb: Cfpb) -> None:
    """Everything is unchanged, and unchanged means equal."""
    file = cfpb.csv(cfpb.text())
    cfpb.load_file(file)

    stats = cfpb.load_file(file)

    assert (stats.unchanged, stats.not_applied) == (stats.rows, 0)
    assert cfpb.query("SELECT * FROM complaint_change") == []
    assert BulkFile(file).is_partial is False
