"""SQLite's errors are raised by name, and a transaction is all or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.store import sqlite_file
from cfpb_etl.store.errors import DatabaseInUseError, NotADatabaseError, NotWritableError
from cfpb_etl.store.sqlite_file import (
    connect,
    ensure_schema,
    named_errors,
    open_for_reading,
    transaction,
)
from support.loads import INSERT, create_database, execute

if TYPE_CHECKING:
    from pathlib import Path

# --- damaged files ---------------------------------------------------------------------------


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    """A database that lost its end is not a sound file."""
    database = tmp_path / "cut.db"
    create_database(database)
    database.write_bytes(database.read_bytes()[:4096])

    with pytest.raises(NotADatabaseError, match="malformed"):
        create_database(database)


def test_a_damaged_page_is_told(tmp_path: Path) -> None:
    """A page of noise is found when it is read, and told as damage, not as a full disk."""
    database = tmp_path / "damaged.db"
    create_database(database)
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
        create_database(tmp_path)

    assert caught.value.path == tmp_path


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """A file in a folder that is not there cannot be opened, and the folder stays missing."""
    with pytest.raises(NotWritableError, match="unable to open"):
        create_database(tmp_path / "none" / "new.db")

    assert not (tmp_path / "none").exists()


def test_text_that_is_none(tmp_path: Path) -> None:
    """A value that Python cannot read is told as damage, though SQLite has no code for it."""
    database = tmp_path / "our.db"
    create_database(database)
    execute(database, "INSERT INTO complaint VALUES (1" + ", CAST(x'ff' AS TEXT)" * 21 + ")")

    with (
        pytest.raises(NotADatabaseError, match="is damaged or is not SQLite"),
        open_for_reading(database) as connection,
    ):
        connection.execute("SELECT company FROM complaint").fetchall()


# --- full disks and locks -------------------------------------------------------------------


def test_a_full_disk(tmp_path: Path) -> None:
    """A file that cannot grow is told as not writable, and the transaction leaves nothing."""
    database = tmp_path / "our.db"
    create_database(database)

    with closing(connect(database, make=True)) as connection:
        connection.execute("PRAGMA max_page_count = 1")  # as small as it is

        def fill_up() -> None:
            with named_errors(database), transaction(connection):
                connection.executemany(
                    "INSERT INTO complaint (issue, load_id, first_load_id, changed_load_id)"
                    " VALUES (?, 1, 1, 1)",
                    [("x" * 4000,)] * 100,
                )

        with pytest.raises(NotWritableError, match=r"full.*free disk space"):
            fill_up()
        assert connection.execute("SELECT COUNT(*) FROM complaint").fetchone() == (0,)


def test_a_file_locked_by_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program's transaction is waited for so long, and then told as such."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    database = tmp_path / "our.db"
    create_database(database)

    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseInUseError, match="is locked by another program"):
            create_database(database)
        other.execute("COMMIT")
        create_database(database)


def test_a_lock_of_a_finer_kind_is_a_lock(tmp_path: Path) -> None:
    """SQLite's extended codes go by their primary one: here, a snapshot that others outdated."""
    database = tmp_path / "our.db"
    create_database(database)

    with closing(connect(database, make=True)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM complaint").fetchall()
        execute(database, INSERT)
        with pytest.raises(DatabaseInUseError), named_errors(database):
            connection.execute(INSERT)


# --- transactions and errors ----------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_is_all_or_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """What leaves the block by an error, Ctrl-C included, leaves nothing; the rest is kept."""
    database = tmp_path / "our.db"
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)

        def insert_and_fail() -> None:
            with transaction(connection):
                connection.execute(INSERT)
                raise error

        with pytest.raises(error):
            insert_and_fail()
        with transaction(connection):
            connection.execute(INSERT.replace("VALUES (1,", "VALUES (2,"))

    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT complaint_id FROM complaint").fetchall() == [(2,)]


def test_a_wrong_statement_is_not_hidden(tmp_path: Path) -> None:
    """A mistake of ours, such as a broken constraint, passes as it is."""
    database = tmp_path / "our.db"
    create_database(database)

    with (
        pytest.raises(sqlite3.IntegrityError),
        named_errors(database),
        closing(connect(database, make=True)) as connection,
    ):
        connection.execute("INSERT INTO complaint (complaint_id) VALUES (1)")


def test_the_cause_is_kept(tmp_path: Path) -> None:
    """SQLite's own error stays behind ours, for --verbose."""
    with pytest.raises(NotWritableError) as caught:
        create_database(tmp_path)

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
