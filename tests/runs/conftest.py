"""Folders and servers for runs of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL

if TYPE_CHECKING:
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
