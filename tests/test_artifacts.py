"""What Prefect's UI shows of a run, read back through Prefect's API."""

from __future__ import annotations

import base64
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prefect.artifacts import update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.settings import PREFECT_API_URL, temporary_settings

import faults
from cfpb_etl import artifacts
from cfpb_etl.artifacts import PICTURE, PROGRESS, SUMMARY, record_run
from cfpb_etl.emulator import Emulator, made_complaints
from cfpb_etl.run_outcome import RunOutcome
from faults import Faulty
from prefect_runs import run

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import Artifact, State

COMPLAINTS = made_complaints(3_000)


def artifacts_of(state: State[Any]) -> dict[str, Artifact]:
    """Return what the server has of a flow run, by key."""
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only)
    return {str(each.key): each for each in found}


@pytest.mark.usefixtures("prefect_server")
def test_a_summary_and_the_picture(tmp_path: Path) -> None:
    """A run leaves what it did, in words, and its picture as it lies on the disk."""
    state = run(Emulator(COMPLAINTS), tmp_path, limit=2_000)

    found = artifacts_of(state)
    assert found.keys() == {SUMMARY, PICTURE}
    assert (found[SUMMARY].type, found[PICTURE].type) == ("markdown", "image")
    text = str(found[SUMMARY].data)
    assert text.startswith("# Completed\n")
    assert "| complaints read | 2,000 |" in text
    assert "| of these | 2,000 inserted, 0 updated, 0 unchanged |" in text
    assert "| proof | 2,000 expected, 2,000 came |" in text
    assert f"| database | `{tmp_path / 'complaints.db'}` |" in text
    head, _, data = str(found[PICTURE].data).partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (tmp_path / "flow.svg").read_bytes()


@pytest.mark.usefixtures("prefect_server", "no_delays")
def test_a_failed_run_has_them_too(tmp_path: Path) -> None:
    """What failed and what was kept is told."""
    down = dict.fromkeys(range(2, 9), faults.server_error())
    state = run(Faulty(Emulator(COMPLAINTS), down), tmp_path, limit=3_000)

    assert state.is_failed()
    found = artifacts_of(state)
    text = str(found[SUMMARY].data)
    assert text.startswith("# Failed\n\n```text\nThe search API failed on its side: 500\n```\n")
    assert "Kept: 1,000 complaints." in text
    assert "| retries | 4 |" in text
    assert found[PICTURE].type == "image"


@pytest.mark.usefixtures("prefect_server")
def test_a_short_run_shows_no_progress_and_a_long_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ten seconds on it is told how far a run is; here from the beginning, at every page."""
    assert PROGRESS not in artifacts_of(run(Emulator(COMPLAINTS), tmp_path, limit=3_000))
    monkeypatch.setattr(artifacts, "_SECONDS_OF_A_SHORT_RUN", 0)
    monkeypatch.setattr(artifacts, "_SECONDS_BETWEEN_UPDATES", 0)
    told: list[float] = []

    def noted(artifact: Any, percent: float) -> None:
        told.append(percent)
        update_progress_artifact(artifact, percent)

    monkeypatch.setattr(artifacts, "update_progress_artifact", noted)

    progress = artifacts_of(run(Emulator(COMPLAINTS), tmp_path, limit=3_000))[PROGRESS]

    assert (progress.type, progress.data) == ("progress", 100)
    assert told == [66.7, 100]


def test_no_run_fails_for_want_of_a_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the server does not answer is a warning, once, whatever is to be told to it."""
    monkeypatch.setattr(artifacts, "_SECONDS_OF_A_SHORT_RUN", 0)
    monkeypatch.setattr(artifacts, "_SECONDS_BETWEEN_UPDATES", 0)
    log = logging.getLogger("cfpb_etl.test")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with artifacts.shown_progress(None):
            for share in (0.1, 0.2):
                log.info("Storing", extra={"share": share})
        now = datetime.now(UTC)
        record_run(RunOutcome(now, now, "completed"), tmp_path / "x.db", None)

    assert [each.message.partition(":")[0] for each in caplog.records if each.levelno > 20] == [
        "Prefect's server does not take how far the run is",
        "Prefect's server did not take the summary of the run",
    ]
