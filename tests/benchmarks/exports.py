"""Time exports to each kind of target, compare their rows with SQLite's, and measure their memory.

Run `python tests/benchmarks/exports.py [million|five] [PAIRS]`, with the extra `bench`, PostgreSQL
and the sqlite3 shell installed. Without a mode it runs both. The times are of whole processes.

million: a million complaints of 2024, a third of them with a narrative, besides odd texts, and a
    history. Every value of the last exports is compared with SQLite's. SQLite's shell writes CSV
    and JSON as well.
five: the peak memory of all our processes for five million complaints without narratives and for a
    million, one run of each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bulk import FIVE, MILLION, TODAY, generate, load
from commands import PROGRAM
from paired import isolated_environment, print_ratio, print_values, run_modes
from watched import Peaks, watched

from cfpb_etl.emulator import write_bulk_file
from cfpb_etl.read.selection import Selection
from cfpb_etl.read.tables import NAMES

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.exports import TARGETS, make_odd_database, rows_in_sqlite, rows_in_target, tables_of
from support.postgres import postgres_server
from support.postgres_rows import expected_rows, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import PostgresDatabase

POSTGRES = "postgresql"
# What SQLite's shell writes with these options. Its JSON is one array.
PEERS = {"one.csv": ["-csv", "-header"], "one.jsonl": ["-json"]}


class Exported(NamedTuple):
    """The result of one export.

    Attributes:
        seconds: The time of the process.
        peak: The peak memory of all our processes in megabytes, if they were watched.
    """

    seconds: float
    peak: float


def million(folder: Path, pairs: int) -> None:
    """Time the exports of a million complaints, and compare every value with SQLite's."""
    database, targets = folder / "database" / "complaints.db", folder / "targets"
    database.parent.mkdir()
    make_odd_database(database, MILLION)
    for name in TARGETS:
        with fresh(targets):
            ours, peers = [], []
            for _ in range(pairs):
                ours.append(export(database, targets / name).seconds)
                if name in PEERS:
                    peers.append(shell(database, targets / "peer", PEERS[name]))
            report_export(name, database, targets / name, ours)
            if peers:
                timed = [*zip(ours, peers, strict=True)]
                print_ratio(f"export of a million, {kind(name)}", "sqlite3 shell", timed)
            for table in tables_of(targets / name):
                expected = rows_in_sqlite(database, table)
                assert rows_in_target(targets / name, table) == expected, (name, table)
    with postgres_server() as server, server.database() as target:
        report_export(POSTGRES, database, target, [export(database, target.url()).seconds])
        for table in NAMES:
            assert rows_of(target, table) == expected_rows(database, table, Selection()), table
    print("every value of every target equals that of SQLite")


def five(folder: Path, _pairs: int) -> None:
    """Measure the peak memory of exports of five million complaints and of a million."""
    databases = {count: folder / str(count) / "complaints.db" for count in (1, FIVE)}
    for millions, database in databases.items():
        database.parent.mkdir()
        file = write_bulk_file(folder, generate(millions), day=TODAY)
        load(file, database, isolated_environment(folder))
        file.unlink()
    targets = folder / "targets"
    for name in (*TARGETS, POSTGRES):
        one, many = (
            peak_of(name, database, targets, millions) for millions, database in databases.items()
        )
        print_values(f"peak memory of an export of a million, {kind(name)}", [one], "MB")
        what = f"peak memory of an export of five million, {kind(name)}"
        print_values(what, [many / one], "times that of a million", 1.1, f"{many:.0f} MB")


def peak_of(name: str, database: Path, targets: Path, millions: int) -> float:
    """Export to an empty target, and return the peak memory of all our processes in megabytes."""
    with fresh(targets):
        if name != POSTGRES:
            exported = export(database, targets / name, is_watched=True)
        else:
            with postgres_server() as server, server.database() as target:
                exported = export(database, target.url(), is_watched=True)
    print(f"{millions} million, {kind(name)}: {exported.seconds:.1f} s", flush=True)
    return exported.peak


def report_export(
    name: str, database: Path, target: Path | PostgresDatabase, seconds: list[float]
) -> None:
    """Record the time and the size of an export."""
    if isinstance(target, Path):
        files = [target] if target.is_file() else target.rglob("*")
        size = sum(each.stat().st_size for each in files if each.is_file())
    else:
        ((size,),) = target.query("SELECT pg_database_size(current_database())")
    share = f"{size / 1e6:,.1f} MB; {database.stat().st_size / 1e6:,.0f} MB in SQLite"
    print_values(f"export of a million, whole process, {kind(name)}", seconds, "s", note=share)


def export(database: Path, target: Path | str, *, is_watched: bool = False) -> Exported:
    """Export a database with the program, in another process.

    Watching it takes some percent of a processor, so exports that are timed are not watched.
    """
    arguments = ["export", str(target), "--database", str(database)]
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *PROGRAM, *arguments],
        env=isolated_environment(database.parent),
        stdout=subprocess.DEVNULL,
    ) as process:
        watching = watched(process.pid, database.parent) if is_watched else nullcontext(Peaks())
        with watching as peaks:
            process.wait()
        seconds = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"the export ended with exit code {process.returncode}")
    return Exported(seconds, peaks.together)


def shell(database: Path, file: Path, options: list[str]) -> float:
    """Write all complaints in our order with SQLite's shell, and return the seconds."""
    sql = "SELECT * FROM complaint ORDER BY date_received, complaint_id"
    started = time.monotonic()
    with file.open("wb") as output:
        subprocess.run(
            ["sqlite3", *options, "-readonly", str(database), sql], stdout=output, check=True
        )
    return time.monotonic() - started


def kind(name: str) -> str:
    """Return what a target is called in a row."""
    return name if name == POSTGRES else "".join(Path(name).suffixes) or "folder of Parquet files"


@contextmanager
def fresh(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it after the block."""
    folder.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    MODES = {"million": million, "five": five}
    run_modes(MODES, [*MODES])
