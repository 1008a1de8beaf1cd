"""One root exception, a class for each situation that has a name, and the exit codes.

A message says what happened and what to do next; the data behind it are attributes. Those of the
servers' answers and of files have rooms of their own.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any


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


class NothingToUpdateError(CfpbEtlError):
    """Raised when a database has no complete load that an update could repeat."""

    def __init__(self) -> None:
        super().__init__(
            "The database has no complete load that --update could repeat: the newest so many"
            " complaints are none. Load with a filter or a date first, such as --since, or all of"
            " them with --source bulk."
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
