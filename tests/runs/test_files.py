"""Runs of the program on CFPB's daily file."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, serve
from support.made_up import made_up
from support.program import run_program

if TYPE_CHECKING:
    from runs.conftest import Command

COMPLAINTS = made_up(12_000, era="2024")

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.mark.slow
def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    """The first run loads the file; the second reports that it is unchanged."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    emulator.publish(date(2024, 11, 6), columns=18)
    with serve(emulator) as url:
        load = ("--source", "bulk", "--file", urljoin(url, BULK_PATH))
        first, second = run_program(*load), run_program(*load, "--no-graph")

    assert first.returncode == 0, first.stderr
    days = sorted(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
    assert first.stdout.splitlines()[:7] == [
        "12,000 complaints in 1 file: 12,000 new, 0 changed, 0 unchanged",
        f"received   {days[0]} to {days[-1]}",
        f"data of    {days[-1]} (newest day received)",
        "rows       12,000 read",
        "withdrawn  0 marked, 0 added as withdrawn",
        "database   complaints.db, 12,000 complaints",
        "picture    complaints-flow.svg",
    ]
    assert first.stderr.startswith("Stored complaints.csv.zip, ")
    assert first.stderr.count("\n") == 1
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines()[:2] == [
        "already up to date: 1 file not changed since the last load",
        "database   complaints.db, 12,000 complaints",
    ]
    assert "0 of 0" not in second.stderr
    assert [request.status for request in emulator.file_requests] == [200, 304]
    assert sorted(path.name for path in Path().iterdir()) == [
        "complaints-flow.svg",
        "complaints.db",
        "files",
    ]


def test_a_file_that_lacks_too_many_complaints(tmp_path: Path, command: Command) -> None:
    """The last line says why it was rejected and what to do; the download is kept for that."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    emulator.publish(date(2024, 11, 6), columns=18)
    with serve(emulator) as url:
        load = ("--source", "bulk", "--file", urljoin(url, BULK_PATH), "--no-graph")
        assert command(*load).code == 0
        for complaint in COMPLAINTS[:200]:
            emulator.withdraw(str(complaint["complaint_id"]))
        emulator.publish(date(2024, 11, 7), columns=18)
        failed = command(*load)
        allowed = command(*load, "--allow-withdrawals")

    assert failed.code == 1
    assert failed.summary == ""
    assert failed.log == (
        "failed: The file lacks 200 of the 12,000 stored complaints, and at most 1% may be missing."
        " Nothing was changed. If CFPB did remove them, run again with --allow-withdrawals."
        " Nothing was stored. The download is kept, and the next run will use it.\n"
    )
    assert allowed.code == 0, allowed.log
    assert "11,800 unchanged, 200 withdrawn" in allowed.summary
    assert [request.status for request in emulator.file_requests] == [200, 200, 304]
