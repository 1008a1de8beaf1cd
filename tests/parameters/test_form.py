"""The form for a run in Prefect's UI, as a browser shows it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from html import unescape
from typing import TYPE_CHECKING

import httpx
import pytest
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import PREFECT_API_URL, temporary_settings

from cfpb_etl.flow import load_complaints
from support.browser import needs_browser, render
from support.program import environment_without_coverage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Both UIs of Prefect: where it is, and the text of its input for a date.
UIS: dict[str, list[str]] = {"/v2": ["Pick a date"], "": []}
SWITCHES = {"update", "restart", "allow_withdrawals", "whole", "partial"}
DATES = {"since", "until", "as_of"}
CHOICES = {"state", "product", "tag", "submitted_via", "company_response"}
TEXTS = {"issue", "company", "zip_code", "file"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Run a Prefect server with its UI, which the tests' shared server does not have."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"{address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
        env=environment_without_coverage() | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + 90
            while not answers(f"{address}/api/health"):
                assert time.monotonic() < deadline, "the server does not answer"
                threading.Event().wait(0.1)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Say whether a server answers."""
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=1).is_success
    return False


def lines_of(html: str) -> list[str]:
    """Return the lines of text of a page, without its scripts and styles."""
    body = re.sub(r"(?s)<(script|style).*?</\1>", "", html[html.index("<body") :])
    lines = unescape(re.sub(r"<[^>]+>", "\n", body)).splitlines()
    return [stripped for line in lines if (stripped := line.strip()) and stripped != "Open menu"]


@pytest.mark.slow
@needs_browser
def test_the_form_is_short_and_has_fitting_inputs(server: str, tmp_path: Path) -> None:
    """States and products are choices, free text is allowed, days are dates, None is nothing."""
    with temporary_settings({PREFECT_API_URL: f"{server}/api"}):
        deployment = RunnerDeployment.from_flow(load_complaints, name="form").apply()
    for folder, date_input in UIS.items():
        address = f"{server}{folder}/deployments/deployment/{deployment}/run"
        check_form(lines_of(render(address, tmp_path, 1400).html), date_input)


def check_form(lines: list[str], date_input: list[str]) -> None:
    """Check the text of the form."""
    names = [*load_complaints.parameters.properties]
    places = [lines.index(f"{name} (Optional)") for name in names]
    assert places == sorted(places)
    shown = {
        name: lines[place + 1 : following]
        for name, place, following in zip(names, places, [*places[1:], len(lines)], strict=True)
    }
    described = load_complaints.parameters.properties
    for name in names[:-1]:
        description, *inputs = shown[name]
        assert description == " ".join(described[name]["description"].split())
        if name in DATES:
            assert inputs == date_input
        elif name in CHOICES:
            assert inputs[:3] == ["Choose", "Type one", "Type several"]
            assert inputs[3:]
        elif name in TEXTS:
            assert inputs == ["One", "Several"]
        elif name == "source":
            assert inputs[0] == "api"
        elif name in SWITCHES:
            assert inputs == []
        else:
            assert inputs in ([], ["Select"], described[name].get("enum"))  # a box, or one choice
    text = "\n".join(lines)
    for ugly in ("None", "Args:", "Raises", "Field", "No items in this list", "page_size", "kind"):
        assert not re.search(rf"\b{ugly}\b", text)
