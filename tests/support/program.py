"""The program, run in a second process as users run it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

PROGRAM = [sys.executable, "-m", "cfpb_etl.flow"]


def run_program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def environment_without_coverage() -> dict[str, str]:
    """Return the environment without the variables that start coverage in a process.

    A signal can raise its exception while coverage holds a lock. The lock then stays locked.
    """
    return {name: value for name, value in os.environ.items() if "COV" not in name}


def query(database: str, sql: str) -> list[Any]:
    """Query a database in the current folder."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()
