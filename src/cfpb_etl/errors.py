"""The base class of all errors that this package raises on purpose, and the exit codes.

Most folders have an `errors.py` with the errors that their code raises.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import Any, ClassVar


class ExitCode(IntEnum):
    """The exit codes of this package's processes."""

    DONE = 0
    FAILED = 1
    WRONG_COMMAND = 2
    INTERRUPTED = 130


class CfpbEtlError(Exception):
    """The base class of every error that this package raises on purpose.

    In a subclass, the template `problem` describes what happened, and the template `remedy` what to
    do. The keyword arguments of an error fill the templates and become attributes.
    """

    attempts_made = 1  # how many attempts of a task have failed, this one included
    problem: ClassVar[str] = "{text}"
    remedy: ClassVar[str] = ""

    def __init__(self, text: str = "", **fields: Any) -> None:  # noqa: ANN401 - each error has its own
        self.__dict__.update(fields)
        brief = text or self.problem.format(**fields)
        remedy = self.remedy.format(**fields)
        self.brief = brief  # what happened, without the remedy
        super().__init__(f"{brief}. {remedy}" if remedy else brief)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make the error picklable: Python's default would call `__init__` with wrong arguments."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[CfpbEtlError], args: tuple[Any, ...], data: dict[str, Any]
) -> CfpbEtlError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(data)
    return error


class MissingExtraError(CfpbEtlError):
    """Raised when a package is missing, and an extra of cfpb-etl would install the package."""

    package: str
    extra: str
    problem = "{package} is not installed"
    remedy = 'Install the extra that contains it: {python} -m pip install "cfpb-etl[{extra}]"'

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package=package, extra=extra, python=sys.executable)
