"""The program against servers whose answers are cut off, or that say when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
import requests

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from support import faults
from support.daily_file import TODAY
from support.faults import Faulty
from support.program import query, run_program
from support.raw_server import answer, framed, serve_bytes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_server")]

COMPLAINTS = generate_complaints(500)


def test_search_words_after_bad_answers() -> None:
    """A cut answer and an outage are retried, and then all fields are searched."""
    expected = sum("EQUIFAX" in complaint["company"] for complaint in COMPLAINTS)
    bad = {1: faults.invalid_json(), 2: faults.unavailable_html("1")}
    with serve(Faulty(Emulator(COMPLAINTS), bad)) as url:
        done = run_program("--api-url", url, "--search", "equifax", "--no-graph")

    assert done.returncode == 0, done.stderr
    assert "attempt 1 of 5 failed: The search API sent an incomplete" in done.stderr
    assert "attempt 2 of 5 failed: The search API failed (503): retry in 1 s" in done.stderr
    assert query("complaints.db", "SELECT COUNT(*) FROM complaint")[0][0] >= expected > 0


def test_a_file_after_bad_answers(tmp_path: Path) -> None:
    """A zip that is cut where nothing shows its end is downloaded again, when the server allows."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    emulator.publish(TODAY)
    with serve(emulator) as url:
        body = requests.get(urljoin(url, BULK_PATH), timeout=10).content
    cut = answer(body[:-90], kind="application/zip")
    pause = framed(b"", "Retry-After: 1", status="503 Sorry")
    with serve_bytes(cut, pause, framed(body, kind="application/zip")) as server:
        done = run_program(
            "--source", "bulk", "--file", urljoin(server.url, BULK_PATH), "--no-graph"
        )

    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 3
    assert "(503): retry in 1 s" in done.stderr
    assert query("complaints.db", "SELECT COUNT(*) FROM complaint") == [(500,)]


def test_a_server_that_wants_to_be_left_alone() -> None:
    """If it asks for a day, the run fails after one request."""
    away = framed(b"", "Retry-After: 86400", status="503 Sorry")
    with serve_bytes(away) as server:
        done = run_program("--api-url", server.url, "--no-graph")

    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("failed: The search API failed (503): retry in 86,400 s. Try again")
    assert len(server.requests) == 1
