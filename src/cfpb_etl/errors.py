"""One root exception, a class for each situation that has a name, and the exit codes.

A message says what happened and what to do next; the data behind it are attributes. Those of the
servers' answers and of files have rooms of their own.
"""

from __future__ import annotations

import sys
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
            "The database has no complete load that --update could repeat: the newest so many"
            " complaints are none. Load with a filter or a date first, such as --since, or all of"
            " them with --source bulk."
        )


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
            f' {sys.executable} -m pip install "cfpb-etl[{extra}]"'
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
