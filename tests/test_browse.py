"""A database in Datasette: every page answers, everything is explained, nothing can be changed."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from browser import needs_browser, shown
from cfpb_etl.browse import application
from cfpb_etl.descriptions import descriptions
from cfpb_etl.errors import NotADatabaseError
from cfpb_etl.questions import QUESTIONS
from loads import complaint, load_file, query

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[1] / "README.md"
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
    """Each of the README's five questions returns rows."""
    answers = get(filled, *(f"/{each.name}.json?_shape=array" for each in QUESTIONS))

    for question, answer in zip(QUESTIONS, answers, strict=True):
        assert answer.status_code == 200, question
        assert answer.json(), question


def test_the_questions_are_the_readmes() -> None:
    """They stand there in the same words, in the same order."""
    text = README.read_text("utf-8")
    found = re.findall(r"\n([^\n]*\?)[^\n?]*\n\n```sql\n([^`]*)\n```\n```text", text)

    assert [(each.words, each.sql) for each in QUESTIONS] == found


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
    """The newest come first, with how many there are of each product and state."""
    (page,) = get(filled, "/complaint.json")

    facets = page.json()["facet_results"]
    assert {name: facet["results"][0]["count"] for name, facet in facets.items()} == {
        "product": 2,
        "state": 2,
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


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """Only a file of ours is explained."""
    path = tmp_path / "other.db"
    query(path, "CREATE TABLE photo (a)")

    with pytest.raises(NotADatabaseError):
        application(path)


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


def test_two_side_by_side(filled: Path) -> None:
    """Where Datasette's own port is taken, it takes another."""
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # then somebody else has it
            taken.bind(("127.0.0.1", 8001))
        with browsing(filled) as (_, url):
            assert ":8001/" not in url
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
