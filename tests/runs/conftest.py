"""Folders and servers for runs of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl import environment
from cfpb_etl.cli.main import main
from support.logs import restored_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder for Prefect's database, which takes some seconds to create."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def empty_folder(tmp_path: Path, prefect_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder without settings: Prefect starts its temporary server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(prefect_home))
    for name in ("PREFECT_API_URL", "CFPB_ETL_API_URL", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.fixture
def shared_server(
    empty_folder: None, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let all runs use the tests' one Prefect server, which saves some seconds for each."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))


class Command(Protocol):
    """Runs a command, and returns how it ended."""

    def __call__(self, *arguments: str) -> Done:
        """Run a command with these arguments."""


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        code: The exit code.
        summary: Standard output.
        log: Standard error.
    """

    code: object
    summary: str
    log: str

    def line(self, label: str) -> str:
        """Return the text of a line of the summary; "" if there is no such line."""
        lines = (line for line in self.summary.splitlines() if line.startswith(label))
        return next(lines, "").removeprefix(label).strip()


@pytest.fixture
def command(
    shared_server: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """Return a function that runs the command line in this process, which takes half a second.

    Only what is meant for a process of its own is left out.
    """
    from cfpb_etl.cli import run

    # It would end the tests' process.
    monkeypatch.setattr(run, "_exit_soon", lambda code, _died: code)
    monkeypatch.setattr(run, "_tune_garbage_collection", lambda: None)
    monkeypatch.setattr(environment, "_users", None)
    monkeypatch.setenv("CFPB_ETL_API_URL", "http://127.0.0.1:1/")  # never CFPB's own

    def run_command(*arguments: str) -> Done:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return Done(ended.value.code, *capfd.readouterr())

    with restored_logs():
        yield run_command
