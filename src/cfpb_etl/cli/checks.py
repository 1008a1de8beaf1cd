"""The checks of the values that a user gives: paths, addresses, days and numbers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.http.addresses import fault_of, is_named, keep
from cfpb_etl.model.dates import calendar_day, latest_plausible_day

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = Path("sample.db")
# An address with a mistake, such as http:/me:it@host/. On Windows, a single letter is a disk.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:|[^/\\]*:[^/\\]*@", re.IGNORECASE)


class WrongCommandError(CfpbEtlError):
    """Raised when an option is used in a way that is not allowed."""

    option: str
    reason: str
    problem = "{option} {reason}"


# In a wrong command, the message of these errors follows the name of the option.


def check_file_path(_type: object, path: Path | None) -> None:
    """Raise ValueError if a path is a folder, is not valid, or its folder does not exist."""
    if path is None:
        return
    name = str(path)
    try:
        str(path.resolve()).encode()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, UnicodeError):  # too long, a loop of links, or not text
        raise ValueError(f"{name[:60]!r} is not the path of a file") from None
    if is_folder:
        raise ValueError(f"{name!r} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ValueError(f"{name!r} is in a folder that does not exist; create it first")


def check_picture(type_: object, path: Path | None) -> None:
    """Raise ValueError unless a picture can be written to the path."""
    check_file_path(type_, path)
    if path is not None and path.suffix.lower() not in (".svg", ".png"):
        raise ValueError(f"{str(path)!r} must end in .svg or .png")


def check_page(type_: object, path: Path) -> None:
    """Raise ValueError unless a web page can be written to the path."""
    check_file_path(type_, path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"{str(path)!r} must end in .html")


def check_database(type_: object, path: Path) -> None:
    """Raise ValueError unless a file exists at the path."""
    check_file_path(type_, path)
    if not path.exists():
        sample = f", or use --database {SAMPLE}" if SAMPLE.exists() else ""
        raise ValueError(f"{str(path)!r} does not exist; load complaints into it first{sample}")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file")


def check_url(_type: object, url: str | None) -> None:
    """Raise ValueError unless a request can be sent to a URL."""
    # An address can have a login in any place, so the message has no piece of the address.
    if url is not None and (fault := fault_of(url)):
        raise ValueError(fault)


def check_files(type_: object, files: tuple[str, ...]) -> None:
    """Raise ValueError if a file does not exist, or if it cannot be requested."""
    for file in files:
        if "://" in file or is_named(file):
            check_url(type_, file)
        elif _ADDRESS.match(file) and not Path(file).exists():
            raise ValueError(
                "is not the path of a file, and must be an http:// or https:// address"
            )
        else:
            check_file_path(type_, Path(file))
            if not Path(file).exists():
                raise ValueError(f"{file!r} does not exist")


def check_day(_type: object, day: str | None) -> None:
    """Raise ValueError unless a day is in the calendar and not in the future."""
    if day is None:
        return
    try:
        is_valid = calendar_day(day) == day and day <= latest_plausible_day()
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{day[:40]!r} must be a day until today, YYYY-MM-DD")


def check_allowed(_type: object, allowed: float | None) -> None:
    """Raise ValueError unless a number is a number of rows, or a share of rows."""
    if allowed is not None and not (0 <= allowed < 1 or (allowed >= 1 and allowed.is_integer())):
        raise ValueError(f"{allowed:g} must be a number of rows, or a share below 1")


def check_block_name(_type: object, name: str | None) -> None:
    """Raise ValueError if the name of a block is an address, which can be secret."""
    if name is not None and "://" in name:
        raise ValueError("must be the TYPE/NAME of a block, and not an address")


def api_url_from_environment() -> str | None:
    """Return a reference to the URL in the variable CFPB_ETL_API_URL; None if it is not set.

    Raises:
        WrongCommandError: If no request can be sent to the value.
    """
    url = os.environ.get("CFPB_ETL_API_URL") or None
    check_option("CFPB_ETL_API_URL", check_url, url)
    return url and keep(url)


def check_option(option: str, validate: Callable[[object, Any], None], value: object) -> None:
    """Raise WrongCommandError, with the name of the option, if a check fails."""
    try:
        validate(type(value), value)
    except ValueError as error:
        raise WrongCommandError(option=option, reason=str(error)) from None


def refuse_same_file(option: str, path: Path, database: Path) -> None:
    """Raise WrongCommandError if a path leads to the database."""
    if path.resolve() == database.resolve():
        raise WrongCommandError(option=option, reason="is the same file as the database")
