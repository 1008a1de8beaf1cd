"""The base class of all errors that this package raises on purpose, and the exit codes.

Most folders have an `errors.py` with the errors that their code raises.
"""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import PurePath
from typing import Any, ClassVar

from cfpb_etl.plain_text import MAX_FIELD, plain, shortened, without_secrets


class ExitCode(IntEnum):
    """The exit codes of this package's processes: 128 + its number if a signal ended the run."""

    DONE = 0
    FAILED = 1
    WRONG_COMMAND = 2
    HUNG_UP = 129  # SIGHUP: the terminal was closed
    INTERRUPTED = 130  # SIGINT: Ctrl-C
    TERMINATED = 143  # SIGTERM: `kill`, or the stop of a service or a container


class CfpbEtlError(Exception):
    """The base class of every error that this package raises on purpose.

    In a subclass, the template `problem` describes what happened, and the template `remedy` what to
    do. The keyword arguments of an error fill the templates and become attributes. They can come
    from a server or a file, so a message is plain text without secrets, and each text in it is
    short.
    """

    attempts_made = 1  # how many attempts of a task have failed, this one included
    problem: ClassVar[str] = "{text}"
    remedy: ClassVar[str] = ""

    def __init__(self, text: str = "", **fields: Any) -> None:  # noqa: ANN401 - each error has its own
        # The attributes can be pickled and stored, so they have no secrets either.
        fields = {
            name: without_secrets(value) if isinstance(value, str) else value
            for name, value in fields.items()
        }
        self.__dict__.update(fields)
        short = {name: _short(value) for name, value in fields.items()}
        brief = plain(text or self.problem.format(**short))
        remedy = plain(self.remedy.format(**short))
        self.brief = brief  # what happened, without the remedy
        super().__init__(f"{brief}. {remedy}" if remedy else brief)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make the error picklable: Python's default would call `__init__` with wrong arguments."""
        return _restored, (type(self), self.args, self.__dict__)


def _short(value: Any) -> Any:  # noqa: ANN401 - a field of any type
    """Return a text or path in a length for a message, and any other value as it is."""
    return shortened(str(value), MAX_FIELD) if isinstance(value, str | PurePath) else value


def _restored(
    kind: type[CfpbEtlError], args: tuple[Any, ...], data: dict[str, Any]
) -> CfpbEtlError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(data)
    return error


class WrongParameterError(CfpbEtlError):
    """Raised when a parameter of a load has a value that is not allowed.

    Attributes:
        parameter: The name of the parameter, such as `zip_code`.
        reason: What is wrong, or what is allowed. Names of parameters are in backticks.
    """

    parameter: str
    reason: str
    problem = "`{parameter}` {reason}"


class MissingExtraError(CfpbEtlError):
    """Raised when a package is missing, and an extra of cfpb-etl would install the package."""

    package: str
    extra: str
    problem = "{package} is not installed"
    remedy = 'Install the extra that contains it: {python} -m pip install "cfpb-etl[{extra}]"'

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package=package, extra=extra, python=sys.executable)


class NetworkSettingError(CfpbEtlError):
    """Raised when a variable for proxies or certificates cannot be used."""

    variable: str
    detail: str


class InvalidProxyError(NetworkSettingError):
    """Raised when a variable does not contain the address of a proxy."""

    problem = "{variable} does not contain the address of a proxy{detail}"  # it may have a password
    remedy = (
        "Write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or as socks5h://HOST:PORT"
        " for a SOCKS proxy. Percent-encode special characters in the login (# is %23, @ is %40)."
    )


class MissingSocksError(NetworkSettingError):
    """Raised when a SOCKS proxy needs a package that is not installed."""

    package: str
    python: str
    problem = "{detail} is a SOCKS proxy, and the package {package} is not installed"
    remedy = 'Install the extra that contains it: {python} -m pip install "cfpb-etl[socks]"'


class CertificatesError(NetworkSettingError):
    """Raised when a variable names certificates that cannot be read."""

    path: str
    problem = "{variable} names {path}, {detail}"
    remedy = "Correct {variable}, or unset it."
