"""Creates Prefect's database without Prefect's first hundred migrations."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

_STATEMENTS = Path(__file__).with_name("prefect_database.sql")


def create_database(path: Path) -> None:
    """Create Prefect's database, empty and as of Prefect 3.8, unless the file has tables.

    Prefect then runs only its newer migrations. It needs four seconds for all of them, and this
    function some milliseconds. One transaction creates all tables or none. If the file cannot be
    written, nothing is raised here, because Prefect raises its own error.
    """
    if path.exists():
        return
    statements = _STATEMENTS.read_text("utf-8").split(";\n")
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in statements:
                database.execute(statement)
        database.execute("COMMIT")
