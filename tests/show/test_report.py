"""The report: its numbers, its safety, and how a browser shows it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.cli.main import main
from cfpb_etl.fetch.errors import NotWritableFileError
from cfpb_etl.show.report import write_report
from support.browser import needs_browser, render
from support.loads import load, load_file, query
from support.parts import JANUARY, MARCH, complaint, complaints, part

if TYPE_CHECKING:
    from pathlib import Path

MORTGAGE = {"product": "Mortgage", "company": "A", "state": "CA", "timely": "Yes"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return a path for the page."""
    return tmp_path / "report.html"


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a database after two loads: one complaint has changed and one is withdrawn."""
    many = complaints(*range(2, 300), date_received="2026-01-03", **MORTGAGE)
    first = complaint(
        1, date_received="2025-12-31", company="B", timely="No", product="Payday loan"
    )
    load_file(path, first, *many, as_of=JANUARY)
    load_file(path, first._replace(company_response="Closed"), *many[:-1], as_of=MARCH)
    return path


def specifications(page: Path) -> dict[str, Any]:
    """Return the charts of a page as Vega-Lite specifications."""
    found = re.search(r'id="charts">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def charts(page: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the values of each chart of a page."""
    return {name: chart["data"]["values"] for name, chart in specifications(page).items()}


def test_no_value_changes_the_direction_of_the_page(path: Path, page: Path) -> None:
    """A company's name is shown with an escape; letters of all languages stay."""
    load_file(path, complaint(1, company="Crédit \u202eelgooG", state="CA", timely="Yes"))

    write_report(path, page)

    text = page.read_text("utf-8")
    assert "\u202e" not in text
    assert r"Crédit \u202eelgooG" in text


def test_the_charts(filled: Path, page: Path) -> None:
    """Every chart has the numbers of the database, and products have today's names."""
    write_report(filled, page)

    drawn = charts(page)
    loan = "Payday loan, title loan, personal loan, or advance loan"
    assert drawn["months"] == [
        {"month": "2025-12", "product": loan, "complaints": 1},
        {"month": "2026-01", "product": "Mortgage", "complaints": 298},
    ]
    assert drawn["companies"] == [
        {"name": "A", "complaints": 298, "label": "298 · 100.0 % timely"},
        {"name": "B", "complaints": 1, "label": "1 · 0.0 % timely"},
    ]
    assert drawn["states"] == [{"name": "CA", "complaints": 298, "label": "298 · 99.7 %"}]
    assert drawn["responses"] == [
        {"name": "No response recorded", "complaints": 298, "label": "298 · 99.7 %"},
        {"name": "Closed", "complaints": 1, "label": "1 · 0.3 %"},
    ]


def test_the_text(filled: Path, page: Path) -> None:
    """The text has the days, totals, the caveat and recent changes."""
    write_report(filled, page)

    text = page.read_text("utf-8")
    assert f"Received 2025-12-31 to 2026-01-03, as of {MARCH}" in text
    assert "<dt>withdrawn by CFPB</dt><dd>1</dd>" in text
    assert "Unverified complaints, not scaled by size." in text
    changes = text[text.index("Recent changes") :]
    assert "<tr><td>withdrawn by CFPB</td><td>no</td><td>yes</td>" in changes
    months = text[text.index("Complaints by month") : text.index("Companies with")]
    assert '<th class="number">Mortgage</th>' in months
    number = '<td class="number">'
    assert f"<tr><td>2025-12</td>{number}0</td>{number}1</td>{number}1</td></tr>" in months
    assert "<tr><td>company_response</td><td></td><td>Closed</td>" in changes


def test_small_products_share_a_colour(path: Path, page: Path) -> None:
    """The seven largest products have a colour each; all others share one."""
    stored = [
        complaint(10 * product + number, date_received="2026-01-01", product=f"Product {product}")
        for product in range(10)
        for number in range(product + 1)
    ]
    load_file(path, *stored)

    write_report(path, page)

    months = {each["product"]: each["complaints"] for each in charts(page)["months"]}
    assert len(months) == 8
    assert months["All other products"] == 1 + 2 + 3
    assert sum(months.values()) == len(stored)


def test_text_is_escaped(path: Path, page: Path) -> None:
    """No text of a complaint becomes markup or script."""
    name = "</script><script>alert(1)</script>&<b>"
    load_file(path, complaint(1, company=name, state=name, product=name, company_response=name))

    write_report(path, page)

    text = page.read_text("utf-8")
    assert "<script>alert" not in text
    assert "</script><script>" not in text
    assert "&lt;/script&gt;" in text
    assert charts(page)["companies"][0]["name"] == name


def test_sample_and_empty_database(path: Path, page: Path) -> None:
    """The sample is called made up, and a database without complaints has a page too."""
    load(path, part(), kind="sample")
    write_report(path, page)
    assert "contains no complaints yet" in page.read_text("utf-8")
    assert charts(page) == {}

    load(path, part(complaint(1, date_received="2026-01-01")), kind="sample")
    write_report(path, page)
    text = page.read_text("utf-8")
    assert "<h1>Made-up consumer complaints</h1>" in text
    assert "Made-up complaints, for trying out cfpb-etl." in text
    assert "public domain" not in text


