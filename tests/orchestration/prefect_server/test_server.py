"""Prefect's API for a run: the user's own, or a temporary server."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_EPHEMERAL_ENABLED,
    temporary_settings,
)
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from cfpb_etl.emulator import serve
from cfpb_etl.orchestration.errors import (
    NoPrefectApiError,
    PrefectRefusedError,
    PrefectUnreachableError,
)
from cfpb_etl.orchestration.prefect_server.server import TemporaryServer, prefect_server
from cfpb_etl.orchestration.prefect_server.users_server import UsersServer

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.errors import CfpbEtlError


@pytest.mark.usefixtures("prefect_server")
def test_the_users_server_is_used_and_never_stopped() -> None:
    """An API of the settings must only answer."""
    server = prefect_server()
    assert isinstance(server, UsersServer)
    assert server.api_url == PREFECT_API_URL.value()

    with server.running():
        server.kill()
    with server.running():
        pass


def test_without_an_api_a_temporary_server_is_used() -> None:
    """The settings can forbid temporary servers."""
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: True}, restore_defaults={PREFECT_API_URL}
    ):
        server = prefect_server()
        assert isinstance(server, TemporaryServer)
        assert prefect_server() is server  # one for all runs
        server.kill()
        assert prefect_server() is not server
    with temporary_settings(
        {PREFECT_SERVER_EPHEMERAL_ENABLED: False}, restore_defaults={PREFECT_API_URL}
    ):
        assert isinstance(prefect_server(), UsersServer)


@pytest.mark.parametrize(
    ("health", "version", "body", "kind"),
    [
        (404, 404, "{}", NoPrefectApiError),
        (200, 404, "{}", NoPrefectApiError),
        (200, 200, '"2.20.1"', NoPrefectApiError),
        (200, 401, "{}", PrefectRefusedError),
        (200, 403, "{}", PrefectRefusedError),
        (200, 500, "{}", PrefectUnreachableError),
    ],
)
def test_a_server_that_cannot_be_used(
    health: int, version: int, body: str, kind: type[CfpbEtlError]
) -> None:
    """The error says whether the address, the version, the login or the server is wrong."""
    app = Starlette(
        routes=[
            Route("/api/health", lambda _: Response("true", health)),
            Route("/api/admin/version", lambda _: Response(body, version)),
        ]
    )
    with serve(app) as url:
        api_url = urljoin(url, "/api")
        settings = {PREFECT_API_URL: api_url, PREFECT_CLIENT_MAX_RETRIES: 0}
        with (
            temporary_settings(settings),
            pytest.raises(kind) as failed,
            UsersServer(api_url).running(),
        ):
            pass

    assert f"{api_url} " in str(failed.value)


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
