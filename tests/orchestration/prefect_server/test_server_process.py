"""The temporary server's process, which can start before Prefect is imported."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from cfpb_etl.orchestration.prefect_server import server_process
from cfpb_etl.orchestration.prefect_server.server import prefect_server
from cfpb_etl.orchestration.prefect_server.server_process import (
    ServerProcess,
    end_early,
    start_early,
    started_with,
)
from cfpb_etl.orchestration.prefect_server.settings import ServerSettings, server_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Leave no setting of Prefect but its folder."""
    for name in [name for name in os.environ if name.upper().startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "home"
    monkeypatch.setenv("PREFECT_HOME", str(folder))
    yield folder
    end_early()


def early() -> ServerProcess | None:
    """Start the server early if the settings allow it, and return its process."""
    start_early()
    return server_process._early


def end(server: ServerProcess) -> None:
    """End a process."""
    server.process.kill()
    server.process.communicate()


def test_a_run_takes_the_early_process(home: Path) -> None:
    """There is one, and another run gets its own."""
    started = early()

    taken, other = (started_with(ServerSettings(home, {})) for _ in range(2))

    try:
        assert taken is started
        assert taken.process.poll() is None
        assert other.port != taken.port
    finally:
        end(taken)
        end(other)


def test_a_run_with_other_settings_ends_the_early_process(home: Path) -> None:
    """Otherwise the run would be in another database than the user's."""
    started = early()
    assert started is not None

    taken = started_with(ServerSettings(home, {"PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P1D"}))

    end(taken)
    assert taken is not started
    assert started.process.returncode == -signal.SIGKILL


def test_a_server_in_the_settings_ends_the_early_process() -> None:
    """Such a setting can be where only Prefect looks for it."""
    started = early()
    assert started is not None

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        prefect_server()

    assert started.process.returncode == -signal.SIGKILL


def test_prefect_reads_the_same_settings(home: Path) -> None:
    """The process that was started early is therefore used."""
    started = early()
    assert started is not None

    with temporary_settings({"home": home}, restore_defaults={PREFECT_API_URL}):
        assert server_settings() == started.settings


def test_the_usual_folder_of_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PREFECT_HOME, it is in the user's folder."""
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))

    started = early()

    assert started is not None
    assert started.settings.home == tmp_path / ".prefect"


@pytest.mark.parametrize(
    "content", ["active = ['a']", "active = 'a'\n[profiles]\na = [1]", "active = 'a'\nprofiles = 1"]
)
def test_profiles_that_are_not_valid(home: Path, content: str) -> None:
    """Prefect's import names the fault."""
    home.mkdir()
    (home / "profiles.toml").write_text(content)

    assert early() is None


@pytest.mark.parametrize(
    "variable",
    [
        "PREFECT_API_URL=http://127.0.0.1:1/api",
        "prefect_api_url=http://127.0.0.1:1/api",
        'PREFECT_API={"url": "http://127.0.0.1:1/api"}',
        "PREFECT_PROFILE=local",
        "PREFECT_PROFILES_PATH=profiles.toml",
        "PREFECT_SERVER_EPHEMERAL_ENABLED=false",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=0",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD=P30D",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events",
        "PREFECT_TEST_MODE=1",
        "PREFECT_HOME=",
        "prefect_home=elsewhere",
        "PREFECT_HOME=~no-such-user/prefect",
    ],
)
def test_variables_that_prevent_an_early_start(
    variable: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They can name a server or a profile, or the temporary server needs them too."""
    monkeypatch.setenv(*variable.split("=", 1))

    assert early() is None
    assert not home.exists()


PROFILE = "active = 'mine'\n[profiles.mine]\n"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".env", "PREFECT_API_URL=http://127.0.0.1:1/api"),
        ("prefect.toml", ""),
        ("pyproject.toml", "[tool]\nprefect.api.url = 'http://127.0.0.1:1/api'"),
        ("pyproject.toml", "no TOML"),
        ("home/profiles.toml", f"{PROFILE}PREFECT_API_URL = 'http://127.0.0.1:1/api'"),
        ("home/profiles.toml", f"{PROFILE}PREFECT_SERVER_EPHEMERAL_ENABLED = false"),
        ("home/profiles.toml", f"{PROFILE}PREFECT_HOME = 'other'"),
        ("home/profiles.toml", "profiles = 1"),
        ("home/profiles.toml", "no TOML"),
    ],
)
def test_files_that_prevent_an_early_start(file: str, content: str) -> None:
    """They can do the same, or keep Prefect from its import."""
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(content, "utf-8")

    assert early() is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (".env", "SECRET=1"),
        ("pyproject.toml", "[project]\ndependencies = ['prefect']"),
        ("home/profiles.toml", f"{PROFILE}PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = 'true'"),
        ("home/profiles.toml", f"{PROFILE}[profiles.local]\nPREFECT_API_URL = 'http://x/api'"),
        ("home/profiles.toml", "active = 'lost'"),
    ],
)
def test_files_without_a_server(file: str, content: str) -> None:
    """Other files have these names too, and a profile that is not active does not count."""
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text(content, "utf-8")

    assert early() is not None


def test_a_folder_that_cannot_be_used(home: Path) -> None:
    """The run raises the error after it has imported Prefect."""
    home.write_text("a file", "utf-8")

    assert early() is None
