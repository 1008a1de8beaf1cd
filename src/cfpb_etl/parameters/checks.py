"""The checks of the values that a user gives: paths, addresses, days and numbers.

Each returns the value, or raises ValueError. The message follows the name of the parameter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sized
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from numbers import Number
from pathlib import Path
from typing import Any

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.fetch.http.addresses import fault_of, is_named, keep
from cfpb_etl.model.dates import calendar_day, latest_plausible_day

# An address with a mistake, such as http:/me:it@host/. On Windows, a single letter is a disk.
ADDRESS_LIKE = re.compile(r"[a-z][a-z0-9+.-]+:|[^/\\]*:[^/\\]*@", re.IGNORECASE)

# An address of a database, also one with a mistake, or libpq's list of options.
_LOGIN = re.compile(r":.*@|password\s*=", re.IGNORECASE | re.DOTALL)


def is_like_address(target: str) -> bool:
    """Say whether a target is like an address of a database, which can have a password."""
    return bool("://" in target or ADDRESS_LIKE.match(target) or _LOGIN.search(target))


def file_path(path: Path | str) -> Path:
    """Return a path, unless it is a folder, is not valid, or its folder does not exist."""
    path = Path(path)
    name = str(path)
    try:
        str(path.resolve()).encode()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, or not text
        raise ValueError(f"{name[:60]!r} is not the path of a file") from None
    if not name.strip():
        raise ValueError(f"{name[:60]!r} is blank; give the path of a file")
    if is_folder:
        raise ValueError(f"{name!r} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ValueError(f"{name!r} is in a folder that does not exist; create it first")
    return path


def existing_database(database: Any) -> Path:  # noqa: ANN401 - of any type, because a user gives it
    """Return the path of a database that exists.

    Raises:
        WrongParameterError: If the value is not the path of a file that exists.
    """
    try:
        if database is None:
            raise ValueError("None is not valid; give the path of a file")  # noqa: TRY301
        path = file_path(as_path(database))
    except ValueError as error:
        raise WrongParameterError(parameter="database", reason=str(error)) from None
    if not path.is_file():
        fault = "does not exist; load complaints into it first"
        reason = f"{str(path)!r} {'is not a file' if path.exists() else fault}"
        raise WrongParameterError(parameter="database", reason=reason)
    return path


def picture_path(path: Path | str) -> Path:
    """Return the path of a picture that can be written."""
    path = file_path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise ValueError(f"{str(path)!r} must end in .svg or .png")
    return path


def api_address(url: str) -> str:
    """Return a URL to which a request can be sent."""
    # An address can have a login in any place, so the message has no piece of the address.
    if fault := fault_of(url):
        raise ValueError(fault)
    return url


def file_address(file: str) -> str:
    """Return the path of a file that exists, or an address that can be requested."""
    if "://" in file or is_named(file):
        return api_address(file)
    if ADDRESS_LIKE.match(file) and not Path(file).exists():
        raise ValueError("is not the path of a file, and must be an http:// or https:// address")
    if not file_path(file).exists():
        raise ValueError(f"{file!r} does not exist")
    return file


def file_addresses(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return files that can all be read or requested."""
    return tuple(map(file_address, files))


def export_targets(targets: tuple[str, ...]) -> tuple[str, ...]:
    """Return targets that Prefect may store: an address of a database can have a password."""
    for target in targets:
        if not is_named(target) and is_like_address(target):
            raise ValueError(
                "has an address, which can have a password; give env:NAME or secret:BLOCK"
            )
    return targets


def past_day(day: str) -> str:
    """Return a day that is in the calendar and not in the future."""
    try:
        is_valid = calendar_day(day) == day and day <= latest_plausible_day()
    except ValueError:
        is_valid = False
    if not is_valid:
        raise ValueError(f"{day[:40]!r} must be a day until today, YYYY-MM-DD")
    return day


def rows_or_share(allowed: float) -> float:
    """Return a number of rows, or a share of rows."""
    if not (0 <= allowed < 1 or (allowed >= 1 and allowed.is_integer())):
        raise ValueError(f"{allowed:g} must be a number of rows, or a share below 1")
    return allowed


def block_name(name: str) -> str:
    """Return the name of a block. An address is refused without it, because it can be secret."""
    if not re.fullmatch(r"[^/:\s]+/[^/:\s]+", name):
        listed = "TYPE/NAME of a block as `prefect block ls` lists it"
        raise ValueError(f"must be the {listed}, and not an address")
    return name


def as_day(value: Any) -> Any:  # noqa: ANN401 - of any type, because a user gives it
    """Return the text of a day if the value is a date; any text as it is."""
    if isinstance(value, datetime):
        if value.time() != datetime.min.time():
            raise ValueError(f"{value.isoformat()} has a time of day; give a day as YYYY-MM-DD")
        value = value.date()
    if isinstance(value, date):
        return value.isoformat()
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is not valid; give a day as YYYY-MM-DD, or a date")
    return value


def as_texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - of any type, because a user gives it
    """Return one text or path, or several, as a tuple of texts."""
    if value is None:
        return ()
    if isinstance(value, str | Path):
        return (str(value),)
    try:
        texts = () if isinstance(value, Mapping | bytes | bytearray) else tuple(value)
    except TypeError:  # it is not a list
        texts = ()
    is_list = texts or (isinstance(value, Sized) and not len(value))
    if not is_list or not all(isinstance(text, str | Path) for text in texts):
        raise ValueError(f"{value!r} is not valid; give a text, or a list of texts")
    # Python has no fixed order for a set, and the next run resumes only the same query.
    return tuple(map(str, sorted(texts) if isinstance(value, AbstractSet) else texts))


def in_capitals(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Return codes in capitals, as CFPB writes them."""
    return tuple(code.upper() for code in codes)


def as_path(value: Any) -> Any:  # noqa: ANN401 - of any type, because a user gives it
    """Return the value, which must be a text or a path."""
    if value is not None and not isinstance(value, str | Path):
        raise ValueError(f"{value!r} is not valid; give the path of a file")
    return value


def as_picture(value: Any) -> Any:  # noqa: ANN401 - of any type, because a user gives it
    """Return a path; None for the word "none", because Prefect's form cannot send None."""
    return None if str(value).lower() == "none" else as_path(value)


def as_switch(value: Any) -> Any:  # noqa: ANN401 - of any type, because a user gives it
    """Return the value; false if it is not given, which Prefect's form sends as null."""
    return False if value is None else value


def not_bool(value: Any) -> Any:  # noqa: ANN401 - of any type, because a user gives it
    """Return the value, which must not be True or False, although these are numbers in Python."""
    is_number = isinstance(value, Number) and not isinstance(value, bool)
    if value is not None and not is_number and not isinstance(value, str):
        raise ValueError(f"{value} is not a number")
    return value


def api_url_from_environment() -> str | None:
    """Return a reference to the URL in the variable CFPB_ETL_API_URL; None if it is not set.

    Raises:
        WrongParameterError: If no request can be sent to the value.
    """
    url = os.environ.get("CFPB_ETL_API_URL") or None
    if url is not None and (fault := fault_of(url)):
        raise WrongParameterError(parameter="CFPB_ETL_API_URL", reason=fault)
    return url and keep(url)


def refuse_same_file(parameter: str, path: Path, database: Path) -> None:
    """Raise an error if a path leads to the database.

    Raises:
        WrongParameterError: If both are the same file.
    """
    if path.resolve() == database.resolve():
        raise WrongParameterError(parameter=parameter, reason="is the same file as the database")
