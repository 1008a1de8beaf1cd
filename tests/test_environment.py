"""The user's variables for proxies and certificates."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import environment
from cfpb_etl.cli.main import main
from cfpb_etl.environment import (
    Proxy,
    is_this_computer,
    load_certificates,
    proxy_for,
)
from cfpb_etl.errors import CertificatesError, InvalidProxyError, MissingSocksError
from support.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROXY = "http://joe:s3cret@proxy.example:3128"
CFPB = "https://www.consumerfinance.gov/"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin without the variables, and restore the environment that the code changes."""
    before = dict(os.environ)
    for name in before:
        if name.lower().endswith("_proxy") or name.startswith("SSL_CERT"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(environment, "_users", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "api.localhost"),
        *("127.0.0.1", "127.8.9.10", "127.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"),  # noqa: S104 - only compared
        socket.gethostname(),
    ],
)
def test_this_computer_has_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """This computer is reached directly, by whatever name, and whatever variables are set."""
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "socks://not even valid")
    address = f"[{host}]" if ":" in host else host

    assert is_this_computer(host)
    for scheme in ("http", "https"):
        assert proxy_for(f"{scheme}://{address}:4200/api") is None


@pytest.mark.parametrize(
    "host", ["www.consumerfinance.gov", "192.0.2.7", "2001:db8::7", "localhost.example", "..", ""]
)
def test_other_computers_are_not_this_one(host: str) -> None:
    """A name that only begins like one of this computer is another computer's."""
    assert not is_this_computer(host)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"HTTPS_PROXY": PROXY}, "http://proxy.example:3128 (HTTPS_PROXY)"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://b"}, "http://proxy.example:3128 (https_"),
        ({"ALL_PROXY": "proxy.example:3128"}, "http://proxy.example:3128 (ALL_PROXY)"),
        (
            {"ALL_PROXY": "http://b", "HTTPS_PROXY": PROXY},
            "http://proxy.example:3128 (HTTPS_PROXY)",
        ),
        ({"all_proxy": "SOCKS5H://proxy.example"}, "socks5h://proxy.example (all_proxy)"),
        ({"HTTPS_PROXY": "http://joe:p@ss@proxy.example"}, "http://proxy.example (HTTPS_PROXY)"),
    ],
)
def test_a_proxy_is_named_without_its_login(
    variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text has the address and the variable, and the URL also has the login."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    proxy = proxy_for(CFPB)

    assert str(proxy).startswith(named)
    assert proxy is not None
    assert proxy.has_login == ("joe" in proxy.url)


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("www.consumerfinance.gov", CFPB, True),
        (".consumerfinance.gov", CFPB, True),
        ("*.consumerfinance.gov", CFPB, True),
        ("example.com, ConsumerFinance.gov", CFPB, True),
        ("a.example b.example,*", CFPB, True),
        ("finance.gov", CFPB, False),
        ("www.consumerfinance.gov:8443", CFPB, False),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/", True),
        ("10.1.2.3:8443", "https://10.1.2.3/", False),
        ("192.168.0.0/16,[::1]", "https://10.1.2.3/", False),
        ("[2001:db8::7]", "https://[2001:db8::7]/", True),
        ("2001:db8::/32", "https://[2001:db8::7]:8443/", True),
    ],
)
def test_no_proxy_excludes(
    no_proxy: str, url: str, *, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY has names, domains, addresses and networks, with or without a port."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert (proxy_for(url) is None) == is_direct


@pytest.mark.parametrize(
    "value",
    [
        *(
            "http://",
            "://",
            "'http://joe:s3cret@proxy:80'",
            "http://joe:s3cret@",
            "joe:s3cret",
            "two words",
            "proxy:port",
        ),
        *("http://joe:s3cret#1@proxy:80", "http://joe:1#s3cret@proxy:80", "proxy:99999"),
        *("http://joe:s3/cret@proxy:80", "socks://joe:s3cret@proxy", "ftp://proxy"),
    ],
)
def test_an_invalid_value_is_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable, and not its value, in which a password can be."""
    monkeypatch.setenv("HTTPS_PROXY", value)

    with pytest.raises(InvalidProxyError, match="HTTPS_PROXY does not contain") as failed:
        proxy_for(CFPB)

    assert "joe" not in str(failed.value)
    assert "cret" not in str(failed.value)


def test_a_socks_proxy_needs_packages() -> None:
    """If a package is missing, the error names the proxy, the variable and the extra."""
    proxy = Proxy("socks5h://joe:s3cret@proxy.example:1080", "ALL_PROXY")

    proxy.require("ssl")
    Proxy("http://proxy.example", "ALL_PROXY").require("a_package_that_is_missing")
    with pytest.raises(MissingSocksError) as failed:
        proxy.require("ssl", "a_package_that_is_missing")

    text = str(failed.value)
    assert text.startswith("socks5h://proxy.example:1080 (ALL_PROXY) is a SOCKS proxy, and")
    assert text.endswith('-m pip install "cfpb-etl[socks]"')
    assert "s3cret" not in text


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("/nowhere/ca.pem", "which does not exist"),
        ("/etc", "which cannot be read (Is a directory)"),
        ("/dev/null", "which is not a file of certificates in PEM"),
    ],
)
def test_the_certificates_of_prefects_client_are_checked(
    file: str, problem: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Prefect's client reads SSL_CERT_FILE even if it encrypts nothing."""
    monkeypatch.setenv("SSL_CERT_FILE", file)

    for command in (["--source", "sample"], ["graph"]):
        with pytest.raises(SystemExit, match="1"):
            main(command)

        expected = f"failed: SSL_CERT_FILE names {file}, {problem}. Correct SSL_CERT_FILE"
        assert capfd.readouterr().err.startswith(expected)


def trusted_by(path: object) -> int:
    """Return how many certificates a context trusts after loading."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_certificates(context, "SSL_CERT_DIR", str(path))
    return len(context.get_ca_certs())


def test_certificates_come_from_files_and_indexed_folders(tmp_path: Path) -> None:
    """A folder has files with the names that OpenSSL looks for, and a list can have folders."""
    authority = Authority(tmp_path)
    folder = tmp_path / "indexed"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(authority.bundle.read_bytes())

    assert trusted_by(authority.bundle) == 1
    assert trusted_by(folder) == 0  # OpenSSL reads a folder when it needs a certificate
    assert trusted_by(f"/nowhere{os.pathsep}{folder}") == 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "which is not a file of certificates in PEM"),
        (b"hello\n", "which is not a file of certificates in PEM"),
        (
            b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "which is not a file of certificates in PEM",
        ),
        (None, "a folder without certificates that `openssl rehash` has indexed"),
    ],
)
def test_a_path_without_certificates_is_named(
    content: bytes | None, problem: str, tmp_path: Path
) -> None:
    """The error names the variable, the path and the problem."""
    path = tmp_path / "ca"
    if content is None:
        path.mkdir()
        (path / "ca.pem").write_bytes(b"")
    else:
        path.write_bytes(content)

    with pytest.raises(CertificatesError) as failed:
        trusted_by(path)

    assert failed.value.brief == f"SSL_CERT_DIR names {path}, {problem}"


@pytest.mark.parametrize("path", ["/nowhere", "/nowhere:/nothing", "two words", "x" * 5_000])
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    """Each such path has an error of this package."""
    with pytest.raises(CertificatesError, match="SSL_CERT_DIR names"):
        trusted_by(path)
