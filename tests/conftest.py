"""Fixtures for all tests, and a line about the environment at the top of the output."""

from __future__ import annotations

import os
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_report_header() -> str:
    """Print the version of SQLite, which comes with Python and is not pinned."""
    return f"SQLite {sqlite3.sqlite_version}"


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers, which the command line replaces in the tests' process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Run Prefect's test harness once for all tests that run a flow."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        yield


@pytest.fixture
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    from cfpb_etl.flow import get_complaint_data

    monkeypatch.setattr(get_complaint_data, "retry_delay_seconds", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "complaints.db"
