"""Notifications of failed runs, received by a real web hook."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock, MattermostWebhook
from prefect.blocks.system import Secret
from prefect.deployments import run_deployment
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from cfpb_etl.emulator import Emulator, serve
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.orchestration.errors import NoNotificationBlockError
from cfpb_etl.orchestration.reporting.notifications import load_notification_block
from support import faults
from support.faults import Exchange, Faulty
from support.made_up import made_up
from support.prefect_runs import error_of
from support.sources import load_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = made_up(2_000)
TEAM = "custom-webhook/team"
CHAT = "mattermost-webhook/chat"
UNUSED_PORT = "http://127.0.0.1:9/"


class Hook(BaseHTTPRequestHandler):
    """Collects what is posted to it."""

    posted: list[dict[str, str]]
    arrived: threading.Event
    status = 200

    def do_POST(self) -> None:
        """Collect a message."""
        length = int(self.headers["Content-Length"])
        self.posted.append(json.loads(self.rfile.read(length)))
        self.send_response(self.status)
        self.end_headers()
        self.arrived.set()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def hook(
    status: int = 200, arrived: threading.Event | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve a web hook, and return its address and the messages that it receives."""
    posted: list[dict[str, str]] = []
    fields = {"posted": posted, "arrived": arrived or threading.Event(), "status": status}
    handler = type("Hook", (Hook,), fields)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", posted
        server.shutdown()


def save_team(url: str) -> None:
    """Save a block that notifies the team, as a user does in Prefect's UI."""
    block = CustomWebhookNotificationBlock(
        name="team",
        url=url,
        headers=None,
        cookies=None,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    )
    block.save("team", overwrite=True)


def save_chat(url: str) -> None:
    """Save a block that sends through Apprise, as Prefect's block for Slack does."""
    at = urlsplit(url)
    token = SecretStr("abcdefgh")
    block = MattermostWebhook(
        hostname=at.hostname or "", port=at.port or 0, token=token, secure=False
    )
    block.save("chat", overwrite=True)


def load(
    app: Any, folder: Path, notify: str | None = TEAM, limit: int | None = 2_000
) -> State[Any]:
    """Run the flow with a thousand complaints a page."""
    with serve(app) as url:
        source = SearchApi(url=url, limit=limit, rate_limit=None, page_size=1_000)
        return load_source(source, folder / "complaints.db", notify=notify)


def broken() -> Faulty:
    """Return a server that fails after the first page."""
    return Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), faults.server_error()))


@pytest.mark.parametrize(("limit", "next_run"), [(2_000, "to start over"), (None, "to resume")])
def test_a_failed_run(limit: int | None, next_run: str, tmp_path: Path) -> None:
    """The message says what failed, what is saved, what to do, and how to look at the run."""
    with hook() as (url, posted):
        save_team(url)
        state = load(broken(), tmp_path, limit=limit)

    assert state.is_failed()
    (message,) = posted
    assert message["subject"] == "cfpb-complaints failed"
    body = message["body"]
    assert "failed: The search API failed (500)" in body
    assert f"1,000 complaints are saved in {tmp_path / 'complaints.db'}." in body
    assert f"Run the same command again {next_run}." in body
    assert str(state.state_details.flow_run_id) in body


