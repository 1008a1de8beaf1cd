"""Answers that arrive byte by byte end after the time limit, wherever they trickle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.archive import Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.http import client, errors
from cfpb_etl.fetch.search_api import SearchApi, fetch_count
from cfpb_etl.model.query import Query
from support.raw_server import serve_bytes, trickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.raw_server import Answer

HEADERS = trickle(b"HTTP/1.1 200 OK\r\nX: ")
TRICKLING: dict[str, Answer] = {
    "first line": trickle(b"HTTP/1.1 200 "),
    "a header": HEADERS,
    "headers": trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.01),
    "answers to wait for": trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"),
    "body without a length": trickle(b"HTTP/1.1 200 OK\r\n\r\n"),
    "chunks": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "size of a chunk": trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.fixture(autouse=True)
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an answer only a part of a second."""
    monkeypatch.setattr(client, "MAX_ANSWER_SECONDS", 0.2)


def ask_page(url: str, _folder: Path) -> object:
    """Fetch a page of the search API."""
    source = SearchApi(url=url, rate_limit=None)
    return source.fetch(source.parts()[0])


def ask_count(url: str, _folder: Path) -> object:
    """Fetch the count for `status`."""
    return fetch_count(Query(), url)


def ask_archive(url: str, _folder: Path) -> object:
    """Fetch the archive's page."""
    return Archive(page=url).fetch(ArchivePage(url))


def ask_file(url: str, folder: Path) -> object:
    """Download a file."""
    source = BulkFile(f"{url}complaints.csv", folder / "c.db")
    return source.fetch(source.parts()[0])


@pytest.mark.parametrize("reply", TRICKLING.values(), ids=TRICKLING)
@pytest.mark.parametrize("ask", [ask_page, ask_file])
def test_an_answer_that_trickles(
    ask: Callable[[str, Path], object], reply: Answer, tmp_path: Path
) -> None:
    """The time limit is for the first line, the headers and the body."""
    with (
        serve_bytes(reply) as server,
        pytest.raises(errors.SlowAnswerError, match=r"too slowly: .* within 0\.2 s"),
    ):
        ask(server.url, tmp_path)

    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("ask", [ask_count, ask_archive])
def test_headers_that_trickle(ask: Callable[[str, Path], object], tmp_path: Path) -> None:
    """The limit is the same for `status` and for the archive's page."""
    with serve_bytes(HEADERS) as server, pytest.raises(errors.SlowAnswerError):
        ask(server.url, tmp_path)


@pytest.mark.parametrize("ask", [ask_page, ask_file])
def test_the_body_of_an_error_that_trickles(
    ask: Callable[[str, Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the one of its status, and its body is not waited for."""
    monkeypatch.setattr(client, "_ERROR_SECONDS", 0.1)
    reply = trickle(b"HTTP/1.1 503 Sorry\r\nContent-Length: 9999999\r\n\r\n")
    started = time.monotonic()

    with serve_bytes(reply) as server, pytest.raises(errors.ServerFailureError, match="503"):
        ask(server.url, tmp_path)

    assert time.monotonic() - started < 60


def test_a_body_that_stops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The read timeout is for the time between two bytes."""
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(client, "MAX_ANSWER_SECONDS", 60)
    reply = trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", seconds=30)

    with (
        serve_bytes(reply) as server,
        pytest.raises(errors.SlowAnswerError, match=r"nothing more arrived within 0\.05 s"),
    ):
        ask_page(server.url, tmp_path)
