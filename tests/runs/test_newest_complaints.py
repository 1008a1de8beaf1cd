"""The flow that flows/newest_complaints.py serves is scheduled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

PROGRAM = Path(__file__).parents[2] / "flows" / "newest_complaints.py"

pytestmark = pytest.mark.usefixtures("prefect_server")


def deployment_of(client: SyncPrefectClient) -> DeploymentResponse:
    """Return the deployment, once it is on the server."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.read_deployment_by_name("cfpb-complaints/newest-complaints")
        except ObjectNotFound:
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)


@pytest.mark.slow
def test_a_run_is_scheduled_every_day(tmp_path: Path) -> None:
    """Prefect schedules one run a day, after CFPB has published, with the parameters."""
    api_url = PREFECT_API_URL.value()
    assert api_url
    with (
        subprocess.Popen(
            [sys.executable, PROGRAM],
            cwd=tmp_path,
            env=os.environ | {"PREFECT_API_URL": api_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
        get_client(sync_client=True) as client,
    ):
        try:
            deployment = deployment_of(client)
            client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment.id})
            only = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
            runs = client.read_flow_runs(deployment_filter=only)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)

    days = sorted(run.expected_start_time for run in runs if run.expected_start_time)
    assert len(days) >= 3
    assert {day.strftime("%H:%M %Z") for day in days} == {"10:30 UTC"}
    assert {(later - day).days for day, later in pairwise(days)} == {1}
    assert deployment.parameters["source"]["limit"] == 50_000
    assert deployment.parameters["database"] == str(tmp_path / "complaints.db")
