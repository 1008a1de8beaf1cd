"""One root exception, one class for each situation that has a name, and the exit codes.

A message says what happened and what to do next; the data behind it are attributes. What is worth
another attempt is a `Retriable`: the class decides it, not the code that catches it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
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


# --- the servers' answers -------------------------------------------------------------------


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
    remedy = "Another program behind this address may be using the same allowance; try later."

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


class InvalidFieldError(CfpbEtlError):
    """Raised when a field cannot be a complaint's.

    Attributes:
        field: The field.
        problem: What is wrong with it.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        self.problem = problem
        super().__init__(f"{field} {problem}")


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


# --- files of complaints --------------------------------------------------------------------


class NoArchiveError(CfpbEtlError):
    """Raised when the archive's page tells of no zip.

    Attributes:
        url: The page.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The page {url} links to no zip. CFPB may have moved its archive: look for it in a"
            " browser, and give --file the address of the page, or the zips that you downloaded."
        )


class FileError(CfpbEtlError):
    """Raised when a file of complaints cannot be used; each subclass is one reason.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path} {message}")


class UnreadableFileError(FileError):
    """Raised when a file is not there, damaged, or none that CFPB publishes.

    Attributes:
        detail: What is wrong with it.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"cannot be read: {detail}. Nothing of it was stored. Check --file, or download it"
            " again.",
        )


class NotEnoughSpaceError(FileError):
    """Raised when a disk has no room for a file.

    Attributes:
        needed: The bytes that are still to be written.
        free: The bytes that the disk has left.
    """

    def __init__(self, path: Path, needed: int, free: int) -> None:
        self.needed = needed
        self.free = free
        # Rounded apart, so that the two never read the same.
        up, down = -(-needed // 10**7) / 100, free // 10**7 / 100
        super().__init__(
            path,
            f"needs {up:,.2f} GB, and its disk has {down:,.2f} GB free. Make room, or put"
            " --database on another disk, and run the same command again.",
        )


class NotWritableFileError(FileError):
    """Raised when a file cannot be written, for want of anything but room.

    Attributes:
        detail: What the system says.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"cannot be written: {detail}. See who may write there, or choose another place,"
            " and run the same command again.",
        )


class DamagedDownloadError(FileError):
    """Raised when all bytes of a file came, and are not those that were zipped.

    Attributes:
        detail: What is wrong with them.
    """

    def __init__(self, path: Path, detail: str) -> None:
        self.detail = detail
        super().__init__(
            path,
            f"was damaged on its way: {detail}. The download was removed. Run again to have it"
            " anew; if it persists, CFPB's file is at fault, or --file is none of complaints.",
        )


class UnexpectedColumnsError(FileError):
    """Raised when a file's header is not that of complaints.

    Attributes:
        missing: Columns that every file of CFPB's has had and this one has not.
        twice: Columns that it has more than once.
        found: What its header has.
    """

    def __init__(
        self, path: Path, missing: Sequence[str], twice: Sequence[str], found: Sequence[str]
    ) -> None:
        self.missing = missing
        self.twice = twice
        self.found = found
        wrong = [f"lacks {', '.join(missing)}"] if missing else []
        wrong += [f"has {', '.join(twice)} more than once"] if twice else []
        super().__init__(
            path,
            f"is no file of complaints that is known here: its header {' and '.join(wrong)}, and"
            f" begins {', '.join(found)[:120]!r}. Nothing of it was stored. Check --file; if it is"
            " CFPB's, see whether a newer cfpb-etl knows it.",
        )


class TooManyRejectedError(FileError):
    """Raised when so many rows of a file cannot be complaints that the file is in doubt.

    Attributes:
        rejected: How many.
        rows: How many rows the file has.
        remarks: The first of them, each with its line.
    """

    def __init__(self, path: Path, rejected: int, rows: int, remarks: Sequence[str]) -> None:
        self.rejected = rejected
        self.rows = rows
        self.remarks = remarks
        super().__init__(
            path,
            f"was refused: {rejected:,} of its {rows:,} rows cannot be complaints, and one in a"
            f" thousand is the most. The first are {'; '.join(remarks[:3])}. Nothing of it was"
            " stored. Look at these lines, or download the file again.",
        )


class TooManyWithdrawnError(CfpbEtlError):
    """Raised when a file lacks so many of the stored complaints that it is in doubt.

    Attributes:
        withdrawn: How many stored complaints it lacks.
        stored: How many are stored and not marked as withdrawn.
    """

    def __init__(self, withdrawn: int, stored: int) -> None:
        self.withdrawn = withdrawn
        self.stored = stored
        super().__init__(
            f"The file lacks {withdrawn:,} of the {stored:,} complaints that are stored, and one in"
            " a hundred is the most that is believed. Nothing was changed. If CFPB did withdraw"
            " them, run again with --allow-withdrawals."
        )


class ReaderDiedError(FileError):
    """Raised when the process that reads a file ends before the file does.

    Attributes:
        code: Its exit code.
        said: The last line of what it said.
    """

    def __init__(self, path: Path, code: int, said: str) -> None:
        self.code = code
        self.said = said
        super().__init__(
            path,
            f"was not read to its end: the process that reads it ended with {code} ({said})."
            " Nothing of it was stored. Run again; if it persists, there may be too little memory.",
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
            " If a newer Prefect has run here before, its database is too new for this one:"
            " `pip install -U prefect`, or set PREFECT_HOME to a new folder."
        )


class MissingExtraError(CfpbEtlError):
    """Raised when a command needs a package that comes with an extra, and it is not installed.

    Attributes:
        package: The package.
        extra: The extra that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package} is not installed. Install the extra that brings it:"
            f' pip install "cfpb-etl[{extra}]"'
        )


class NoNotificationBlockError(CfpbEtlError):
    """Raised when the block that is to be told of a failure is not among Prefect's.

    Attributes:
        name: What was given.
        detail: What is wrong with it.
    """

    def __init__(self, name: str, detail: str) -> None:
        self.name = name
        self.detail = detail
        super().__init__(
            f"--notify {name!r} names no notification block ({detail}). Give TYPE/NAME as"
            " `prefect block ls` lists them, such as slack-webhook/team. To make that one:"
            " `prefect block create slack-webhook` tells the page of your Prefect server, and"
            " without a server, in Python: from prefect.blocks.notifications import SlackWebhook;"
            " SlackWebhook(url=ADDRESS).save('team')"
        )
