"""The artifacts of a run, read through Prefect's API."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from prefect import flow
from prefect.artifacts import update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.context import SyncClientContext
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from cfpb_etl.emulator import BULK_PATH, Emulator, serve, write_bulk_file
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.model.events import LoadStarted, PartStored, Progress
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.orchestration.reporting import artifacts
from cfpb_etl.orchestration.reporting.artifacts import (
    PICTURE,
    PROGRESS,
    SUMMARY,
    ProgressArtifact,
    create_run_artifacts,
    summary_of,
)
from cfpb_etl.orchestration.reporting.outcome import RunOutcome
from support import faults
from support.faults import Faulty
from support.made_up import made_up
from support.prefect_runs import error_of, run
from support.sources import load_source

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact, State

COMPLAINTS = made_up(3_000)
NOW = datetime.now(UTC)


def artifacts_of(state: State[Any]) -> dict[str, Artifact]:
    """Return the artifacts of a flow run, by key."""
    flow_run_id = state.state_details.flow_run_id
    assert flow_run_id
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only)
    return {str(each.key): each for each in found}


@pytest.mark.usefixtures("prefect_server")
def test_a_summary_and_the_picture(tmp_path: Path) -> None:
    """A run has a summary, and the same picture as the one on the disk."""
    state = run(Emulator(COMPLAINTS), tmp_path, limit=2_000)

    found = artifacts_of(state)
    assert found.keys() == {SUMMARY, PICTURE}
    assert (found[SUMMARY].type, found[PICTURE].type) == ("markdown", "image")
    text = str(found[SUMMARY].data)
    assert text.startswith("# Completed\n")
    assert "| request | `the newest 2,000` |" in text
    assert "| complaints read | 2,000 |" in text
    assert "| of these | 2,000 new, 0 changed, 0 unchanged |" in text
    assert "| verified | 2,000 of 2,000 |" in text
    assert f"| database | `{tmp_path / 'complaints.db'}` |" in text
    head, _, data = str(found[PICTURE].data).partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (tmp_path / "flow.svg").read_bytes()


@pytest.mark.usefixtures("prefect_server", "no_delays")
def test_a_failed_run_has_them_too(tmp_path: Path) -> None:
    """The summary says what failed, what is saved and what to do."""
    down = dict.fromkeys(range(2, 9), faults.server_error())
    state = run(Faulty(Emulator(COMPLAINTS), down), tmp_path, limit=3_000)

    assert state.is_failed()
    found = artifacts_of(state)
    text = str(found[SUMMARY].data)
    error = text.partition("\n| | |")[0]
    assert " ".join(error.split()) == (
        f"# Failed {error_of(state)} 1,000 complaints are saved in {tmp_path / 'complaints.db'}."
        " Run the same command again to start over."
    )
    assert all(line.startswith("    ") for line in error.splitlines()[2:] if line)
    assert "| retries | 4 |" in text
    assert found[PICTURE].type == "image"


@pytest.mark.usefixtures("prefect_server")
def test_only_a_long_run_shows_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of ten seconds shows how far it is; here a run does so from its first page."""
    assert PROGRESS not in artifacts_of(run(Emulator(COMPLAINTS), tmp_path, limit=3_000))
    monkeypatch.setattr(artifacts, "_SHORT_RUN_SECONDS", 0)
    monkeypatch.setattr(artifacts, "_UPDATE_SECONDS", 0)
    shown: list[float] = []

    def recorded(artifact: Any, percent: float) -> None:
        shown.append(percent)
        update_progress_artifact(artifact, percent)

    monkeypatch.setattr(artifacts, "update_progress_artifact", recorded)

    progress = artifacts_of(run(Emulator(COMPLAINTS), tmp_path, limit=3_000))[PROGRESS]

    assert (progress.type, progress.data) == ("progress", 100)
    assert shown == [66.7, 100]


@pytest.mark.usefixtures("prefect_server", "no_delays")
def test_a_resumed_run_has_the_summary_of_the_whole_load(tmp_path: Path) -> None:
    """What an earlier run has stored counts, as in the closing lines."""
    run(Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), faults.server_error())), tmp_path)

    text = str(artifacts_of(run(Emulator(COMPLAINTS), tmp_path))[SUMMARY].data)

    assert "| complaints read | 3,000 |" in text
    assert "| verified | 3,000 of 3,000 |" in text


