"""The SQLite file: made once, never taken from another program, its errors told by name."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.store import sqlite_file as schema
from cfpb_etl.store.errors import (
    DatabaseError,
    DatabaseInUseError,
    NewerDatabaseError,
    NotADatabaseError,
    NotWritableError,
)
from cfpb_etl.store.sqlite_file import connect, ensure_schema, named_errors, transaction
from cfpb_etl.store.tables import MIGRATIONS
from cfpb_etl.store.views import RENAMED_PRODUCTS, VIEWS
from support import PYTHONPATH
from support.loads import complaint, load, outcomes, part

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = {"complaint", "load", "load_part", "load_seen", "complaint_change"}


def opened(database: Path) -> None:
    """Open the file as a load does."""
    with named_errors(database), closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)


def execute(database: Path, *statements: str) -> None:
    """Do something to the file as another program would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def tables(database: Path) -> dict[str, str]:
    """Return each table's definition."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_schema"))


# --- a file of ours -------------------------------------------------------------------------


def test_a_missing_file_is_made(tmp_path: Path) -> None:
    """A new file has the columns of `Complaint` as text, says whose it is, and is in WAL mode."""
    database = tmp_path / "new.db"

    opened(database)

    with closing(sqlite3.connect(database)) as connection:
        columns = connection.execute("PRAGMA table_info(complaint)").fetchall()
        named = [(name, kind, bool(key)) for _, name, kind, _, _, key in columns]
        assert named == [
            ("complaint_id", "INTEGER", True),
            *((name, "TEXT", False) for name in Complaint._fields[1:]),
            ("load_id", "INTEGER", False),
            ("withdrawn_on", "TEXT", False),
        ]
        assert connection.execute("PRAGMA application_id").fetchone() == (0x43465042,)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_empty_file_is_as_good_as_none(tmp_path: Path) -> None:
    """A file of no bytes becomes a database, as SQLite itself would have it."""
    database = tmp_path / "empty.db"
    database.touch()

    opened(database)

    assert set(tables(database)) >= TABLES


def test_the_schema_explains_itself(tmp_path: Path) -> None:
    """The comments on columns are kept in the file, where `.schema` shows them."""
    database = tmp_path / "new.db"
    opened(database)

    assert "-- the newest load that wrote the row" in tables(database)["complaint"]
    assert "-- where to go on, JSON; NULL when it is whole" in tables(database)["load_part"]
    assert "-- the load that brought the new value" in tables(database)["complaint_change"]


def test_opening_again_writes_nothing(tmp_path: Path) -> None:
    """A file of the newest schema is left as it is."""
    database = tmp_path / "our.db"
    opened(database)
    before = database.read_bytes()

    with (
        closing(sqlite3.connect(database)) as watching,
        closing(connect(database, make=True)) as connection,
    ):
        seen = watching.execute("PRAGMA data_version").fetchone()
        ensure_schema(connection, database)
        assert watching.execute("PRAGMA data_version").fetchone() == seen
    assert database.read_bytes() == before


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations are applied together or not at all, and again from where the file stands."""
    database = tmp_path / "our.db"

    def newest(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE load ADD COLUMN more TEXT")
        connection.execute("CREATE TABLE complaint (a)")  # there is one

    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, newest))
    for _ in range(2):
        with pytest.raises(DatabaseError, match="already exists"):
            opened(database)
        assert tables(database) == {}

    monkeypatch.undo()
    opened(database)
    assert set(tables(database)) >= TABLES


def test_an_older_file_gets_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the migrations that a file has not seen are applied to it, each once."""
    database = tmp_path / "our.db"
    opened(database)
    execute(database, "INSERT INTO complaint (complaint_id, load_id) VALUES (7, 1)")

    def newest(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE complaint ADD COLUMN event_tag TEXT")

    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, newest))
    opened(database)
    opened(database)

    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
        query = "SELECT complaint_id, event_tag FROM complaint"
        assert connection.execute(query).fetchall() == [(7, None)]


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    """A schema from the future is neither used nor changed, and both versions are said."""
    database = tmp_path / "newer.db"
    opened(database)
    known = len(MIGRATIONS)
    execute(database, f"PRAGMA user_version = {known + 1}")
    before = database.read_bytes()

    said = rf"has schema {known + 1}, .* up to {known}\. Upgrade"
    with pytest.raises(NewerDatabaseError, match=said) as caught:
        opened(database)

    assert caught.value.path == database
    assert database.read_bytes() == before


# --- a file of the first schema -------------------------------------------------------------

FIRST_LOADS = """
INSERT INTO load (source, address, query, as_of, flow_run_id, program_version, started_at, ended_at,
    outcome, parts, complaints_read, inserted, updated, unchanged, matching, next_part)
