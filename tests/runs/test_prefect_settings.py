"""Runs under settings of Prefect that are meant for other flows, or for the user's own server."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.program import environment_without_coverage, query, run_program

LOGGING = """
version: 1
disable_existing_loggers: true
loggers:
    root: {level: DEBUG, handlers: []}
    prefect.flow_runs: {level: DEBUG, propagate: no}
"""
SERVER_TOML = """
[server.api]
auth_string = "user:secret"
csrf_protection_enabled = true
[server.services.task_run_recorder]
enabled = false
[server.docket]
url = "redis://127.0.0.1:1/0"
"""
HOSTILE = {
    "PREFECT_API_AUTH_STRING": "other:secret",
    "PREFECT_API_KEY": "pnu_secret\n",
    "PREFECT_API_REQUEST_TIMEOUT": "0.001",
    "PREFECT_API_SSL_CERT_FILE": "/nonexistent.pem",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "Bearer other"}',
    "PREFECT_CLIENT_METRICS_ENABLED": "true",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "200,201,404",
    "PREFECT_FLOWS_DEFAULT_RETRIES": "2",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "httpx,httpcore,root",
    "PREFECT_LOGGING_LOG_PRINTS": "true",
    "PREFECT_LOGGING_TO_API_BATCH_SIZE": "20",
    "PREFECT_LOGGING_TO_API_MAX_LOG_SIZE": "10",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "error",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "nonsense",
    "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "s3-bucket/none",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    "PREFECT_SERVER_API_BASE_PATH": "/v2/api",
    "PREFECT_SERVER_API_MAX_PARAMETER_SIZE": "10",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:p@127.0.0.1:1/x",
    "PREFECT_SERVER_EVENTS_MAXIMUM_LABELS_PER_RESOURCE": "1",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
    "PREFECT_TASKS_DEFAULT_RETRIES": "2",
    "PREFECT_TASKS_RUNNER_THREAD_POOL_MAX_WORKERS": "1",
    "PREFECT_TEST_MODE": "1",
    "WEB_CONCURRENCY": "4",
}


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_settings_for_others_do_not_change_a_run(
    prefect_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample is loaded. Only what the user may look for elsewhere gets a warning."""
    Path("prefect.toml").write_text(SERVER_TOML)
    Path("logging.yml").write_text(LOGGING)
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_LOGGING_SETTINGS_PATH", "logging.yml")
    results = sorted((prefect_home / "storage").glob("*"))
    with socket.create_server(("", 0)) as metrics:
        monkeypatch.setenv("PREFECT_CLIENT_METRICS_PORT", str(metrics.getsockname()[1]))
        done = run_program("--source", "sample", "--limit", "50")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("50 complaints")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2, done.stderr
    assert str(prefect_home / "prefect.db") in warnings[0]
    assert "metrics cannot use port" in warnings[1]
    assert "secret" not in done.stderr
    assert sorted((prefect_home / "storage").glob("*")) == results
    assert query("sample.db", "SELECT outcome FROM load") == [("complete",)]


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
def test_retries_for_all_flows_do_not_hide_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is read once, so only the fetch is repeated."""
    for name in ("TASKS_DEFAULT_RETRIES", "FLOWS_DEFAULT_RETRIES"):
        monkeypatch.setenv(f"PREFECT_{name}", "3")
    monkeypatch.setenv("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true")
    Path("bad.csv").write_text("nothing,here\n1,2\n")

    failed = run_program("--source", "bulk", "--file", "bad.csv")

    assert failed.returncode == 1
    assert "bad.csv is not a CFPB complaints file" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert query("complaints.db", "SELECT COUNT(*) FROM load") == [(1,)]


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_prefect_registers_its_blocks_after_a_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary server registers none, and Prefect must not remember that it had."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    loaded = run_program("--source", "sample", "--limit", "100")
    assert loaded.returncode == 0, loaded.stderr
    database = str(tmp_path / "home" / "prefect.db")
    assert query(database, "SELECT COUNT(*) FROM flow_run") == [(1,)]
    assert query(database, "SELECT COUNT(*) FROM block_type") == [(0,)]

    listed = subprocess.run(
        [sys.executable, "-m", "prefect", "block", "type", "ls"],
        env=environment_without_coverage() | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "slack-webhook" in listed.stdout
    assert query(database, "SELECT COUNT(*) FROM flow_run") == [(1,)]
