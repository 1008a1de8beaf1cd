"""What prevents an export is named with what to do, and the target stays as it was."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from cfpb_etl.model.query import Query
from cfpb_etl.publish.errors import ExportError, TargetNotWrittenError
from cfpb_etl.publish.postgres import session
from cfpb_etl.publish.postgres.errors import (
    AddedObjectError,
    ConnectionLostError,
    ForeignSchemaError,
    NewerSchemaError,
    NoConnectionError,
    NotAllowedError,
    ReadOnlyServerError,
    TargetInUseError,
    TimeLimitError,
    UnsuitableServerError,
)
from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.read.selection import Selection
from support.loads import load, load_file
from support.parts import JANUARY, JUNE, complaint, complaints, part
from support.postgres_rows import assert_same_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.source import SourceKind
    from support.postgres import PostgresDatabase, PostgresServer

pytestmark = pytest.mark.slow

EVERYTHING = Selection()
ROWS = complaints(1, 2, 3, state="CA")
SNAPSHOT = """
    SELECT relname, relkind::text, relfilenode, OBJ_DESCRIPTION(oid) FROM pg_class
    WHERE relnamespace = 'cfpb'::regnamespace ORDER BY 1
"""


@pytest.fixture
def database(path: Path) -> Path:
    """Return a database with three complaints."""
    load_file(path, *ROWS, as_of=JANUARY)
    return path


@pytest.fixture
def exported(database: Path, target: PostgresDatabase) -> Path:
    """Return a database that was exported, and has a newer load."""
    export_postgres(database, target.url(), EVERYTHING)
    load_file(database, ROWS[0]._replace(state="NY"), *ROWS[1:], complaint(4), as_of=JUNE)
    return database


def refusal(path: Path, url: str, kind: type[ExportError]) -> str:
    """Return the message of an export that is refused."""
    with pytest.raises(kind) as refused:
        export_postgres(path, url, EVERYTHING)
    assert type(refused.value) is kind
    return str(refused.value)


# --- the schema -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TABLE cfpb.complaint (complaint_id bigint)", "complaint"),
        ("CREATE TABLE cfpb.export (exported_at text)", "export"),
        ("CREATE VIEW cfpb.mine AS SELECT 1 AS one", "mine"),
        ("CREATE SEQUENCE cfpb.numbers", "numbers"),
    ],
)
def test_a_schema_of_another_program(
    database: Path, target: PostgresDatabase, statement: str, name: str
) -> None:
    """A schema with anything that this program did not create is refused, and not changed."""
    target.execute("CREATE SCHEMA cfpb", statement)
    before = target.query(SNAPSHOT)

    message = refusal(database, target.url(), ForeignSchemaError)

    assert f"tables or views that cfpb-etl did not create ({name})" in message
    assert target.query(SNAPSHOT) == before


@pytest.mark.parametrize("kinds", [("sample", "api"), ("api", "sample")])
def test_made_up_and_real_complaints(
    path: Path, tmp_path: Path, target: PostgresDatabase, kinds: tuple[SourceKind, SourceKind]
) -> None:
    """An export never replaces one kind of complaints by the other."""
    other = tmp_path / "other.db"
    for database, kind in zip((path, other), kinds, strict=True):
        load(database, part(complaint(1)), kind=kind)
    export_postgres(path, target.url(), EVERYTHING)
    before = target.query(SNAPSHOT)

    message = refusal(other, target.url(), ForeignSchemaError)

    assert "made-up" in message
    assert str(other) in message
    assert target.query(SNAPSHOT) == before


def test_an_empty_schema_is_used(database: Path, target: PostgresDatabase) -> None:
    """An administrator can create the schema for a user who may not create schemas."""
    target.execute("CREATE SCHEMA cfpb")

    export_postgres(database, target.url(), EVERYTHING)

    assert_same_rows(database, target)


@pytest.mark.parametrize(
    ("statements", "detail"),
    [
        (
            ["ALTER TABLE cfpb.complaint DROP COLUMN complaint_what_happened CASCADE"],
            "has a table complaint whose column complaint_what_happened was changed",
        ),
        (
            ["ALTER TABLE cfpb.load ALTER parts TYPE integer"],
            "has a table load whose column parts was changed",
        ),
        (
            ['ALTER TABLE cfpb.complaint ALTER tags TYPE text COLLATE "POSIX"'],
            "has a table complaint whose column tags was changed",
        ),
        (
            ["DROP VIEW cfpb.narratives", "CREATE TABLE cfpb.narratives (narrative text)"],
            "has a table or view narratives that cfpb-etl did not create",
        ),
        (["DELETE FROM cfpb.export"], "has tables or views that cfpb-etl did not create"),
        (["DROP TABLE cfpb.export"], "has tables or views that cfpb-etl did not create"),
        (["UPDATE cfpb.export SET contents = 'x'"], "has a table export that was changed"),
        (["UPDATE cfpb.export SET contents = NULL"], "has a table export that was changed"),
        (["UPDATE cfpb.export SET contents = '[]'"], "has a table export that was changed"),
        (["UPDATE cfpb.export SET layout = NULL"], "has a table export that was changed"),
        (
            ["DROP TABLE cfpb.complaint CASCADE", "CREATE TABLE cfpb.complaint ()"],
            "has a table complaint whose column complaint_id was changed",
        ),
    ],
)
def test_tables_that_others_have_changed(
    exported: Path, target: PostgresDatabase, statements: list[str], detail: str
) -> None:
    """A table of the export that was changed or replaced is refused, and not changed."""
    target.execute(*statements)
    before = target.query(SNAPSHOT)

    assert detail in refusal(exported, target.url(), ForeignSchemaError)
    assert target.query(SNAPSHOT) == before


def test_a_table_of_others_with_our_name(database: Path, target: PostgresDatabase) -> None:
    """A table that a user has created is not taken for a table that is selected later."""
    export_postgres(database, target.url(), Selection(tables=("load",)))
    target.execute("CREATE TABLE cfpb.complaint (complaint_id bigint)")

    message = refusal(database, target.url(), ForeignSchemaError)

    assert "has a table or view complaint that cfpb-etl did not create" in message


def test_a_newer_version_has_written_it(exported: Path, target: PostgresDatabase) -> None:
    """A schema with a higher number is refused."""
    target.execute("UPDATE cfpb.export SET schema_number = 9999, program_version = '9.9.9'")

    message = refusal(exported, target.url(), NewerSchemaError)

    assert "was written by cfpb-etl 9.9.9, which is newer" in message


# --- what users have added ------------------------------------------------------------------


def test_additions_stay(exported: Path, target: PostgresDatabase) -> None:
    """Views, tables, indexes, columns and permissions of users are as they were after an export."""
    target.execute(
        "CREATE VIEW cfpb.mine AS SELECT * FROM cfpb.complaint WHERE state = 'NY'",
        "CREATE TABLE cfpb.notes (complaint_id bigint REFERENCES cfpb.complaint, note text)",
        "INSERT INTO cfpb.notes VALUES (1, 'mine')",
        "CREATE INDEX mine_too ON cfpb.complaint (zip_code)",
        "ALTER TABLE cfpb.complaint ADD COLUMN seen boolean",
        "UPDATE cfpb.complaint SET seen = true WHERE complaint_id < 3",
        "COMMENT ON COLUMN cfpb.complaint.state IS 'of us'",
    )
    grants = ("USAGE ON SCHEMA cfpb", "SELECT ON ALL TABLES IN SCHEMA cfpb")
    with user(target, f"CONNECT ON DATABASE {target.name}", *grants) as url:
        for selection in (EVERYTHING, Selection(narratives=False), EVERYTHING):
            export_postgres(exported, target.url(), selection)

        with closing(psycopg.connect(url)) as reader:
            assert reader.execute("SELECT complaint_id FROM cfpb.mine").fetchall() == [(1,)]
            assert reader.execute("SELECT * FROM cfpb.notes").fetchall() == [(1, "mine")]
            assert reader.execute("SELECT COUNT(*) FROM cfpb.narratives").fetchall() == [(0,)]
    seen = target.query("SELECT complaint_id FROM cfpb.complaint WHERE seen ORDER BY 1")
    assert seen == [(1,), (2,)]
    assert target.query(
        "SELECT indexrelid FROM pg_index WHERE indexrelid = 'cfpb.mine_too'::regclass"
    )
    assert_same_rows(exported, target)


@pytest.mark.parametrize(
    ("statements", "detail"),
    [
        (["CREATE UNIQUE INDEX mine ON cfpb.complaint ((1))"
          " WHERE state = 'NY' OR complaint_id = 2"],
         'duplicate key value violates unique constraint "mine"'),
        (["ALTER TABLE cfpb.complaint ADD CONSTRAINT mine CHECK (state = 'CA')"], '"mine"'),
        (["ALTER TABLE cfpb.complaint ADD COLUMN mine bigint NOT NULL DEFAULT 1",
          "ALTER TABLE cfpb.complaint ALTER COLUMN mine DROP DEFAULT"], '"mine"'),
        (["CREATE FUNCTION cfpb.mine() RETURNS trigger LANGUAGE plpgsql AS"
          " $$ BEGIN RAISE EXCEPTION 'mine says no'; END $$",
          "CREATE TRIGGER mine AFTER UPDATE ON cfpb.complaint FOR EACH ROW"
          " EXECUTE FUNCTION cfpb.mine()"], "mine says no"),
        (["CREATE FUNCTION cfpb.mine() RETURNS trigger LANGUAGE plpgsql AS"
          " $$ BEGIN PERFORM 1 / 0; RETURN NEW; END $$",
          "CREATE TRIGGER mine BEFORE INSERT ON cfpb.complaint FOR EACH ROW"
          " EXECUTE FUNCTION cfpb.mine()"], "division by zero"),
    ],
)  # fmt: skip
def test_additions_that_prevent_an_export(
    exported: Path, target: PostgresDatabase, statements: list[str], detail: str
) -> None:
    """A constraint or trigger of a user that refuses a row is named, and nothing is changed."""
    target.execute(*statements)
    before = target.query("SELECT complaint_id, state FROM cfpb.complaint ORDER BY 1")

    assert detail in refusal(exported, target.url(), AddedObjectError)
    assert target.query("SELECT complaint_id, state FROM cfpb.complaint ORDER BY 1") == before


def test_references_to_what_leaves(exported: Path, target: PostgresDatabase) -> None:
    """A foreign key or view of a user is named if the export must delete what it refers to."""
    target.execute(
        "CREATE TABLE public.notes (number bigint CONSTRAINT mine REFERENCES cfpb.complaint)",
        "INSERT INTO public.notes VALUES (1)",
        "CREATE VIEW public.mine AS SELECT * FROM cfpb.complaint_change",
    )
    with pytest.raises(AddedObjectError, match='"mine" on table "notes"'):
        export_postgres(exported, target.url(), Selection(Query(state=("CA",))))
    with pytest.raises(
        AddedObjectError, match=r"view public\.mine depends on table complaint_change"
    ):
        export_postgres(exported, target.url(), Selection(tables=("complaint",)))
    export_postgres(exported, target.url(), EVERYTHING)
    assert_same_rows(exported, target)


def test_a_trigger_that_keeps_rows_out(exported: Path, target: PostgresDatabase) -> None:
    """If a trigger silently skips rows, the export fails instead of publishing fewer rows."""
    target.execute(
        "CREATE FUNCTION cfpb.mine() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER mine BEFORE INSERT ON cfpb.complaint FOR EACH ROW"
        " EXECUTE FUNCTION cfpb.mine()",
    )
    with pytest.raises(ExportError) as failed:
        export_postgres(exported, target.url(), EVERYTHING)

    assert "The table complaint has 4 rows, and" in str(failed.value)
    assert target.query("SELECT COUNT(*), MAX(changed_load_id) FROM cfpb.complaint") == [(3, 1)]


# --- the server and its settings ------------------------------------------------------------


@contextmanager
def user(target: PostgresDatabase, *grants: str) -> Iterator[str]:
    """Create a user with these permissions only, and return the address with the user."""
    name = f"user_of_{target.name}"
    target.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD 'secret-word'",
        f"REVOKE ALL ON DATABASE {target.name} FROM PUBLIC",
        *(f"GRANT {grant} TO {name}" for grant in grants),
    )
    try:
        yield target.url(name, "secret-word")
    finally:
        target.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_no_permission_to_connect(database: Path, target: PostgresDatabase) -> None:
    """Without CONNECT, the server's refusal is repeated."""
    with user(target) as url:
        message = refusal(database, url, NoConnectionError)

    assert f'permission denied for database "{target.name}"' in message


