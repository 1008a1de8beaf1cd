"""Requests through a real proxy and to a real TLS server with its own authority."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from cfpb_etl import environment
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.errors import CertificatesError, InvalidProxyError
from cfpb_etl.fetch.http import client
from cfpb_etl.fetch.http.client import get_json
from cfpb_etl.fetch.http.errors import (
    FILE_SERVER,
    CertificateError,
    CutBodyError,
    InvalidHttpError,
    ProxyLoginError,
    ProxyRefusalError,
    ProxyUnreachableError,
    RetriableError,
    ServerError,
    UnreachableError,
)
from support.proxy import Proxy
from support.raw_server import serve_bytes
from support.tls import Authority, TlsServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

HOST = "cfpb.test"  # only the proxies know it


class Site:
    """An emulator that keeps the headers of its last request.

    Attributes:
        port: The port of HTTP.
        tls_port: The port of HTTPS.
        authority: What signed the certificate for HTTPS.
        headers: The last request's headers.
    """

    port: int
    tls_port: int
    authority: Authority

    def __init__(self) -> None:
        self._emulator = Emulator(generate_complaints(10))
        self.headers: dict[bytes, bytes] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        self.headers = dict(scope["headers"])
        await self._emulator(scope, receive, send)

    def url(self, origin: str) -> str:
        """Return the address of a search."""
        return f"{origin}/data-research/consumer-complaints/search/api/v1/?size=1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve an emulator over HTTP and HTTPS."""
    site = Site()
    site.authority = Authority(tmp_path_factory.mktemp("authority"))
    context = site.authority.context(HOST, "localhost", "127.0.0.1")
    with serve(site) as url:
        site.port = urlsplit(url).port or 0
        with TlsServer(context, site.port) as tls:
            site.tls_port = tls.port
            yield site


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without the user's variables."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("SSL_CERT", "CURL_", "REQUESTS_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(environment, "_users", None)


def fails(url: str, error: type[ServerError]) -> str:
    """Return the text of the error of a search, and check that it contains no password."""
    with pytest.raises(error) as failed:
        get_json(url)
    assert type(failed.value) is error
    text = str(failed.value)
    assert "s3cret" not in text + repr(vars(failed.value))
    assert text.endswith(f"Address: {url.partition('?')[0]}.")
    return text.partition(" Address: ")[0]


# --- proxies --------------------------------------------------------------------------------


def test_requests_go_through_the_users_proxy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain request is forwarded, and an encrypted one gets a tunnel, both with the login."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.bundle))
    with (
        Proxy({HOST: site.port}, login="joe:s3cret") as plain,
        Proxy({HOST: site.tls_port}, login="joe:s3cret") as tunnel,
    ):
        monkeypatch.setenv("HTTP_PROXY", plain.url)
        monkeypatch.setenv("ALL_PROXY", tunnel.url)

        get_json(site.url(f"http://{HOST}"))
        get_json(site.url(f"https://{HOST}"))

    assert plain.asked == [f"GET {HOST}:80"]
    assert tunnel.asked == [f"CONNECT {HOST}:443"]
    assert b"proxy-authorization" not in site.headers


