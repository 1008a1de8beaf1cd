"""What can be wrong with an answer of CFPB's servers, a class for each situation.

What is worth another attempt is a `RetriableError`: the class decides it, not the code that
catches it.
"""

from __future__ import annotations

from typing import NamedTuple

from cfpb_etl.errors import CfpbEtlError


class Server(NamedTuple):
    """A server of CFPB's, in the words of the messages about it.

    Attributes:
        name: What it is called.
        offers: What should be at the address that is asked.
        option: The option that names the address.
    """

    name: str
    offers: str
    option: str


SEARCH_API = Server("The search API", "search API", "--api-url")
FILE_SERVER = Server("CFPB's file server", "file", "--file")
ARCHIVE_PAGE = Server("The archive's page", "page of CFPB's archive", "--file")


class ServerError(CfpbEtlError):
    """Raised when CFPB's server gave no usable answer; each subclass is one way of that.

    Attributes:
        url: The address that was asked, with its parameters, which the message leaves out.
        status: The HTTP status, or None when no answer came.
        body_start: The first characters of the body, or "".
        server: Whose address it is.
    """

    situation = "{server.name} gave no usable answer"
    remedy = "Try again later."

    def __init__(
        self,
        url: str,
        *,
        status: int | None = None,
        body_start: str = "",
        detail: str = "",
        server: Server = SEARCH_API,
    ) -> None:
        self.url = url
        self.status = status
        self.body_start = body_start
        self.detail = detail
        self.server = server
        where = url.partition("?")[0]
        remedy = self.remedy.format(server=server)
        quoted = f" The answer began: {body_start!r}." if body_start else ""
        super().__init__(f"{self.brief}. {remedy} Address: {where}.{quoted}")

    @property
    def brief(self) -> str:
        """Return what happened, without the remedy and the address."""
        situation = self.situation.format(server=self.server)
        return f"{situation}: {self.detail}" if self.detail else situation


class RetriableError(ServerError):
    """Raised when the same request may well succeed a little later.

    Attributes:
        attempts: How many requests such an error is worth in all.
    """

    attempts = 5


class UnreachableError(RetriableError):
    """Raised when no connection could be made, or nothing came within the timeout."""

    situation = "{server.name} could not be reached"
    remedy = "Check the network; --source sample runs offline, on made-up complaints."


class CutBodyError(RetriableError):
    """Raised when the connection ended before the announced body did."""

    situation = "{server.name}'s answer broke off half way"
    remedy = "Try again; a proxy in between may be cutting long answers."


class ThrottledError(RetriableError):
    """Raised on 429: more requests than the server allows (CCDB_API.md section 6).

    Attributes:
        retry_after: Seconds until the server will listen again.
    """

    situation = "{server.name} asks for a slower pace (429)"
    remedy = "Another program behind this address may be using the same rate_limit; try later."

    def __init__(
        self,
        url: str,
        *,
        retry_after: float,
        body_start: str = "",
        server: Server = SEARCH_API,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(
            url,
            status=429,
            body_start=body_start,
            detail=f"again in {retry_after:g} s",
            server=server,
        )


class ServerFailureError(RetriableError):
    """Raised on any 5xx."""

    situation = "{server.name} failed on its side"


class SearchBackendError(RetriableError):
    """Raised on 424: the server's index did not answer, or refused the query.

    The two cannot be told apart (CCDB_API.md section 7), so it is worth few attempts.
    """

    attempts = 3
    situation = "The search API's index did not answer (424)"
    remedy = "CFPB may have an outage, or the query may be one that its index refuses."


class PartialAnswerError(RetriableError):
    """Raised when the index says itself that its answer is not whole."""

    situation = "The search API answered from a part of its index only"


class RefusedQueryError(ServerError):
    """Raised on 400: the server's validation says what was wrong."""

    situation = "The search API refused the query (400)"
    remedy = "Change the option that it names."


class AccessDeniedError(ServerError):
    """Raised on 403: the network edge in front of CFPB turns this address away."""

    situation = "CFPB's network refuses requests from this address (403)"
    remedy = (
        "It does so for many cloud and CI networks; run from another one. "
        "--source sample runs offline, on made-up complaints."
    )


class NotFoundError(ServerError):
    """Raised on 404."""

    situation = "There is no {server.offers} at this address (404)"
    remedy = "Check {server.option}."


class UnexpectedStatusError(ServerError):
    """Raised on a status that the contract does not know."""

    situation = "{server.name} answered with a status that it is not known to use"
    remedy = "Check {server.option}."


class NotJsonError(ServerError):
    """Raised when something other than JSON came, such as the website's page."""

    situation = "A web page or other text came where JSON was due"
    remedy = "Check --api-url: CFPB's ends in /search/api/v1/, the last slash included."


class TooLargeError(ServerError):
    """Raised when a body grows beyond what any page of complaints can be."""

    situation = "The answer is larger than any page of complaints"
    remedy = "Check --api-url."


class WrongRangeError(RetriableError):
    """Raised when the rest of a file was asked for, and something else came."""

    situation = "{server.name} sent another piece of the file than was asked for"
    remedy = "Run again; the download begins anew."


class NotAFileError(ServerError):
    """Raised when a web page came in place of a file."""

    situation = "A web page came where a file was due"
    remedy = "Check {server.option}; a proxy that wants a login sends such pages too."


class FileTooLargeError(ServerError):
    """Raised when a file is announced, or grows, beyond any that CFPB publishes."""

    situation = "The file is larger than any that CFPB publishes"
    remedy = "Check {server.option}."


class OverlongFileError(ServerError):
    """Raised when more comes of a file than the server announced."""

    situation = "{server.name} sent more than it had announced"
    remedy = "Run again; if it persists, something between here and CFPB changes what it sends."


class UnexpectedBodyError(ServerError):
    """Raised when a JSON body is not shaped as the contract says (CCDB_API.md section 2)."""

    situation = "{server.name}'s answer is not shaped as expected"
    remedy = "CFPB may have changed its API; see whether a newer cfpb-etl knows it."


class NoAdvanceError(ServerError):
    """Raised when a page does not lie beyond the one before it, so that a walk would never end."""

    situation = "The search API sent a page that does not follow the one before it"
    remedy = "Run again; if it persists, something between here and CFPB answers from a cache."
