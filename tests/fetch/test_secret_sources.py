"""Loads from addresses with a secret query, from variables and from Prefect's Secret blocks."""

from __future__ import annotations

import os
import threading
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from prefect.blocks.system import Secret
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cfpb_etl.emulator import (
    BULK_PATH,
    Emulator,
    generate_complaints,
    serve,
    write_archive,
    write_bulk_file,
)
from cfpb_etl.fetch.archive import Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.fetch.errors import (
    AddressRefusedError,
    NoAddressError,
    SecretAddressError,
    UnknownQueryError,
)
from cfpb_etl.fetch.http import addresses
from cfpb_etl.fetch.http.addresses import keep, whole
from cfpb_etl.model.query import Query
from cfpb_etl.parameters.load_parameters import LoadParameters
from cfpb_etl.show.status import get_status
from support.prefect_runs import error_of, last_load, rows, run_at
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from cfpb_etl.fetch.search_api import SearchApi
    from support.daily_file import DailyFile

QUERY = "token=s3cret%2Fvalue"


def load(source: BulkFile | Archive | SearchApi, folder: Path) -> State[Any]:
    """Run the flow without a picture."""
    return load_source(source, folder / "complaints.db")


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget all queries, as another process does not have them."""
    monkeypatch.setattr(addresses, "_kept", {})


def is_stored(folder: Path, text: bytes = b"s3cret") -> bool:
    """Say whether a text is in a file beside the database, or in the database."""
    return any(text in path.read_bytes() for path in folder.glob("complaints.db*"))


def test_a_file_of_a_reference_and_of_a_variable(
    published: DailyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is remembered, and neither has its query in the database."""
    address = f"{urljoin(published.api_url, BULK_PATH)}?{QUERY}"
    monkeypatch.setenv("THE_FILE", address)

    for place in (keep(address), "env:THE_FILE"):
        source = BulkFile(place, published.folder / "complaints.db")
        assert load(source, published.folder).result().rows == 3_000
        assert load(source, published.folder).result().unchanged_files == 1
        assert last_load(published.folder)["address"] == place
    assert not is_stored(published.folder)


class FilesWithoutETag(SimpleHTTPRequestHandler):
    """Sends files, and 304 if they are not newer than a client says."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def test_a_variable_that_now_names_another_file(
    tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older file is not taken for an unchanged one."""
    for folder, rows_of_it in (("newer", 60), ("older", 50)):
        (tmp_path / folder).mkdir()
        complaints = generate_complaints(rows_of_it)
        file = write_bulk_file(tmp_path / folder, complaints, day=date(2026, 10, 8))
        file.rename(tmp_path / f"{folder}.zip")
    os.utime(tmp_path / "older.zip", (0, 1_700_000_000))
    source = BulkFile("env:THE_FILE", tmp_path / "complaints.db")
    handler = partial(FilesWithoutETag, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        for name, rows_of_it in (("newer", 60), ("older", 50)):
            monkeypatch.setenv("THE_FILE", f"http://127.0.0.1:{server.server_port}/{name}.zip")
            assert load(source, tmp_path).result().rows == rows_of_it
        server.shutdown()


def test_a_file_of_a_block(published: DailyFile) -> None:
    """Prefect keeps the value of a Secret block encrypted."""
    address = f"{urljoin(published.api_url, BULK_PATH)}?{QUERY}"
    Secret(value=SecretStr(address)).save("the-file")

    assert load(BulkFile("secret:the-file"), published.folder).result().rows == 3_000
    missing = error_of(load(BulkFile("secret:missing"), published.folder))
    assert isinstance(missing, NoAddressError)
    assert "secret:missing has no address: it is not a Secret block" in str(missing)
    assert not is_stored(published.folder)


def test_a_query_that_only_another_process_knows(
    published: DailyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails, and says what to give."""
    source = BulkFile(keep(f"{urljoin(published.api_url, BULK_PATH)}?{QUERY}"))
    forget(monkeypatch)

    assert isinstance(error_of(load(source, published.folder)), UnknownQueryError)


@pytest.mark.parametrize(
    "parameters",
    [
        {"source": "bulk", "file": f"https://host.example/x.zip?{QUERY}"},
        {"source": "archive", "file": [f"https://host.example/x.zip?{QUERY}"]},
        {"source": "archive", "file": f"https://host.example/?{QUERY}"},
        {"api_url": f"https://host.example/?{QUERY}"},
    ],
)
def test_a_parameter_of_the_flow_cannot_have_a_query(parameters: dict[str, Any]) -> None:
    """Only the command line accepts such an address, because Prefect stores parameters."""
    with pytest.raises(SecretAddressError) as raised:
        LoadParameters(**parameters).to_source()

    assert "s3cret" not in str(raised.value)


# --- the archive's page ---------------------------------------------------------------------


def site_of(folder: Path, links: Mapping[str, str]) -> Starlette:
    """Return a site with a page of links and the archive's files."""
    write_archive(folder, generate_complaints(2_000, era="2024"))
    names = sorted(path.name for path in folder.rglob("*.zip"))
    page = "".join(f'<a href="/f/{name}{links.get("query", "")}">' for name in names)
    (zip_folder,) = {path.parent for path in folder.rglob("*.zip")}
    return Starlette(
        routes=[
            Route("/page/", lambda _: HTMLResponse(page)),
            Mount("/f", StaticFiles(directory=zip_folder)),
        ]
    )


def test_links_with_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page can link to presigned files. A later process reads the page again for the queries."""
    with serve(site_of(tmp_path / "site", {"query": f"?{QUERY}"})) as url:
        page = keep(urljoin(url, f"/page/?{QUERY}"))
        source = Archive(page=page, database=tmp_path / "complaints.db")
        first, *_ = source.fetch(ArchivePage(page)).next_parts
        assert whole(first.key).endswith(QUERY)
        assert "s3cret" not in first.to_json() + source.parts()[0].to_json()
        forget(monkeypatch)
        keep(urljoin(url, f"/page/?{QUERY}"))

        again = source.part_from_json(first.to_json())
        assert isinstance(again, FilePart)
        assert source.fetch(again).rows is None
    assert not is_stored(tmp_path)


def test_a_link_with_a_login_is_refused() -> None:
    """The error does not show the login."""
    page = '<a href="https://me:s3cret@host.example/x.zip">'
    with serve(HTMLResponse(page)) as url, pytest.raises(AddressRefusedError) as raised:
        Archive(page=url).fetch(ArchivePage(url))

    assert "a link to a zip on the archive's page must not contain" in str(raised.value)
    assert "s3cret" not in str(raised.value)


# --- the search API -------------------------------------------------------------------------


@pytest.mark.usefixtures("prefect_server", "no_delays")
def test_an_api_with_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is loaded, updated and asked for its count; later the user must give its query again."""
    with serve(Emulator(generate_complaints(2_000))) as url:
        address = keep(f"{url}?{QUERY}")
        assert run_at(address, tmp_path, query=Query(since="2020-01-01")).is_completed()
        assert run_at(address, tmp_path, lookback=30).is_completed()
        assert {row["address"] for row in rows(tmp_path, "SELECT address FROM load")} == {address}
        asked = get_status(tmp_path / "complaints.db", address).drift
        forget(monkeypatch)
        unknown = get_status(tmp_path / "complaints.db").drift

    assert asked
    assert asked.current is not None
    assert unknown
    assert "Give the whole address again" in str(unknown.failure)
    assert not is_stored(tmp_path)
