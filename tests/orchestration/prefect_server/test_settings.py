"""The settings of Prefect that this program sets itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.context import SettingsContext, get_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    Settings,
    get_current_settings,
    temporary_settings,
)

from cfpb_etl.model.events import Warned, listening
from cfpb_etl.orchestration.errors import PrefectHomeError
from cfpb_etl.orchestration.prefect_server.settings import (
    SERVER_FOLDER,
    check_home,
    check_settings,
    server_environment,
    server_settings,
    set_log_without_markup,
    settings_for_temporary_server,
    settings_for_users_server,
)

if TYPE_CHECKING:
    from cfpb_etl.model.events import Event

# Each of these settings changes a task or a flow that does not set the value itself.
FOR_TASKS_AND_FLOWS = {
    "PREFECT_TASKS_DEFAULT_RETRIES": "3",
    "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "[60, 60, 60]",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
    "PREFECT_TASKS_DISABLE_CACHING": "true",
    "PREFECT_TASKS_REFRESH_CACHE": "true",
    "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": "1",
    "PREFECT_FLOWS_DEFAULT_RETRIES": "3",
    "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": "[60, 60, 60]",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "s3-bucket/none",
    "PREFECT_LOGGING_LOG_PRINTS": "true",
}
PRINT_OPTIONS = """
import json, sys
from cfpb_etl import flow
tasks = [flow.get_complaint_data, flow.parse_complaint_data, flow.store_complaints]
names = ["retries", "retry_delay_seconds", "persist_result", "log_prints"]
options = [[str(getattr(each, name)) for name in names] for each in (*tasks, flow.load_complaints)]
policies = [type(each.cache_policy).__name__ for each in tasks]
runner = flow.load_complaints.task_runner.duplicate()
storage = str(flow.load_complaints.result_storage)
json.dump([options, policies, storage, runner._max_workers], sys.stdout)
"""


def options_of_the_flow(environment: dict[str, str]) -> object:
    """Return what Prefect will do with the tasks and the flow in an environment."""
    done = subprocess.run(
        [sys.executable, "-c", PRINT_OPTIONS],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def test_the_users_settings_for_all_tasks_and_flows_do_not_change_ours() -> None:
    """Retries, results, caches, prints and threads are what `flow.py` says."""
    assert options_of_the_flow(FOR_TASKS_AND_FLOWS) == options_of_the_flow({})


def test_the_log_is_without_markup_whatever_the_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect accepts variables in any case, and also reads files in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    Path("prefect.toml").write_text("[logging]\nmarkup = true\n")
    os.environ["prefect_logging_markup"] = "true"  # noqa: SIM112 - the case

    set_log_without_markup()

    assert not Settings().logging.markup
    assert "prefect_logging_markup" not in os.environ


USERS = {
    "api.auth_string": "user:secret",
    "client.custom_headers": {"Authorization": "Bearer other"},
    "client.retry_extra_codes": {404},
    "cloud.api_url": "http://127.0.0.1:1",
    "logging.to_api.when_missing_flow": "error",
    "results.default_serializer": "json",
    "server.api.max_parameter_size": 10,
}


def test_a_temporary_server_gets_heartbeats_only_if_the_user_wants_them() -> None:
    """At the end of a run, Prefect waits up to a second for the thread that sends them."""
    profile = get_settings_context().profile
    with (
        SettingsContext(profile=profile, settings=Settings()),
        settings_for_temporary_server("http://127.0.0.1:1/api") as ours,
    ):
        assert ours.flows.heartbeat_frequency is None
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}),
        settings_for_temporary_server("http://127.0.0.1:1/api") as ours,
    ):
        assert ours.flows.heartbeat_frequency == 60


def test_only_a_run_has_our_settings() -> None:
    """Other contexts and threads, and the environment, have the user's settings."""
    environment = dict(os.environ)
    with temporary_settings(USERS) as users:
        before = users.model_dump()
        with settings_for_temporary_server("http://127.0.0.1:1/api") as ours:
            ours.client.max_retries = 0  # as after the end of the server
            assert get_current_settings() is ours
            assert PREFECT_API_URL.value() == "http://127.0.0.1:1/api"
            assert (ours.api.auth_string, ours.client.custom_headers) == (None, {})
            assert ours.logging.to_api.when_missing_flow == "ignore"
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(PREFECT_API_URL.value).result() != PREFECT_API_URL.value()
        with settings_for_users_server():
            kept = get_current_settings()
            assert (kept.api, kept.client) == (users.api, users.client)
            assert kept.results.default_serializer == "pickle"

        assert get_current_settings() is users
        assert users.model_dump() == before
    assert dict(os.environ) == environment


