"""The secret query of an address stays in the process: runs of the program are searched for it."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

import httpx
import pytest
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from cfpb_etl.emulator import generate_complaints, serve, write_bulk_file
from support.program import PROGRAM, environment_without_coverage, query

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path
    from typing import Any

    from starlette.types import Receive, Scope, Send

TOKEN, SIGNATURE = "Qx7/tOken+Zz", "Sg9=aBcDeF=="
QUERY = f"token={quote(TOKEN, safe='')}&sig={quote(SIGNATURE, safe='')}"
# The middles of the two values, which are the same in all spellings.
SECRETS = (b"tOken", b"aBcDeF")
START = 300_000  # bytes; the program reads 262,144 at a time
ENDS = {
    "ok": (0, "picture"),
    "404": (1, "There is no file at this address (404)"),
    "403": (1, "CFPB's network refuses requests from this address (403)"),
    "302": (1, "unexpected status 302"),
    "refused": (1, "could not be reached: Connection refused"),
}


class Server:
    """A server whose answers repeat the address of the request, with its query."""

    def __init__(self, folder: Path) -> None:
        self.files = StaticFiles(directory=folder)
        self.stalls = False
        self.ranges: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the name in the path."""
        place = f"http://127.0.0.1{scope['path']}?{scope['query_string'].decode()}"
        name = scope["path"].split("/")[1]
        answers = {
            "404": Response(f"{place} does not exist", 404),
            "403": Response(f"<p>{quote(place, safe='')} {place}", 403, media_type="text/html"),
            "302": Response("", 302, {"Location": f"/login/{quote(place, safe='')}?next={place}"}),
        }
        if name in answers:
            await answers[name](scope, receive, send)
            return
        assert scope["query_string"].decode() == QUERY
        headers = dict(scope["headers"])
        self.ranges.append(headers.get(b"range", b"").decode())
        inner = {**scope, "path": scope["path"].removeprefix(f"/{name}")}
        await self.files(inner, receive, self.stalled(send) if self.stalls else send)

    @staticmethod
    def stalled(send: Send) -> Send:
        """Return a function that sends the start of the body, and then nothing."""
        sent = 0

        async def send_start(message: MutableMapping[str, Any]) -> None:
            nonlocal sent
            await send(message)
            sent += len(message.get("body", b""))
            if sent > START:
                await asyncio.sleep(60)

        return send_start


def is_healthy(api_url: str) -> bool:
    """Say whether a Prefect server answers."""
    try:
        return httpx.get(f"{api_url}/health").is_success
    except httpx.HTTPError:
        return False


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Run a Prefect server whose database is in a folder."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = str(unused.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", port, "--no-ui"]
    environment = environment_without_coverage() | {"PREFECT_HOME": str(home)}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not is_healthy(url):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def start(folder: Path, api_url: str, name: str, address: str) -> subprocess.Popen[str]:
    """Start a load with everything in the log that Prefect can store."""
    environment = environment_without_coverage() | {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": api_url,
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_ROOT_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "urllib3,requests,cfpb_etl",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
    }
    options = ["--source", "bulk", "--verbose", "--database", f"{name}.db"]
    with (folder / f"{name}.out").open("a") as output:
        return subprocess.Popen(
            [*PROGRAM, *options, "--graph", f"{name}.svg", "--file", address],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.mark.slow
def test_no_run_stores_or_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after success, a failure or an interruption; the same command then resumes."""
    zipped = write_bulk_file(tmp_path / "zip", generate_complaints(3_000), day=date(2026, 11, 2))
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path / "site")
    app = Server(tmp_path / "site")
    with serve(app) as root, prefect_server(tmp_path / "home") as api_url:

        def address(name: str) -> str:
            server = "http://127.0.0.1:9/" if name == "refused" else root
            return f"{urljoin(server, f'/{name}/complaints.csv')}?{QUERY}"

        runs = {name: start(tmp_path, api_url, name, address(name)) for name in ENDS}
        codes = {name: run.wait(120) for name, run in runs.items()}
        app.stalls = True
        run = start(tmp_path, api_url, "cut", address("cut"))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(each.stat().st_size for each in tmp_path.glob("cut.db-download-*.part")):
                break
            time.sleep(0.1)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
        assert [*tmp_path.glob("cut.db-download-*.json")]
        found_before = files_with_secrets(tmp_path)
        app.stalls = False
        app.ranges.clear()
        assert start(tmp_path, api_url, "cut", address("cut")).wait(60) == 0

    output = {name: (tmp_path / f"{name}.out").read_text() for name in (*ENDS, "cut")}
    assert codes == {name: code for name, (code, _) in ENDS.items()}
    assert [name for name, (_, words) in ENDS.items() if words not in output[name]] == []
    assert app.ranges[0].startswith("bytes=")
    monkeypatch.chdir(tmp_path)
    ((stored,),) = query("ok.db", "SELECT address FROM load")
    assert stored.startswith(address("ok").partition("?")[0] + "?#")
    assert (tmp_path / "home" / "prefect.db").stat().st_size > 0
    assert found_before == files_with_secrets(tmp_path) == []


def files_with_secrets(folder: Path) -> list[str]:
    """Return the files in which a secret occurs."""
    return [
        f"{path.name}: {secret!r}"
        for path in folder.rglob("*")
        if path.is_file()
        for secret in SECRETS
        if secret in path.read_bytes()
    ]
