"""A run that is killed leaves no process behind, and the next run leaves no file behind."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import psutil
import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from support.faults import Delayed
from support.kills import kill_when, processes_of
from support.program import PROGRAM, query
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable

COMPLAINTS = generate_complaints(30_000)
PREFECTS_FILES = {"memo_store.toml", "prefect.db", "prefect.db-shm", "prefect.db-wal", "storage"}


def has_reader(run: str) -> bool:
    """Say whether a run has started the process that reads the file."""
    with suppress(psutil.Error):
        return any("csv_process" in " ".join(each.cmdline()) for each in processes_of(run))
    return False


def is_loading(_run: str) -> bool:
    """Say whether a run has claimed the database."""
    return Path("complaints.db-loading").exists()


# What a run has reached before it is killed, after a random time more.
STAGES: dict[str, Callable[[str], bool]] = {
    "start": lambda _run: True,
    "Prefect's server": lambda run: len([*processes_of(run)]) > 1,
    "claim": is_loading,
    "download": lambda _run: any(Path().glob("complaints.db-download*")),
    "reader": has_reader,
}


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kills_leave_no_process_and_no_file(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGKILLs at random moments, the next run loads everything.

    The processes of a killed run end within seconds. After the next run, neither the folder of the
    database, nor the folder for temporary files, nor Prefect's folder has a file too many.
    """
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    home = Path(os.environ["PREFECT_HOME"])
    before = {*home.iterdir(), *home.glob("storage/*")}  # of other tests
    dice = random.Random()  # noqa: S311 - moments, not secrets
    emulator = Emulator(COMPLAINTS, files=tmp_path_factory.mktemp("files"))
    killed = []
    with serve(Delayed(emulator, 0.3)) as api_url:
        url = urljoin(api_url, BULK_PATH)
        command = [*PROGRAM, "--source", "bulk", "--file", url, "--whole"]
        for number in range(soak(5)):
            if number % 5 == 0:
                stages = dice.sample([*STAGES], len(STAGES))
            # A new version of the file each time, so that there is something to load.
            emulator.publish(date(2026, 10, 8) + timedelta(days=number))
            stage = stages[number % 5]
            if kill_when(STAGES[stage], command, dice.uniform(0, 1)):
                killed.append(stage)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    print(f"killed after: {killed}")
    assert len(killed) >= 3
    assert query("complaints.db", "SELECT COUNT(*) FROM complaint") == [(len(COMPLAINTS),)]
    assert query("complaints.db", "SELECT outcome FROM load ORDER BY load_id DESC LIMIT 1") == [
        ("complete",)
    ]
    assert {each.name for each in Path().iterdir()} == {"complaints.db", "complaints-flow.svg"}
    assert [*temporary.iterdir()] == []
    assert {each.name for each in {*home.iterdir()} - before} <= PREFECTS_FILES
    assert {*home.glob("storage/*")} <= before
