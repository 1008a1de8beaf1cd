"""A database in Datasette: every page works, all is described, nothing can be changed."""

from __future__ import annotations

import asyncio
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import psutil
import pytest
import requests

from cfpb_etl.emulator import serve
from cfpb_etl.read.descriptions import Description, read_descriptions
from cfpb_etl.show.browse import _PORT as PORT
from cfpb_etl.show.browse import drop_empty_search, make_datasette
from cfpb_etl.show.questions import QUESTIONS
from cfpb_etl.store.errors import NotADatabaseError
from cfpb_etl.store.file.schema import create_schema
from support.browser import needs_browser, render
from support.loads import load, load_file, query
from support.parts import complaint, part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def schema_descriptions() -> dict[str, Description]:
    """Return the descriptions in the schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        create_schema(connection)
        return read_descriptions(connection)


DESCRIPTIONS = schema_descriptions()
VIEWS = [name for name in DESCRIPTIONS if "_by_" in name or name == "narratives"]


@pytest.fixture
def filled(path: Path) -> Path:
    """Return a database of two complaints, one with a narrative."""
    fields = {"date_received": "2026-01-02", "company": "A", "state": "CA", "product": "Mortgage"}
    narrative = "After identity theft they would not answer a word about pomegranates"
    load_file(
        path,
        complaint(1, complaint_what_happened=narrative, **fields),
        complaint(2, **fields),
    )
    return path


def get(database: Path, *addresses: str) -> list[Any]:
    """Return Datasette's responses."""

    async def responses() -> list[Any]:
        datasette = make_datasette(database)
        return [await datasette.client.get(f"/complaints{address}") for address in addresses]

    return asyncio.run(responses())


def test_every_question_has_an_answer(filled: Path) -> None:
    """Each of the five questions returns rows."""
    responses = get(filled, *(f"/{each.name}.json?_shape=array" for each in QUESTIONS))

    for question, response in zip(QUESTIONS, responses, strict=True):
        assert response.status_code == 200, question
        assert response.json(), question


@pytest.mark.parametrize("table", ["complaint", "narratives"])
def test_a_word_of_a_narrative_is_found(filled: Path, table: str) -> None:
    """The search finds words that only the narrative has, and accepts any input."""
    search = f"/{table}.json?_shape=array&_search="
    found, empty, odd = get(
        filled, f"{search}pomegranates", f"{search}Mortgage", f'{search}pomegranates" OR'
    )

    assert [row["complaint_id"] for row in found.json()] == [1]
    assert empty.json() == []
    assert odd.status_code == 200


@pytest.mark.parametrize("name", ["", "/complaint", "/load", *(f"/{view}" for view in VIEWS)])
def test_every_page_is_described(filled: Path, name: str) -> None:
    """Pages of tables and views show the descriptions of these and of their columns."""
    (page,) = get(filled, name)

    assert page.status_code == 200
    description = DESCRIPTIONS.get(name.lstrip("/"))
    if description is None:
        assert "not scaled by size" in page.text
        assert "CC0" in page.text
        return
    text = page.text.replace("&#39;", "'")
    assert description.text[1:] in text
    for column in description.columns.values():
        assert column in text


def test_complaints_come_with_facets(filled: Path) -> None:
    """The newest come first, with the number of complaints for each product and company."""
    (page,) = get(filled, "/complaint.json")

    facets = page.json()["facet_results"]
    assert {name: facet["results"][0]["count"] for name, facet in facets.items()} == {
        "product": 2,
        "company": 2,
    }


def test_nothing_can_be_written(filled: Path) -> None:
    """A DELETE is refused, also within a WITH clause, and so is the download of the file."""
    before = filled.read_bytes()
    refused = get(
        filled,
        ".json?sql=delete+from+complaint",
        ".json?sql=with+a+as+(select+1)+delete+from+complaint",
        ".db",
    )

    assert [response.status_code for response in refused] == [400, 400, 403]
    assert filled.read_bytes() == before
    assert query(filled, "SELECT COUNT(*) FROM complaint") == [(2,)]


@pytest.mark.parametrize(
    "name", ["a#b.db", "a?b.db", "a?mode=rwc", "a b.c.db", "_internal", "a%23é"]
)
def test_any_file_name(filled: Path, name: str) -> None:
    """That very file is shown; no other file is opened or created."""
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


def test_the_sample_has_no_source(path: Path) -> None:
    """The sample is called made up on the first pages, and has no source and no licence."""
    load(path, part(complaint(1)), kind="sample")

    home, database = get(path, "/..", "")

    for page in (home, database):
        assert "Made-up complaints" in page.text
        assert "CC0" not in page.text
        assert "Consumer Financial Protection Bureau" not in page.text


def test_pages_of_datasette_itself(filled: Path) -> None:
    """Datasette's pages about its databases, metadata and settings work."""
    pages = get(filled, *(f"/../-/{name}.json" for name in ("databases", "metadata", "settings")))

    assert [page.status_code for page in pages] == [200, 200, 200]


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    """Only a file that cfpb-etl created is served."""
    path = tmp_path / "other.db"
    query(path, "CREATE TABLE photo (a)")

    with pytest.raises(NotADatabaseError):
        make_datasette(path)


@pytest.mark.parametrize("search", ['"', "", " ", "+++", "%00", "''"])
def test_a_search_without_a_word(filled: Path, search: str) -> None:
    """It finds everything; SQLite alone would reject it."""
    with serve(drop_empty_search(make_datasette(filled).app())) as url:
        address = urljoin(url, f"/complaints/complaint.json?_shape=array&_search={search}")
        rows = requests.get(address, timeout=30).json()

    assert {row["complaint_id"] for row in rows} == {1, 2}


# --- the command ----------------------------------------------------------------------------


@contextmanager
def browsing(database: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and yield its process and the address that it prints."""
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


ENDLESS = "with recursive c(x) as (select 1 union all select x + 1 from c) select max(x) from c"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_it_serves_until_a_signal(filled: Path, number: signal.Signals, code: int) -> None:
    """It prints its address and nothing else, and stops at once, also while a query runs.

    For a wrong address, Datasette prints no traceback with local variables.
    """
    with browsing(filled) as (process, url):
        assert requests.get(url, timeout=30).status_code == 200
        assert requests.get(f"{url}/nosuch", timeout=30).status_code == 404
        cpu_times = psutil.Process(process.pid).cpu_times
        before = cpu_times().user
        client = threading.Thread(
            target=lambda: requests.get(f"{url}.json", {"sql": ENDLESS}, timeout=60)
        )
        client.start()
        while cpu_times().user < before + 0.5:  # until the query runs
            client.join(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=15)  # less than the 20 s that a query may take
        client.join()

    assert (process.returncode, out, err) == (code, "", "")


def test_datasettes_port_is_in_use(filled: Path) -> None:
    """Another port is used."""
    with ExitStack() as stack:
        with suppress(OSError):  # another program uses it
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
        _, url = stack.enter_context(browsing(filled))

        assert urlsplit(url).port != PORT
        assert requests.get(url, timeout=30).status_code == 200


@needs_browser
@pytest.mark.slow
def test_a_browser_shows_it(filled: Path, tmp_path: Path) -> None:
    """The pages of tables, views and questions are complete, and the console is empty."""
    with browsing(filled) as (_, url):
        for page in (
            "",
            "/complaint",
            "/complaints_by_product",
            *(f"/{each.name}" for each in QUESTIONS),
        ):
            html, console = render(f"{url}{page}", tmp_path)
            assert console == [], page
            assert "<h1" in html, page
