"""Tests of Prefect's API for a run, where it is not there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED, temporary_settings

from cfpb_etl.orchestration.server import TemporaryServer, UsersServer, prefect_server_for_run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("prefect_server")
def test_a_server_of_the_users_is_used_and_left_alone() -> None:
    """An API that the settings name is asked whether it answers, and not ended."""
    server = prefect_server_for_run()
    assert isinstance(server, UsersServer)
    assert server.api_url == PREFECT_API_URL.value()

    server.start()
    server.wait()
    server.kill()
    server.wait()


def test_without_an_api_a_temporary_server_serves() -> None:
    """Only where no API is set, and Prefect may start one, is a temporary server used."""
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: True}, restore_defaults={PREFECT_API_URL}
    ):
        assert isinstance(prefect_server_for_run(), TemporaryServer)
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: False}, restore_defaults={PREFECT_API_URL}
    ):
        assert isinstance(prefect_server_for_run(), UsersServer)


IMPATIENT = """
from cfpb_etl.orchestration import server
from cfpb_etl.cli.main import main

server._SECONDS_TO_START = 0.2
main(["--source", "sample"])
"""


def test_a_server_that_does_not_come_up_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary server that is not up in time is one clear line, and is not left behind."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    failed = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        cwd=tmp_path,
        capture_output=True,  # which a server left behind would hold open
        text=True,
        check=False,
        timeout=60,
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("failed: Prefect's temporary server did not start")
    assert "`prefect server start`" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
