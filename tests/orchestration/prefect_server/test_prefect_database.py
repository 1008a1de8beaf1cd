"""A first database for Prefect."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from prefect.server import database as prefects

from cfpb_etl.orchestration.prefect_server.prefect_database import create_database
from support.prefect_schema import FILE, REVISION, migrated, statements


def test_a_new_file_gets_what_the_program_ships(tmp_path: Path) -> None:
    """Prefect continues with the migration after the one that the database names."""
    path = tmp_path / "prefect.db"

    create_database(path)

    with closing(sqlite3.connect(path)) as connection:
        assert statements(connection) == FILE.read_text("utf-8").split("\n", 2)[2]
        assert [*connection.execute("SELECT * FROM alembic_version")] == [(REVISION,)]


def test_the_installed_prefect_knows_the_migration() -> None:
    """Otherwise its server would not start."""
    folder = Path(prefects.__file__).parent / "_migrations" / "versions" / "sqlite"

    assert len([*folder.glob(f"*{REVISION}*.py")]) == 1


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_file_that_exists_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    """Prefect opens the file, or names what is wrong with it."""
    path = tmp_path / "prefect.db"
    path.write_bytes(content)

    create_database(path)

    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """Prefect raises its own error when it opens the file."""
    create_database(tmp_path / "missing" / "prefect.db")

    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_prefects_migrations_make_the_same_database() -> None:
    """Only the order of constraints can differ, because it is random in Prefect."""
    ours, theirs = (
        sorted(line.rstrip(", ") for line in text.splitlines() if not line.startswith("--"))
        for text in (FILE.read_text("utf-8"), migrated(REVISION))
    )

    assert ours == theirs
