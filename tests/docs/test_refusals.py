"""docs/troubleshooting.md has each message about a file that is refused."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch import csv_file
from cfpb_etl.fetch.errors import (
    SAVE_AS_CSV,
    UNPACK,
    FileError,
    NoArchiveError,
    NotACsvError,
    UnreadableFileError,
)
from cfpb_etl.fetch.unpack import zips
from cfpb_etl.parse.errors import UncertainDatesError
from cfpb_etl.store.errors import ContradictedAgeError, TooManyWithdrawnError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.errors import CfpbEtlError

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "cfpb_etl"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8").replace("`", "")
WORDS = " ".join(PAGE.split())
# The modules that say what is wrong with a file, or why a file is a part.
MODULES = (
    PACKAGE / "fetch" / "csv_file.py",
    *(PACKAGE / "fetch" / "unpack").glob("*.py"),
    PACKAGE / "parse" / "csv_format" / "header.py",
    PACKAGE / "model" / "file.py",
    PACKAGE / "store" / "merge" / "coverage.py",
)
_START = re.compile(r"(it|its|a filter|is damaged|is followed|ends|unpacks)\s")


def longest_words(pieces: list[str]) -> str:
    """Return the longest fixed words of a template."""
    return max((piece.strip(" :,.(") for piece in pieces), key=len)


def faults(module: Path) -> Iterator[str]:
    """Yield the words with which a module says what is wrong with a file."""
    nodes = [*ast.walk(ast.parse(module.read_text("utf-8")))]
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    for node in nodes:
        texts: list[ast.expr] = []
        if isinstance(node, ast.JoinedStr):
            texts = node.values
        elif isinstance(node, ast.Constant) and id(node) not in inner:
            texts = [node]
        pieces = [str(each.value) for each in texts if isinstance(each, ast.Constant)]
        if pieces and _START.match(pieces[0]):
            yield longest_words(pieces)


def errors_of_files() -> list[type[CfpbEtlError]]:
    """Return the error classes that a file can raise and that have a message of their own."""

    def below(kind: type[CfpbEtlError]) -> Iterator[type[CfpbEtlError]]:
        for subclass in kind.__subclasses__():
            yield subclass
            yield from below(subclass)

    found = {*below(FileError), ContradictedAgeError, NoArchiveError, TooManyWithdrawnError}
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", errors_of_files(), ids=lambda kind: kind.__name__)
def test_each_error_of_a_file(kind: type[CfpbEtlError]) -> None:
    """The fixed words of its message are on the page."""
    assert longest_words(re.split(r"\{[^}]*\}", kind.problem)) in WORDS


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_fault(module: Path) -> None:
    """What the code can say about a file is on the page."""
    assert [words for words in faults(module) if words not in WORDS] == []


def test_faults_are_found() -> None:
    """The code is searched in the right way: known faults are found, also in f-strings."""
    found = {words for module in MODULES for words in faults(module)}

    assert found >= {"it is empty", "it is an encrypted zip", "its days start on"}
    assert {NotACsvError, UncertainDatesError, UnreadableFileError} <= {*errors_of_files()}


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        *((kind, advice) for _, kind, advice in (*csv_file._KINDS, *csv_file._TEXTS)),
        *((kind, SAVE_AS_CSV) for kind in zips._DOCUMENTS.values()),
        *((kind, UNPACK) for kind in zips._OTHER_METHODS.values()),
    ],
)
def test_each_kind_of_file_that_is_no_csv(kind: str, advice: str) -> None:
    """The page names the kind, with the advice that the program gives, in one row of a table."""
    rows = [row for row in PAGE.splitlines() if row.startswith("|") and kind in row]

    assert any(advice in row for row in rows)