@pytest.mark.usefixtures("prefect_server")
def test_unchanged_files_are_counted(tmp_path: Path) -> None:
    """The summary says that an unchanged file was not read."""
    write_bulk_file(tmp_path, COMPLAINTS, day=date(2026, 11, 2))
    database = tmp_path / "complaints.db"
    with serve(Emulator(COMPLAINTS, files=tmp_path)) as url:
        source = BulkFile(urljoin(url, BULK_PATH), database)
        load_source(source, database)
        state = load_source(source, database)

    assert "| files not read | 1, unchanged since the last load |" in str(
        artifacts_of(state)[SUMMARY].data
    )


def test_text_from_outside_is_not_markup() -> None:
    """Markdown in a file, a query or a path does not change the summary's own."""
    odd = LoadStats(warnings=("line 7: <img src=x>\n\n# not a \x1bheading",))
    outcome = RunOutcome(NOW, NOW, request='api {"search": "a|b\n"}', stats=odd)
    outcome.end(ValueError("\u202e# <b>\n\n| x | y |"))

    lines = summary_of(outcome, Path("a|`b`.db"), limited=False, repeat="").splitlines()

    assert r"    line 7: <img src=x>\n\n# not a \x1bheading" in lines
    assert r"    \u202e# <b> | x | y |" in lines
    assert r'| request | `api {"search": "a\|b\n"}` |' in lines
    assert r"| database | `a\|'b'.db` |" in lines


def test_an_interrupted_run_was_interrupted() -> None:
    """It has no error, and its heading says how it ended."""
    outcome = RunOutcome(NOW, NOW, "interrupted")

    assert summary_of(outcome, Path("x.db"), limited=False, repeat="").startswith("# Interrupted\n")


@pytest.mark.parametrize(
    ("limit", "percent"), [(None, [25.0, 50.0, 62.5]), (200, [50.0, 100.0, 62.5])]
)
def test_progress_is_that_of_the_load_or_of_a_long_step(
    limit: int | None, percent: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total is what matches, or the limit; a step of a file has its own share."""
    monkeypatch.setattr(artifacts, "_SHORT_RUN_SECONDS", 0)
    monkeypatch.setattr(artifacts, "_UPDATE_SECONDS", 0)
    shown: list[float] = []
    monkeypatch.setattr(artifacts, "FlowRunContext", type("Context", (), {"get": lambda: "a run"}))
    monkeypatch.setattr(
        artifacts, "create_progress_artifact", lambda share, *_: shown.append(share)
    )
    page = LoadStats(parts=1, rows=100, matching=400)

    progress = ProgressArtifact(limit)
    progress(LoadStarted("api {}", page))
    progress(PartStored("", "", page))
    progress(Progress("Storing", "", 0.625))
    progress(Progress("Storing", "", None))

    assert shown == percent


@pytest.mark.usefixtures("prefect_server")
def test_a_run_does_not_fail_without_its_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of artifact that cannot be sent causes one warning."""
    # Within a flow, Prefect uses the flow's own client unless there is another one.
    monkeypatch.setattr(artifacts, "_SHORT_RUN_SECONDS", 0)
    monkeypatch.setattr(artifacts, "_UPDATE_SECONDS", 0)

    @flow
    def cut_off() -> None:
        gone = {
            PREFECT_API_URL: "http://127.0.0.1:9/api",
            PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,  # it would send a request at once
            PREFECT_LOGGING_TO_API_ENABLED: False,  # its thread would print errors in later tests
        }
        with temporary_settings(gone), SyncClientContext({"timeout": 5}):
            progress = ProgressArtifact(None)
            for share in (0.1, 0.2):
                progress(Progress("Storing", "", share))
            progress.complete()
            outcome = RunOutcome(NOW, NOW, "completed")
            create_run_artifacts(outcome, tmp_path / "x.db", None, limited=False)

    state: State[Any] = cut_off(return_state=True)

    assert state.is_completed()
    warnings = [line.partition(":") for line in caplog.messages if "Prefect's server" in line]
    assert [what for what, _, _ in warnings] == [
        "Prefect's server did not take the progress of the run",
        "Prefect's server did not take the summary of the run",
    ]
    assert all("refused" in reason for _, _, reason in warnings)
