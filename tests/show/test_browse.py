"""A database in Datasette: every page answers, everything is explained, nothing can be changed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import psutil
import pytest
import requests

from cfpb_etl.emulator import serve
from cfpb_etl.show.browse import application, without_empty_search
from cfpb_etl.show.descriptions import descriptions
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.errors import NotADatabaseError
from support.browser import needs_browser, shown
from support.loads import complaint, load, load_file, part, query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VIEWS = [name for name in descriptions() if "_by_" in name or name == "narratives"]


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a database of two complaints, one with a narrative."""
    fields = {"date_received": "2026-01-02", "company": "A", "state": "CA", "product": "Mortgage"}
    wrote = "After identity theft they would not answer a word about pomegranates"
    load_file(
        path,
        complaint(1, complaint_what_happened=wrote, **fields),
        complaint(2, **fields),
    )
    return path


def get(database: Path, *addresses: str) -> list[Any]:
    """Return what Datasette answers, each JSON or a page."""

    async def answers() -> list[Any]:
        datasette = application(database)
        return [await datasette.client.get(f"/complaints{address}") for address in addresses]

    return asyncio.run(answers())


def test_every_question_has_an_answer(filled: Path) -> None:
    """Each of the five questions of docs/reading.md returns rows."""
    answers = get(filled, *(f"/{each.name}.json?_shape=array" for each in QUESTIONS))

    for question, answer in zip(QUESTIONS, answers, strict=True):
        assert answer.status_code == 200, question
        assert answer.json(), question


@pytest.mark.parametrize("table", ["complaint", "narratives"])
def test_a_word_of_a_narrative_is_found(filled: Path, table: str) -> None:
    """The search of a page finds what only the narrative has, whatever a person types."""
    search = f"/{table}.json?_shape=array&_search="
    found, none, odd = get(
        filled, f"{search}pomegranates", f"{search}Mortgage", f'{search}pomegranates" OR'
    )

    assert [row["complaint_id"] for row in found.json()] == [1]
    assert none.json() == []
    assert odd.status_code == 200


@pytest.mark.parametrize("name", ["", "/complaint", "/load", *(f"/{view}" for view in VIEWS)])
def test_every_page_answers_and_is_explained(filled: Path, name: str) -> None:
    """Tables and views are shown with what they and their columns hold."""
    (page,) = get(filled, name)

    assert page.status_code == 200
    described = descriptions().get(name.lstrip("/"))
    if described is None:
        assert "not scaled by size" in page.text
        assert "CC0" in page.text
        return
    text = page.text.replace("&#39;", "'")
    assert described.words[1:] in text
    for words in described.columns.values():
        assert words in text


def test_complaints_come_with_facets(filled: Path) -> None:
    """The newest come first, with how many there are of each product and company."""
    (page,) = get(filled, "/complaint.json")

    facets = page.json()["facet_results"]
    assert {name: facet["results"][0]["count"] for name, facet in facets.items()} == {
        "product": 2,
        "company": 2,
    }


def test_nothing_can_be_written(filled: Path) -> None:
    """Neither by a question nor by one that hides what it does."""
    before = filled.read_bytes()
    refused = get(
        filled,
        ".json?sql=delete+from+complaint",
        ".json?sql=with+a+as+(select+1)+delete+from+complaint",
        ".db",
    )

    assert [answer.status_code for answer in refused] == [400, 400, 403]
    assert filled.read_bytes() == before
    assert query(filled, "SELECT COUNT(*) FROM complaint") == [(2,)]


@pytest.mark.parametrize(
    "name", ["a#b.db", "a?b.db", "a?mode=rwc", "a b.c.db", "_internal", "a%23é"]
)
def test_whatever_a_file_is_called(filled: Path, name: str) -> None:
    """It is that file which is shown, and no other is opened, or made, to be written."""
    other = filled.rename(filled.with_name("a"))
    path = filled.with_name(name)
    path.write_bytes(other.read_bytes())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM complaint WHERE complaint_id = 2")
    before = {each.name for each in path.parent.iterdir()}

    counted, refused = get(
        path,
        ".json?sql=select+count(*)+from+complaint&_shape=arrayfirst",
        ".json?sql=with+a+as+(select+1)+delete+from+complaint",
    )

    assert (counted.json(), refused.status_code) == ([1], 400)
    assert query(other, "SELECT COUNT(*) FROM complaint") == [(2,)]
    assert {each.name for each in path.parent.iterdir()} - {f"{name}-shm", f"{name}-wal"} == before


