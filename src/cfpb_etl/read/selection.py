"""What is read from a database: tables, rows and columns, and the statements that read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cfpb_etl.model.query import Query
from cfpb_etl.read.filters import conditions_of
from cfpb_etl.read.tables import NAMES, NARRATIVE, tables

if TYPE_CHECKING:
    from cfpb_etl.read.tables import Column


class Statement(NamedTuple):
    """A SELECT statement.

    Attributes:
        sql: The statement.
        values: The values of its parameters.
        columns: The columns that it returns.
    """

    sql: str
    values: list[str]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Selection:
    """What is read from a database.

    Attributes:
        query: Filters of complaints. Changes are those of the complaints that match.
        tables: The names of the tables.
        narratives: Whether narratives are read, and changes of narratives.
        columns: The names of the columns of `complaint`; None for all.
    """

    query: Query = field(default_factory=Query)
    tables: tuple[str, ...] = NAMES
    narratives: bool = True
    columns: tuple[str, ...] | None = None

    def columns_of(self, table: str) -> tuple[Column, ...]:
        """Return the columns of a table that are read."""
        columns = tables()[table].columns
        if table != "complaint":
            return columns
        if self.columns is not None:
            by_name = {each.name: each for each in columns}
            columns = tuple(by_name[name] for name in self.columns)
        return tuple(each for each in columns if self.narratives or each.name != NARRATIVE)

    def statement(self, table: str) -> Statement:
        """Return the statement that reads a table in its order.

        Of complaints, it sorts only the ids, because complaints with narratives could need more
        memory than the computer has.
        """
        columns = self.columns_of(table)
        names = ", ".join(each.name for each in columns)
        order = ", ".join(tables()[table].order)
        condition, values = self.condition(table)
        if table == "complaint":
            # With a limit, SQLite must sort the ids first. CROSS JOIN then keeps their order
            # (https://www.sqlite.org/optoverview.html section 8.2).
            sql = (
                f"SELECT {names} FROM (SELECT complaint_id AS id FROM complaint WHERE {condition}"  # noqa: S608 - our names
                f" ORDER BY {order} LIMIT -1) AS selected"
                " CROSS JOIN complaint ON complaint.complaint_id = selected.id"
            )
        else:
            sql = f"SELECT {names} FROM {table} WHERE {condition} ORDER BY {order}"  # noqa: S608 - our names
        return Statement(sql, values, columns)

    def count_statement(self, table: str) -> Statement:
        """Return the statement that counts the rows of a table."""
        condition, values = self.condition(table)
        return Statement(f"SELECT COUNT(*) FROM {table} WHERE {condition}", values, ())  # noqa: S608 - our names

    def condition(self, table: str) -> tuple[str, list[str]]:
        """Return the SQL condition on the rows of a table, and the values of its parameters."""
        conditions, values = conditions_of(self.query)
        matching = " AND ".join(conditions) or "1"
        if table == "complaint":
            return matching, values
        if table == "load":
            return "1", []
        condition = (
            f"complaint_id IN (SELECT complaint_id FROM complaint WHERE {matching})"  # noqa: S608 - our names
            if conditions
            else "1"
        )
        return (
            condition if self.narratives else f"{condition} AND column_name <> '{NARRATIVE}'",
            values,
        )
