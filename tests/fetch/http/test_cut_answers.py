"""Answers that are cut off, damaged or not HTTP: which of them are worth a retry."""

from __future__ import annotations

import codecs
import gc
import gzip
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.fetch.archive import Archive, ArchivePage
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.fetch.errors import DamagedDownloadError
from cfpb_etl.fetch.http import errors
from cfpb_etl.fetch.http.addresses import keep
from cfpb_etl.fetch.http.client import decode_json
from cfpb_etl.fetch.search_answer import read_answer
from cfpb_etl.fetch.search_api import SearchApi, fetch_count
from cfpb_etl.model.events import Warned, listening
from cfpb_etl.model.file import CsvFile
from cfpb_etl.model.query import Query
from support.bodies import CSV, GZIP, HTML, JSON, ZIP, damaged
from support.raw_server import answer, chunked, framed, serve_bytes
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.events import Event
    from cfpb_etl.model.part import RawPart

WEB, PLAIN, PACKED = "text/html", "text/csv", "application/zip"


def fetch_page(reply: bytes) -> RawPart:
    """Fetch a page of two complaints from a server that sends these bytes."""
    with serve_bytes(reply) as server:
        source = SearchApi(url=server.url, limit=2, rate_limit=None)
        return source.fetch(source.parts()[0])


def files_on(reply: bytes) -> list[str]:
    """Return the names of the files that the archive's page links to."""
    with serve_bytes(reply) as server:
        raw = Archive(page=server.url).fetch(ArchivePage(server.url))
    return [str(part) for part in raw.next_parts]


def fetch_file(reply: bytes, folder: Path, name: str = "complaints.csv.zip") -> bytes:
    """Download a file, and return its bytes."""
    with serve_bytes(reply) as server:
        url = urljoin(server.url, name)
        source = BulkFile(keep(url), folder / "c.db")
        content = source.fetch(source.parts()[0]).take_content()
    assert isinstance(content, CsvFile)
    return content.path.read_bytes()


# --- pages of the search API ----------------------------------------------------------------

PACKED_JSON = gzip.compress(JSON)


@pytest.mark.parametrize(
    "reply",
    [
        framed(JSON),
        answer(JSON),
        answer(JSON).replace(b"HTTP/1.1", b"HTTP/1.0"),
        chunked(JSON),
        framed(PACKED_JSON, GZIP),
        answer(PACKED_JSON, GZIP),
        chunked(PACKED_JSON, GZIP),
        b"HTTP/1.1 100 Continue\r\n\r\n" + framed(JSON),
        framed(codecs.BOM_UTF8 + JSON),
    ],
)
def test_a_complete_answer(reply: bytes) -> None:
    """It is complete, however its end is shown."""
    assert fetch_page(reply).info.rows == 2


CUT = {
    "shorter than announced": answer(JSON[:99], f"Content-Length: {len(JSON)}"),
    "without a length": answer(JSON[:99]),
    "without the last chunk": chunked(JSON[:99], end=b""),
    "within a chunk": answer(b"ff\r\n" + JSON[:99], "Transfer-Encoding: chunked"),
    "after a proxy has corrected its length": framed(JSON[:99]),
    "within gzip": framed(PACKED_JSON[:99], GZIP),
    "within gzip, with a last chunk": chunked(PACKED_JSON[:99], GZIP),
    "within the header of gzip": framed(PACKED_JSON[:5], GZIP),
    "after its wrong part": framed(b'{"hits": 7, "_meta": {'),
    "in favour of an error page": framed(JSON[:99] + b"<html>502 Bad Gateway</html>"),
    "before its first byte": answer(b""),
    "before its first byte, with a length": framed(b""),
    "before its first byte, of another type": framed(b"", kind=WEB),
    "after white space": framed(b" \r\n"),
    "within its headers": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "within its first line": b"HTTP/1.1 2",
}
DAMAGED = {
    "its gzip": framed(damaged(JSON), GZIP),
    "no gzip at all": framed(JSON, GZIP),
    "its chunks": answer(b"zz\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("reply", [*CUT.values(), *DAMAGED.values()], ids=[*CUT, *DAMAGED])
def test_a_cut_answer_is_retried(reply: bytes) -> None:
    """It is a failure of the network, however the answer was framed."""
    with pytest.raises(errors.CutBodyError, match="incomplete or damaged answer: ") as cut:
        fetch_page(reply)

    assert cut.value.attempts == 5
    assert "newer version" not in str(cut.value)


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"7", b'"text"', b'{"hits": 7}', b"<html>502</html>", b"Bad Gateway"]
)
def test_a_complete_answer_of_another_shape_is_final(body: bytes) -> None:
    """A retry would get it again: the API has changed."""
    with pytest.raises(errors.UnexpectedBodyError, match="check for a newer version"):
        fetch_page(framed(body))


