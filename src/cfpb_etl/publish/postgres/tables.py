"""Creates, upgrades and drops the tables and views of the schema `cfpb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from cfpb_etl.publish.postgres.schema import (
    EXPORT,
    PRODUCTS,
    SCHEMA,
    TYPES,
    comment_sqls,
    create_table_sql,
    index_sqls,
    own_tables,
    own_views,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import psycopg

    from cfpb_etl.publish.postgres.contents import Contents

_GRANTS = """
    SELECT FORMAT('GRANT %%s ON %%s TO %%s%%s', privilege_type, pg_class.oid::regclass,
        CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE QUOTE_IDENT(PG_GET_USERBYID(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_class, ACLEXPLODE(relacl)
    WHERE pg_class.oid = %s::regclass AND grantee <> relowner
"""


def wanted_tables(selected: Iterable[str]) -> list[str]:
    """Return the tables that an export of these tables needs.

    The table `load` says which loads the target has. The views read `product_today`.
    """
    names = [*dict.fromkeys((*selected, "load"))]
    return [*names, PRODUCTS, EXPORT.name] if "complaint" in names else [*names, EXPORT.name]


def create_tables(
    connection: psycopg.Connection, contents: Contents, wanted: Iterable[str]
) -> list[str]:
    """Create the schema and the tables that are missing, and return their names.

    A table gets its key and indexes with `create_indexes`, because COPY is faster without them.
    """
    if not contents.exists:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(
            f"COMMENT ON SCHEMA {SCHEMA} IS 'consumer complaints of CFPB, exported by cfpb-etl'"
        )
    created = [name for name in wanted if name not in contents.kinds]
    for name in created:
        connection.execute(create_table_sql(own_tables()[name]))
        describe(connection, name)
    return created


def create_indexes(connection: psycopg.Connection, table: str, existing: Collection[str]) -> None:
    """Create the key and the indexes of a table that do not exist."""
    for index, statement in index_sqls(table).items():
        if index not in existing:
            connection.execute(statement)


def create_views(connection: psycopg.Connection, existing: Collection[str]) -> None:
    """Create the views that do not exist."""
    for view, statement in own_views().items():
        if view not in existing:
            connection.execute(statement)
            describe(connection, view)


def describe(connection: psycopg.Connection, name: str) -> None:
    """Describe a table or a view, and its columns."""
    connection.execute(sql.SQL("; ").join(comment_sqls(name)))


def upgrade(connection: psycopg.Connection, contents: Contents) -> list[str]:
    """Give the tables of an older version today's columns, and drop its views.

    Returns:
        The statements that give others the permissions that they had on the views.
    """
    last = contents.last.contents if contents.last is not None else {}
    views = [name for name in last if contents.kinds.get(name) == "v"]
    grants = [
        grant
        for name in views
        for (grant,) in connection.execute(_GRANTS, (f"{SCHEMA}.{name}",)).fetchall()
    ]
    _drop_views(connection, views)
    for name, table in own_tables().items():
        if not contents.has_own(name):
            continue
        columns = {each.name: TYPES[each.kind] for each in table.columns}
        changes: list[sql.Composable] = [
            sql.SQL("DROP COLUMN {}").format(sql.Identifier(column))
            for column in last[name]
            if column not in columns and column in contents.columns[name]
        ]
        changes += [
            sql.SQL(f"ADD COLUMN {column} {kind}")
            for column, kind in columns.items()
            if column not in contents.columns[name]
        ]
        if changes:
            connection.execute(
                sql.SQL("ALTER TABLE {} {}").format(
                    sql.Identifier(SCHEMA, name), sql.SQL(", ").join(changes)
                )
            )
        describe(connection, name)
    return grants


def drop_others(
    connection: psycopg.Connection, contents: Contents, wanted: Collection[str]
) -> list[str]:
    """Drop the tables of the last export that this export does not have, and return their names."""
    tables = [each for each in own_tables() if contents.has_own(each) and each not in wanted]
    if "complaint" in tables:
        _drop_views(connection, [each for each in own_views() if contents.has_own(each)])
    for name in tables:
        connection.execute(f"DROP TABLE {SCHEMA}.{name}")
    return tables


def _drop_views(connection: psycopg.Connection, names: Iterable[str]) -> None:
    """Drop views of this program, which can use each other."""
    views = [sql.Identifier(SCHEMA, name) for name in names]
    if views:
        connection.execute(sql.SQL("DROP VIEW {}").format(sql.SQL(", ").join(views)))
