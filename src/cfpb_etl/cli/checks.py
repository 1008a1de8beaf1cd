"""The types of the options that only some commands have, and their checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cfpb_etl.parameters.checks import api_address, file_path, picture_path
from cfpb_etl.parameters.load_parameters import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable


def _database(path: Path) -> None:
    """Raise ValueError unless a file exists at the path."""
    file_path(path)
    if not path.exists():
        sample = f", or use --database {SAMPLE}" if SAMPLE.exists() else ""
        raise ValueError(f"{str(path)!r} does not exist; load complaints into it first{sample}")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file")


def _page(path: Path) -> None:
    """Raise ValueError unless a web page can be written to the path."""
    file_path(path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"{str(path)!r} must end in .html")


def _checked_by(check: Callable[[Any], object]) -> Parameter:
    def validate(_type: object, value: object) -> None:
        if value is not None:
            check(value)

    return Parameter(validator=validate)


ApiUrl = Annotated[str | None, _checked_by(api_address), Parameter(metavar="URL")]
Database = Annotated[Path, _checked_by(_database)]
Page = Annotated[Path, _checked_by(_page)]
Picture = Annotated[Path, _checked_by(picture_path)]
