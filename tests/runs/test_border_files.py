"""Commands for files that people have: the exit code, the summary, and what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from cfpb_etl.model.dates import clock_day
from support.csv_files import TITLES_15, TITLES_16, csv_of, fields_of
from support.program import query
from support.time_cases import OTHER, C, Cfpb
from support.time_world import day_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from cfpb_etl.emulator import RawComplaint
    from runs.conftest import Command, Done

FIRST, SECOND = "2026-09-21", "2026-09-22"
NO_MARKS = "0 marked, 0 added as withdrawn"


# Each story takes seconds of Prefect. The rules themselves are tested below the flow.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("reader_in_this_process")]


def load(command: Command, content: str | bytes, *options: str, name: str = "mine.csv") -> Done:
    """Save a file, and load it."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return command("--source", "bulk", "--file", name, "--no-graph", *options)


def stored(columns: str = "complaint_id") -> list[tuple[object, ...]]:
    """Return what the database holds, by id."""
    if not Path("complaints.db").exists():
        return []
    return query("complaints.db", f"SELECT {columns} FROM complaint ORDER BY complaint_id")  # noqa: S608


def of_year(year: str) -> Callable[[RawComplaint], bool]:
    """Return a filter by year."""
    return lambda raw: day_in(raw).startswith(year)


def of_state(state: str) -> Callable[[RawComplaint], bool]:
    """Return a filter by state."""
    return lambda raw: raw["state"] == state


# --- quotes that are not closed -------------------------------------------------------------


def test_an_unclosed_quote_loses_no_row(command: Command) -> None:
    """Only the row with the quote is rejected, also if the quote is closed later."""
    rows: list[dict[str, str] | str] = [fields_of(number) for number in range(1_000, 4_000)]
    text = csv_of(*rows)
    line = csv_of(fields_of(1_500)).split("\r\n")[1]
    never = text.replace(line, line.replace(",They kept", ',"They kept', 1))
    assert never != text

    done = load(command, never)

    assert done.code == 0, done.log
    assert done.summary.startswith("2,999 complaints in 1 file: 2,999 new, ")
    assert done.line("rows") == "3,000 read (1 rejected row)"
    assert "line 502: " in done.log
    assert stored() == [(number,) for number in range(1_000, 4_000) if number != 1_500]
    assert query("complaints.db", "SELECT MAX(LENGTH(complaint_what_happened)) FROM complaint") < [
        (100,)
    ]


def test_a_quote_that_is_never_closed_and_hides_no_row(command: Command) -> None:
    """The file is refused with the line of the quote: it may be cut off."""
    cut = csv_of(fields_of(1), fields_of(2)).rpartition(" kept")[0].replace("They", '"They', 2)
    done = load(command, cut)

    assert (done.code, done.summary) == (1, "")
    assert "line 2" in done.log or "line 3" in done.log
    assert "Nothing was stored." in done.log
    assert stored() == []


# --- parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "years", [("2020", "2019"), pytest.param(("2019", "2020"), marks=pytest.mark.slow)]
)
def test_year_files_in_any_order(command: Command, cfpb: Cfpb, years: tuple[str, str]) -> None:
    """Nothing is marked or refused; `status` and `--update` do not take them for everything."""
    for year in years:
        done = load(command, cfpb.text(of_year(year)), name=f"year_{year}.csv")
        assert done.code == 0, done.log
        assert done.line("withdrawn") == NO_MARKS
        assert done.line("scope").startswith(f"a part: its days start on {year}-")

    assert len(stored()) == sum(day_in(raw)[:4] in years for raw in cfpb.rows.values())
    assert cfpb.marks() == {}
    status = command("status", "--api-url", "http://127.0.0.1:1/")
    assert status.line("withdrawn") == "0"
    assert status.line("requests") == "files with a part of all complaints"
    cfpb.publish(FIRST)
    update = command("--update", "--api-url", cfpb.site.api_url, "--no-graph")
    assert update.code == 1
    assert "othing to update" in update.log


def test_one_state_after_another(command: Command, cfpb: Cfpb) -> None:
    """The second state is not refused; with --whole it is, and --allow-withdrawals marks."""
    first, second = (
        load(command, cfpb.text(of_state("CA"))),
        load(command, cfpb.text(of_state("TX"))),
    )

    assert (first.code, second.code) == (0, 0)
    assert "--allow-withdrawals" not in second.log
    assert second.line("withdrawn") == NO_MARKS
    assert cfpb.marks() == {}
    refused = load(command, cfpb.text(of_state("TX")), "--whole", "--as-of", clock_day())
    assert refused.code == 1
    assert "--allow-withdrawals" in refused.log
    assert cfpb.marks() == {}


def test_a_part_of_a_daily_file(command: Command, cfpb: Cfpb) -> None:
    """After a daily file, a part of it marks nothing; --partial and --whole decide otherwise."""
    cfpb.receive(FIRST)
    assert load(command, cfpb.text()).line("scope") == ""
    cfpb.change(C, timely="Maybe")
    gone = cfpb.withdraw(OTHER)
    assert gone
    cfpb.receive(SECOND)

    done = load(command, cfpb.text(), "--partial")
    assert (done.code, done.line("scope")) == (0, "a part, because of --partial")
    assert done.line("withdrawn") == NO_MARKS
    assert cfpb.marks() == {}

    cfpb.receive("2026-09-23")
    done = load(command, cfpb.text(of_year("2026")))
    assert done.code == 0
    assert done.line("withdrawn") == NO_MARKS
    done = load(command, cfpb.text(), "--whole", "--as-of", clock_day())
    assert done.code == 0, done.log
    assert done.line("withdrawn") == "1 marked, 0 added as withdrawn"
    assert cfpb.marks() == {OTHER: clock_day()}


