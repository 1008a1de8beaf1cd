"""A PostgreSQL server for all tests of a worker, and a database for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cfpb_etl import plain_text
from support.postgres import postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import PostgresDatabase, PostgresServer


@pytest.fixture(autouse=True)
def forgotten_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the passwords of a test, which would be hidden in the messages of other tests."""
    monkeypatch.setattr(plain_text, "_secrets", {})
    plain_text._pattern.cache_clear()
    yield
    plain_text._pattern.cache_clear()


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """Run a server."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def target(server: PostgresServer) -> Iterator[PostgresDatabase]:
    """Create a database."""
    with server.database() as database:
        yield database