@given(st.integers(1, len(JSON) - 1))
@settings(deadline=None, derandomize=True, max_examples=soak(100))
def test_an_answer_that_is_cut_anywhere(length: int) -> None:
    """No part of an answer passes for an answer of another shape."""
    with pytest.raises(errors.CutBodyError):
        read_answer(bytearray(JSON[:length]), "http://127.0.0.1/", "2026-10-08")


def test_json_that_is_nested_too_deep_is_final() -> None:
    """Its end was not read, but a server that sends this would send it again."""
    with pytest.raises(errors.UnexpectedBodyError):
        decode_json(bytearray(b"[" * 100_000), "http://127.0.0.1/", list)


def test_the_count_of_status_is_cut() -> None:
    """`status` says the same."""
    with serve_bytes(answer(JSON[:99])) as server, pytest.raises(errors.CutBodyError):
        fetch_count(Query(), server.url)


# --- answers that are not HTTP, or not from CFPB --------------------------------------------


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (JSON, "its first line is '{"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "its first line is 'SSH-2.0"),
        (b"\x15\x03\x01\x00\x02\x02P", "its first line is "),
        (b"HTTP/1.1 abc OK\r\n\r\n", "its first line is 'HTTP/1.1 abc"),
        (answer(JSON, f"X: {'y' * 70_000}"), "header line"),
        (answer(JSON, *["X: y"] * 101), "more than 100 headers"),
        (answer(JSON, "Content-Length: 5, 7"), "multiple"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_answer_that_is_not_http(reply: bytes, words: str) -> None:
    """The error names HTTP, and a retry would not help."""
    with pytest.raises(errors.InvalidHttpError, match=r"not valid HTTP: .*--api-url") as failed:
        fetch_page(reply)

    assert words in str(failed.value)
    del failed
    gc.collect()  # of two lengths, urllib3 leaves the socket open


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", errors.UnexpectedStatusError, "status 204"),
        (framed(JSON, status="206 Part"), errors.UnexpectedStatusError, "status 206"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", errors.UnexpectedStatusError, "status 103"),
        (framed(HTML, kind=WEB), errors.WrongContentError, "login page of a proxy"),
        (framed(HTML, status="511 Login"), errors.NetworkLoginError, "Log in to the network"),
    ],
)
def test_an_answer_that_is_not_from_the_search_api(
    reply: bytes, error: type[errors.ServerError], words: str
) -> None:
    """The error is final, and names the answer."""
    with pytest.raises(error, match=words) as failed:
        fetch_page(reply)

    assert not isinstance(failed.value, errors.RetriableError)


@pytest.mark.parametrize("code", [400, 403, 404, 429, 503])
def test_the_status_counts_although_the_body_is_cut(code: int) -> None:
    """The body of an error is only quoted."""
    with pytest.raises(errors.ServerError, match=f"\\({code}\\)") as failed:
        fetch_page(answer(b"x", "Content-Length: 99", "Retry-After: 0", status=f"{code} Sorry"))

    assert failed.value.status == code


# --- the archive's page ---------------------------------------------------------------------

NAMES = ["July_2026.zip", "August_2026.zip"]


@pytest.mark.parametrize(
    "reply",
    [
        framed(HTML, kind=WEB),
        answer(HTML, kind=WEB),
        answer(gzip.compress(HTML), GZIP, kind=WEB),
        framed(HTML.replace(b"</html>", b"</HTML >"), kind=WEB),
        framed(b'<a href="July_2026.zip"><a href="August_2026.zip">', kind=WEB),
    ],
)
def test_a_complete_page(reply: bytes) -> None:
    """It ends with its end tag, or HTTP shows that it is complete."""
    assert files_on(reply) == NAMES


PACKED_HTML = gzip.compress(HTML)


