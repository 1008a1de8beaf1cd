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

    from support.time_cases import Cfpb
    from support.time_sightings import Site


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
    """Run Prefect's test harness once for all tests that run a flow.

    Flows send no heartbeats, which only Prefect's automations read: at the end of a run, Prefect
    waits up to a second for the thread that sends them.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    no_heartbeats = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
    with prefect_test_harness(server_startup_timeout=90), no_heartbeats:
        yield


@pytest.fixture
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once."""
    from cfpb_etl.flow import get_complaint_data

    monkeypatch.setattr(get_complaint_data, "retry_delay_seconds", 0)


@pytest.fixture
def reader_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files without a second process, for tests that are not about this process."""
    from cfpb_etl.parse import csv_process
    from support.csv_reading import ReaderInThisProcess

    monkeypatch.setattr(csv_process, "_reader", ReaderInThisProcess)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a database that does not exist yet."""
    return tmp_path / "complaints.db"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve what a made-up CFPB has."""
    from cfpb_etl.emulator import serve
    from support.time_sightings import Site

    site = Site()
    with serve(site) as site.api_url:
        yield site


@pytest.fixture
def cfpb(tmp_path: Path, site: Site) -> Cfpb:
    """Return a made-up CFPB, which loads into the database of the fixture `path`."""
    from support.time_cases import Cfpb

    return Cfpb(tmp_path, site)
