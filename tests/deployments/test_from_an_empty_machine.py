"""From an empty machine to loads on a schedule, as docs/server.md describes."""

from __future__ import annotations

import asyncio
import base64
import csv
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    DeploymentFilter,
    DeploymentFilterId,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.orchestration.reporting.artifacts import PICTURE, SUMMARY
from support.deployed import ROOT, Machine, kill_all, machine, until
from support.faults import Exchange, Faulty, Parameters
from support.made_up import made_up

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.slow


class Gate:
    """Holds all answers for New York, and a load's answers after the first two, until released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.of_the_load: list[Parameters] = []
        self.of_new_york: list[Parameters] = []

    async def __call__(self, exchange: Exchange) -> None:
        """Answer a request, perhaps later."""
        held = False
        if ("state", "NY") in exchange.parameters:
            self.of_new_york.append(exchange.parameters)
            held = True
        elif "date_received_min" in dict(exchange.parameters):
            self.of_the_load.append(exchange.parameters)
            held = len(self.of_the_load) > 2
        while held and not self.released.is_set():  # noqa: ASYNC110 - set in the test's thread
            await asyncio.sleep(0.01)
        await exchange.respond(await exchange.answer())


def quick_automation(folder: Path) -> Path:
    """Write the automation that we ship, with a shorter time."""
    shipped = (ROOT / "automations.yaml").read_text("utf-8")
    path = folder / "automations.yaml"
    path.write_text(shipped.replace("within: 180", "within: 20"), "utf-8")
    assert path.read_text("utf-8") != shipped
    return path


def run_on_schedule(here: Machine, api_url: str) -> FlowRun:
    """Give a deployment a schedule that is due at once, and return the scheduled run."""
    client = here.client
    deployment = client.read_deployment_by_name("cfpb-complaints/newest")
    schedule = IntervalSchedule(interval=timedelta(days=1), anchor_date=datetime.now(UTC))
    client.request(
        "POST",
        "/deployments/{id}/schedules",
        path_params={"id": deployment.id},
        json=[
            DeploymentScheduleCreate(schedule=schedule, parameters={"api_url": api_url}).model_dump(
                mode="json", exclude_unset=True
            )
        ],
    )
    client.request(
        "POST",
        "/deployments/{id}/schedule",
        path_params={"id": deployment.id},
        json={"start_time": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()},
    )
    of_it = DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id]))
    return min(
        client.read_flow_runs(deployment_filter=of_it),
        key=lambda run: run.expected_start_time or datetime.max.replace(tzinfo=UTC),
    )


def loads(database: Path) -> list[Any]:
    """Return how each load of a database ended, with its parts and its complaints."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT outcome, parts, COUNT(complaint_id)"
            " FROM load LEFT JOIN complaint USING (load_id) GROUP BY load_id"
        ).fetchall()


def check_artifacts(here: Machine, run: FlowRun) -> None:
    """Read the summary and the diagram of a run through Prefect's API."""
    of_it = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    found = {each.key: str(each.data) for each in here.client.read_artifacts(artifact_filter=of_it)}
    picture = base64.b64decode(found[PICTURE].partition("base64,")[2])
    assert "# Completed" in found[SUMMARY]
    assert "1,000" in found[SUMMARY]
    assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own picture
    assert (here.folder / "newest.svg").read_bytes() == picture


def test_from_an_empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server, a pool, four deployments, a worker: every run ends as docs/server.md promises."""
    gate = Gate()
    app = Faulty(Emulator(made_up(25_000)), otherwise=gate)
    database = tmp_path / "complaints.db"
    with machine(tmp_path) as here, serve(app) as url:
        monkeypatch.setenv("CFPB_ETL_API_URL", url)
        here.types("work-pool", "create", "cfpb", "--type", "process")
        here.types("deploy", "--all", "--prefect-file", str(ROOT / "prefect.yaml"))
        first: dict[str, Any] = {
            "api_url": url,
            "update": False,
            "since": "2011-12-01",
        }  # all, in three pages
        with here.worker() as worker:
            scheduled = run_on_schedule(here, url)
            cancelled = here.start("daily-update", **first, state="NY")
            refused = here.prefect("deployment", "run", "cfpb-complaints/newest", "-p", "limit=-1")
            assert refused.returncode != 0
            assert "limit" in refused.stdout + refused.stderr
            here.reaches(scheduled, StateType.COMPLETED)
            check_artifacts(here, scheduled)

            until(lambda: gate.of_new_york, "the load of New York asks")
            combined = here.start("daily-update", **{**first, "update": True})
            second = here.start("weekly-bulk")
            assert "update" in str(here.reaches(combined, StateType.FAILED).message)
            skipped = here.reaches(second, StateType.CANCELLED)
            assert skipped.message == "Skipped: complaints.db is being loaded by another run."
            here.types("flow-run", "cancel", str(cancelled.id))
            asked = datetime.now(UTC)
            ended = here.reaches(cancelled, StateType.CANCELLED).timestamp
            assert ended - asked < timedelta(seconds=20)  # Prefect kills the process after 30

            here.types("automation", "create", "--from-file", str(quick_automation(tmp_path)))
            killed = here.start("daily-update", **first)
            until(lambda: ("running", 2) in [each[:2] for each in loads(database)], "2 pages")
            kill_all(worker)

        now = datetime.now(UTC)
        late = here.start("daily-update", now - timedelta(days=1), **first)
        resumed = here.start("daily-update", now, **first)
        gate.released.set()
        with here.worker():
            here.reaches(resumed, StateType.COMPLETED)
            assert "does the same" in str(here.reaches(late, StateType.CANCELLED).message)
            here.reaches(killed, StateType.CRASHED)
            exported = here.start("update-and-export", export="all.csv")
            here.reaches(exported, StateType.COMPLETED)

    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == 25_001
    interrupted, complete, update = loads(database)
    assert interrupted == ("interrupted", 0, 0)
    assert update[0] == "complete"
    assert complete[::2] == ("complete", 25_000)
    stored = gate.of_the_load[:2]
    assert [gate.of_the_load.count(each) for each in stored] == [1, 1]  # never asked for again