def test_made_up_complaints_are_not_cfpbs(path: Path) -> None:
    """The sample is called made up on every first page, and has no source and no licence."""
    load(path, part(complaint(1)), kind="sample")

    home, database = get(path, "/..", "")

    for page in (home, database):
        assert "Made-up complaints" in page.text
        assert "CC0" not in page.text
        assert "Consumer Financial Protection Bureau" not in page.text


def test_datasettes_own_pages_answer(filled: Path) -> None:
    """Those of what it holds and how it is set, too."""
    pages = get(filled, *(f"/../-/{name}.json" for name in ("databases", "metadata", "settings")))

    assert [page.status_code for page in pages] == [200, 200, 200]


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """Only a file of ours is explained."""
    path = tmp_path / "other.db"
    query(path, "CREATE TABLE photo (a)")

    with pytest.raises(NotADatabaseError):
        application(path)


@pytest.mark.parametrize("search", ['"', "", " ", "+++", "%00", "''"])
def test_a_search_without_a_word(filled: Path, search: str) -> None:
    """It finds everything, where SQLite would call it a mistake."""
    with serve(without_empty_search(application(filled).app())) as url:
        address = urljoin(url, f"/complaints/complaint.json?_shape=array&_search={search}")
        rows = requests.get(address, timeout=30).json()

    assert {row["complaint_id"] for row in rows} == {1, 2}


# --- the command ----------------------------------------------------------------------------


@contextmanager
def browsing(database: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and give its process and the address that it prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "cfpb_etl.flow", "browse", "--database", database],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().split()[0]
        finally:
            process.kill()


def test_it_serves_until_ctrl_c(filled: Path) -> None:
    """It prints where it is, answers there, and ends in order without a word."""
    with browsing(filled) as (process, url):
        assert requests.get(url, timeout=30).status_code == 200
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (process.returncode, said) == (0, "")


ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_long_question_does_not_hold_it(filled: Path, number: signal.Signals) -> None:
    """Who ends it does not wait until a question is answered."""
    with browsing(filled) as (process, url):
        spent = psutil.Process(process.pid).cpu_times
        before = spent().user
        asked = threading.Thread(
            target=lambda: requests.get(f"{url}.json", {"sql": ENDLESS}, timeout=60)
        )
        asked.start()
        while spent().user < before + 0.5:  # the question is under way
            pass
        process.send_signal(number)
        _, said = process.communicate(timeout=15)  # of the 20 that it may take
        asked.join()

    assert (process.returncode, said) == (0, "")


def test_a_wrong_address_says_nothing_to_the_terminal(filled: Path) -> None:
    """Datasette's tracebacks, with all that is in memory, are for nobody who looks at pages."""
    with browsing(filled) as (process, url):
        assert requests.get(f"{url}/nosuch", timeout=30).status_code == 404
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)

    assert (out, err) == ("", "")


def test_two_side_by_side(filled: Path) -> None:
    """Where Datasette's own port is taken, it takes another."""
    with browsing(filled) as (_, first), browsing(filled) as (_, second):
        assert first != second
        for url in (first, second):
            assert requests.get(url, timeout=30).status_code == 200


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_it(filled: Path, tmp_path: Path) -> None:
    """The pages of tables, views and questions are complete, and complain of nothing."""
    with browsing(filled) as (_, url):
        for page in (
            "",
            "/complaint",
            "/complaints_by_product",
            *(f"/{q.name}" for q in QUESTIONS),
        ):
            text, console = shown(f"{url}{page}", tmp_path)
            assert console == [], page
            assert "<h1" in text, page