def test_a_partial_database(path: Path, page: Path) -> None:
    """The report says that the database has only some complaints, and which."""
    load(path, part(complaint(1), as_of=JANUARY), query='{"state": ["CA"]}')
    load(path, part(complaint(2), as_of=None), query='{"limit": 1000}', limit=1000)

    write_report(path, page)

    text = page.read_text("utf-8")
    assert "Only a selection of complaints." in text
    assert "only these: the newest 1,000; state CA. Counts cover nothing else." in text
    assert f"<p>As of {JANUARY}</p>" in text  # these complaints have no date

    load(path, part(complaint(3, date_received="2026-01-01")), query='{"limit": 1000}', limit=1000)
    write_report(path, page)
    assert "Not shown: 2 without a date." in page.read_text("utf-8")


def test_timely_of_known_values(path: Path, page: Path) -> None:
    """Complaints without the flag do not count for the share."""
    first = complaint(1, company="A", timely="Yes")
    load_file(path, first, complaint(2, company="A"), complaint(3, company="B"))

    write_report(path, page)

    labels = {each["name"]: each["label"] for each in charts(page)["companies"]}
    assert labels == {"A": "2 · 100.0 % timely", "B": "1"}


def test_a_small_share(path: Path, page: Path) -> None:
    """A share below a tenth of a percent is not shown as zero."""
    many = complaints(*range(2, 2_500), company_response="Closed")
    load_file(path, complaint(1, company_response="Untimely response"), *many)

    write_report(path, page)

    assert [each["label"] for each in charts(page)["responses"]] == [
        "2,498 · 100.0 %",
        "1 · < 0.1 %",
    ]


def test_an_invalid_date(path: Path, page: Path) -> None:
    """A complaint with an invalid date is not in the chart, and the text says that."""
    load_file(path, complaint(1, date_received="2026-01-01"), complaint(2))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE complaint SET date_received = 'n/a' WHERE complaint_id = 2")
        connection.commit()

    write_report(path, page)

    assert [each["month"] for each in charts(page)["months"]] == ["2026-01"]
    assert "Not shown: 1 without a date." in page.read_text("utf-8")


@pytest.mark.parametrize("months", [3, 30])
def test_the_axis_has_every_month(path: Path, page: Path, months: int) -> None:
    """Months without complaints have a place too; with many months, years are named."""
    last = f"{2024 + (months - 1) // 12}-{(months - 1) % 12 + 1:02}-15"
    load_file(path, complaint(1, date_received="2024-01-31"), complaint(2, date_received=last))

    write_report(path, page)

    axis = specifications(page)["months"]["encoding"]["x"]
    assert len(axis["scale"]["domain"]) == months
    assert axis["scale"]["domain"][:2] == ["2024-01", "2024-02"]
    assert len(axis["axis"]["values"]) == 3


def test_reading_changes_nothing(filled: Path, page: Path) -> None:
    """The report does not change the database."""
    before = query(filled, "SELECT * FROM complaint"), query(filled, "SELECT * FROM load")

    write_report(filled, page)

    assert (query(filled, "SELECT * FROM complaint"), query(filled, "SELECT * FROM load")) == before


def test_a_page_that_cannot_be_written(filled: Path, tmp_path: Path) -> None:
    """An error of its own is raised, and no file is left behind."""
    before = set(tmp_path.iterdir())

    with pytest.raises(NotWritableFileError):
        write_report(filled, tmp_path)

    assert set(tmp_path.iterdir()) == before


def test_the_page_is_not_the_database(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report never overwrites its database, also by another name."""
    database = filled.rename(filled.with_suffix(".html"))
    alias = filled.with_name("alias.html")
    alias.symlink_to(database)
    before = database.read_bytes()

    for page in (database, alias):
        with pytest.raises(SystemExit, match="2"):
            main(["report", str(page), "--database", str(database)])
        assert "PAGE is the same file as the database" in capsys.readouterr().err

    assert database.read_bytes() == before


def test_the_command(filled: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the page and prints its path."""
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(page), "--database", str(filled)])

    assert capsys.readouterr().out == f"{page}\n"
    assert page.exists()


@pytest.mark.parametrize(
    ("command", "package"),
    [("report", "altair"), ("report", "vl_convert"), ("browse", "datasette")],
)
def test_without_the_extra(filled: Path, command: str, package: str) -> None:
    """Without the extra, one line says how to install it."""
    code = (
        f"import sys; sys.modules[{package!r}] = None; from cfpb_etl.cli.main import main;"
        f" main([{command!r}, '--database', {str(filled)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(f"failed: {package}")
    assert done.stderr.rstrip().endswith('pip install "cfpb-etl[inspect]"')


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1000])
def test_a_browser_shows_it(filled: Path, page: Path, tmp_path: Path, width: int) -> None:
    """On a screen and on a phone every chart is drawn, and the console is empty."""
    write_report(filled, page)

    html, console = render(page.as_uri(), tmp_path, width)

    assert console == []
    assert len(re.findall('<svg[^>]* class="marks"', html)) == 4
    for text in ("298 · 100.0 % timely", "Dec 2025", "CA", "298 · 99.7 %"):
        assert f">{text}</text>" in html
    assert "</i>Mortgage</span>" in html
    assert page.read_text("utf-8").count("Charts need JavaScript") == 4  # until they are drawn
    assert "Charts need JavaScript" not in html
