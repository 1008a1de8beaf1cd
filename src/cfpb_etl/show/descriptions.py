"""What each table, view and column contains, from the comments in the schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlite3

_COMMENTED = re.compile(r"^ *(?P<code>\S.*?) *-- *(?P<comment>.+)$", re.MULTILINE)


class Description(NamedTuple):
    """What a table or a view contains.

    Attributes:
        text: What one row is.
        columns: What each column contains, by its name.
    """

    text: str
    columns: dict[str, str]


def read_descriptions(connection: sqlite3.Connection) -> dict[str, Description]:
    """Return what each commented table and view of a database contains, by its name.

    SQLite keeps the comments within a statement. The first one describes the table; each further
    one describes the column that its line defines: the first word in a table, the last in a view.
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