@pytest.mark.parametrize(
    "reply",
    [
        answer(HTML[:80], kind=WEB),
        answer(b'<a href="July_2026.zip">', kind=WEB),
        framed(HTML[:80], kind=WEB),
        chunked(HTML[:80], kind=WEB, end=b""),
        framed(PACKED_HTML[:90], GZIP, kind=WEB),
        framed(damaged(HTML), GZIP, kind=WEB),
        framed(b"", kind=WEB),
    ],
)
def test_a_cut_page_is_retried(reply: bytes) -> None:
    """A part of the page never passes for the page, or files of the archive would be missing."""
    with pytest.raises(errors.CutBodyError):
        files_on(reply)


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "name", "body"),
    [
        (answer(ZIP, kind=PACKED), "complaints.csv.zip", ZIP),
        (answer(gzip.compress(CSV), kind=PACKED), "complaints.csv.gz", gzip.compress(CSV)),
        (chunked(CSV, kind=PLAIN), "complaints.csv", CSV),
        (framed(CSV.rstrip(), kind=PLAIN), "complaints.csv", CSV.rstrip()),
    ],
)
def test_a_complete_file(reply: bytes, name: str, body: bytes, tmp_path: Path) -> None:
    """Its container or HTTP shows that it is complete, and nothing is reported."""
    events: list[Event] = []
    with listening(events.append):
        assert fetch_file(reply, tmp_path, name) == body

    assert not any(isinstance(event, Warned) for event in events)


PACKED_CSV = gzip.compress(CSV)
CUT_FILES = {
    "a zip": (answer(ZIP[:3_000], kind=PACKED), "complaints.csv.zip"),
    "a zip with a length": (framed(ZIP[:3_000], kind=PACKED), "complaints.csv.zip"),
    "a gzip with a length": (framed(PACKED_CSV[:3_000], kind=PACKED), "complaints.csv.gz"),
    "a zip without its last chunk": (chunked(ZIP, kind=PACKED, end=b""), "complaints.csv.zip"),
    "a CSV": (answer(CSV[:3_000], kind=PLAIN), "complaints.csv"),
    "a compressed CSV": (chunked(PACKED_CSV[:3_000], GZIP, kind=PLAIN), "complaints.csv"),
    "a damaged CSV": (chunked(damaged(CSV), GZIP, kind=PLAIN), "complaints.csv"),
    "nothing": (answer(b"", kind=PACKED), "complaints.csv.zip"),
    "nothing, with a length": (framed(b"", kind=PACKED), "complaints.csv.zip"),
    "no web page": (framed(b"", kind=WEB), "complaints.csv.zip"),
    "its headers": (b"HTTP/1.1 200 OK\r\nETag", "complaints.csv.zip"),
}


@pytest.mark.parametrize(("reply", "name"), CUT_FILES.values(), ids=CUT_FILES)
def test_a_cut_file_is_retried(reply: bytes, name: str, tmp_path: Path) -> None:
    """A part of a file never passes for the file, nor does a retry continue a damaged part."""
    for _ in range(2):
        with pytest.raises(errors.CutBodyError):
            fetch_file(reply, tmp_path, name)

    assert not list(tmp_path.glob("*.csv*[!j]")) or downloads_beside(tmp_path / "c.db")


def test_a_complete_file_that_is_damaged_is_final(tmp_path: Path) -> None:
    """With its announced length and its end, the file is damaged at CFPB."""
    middle = len(ZIP) // 2
    body = ZIP[:middle] + bytes([ZIP[middle] ^ 0xFF]) + ZIP[middle + 1 :]

    with pytest.raises(DamagedDownloadError):
        fetch_file(framed(body, kind=PACKED), tmp_path)


@pytest.mark.parametrize(
    "reply", [answer(CSV, kind=PLAIN), framed(PACKED_CSV, GZIP, kind=PLAIN)], ids=["plain", "gzip"]
)
def test_a_csv_whose_end_nothing_shows(reply: bytes, tmp_path: Path) -> None:
    """It is used, with a warning that rows may be missing. A length can be that of the gzip."""
    events: list[Event] = []
    with listening(events.append):
        assert fetch_file(reply, tmp_path, "complaints.csv?key=1") == CSV

    (warning,) = [event.text for event in events if isinstance(event, Warned)]
    assert warning.endswith(
        "complaints.csv came without its length, so nothing shows whether all of it arrived"
    )
