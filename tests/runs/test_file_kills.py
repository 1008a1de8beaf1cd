"""A load of CFPB's daily file loses nothing when its process is killed."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.complaint import Complaint
from support.prefect_runs import last_load, rows
from support.program import environment_without_coverage
from support.soak import SOAKING, soak

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server")

TODAY, TOMORROW = date(2026, 10, 8), date(2026, 10, 9)
STATE = f"SELECT {', '.join(Complaint._fields)}, withdrawn_on FROM complaint ORDER BY 1"  # noqa: S608
LOAD = """
import sys
from pathlib import Path
from cfpb_etl.flow import load_complaints

load_complaints(source="bulk", file=sys.argv[1], graph=None)
"""


def load_here(url: str, folder: Path) -> None:
    """Load the file in this process."""
    load_complaints(source="bulk", file=url, database=folder / "complaints.db", graph=None)


@pytest.mark.slow
def test_a_kill_leaves_the_old_state_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILL the database is in the old state or the new; the next run reaches the new one.

    A download that was complete is not repeated.
    """
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    environment = environment_without_coverage()
    dice = random.Random()  # noqa: S311 - moments, not secrets
    complaints = generate_complaints(60_000)
    emulator = Emulator(complaints[500:], files=tmp_path / "files")
    before = tmp_path / "before"
    before.mkdir()
    states: list[str] = []
    with serve(emulator) as api_url:
        url = urljoin(api_url, BULK_PATH)
        emulator.publish(TODAY)
        load_here(url, before)
        old = rows(before, STATE)
        for each in complaints[:500]:
            emulator.put(each)
        for each in complaints[1_000:2_000]:
            emulator.put(each | {"company_response": "Closed with relief"})
        for each in complaints[3_000:3_050]:
            emulator.withdraw(each["complaint_id"])
        emulator.publish(TOMORROW)
        folder = copied(before, tmp_path / "undisturbed")
        started = time.monotonic()
        load_here(url, folder)
        duration = time.monotonic() - started
        new = rows(folder, STATE)
        assert old != new

        for number in range(soak(2)):
            folder = copied(before, tmp_path / str(number))
            process = subprocess.Popen(
                [sys.executable, "-c", LOAD, url], cwd=folder, env=environment
            )
            while last_load(folder)["outcome"] != "running":
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
                assert process.poll() is None
            with suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0, 1.2 * duration))
            process.kill()
            process.wait()

            state = rows(folder, STATE)
            notes = downloads_beside(folder / "complaints.db")
            downloaded = any(is_complete(note) for note in notes)
            states.append("new" if state == new else "downloaded" if downloaded else "old")
            assert state in (old, new)
            requests_before = len(emulator.file_requests)
            load_here(url, folder)
            assert rows(folder, STATE) == new
            assert last_load(folder)["outcome"] == "complete"
            statuses = [request.status for request in emulator.file_requests[requests_before:]]
            assert statuses == ([304] if downloaded or state == new else statuses)
            assert downloads_beside(folder / "complaints.db") == []

    print(f"after each kill: {states}")
    assert not SOAKING or len({*states}) > 1


def is_complete(note: Path) -> bool:
    """Say whether the download that a note describes is complete."""
    return note.with_name(note.name.removesuffix(".json")).exists()


def copied(before: Path, folder: Path) -> Path:
    """Copy a folder with a database, and return the copy."""
    shutil.copytree(before, folder)
    return folder
