"""The examples of docs/scale.md: run each one, and return its five answers with their times.

A run has a line of its own before each question, and another one in place of the last `print`.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cfpb_etl.show.questions import QUESTIONS
from support import PYTHONPATH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.postgres import PostgresDatabase

FOLDER = "complaints-parquet"
PYTHON = ("DuckDB", "pandas", "polars", "Dask")
POSTGRES = "PostgreSQL"

_PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
_QUESTION = re.compile(r"^( *)# \d\. ", re.MULTILINE)
_QUESTION_IN_SQL = re.compile(r"^-- \d\. .*$", re.MULTILINE)
_LAST = re.compile(r"^( *)print\((.*), sep=\"\\n\"\)$", re.MULTILINE)
_LIMIT = re.compile(r"\b(LIMIT |head\(|nlargest\()[35]\b")

_marks: list[float] = []  # in the process of an example


class Answers(NamedTuple):
    """The answers to the five questions.

    Attributes:
        rows: The rows of each answer, with days as texts.
        seconds: The time before the first question, and the time of each question.
    """

    rows: list[list[list[Any]]]
    seconds: list[float]


def examples() -> dict[str, str]:
    """Return the example of each engine, by the title of its section."""
    sections = _PAGE.read_text("utf-8").split("\n## ")[1:]
    found = {}
    for section in sections:
        title, _, text = section.partition("\n")
        if block := re.search(r"```(python|sql)\n(.*?)```", text, re.DOTALL):
            found[title] = block[2]
    return found


def without_limits(statements: str) -> str:
    """Return statements or a program that answer with all rows."""
    return _LIMIT.sub(r"\g<1>1000000", statements)


def run_python(code: str, folder: Path) -> Answers:
    """Run an example as a file of a folder that has the exported folder in it."""
    code, questions = _QUESTION.subn(r"\1support.scale.mark()\n\g<0>", code)
    code, ends = _LAST.subn(r"\1support.scale.print_answers(\2)", code)
    assert (questions, ends) == (5, 1)
    program = folder / "example.py"  # Dask starts processes that need the file
    program.write_text(f"import support.scale\nsupport.scale.mark()\n{code}", "utf-8")
    warnings = "default" if "dask" in code else "error"  # Dask uses what pandas has deprecated
    ended = subprocess.run(
        [sys.executable, "-W", warnings, program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    return Answers(**json.loads(ended.stdout))


def run_postgres(statements: str, database: PostgresDatabase) -> Answers:
    """Run the statements of the PostgreSQL example."""
    mark()
    with closing(database.connect()) as connection:
        setting, *questions = _QUESTION_IN_SQL.split(statements)
        connection.execute(setting.encode())
        rows = []
        for each in questions:
            mark()
            rows.append(_plain(connection.execute(each.encode()).fetchall()))
        return Answers(rows, _times())


def ask_sqlite(database: Path, *, limits: bool = True) -> Answers:
    """Ask the questions of docs/reading.md.

    The words around what was found are left out: only SQLite has the function that cuts them out.
    """
    mark()
    with closing(sqlite3.connect(database)) as connection:
        rows = []
        for question in QUESTIONS:
            mark()
            sql = question.sql if limits else without_limits(question.sql)
            found = connection.execute(sql).fetchall()
            rows.append(_plain(row[:2] if "SNIPPET" in sql else row for row in found))
        return Answers(rows, _times())


def mark() -> None:
    """Remember the time."""
    _marks.append(time.monotonic())


def print_answers(*answers: Any) -> None:
    """Print the answers and the times as JSON. Each answer is a list or a frame."""
    seconds = _times()
    rows = []
    for answer in answers:
        if hasattr(answer, "iter_rows"):  # polars
            rows.append(_plain(answer.rows()))
        elif hasattr(answer, "itertuples"):  # pandas
            objects = answer.astype(object)
            rows.append(_plain(objects.where(objects.notna(), None).itertuples(index=False)))
        else:
            rows.append(_plain(answer))
    print(json.dumps(Answers(rows, seconds)._asdict()))


def _times() -> list[float]:
    mark()
    seconds = [after - before for before, after in pairwise(_marks)]
    _marks.clear()
    return seconds


def _plain(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    return [[_plain_value(value) for value in row] for row in rows]


def _plain_value(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int)) else float(value)
