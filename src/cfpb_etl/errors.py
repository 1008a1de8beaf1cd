"""The root of all errors that this package raises on purpose, and the exit codes.

Each folder has its own `errors.py` beside the code that raises them.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """How a process of this package ends."""

    DONE = 0
    FAILED = 1
    WRONG_COMMAND = 2
    INTERRUPTED = 130


class CfpbEtlError(Exception):
    """Root of every error that this package raises on purpose.

    A subclass says what happened in `problem` and what to do in `remedy`. It is raised with its
    fields by keyword; they fill the two templates and are attributes of the error.
    """

    problem: ClassVar[str] = "{text}"
    remedy: ClassVar[str] = ""

    def __init__(self, text: str = "", **fields: Any) -> None:  # noqa: ANN401 - each error has its own
        self.__dict__.update(fields)
        brief = text or self.problem.format(**fields)
        remedy = self.remedy.format(**fields)
        self.brief = brief  # what happened, without the remedy
        super().__init__(f"{brief}. {remedy}" if remedy else brief)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it travel to another process: Python's own way would call `__init__` again."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[CfpbEtlError], args: tuple[Any, ...], data: dict[str, Any]
) -> CfpbEtlError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(data)
    return error


class MissingExtraError(CfpbEtlError):
    """Raised when a package of an extra is needed and not installed."""

    package: str
    extra: str
    problem = "{package} is not installed"
    remedy = 'Install the extra that contains it: {python} -m pip install "cfpb-etl[{extra}]"'

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package=package, extra=extra, python=sys.executable)
