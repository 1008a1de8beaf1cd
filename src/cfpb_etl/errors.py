"""One root exception, one class for each situation that has a name, and the exit codes.

A message says what happened and what to do next; the data behind it are attributes. What is worth
another attempt is a `Retriable`: the class decides it, not the code that catches it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class ExitCode(IntEnum):
    """How a process of this package ends."""

    DONE = 0
    FAILED = 1
    WRONG_COMMAND = 2
    INTERRUPTED = 130


class CfpbEtlError(Exception):
    """Root of everything this package raises on purpose."""

    @property
    def brief(self) -> str:
        """Return what happened, where the whole message also says what to do about it."""
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as what it is; Python's own way calls `__init__` again."""
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[CfpbEtlError], args: tuple[Any, ...], data: dict[str, Any]) -> CfpbEtlError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(data)
    return error


# --- what was asked for ---------------------------------------------------------------------


class InvalidQueryError(CfpbEtlError):
    """Raised when a query asks for what the search API does not allow.

    Attributes:
        field: The name of the query's field, such as `state`.
        value: What was given.
        allowed: What may be given, as words for a person.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {value!r} is not valid; {allowed}")


# --- the search API's answers ---------------------------------------------------------------


class SearchApiError(CfpbEtlError):
    """Raised when the search API gave no usable answer; each subclass is one way of that.

    Attributes:
        url: The address that was asked, with its parameters, which the message leaves out.
        status: The HTTP status, or None when no answer came.
        body_start: The first characters of the body, or "".
    """

    situation = "The search API gave no usable answer"
    remedy = "Try again later."

    def __init__(
        self, url: str, *, status: int | None = None, body_start: str = "", detail: str = ""
    ) -> None:
        self.url = url
        self.status = status
        self.body_start = body_start
        self.detail = detail
        where = url.partition("?")[0]
        quoted = f" The answer began: {body_start!r}." if body_start else ""
        super().__init__(f"{self.brief}. {self.remedy} Address: {where}.{quoted}")

    @property
    def brief(self) -> str:
        """Return what happened, without the remedy and the address."""
        return f"{self.situation}: {self.detail}" if self.detail else self.situation


class RetriableError(SearchApiError):
    """Raised when the same request may well succeed a little later.

    Attributes:
        attempts: How many requests such an error is worth in all.
    """

    attempts = 5


class UnreachableError(RetriableError):
    """Raised when no connection could be made, or nothing came within the timeout."""

    situation = "The search API could not be reached"
    remedy = "Check the network; --source sample runs offline, on made-up complaints."


class CutBodyError(RetriableError):
    """Raised when the connection ended before the announced body did."""

    situation = "The search API's answer broke off half way"
    remedy = "Try again; a proxy in between may be cutting long answers."


class ThrottledError(RetriableError):
    """Raised on 429: more searches than the server allows (CCDB_API.md section 6).

    Attributes:
        retry_after: Seconds until the server will listen again.
    """

    situation = "The search API asks for a slower pace (429)"
    remedy = "Another program behind this address may be using the same allowance; try later."

    def __init__(self, url: str, *, retry_after: float, body_start: str = "") -> None:
        self.retry_after = retry_after
        super().__init__(
            url, status=429, body_start=body_start, detail=f"again in {retry_after:g} s"
        )


class ServerFailureError(RetriableError):
    """Raised on any 5xx."""

    situation = "The search API failed on its side"


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


class RefusedQueryError(SearchApiError):
    """Raised on 400: the server's validation says what was wrong."""

    situation = "The search API refused the query (400)"
    remedy = "Change the option that it names."


class AccessDeniedError(SearchApiError):
    """Raised on 403: the network edge in front of CFPB turns this address away."""

    situation = "CFPB's network refuses requests from this address (403)"
    remedy = (
        "It does so for many cloud and CI networks; run from another one. "
        "--source sample runs offline, on made-up complaints."
    )


class NotFoundError(SearchApiError):
    """Raised on 404."""

    situation = "There is no search API at this address (404)"
    remedy = "Check --api-url."


