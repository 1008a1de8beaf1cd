"""SQLite's errors become this package's, and a transaction is all or nothing."""

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


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    """A database that has lost its end cannot be opened."""
    database = tmp_path / "cut.db"
    create_database(database)
    database.write_bytes(database.read_bytes()[:4096])

    with pytest.raises(NotADatabaseError, match="malformed"):
        create_database(database)


def test_a_damaged_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    """The error says that the file is damaged, not that the disk is full."""
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


def test_a_folder_cannot_be_opened(tmp_path: Path) -> None:
    """The error names the folder."""
    with pytest.raises(NotWritableError, match="unable to open") as caught:
        create_database(tmp_path)

    assert caught.value.path == tmp_path


def test_a_missing_folder_is_not_created(tmp_path: Path) -> None:
    """A file in it cannot be opened."""
    with pytest.raises(NotWritableError, match="unable to open"):
        create_database(tmp_path / "none" / "new.db")

    assert not (tmp_path / "none").exists()


def test_undecodable_text_is_damage(tmp_path: Path) -> None:
    """Python rejects it, without an error code of SQLite."""
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
    """The error says that the file cannot be written, and the transaction is rolled back."""
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
    """The transaction of the other program is waited for, up to a limit."""
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_SECONDS", 0.05)
    database = tmp_path / "our.db"
    create_database(database)

    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseInUseError, match="is locked by another program"):
            create_database(database)
        other.execute("COMMIT")
        create_database(database)


def test_extended_error_codes_mean_the_same(tmp_path: Path) -> None:
    """SQLite reports a snapshot that another writer has outdated by one of them."""
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
    """An error or Ctrl-C within the block rolls it back; other transactions stay."""
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
    """An error of the program, such as a broken constraint, is raised as it is."""
    database = tmp_path / "our.db"
    create_database(database)

    with (
        pytest.raises(sqlite3.IntegrityError),
        named_errors(database),
        closing(connect(database, make=True)) as connection,
    ):
        connection.execute("INSERT INTO complaint (complaint_id) VALUES (1)")


def test_the_cause_is_kept(tmp_path: Path) -> None:
    """SQLite's own error is the cause, for --verbose."""
    with pytest.raises(NotWritableError) as caught:
        create_database(tmp_path)

    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
