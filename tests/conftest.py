"""Fixtures for all tests, the folder of their files, and a line about the environment."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.time_cases import Cfpb
    from support.time_sightings import Site


MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own in it
ENOUGH = 4 * 2**30  # bytes; all tests together write less than one gigabyte


# Of Prefect's server. No test has an automation, a late run or a worker.
UNUSED_SERVICES = ("TRIGGERS", "EVENT_PERSISTER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS")


def pytest_configure() -> None:
    """Keep temporary files in memory, unless TMPDIR names a folder.

    Each new database waits several times until its bytes are on the disk. Thousands of tests make
    one, and none of them is about a power cut. Docker gives this folder little room and forbids
    programs in it; then the files are on the disk as usual.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    room = os.statvfs(MEMORY)
    if room.f_bavail * room.f_frsize > ENOUGH and not room.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)  # for child processes too


# The command line handles these.
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


def pytest_report_header() -> str:
    """Print the version of SQLite, which comes with Python, and where temporary files are."""
    return f"SQLite {sqlite3.sqlite_version}, temporary files in {tempfile.gettempdir()}"


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """Restore the signal handlers, which the command line replaces in the tests' process.

    The thread of a command that has ended must not hear of later signals, because it would end the
    process.
    """
    before = {number: signal.getsignal(number) for number in _HANDLED}
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """Run Prefect's test harness once for all tests that run a flow.

    Flows send no heartbeats, which only Prefect's automations read: at the end of a run, Prefect
    waits up to a second for the thread that sends them. The server runs without automations and
    the services for them, and without coverage, which would measure only Prefect's code.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    from support.program import environment_without_coverage

    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name in {*os.environ} - {*environment_without_coverage()}:
                patch.delenv(name)
            for name in UNUSED_SERVICES:
                patch.setenv(f"PREFECT_SERVER_SERVICES_{name}_ENABLED", "false")
            stack.enter_context(prefect_test_harness(server_startup_timeout=90))
        stack.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
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
