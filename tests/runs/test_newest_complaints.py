"""The flow as it is served on a schedule: that it comes to run."""

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

SERVED = Path(__file__).parents[2] / "flows" / "newest_complaints.py"

pytestmark = pytest.mark.usefixtures("prefect_server")


def served(client: SyncPrefectClient) -> DeploymentResponse:
    """Return the deployment, once the server knows of it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return client.read_deployment_by_name("cfpb-complaints/newest-complaints")
        except ObjectNotFound:
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)


def test_it_is_due_every_day(tmp_path: Path) -> None:
    """Prefect's scheduler makes runs of it, each after CFPB has published, with its parameters."""
    api_url = PREFECT_API_URL.value()
    assert api_url
    with (
        subprocess.Popen(
            [sys.executable, SERVED],
            cwd=tmp_path,
            env=os.environ | {"PREFECT_API_URL": api_url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
        get_client(sync_client=True) as client,
    ):
        try:
            deployment = served(client)
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
