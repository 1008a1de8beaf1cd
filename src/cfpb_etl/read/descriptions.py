"""Descriptions of tables, views and columns, read from the comments in the schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

_COMMENTED = re.compile(r"^ *(?P<code>\S.*?) *-- *(?P<comment>.+)$", re.MULTILINE)


class Description(NamedTuple):
    """The description of a table or a view.

    Attributes:
        text: What one row contains.
        columns: What each column contains, by column name.
    """

    text: str
    columns: dict[str, str]


def read_descriptions(connection: sqlite3.Connection) -> dict[str, Description]:
    """Return the descriptions of a database's commented tables and views, by name.

    SQLite keeps the comments within a statement. The first comment describes the table or view.
    Each other comment describes the column that its line defines. In the SQL of a table, a line
    starts with the column's name. In the SQL of a view, it ends with the name.
    """
    statements = connection.execute(
        "SELECT name, sql, type = 'view' FROM sqlite_schema"
        " WHERE type IN ('table', 'view') AND INSTR(sql, '--')"
    )
    descriptions = {}
    for name, sql, is_view in statements:
        lines = [(re.findall(r"\w+", code), text) for code, text in _COMMENTED.findall(sql)]
        columns = {words[-1 if is_view else 0]: text for words, text in lines[1:] if words}
        if lines:
            descriptions[name] = Description(lines[0][1], columns)
    return descriptions