def test_options_for_a_download_that_is_stored(command: Command, cfpb: Cfpb) -> None:
    """--as-of and --whole read the same version of a download again."""
    cfpb.publish(FIRST)
    assert load(command, cfpb.text(of_year("2026"))).code == 0
    cfpb.change(C, timely="Maybe")
    served = cfpb.folder / "served" / "ccdb" / "mine.csv"
    served.write_text(cfpb.text(), "utf-8", newline="")
    url = ("--source", "bulk", "--file", urljoin(cfpb.site.api_url, "/ccdb/mine.csv"), "--no-graph")
    done = command(*url, "--partial")
    assert ", 1 not applied" in done.summary
    assert "already up to date" in command(*url).summary

    done = command(*url, "--as-of", clock_day())

    assert ", 1 changed, " in done.summary
    assert cfpb.value() == "Maybe"
    assert command(*url, "--whole").line("scope") == ""
    assert query("complaints.db", "SELECT is_partial FROM load WHERE rows") == [
        *[(1,)] * 2,
        *[(0,)] * 2,
    ]


# --- values, dates, rows --------------------------------------------------------------------


def test_na_from_r(command: Command) -> None:
    """R's NA is a missing value; CFPB's N/A is a value."""
    done = load(command, csv_of(fields_of(1, tags="NA", sub_issue="NA", zip_code="N/A")))

    assert done.code == 0
    assert stored("tags, sub_issue, zip_code, consumer_disputed") == [(None, None, "N/A", "N/A")]


def test_blank_and_invalid_rows(command: Command) -> None:
    """Blank rows are no rows; one invalid row refuses a small file until this is allowed."""
    blank = "," * 17 + "\r\n"
    bad = csv_of(fields_of("none")).split("\r\n")[1] + "\r\n"
    assert load(command, csv_of(fields_of(1), blank, blank)).line("rows") == "1 read"
    text = csv_of(fields_of(1), bad, fields_of(2), blank)

    refused = load(command, text)

    assert (refused.code, refused.summary) == (1, "")
    assert "1 of its 3 rows are not valid" in refused.log
    assert "line 3: complaint_id" in refused.log
    assert "--allow-rejected 1" in refused.log
    assert stored() == [(1,)]
    for allowed in ("1", "0.4"):
        done = load(command, text, "--allow-rejected", allowed)
        assert done.code == 0, done.log
        assert "1 rejected" in done.summary or "not changed" in done.summary
    assert stored() == [(1,), (2,)]
    assert load(command, text, "--allow-rejected", "1.5").code == 2
    assert load(command, text, "--allow-rejected", "-1").code == 2


def test_a_header_of_another_release(command: Command) -> None:
    """A 16-column header over 15-column rows is named as CFPB's fault, and nothing is stored."""
    header = csv_of(titles=TITLES_16)
    rows = csv_of(fields_of(1), fields_of(2), titles=TITLES_15).partition("\r\n")[2]

    done = load(command, header + rows)

    assert (done.code, done.summary) == (1, "")
    assert "its header has 16 columns" in done.log
    assert "line 2 has the 15 columns of another release" in done.log
    assert stored() == []


def test_dates_with_two_meanings(command: Command) -> None:
    """They are refused with both readings, and read in the order that is given."""
    days = {"date_received": "03/04/2020", "date_sent_to_company": "03/05/2020"}
    text = csv_of(fields_of(1, **days))

    done = load(command, text)

    assert (done.code, done.summary) == (1, "")
    assert "2020-03-04 (month-first) or 2020-04-03 (day-first)" in done.log
    assert "--date-order month-first or --date-order day-first" in done.log
    assert load(command, text, "--date-order", "month-first").line("received").startswith("2020-03")
    assert stored("date_received, date_sent_to_company") == [("2020-03-04", "2020-03-05")]
    wrong = load(command, text, "--date-order", "year-first")
    assert (wrong.code, wrong.summary) == (2, "")
    text = csv_of(fields_of(2, **days), fields_of(3, date_received="03/13/2020"))
    contradicted = load(command, text, "--date-order", "day-first")
    assert contradicted.code == 1, contradicted.summary
    assert "line 3: date_received is '03/13/2020'" in contradicted.log
    assert stored() == [(1,)]


# --- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--whole --partial", "--whole contradicts --partial"),
        ("--source archive --whole", "--whole works only with --source bulk, not archive"),
        ("--source api --as-of 2026-01-01", "--as-of works only with --source bulk or archive"),
        ("--as-of yesterday", "--as-of 'yesterday' must be a day until today, YYYY-MM-DD"),
    ],
)
def test_options_that_cannot_be_used(command: Command, options: str, said: str) -> None:
    """The last line says which option and why, and nothing is written."""
    source = () if "--source" in options else ("--source", "bulk")

    done = command(*source, *options.split())

    assert (done.code, done.summary) == (2, "")
    assert said in done.log
    assert not list(Path().iterdir())
