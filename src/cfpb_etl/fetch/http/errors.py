"""Errors for unusable answers of a server, and the error for each HTTP status.

A `RetriableError` is worth a retry. The class of the error decides about retries, not the code
that catches the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.plain_text import MAX_FIELD, plain, shortened, without_known_secrets, without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping


class Server(NamedTuple):
    """A server, with the words that describe it in error messages.

    Attributes:
        name: The server's name.
        offers: What the server's URL should lead to.
        expected: The content that the server should send.
        option: The option that sets the URL.
        hint: What a correct URL looks like.
    """

    name: str
    offers: str
    expected: str
    option: str
    hint: str = ""


SEARCH_API = Server(
    "The search API",
    "search API",
    "JSON",
    "--api-url",
    ", which should end in /search/api/v1/, the last slash included",
)
FILE_SERVER = Server("CFPB's file server", "file", "a file", "--file")
ARCHIVE_PAGE = Server("The archive's page", "archive page", "a page", "--file")


class ServerError(CfpbEtlError):
    """Raised when a server gave no usable answer; each subclass is one kind of failure.

    Attributes:
        url: The URL with its parameters, without secrets. The error message does not contain the
            parameters.
        status: The HTTP status; None if the server did not answer.
        body_start: The first characters of the response body; "" if it is not known.
        detail: The exact problem; "" if the class already describes it.
        server: The server.
    """

    url: str
    status: int | None
    body_start: str
    detail: str
    server: Server

    problem = "{server.name} gave no usable answer"
    remedy = "Try again later."

    def __init__(
        self,
        url: str,
        *,
        status: int | None = None,
        body_start: str = "",
        detail: str = "",
        server: Server = SEARCH_API,
        **fields: Any,  # noqa: ANN401 - a subclass's own
    ) -> None:
        # The server may repeat an address with its secret, also cut off.
        detail = shortened(without_secrets(detail), MAX_FIELD)
        body_start = without_secrets(body_start)
        text = self.problem.format(server=server, status=status, detail=detail, **fields)
        if detail and "{detail}" not in self.problem:
            text += f": {detail}"
        fields |= {"status": status, "body_start": body_start, "detail": detail, "server": server}
        super().__init__(text, **fields)
        self.url = without_known_secrets(url)
        place = plain(without_secrets(url.partition("?")[0]), MAX_FIELD)
        quoted = f" The answer began: {body_start!r}." if body_start else ""
        self.args = (f"{self} Address: {place}.{quoted}",)


class RetriableError(ServerError):
    """Raised when the same request may succeed a little later.

    Attributes:
        attempts: How many attempts are worth making, including the first attempt.
        retry_after: How many seconds the server asks to wait; None if it does not say.
    """

    attempts = 5
    retry_after: float | None = None


class UnreachableError(RetriableError):
    """Raised when the server cannot be reached."""

    problem = "{server.name} could not be reached"
    remedy = "Check the network; --source sample runs offline, on made-up complaints."


class SlowAnswerError(UnreachableError):
    """Raised when the server does not answer within the timeout, or answers byte by byte."""

    problem = "{server.name} answered too slowly"


class ProxyUnreachableError(RetriableError):
    """Raised when the user's proxy does not answer, or cannot reach the server."""

    proxy: str
    variable: str
    host: str
    problem = "{server.name} could not be reached through the proxy {proxy}"
    remedy = "Check {variable}; if this network needs no proxy, set NO_PROXY={host}."


class ProxyRefusalError(ServerError):
    """Raised when the user's proxy refuses to connect to the server."""

    proxy: str
    variable: str
    host: str
    problem = "The proxy {proxy} refused the connection to {host}"
    remedy = (
        "Ask the administrator of the proxy to allow {host}; if this network needs no proxy, set"
        " NO_PROXY={host}."
    )


class ProxyLoginError(ProxyRefusalError):
    """Raised when the user's proxy requires a login, or refuses the login that it got."""

    problem = "The proxy {proxy} gave no connection"
    remedy = (
        "Write the login into {variable}, as http://USER:PASSWORD@HOST:PORT, and percent-encode"
        " special characters in it."
    )


class CertificateError(ServerError):
    """Raised when the certificate of a server cannot be verified."""

    owner: str
    problem = "{owner} has a certificate that cannot be verified"
    remedy = (
        "If a proxy or a virus scanner inspects encrypted connections, set"
        " REQUESTS_CA_BUNDLE to a file with all trusted certificates, its own included. Also check"
        " the clock and the address."
    )


