"""A schema that an older version has written is brought to today's tables and views."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from cfpb_etl.publish.postgres.errors import AddedObjectError
from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.read.selection import Selection
from publish.postgres.test_refusals import user
from support.loads import load_file
from support.parts import complaints
from support.postgres_rows import assert_same_rows

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import PostgresDatabase

pytestmark = pytest.mark.slow

EVERYTHING = Selection()
# What an older version could have had: other columns, comments and views, and no index.
OLDER = (
    "DROP VIEW cfpb.narratives, cfpb.complaints_by_state",
    "ALTER TABLE cfpb.complaint DROP COLUMN tags",
    "ALTER TABLE cfpb.complaint ADD COLUMN label text",
    "UPDATE cfpb.complaint SET label = 'old', timely = 'Yes'",
    "ALTER TABLE cfpb.load ADD COLUMN retries bigint NOT NULL DEFAULT 0",
    "DROP INDEX cfpb.complaint_company",
    "CREATE VIEW cfpb.complaints_by_state AS SELECT 'CA' AS region, 1 AS number",
    "CREATE VIEW cfpb.complaints_by_label AS SELECT label FROM cfpb.complaint",
    "COMMENT ON COLUMN cfpb.complaint.state IS 'an older comment'",
    """UPDATE cfpb.export SET schema_number = 7, program_version = '0.0.1', contents =
        jsonb_set(jsonb_set(contents::jsonb - 'narratives' || '{"complaints_by_label": []}',
            '{complaint}', (contents::jsonb -> 'complaint') - 'tags' || '["label"]'),
            '{load}', (contents::jsonb -> 'load') || '["retries"]')::text""",
)


def test_an_older_schema(path: Path, target: PostgresDatabase) -> None:
    """Columns, views, indexes and comments are those of today, and all rows are compared."""
    load_file(path, *complaints(1, 2, tags="Servicemember", timely="No"))
    export_postgres(path, target.url(), EVERYTHING)
    fresh = described(target)
    target.execute(*OLDER, "ALTER TABLE cfpb.complaint ADD COLUMN mine bigint DEFAULT 5")

    stats = export_postgres(path, target.url(), EVERYTHING)

    assert stats.notes == ("All rows were compared, because cfpb-etl 0.0.1 had other tables.",)
    assert_same_rows(path, target)
    after = described(target)
    assert after.pop("complaint.mine") is None
    assert after == fresh
    assert target.query("SELECT DISTINCT mine FROM cfpb.complaint") == [(5,)]
    assert target.query("SELECT indexname FROM pg_indexes WHERE indexname = 'complaint_company'")
    assert export_postgres(path, target.url(), EVERYTHING).notes == ()


def described(target: PostgresDatabase) -> dict[str, str | None]:
    """Return the comment of each column of a table or view."""
    return dict(
        target.query(
            "SELECT relname || '.' || attname, COL_DESCRIPTION(pg_class.oid, attnum)"
            " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relnamespace = 'cfpb'::regnamespace AND relkind IN ('r', 'v')"
            " AND attnum > 0 AND NOT attisdropped"
        )
    )


def test_permissions_on_the_views_stay(path: Path, target: PostgresDatabase) -> None:
    """Who could read a view can read it after the upgrade."""
    load_file(path, *complaints(1, 2))
    export_postgres(path, target.url(), EVERYTHING)
    grants = ("USAGE ON SCHEMA cfpb", "SELECT ON cfpb.complaints_by_company")
    with user(target, f"CONNECT ON DATABASE {target.name}", *grants) as url:
        target.execute(*OLDER)
        export_postgres(path, target.url(), EVERYTHING)

        with closing(psycopg.connect(url, autocommit=True)) as reader:
            counted = reader.execute("SELECT complaints FROM cfpb.complaints_by_company").fetchall()
            assert counted == [(2,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute("SELECT * FROM cfpb.complaints_by_state")


def test_a_view_on_an_older_view(path: Path, target: PostgresDatabase) -> None:
    """A user's view on a view that must be replaced is named, and nothing is changed."""
    load_file(path, *complaints(1, 2))
    export_postgres(path, target.url(), EVERYTHING)
    target.execute(*OLDER, "CREATE VIEW public.mine AS SELECT * FROM cfpb.complaints_by_state")

    with pytest.raises(AddedObjectError, match=r"view public\.mine depends on view"):
        export_postgres(path, target.url(), EVERYTHING)

    assert target.query("SELECT region FROM public.mine") == [("CA",)]
    target.execute("DROP VIEW public.mine")
    export_postgres(path, target.url(), EVERYTHING)
    assert_same_rows(path, target)
