"""What Prefect's UI shows of a run, read back through Prefect's API."""

from __future__ import annotations

import base64
import logging
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
    temporary_settings,
)

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve, write_bulk_file
from cfpb_etl.fetch.bulk_file import BulkFile
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.orchestration import artifacts
from cfpb_etl.orchestration.artifacts import PICTURE, PROGRESS, SUMMARY, record_run, summary
from cfpb_etl.orchestration.outcome import RunOutcome
from support import faults
from support.faults import Faulty
from support.prefect_runs import error_of, run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Artifact, State

COMPLAINTS = generate_complaints(3_000)
NOW = datetime.now(UTC)


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
    assert '| asked for | `api {"limit": 2000}` |' in text
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
    told = text.partition("\n| | |")[0]
    assert " ".join(told.split()) == (
        f"# Failed {error_of(state)} Kept: 1,000 complaints in {tmp_path / 'complaints.db'}."
        " Run the same command again: it starts over, and stores nothing twice."
    )
    assert all(line.startswith("    ") for line in told.splitlines()[2:] if line)
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


@pytest.mark.usefixtures("prefect_server", "no_delays")
def test_a_run_that_goes_on_tells_of_the_whole_load(tmp_path: Path) -> None:
    """What an earlier run brought counts, as it does in the closing lines."""
    run(Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), faults.server_error())), tmp_path)

    text = str(artifacts_of(run(Emulator(COMPLAINTS), tmp_path))[SUMMARY].data)

    assert "| complaints read | 3,000 |" in text
    assert "| proof | 3,000 expected, 3,000 came |" in text


@pytest.mark.usefixtures("prefect_server")
def test_files_that_are_known_are_told(tmp_path: Path) -> None:
    """A file that has not changed since is not read again, and the summary says so."""
    write_bulk_file(tmp_path, COMPLAINTS, day=date(2026, 11, 2))
    database = tmp_path / "complaints.db"
    with serve(Emulator(COMPLAINTS, files=tmp_path)) as url:
        source = BulkFile(urljoin(url, BULK_PATH), database)
        load_complaints(source, database, None)
        state: State[Any] = load_complaints(source, database, None, return_state=True)

    assert "| files not read | 1, not changed since the last load |" in str(
        artifacts_of(state)[SUMMARY].data
    )


def test_what_is_odd_is_shown_as_it_is() -> None:
    """What a file or a server has sent is no markup of the page, nor of the table."""
    odd = LoadStats(warnings=("line 7: <img src=x>\n\n# not a heading",))
    outcome = RunOutcome(NOW, NOW, "completed", asked='api {"search": "a|b"}', report=odd)

    lines = summary(outcome, Path("a|`b`.db"), limited=False, again="").splitlines()

    assert "    line 7: <img src=x> # not a heading" in lines
    assert r'| asked for | `api {"search": "a\|b"}` |' in lines
    assert r"| database | `a\|'b'.db` |" in lines


def test_steps_that_only_progress_hears_go_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    """A served run's log does not fill with the many records of a long step."""
    caplog.set_level(logging.INFO)
    package, log = logging.getLogger("cfpb_etl"), logging.getLogger("cfpb_etl.test")
    before = package.level
    package.setLevel(logging.WARNING)
    try:
        with artifacts.shown_progress(None):
            log.info("Storing", extra={"share": 0.1})
            log.warning("Odd")
        assert package.level == logging.WARNING
    finally:
        package.setLevel(before)

    assert caplog.messages == ["Odd"]


@pytest.mark.usefixtures("prefect_server")
def test_no_run_fails_for_want_of_a_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the server has gone is a warning, once, whatever is to be told to it."""
    # Within a flow Prefect asks the server by the flow's own client, unless told of another.
    monkeypatch.setattr(artifacts, "_SECONDS_OF_A_SHORT_RUN", 0)
    monkeypatch.setattr(artifacts, "_SECONDS_BETWEEN_UPDATES", 0)

    @flow
    def cut_off() -> None:
        gone = {
            PREFECT_API_URL: "http://127.0.0.1:9/api",
            PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,  # it would ask when it is entered
        }
        with temporary_settings(gone), SyncClientContext({"timeout": 5}):
            with artifacts.shown_progress(None):
                for share in (0.1, 0.2):
                    logging.getLogger("cfpb_etl.test").info("Storing", extra={"share": share})
            record_run(RunOutcome(NOW, NOW, "completed"), tmp_path / "x.db", None, limited=False)

    state: State[Any] = cut_off(return_state=True)

    assert state.is_completed()
    said = [line.partition(":") for line in caplog.messages if "Prefect's server" in line]
    assert [what for what, _, _ in said] == [
        "Prefect's server does not take how far the run is",
        "Prefect's server did not take the summary of the run",
    ]
    assert all("refused" in why for _, _, why in said)
