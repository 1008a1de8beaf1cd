"""The last line of a run is the same under any logging settings of Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import prefect.logging
import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import Emulator, serve
from support import faults
from support.faults import Faulty
from support.made_up import made_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

COMPLAINTS = made_up(12_000, era="2024")
DEFAULT = (Path(prefect.logging.__file__).parent / "logging.yml").read_text("utf-8")
RUN_LOGGERS = ("prefect.flow_runs:", "prefect.task_runs:")


def with_run_loggers(setting: str) -> str:
    """Return Prefect's logging.yml with a setting added to the loggers of flow and task runs."""
    text = DEFAULT
    for logger in RUN_LOGGERS:
        assert f"\n  {logger}\n" in text
        text = text.replace(f"\n  {logger}\n", f"\n  {logger}\n    {setting}\n")
    return text


SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
    "run loggers do not propagate": (with_run_loggers("propagate: no"), {}),
    "run loggers have a console": (
        with_run_loggers("propagate: no").replace("handlers: [api]", "handlers: [api, console]"),
        {},
    ),
    "PREFECT_LOGGING_LEVEL": (DEFAULT, {"PREFECT_LOGGING_LEVEL": "ERROR"}),
    "no logs sent to the server": (DEFAULT, {"PREFECT_LOGGING_TO_API_ENABLED": "false"}),
}


@pytest.fixture(params=SETTINGS)
def run(
    request: pytest.FixtureRequest,
    prefect_server: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[ASGIApp], subprocess.CompletedProcess[str]]:
    """Return a function that runs the program under one of the settings, in an empty folder."""
    logging_yml, environment = SETTINGS[request.param]
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    (home / "logging.yml").write_text(logging_yml, "utf-8")
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def run_program(app: ASGIApp) -> subprocess.CompletedProcess[str]:
        with serve(app) as url:
            return subprocess.run(
                [sys.executable, "-m", "cfpb_etl.flow", "--api-url", url, "--limit", "11000"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )

    return run_program


@pytest.mark.slow
def test_a_failed_run_says_what_is_saved(
    run: Callable[[ASGIApp], subprocess.CompletedProcess[str]],
) -> None:
    """A run that fails on page 2 has stored page 1."""
    failed = run(Faulty(Emulator(COMPLAINTS), {2: faults.forbidden_html()}))

    last = failed.stderr.splitlines()[-1]
    assert failed.returncode == 1
    assert last.startswith("failed: ")
    assert "10,000 complaints are saved in complaints.db. Run the same command again" in last
    assert last.endswith("Picture: complaints-flow.svg")
    assert failed.stdout == ""


@pytest.mark.slow
def test_a_complete_run_prints_its_summary(
    run: Callable[[ASGIApp], subprocess.CompletedProcess[str]],
) -> None:
    """The summary is all that the standard output has."""
    done = run(Emulator(COMPLAINTS))

    assert done.returncode == 0, done.stderr
    lines = [line.partition("  ")[0] for line in done.stdout.splitlines()]
    assert lines == [
        "11,000 complaints in 2 pages: 11,000 new, 0 changed, 0 unchanged",
        *("received", "data of", "verified", "database", "picture", "try"),
    ]
