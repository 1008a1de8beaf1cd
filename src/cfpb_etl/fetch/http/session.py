"""The connection of one request: the user's proxy and certificates, and no stored logins."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import ProxyError
from urllib3.util import create_urllib3_context

from cfpb_etl.environment import certificate_variables, load_certificates, proxy_for
from cfpb_etl.errors import CertificatesError
from cfpb_etl.fetch.http.errors import (
    CertificateError,
    ProxyLoginError,
    ProxyRefusalError,
    ProxyUnreachableError,
)
from cfpb_etl.fetch.http.time_limit import OneConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.environment import Proxy
    from cfpb_etl.fetch.http.errors import Server, ServerError


class Connection(OneConnection):
    """The connection of one request, through the user's proxy if the URL needs one.

    Args:
        url: The URL of the request.
        server: The server, for errors.

    Raises:
        NetworkSettingError: If a variable of the user cannot be used for this request.
    """

    def __init__(self, url: str, server: Server) -> None:
        self._url, self._server, self._proxy = url, server, proxy_for(url)
        self._context: ssl.SSLContext | None = None
        if urlsplit(url).scheme == "https" or (self._proxy and self._proxy.url.startswith("https")):
            self._context = _context(tuple(certificate_variables().items()))
        if self._proxy is not None:
            self._proxy.require("socks")
        super().__init__()

    def session(self) -> requests.Session:
        """Return a session that uses this connection."""
        session = requests.Session()
        # Otherwise the session would send a login from ~/.netrc, and read the variables itself.
        session.trust_env = False
        if self._proxy is not None:
            session.proxies = {"all": self._proxy.url}
        session.mount("http://", self)
        session.mount("https://", self)
        return session

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as in requests
        """Let connections without a proxy trust the user's certificates."""
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:  # noqa: ANN401 - as in requests
        """Let connections to and through a proxy trust the user's certificates."""
        if proxy.startswith("https"):
            kwargs["proxy_ssl_context"] = self._context
        return super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context)

    def cert_verify(self, *_: Any) -> None:  # noqa: ANN401 - as in requests
        """Do nothing: requests would add its own certificates to those of the context."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as in requests
        """Send the request. A failure of the proxy or of a certificate is an error of its own."""
        try:
            response = super().send(*args, **kwargs)
        except (requests.ConnectionError, requests.Timeout) as error:
            causes = list(_causes(error, set()))
            for cause in causes:
                if isinstance(cause, ssl.SSLCertVerificationError):
                    raise self._unverified(cause, causes) from None
            # Behind a tunnel that stands, the server failed, and not the proxy.
            if self._proxy is None or (self.is_open and urlsplit(self._url).scheme == "https"):
                raise
            raise self._proxy_error(self._proxy, causes) from None
        if self._proxy and response.status_code == requests.codes.proxy_authentication_required:
            response.close()
            raise self._login_error(self._proxy, " (407)")
        return response

    def _proxy_error(self, proxy: Proxy, causes: list[BaseException]) -> ServerError:
        text = " ".join(map(str, causes))
        # http.client has no class for the answer of a proxy, and PySocks none for a refused login.
        if tunnel := re.search(r"Tunnel connection failed: (\d{3})([ \w-]{0,60})", text):
            status, detail = int(tunnel[1]), f"{tunnel[1]}{tunnel[2].rstrip()}"
            if status == requests.codes.proxy_authentication_required:
                return self._login_error(proxy, " (407)")
            is_final = status < requests.codes.internal_server_error
            kind = ProxyRefusalError if is_final else ProxyUnreachableError
            return self._error(kind, proxy, detail)
        if "SOCKS5 authentication" in text:
            return self._login_error(proxy)
        is_late = isinstance(causes[0], requests.Timeout)
        reason = "no answer in time" if is_late else _reason(causes)
        return self._error(ProxyUnreachableError, proxy, reason)

    def _login_error(self, proxy: Proxy, status: str = "") -> ServerError:
        detail = "it refused the login" if proxy.has_login else "it requires a login"
        return self._error(ProxyLoginError, proxy, detail + status)

    def _error(self, kind: type[ServerError], proxy: Proxy, detail: str) -> ServerError:
        return kind(
            self._url,
            detail=detail,
            server=self._server,
            proxy=str(proxy),  # without the login
            variable=proxy.variable,
            host=urlsplit(self._url).hostname,
        )

    def _unverified(
        self, cause: ssl.SSLCertVerificationError, causes: list[BaseException]
    ) -> ServerError:
        variables = certificate_variables()
        used = " and ".join(f"{path} ({name})" for name, path in variables.items())
        trusted = f"trusted: {used}" if used else "REQUESTS_CA_BUNDLE is not set"
        is_of_proxy = any(isinstance(each, ProxyError) for each in causes)
        return CertificateError(
            self._url,
            detail=f"{cause.verify_message}; {trusted}",
            server=self._server,
            owner=f"The proxy {self._proxy}" if is_of_proxy else self._server.name,
        )


@lru_cache
def _context(certificates: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    context = create_urllib3_context()
    for variable, path in certificates:
        # As in OpenSSL, a folder beside a file may be unusable.
        ignored = (CertificatesError,) if variable == "SSL_CERT_DIR" and certificates[1:] else ()
        with suppress(*ignored):
            load_certificates(context, variable, path)
    if not certificates:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


def _causes(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Yield an error and all errors that it was raised for, the nearest first."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    nested = (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__)
    for each in nested:
        if isinstance(each, BaseException):
            yield from _causes(each, seen)


def _reason(causes: list[BaseException]) -> str:
    """Return the message of the operating system, or of the last error."""
    system = [each.strerror for each in causes if isinstance(each, OSError) and each.strerror]
    return system[-1] if system else str(causes[-1])