@pytest.mark.parametrize("origin", ["http://127.0.0.1:{}", "http://localhost:{}"])
def test_this_computer_is_reached_directly(
    site: Site, origin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is not asked for a server of this computer."""
    with Proxy({"127.0.0.1": site.port, "localhost": site.port}) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        get_json(site.url(origin.format(site.port)))

    assert proxy.asked == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [(b"SSH-2.0-x\r\n", InvalidHttpError), (b"HTTP/1.1 2", CutBodyError), (b"", UnreachableError)],
)
def test_a_fault_of_the_server_is_not_the_proxys(
    site: Site, reply: bytes, error: type[ServerError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that works, the same errors arise as without one."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.bundle))
    with (
        serve_bytes(reply) as server,
        TlsServer(site.authority.context(HOST), urlsplit(server.url).port or 0) as tls,
        Proxy({HOST: tls.port}) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        text = fails(site.url(f"https://{HOST}"), error)

    assert "proxy http" not in text


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", ["", "joe:not-s3cret@", "joe@"])
def test_a_407_names_the_proxy(
    site: Site, scheme: str, login: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing or wrong login is a final error, for a plain request and for a tunnel."""
    with Proxy({HOST: site.port}, login="joe:s3cret") as proxy:
        variable = f"{scheme.upper()}_PROXY"
        monkeypatch.setenv(variable, f"http://{login}127.0.0.1:{proxy.port}")

        text = fails(site.url(f"{scheme}://{HOST}"), ProxyLoginError)

    reason = "it refused the login" if login else "it requires a login"
    assert text == (
        f"The proxy http://127.0.0.1:{proxy.port} ({variable}) gave no connection: {reason} (407)."
        f" Write the login into {variable}, as http://USER:PASSWORD@HOST:PORT, and percent-encode"
        " special characters in it."
    )
    assert not issubclass(ProxyLoginError, RetriableError)


@pytest.mark.parametrize("status", ["403 Forbidden", "405 Method Not Allowed", "451 No"])
def test_a_refused_tunnel_names_the_proxy(
    site: Site, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that does not allow the server is a final error."""
    with Proxy(refusal=status) as proxy:
        monkeypatch.setenv("all_proxy", f"http://joe:s3cret@127.0.0.1:{proxy.port}")

        text = fails(site.url(f"https://{HOST}"), ProxyRefusalError)

    named = f"The proxy http://127.0.0.1:{proxy.port} (all_proxy) refused the connection to {HOST}"
    assert text.startswith(f"{named}: {status}. Ask the administrator")
    assert not issubclass(ProxyRefusalError, RetriableError)


def test_a_proxy_that_cannot_reach_cfpb_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 502 of the proxy may pass."""
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)

        text = fails(site.url(f"https://{HOST}"), ProxyUnreachableError)

    assert text.startswith(
        f"The search API could not be reached through the proxy {proxy.url} (HTTPS_PROXY): 502 Bad"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:9", "Connection refused"), ("proxy.invalid:3128", "")],
)
def test_a_proxy_that_is_not_there_is_named(
    site: Site, scheme: str, address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server at the address, and a name that does not exist, may pass."""
    monkeypatch.setenv("ALL_PROXY", f"http://joe:s3cret@{address}")

    text = fails(site.url(f"{scheme}://{HOST}"), ProxyUnreachableError)

    assert text.startswith(
        f"The search API could not be reached through the proxy http://{address} (ALL_PROXY):"
        f" {reason}"
    )
    assert text.endswith(f"Check ALL_PROXY; if this network needs no proxy, set NO_PROXY={HOST}.")
    assert issubclass(ProxyUnreachableError, RetriableError)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_is_named(
    site: Site, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that accepts connections and stays silent has its own words."""
    monkeypatch.setattr(client, "CONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(client, "READ_TIMEOUT", 0.2)
    with Proxy(silent=True) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)

        text = fails(site.url(f"{scheme}://{HOST}"), ProxyUnreachableError)

    assert f"{proxy.url} (ALL_PROXY): no answer in time." in text


def test_an_invalid_proxy_fails_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is not sent to any library, whose error could repeat it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://joe:s3cret#@proxy:3128")

    with pytest.raises(InvalidProxyError, match="HTTPS_PROXY does not contain"):
        get_json(site.url(f"https://{HOST}"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_requests_go_through_a_socks_proxy(
    site: Site, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With socks5h, the proxy resolves the name. A wrong login is a final error."""
    pytest.importorskip("socks")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.authority.bundle))
    port = site.port if scheme == "http" else site.tls_port
    with Proxy({HOST: port}, login="joe:s3cret") as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url_with("socks5h"))
        get_json(site.url(f"{scheme}://{HOST}"))
        assert proxy.asked == [f"SOCKS {HOST}:{443 if scheme == 'https' else 80}"]

        text = fails(site.url(f"{scheme}://unknown.test"), ProxyUnreachableError)
        assert f"the proxy socks5h://127.0.0.1:{proxy.port} (ALL_PROXY): " in text

        monkeypatch.setenv("ALL_PROXY", f"socks5h://joe:wrong-s3cret@127.0.0.1:{proxy.port}")
        text = fails(site.url(f"{scheme}://{HOST}"), ProxyLoginError)
        assert "it refused the login" in text
    text = fails(site.url(f"{scheme}://{HOST}"), ProxyUnreachableError)
    assert "(ALL_PROXY): Connection refused." in text


# --- logins ---------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["default", "machine 127.0.0.1", "machine localhost"])
@pytest.mark.parametrize("variable", ["NETRC", "HOME"])
def test_stored_logins_are_not_sent(
    site: Site, entry: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No login comes from ~/.netrc, ~/_netrc or the file that NETRC names."""
    monkeypatch.delenv("NETRC", raising=False)
    for name in (".netrc", "_netrc"):
        file = tmp_path / name
        file.write_text(f"{entry} login joe password s3cret\n", "utf-8")
        file.chmod(0o600)
        monkeypatch.setenv(variable, str(file if variable == "NETRC" else tmp_path))

    for host in ("127.0.0.1", "localhost"):
        get_json(site.url(f"http://{host}:{site.port}"))
        assert b"authorization" not in site.headers


# --- certificates ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"]
)
def test_each_variable_names_the_trusted_certificates(
    site: Site, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another authority is trusted with a file, or with a folder that is indexed."""
    path = site.authority.bundle
    if variable == "SSL_CERT_DIR":
        path = site.authority.indexed(tmp_path)
    monkeypatch.setenv(variable, str(path))

    get_json(site.url(f"https://localhost:{site.tls_port}"))


def test_the_variables_of_openssl_are_used_together(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file and folders may each have some authorities. Requests' variable replaces both."""
    other = Authority(tmp_path, "another authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.bundle))
    monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere:{site.authority.indexed(tmp_path)}")
    url = site.url(f"https://localhost:{site.tls_port}")
    get_json(url)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.bundle))
    text = fails(url, CertificateError)

    assert f"certificate; trusted: {other.bundle} (REQUESTS_CA_BUNDLE). If" in text


@pytest.mark.parametrize("folder", ["/nowhere", ""])
def test_a_folder_beside_a_file_may_be_unusable(
    site: Site, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers often name a folder that they do not have. OpenSSL ignores it too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.bundle))
    monkeypatch.setenv("SSL_CERT_DIR", folder or str(tmp_path))

    get_json(site.url(f"HTTPS://localhost:{site.tls_port}"))


def test_an_unknown_authority_is_a_final_error(site: Site) -> None:
    """The error names the variable to set."""
    text = fails(site.url(f"https://127.0.0.1:{site.tls_port}"), CertificateError)

    assert text == (
        "The search API has a certificate that cannot be verified: unable to get local issuer"
        " certificate; REQUESTS_CA_BUNDLE is not set. If a proxy or a virus scanner inspects"
        " encrypted connections, set REQUESTS_CA_BUNDLE to a file with all trusted certificates,"
        " its own included. Also check the clock and the address."
    )
    assert not issubclass(CertificateError, RetriableError)


@pytest.mark.parametrize(
    ("hosts", "days", "reason"),
    [
        (["localhost"], -1, "certificate has expired"),
        (["other.test"], 2, "Hostname mismatch, certificate is not valid for 'localhost'."),
    ],
)
def test_an_unsuitable_certificate_is_a_final_error(
    site: Site, hosts: list[str], days: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate can also be too old, or for another name."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.authority.bundle))
    with TlsServer(site.authority.context(*hosts, days=days), site.port) as server:
        text = fails(site.url(f"https://localhost:{server.port}"), CertificateError)

    assert f"cannot be verified: {reason}; trusted: {site.authority.bundle} (SSL_" in text


def test_the_certificate_of_a_proxy_is_verified(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy can be encrypted itself. Its certificate counts as the server's does."""
    context = site.authority.context("localhost")
    with Proxy({HOST: site.tls_port}) as plain, TlsServer(context, plain.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://joe:s3cret@localhost:{proxy.port}")
        monkeypatch.setenv("HTTP_PROXY", f"https://joe:s3cret@localhost:{proxy.port}")
        for scheme in ("http", "https"):
            text = fails(site.url(f"{scheme}://{HOST}"), CertificateError)
            named = f"The proxy https://localhost:{proxy.port} ({scheme.upper()}_PROXY) has a"
            assert text.startswith(f"{named} certificate that cannot be verified: ")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(site.authority.bundle))

        get_json(site.url(f"https://{HOST}"))

    assert plain.asked == [f"CONNECT {HOST}:443"]


@pytest.mark.parametrize(
    "variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"]
)
def test_missing_certificates_are_named(
    site: Site, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They matter only for encrypted connections."""
    monkeypatch.setenv(variable, "/nowhere")

    get_json(site.url(f"http://localhost:{site.port}"))
    with pytest.raises(CertificatesError) as failed:
        get_json(site.url(f"https://localhost:{site.tls_port}"))

    assert failed.value.brief == f"{variable} names /nowhere, which does not exist"


def test_an_error_names_the_file_server(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads have the same errors, in the words of their server."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    with (
        pytest.raises(ProxyUnreachableError, match="CFPB's file server could not be reached"),
        client.open_response(site.url(f"https://{HOST}"), FILE_SERVER),
    ):
        pass
