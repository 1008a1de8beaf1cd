"""The header Retry-After: what it says, and that it is obeyed wherever it comes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.archive import Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.http import errors
from cfpb_etl.fetch.http.rate_limit import RateLimiter
from cfpb_etl.fetch.search_api import SearchApi
from support.bodies import HTML, JSON, ZIP
from support.raw_server import framed, serve_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DATE = f"Date: {format_datetime(NOW, usegmt=True)}"


def after(seconds: int) -> str:
    """Return the HTTP date of a later moment."""
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


def failure(*headers: str, status: str = "503 Sorry") -> errors.RetriableError:
    """Return the error for an answer with these headers."""
    with serve_bytes(framed(b"{}", *headers, status=status)) as server:
        source = SearchApi(url=server.url, limit=2, rate_limit=None)
        with pytest.raises(errors.RetriableError) as failed:
            source.fetch(source.parts()[0])
    return failed.value


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that servers have asked for, which nobody waits for."""
    pauses: list[float] = []
    monkeypatch.setattr(RateLimiter, "pause", lambda _self, seconds: pauses.append(seconds))
    return pauses


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.2", 2),
        ("007", 7),
        ("3600", 3600),
        (after(90), 90),
        (after(-90), 0),
        ("Thursday, 26-Nov-26 12:00:30 GMT", 30),
        ("Thu Nov 26 12:00:30 2026", 30),
    ],
)
def test_seconds_or_a_date(text: str, seconds: int, pauses: list[float]) -> None:
    """A date is compared with the server's clock."""
    error = failure(DATE, f"Retry-After: {text}")

    assert (error.retry_after, error.attempts) == (seconds, 5)
    assert pauses == [seconds]
    assert f"(503): retry in {seconds:,} s" in str(error)


def test_a_date_without_the_servers_clock(pauses: list[float]) -> None:
    """The computer's clock is used."""
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)

    failure(f"Retry-After: {moment}")

    assert 500 < pauses[0] <= 600


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "7 s", "7, 8", "٧", "Thu, 31 Feb 2026 12:00:00 GMT"]
)
def test_an_invalid_value(text: str, pauses: list[float]) -> None:
    """It counts as the whole window after a 429, and as nothing after other statuses."""
    header = f"Retry-After: {text}"

    assert failure(header, status="429 Slow down").retry_after == 60
    assert failure(header).retry_after is None
    assert pauses == [60]


def test_the_longer_of_two_waits(pauses: list[float]) -> None:
    """A proxy can add its own header."""
    assert failure("Retry-After: 3", "Retry-After: 9", "Retry-After: soon").retry_after == 9


@pytest.mark.parametrize("text", ["3601", "9" * 400, after(86_400)])
def test_a_wait_that_is_too_long(text: str, pauses: list[float]) -> None:
    """The run fails at once, and says how long the server wants to be left alone."""
    error = failure(DATE, f"Retry-After: {text}")

    assert error.retry_after is not None
    assert error.retry_after > 3600
    assert error.attempts == 1
    assert pauses == []


@pytest.mark.parametrize("code", [408, 424, 425, 429, 500, 502, 503, 504])
def test_every_status_that_may_pass(code: int, pauses: list[float]) -> None:
    """The header is obeyed with each of them."""
    assert failure("Retry-After: 2", status=f"{code} Sorry").retry_after == 2
    assert pauses == [2]


def ask_page(url: str, _folder: Path) -> object:
    """Fetch a page of the search API."""
    source = SearchApi(url=url, limit=2)
    return source.fetch(source.parts()[0])


def ask_archive(url: str, _folder: Path) -> object:
    """Fetch the archive's page."""
    return Archive(page=url).fetch(ArchivePage(url))


def ask_file(url: str, folder: Path) -> object:
    """Download a file."""
    source = BulkFile(f"{url}complaints.csv.zip", folder / "c.db")
    return source.fetch(source.parts()[0])


@pytest.mark.parametrize(
    ("ask", "reply"),
    [
        (ask_page, framed(JSON)),
        (ask_archive, framed(HTML, kind="text/html")),
        (ask_file, framed(ZIP, kind="application/zip")),
    ],
)
def test_the_next_request_waits(
    ask: Callable[[str, Path], object], reply: bytes, tmp_path: Path
) -> None:
    """The pause begins with the answer, so time that passes before the retry is a part of it."""
    with serve_bytes(framed(b"", "Retry-After: 1", status="503 Sorry"), reply) as server:
        with pytest.raises(errors.ServerFailureError):
            ask(server.url, tmp_path)
        asked = time.monotonic()
        ask(server.url, tmp_path)
        waited = time.monotonic() - asked

    assert waited > 0.8
    assert len(server.requests) == 2


def test_a_page_is_not_made_smaller_during_an_outage() -> None:
    """A 424 that says when to come back is not about the size of the page."""
    with serve_bytes(framed(b"{}", "Retry-After: 0", status="424 Sorry")) as server:
        source = SearchApi(url=server.url, rate_limit=None)
        with pytest.raises(errors.SearchBackendError):
            source.fetch(source.parts()[0])

    assert len(server.requests) == 1
