"""What the schema `cfpb` of a target contains, and whether this program has written it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql
from psycopg.rows import dict_row

from cfpb_etl import __version__
from cfpb_etl.plain_text import listed
from cfpb_etl.publish.postgres.errors import ForeignSchemaError, NewerSchemaError
from cfpb_etl.publish.postgres.schema import EXPORT, LAYOUT, SCHEMA, TYPES, own_tables, own_views
from cfpb_etl.read.provenance import LICENSE, Provenance
from cfpb_etl.store.sqlite_file import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from cfpb_etl.publish.postgres.session import Target

_TABLE, _VIEW, _INDEX = "r", "v", "i"
_OF_SCHEMA = "relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)"
_RELATIONS = f"SELECT relname, relkind::text FROM pg_class WHERE {_OF_SCHEMA}"
_COLUMNS = f"""
    SELECT relname, attname,
        FORMAT_TYPE(atttypid, NULL) || COALESCE(' COLLATE ' || QUOTE_IDENT(collname), '')
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    WHERE {_OF_SCHEMA} AND relkind = '{_TABLE}' AND attnum > 0 AND NOT attisdropped
"""


class Export(NamedTuple):
    """What an export has written, as the schema remembers it.

    Attributes:
        number: The numbers of the schema of SQLite and of this layout.
        version: The version of the program.
        selection: What was selected, as JSON.
        contents: The columns of each table of this program, and an empty list for each view.
        is_sample: Whether its complaints are made up.
    """

    number: tuple[int, int]
    version: str
    selection: str
    contents: dict[str, list[str]]
    is_sample: bool


class Contents(NamedTuple):
    """What the schema contains.

    Attributes:
        exists: Whether there is such a schema.
        kinds: The kind of each relation: table, view, index or another.
        columns: The columns of each table, with their types.
        last: What the last export has written; None before the first export.
    """

    exists: bool
    kinds: dict[str, str]
    columns: dict[str, dict[str, str]]
    last: Export | None

    @property
    def is_older(self) -> bool:
        """Say whether an older version of this program has written the schema."""
        return self.last is not None and self.last.number < (SCHEMA_VERSION, LAYOUT)

    def has_own(self, name: str) -> bool:
        """Say whether the schema has a table or view of this program."""
        return name in self.kinds and self.last is not None and name in self.last.contents


def read_contents(target: Target) -> Contents:
    """Return what the schema contains.

    Raises:
        ForeignSchemaError: If another program has written or changed it.
        NewerSchemaError: If a newer version of this program has written it.
    """
    connection = target.connection
    exists = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,))
    kinds: dict[str, str] = dict(connection.execute(_RELATIONS, (SCHEMA,)).fetchall())
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(_COLUMNS, (SCHEMA,)):
        columns.setdefault(table, {})[column] = kind
    try:
        last = _read_last(connection) if _is_own(EXPORT.name, columns) else None
    except (AttributeError, TypeError, ValueError):
        changed = f"has a table {EXPORT.name} that was changed"
        raise ForeignSchemaError(target=target.name, detail=changed) from None
    contents = Contents(exists.fetchone() is not None, kinds, columns, last)
    if last is not None and last.number > (SCHEMA_VERSION, LAYOUT):
        raise NewerSchemaError(target=target.name, version=last.version)
    detail = _foreign(contents)
    if detail is not None:
        raise ForeignSchemaError(target=target.name, detail=detail)
    return contents


def _is_own(table: str, columns: dict[str, dict[str, str]]) -> bool:
    """Say whether a table has at least the columns that this program gives it."""
    wanted = {each.name: TYPES[each.kind] for each in own_tables()[table].columns}
    return wanted.items() <= columns.get(table, {}).items()


def _read_last(connection: psycopg.Connection) -> Export | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        row: Any = cursor.execute(f"SELECT * FROM {SCHEMA}.{EXPORT.name}").fetchone()
    if row is None:
        return None
    number = int(row["schema_number"]), int(row["layout"])
    contents = {name: [*map(str, columns)] for name, columns in json.loads(row["contents"]).items()}
    return Export(
        number, row["program_version"], row["selection"], contents, bool(row["is_sample"])
    )


def _foreign(contents: Contents) -> str | None:
    """Return what others have created or changed where this program writes; None if nothing."""
    if contents.last is None:
        others = [name for name, kind in contents.kinds.items() if kind != _INDEX]
        if not others:
            return None
        return f"has tables or views that cfpb-etl did not create ({listed(sorted(others))})"
    for name in (*own_tables(), *own_views()):
        if name not in contents.kinds:
            continue
        is_view = name in own_views()
        if not contents.has_own(name) or contents.kinds[name] != (_VIEW if is_view else _TABLE):
            return f"has a table or view {name} that cfpb-etl did not create"
        if is_view:
            continue
        columns = contents.columns.get(name, {})
        for column in own_tables()[name].columns:
            if column.name not in columns and contents.is_older:
                continue
            if columns.get(column.name) != TYPES[column.kind]:
                return f"has a table {name} whose column {column.name} was changed"
    return None


def remember(
    connection: psycopg.Connection,
    database: Path,
    selection: str,
    provenance: Provenance,
    tables: list[str],
) -> None:
    """Write what this export has written."""
    contents = {name: [each.name for each in own_tables()[name].columns] for name in tables}
    if "complaint" in tables:
        contents |= {view: [] for view in own_views()}
    row = {
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "program_version": __version__,
        "schema_number": SCHEMA_VERSION,
        "layout": LAYOUT,
        "database_file": database.name,
        "selection": selection,
        "sources": ", ".join(provenance.sources),
        "newest_load_id": provenance.load_id,
        "as_of": provenance.as_of,
        "is_sample": int(provenance.is_sample),
        "license": LICENSE,
        "contents": json.dumps(contents),
    }
    table = sql.Identifier(SCHEMA, EXPORT.name)
    connection.execute(sql.SQL("DELETE FROM {}").format(table))
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            table,
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(map(sql.Placeholder, row)),
        ),
        row,
    )
