"""An export that is killed, and what happens while an export runs: readers, and a load."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from contextlib import closing, suppress
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import psycopg
import pytest

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from cfpb_etl.model.query import Query
from cfpb_etl.publish.postgres.errors import TargetInUseError
from cfpb_etl.publish.postgres.export import export_postgres
from cfpb_etl.read.selection import Selection
from support.loads import execute, load_file
from support.parts import complaint
from support.postgres_rows import assert_same_rows
from support.program import PROGRAM, environment_without_coverage, run_program
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint
    from support.postgres import PostgresDatabase

pytestmark = pytest.mark.slow

EVERYTHING = Selection()
SECONDS = 30  # for what takes far less
# A change of any value changes it.
STATE = """
    SELECT (SELECT MD5(STRING_AGG(complaint::text, '' ORDER BY complaint_id)) FROM cfpb.complaint),
        (SELECT COUNT(*) FROM cfpb.complaint_change),
        (SELECT STRING_AGG(load::text, '' ORDER BY load_id) FROM cfpb.load),
        (SELECT newest_load_id FROM cfpb.export)
"""


def rows_of_day(number: int, count: int = 20_000) -> list[Complaint]:
    """Return the complaints of a day: each day, some have other values, and one is new."""
    return [
        complaint(
            each,
            date_received="2026-01-02",
            company=f"Company {each % 500}",
            state="CA" if (each + number) % 10 else "NY",
            complaint_what_happened="Why? " * (each % 50),
        )
        for each in range(count + number)
    ]


def load_day(path: Path, number: int) -> None:
    """Load the complaints of a day."""
    day = date.fromordinal(date(2026, 2, 1).toordinal() + number).isoformat()
    load_file(path, *rows_of_day(number), as_of=day)


def state_of(target: PostgresDatabase) -> Any:
    """Return a text that differs for any other rows; None if the schema does not exist."""
    with suppress(psycopg.errors.UndefinedTable):
        return target.query(STATE)
    return None


def sessions(target: PostgresDatabase) -> int:
    """Return how many exports are connected to the database."""
    count = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'cfpb-etl'"
    (row,) = target.query(f"{count} AND datname = '{target.name}'")
    return int(row[0])


def wait_until(condition: Any) -> None:
    """Wait until a condition holds, some seconds at most."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- kills ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kills(path: Path, target: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a SIGKILL at any moment, the target has the rows before or after the export.

    The next export succeeds at once, and the target then equals the database.
    """
    monkeypatch.setenv("TARGET", target.url())
    command = [*PROGRAM, "export", "env:TARGET", "--database", str(path)]
    dice = random.Random()  # noqa: S311 - moments, not secrets
    killed = kept = 0
    seconds = 1.0  # from the connection to the end of an export
    for number in range(soak(20)):
        if number % 7 == 0:
            target.execute("DROP SCHEMA IF EXISTS cfpb CASCADE")
        load_day(path, number)
        before = state_of(target)
        environment = environment_without_coverage()
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_until(lambda process=process: sessions(target) or process.poll() is not None)
            with suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0, seconds))
            process.kill()
        wait_until(lambda: not sessions(target))  # a commit can still have been on its way
        after = state_of(target)

        started = time.monotonic()
        export_postgres(path, target.url(), EVERYTHING)
        seconds = time.monotonic() - started

        now = state_of(target)
        assert now is not None
        assert after in (before, without_export_time(now, after))
        killed += process.returncode < 0
        kept += after == before
    assert_same_rows(path, target)
    print(f"{killed} killed, {kept} without effect")
    assert killed >= soak(20) / 2


def without_export_time(now: Any, after: Any) -> Any:
    """Return the state now, if the killed export had written it."""
    return now if after is not None and after[0][3] == now[0][3] else None


# --- readers --------------------------------------------------------------------------------


class Reader(threading.Thread):
    """Reads all tables again and again, each time in one transaction.

    Attributes:
        seen: The different states that it has read.
        slowest: The longest time of a transaction, in seconds.
        error: What it has failed with.
    """

    def __init__(self, target: PostgresDatabase) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.slowest = 0.0
        self.error: Exception | None = None
        self._connection = target.connect(autocommit=False)
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._ended = threading.Event()

    def run(self) -> None:
        """Read until `end` is called."""
        try:
            while not self._ended.is_set():
                started = time.monotonic()
                with self._connection.transaction():
                    state = [self._connection.execute(each).fetchall() for each in READS]
                self.slowest = max(self.slowest, time.monotonic() - started)
                if state not in self.seen:
                    self.seen.append(state)
        except psycopg.Error as error:
            self.error = error

    def end(self) -> None:
        """Stop reading."""
        self._ended.set()
        self.join()
        self._connection.close()


READS = (
    "SELECT COUNT(*), SUM(load_id), COUNT(complaint_what_happened) FROM cfpb.complaint",
    "SELECT COUNT(*) FROM cfpb.complaint_change",
    "SELECT MAX(load_id) FROM cfpb.load",
    "SELECT * FROM cfpb.complaints_by_state",
    "SELECT newest_load_id FROM cfpb.export",
)


def test_readers_see_one_state_or_the_other(path: Path, target: PostgresDatabase) -> None:
    """Readers neither wait nor fail, and no transaction sees rows of two exports.

    This holds for an increment, and when all rows are compared because the selection has changed.
    A reader that keeps a transaction open sees the same rows until its end, and blocks no export.
    """
    load_day(path, 0)
    export_postgres(path, target.url(), EVERYTHING)
    reader = Reader(target)
    with closing(target.connect(autocommit=False)) as patient:
        patient.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        first = [patient.execute(each).fetchall() for each in READS]
        reader.start()
        try:
            load_day(path, 1)
            states = [first]
            for selection in (EVERYTHING, Selection(Query(state=("NY",))), EVERYTHING):
                assert export_postgres(path, target.url(), selection).tables["complaint"] > 0
                states.append([target.query(each) for each in READS])
            assert [patient.execute(each).fetchall() for each in READS] == first
        finally:
            reader.end()

    assert reader.error is None
    assert len(states) == 4
    assert all(state in states for state in reader.seen)
    assert len(reader.seen) >= 2
    print(f"slowest read {reader.slowest:.2f} s")
    assert reader.slowest < 5


# --- two exports, and a load ----------------------------------------------------------------


def test_two_exports_at_the_same_time(path: Path, target: PostgresDatabase) -> None:
    """Of two exports that start together, one waits for the other, and both succeed."""
    load_day(path, 0)
    failed: list[Exception] = []

    def export() -> None:
        try:
            export_postgres(path, target.url(), EVERYTHING)
        except TargetInUseError as error:
            failed.append(error)

    threads = [threading.Thread(target=export) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert failed == []
    assert_same_rows(path, target)


@pytest.fixture
def next_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Emulator]]:
    """Serve a daily file of many complaints."""
    emulator = Emulator(generate_complaints(30_000), files=tmp_path_factory.mktemp("files"))
    emulator.publish(date(2026, 10, 8))
    with serve(emulator) as url:
        yield urljoin(url, BULK_PATH), emulator


def test_an_export_during_a_load(
    path: Path,
    target: PostgresDatabase,
    next_file: tuple[str, Emulator],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a daily file is loaded, exports have all rows of the moment when they started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    url, emulator = next_file
    arguments = [
        "--source",
        "bulk",
        "--file",
        url,
        "--whole",
        "--no-graph",
        "--database",
        str(path),
    ]
    first = run_program(*arguments)
    assert first.returncode == 0, first.stderr
    execute(path, "UPDATE complaint SET state = 'XX' WHERE complaint_id % 2 = 0")
    emulator.publish(date(2026, 10, 9))
    notes: set[str] = set()
    states: list[Any] = []
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            notes |= {*export_postgres(path, target.url(), EVERYTHING).notes}
            states += target.query(
                "SELECT (SELECT COUNT(*) FROM cfpb.complaint WHERE changed_load_id = 2),"
                " (SELECT COUNT(*) FROM cfpb.complaint_change),"
                " (SELECT MAX(load_id) FROM cfpb.load)"
            )

    assert process.returncode == 0
    stats = export_postgres(path, target.url(), EVERYTHING)

    assert not any("compared" in each or "removed" in each for each in notes | {*stats.notes})
    assert {row[2] for row in states} >= {1, 2}
    # The file is stored in one transaction, so its rows were exported together or not at all.
    assert len({row[0] for row in states} - {0}) <= 1
    assert_same_rows(path, target)
