"""The user's variables for proxies and certificates.

A connection to this computer uses no proxy. Prefect's clients do not know this rule: they read the
variables when they connect. `orchestration/prefect_server/loopback.py` therefore changes them
during a run. If it removes variables, this module keeps their values for all other connections.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
import sys
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from cfpb_etl.errors import CertificatesError, InvalidProxyError, MissingSocksError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
# Windows and macOS have proxy settings, with exceptions, for users who have set no variables.
_system_bypass = getattr(urllib.request, "proxy_bypass_registry", None) or getattr(
    urllib.request, "proxy_bypass_macosx_sysconf", None
)


class Proxy(NamedTuple):
    """A proxy.

    Attributes:
        url: The URL, with the login.
        variable: The variable that names the proxy.
    """

    url: str
    variable: str

    def __str__(self) -> str:
        parts = parse_url(self.url)
        return f"{parts.scheme}://{parts.netloc} ({self.variable})"

    @property
    def has_login(self) -> bool:
        """Say whether the URL has a user name."""
        return parse_url(self.url).auth is not None

    def require(self, *packages: str) -> None:
        """Raise MissingSocksError if the proxy needs a package that is not installed."""
        missing = [name for name in packages if find_spec(name) is None]
        if missing and self.url.startswith("socks"):
            raise MissingSocksError(
                variable=self.variable,
                detail=str(self),
                package=missing[0],
                python=sys.executable,
            )


class NetworkSettings(NamedTuple):
    """The user's settings for connections.

    Attributes:
        environ: All variables of the environment.
        proxies: A URL for each scheme. The key "all" is for any scheme, and "no" has exceptions.
    """

    environ: Mapping[str, str]
    proxies: Mapping[str, str]


_users: NetworkSettings | None = None  # as they were before a run removed variables


# --- proxies --------------------------------------------------------------------------------


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None if the connection is direct.

    Raises:
        InvalidProxyError: If the variable does not contain the address of a proxy.
    """
    environ, proxies = users_settings()
    parts = urlsplit(url)
    host = parts.hostname or ""
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    address = proxies.get(scheme)
    if not address or not host or is_this_computer(host):
        return None
    names = [name for name in environ if name.lower() == f"{scheme}_proxy" and environ[name]]
    variable = next((name for name in names if environ[name] == address), None)
    is_excluded = _is_excluded(host, parts.port, proxies.get("no", ""))
    if is_excluded or (variable is None and _system_bypass and _system_bypass(host)):
        return None
    return _checked(address.strip(), variable or "the system's proxy settings")


def through_proxy(url: str) -> str:
    """Return words about the proxy for a URL, for the end of a message; "" for no proxy."""
    proxy = proxy_for(url)
    return f", through the proxy {proxy}" if proxy else ""


def is_this_computer(host: str) -> bool:
    """Say whether a host is this computer, by one of its addresses or names."""
    labels = host.lower().rstrip(".").split(".")
    own = {"localhost", socket.gethostname().lower().partition(".")[0]}
    if labels[-1] == "localhost":  # RFC 6761, 6.3
        return True
    # A name of the internet is not resolved here: in some networks, only the proxy can do that.
    may_be_own = len(labels) == 1 or labels[0] in own
    flags = 0 if may_be_own else socket.AI_NUMERICHOST
    try:
        found = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM, flags=flags)
    except (OSError, UnicodeError):
        return False
    return any(_is_own_address(family, address) for family, _, _, _, address in found)


def _is_own_address(family: int, address: tuple[Any, ...]) -> bool:
    ip = ipaddress.ip_address(address[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_loopback or ip.is_unspecified:
        return True
    # A packet to an own address has this address as its source too. No packet is sent here.
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as own:
        own.connect(address)
        return bool(own.getsockname()[0] == address[0])
    return False


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    """Say whether NO_PROXY excludes a host: by its name, domain, address or network."""
    entries = [entry.lstrip("*") or "*" for entry in re.split(r"[\s,]+", no_proxy) if entry]
    for entry in entries:
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
    names = {"no": ",".join(entries)}
    bypass = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    return "*" in entries or bool(bypass(f"{host}:{port}" if port else host, names))


def _checked(address: str, variable: str) -> Proxy:
    url = address if "://" in address else f"http://{address}"
    try:
        parts = parse_url(url)
    except LocationParseError:
        parts = None
    # A login may have characters that end the host, such as #. The rest then follows the host.
    if parts is None or not parts.host or ("@" in url and parts.auth is None):
        raise InvalidProxyError(variable=variable, detail="")
    if parts.scheme not in _SCHEMES:
        raise InvalidProxyError(
            variable=variable, detail=f": it begins with {parts.scheme}://" if parts.scheme else ""
        )
    return Proxy(f"{parts.scheme}://{url.partition('://')[2]}", variable)


# --- certificates ---------------------------------------------------------------------------


def certificate_variables() -> dict[str, str]:
    """Return the variables that name the trusted certificates, with their values.

    The variables of requests and curl come first, and each replaces all others. OpenSSL uses its
    two variables together.
    """
    environ = users_settings().environ
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environ.get(name):
            return {name: environ[name]}
    return {name: environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name)}


def load_certificates(context: ssl.SSLContext, variable: str, path: str) -> None:
    """Let a context trust the certificates in a file, or in folders that OpenSSL has indexed.

    Raises:
        CertificatesError: If there are no certificates at the path.
    """
    try:
        folders = [each for each in map(Path, path.split(os.pathsep)) if each.is_dir()]
        if not folders or variable == "SSL_CERT_FILE":  # OpenSSL and httpx take no folder here
            context.load_verify_locations(cafile=path)
            return
        # OpenSSL finds a certificate by the hash in the name of its file.
        files = (file.name for each in folders for file in each.iterdir())
        if any(re.match(r"[0-9a-f]{8}\.\d", name) for name in files):
            context.load_verify_locations(capath=path)
            return
        problem = "a folder without certificates that `openssl rehash` has indexed"
    except FileNotFoundError:
        problem = "which does not exist"
    except ssl.SSLError:
        problem = "which is not a file of certificates in PEM"
    except (OSError, ValueError) as error:
        problem = f"which cannot be read ({getattr(error, 'strerror', None) or error})"
    raise CertificatesError(variable=variable, path=path, detail=problem)


# --- Prefect --------------------------------------------------------------------------------


def check_certificate_file() -> None:
    """Check the file in SSL_CERT_FILE. Call this before Prefect is imported, which loads the file.

    Raises:
        CertificatesError: If there are no certificates in the file.
    """
    if file := os.environ.get("SSL_CERT_FILE"):
        load_certificates(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "SSL_CERT_FILE", file)


def proxy_variables() -> dict[str, str]:
    """Return the variables for proxies that are set, with their values."""
    return {name: os.environ[name] for name in os.environ if name.lower() in _PROXY_VARIABLES}


def set_proxy_variables(variables: Mapping[str, str]) -> None:
    """Set these variables for proxies, and remove all others."""
    for name in proxy_variables():
        del os.environ[name]
    os.environ.update(variables)


def users_settings() -> NetworkSettings:
    """Return the user's variables, and the proxies that they or the system name."""
    return _users or NetworkSettings(dict(os.environ), urllib.request.getproxies())


def keep_settings(users: NetworkSettings | None) -> None:
    """Use these settings instead of the environment; None uses the environment again."""
    global _users  # noqa: PLW0603 - the environment is global too
    _users = users
