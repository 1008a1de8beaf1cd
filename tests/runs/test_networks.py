"""The program in the networks of users: proxies, stored logins and certificates."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support.program import run_program
from support.proxy import Proxy
from support.tls import Authority, TlsServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

pytestmark = pytest.mark.slow

HOST = "cfpb.test"  # only the proxies know it


class Site:
    """An emulator over HTTPS.

    Attributes:
        path: The path of the search API.
        tls: The server.
        authority: What signed its certificate.
        logins: The logins that it has received.
    """

    path: str
    tls: TlsServer

    def __init__(self, authority: Authority) -> None:
        self._emulator = Emulator(generate_complaints(30))
        self.authority = authority
        self.logins: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self.logins += [value for name, value in scope["headers"] if b"authorization" in name]
        await self._emulator(scope, receive, send)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve an emulator over HTTPS."""
    site = Site(Authority(tmp_path_factory.mktemp("authority")))
    with serve(site) as url:
        parts = urlsplit(url)
        site.path = parts.path
        context = site.authority.context(HOST, "localhost")
        with TlsServer(context, parts.port or 0) as site.tls:
            yield site


@pytest.fixture(autouse=True)
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without variables for proxies and certificates, and with a login for every host."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("SSL_CERT", "CURL_", "REQUESTS_")):
            monkeypatch.delenv(name)
    file = tmp_path / "stored logins"
    file.write_text("default login joe password netrc-s3cret\n", "utf-8")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


LOAD = ("--no-graph", "--limit", "20", "--database", "d.db")


def prefect_port() -> int:
    """Return the port of the tests' Prefect server."""
    return urlsplit(os.environ["PREFECT_API_URL"]).port or 0


def test_a_load_through_a_proxy(
    site: Site, shared_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only CFPB is reached through the proxy. `status` names certificates that do not exist."""
    url = f"https://{HOST}{site.path}"
    with Proxy({HOST: site.tls.port}, login="joe:s3cret") as proxy:
        variables = {
            "HTTP_PROXY": proxy.url,
            "https_proxy": proxy.url,
            "ALL_PROXY": "socks://127.0.0.1:9/",
            "NO_PROXY": "10.0.0.0/8,[::1],192.168.1.0/24",
            "SSL_CERT_FILE": str(site.authority.bundle),
            "PREFECT_API_URL": f"http://localhost:{prefect_port()}/api",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

        loaded = run_program("--api-url", url, *LOAD)

    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.startswith("20 complaints in 1 page: 20 new")
    assert set(proxy.asked) == {f"CONNECT {HOST}:443"}
    assert site.logins == []
    assert "s3cret" not in loaded.stdout + loaded.stderr
    with closing(sqlite3.connect("d.db")) as connection:
        assert connection.execute("SELECT outcome FROM load").fetchall() == [("complete",)]

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    status = run_program("status", "--database", "d.db", "--api-url", url)

    assert status.returncode == 0
    missing = "REQUESTS_CA_BUNDLE names /nowhere/ca.pem, which does not exist"
    assert f"at CFPB     unknown: {missing}\n" in status.stdout


def test_a_prefect_server_behind_the_proxy(
    shared_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Prefect server on another computer keeps the proxy. If it fails, the error names it."""
    with Proxy({"prefect.test": prefect_port()}, login="joe:s3cret") as proxy:
        monkeypatch.setenv("PREFECT_API_URL", "http://prefect.test:4200/api")
        monkeypatch.setenv("NO_PROXY", "10.0.0.0/8,[::1]")
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        loaded = run_program("--source", "sample", *LOAD)
        monkeypatch.setenv("ALL_PROXY", f"http://joe:wrong-s3cret@127.0.0.1:{proxy.port}")
        refused = run_program("--source", "sample", *LOAD)

    assert loaded.returncode == 0, loaded.stderr
    asked = {each.partition(" ")[2] for each in proxy.asked}
    assert asked == {"prefect.test:4200"}
    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert f", through the proxy http://127.0.0.1:{proxy.port} (ALL_PROXY))" in last
    assert "s3cret" not in loaded.stderr + refused.stderr


@pytest.mark.parametrize("kind", ["login", "tunnel", "authority", "bundle"])
def test_what_cannot_pass_fails_at_once(
    kind: str, site: Site, shared_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing line names the proxy or the certificates, and a variable. Nothing is retried."""
    url = f"https://{HOST}{site.path}"
    refusal = "403 Forbidden" if kind == "tunnel" else None
    login = "joe:s3cret" if kind == "login" else None
    with Proxy({HOST: site.tls.port}, login=login, refusal=refusal) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://joe:wrong-s3cret@127.0.0.1:{proxy.port}")
        if kind == "bundle":
            monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere")

        failed = run_program("--api-url", url, *LOAD)

    named = f"The proxy http://127.0.0.1:{proxy.port} (HTTPS_PROXY)"
    begins, variable = {
        "login": (f"{named} gave no connection: it refused the login (407).", "HTTPS_PROXY"),
        "tunnel": (f"{named} refused the connection to {HOST}: 403 Forbidden.", "NO_PROXY"),
        "authority": (
            "The search API has a certificate that cannot be verified: ",
            "REQUESTS_CA_BUNDLE",
        ),
        "bundle": ("CURL_CA_BUNDLE names /nowhere, which does not exist.", "CURL_CA_BUNDLE"),
    }[kind]
    last = failed.stderr.splitlines()[-1]
    assert failed.returncode == 1
    assert last.startswith(f"failed: {begins}")
    assert variable in last.removeprefix(f"failed: {begins}")
    assert len(proxy.asked) == (kind != "bundle")
    assert "attempt" not in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "s3cret" not in failed.stderr
