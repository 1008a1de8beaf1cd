"""The addresses that a user gives: which are refused, and where their queries stay."""

from __future__ import annotations

import logging
import pickle
import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from starlette.responses import HTMLResponse

from cfpb_etl.cli.main import main
from cfpb_etl.emulator import serve
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.fetch.errors import (
    AddressRefusedError,
    NoAddressError,
    SecretAddressError,
    UnknownQueryError,
)
from cfpb_etl.fetch.http import addresses
from cfpb_etl.fetch.http.addresses import fault_of, is_unknown, keep, reference_to, whole
from cfpb_etl.fetch.http.client import get_page
from cfpb_etl.fetch.http.errors import ARCHIVE_PAGE
from cfpb_etl.fetch.search_api import SearchApi

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOGINS = (
    "http://me:s3cret@127.0.0.1/x.zip",
    "https://s3cret@127.0.0.1/x.zip",
    "https://me:s3cret%40@127.0.0.1/x.zip",
    "https://me%3As3cret%40127.0.0.1/x.zip",
    "http://me:12/s3cret@127.0.0.1/x.zip",
    "http://me:12?s3cret@127.0.0.1/x.zip",
    "http://me:12#s3cret@127.0.0.1/x.zip",
    "http://me:s3/cret@127.0.0.1/x.zip?s3cret",
    "HTTP://me:s3cret@127.0.0.1/x.zip?#3f2a9c1b",
    " http://me:s3cret@127.0.0.1/x.zip",
    "ht\ntp://me:s3cret@127.0.0.1/x.zip",
    "ftp://me:s3cret@127.0.0.1/x.zip",
    "//me:s3cret@127.0.0.1/x.zip",
    "http:/me:s3cret@127.0.0.1/x.zip",
    "http:me:s3cret@127.0.0.1/x.zip",
    "me:s3cret@127.0.0.1/x.zip",
    "http:\\\\me:s3cret@127.0.0.1/x.zip",
)
DOORS: dict[str, list[str]] = {
    "bulk": ["--source", "bulk", "--file"],
    "archive": ["--source", "archive", "--file"],
    "api": ["--api-url"],
    "status": ["status", "--database", "c.db", "--api-url"],
}
SOURCES: list[Callable[[str], object]] = [
    BulkFile,
    lambda address: Archive(files=(address,)),
    lambda address: Archive(page=address),
    lambda address: SearchApi(url=address),
]
QUERY = "token=s3cret%2Fvalue"
ADDRESS = f"https://host.example/x.zip?{QUERY}"


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_the_command_line_refuses_a_login(
    door: list[str],
    login: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It does not repeat any piece of the login."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.db").touch()

    with pytest.raises(SystemExit, match="2"):
        main([*door, login])

    assert re.search("s3|cret|me:", capsys.readouterr().err) is None


@pytest.mark.parametrize("login", [each for each in LOGINS if "://" in each])
def test_the_variable_refuses_a_login(
    login: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a door like the others."""
    monkeypatch.setenv("CFPB_ETL_API_URL", login)

    with pytest.raises(SystemExit, match="2"):
        main([])

    assert re.search("s3|cret|me:", capsys.readouterr().err) is None


@pytest.mark.parametrize("login", [each for each in LOGINS if "://" in each])
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_refuses_a_login(source: Callable[[str], object], login: str) -> None:
    """The flow takes a source from any caller."""
    with pytest.raises(AddressRefusedError) as raised:
        source(login)

    assert re.search("s3|cret|me:", str(raised.value)) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://host.example/@scope/x.zip",
        "https://host.example/x.zip?GoogleAccessId=a@b.example&Signature=1",
        "http://127.0.0.1:9000/x.zip",
        "http://[::1]:9000/x.zip",
        "https://host.example/a:b.zip",
    ],
)
def test_an_at_sign_can_be_no_login(address: str) -> None:
    """In a path or a query it is text, unless a host with a colon comes before it."""
    assert fault_of(address) is None


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("address", [ADDRESS, "https://host.example/x#s3cret"])
def test_a_source_refuses_a_query(source: Callable[[str], object], address: str) -> None:
    """Prefect stores the parameters of a run; the error names what to give."""
    with pytest.raises(SecretAddressError, match=r"env:NAME.*secret:NAME") as raised:
        source(address)

    assert "s3cret" not in str(raised.value)
    assert b"s3cret" not in pickle.dumps(raised.value)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("address", [keep(ADDRESS), "env:FILE", "secret:file"])
def test_a_source_takes_what_is_not_secret(source: Callable[[str], object], address: str) -> None:
    """A reference, a variable and a block can be stored."""
    assert "s3cret" not in str(asdict(source(address)))  # type: ignore[call-overload]


def test_a_reference_stands_for_the_whole_address() -> None:
    """It has no query, and tells queries and places apart. The same query has the same one."""
    reference = keep(ADDRESS)

    assert re.fullmatch(r"https://host\.example/x\.zip\?#[0-9a-f]{8}", reference)
    assert whole(reference) == ADDRESS
    assert keep(ADDRESS) == keep(reference) == reference
    others = [f"{ADDRESS}2", ADDRESS.replace("x.zip", "y.zip")]
    assert len({each[-8:] for each in (reference, *map(keep, others))}) == 3
    for same in ("https://host.example/x.zip", "/a/path?x", "env:X", "secret:x"):
        assert keep(same) == same or "?x" in same
    assert keep("https://host.example/x.zip?#") == "https://host.example/x.zip"
    assert keep("https://host.example/x.zip#s3cret") == "https://host.example/x.zip"


def test_the_log_of_urllib3_has_no_query(caplog: pytest.LogCaptureFixture) -> None:
    """Prefect can store this log, and it has the address of each request."""
    caplog.set_level(logging.DEBUG, "urllib3")
    with serve(HTMLResponse("a page")) as url:
        get_page(keep(f"{url}?{QUERY}"), ARCHIVE_PAGE)
    logging.getLogger("urllib3.connectionpool").warning("see %s", ADDRESS)

    assert "see https://host.example/x.zip?…" in caplog.messages
    assert "s3cret" not in caplog.text


def test_a_query_of_another_process_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to give, and a typed reference is refused."""
    reference = keep(ADDRESS)
    monkeypatch.setattr(addresses, "_kept", {})

    assert is_unknown(reference)
    assert "without its query" in str(fault_of(reference))
    with pytest.raises(UnknownQueryError, match="Give the whole address again"):
        whole(reference)


def test_a_variable_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its value can change; neither the source nor the reference has its query."""
    with pytest.raises(NoAddressError, match=r"env:THE_FILE .* it is not set"):
        whole("env:THE_FILE")
    monkeypatch.setenv("THE_FILE", f" {ADDRESS}\n")

    assert whole("env:THE_FILE") == ADDRESS
    assert reference_to("env:THE_FILE") == keep(ADDRESS)


@pytest.mark.parametrize(
    "value", [*LOGINS, "s3cret", "ftp://s3cret/", "env:s3cret", "https://s3cret/?#3f2a9c1b"]
)
def test_a_variable_must_have_an_address(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error does not show its value."""
    monkeypatch.setenv("THE_FILE", value)

    with pytest.raises(NoAddressError, match="env:THE_FILE") as raised:
        whole("env:THE_FILE")

    assert "s3cret" not in str(raised.value)


def test_a_block_needs_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` does not use Prefect."""
    monkeypatch.setattr(addresses, "_readers", {"env": addresses._readers["env"]})

    with pytest.raises(NoAddressError, match="only in a run of Prefect"):
        whole("secret:file")
