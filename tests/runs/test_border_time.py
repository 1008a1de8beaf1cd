"""Commands for data whose dates mislead: the exit code, the summary, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from cfpb_etl.emulator import ARCHIVE_PATH, BULK_PATH
from cfpb_etl.model import dates, wording
from support.time_cases import OTHER, C, Cfpb
from support.time_world import day_in

if TYPE_CHECKING:
    from runs.conftest import Command, Done

FIRST, SECOND, THIRD = "2026-09-21", "2026-09-22", "2026-09-23"  # three days of CFPB
FUTURE = "2050-01-02"
IMPLAUSIBLE = "2062-03-04"
NO_MARKS = "0 marked, 0 added as withdrawn"
UNCERTAIN = "nothing shows whether these data are newer"


# Each story takes seconds of Prefect. The rules themselves are tested below the flow.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("reader_in_this_process")]


@pytest.fixture
def cfpb(cfpb: Cfpb) -> Cfpb:
    """Return CFPB on the first day."""
    cfpb.change(C, timely="Yes")
    cfpb.receive(FIRST)
    return cfpb


def load(command: Command, file: str, *options: str) -> Done:
    """Load a file."""
    return command("--source", "bulk", "--file", file, "--no-graph", *options)


def download(command: Command, cfpb: Cfpb, *options: str) -> Done:
    """Load the daily file from the server."""
    return load(command, urljoin(cfpb.site.api_url, BULK_PATH), *options)


def pull(command: Command, cfpb: Cfpb, *options: str) -> Done:
    """Load from the search API."""
    return command("--api-url", cfpb.site.api_url, "--no-graph", *options)


def live(cfpb: Cfpb, day: str = SECOND) -> int:
    """Let CFPB change a complaint, remove another one and receive a new one; return its id."""
    cfpb.change(C, timely="No")
    cfpb.withdraw(OTHER)
    return cfpb.receive(day)


def counts(done: Done) -> str:
    """Return the counts of a run that has ended well."""
    assert done.code == 0, done.log
    return done.summary.split("\n")[0].partition(": ")[2]


# --- dates that mislead ---------------------------------------------------------------------


def test_a_part_in_a_zip_of_1980(command: Command, cfpb: Cfpb) -> None:
    """The changed answer is not lost in silence, and --as-of applies it."""
    day1 = cfpb.text(lambda raw: day_in(raw) > "2026")
    cfpb.change(C, timely="No")
    cfpb.receive(SECOND)
    day2 = cfpb.text(lambda raw: day_in(raw) > "2026")
    assert counts(load(command, cfpb.csv(day1))).endswith("0 changed, 0 unchanged")
    second = cfpb.zip(day2, "1980-01-01")

    done = load(command, second)

    assert counts(done).startswith("1 new, 0 changed, ")
    assert counts(done).endswith(", 1 not applied")
    assert f"1 differing value: {UNCERTAIN}" in done.log
    assert "--as-of DATE" in done.log
    assert done.line("data of").startswith(f"a day between {SECOND} and ")
    assert done.line("scope").startswith("a part: its days start on 2026-")
    assert done.line("withdrawn") == NO_MARKS
    assert (cfpb.value(), cfpb.marks()) == ("Yes", {})

    done = load(command, second, "--as-of", dates.clock_day())

    assert ", 1 changed, " in counts(done)
    assert done.line("data of") == f"{dates.clock_day()} (--as-of)"
    assert UNCERTAIN not in done.log
    assert cfpb.value() == "No"


def test_an_old_file_that_was_zipped_today(command: Command, cfpb: Cfpb) -> None:
    """It replaces nothing. Complaints that newer data lack are stored as withdrawn and counted."""
    old = cfpb.text()
    live(cfpb)
    load(command, cfpb.csv(cfpb.text()))

    done = load(command, cfpb.zip(old, dates.clock_day()))

    assert counts(done) == "1 new, 0 changed, 183 unchanged, 1 not applied"
    assert done.line("data of") == f"{FIRST} (newest day received)"
    assert done.line("withdrawn") == "0 marked, 1 added as withdrawn"
    assert "Left 1 value as stored: newer data have set them" in done.log
    assert (cfpb.value(), cfpb.marks()) == ("No", {OTHER: SECOND})


@pytest.mark.parametrize("source", ["file", pytest.param("API", marks=pytest.mark.slow)])
def test_a_server_whose_clock_is_ahead(command: Command, cfpb: Cfpb, source: str) -> None:
    """After a Last-Modified or last_indexed of 2050, the next file counts, and nothing is born."""
    if source == "file":
        cfpb.publish(FIRST, last_modified=FUTURE)
        counts(download(command, cfpb))
    else:
        cfpb.publish(FUTURE)
        counts(pull(command, cfpb, "--since", "2011-12-01"))
    new = live(cfpb)
    cfpb.publish(SECOND)

    done = download(command, cfpb)

    assert counts(done) == "1 new, 1 changed, 183 unchanged, 1 withdrawn"
    assert done.line("withdrawn") == "1 marked, 0 added as withdrawn"
    assert (cfpb.value(), cfpb.marks()) == ("No", {OTHER: SECOND})
    assert cfpb.value("withdrawn_on", new) is None


def test_a_computer_whose_clock_is_behind(
    command: Command, cfpb: Cfpb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, and it changes nothing."""
    for module in (dates, wording):
        monkeypatch.setattr(module, "clock_day", lambda: "2020-01-01")
    counts(load(command, cfpb.csv(cfpb.text())))
    live(cfpb)

    done = load(command, cfpb.csv(cfpb.text()))

    assert counts(done) == "1 new, 1 changed, 183 unchanged, 1 withdrawn"
    assert "This computer's clock is behind: it shows 2020-01-01" in done.log
    assert "Set the clock." in done.log
    assert (cfpb.value(), cfpb.marks()) == ("No", {OTHER: SECOND})