class CutBodyError(RetriableError):
    """Raised when an answer is cut off or damaged (docs/facts.md, "Answers over HTTP")."""

    problem = "{server.name} sent an incomplete or damaged answer"
    remedy = "Try again; a proxy may be cutting long answers."


class InvalidHttpError(ServerError):
    """Raised when an answer does not follow the rules of HTTP."""

    problem = "{server.name} sent an answer that is not valid HTTP"
    remedy = "Check {server.option}; another kind of server, or a proxy, may have answered."


class ThrottledError(RetriableError):
    """Raised when the status is 429: there were too many requests (docs/facts.md, "Rate limit")."""

    problem = "{server.name} received too many requests ({status})"
    remedy = "Another program with the same IP address may be using up the limit; try again later."


class ServerFailureError(RetriableError):
    """Raised when the status is 408 or 425, or is 500 or higher."""

    problem = "{server.name} failed ({status})"


class SearchBackendError(RetriableError):
    """Raised when the status is 424: the search index did not answer, or it refused the query.

    The status 424 does not show which of the two happened, so only a few attempts are made
    (docs/facts.md, "Errors").
    """

    attempts = 3
    problem = "The search API's index did not answer ({status})"
    remedy = "CFPB may have an outage, or its index may refuse this query."


class PartialAnswerError(RetriableError):
    """Raised when an answer shows that only a part of the index was searched."""

    problem = "The search API searched only a part of its index"


class RefusedQueryError(ServerError):
    """Raised when the status is 400. The response body says which parameter is invalid."""

    problem = "The search API refused the query ({status})"
    remedy = "Change the option that the answer names."


class AccessDeniedError(ServerError):
    """Raised when the status is 403: the network in front of CFPB refuses this IP address."""

    problem = "CFPB's network refuses requests from this address ({status})"
    remedy = (
        "It refuses many cloud and CI networks; run from another one. --source sample runs offline,"
        " on made-up complaints."
    )


class NetworkLoginError(ServerError):
    """Raised when the status is 511: the network wants a login before it forwards requests."""

    problem = "The network asks for a login before it forwards requests ({status})"
    remedy = "Log in to the network in a browser, and run again."


class NotFoundError(ServerError):
    """Raised when the status is 404: nothing exists at the URL."""

    problem = "There is no {server.offers} at this address ({status})"
    remedy = "Check {server.option}."


class UnexpectedStatusError(ServerError):
    """Raised when the status has no error class of its own, such as 405."""

    problem = "{server.name} answered with the unexpected status {status}"
    remedy = "Check {server.option}."


class WrongContentError(ServerError):
    """Raised when an answer has an unexpected content type, such as that of a web page."""

    problem = "Expected {server.expected} but got {detail}"
    remedy = "Check {server.option}{server.hint}. The login page of a proxy can be the reason too."


class TooLargeError(ServerError):
    """Raised when an answer is larger than announced, or too large to come from CFPB."""

    problem = "The answer is too large"
    remedy = "Check {server.option}. If it is correct, a proxy may be changing the answers."


class WrongRangeError(RetriableError):
    """Raised when the server does not send the requested rest of a file."""

    problem = "{server.name} sent another piece of the file than requested"
    remedy = "Run again; the download starts over."


class UnexpectedBodyError(ServerError):
    """Raised when an answer has an unexpected shape (docs/facts.md, "Shape of a response")."""

    problem = "{server.name} sent an answer of an unexpected shape"
    remedy = "CFPB may have changed its API; check for a newer version of cfpb-etl."


class NoAdvanceError(ServerError):
    """Raised when a page does not come after the previous page, because paging would never end."""

    problem = "The search API sent a page that does not follow the page before it"
    remedy = "Run again; if this happens again, a proxy may be answering from a cache."


_ANY_SERVER: Mapping[int, type[ServerError]] = {
    403: AccessDeniedError,
    404: NotFoundError,
    408: ServerFailureError,
    425: ServerFailureError,
    429: ThrottledError,
    511: NetworkLoginError,
}
_STATUS_ERRORS: Mapping[Server, Mapping[int, type[ServerError]]] = {
    SEARCH_API: {**_ANY_SERVER, 400: RefusedQueryError, 424: SearchBackendError},
    FILE_SERVER: _ANY_SERVER,
    ARCHIVE_PAGE: _ANY_SERVER,
}


def status_error(status: int, server: Server) -> type[ServerError]:
    """Return the error for a status other than 200."""
    default = ServerFailureError if status >= 500 else UnexpectedStatusError  # noqa: PLR2004
    return _STATUS_ERRORS[server].get(status, default)
