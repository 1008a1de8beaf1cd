"""The sample in an environment in which everything is set against it at once."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import prefect.logging
import pytest

from support.program import PROGRAM, environment_without_coverage
from support.proxy import Proxy
from support.tls import Authority

pytestmark = pytest.mark.slow


def hostile_variables(folder: Path, proxy: str) -> dict[str, str]:
    """Return the variables that could stop a run.

    Args:
        folder: Where the files of the variables are written.
        proxy: A proxy that answers nothing.
    """
    netrc, logging_yml = folder / "netrc", folder / "logging.yml"
    netrc.write_text("default login joe password netrc-s3cret\n", "utf-8")
    netrc.chmod(0o600)
    usual = Path(prefect.logging.__file__).with_name("logging.yml").read_text("utf-8")
    logging_yml.write_text(re.sub(r"handlers: \[.*\]", "handlers: []", usual), "utf-8")
    proxies = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "FTP_PROXY")
    bundle = str(Authority(folder).bundle)
    bundles = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return {
        **dict.fromkeys(proxies, proxy),
        "all_proxy": "socks://127.0.0.1:9/",
        "NO_PROXY": "10.0.0.0/8,[::1]",
        "no_proxy": "[::1]:80",
        "NETRC": str(netrc),
        **dict.fromkeys(bundles, bundle),
        "SSL_CERT_DIR": str(folder),
        "PREFECT_TASKS_DEFAULT_RETRIES": "3",
        "PREFECT_TASKS_DEFAULT_RETRY_DELAY_SECONDS": "30",
        "PREFECT_FLOWS_DEFAULT_RETRIES": "2",
        "PREFECT_FLOWS_DEFAULT_RETRY_DELAY_SECONDS": "30",
        "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true",
        "PREFECT_SERVER_API_AUTH_STRING": "admin:server-s3cret",
        "PREFECT_LOGGING_SETTINGS_PATH": str(logging_yml),
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "FORCE_COLOR": "1",
        "CLICOLOR_FORCE": "1",
        "TERM": "dumb",
        "COLUMNS": "20",
    }


def test_the_sample_loads_whatever_is_set(empty_folder: None, tmp_path: Path) -> None:
    """The sample needs nothing of the user's environment, so nothing there can stop it."""
    with Proxy(silent=True) as proxy:
        command = [*PROGRAM, "--source", "sample", "--limit", "500", "--database", "d.db"]
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
            env=environment_without_coverage() | hostile_variables(tmp_path, proxy.url),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("500 complaints in 1 page: 500 new, 0 changed, 0 unchanged\n")
    assert "\x1b" not in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert proxy.connections == 0
    assert {file.name for file in Path().iterdir() if "s3cret" in _text(file)} <= {"netrc"}


def _text(file: Path) -> str:
    return file.read_bytes().decode("latin-1") if file.is_file() else ""