def test_a_day_that_the_data_contradict(command: Command, cfpb: Cfpb) -> None:
    """--as-of before the newest complaint is an error that names this complaint's day."""
    done = load(command, cfpb.csv(cfpb.text()), "--as-of", "2026-09-20")

    assert (done.code, done.summary) == (1, "")
    assert "cannot be as of 2026-09-20" in done.log
    assert FIRST in done.log
    assert cfpb.query("SELECT COUNT(*) FROM complaint") == [(0,)]
    assert load(command, cfpb.csv(cfpb.text()), "--as-of", "2062-01-01").code == 2


# --- what must simply work ------------------------------------------------------------------


def test_daily_files_of_all_kinds(command: Command, cfpb: Cfpb) -> None:
    """From CFPB, saved and unzipped, zipped again, and from CFPB again."""
    cfpb.publish(FIRST)
    assert counts(download(command, cfpb)) == "185 new, 0 changed, 0 unchanged"
    assert "already up to date: 1 file not changed" in download(command, cfpb).summary
    live(cfpb)
    done = load(command, cfpb.csv(cfpb.text()))
    assert counts(done) == "1 new, 1 changed, 183 unchanged, 1 withdrawn"
    assert done.line("scope") == ""
    cfpb.change(C, timely="Yes")
    cfpb.receive(THIRD)
    assert counts(load(command, cfpb.zip(cfpb.text(), "1980-01-01"))).startswith("1 new, 1 changed")
    cfpb.change(C, timely="No")
    cfpb.publish("2026-09-24")  # nothing new was received

    done = download(command, cfpb)

    assert counts(done) == "0 new, 0 changed, 185 unchanged, 1 not applied"
    assert UNCERTAIN in done.log
    assert cfpb.marks() == {OTHER: SECOND}
    assert cfpb.value() == "Yes"


def test_pulls_and_updates_around_the_daily_file(command: Command, cfpb: Cfpb) -> None:
    """Each newer source counts, and a complaint that is gone is marked once."""
    cfpb.publish(FIRST)
    counts(pull(command, cfpb, "--since", "2011-12-01"))
    live(cfpb)
    cfpb.publish(SECOND)
    assert counts(download(command, cfpb)) == "1 new, 1 changed, 183 unchanged, 1 withdrawn"
    cfpb.change(C, timely="Yes")
    gone = cfpb.receive(THIRD)
    cfpb.publish(THIRD)

    done = pull(command, cfpb, "--update", "--lookback", "100")

    assert counts(done).startswith("1 new, 1 changed, ")
    assert done.line("data of") == f"{THIRD} (_meta.last_updated)"
    assert done.line("withdrawn") == NO_MARKS
    cfpb.withdraw(gone)
    cfpb.receive("2026-09-24")
    cfpb.publish("2026-09-24")
    done = pull(command, cfpb, "--update", "--lookback", "100")
    assert done.line("withdrawn") == "1 marked, 0 added as withdrawn"
    assert (cfpb.value(), cfpb.marks()) == ("Yes", {OTHER: SECOND, gone: "2026-09-24"})