def test_a_run_without_a_database_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is about the default database if the parameter was not given."""
    monkeypatch.chdir(tmp_path)
    pages = Faulty(Emulator(made_up(11_000)), dict.fromkeys(range(2, 9), faults.server_error()))
    with hook() as (url, posted), serve(pages) as api_url:
        save_team(url)
        load_complaints(limit=11_000, api_url=api_url, graph=None, notify=TEAM, return_state=True)

    (message,) = posted
    assert "10,000 complaints are saved in complaints.db." in message["body"]


def test_a_run_that_stored_nothing(tmp_path: Path) -> None:
    """The message of a run that failed before its first page says that nothing was stored."""
    down = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(1, 9), faults.server_error()))
    with hook() as (url, posted):
        save_team(url)
        load(down, tmp_path)

    assert "Nothing was stored." in posted[0]["body"]


def test_a_completed_run_sends_nothing(tmp_path: Path) -> None:
    """Only failures are worth a message."""
    with hook() as (url, posted):
        save_team(url)
        assert load(Emulator(COMPLAINTS), tmp_path).is_completed()

    assert posted == []


@pytest.mark.parametrize("name", ["custom-webhook/nobody", "no-type/team"])
def test_a_wrong_name_fails_first(tmp_path: Path, name: str) -> None:
    """Nothing is loaded, and the error says how to find the right name."""
    error = error_of(load(Emulator(COMPLAINTS), tmp_path, notify=name))

    assert isinstance(error, NoNotificationBlockError)
    assert error.name == name
    assert "prefect block ls" in str(error)
    assert not (tmp_path / "complaints.db").exists()


def test_a_block_of_another_kind(tmp_path: Path) -> None:
    """The error says of which kind it is."""
    Secret(value=SecretStr("x")).save("quiet", overwrite=True)

    with pytest.raises(NoNotificationBlockError, match="it is a Secret"):
        load_notification_block("secret/quiet")


def test_a_block_that_sends_through_apprise(tmp_path: Path) -> None:
    """Slack, Mattermost and others receive the same message."""
    with hook() as (url, posted):
        save_chat(url)
        load(broken(), tmp_path, notify=CHAT)

    (message,) = posted
    assert "cfpb-complaints failed" in message["text"]
    assert "1,000 complaints are saved" in message["text"]


@pytest.mark.parametrize("name", [TEAM, CHAT])
def test_a_hook_that_does_not_answer(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run still fails with its own error, and one warning says that no message was sent."""
    save_team(UNUSED_PORT)
    save_chat(UNUSED_PORT)

    error = error_of(load(broken(), tmp_path, notify=name))

    assert "The search API failed (500)" in str(error)
    (warning,) = [each.message for each in caplog.records if each.message.startswith(name)]
    assert warning.startswith(f"{name} could not be notified that the run failed: ")
    assert "\n" not in warning
    assert not [each for each in caplog.records if each.message.startswith("Notified")]


def test_an_address_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The address of a web hook is a secret, so the warning of a refusal does not contain it."""
    with hook(status=403) as (url, _):
        save_team(f"{url}hidden")
        load(broken(), tmp_path)

    assert f"{TEAM} could not be notified that the run failed: it answered 403" in caplog.messages
    assert not [line for line in caplog.messages if line.startswith(TEAM) and "hidden" in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "subjects"),
    [(signal.SIGTERM, ["cfpb-complaints crashed"]), (signal.SIGINT, [])],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_run_that_a_signal_ends(
    number: int, subjects: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that the system ends has crashed; a user who presses Ctrl-C needs no message."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    started: list[subprocess.Popen[str]] = []

    async def ending(exchange: Exchange) -> None:
        os.kill(started[0].pid, number)
        await faults.stalled()(exchange)

    with hook() as (address, posted), serve(Faulty(Emulator(COMPLAINTS), {1: ending})) as url:
        save_team(address)
        program = [sys.executable, "-m", "cfpb_etl.flow", "--notify", TEAM, "--api-url", url]
        with subprocess.Popen(program, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            started.append(process)
            _, stderr = process.communicate(timeout=60)

    assert process.returncode == 128 + number, stderr
    assert [message["subject"] for message in posted] == subjects
    for message in posted:
        assert "crashed: Execution was aborted by a termination signal" in message["body"]
        assert "Nothing was stored. Run the same command again." in message["body"]


SERVED = """
import sys
from prefect.types.entrypoint import EntrypointType
from cfpb_etl.flow import load_complaints

name, url, notify = sys.argv[1:]
load_complaints.serve(
    name=name,
    entrypoint_type=EntrypointType.MODULE_PATH,
    parameters={
        "api_url": url,
        "since": "2011-12-01",
        "database": "complaints.db",
        "graph": "none",
        "notify": notify,
    },
)
"""


@pytest.mark.slow
def test_a_served_run_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that serves the flow sends the message that the killed one cannot send."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("PREFECT_RUNNER_POLL_FREQUENCY", "1")
    started: list[subprocess.Popen[str]] = []
    arrived = threading.Event()

    async def killing(exchange: Exchange) -> None:
        for child in psutil.Process(started[0].pid).children(recursive=True):
            if "--multiprocessing-fork" in child.cmdline():
                child.kill()
        await faults.stalled()(exchange)

    with (
        hook(arrived=arrived) as (address, posted),
        serve(Faulty(Emulator(COMPLAINTS), {1: killing})) as url,
    ):
        save_team(address)
        program = [sys.executable, "-c", SERVED, tmp_path.name, url, TEAM]
        with subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as served:
            started.append(served)
            try:
                for line in served.stdout or ():
                    if "prefect deployment run" in line:  # from now on it is served
                        break
                created: Any = run_deployment(f"cfpb-complaints/{tmp_path.name}", timeout=0)
                arrived.wait(60)
            finally:
                served.kill()

    (message,) = posted
    assert message["subject"] == "cfpb-complaints crashed"
    repeat = f"Nothing was stored. Run it again with `prefect flow-run retry {created.id}`."
    assert repeat in message["body"]
