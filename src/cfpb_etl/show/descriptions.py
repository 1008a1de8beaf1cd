"""What each table, view and column holds, as the comments of the schema itself say."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import NamedTuple

from cfpb_etl.store.tables import MIGRATIONS

# Behind a column of a table, or in a view behind what is selected; and of a column added later.
_COMMENTED = re.compile(r"^ *(?P<before>\S.*?) *-- *(?P<words>.+)$", re.MULTILINE)
_ADDED = re.compile(r"(?P<name>\w+) [A-Z][^,/]*/\* (?P<words>.*?) \*/")


class Description(NamedTuple):
    """What a table or a view holds.

    Attributes:
        words: What a row of it is.
        columns: What each column holds, by its name.
    """

    words: str
    columns: dict[str, str]


def descriptions() -> dict[str, Description]:
    """Return what the tables and views of the newest schema hold, by their names.

    The database that is read may be older: its comments are those of the version that made it.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        for migrate in MIGRATIONS:
            migrate(connection)
        made = connection.execute(
            "SELECT name, sql FROM sqlite_schema"
            " WHERE type IN ('table', 'view') AND sql LIKE 'CREATE %' AND INSTR(sql, '--')"
        ).fetchall()
    return {name: _described(sql) for name, sql in made}


def _described(sql: str) -> Description:
    head, *rows = _COMMENTED.finditer(sql)
    is_view = head["before"].startswith("CREATE VIEW")
    columns = {}
    for row in rows:
        names = re.findall(r"\w+", row["before"])
        columns[names[-1 if is_view else 0]] = row["words"]
    columns |= {row["name"]: row["words"] for row in _ADDED.finditer(sql)}
    return Description(head["words"], columns)
