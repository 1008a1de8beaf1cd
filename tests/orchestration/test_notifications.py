"""Who is told that a run has failed, by a real web hook, and what they are told."""

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

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.orchestration.errors import NoNotificationBlockError
from cfpb_etl.orchestration.notifications import notification_block
from support import faults
from support.faults import Exchange, Faulty
from support.prefect_runs import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = pytest.mark.usefixtures("prefect_server", "no_delays")

COMPLAINTS = generate_complaints(2_000)
TEAM = "custom-webhook/team"
CHAT = "mattermost-webhook/chat"
NOBODY = "http://127.0.0.1:9/"


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    posted: list[dict[str, str]]
    arrived: threading.Event
    status = 200

    def do_POST(self) -> None:
        """Take a message."""
        length = int(self.headers["Content-Length"])
        self.posted.append(json.loads(self.rfile.read(length)))
        self.send_response(self.status)
        self.end_headers()
        self.arrived.set()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def hook(
    status: int = 200, arrived: threading.Event | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Listen, and give the address and what comes."""
    posted: list[dict[str, str]] = []
    told = {"posted": posted, "arrived": arrived or threading.Event(), "status": status}
    handler = type("Hook", (Hook,), told)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", posted
        server.shutdown()


def save_team(url: str) -> None:
    """Save the block that tells the team, as a person would in Prefect's UI."""
    block = CustomWebhookNotificationBlock(
        name="team",
        url=url,
        headers=None,
        cookies=None,
        json_data={"subject": "{{subject}}", "body": "{{body}}"},
    )
    block.save("team", overwrite=True)


def save_chat(url: str) -> None:
    """Save a block that Prefect sends through Apprise, as it does to Slack."""
    at = urlsplit(url)
    token = SecretStr("abcdefgh")
    block = MattermostWebhook(
        hostname=at.hostname or "", port=at.port or 0, token=token, secure=False
    )
    block.save("chat", overwrite=True)


def load(
    app: Any, folder: Path, notify: str | None = TEAM, limit: int | None = 2_000
) -> State[Any]:
    """Run the flow, a thousand complaints a page, and tell whom that names."""
    with serve(app) as url:
        source = SearchApi(url=url, limit=limit, rate_limit=None, page_size=1_000)
        state: State[Any] = load_complaints(
            source, folder / "complaints.db", None, notify=notify, return_state=True
        )
    return state


def broken() -> Faulty:
    """Return a server that fails after the first page."""
    return Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), faults.server_error()))


@pytest.mark.parametrize(
    ("limit", "goes_on"), [(2_000, "it starts over"), (None, "it goes on from there")]
)
def test_a_failed_run_is_told(limit: int | None, goes_on: str, tmp_path: Path) -> None:
    """They learn what failed, what was kept, what to do, and how to look at the run."""
    with hook() as (url, posted):
        save_team(url)
        state = load(broken(), tmp_path, limit=limit)

    assert state.is_failed()
    (message,) = posted
    assert message["subject"] == "cfpb-complaints failed"
    body = message["body"]
    assert "failed: The search API failed on its side: 500" in body
    assert f"Kept: 1,000 complaints in {tmp_path / 'complaints.db'}." in body
    assert f"Run the same command again: {goes_on}" in body
    assert str(state.state_details.flow_run_id) in body


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    """A run that failed before the first page kept nothing."""
    down = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(1, 9), faults.server_error()))
    with hook() as (url, posted):
        save_team(url)
        load(down, tmp_path)

    assert "Nothing was stored." in posted[0]["body"]


def test_a_good_run_tells_nobody(tmp_path: Path) -> None:
    """When all goes well there is no word."""
    with hook() as (url, posted):
        save_team(url)
        assert load(Emulator(COMPLAINTS), tmp_path).is_completed()

    assert posted == []


@pytest.mark.parametrize("name", ["custom-webhook/nobody", "team", "no-type/team", "a/b/c", ""])
def test_a_name_of_no_block_is_found_out_first(tmp_path: Path, name: str) -> None:
    """Before anything is loaded, with a way to find the right name."""
    error = error_of(load(Emulator(COMPLAINTS), tmp_path, notify=name))

    assert isinstance(error, NoNotificationBlockError)
    assert error.name == name
    assert "prefect block ls" in str(error)
    assert not (tmp_path / "complaints.db").exists()


def test_a_block_of_another_kind(tmp_path: Path) -> None:
    """A block that tells nobody anything is refused by its kind."""
    Secret(value=SecretStr("x")).save("quiet", overwrite=True)

    with pytest.raises(NoNotificationBlockError, match="it is a Secret"):
        notification_block("secret/quiet")


def test_a_block_that_goes_through_apprise(tmp_path: Path) -> None:
    """What Prefect sends to Slack, Mattermost and the like has the same words."""
    with hook() as (url, posted):
        save_chat(url)
        load(broken(), tmp_path, notify=CHAT)

    (message,) = posted
    assert "cfpb-complaints failed" in message["text"]
    assert "Kept: 1,000 complaints" in message["text"]


@pytest.mark.parametrize("name", [TEAM, CHAT])
def test_a_hook_that_does_not_answer_hides_nothing(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run has failed as it did, and one warning says that nobody was told."""
    save_team(NOBODY)
    save_chat(NOBODY)

    error = error_of(load(broken(), tmp_path, notify=name))

    assert "The search API failed on its side" in str(error)
    (said,) = [each.message for each in caplog.records if each.message.startswith(name)]
    assert said.startswith(f"{name} could not be told that the run failed: ")
    assert "\n" not in said
    assert not [each for each in caplog.records if each.message.startswith("Told")]


def test_an_address_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who has a web hook's address may post to it, so a refusal is told without."""
    with hook(status=403) as (url, _):
        save_team(f"{url}hidden")
        load(broken(), tmp_path)

    assert f"{TEAM} could not be told that the run failed: it answered 403" in caplog.messages
    assert not [line for line in caplog.messages if line.startswith(TEAM) and "hidden" in line]


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGTERM, ["cfpb-complaints crashed"]), (signal.SIGINT, [])],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_run_that_is_ended_from_outside(
    number: int, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that the system ends has crashed, which is told; who presses Ctrl-C knows of it."""
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
            _, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert [message["subject"] for message in posted] == told
    for message in posted:
        assert "crashed: Execution was aborted by a termination signal" in message["body"]
        assert "Nothing was stored. Run the same command again." in message["body"]


SERVED = """
import sys
from dataclasses import asdict
from prefect.types.entrypoint import EntrypointType
from cfpb_etl.flow import load_complaints
from cfpb_etl.fetch.search_api import SearchApi

name, url, notify = sys.argv[1:]
load_complaints.serve(
    name=name,
    entrypoint_type=EntrypointType.MODULE_PATH,
    parameters={
        "source": asdict(SearchApi(url=url, rate_limit=None)),
        "database": "complaints.db",
        "graph": None,
        "notify": notify,
    },
)
"""


@pytest.mark.slow
def test_a_served_run_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that serves the flow tells what the killed one could not."""
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
                    if "prefect deployment run" in line:  # it is served from now on
                        break
                made: Any = run_deployment(f"cfpb-complaints/{tmp_path.name}", timeout=0)
                arrived.wait(60)
            finally:
                served.kill()

    (message,) = posted
    assert message["subject"] == "cfpb-complaints crashed"
    again = f"Nothing was stored. Run it again with `prefect flow-run retry {made.id}`."
    assert again in message["body"]
