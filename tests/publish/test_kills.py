"""Exports that are killed or interrupted leave the old target, and nothing else."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from cfpb_etl.parse.values import parse_fields
from cfpb_etl.publish.export import export_complaints
from support.exports import TARGETS, rows_in_sqlite, rows_in_target, tables_of
from support.kills import MARK, SECONDS, kill_when, wait_for_the_end_of
from support.loads import load_file
from support.made_up import made_up
from support.program import PROGRAM, environment_without_coverage
from support.soak import soak

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_DATABASE = {f"{name}.db{end}" for name in ("one", "two") for end in ("", "-wal", "-shm")}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two databases of different complaints."""
    folder = tmp_path_factory.mktemp("databases")
    complaints = [*map(parse_fields, made_up(10_000, era="2024"))]
    load_file(folder / "one.db", *complaints[:6_000])
    load_file(folder / "two.db", *complaints[3_000:])
    return folder


@pytest.fixture
def folder(databases: Path, tmp_path: Path) -> Path:
    """Return a copy of the databases in a folder of its own."""
    shutil.copytree(databases, tmp_path, dirs_exist_ok=True)
    return tmp_path


def command(folder: Path, target: str, database: str) -> list[str]:
    """Return the command of an export."""
    return [*PROGRAM, "export", str(folder / target), "--database", str(folder / database)]


def begun(folder: Path, target: str) -> bool:
    """Say whether an export has begun to write."""
    return (folder / f".{target}.cfpb-etl-new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kills_at_random_moments(folder: Path, target: str) -> None:
    """After each SIGKILL, the target is that of one export or of another, and never a mixture.

    The processes of a killed export end. The next export leaves nothing else in the folder.
    """
    export_complaints(str(folder / target), database=folder / "one.db")
    expected = [
        {table: rows_in_sqlite(folder / name, table) for table in tables_of(folder / target)}
        for name in ("one.db", "two.db")
    ]
    started = time.monotonic()
    export_complaints(str(folder / target), database=folder / "one.db")
    seconds = time.monotonic() - started
    dice = random.Random()  # noqa: S311 - moments, not secrets
    killed, found = 0, []
    for number in range(soak(10)):
        database = ("two.db", "one.db")[number % 2]
        killed += kill_when(
            lambda _run: begun(folder, target),
            command(folder, target, database),
            dice.uniform(0, seconds),
        )
        if not (folder / target).exists():  # between the two renames of a folder
            (folder / f".{target}.cfpb-etl-old").rename(folder / target)
        rows = {table: rows_in_target(folder / target, table) for table in expected[0]}
        assert rows in expected
        found.append(expected.index(rows))
    print(f"{target}: killed {killed} exports, which left {found}")
    assert killed >= soak(10) / 2

    subprocess.run(command(folder, target, "two.db"), check=True, stdout=subprocess.DEVNULL)

    assert rows_in_target(folder / target) == expected[1]["complaint"]
    assert {each.name for each in folder.iterdir()} - OF_THE_DATABASE == {target}


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGINT, 130, ""),
        (signal.SIGTERM, 143, " by SIGTERM"),
        (signal.SIGHUP, 129, " by SIGHUP"),
    ],
)
def test_interrupted_exports(
    folder: Path, target: str, number: signal.Signals, code: int, name: str
) -> None:
    """After a signal, the old target is there, nothing else is left, and the exit code says why."""
    export_complaints(str(folder / target), database=folder / "one.db")
    before = rows_in_target(folder / target)
    run = uuid4().hex
    with subprocess.Popen(
        command(folder, target, "two.db"),
        env=environment_without_coverage() | {MARK: run},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not begun(folder, target):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(number)
        output, errors = process.communicate(timeout=SECONDS * 2)

    assert (process.returncode, output) == (code, "")
    unchanged = "Nothing was exported. An earlier export in the same place is unchanged."
    assert errors == f"interrupted{name}: {unchanged}\n"
    wait_for_the_end_of(run)
    assert rows_in_target(folder / target) == before
    assert {each.name for each in folder.iterdir()} - OF_THE_DATABASE == {target}