def test_no_permission_to_create_a_schema(database: Path, target: PostgresDatabase) -> None:
    """Without CREATE, the message has the statements for an administrator, and they work."""
    with user(target, f"CONNECT ON DATABASE {target.name}") as url:
        message = refusal(database, url, NotAllowedError)
        assert f"permission denied for database {target.name}" in message
        statements = message.partition("administrator run: ")[2].rstrip(".").split("; ")
        assert len(statements) == 2
        target.execute(*statements)
        for day in (JANUARY, JUNE):
            load_file(database, *ROWS, complaint(int(day[6])), as_of=day)
            export_postgres(database, url, EVERYTHING)
        assert_same_rows(database, target)


def test_the_schema_of_another_user(exported: Path, target: PostgresDatabase) -> None:
    """A user who may only read the export cannot replace it."""
    grants = f"CONNECT, TEMPORARY, CREATE ON DATABASE {target.name}", "USAGE ON SCHEMA cfpb"
    with user(target, *grants, "SELECT ON ALL TABLES IN SCHEMA cfpb") as url:
        message = refusal(exported, url, NotAllowedError)

    assert "permission denied for table" in message
    assert "Export as the user who owns the schema cfpb" in message


def test_a_wrong_password(
    database: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's refusal has the user, and neither the wrong password nor a piece of it."""
    monkeypatch.setenv("PGPASSWORD", "also-a-secret")
    url = target.url(password="open sesame/@")  # noqa: S106 - a wrong one
    message = refusal(database, url, NoConnectionError)

    assert "password authentication failed for user" in message
    for secret in ("open", "sesame", "also-a-secret"):
        assert secret not in message


def test_no_server(database: Path) -> None:
    """A host that does not exist and a port where nothing listens are named."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    message = refusal(database, f"postgresql://a:secret-word@127.0.0.1:{port}/x", NoConnectionError)
    assert "Connection refused" in message
    assert "secret-word" not in message

    message = refusal(
        database, "postgresql://a:secret-word@no-such-host.invalid/x", NoConnectionError
    )
    assert "no-such-host.invalid" in message
    assert "secret-word" not in message


def test_a_server_that_only_reads(database: Path, target: PostgresDatabase) -> None:
    """A read-only server is refused before anything is copied."""
    url = target.url(options="?options=-cdefault_transaction_read_only%3Don")

    assert refusal(database, url, ReadOnlyServerError).startswith(f"{target.shown} is read-only. ")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding(database: Path, server: PostgresServer, encoding: str) -> None:
    """A database that cannot have all characters is refused."""
    with server.database(f"ENCODING '{encoding}' LOCALE 'C'") as target:
        message = refusal(database, target.url(), UnsuitableServerError)

    assert f"its encoding is {encoding}, and UTF8 is needed" in message


def test_an_old_server(
    database: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is too old is refused with its version."""
    monkeypatch.setattr(session, "_OLDEST", 10**9)

    message = refusal(database, target.url(), UnsuitableServerError)

    assert "its version is 1" in message


def test_a_time_limit(exported: Path, target: PostgresDatabase) -> None:
    """A time limit of the server is named, with the options that switch it off."""
    with closing(target.connect()) as other:
        other.autocommit = False
        other.execute("UPDATE cfpb.complaint SET state = 'TX'")
        url = target.url(options="?options=-cstatement_timeout%3D100")
        message = refusal(exported, url, TimeLimitError)
    assert "canceling statement due to statement timeout" in message
    options = message.partition("in the address: ")[2].rstrip(".")

    export_postgres(exported, target.url(options=options), EVERYTHING)

    assert_same_rows(exported, target)


def test_a_locked_table(
    exported: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another session keeps a lock, the export waits some seconds and fails."""
    monkeypatch.setattr(session, "_SECONDS_TO_WAIT", 1)
    with closing(target.connect()) as other:
        other.autocommit = False
        other.execute("UPDATE cfpb.complaint SET state = 'TX'")
        message = refusal(exported, target.url(), TargetInUseError)

    assert "canceling statement due to lock timeout" in message


def test_another_export(
    database: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second export waits some seconds for the first one, and then names its process."""
    monkeypatch.setattr(session, "_SECONDS_TO_WAIT", 1)
    with session.open_target(target.url()) as first:
        process = first.connection.info.backend_pid
        message = refusal(database, target.url(), TargetInUseError)

    assert f"another export is running (process {process})" in message
    export_postgres(database, target.url(), EVERYTHING)


def test_a_server_that_ends(exported: Path, target: PostgresDatabase) -> None:
    """If the server ends the connection, the export fails, and the next one succeeds."""

    def end_connection() -> None:
        with session.open_target(target.url()) as opened:
            target.execute(f"SELECT pg_terminate_backend({opened.connection.info.backend_pid})")
            opened.connection.execute("SELECT 1")

    with pytest.raises(ConnectionLostError) as lost:
        end_connection()
    assert "terminating connection due to administrator command" in str(lost.value)

    export_postgres(exported, target.url(), EVERYTHING)

    assert_same_rows(exported, target)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk(exported: Path, target: PostgresDatabase) -> None:
    """If the disk of the server is full, its message is repeated, and the old rows stay."""
    disk = target.folder / f"disk-{target.name}"
    disk.mkdir()
    owner = target.folder.stat()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size=2m,uid={owner.st_uid},mode=700", "none", disk],
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted")
    long = [
        complaint(number, complaint_what_happened=os.urandom(50_000).hex()) for number in range(50)
    ]
    load_file(exported, *long, as_of="2026-07-31")
    try:
        target.execute(
            f"CREATE TABLESPACE {target.name} LOCATION '{disk}'",
            f"ALTER TABLE cfpb.complaint SET TABLESPACE {target.name}",
        )
        message = refusal(exported, target.url(), TargetNotWrittenError)
        assert "No space left on device" in message
        assert target.query("SELECT COUNT(*), MAX(changed_load_id) FROM cfpb.complaint") == [(3, 1)]
        target.execute("DROP SCHEMA cfpb CASCADE", f"DROP TABLESPACE {target.name}")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        shutil.rmtree(disk, ignore_errors=True)


def test_psycopg_errors_have_no_secret() -> None:
    """What libpq says about an address is never shown, because it can repeat the password."""
    with pytest.raises(psycopg.Error, match="sesame"):
        psycopg.connect("postgresql://me:%zzsesame@127.0.0.1/x")
