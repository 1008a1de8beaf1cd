"""The scheduled flow: an update, and exports that cannot touch it."""

from __future__ import annotations

import csv
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.errors import WrongParameterError
from cfpb_etl.flow import load_complaints
from cfpb_etl.orchestration.reporting.export_artifacts import EXPORTS
from cfpb_etl.parameters.update_parameters import UpdateParameters
from cfpb_etl.scheduled import update_and_export
from cfpb_etl.store.lock import lock_for_loading
from support.made_up import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun, State


COMPLAINTS = sorted(made_up(300), key=lambda each: str(each["date_received"]))
STORED = COMPLAINTS[:-20]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: None) -> Iterator[None]:
    """Work in a folder with a database, whose source has more complaints now."""
    monkeypatch.chdir(tmp_path)
    with serve(Emulator(STORED)) as url:
        load_complaints(api_url=url, since="2011-12-01", graph=None)
    with serve(Emulator(COMPLAINTS)) as url:
        monkeypatch.setenv("CFPB_ETL_API_URL", url)
        yield


def updated(*targets: str, **parameters: Any) -> Any:
    """Run the flow, and return its end."""
    return update_and_export(export=targets, return_state=True, **parameters)


def run_id_of(state: State[Any]) -> UUID:
    """Return the id of a run from its end."""
    run_id = state.state_details.flow_run_id
    assert run_id
    return run_id


def loads_of(state: State[Any]) -> list[FlowRun]:
    """Return the runs of the load in a run of the flow."""
    parent = FlowRunFilterParentFlowRunId(any_=[run_id_of(state)])
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))


def summary_of(state: State[Any]) -> tuple[str, set[str]]:
    """Return the summary of a run, and the keys of all its artifacts."""
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id_of(state)]))
    with get_client(sync_client=True) as client:
        found = {str(each.key): each for each in client.read_artifacts(artifact_filter=only)}
    return str(found[EXPORTS].data), {*found}


def ids_in(path: str) -> set[int]:
    """Return the ids in an exported file."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {int(row["complaint_id"]) for row in csv.DictReader(file)}


@pytest.mark.usefixtures("loaded")
def test_the_exports_have_what_the_load_stored() -> None:
    """Two targets, the picture of this flow and of the load, and a summary of its own."""
    state = updated("all.csv", "all.jsonl")

    assert state.is_completed()
    assert ids_in("all.csv") == {int(each["complaint_id"]) for each in COMPLAINTS}
    assert len(Path("all.jsonl").read_bytes().splitlines()) == 300
    (load,) = loads_of(state)
    assert load.state_name == "Completed"
    text, keys = summary_of(state)
    assert text.startswith("# Completed\n")
    assert "The load is complete: 20 new" in text
    assert "| `all.csv` |" in text
    assert "| 300 in `complaint` |" in text
    assert keys == {EXPORTS, f"{EXPORTS}-flow"}
    drawn = html.unescape(Path("update-and-export.svg").read_text("utf-8"))
    assert "cfpb-complaints" in drawn
    assert "2 runs · 600 rows" in drawn
    assert "get_complaint_data" in Path("daily-update.svg").read_text("utf-8")


@pytest.mark.usefixtures("loaded")
def test_a_failed_export_leaves_the_load_and_the_others() -> None:
    """The load is complete, the other target is written, and the run says which one failed."""
    Path("folder.csv").mkdir()

    state = updated("folder.csv", "all.csv")

    assert state.is_failed()
    assert "The load is complete, and was not exported to folder.csv" in str(state.message)
    (load,) = loads_of(state)
    assert load.state_name == "Completed"
    assert len(ids_in("all.csv")) == 300
    text, _ = summary_of(state)
    assert text.startswith("# Failed\n")
    assert "The load is complete: 20 new" in text
    assert "`all.csv`" in text
    assert "1 failed" in Path("update-and-export.svg").read_text("utf-8")


@pytest.mark.usefixtures("loaded")
@pytest.mark.slow
def test_without_an_export_it_updates() -> None:
    """There is a target only if the user gives one."""
    state = updated(graph=None)

    assert state.is_completed()
    assert not Path("update-and-export.svg").exists()
    assert summary_of(state)[1] == {EXPORTS}


@pytest.mark.usefixtures("loaded")
@pytest.mark.slow
def test_a_failed_load_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old files stay."""
    Path("all.csv").write_text("old", "utf-8")
    monkeypatch.setenv("CFPB_ETL_API_URL", "http://127.0.0.1:9/")

    state = updated("all.csv")

    assert state.is_failed()
    assert Path("all.csv").read_text("utf-8") == "old"
    assert "not reached" in Path("update-and-export.svg").read_text("utf-8")


@pytest.mark.usefixtures("loaded")
@pytest.mark.slow
def test_a_database_that_is_being_loaded() -> None:
    """The load is not even started."""
    lock = lock_for_loading(Path("complaints.db"))
    try:
        state = updated("all.csv")
    finally:
        lock.close()

    assert state.is_failed()
    assert loads_of(state) == []


@pytest.mark.usefixtures("loaded")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("all.json", "`export` 'all.json' must end in"),
        ("missing/all.csv", "`export` 'missing/all.csv' is in a folder that does not exist"),
        ("complaints.db", "`export` 'complaints.db' is the database"),
        ("env:CFPB_ETL_TEST_TARGET", "env:CFPB_ETL_TEST_TARGET has no address"),
    ],
)
def test_a_target_that_cannot_be_used(target: str, message: str) -> None:
    """It fails before the load, and before the other targets."""
    state = updated("all.csv", target)

    assert state.is_failed()
    assert message in str(state.message)
    assert loads_of(state) == []
    assert not Path("all.csv").exists()


@pytest.mark.parametrize(
    "target",
    [
        "postgresql://me:secret@host/db",
        "postgresql://host/db?password=secret",
        "https://host/folder",
        "host=here user=me password=secret",
        "all.csv/postgresql:/me:secret@host",
        "postgresql//me:secret@host/db",
        "s3://bucket/complaints",
    ],
)
def test_addresses_are_not_parameters(target: str) -> None:
    """Prefect would store them, and they can have passwords."""
    with pytest.raises(WrongParameterError, match="env:NAME or secret:BLOCK") as raised:
        UpdateParameters(export=target)

    assert "secret@" not in str(raised.value)
    assert "=secret" not in str(raised.value)


def test_names_of_addresses_and_paths_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One or several."""
    monkeypatch.chdir(tmp_path)
    Path("complaints.db").touch()  # an update needs a database
    for targets in ("env:TARGET", "secret:team", "complaints-parquet"):
        assert UpdateParameters(export=targets).targets == (targets,)
    several: list[str | Path] = ["a.csv", Path("b.duckdb"), "a.csv"]
    assert UpdateParameters(export=several).targets == ("a.csv", "b.duckdb")