VALUES
    ('api', 'https://cfpb.example/', '{"limit": 2}', '2026-01-31', 'a', '0.1.0',
        '2026-01-31T12:00:00', '2026-01-31T12:00:09', 'complete', 1, 2, 2, 0, 0, 9, NULL),
    ('api', 'https://cfpb.example/', '{"state": ["CA"]}', '2026-03-31', 'b', '0.1.0',
        '2026-03-31T12:00:00', NULL, 'running', 2, 3, 1, 1, 1, 5, '{"number": 3}')
"""


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file as the first schema had it, with two complaints and two loads."""
    database = tmp_path / "first.db"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:1])
        opened(database)
    every = ", ".join(f"'{name} ’'" for name in Complaint._fields[1:])
    execute(
        database,
        FIRST_LOADS,
        f"INSERT INTO complaint VALUES (7, {every}, 1)",  # noqa: S608
        f"INSERT INTO complaint (complaint_id, load_id) VALUES ({2**63 - 1}, 2)",  # noqa: S608
    )
    return database


def rows_of(database: Path, table: str) -> list[dict[str, Any]]:
    """Return a table's rows by the names of their columns."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]  # noqa: S608


@pytest.mark.parametrize("table", ["complaint", "load"])
def test_a_file_of_the_first_schema_keeps_every_row(first: Path, table: str) -> None:
    """All values stay but the place to go on, and what is new is empty but for the limit."""
    before = rows_of(first, table)

    opened(first)

    after = rows_of(first, table)
    limits = [row.pop("complaint_limit", None) for row in after]
    assert limits == [2 if table == "load" else None, None]
    for old, new in zip(before, after, strict=True):
        old.pop("next_part", None)
        names = ("withdrawn", "left_out", "repeated", "rejected") if table == "load" else ()
        counts = dict.fromkeys(names, 0)
        assert new == dict.fromkeys(new) | counts | old


def test_a_file_of_the_first_schema_becomes_one_of_the_newest(first: Path, tmp_path: Path) -> None:
    """It has then all that a new file has, and is sound."""
    new = tmp_path / "new.db"
    opened(first)
    opened(new)

    assert tables(first) == tables(new)
    with closing(sqlite3.connect(first)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_bringing_a_file_up_to_date_is_told(
    first: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, as it may take a while; a new file has nothing to be brought."""
    with caplog.at_level("INFO", "cfpb_etl"):
        for path in (tmp_path / "new.db", first, first):
            opened(path)

    (said,) = caplog.messages
    assert said.startswith(f"Bringing {first} from schema 1 to {len(MIGRATIONS)}, once")


def test_a_file_of_the_first_schema_takes_a_load(first: Path) -> None:
    """What changes in it is remembered; a load that it did not end begins anew."""
    changed = part(complaint(7, timely="No"), complaint(8), columns=["timely"])

    assert load(first, changed) == [(1, 1, 0)]

    assert rows_of(first, "complaint_change") == [
        {
            "complaint_id": 7,
            "load_id": 3,
            "column_name": "timely",
            "old": "timely ’",
            "new": "No",
        }
    ]
    assert outcomes(first) == [
        ("complete", None),
        ("interrupted", "ended without a word"),
        ("complete", None),
    ]


# --- no file of ours ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE photo (a)", "PRAGMA user_version = 1", "PRAGMA application_id = 1196444487"],
)
def test_another_programs_file_is_left_alone(tmp_path: Path, statement: str) -> None:
    """A SQLite file that says in any way that it is not ours keeps every byte."""
    database = tmp_path / "other.db"
    execute(database, statement)
    before = database.read_bytes()

    with pytest.raises(NotADatabaseError, match="another program's SQLite file"):
        opened(database)

    assert database.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.parametrize("content", [b"hello", b"Complaint ID,Product\n" * 1000], ids=len)
def test_a_text_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file that is not SQLite is told as such, and keeps every byte."""
    database = tmp_path / "complaints.csv"
    database.write_bytes(content)

    with pytest.raises(NotADatabaseError, match="is not a sound SQLite file"):
        opened(database)

    assert database.read_bytes() == content


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    """A database that lost its end is not a sound file."""
    database = tmp_path / "cut.db"
    opened(database)
    database.write_bytes(database.read_bytes()[:4096])

    with pytest.raises(NotADatabaseError, match="malformed"):
        opened(database)


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    """A page of noise is found when it is read, and told as damage, not as a full disk."""
    database = tmp_path / "damaged.db"
    opened(database)
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\xff" * 4096  # the root of the first table
    database.write_bytes(content)

    with (
        pytest.raises(NotADatabaseError, match="malformed"),
        named_errors(database),
        closing(connect(database, make=True)) as connection,
    ):
        connection.execute("SELECT * FROM complaint").fetchall()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder in the file's place cannot be opened."""
    with pytest.raises(NotWritableError, match="unable to open") as caught:
        opened(tmp_path)

    assert caught.value.path == tmp_path


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """A file in a folder that is not there cannot be opened, and the folder stays missing."""
    with pytest.raises(NotWritableError, match="unable to open"):
        opened(tmp_path / "none" / "new.db")

    assert not (tmp_path / "none").exists()