def test_the_temporary_server_has_no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has Prefect's folder, and the time for which the user wants to keep events."""
    for name, value in {
        "PREFECT_SERVER_API_AUTH_STRING": "user:secret",
        "prefect_server_api_base_path": "/v2",
        "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:p@127.0.0.1:1/x",
        "PREFECT_TEST_MODE": "1",
        "PREFECT__SERVER_WEBSERVER_ONLY": "1",
        "PREFECT_SERVER": '{"api": {"auth_string": "user:secret"}}',
        "WEB_CONCURRENCY": "4",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "PYTHONPATH": "src",
        "LANG": "C",
    }.items():
        monkeypatch.setenv(name, value)

    environment = server_environment(server_settings())

    ours = {name for name in environment if "PREFECT" in name.upper()}
    assert ours == {
        "PREFECT__SERVER_EPHEMERAL",
        "PREFECT_HOME",
        "PREFECT_PROFILES_PATH",
        "PREFECT_SERVER_ANALYTICS_ENABLED",
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION",
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE",
    }
    assert environment["PREFECT_HOME"] == str(get_current_settings().home)
    assert not {"WEB_CONCURRENCY", "HTTP_PROXY"} & {*environment}
    assert environment["NO_PROXY"] == "*"
    assert environment["PYTHONPATH"] == str(Path("src").absolute())
    assert environment["LANG"] == "C"


def test_the_temporary_server_keeps_events_as_long_as_the_user_wants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server reads back the same times: Prefect writes them as ISO 8601 durations."""
    kept = {
        "server.events.retention_period": timedelta(days=30, hours=1),
        "server.services.db_vacuum.enabled": {"events", "flow_runs"},
        "server.services.db_vacuum.retention_period": timedelta(days=90),
    }
    with temporary_settings(kept):
        environment = server_environment(server_settings())
    monkeypatch.setattr(os, "environ", environment)

    found = Settings().server

    assert found.events.retention_period == timedelta(days=30, hours=1)
    assert found.services.db_vacuum.enabled == {"events", "flow_runs"}
    assert found.services.db_vacuum.retention_period == timedelta(days=90)


@pytest.mark.parametrize("name", [".env", "prefect.toml", "profiles.toml", "pyproject.toml"])
def test_the_servers_folder_has_no_settings(name: str) -> None:
    """Prefect reads the others where its process starts, and its variable names profiles.toml."""
    assert not (SERVER_FOLDER / name).exists()


def test_a_folder_for_prefect_is_created(tmp_path: Path) -> None:
    """Prefect itself creates only the last folder of the path."""
    check_home(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_disk_without_space(tmp_path: Path) -> None:
    """The error names the folder before a server is started."""
    resource = pytest.importorskip("resource")  # Windows does not have it
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(PrefectHomeError) as raised:
            check_home(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert f"{tmp_path} cannot be used (File too large)" in str(raised.value)


def test_a_database_in_the_settings_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The user reads where the temporary server keeps the run instead."""
    events: list[Event] = []
    with (
        temporary_settings({"home": tmp_path, "server.database.name": "other.db"}),
        listening(events.append),
    ):
        check_settings()

    (warned,) = events
    assert isinstance(warned, Warned)
    assert str(tmp_path / "prefect.db") in warned.text
    assert warned.text in caplog.messages