@pytest.mark.parametrize("archive_first", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_archive_in_any_order(command: Command, cfpb: Cfpb, *, archive_first: bool) -> None:
    """It adds narratives, and none of its other values is stored."""
    cfpb.withdraw(max(cfpb.rows))  # all others were received before the archive was made
    cfpb.archive()
    live(cfpb)
    cfpb.publish(SECOND)
    page = ("--source", "archive", "--file", urljoin(cfpb.site.api_url, ARCHIVE_PATH))
    before = command(*page, "--no-graph") if archive_first else None
    daily = download(command, cfpb, "--allow-withdrawals")  # one of so few is more than 1 %

    archive = before or command(*page, "--no-graph")

    assert (archive.code, daily.code) == (0, 0), archive.log + daily.log
    assert archive.line("data of") == "2026-08-31 (the archive's last month)"
    marked = "1 marked, 0 added as withdrawn", NO_MARKS
    born = NO_MARKS, "0 marked, 1 added as withdrawn"
    said = daily.line("withdrawn"), archive.line("withdrawn")
    assert said == (marked if archive_first else born)
    assert (cfpb.value(), cfpb.marks()) == ("No", {OTHER: SECOND})
    assert cfpb.value("complaint_what_happened") == f"Story {C}"


@pytest.mark.parametrize("named", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_same_export_saved_again_a_week_later(
    command: Command, cfpb: Cfpb, *, named: bool
) -> None:
    """The changed answer is applied, by the dates in CFPB's names or of the files."""

    def save(day: str) -> str:
        name = f"complaints-{day}_10_30.csv" if named else "mine.csv"
        text = cfpb.text(lambda raw: day_in(raw) > "2026")
        return cfpb.csv(text, "" if named else day, name)

    cfpb.receive("2026-09-30")
    first = load(command, save("2026-10-01"))
    cfpb.change(C, timely="No")
    cfpb.receive("2026-10-07")

    done = load(command, save("2026-10-08"))

    assert counts(first).endswith("0 changed, 0 unchanged")
    assert counts(done).startswith("1 new, 1 changed, ")
    assert "not applied" not in counts(done)
    evidence = "name of the export" if named else "time of the file"
    assert done.line("data of").endswith(f"(newest day in its dates, {evidence})")
    assert cfpb.value() == "No"


# --- a complaint of 2062 --------------------------------------------------------------------


@pytest.mark.parametrize("source", [pytest.param("file", marks=pytest.mark.slow), "API"])
def test_a_complaint_of_2062(command: Command, cfpb: Cfpb, source: str) -> None:
    """It is stored and reported, --update ignores its day, and it can be withdrawn."""
    odd = cfpb.receive(IMPLAUSIBLE)
    cfpb.publish(FIRST)
    every = ("--since", "2011-12-01")
    done = download(command, cfpb) if source == "file" else pull(command, cfpb, *every)
    assert counts(done) == "186 new, 0 changed, 0 unchanged"
    assert done.line("received") == f"2011-12-01 to {FIRST}"
    assert "Stored 1 complaint with a day in the future" in done.log
    live(cfpb)
    cfpb.change(odd, timely="No")
    cfpb.publish(SECOND)

    done = pull(command, cfpb, "--update", "--lookback", "100")

    assert counts(done).startswith("1 new, 2 changed, ")
    assert "nothing matches" not in done.summary
    assert cfpb.value("timely", odd) == "No"
    cfpb.withdraw(odd)
    cfpb.receive(THIRD)
    cfpb.publish(THIRD)
    done = pull(command, cfpb, "--update", "--lookback", "100")
    assert done.line("withdrawn") == "1 marked, 0 added as withdrawn"
    assert cfpb.marks() == {OTHER: SECOND, odd: THIRD}
    status = command("status", "--api-url", cfpb.site.api_url)
    assert status.line("complaints").endswith(f"received 2011-12-01 to {THIRD}")


def test_a_newest_day_in_the_year_one(command: Command, cfpb: Cfpb) -> None:
    """An update asks from the first day of the calendar, instead of ending in an error."""
    number = cfpb.receive("0001-01-05")
    text = cfpb.text(lambda raw: raw["complaint_id"] == str(number))
    counts(load(command, cfpb.csv(text), "--whole"))
    del cfpb.rows[number]
    cfpb.publish(FIRST)

    done = pull(command, cfpb, "--update")

    assert "(since 0001-01-01)" in done.log
    assert counts(done).startswith("185 new, ")