class UnexpectedStatusError(SearchApiError):
    """Raised on a status that the contract does not know."""

    situation = "The search API answered with a status that it is not known to use"
    remedy = "Check --api-url."


class NotJsonError(SearchApiError):
    """Raised when something other than JSON came, such as the website's page."""

    situation = "A web page or other text came where JSON was due"
    remedy = "Check --api-url: CFPB's ends in /search/api/v1/, the last slash included."


class TooLargeError(SearchApiError):
    """Raised when a body grows beyond what any page of complaints can be."""

    situation = "The answer is larger than any page of complaints"
    remedy = "Check --api-url."


class UnexpectedBodyError(SearchApiError):
    """Raised when a JSON body is not shaped as the contract says (CCDB_API.md section 2)."""

    situation = "The search API's answer is not shaped as expected"
    remedy = "CFPB may have changed its API; see whether a newer cfpb-etl knows it."


class NoAdvanceError(SearchApiError):
    """Raised when a page does not lie beyond the one before it, so that a walk would never end."""

    situation = "The search API sent a page that does not follow the one before it"
    remedy = "Run again; if it persists, something between here and CFPB answers from a cache."


class InvalidHitError(CfpbEtlError):
    """Raised when one hit of a page cannot be a complaint.

    Attributes:
        part: The page, in words.
        hit: Its place on the page, from 1.
        field: The field at fault.
        problem: What is wrong with it.
    """

    def __init__(self, part: str, hit: int, field: str, problem: str) -> None:
        self.part = part
        self.hit = hit
        self.field = field
        self.problem = problem
        super().__init__(
            f"Hit {hit} of {part}: {field} {problem}. Nothing of this page was stored. "
            "CFPB may have changed its data; see whether a newer cfpb-etl knows it."
        )


class IncompleteLoadError(CfpbEtlError):
    """Raised when fewer complaints came than the source says there are.

    Attributes:
        expected: How many the source's closing count promises.
        read: How many came.
        windows: In how many windows of days; the numbers are those of these.
    """

    def __init__(self, expected: int, read: int, windows: int = 1) -> None:
        self.expected = expected
        self.read = read
        self.windows = windows
        where = f"In {windows:,} windows of days " if windows > 1 else ""
        super().__init__(
            f"{where}{read:,} complaints came, but the source counts {expected:,}. "
            "What came is stored; run the same command again, and these days are read again."
        )


# --- the database ---------------------------------------------------------------------------


class DatabaseError(CfpbEtlError):
    """Raised when the SQLite file cannot take a load; each subclass is one reason.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path} {message}")


class NotADatabaseError(DatabaseError):
    """Raised when the file is not SQLite, or is a SQLite file of some other program."""


class NotWritableError(DatabaseError):
    """Raised when the file cannot be opened or written."""


class NewerDatabaseError(DatabaseError):
    """Raised when a newer version of this package has changed the schema."""


class DatabaseInUseError(DatabaseError):
    """Raised when another load, or another program, is writing to the file."""


class OtherKindError(DatabaseError):
    """Raised when made-up complaints would be mixed with real ones."""


class NothingToUpdateError(CfpbEtlError):
    """Raised when a database has no complete load that an update could repeat."""

    def __init__(self) -> None:
        super().__init__(
            "The database has no complete load to bring up to date: one with a filter or a date,"
            " and without --limit. Run that first, such as with --since."
        )


# --- around the run -------------------------------------------------------------------------


class PictureError(CfpbEtlError):
    """Raised when the flow's picture could not be drawn."""


class PrefectUnreachableError(CfpbEtlError):
    """Raised when Prefect's API does not answer.

    Attributes:
        api_url: Its address.
    """

    def __init__(self, api_url: str, detail: str) -> None:
        self.api_url = api_url
        super().__init__(
            f"Prefect's API at {api_url} does not answer ({detail}). Start it with "
            "`prefect server start`, or unset PREFECT_API_URL to use a temporary one."
        )


class PrefectNotStartedError(CfpbEtlError):
    """Raised when Prefect's temporary server does not come up."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"Prefect's temporary server did not start ({detail}). Run again; or start a server"
            " with `prefect server start`, and set PREFECT_API_URL to the address that it prints."
        )
