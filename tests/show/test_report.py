"""The page of charts: what it counts, that it is safe, and that a browser shows it alone."""

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
from support.browser import needs_browser, shown
from support.loads import JANUARY, MARCH, complaint, complaints, load, load_file, part, query

if TYPE_CHECKING:
    from pathlib import Path

MORTGAGE = {"product": "Mortgage", "company": "A", "state": "CA", "timely": "Yes"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return where a page may be written."""
    return tmp_path / "report.html"


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a database of two loads, after which one complaint has changed and one is gone."""
    many = complaints(*range(2, 300), date_received="2026-01-03", **MORTGAGE)
    first = complaint(
        1, date_received="2025-12-31", company="B", timely="No", product="Payday loan"
    )
    load_file(path, first, *many, as_of=JANUARY)
    load_file(path, first._replace(company_response="Closed"), *many[:-1], as_of=MARCH)
    return path


def drawings(page: Path) -> dict[str, Any]:
    """Return the charts of a page, each as it is told to Vega."""
    found = re.search(r'id="charts">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def charts(page: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what each chart of a page draws."""
    return {name: chart["data"]["values"] for name, chart in drawings(page).items()}


def test_what_it_counts(filled: Path, page: Path) -> None:
    """Every chart has the numbers of the database, products by the names of today."""
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
    assert drawn["answers"] == [
        {"name": "Nothing told", "complaints": 298, "label": "298 · 99.7 %"},
        {"name": "Closed", "complaints": 1, "label": "1 · 0.3 %"},
    ]


def test_what_it_says(filled: Path, page: Path) -> None:
    """Days, totals, the caveat and what changed lately stand in the text."""
    write_report(filled, page)

    text = page.read_text("utf-8")
    assert f"Received 2025-12-31 to 2026-01-03, as of {MARCH}" in text
    assert "<dt>withdrawn by CFPB</dt><dd>1</dd>" in text
    assert "Unverified complaints, not scaled by size." in text
    changes = text[text.index("What changed lately") :]
    assert "<tr><td>withdrawn by CFPB</td><td>no</td><td>yes</td>" in changes
    months = text[text.index("Complaints by month") : text.index("Companies with")]
    assert '<th class="number">Mortgage</th>' in months
    number = '<td class="number">'
    assert f"<tr><td>2025-12</td>{number}0</td>{number}1</td>{number}1</td></tr>" in months
    assert "<tr><td>company_response</td><td></td><td>Closed</td>" in changes


def test_small_products_are_one(path: Path, page: Path) -> None:
    """The seven largest products have colours of their own, the others share one."""
    filed = [
        complaint(10 * product + number, date_received="2026-01-01", product=f"Product {product}")
        for product in range(10)
        for number in range(product + 1)
    ]
    load_file(path, *filed)

    write_report(path, page)

    months = {each["product"]: each["complaints"] for each in charts(page)["months"]}
    assert len(months) == 8
    assert months["All other products"] == 1 + 2 + 3
    assert sum(months.values()) == len(filed)


def test_what_a_company_is_called_does_no_harm(path: Path, page: Path) -> None:
    """No text of a complaint is taken for a part of the page."""
    name = "</script><script>alert(1)</script>&<b>"
    load_file(path, complaint(1, company=name, state=name, product=name, company_response=name))

    write_report(path, page)

    text = page.read_text("utf-8")
    assert "<script>alert" not in text
    assert "</script><script>" not in text
    assert "&lt;/script&gt;" in text
    assert charts(page)["companies"][0]["name"] == name


def test_sample_and_emptiness_are_told(path: Path, page: Path) -> None:
    """Made-up complaints are called so, and a database without any has a page too."""
    load(path, part(), kind="sample")
    write_report(path, page)
    assert "holds no complaints yet" in page.read_text("utf-8")
    assert charts(page) == {}

    load(path, part(complaint(1, date_received="2026-01-01")), kind="sample")
    write_report(path, page)
    text = page.read_text("utf-8")
    assert "<h1>Made-up consumer complaints</h1>" in text
    assert "Made-up complaints, for trying cfpb-etl out." in text
    assert "public domain" not in text


def test_of_a_part_it_says_of_which(path: Path, page: Path) -> None:
    """Who reads the numbers of a partial pull is told that they are of no more than that."""
    load(path, part(complaint(1), as_of=JANUARY), query='{"state": ["CA"]}')
    load(path, part(complaint(2), as_of=None), query='{"limit": 1000}')

    write_report(path, page)

    text = page.read_text("utf-8")
    assert "A part of CFPB&#x27;s complaints." in text
    assert "what was asked for: the newest 1,000; state CA. Counts are of these." in text
    assert f"<p>As of {JANUARY}</p>" in text  # no day is known of these complaints

    load(path, part(complaint(3, date_received="2026-01-01")), query='{"limit": 1000}')
    write_report(path, page)
    assert "Left out: 2 without a day." in page.read_text("utf-8")


def test_timely_is_of_what_cfpb_tells(path: Path, page: Path) -> None:
    """Of a complaint whose company's time CFPB does not tell, nothing is said."""
    one = complaint(1, company="A", timely="Yes")
    load_file(path, one, complaint(2, company="A"), complaint(3, company="B"))

    write_report(path, page)

    labels = {each["name"]: each["label"] for each in charts(page)["companies"]}
    assert labels == {"A": "2 · 100.0 % timely", "B": "1"}


def test_a_small_share_is_not_none(path: Path, page: Path) -> None:
    """What is less than a tenth of a percent does not read as nothing."""
    many = complaints(*range(2, 2_500), company_response="Closed")
    load_file(path, complaint(1, company_response="Untimely response"), *many)

    write_report(path, page)

    assert [each["label"] for each in charts(page)["answers"]] == [
        "2,498 · 100.0 %",
        "1 · < 0.1 %",
    ]


def test_a_day_that_is_none(path: Path, page: Path) -> None:
    """Written by hand, it is left out of the months, and told."""
    load_file(path, complaint(1, date_received="2026-01-01"), complaint(2))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE complaint SET date_received = 'n/a' WHERE complaint_id = 2")
        connection.commit()

    write_report(path, page)

    assert [each["month"] for each in charts(page)["months"]] == ["2026-01"]
    assert "Left out: 1 without a day." in page.read_text("utf-8")


@pytest.mark.parametrize("months", [3, 30])
def test_every_month_has_its_place(path: Path, page: Path, months: int) -> None:
    """Also one without complaints; of many months the years are named."""
    last = f"{2024 + (months - 1) // 12}-{(months - 1) % 12 + 1:02}-15"
    load_file(path, complaint(1, date_received="2024-01-31"), complaint(2, date_received=last))

    write_report(path, page)

    axis = drawings(page)["months"]["encoding"]["x"]
    assert len(axis["scale"]["domain"]) == months
    assert axis["scale"]["domain"][:2] == ["2024-01", "2024-02"]
    assert len(axis["axis"]["values"]) == 3


def test_reading_changes_nothing(filled: Path, page: Path) -> None:
    """The database is as it was."""
    before = query(filled, "SELECT * FROM complaint"), query(filled, "SELECT * FROM load")

    write_report(filled, page)

    assert (query(filled, "SELECT * FROM complaint"), query(filled, "SELECT * FROM load")) == before


def test_a_page_that_cannot_be_written(filled: Path, tmp_path: Path) -> None:
    """That is told by name, and nothing of it is left behind."""
    before = set(tmp_path.iterdir())

    with pytest.raises(NotWritableFileError):
        write_report(filled, tmp_path)

    assert set(tmp_path.iterdir()) == before


def test_the_page_is_not_the_database(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody loses a database to a report of it, by whatever name."""
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
    """It writes the page and prints where."""
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(page), "--database", str(filled)])

    assert capsys.readouterr().out == f"{page}\n"
    assert page.exists()


@pytest.mark.parametrize(
    ("command", "package"),
    [("report", "altair"), ("report", "vl_convert"), ("browse", "datasette")],
)
def test_without_the_extra(filled: Path, command: str, package: str) -> None:
    """Where the extra is not installed, one line says which it is."""
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
    """On a screen and on a phone every chart is drawn, and nothing is complained of."""
    write_report(filled, page)

    text, console = shown(page.as_uri(), tmp_path, width)

    assert console == []
    assert len(re.findall('<svg[^>]* class="marks"', text)) == 4
    for words in ("298 · 100.0 % timely", "Dec 2025", "CA", "298 · 99.7 %"):
        assert f">{words}</text>" in text
    assert "</i>Mortgage</span>" in text
    assert page.read_text("utf-8").count("Charts need a browser") == 4  # until they are drawn
    assert "Charts need a browser" not in text
