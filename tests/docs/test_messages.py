"""docs/troubleshooting.md has a heading for each message that a run can end with."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING

import pytest

import cfpb_etl
from cfpb_etl.errors import CfpbEtlError
from docs.test_refusals import PAGE, errors_of_files, longest_words

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADINGS = [line.lstrip("# ") for line in PAGE.splitlines() if line.startswith("### ")]
# No run ends with these: each is part of another error's message, or has its words from the caller.
PARTS = {
    *("DatabaseError", "InvalidFieldError", "InvalidTextError"),
    *("NetworkSettingError", "PrefectGoneError", "RetriableError"),
}
FROM_THE_CALLER = {
    "NotADatabaseError": ["is damaged or is not SQLite", "is another program's SQLite file"],
    "PictureError": ["The picture could not be"],
    "WrongParameterError": ["wrong command"],
}


def other_errors() -> Iterator[type[CfpbEtlError]]:
    """Yield the error classes that no file of complaints raises."""
    for module in pkgutil.walk_packages(cfpb_etl.__path__, "cfpb_etl."):
        if module.name.rpartition(".")[2] in ("errors", "checks", "query"):
            importlib.import_module(module.name)
    kinds = [CfpbEtlError]
    while kinds:
        kinds += (kind := kinds.pop()).__subclasses__()
        if kind.__module__.startswith("cfpb_etl.") and kind.__name__ not in PARTS:
            yield kind


ERRORS = sorted({*other_errors()} - {*errors_of_files(), CfpbEtlError}, key=lambda k: k.__name__)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_each_error(kind: type[CfpbEtlError]) -> None:
    """A heading has the fixed words of its message."""
    words = FROM_THE_CALLER.get(kind.__name__) or [
        longest_words(re.split(r"\{[^}]*\}", kind.problem))
    ]
    missing = [each for each in words if not any(each in heading for heading in HEADINGS)]

    assert missing == []


def test_errors_are_found() -> None:
    """The errors of each stage are among them."""
    assert {"UnreachableError", "DatabaseInUseError", "PrefectNotStartedError"} <= {
        kind.__name__ for kind in ERRORS
    }
