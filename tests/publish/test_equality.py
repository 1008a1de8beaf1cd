"""Each target has the rows of SQLite, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cfpb_etl.publish.export import export_complaints
from support.exports import (
    TARGETS,
    make_odd_database,
    rows_in_sqlite,
    rows_in_target,
    tables_of,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def odd_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with odd texts, odd days, NULL in each column, and a history."""
    path = tmp_path_factory.mktemp("odd") / "complaints.db"
    make_odd_database(path, 2_000)
    return path


@pytest.mark.parametrize("name", TARGETS)
def test_every_field_is_that_of_sqlite(odd_database: Path, tmp_path: Path, name: str) -> None:
    """Numbers, days, NULL, texts of all kinds and the history are equal."""
    stats = export_complaints(str(tmp_path / name), database=odd_database)

    assert tuple(stats.tables) == tables_of(tmp_path / name)
    for table, count in stats.tables.items():
        expected = rows_in_sqlite(odd_database, table)
        assert len(expected) == count > 0
        assert rows_in_target(tmp_path / name, table) == expected
