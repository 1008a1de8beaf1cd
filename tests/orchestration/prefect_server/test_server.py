"""Prefect's API for a run: the user's own, or a temporary server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED, temporary_settings

from cfpb_etl.orchestration.prefect_server.server import (
    TemporaryServer,
    UsersServer,
    prefect_server,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("prefect_server")
def test_the_users_server_is_used_and_never_stopped() -> None:
    """An API of the settings must only answer."""
    server = prefect_server()
    assert isinstance(server, UsersServer)
    assert server.api_url == PREFECT_API_URL.value()

    server.start()
    server.wait()
    server.kill()
    server.wait()


def test_without_an_api_a_temporary_server_is_used() -> None:
    """The settings can forbid temporary servers."""
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: True}, restore_defaults={PREFECT_API_URL}
    ):
        assert isinstance(prefect_server(), TemporaryServer)
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: False}, restore_defaults={PREFECT_API_URL}
    ):
        assert isinstance(prefect_server(), UsersServer)


IMPATIENT = """
from cfpb_etl.orchestration.prefect_server import server
from cfpb_etl.cli.main import main

server._START_SECONDS = 0.2
main(["--source", "sample"])
"""


@pytest.mark.slow
def test_a_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails with one line, and the server is stopped."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    failed = subprocess.run(
        [sys.executable, "-c", IMPATIENT],
        cwd=tmp_path,
        capture_output=True,  # a server that is not stopped would keep it open
        text=True,
        check=False,
        timeout=60,
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("failed: Prefect's temporary server did not start")
    assert "`prefect server start`" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
