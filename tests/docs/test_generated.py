"""The generated blocks of the documents are what the program prints today."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cfpb_etl.show.questions import QUESTIONS

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
_BLOCK = re.compile(r"<!-- generated: ([a-z-]+) -->\n```\w+\n(.*?)\n```\n", re.DOTALL)


def blocks(name: str) -> set[str]:
    """Return the distinct texts that stand in the documents under a name."""
    pages = [page.read_text("utf-8") for page in PAGES]
    return {text for page in pages for found, text in _BLOCK.findall(page) if found == name}


@pytest.mark.parametrize(
    ("name", "arguments"), [("options", ["--help"]), ("export-options", ["export", "--help"])]
)
def test_the_options(name: str, arguments: list[str]) -> None:
    """docs/options.md has what --help prints."""
    printed = subprocess.run(
        [sys.executable, "-m", "cfpb_etl.flow", *arguments],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert blocks(name) == {"\n".join(map(str.rstrip, printed.strip().splitlines()))}


def test_the_questions() -> None:
    """docs/reading.md asks the questions that `cfpb-etl browse` has, in their order."""
    text = (ROOT / "docs" / "reading.md").read_text("utf-8")
    asked = re.findall(r"^### (.*\?)$", text, re.MULTILINE)

    assert asked == [each.title for each in QUESTIONS]
    assert [blocks(f"question-{each.name}") for each in QUESTIONS] == [
        {each.sql} for each in QUESTIONS
    ]


@pytest.mark.slow
def test_a_run_of_the_sample(tmp_path: Path) -> None:
    """The sample's summary and the answers in the documents are those of a run."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "refresh.py", "--check"],
        env={**os.environ, "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stdout == ""
    assert done.returncode == 0, done.stderr