# --- what may not be written ----------------------------------------------------------------

AS_NOBODY = """
import os, sqlite3, sys
from pathlib import Path
from cfpb_etl.store.errors import DatabaseError
from cfpb_etl.store.loads import begin_load
from cfpb_etl.store.sqlite_file import opened_for_reading
from support.loads import Asked

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    if sys.argv[2] == "load":
        with begin_load(Path(sys.argv[1]), Asked()):
            print("loaded")
    else:
        with opened_for_reading(Path(sys.argv[1])) as connection:
            print("read", *connection.execute("SELECT COUNT(*) FROM complaint").fetchone())
except DatabaseError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """Return a folder that any user may use: pytest's own are closed to all but their user."""
    folder = Path(tempfile.mkdtemp(prefix="cfpb-etl-"))
    if os.getuid() == 0:
        os.chown(folder, 65534, 65534)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


def load_as_nobody(database: Path, what: str = "load") -> str:
    """Load, or read, as a user for whom permissions count, and return what is said of it."""
    outside = {name: value for name, value in os.environ.items() if "COV" not in name}
    child = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, database, what],
        env=outside | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return child.stdout


def test_permissions_allow_a_load(nobodys_folder: Path) -> None:
    """The user of the tests below may load where nothing is forbidden."""
    assert load_as_nobody(nobodys_folder / "new.db") == "loaded\n"


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_without_permission(nobodys_folder: Path, exists: bool) -> None:  # noqa: FBT001
    """Where no file may be made there is no load, whether or not the database is there."""
    database = nobodys_folder / "our.db"
    if exists:
        opened(database)
        database.chmod(0o666)
    nobodys_folder.chmod(0o555)

    assert load_as_nobody(database).startswith(f"NotWritableError {database} cannot be written")


def test_a_read_only_file(nobodys_folder: Path) -> None:
    """A file that may only be read takes no load, and no claim on it stays behind."""
    database = nobodys_folder / "our.db"
    opened(database)
    database.chmod(0o444)

    said = load_as_nobody(database)

    assert said.startswith("NotWritableError")
    assert "readonly" in said
    assert "Check its permissions" in said
    assert not list(nobodys_folder.glob("*-loading*"))


@pytest.mark.parametrize("older", [False, True])
def test_a_folder_that_is_read_only_is_read(
    nobodys_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    older: bool,  # noqa: FBT001
) -> None:
    """To look at a file takes no leave to write, unless it has to be brought up to date."""
    database = nobodys_folder / "our.db"
    if older:
        monkeypatch.setattr(schema, "MIGRATIONS", MIGRATIONS[:-1])
    opened(database)
    database.chmod(0o444)
    nobodys_folder.chmod(0o555)

    said = load_as_nobody(database, "read")

    assert said.startswith("NotWritableError" if older else "read 0")


def test_text_that_is_none(tmp_path: Path) -> None:
    """A value that Python cannot read is told as damage, though SQLite has no code for it."""
    database = tmp_path / "our.db"
    opened(database)
    execute(database, "INSERT INTO complaint VALUES (1" + ", CAST(x'ff' AS TEXT)" * 19 + ")")

    with (
        pytest.raises(NotADatabaseError, match="is not a sound SQLite file"),
        schema.opened_for_reading(database) as connection,
    ):
        connection.execute("SELECT company FROM complaint").fetchall()


def test_a_file_of_before_gets_the_newest_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views and the loads' tables of an older file read as those of a new one, and hold the same.

    What a user made with the loads' table stays, and works.
    """
    database, new = tmp_path / "our.db", tmp_path / "new.db"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:5])
        opened(database)
    execute(
        database,
        "DROP VIEW timeliness_by_company",
        "CREATE VIEW timeliness_by_company AS SELECT 1 AS late",
        "DELETE FROM product_today",
        "INSERT INTO load (load_id, source, address, query, program_version, started_at, remarks)"
        " VALUES (7, 'bulk', 'a', '{}', '0', '2026', 'odd')",
        "INSERT INTO load_part (load_id, key, last_modified) VALUES (7, 'k', 'm')",
        "CREATE INDEX by_outcome ON load (outcome)",
        "CREATE VIEW mine AS SELECT remarks, company FROM load LEFT JOIN complaint USING (load_id)",
    )

    opened(database)
    opened(new)

    migrated = tables(database)
    assert migrated.pop("by_outcome")
    assert migrated.pop("mine")
    assert migrated == tables(new)
    with closing(sqlite3.connect(database)) as connection:
        query = (
            "SELECT load_id, remarks, key, last_modified FROM load JOIN load_part USING (load_id)"
        )
        assert connection.execute(query).fetchall() == [(7, "odd", "k", "m")]
        assert connection.execute("SELECT COUNT(*) FROM product_today").fetchone() > (0,)
        assert connection.execute("SELECT * FROM mine").fetchall() == [("odd", None)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_what_a_user_has_changed_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column more, or a view or an index less, is brought up to date all the same."""
    database = tmp_path / "our.db"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", MIGRATIONS[:5])
        opened(database)
    execute(
        database,
        "ALTER TABLE load ADD COLUMN note TEXT",
        "DROP VIEW complaints_by_state",
        "DROP INDEX complaint_date_received",
    )

    opened(database)

    assert "note TEXT" in tables(database)["load"]
    assert {"complaints_by_state", "complaint_date_received"} <= set(tables(database))
    assert "made_anew" not in tables(database)


def test_a_link_to_a_file_under_load(nobodys_folder: Path) -> None:
    """What was written since counts, though nobody may write beside the link."""
    real, folder = nobodys_folder / "real.db", nobodys_folder / "links"
    folder.mkdir()
    (folder / "link.db").symlink_to(real)
    opened(real)
    with closing(sqlite3.connect(real)) as connection:
        connection.execute("INSERT INTO complaint (complaint_id, load_id) VALUES (1, 1)")
        connection.commit()
        for each in nobodys_folder.glob("real.db*"):
            each.chmod(0o666)
        folder.chmod(0o555)

        said = load_as_nobody(folder / "link.db", "read")
    folder.chmod(0o700)

    assert said == "read 1\n"


def test_a_changed_view_takes_a_migration() -> None:
    """Files of before have the views of before, until a migration makes them anew."""
    made = repr((VIEWS, RENAMED_PRODUCTS)).encode()

    # Who changes them adds a migration that calls `make_views_anew`, and only then this line.
    assert (len(MIGRATIONS), hashlib.sha256(made).hexdigest()[:12]) == (6, "5c2c6c23f7fb")


def test_a_full_disk(tmp_path: Path) -> None:
    """A file that cannot grow is told as not writable, and the transaction leaves nothing."""
    database = tmp_path / "our.db"
    opened(database)

    with closing(connect(database, make=True)) as connection:
        connection.execute("PRAGMA max_page_count = 1")  # as small as it is

        def fill_up() -> None:
            with named_errors(database), transaction(connection):
                insert = "INSERT INTO complaint (issue, load_id) VALUES (?, 1)"
                connection.executemany(insert, [("x" * 4000,)] * 100)

        with pytest.raises(NotWritableError, match=r"full.*free disk space"):
            fill_up()
        assert connection.execute("SELECT COUNT(*) FROM complaint").fetchone() == (0,)


def test_a_file_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's transaction is waited for so long, and then told as such."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_SECONDS", 0.05)
    database = tmp_path / "our.db"
    opened(database)

    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseInUseError, match="is locked by another program"):
            opened(database)
        other.execute("COMMIT")
        opened(database)


def test_a_lock_of_a_finer_kind_is_a_lock(tmp_path: Path) -> None:
    """SQLite's extended codes go by their primary one: here, a snapshot that others outdated."""
    database = tmp_path / "our.db"
    opened(database)
    insert = "INSERT INTO complaint (complaint_id, load_id) VALUES (1, 1)"

    with closing(connect(database, make=True)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM complaint").fetchall()
        execute(database, insert)
        with pytest.raises(DatabaseInUseError), named_errors(database):
            connection.execute(insert)


# --- transactions and errors ----------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_is_all_or_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """What leaves the block by an error, Ctrl-C included, leaves nothing; the rest is kept."""
    database = tmp_path / "our.db"
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)
        insert = "INSERT INTO complaint (complaint_id, load_id) VALUES (?, 1)"

        def insert_and_fail() -> None:
            with transaction(connection):
                connection.execute(insert, (1,))
                raise error

        with pytest.raises(error):
            insert_and_fail()
        with transaction(connection):
            connection.execute(insert, (2,))

    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT complaint_id FROM complaint").fetchall() == [(2,)]


def test_a_wrong_statement_is_not_hidden(tmp_path: Path) -> None:
    """A mistake of ours, such as a broken constraint, passes as it is."""
    database = tmp_path / "our.db"
    opened(database)

    with (
        pytest.raises(sqlite3.IntegrityError),
        named_errors(database),
        closing(connect(database, make=True)) as connection,
    ):
        connection.execute("INSERT INTO complaint (complaint_id) VALUES (1)")


def test_the_cause_is_kept(tmp_path: Path) -> None:
    """SQLite's own error stays behind ours, for --verbose."""
    with pytest.raises(NotWritableError) as caught:
        opened(tmp_path)

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
