"""Processes that are timed in turn, the ratios of their times, and a check of what they stored."""

from __future__ import annotations

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent


def run_modes(modes: Mapping[str, Callable[[Path, int], None]], default: Sequence[str]) -> None:
    """Run the mode that the command line names, or the default ones, each in an empty folder.

    The first argument is the mode and the second how many pairs to time: 3 if it is missing.
    """
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for mode in sys.argv[1:2] or default:
        with tempfile.TemporaryDirectory() as folder:
            modes[mode](Path(folder), pairs)


def print_ratio(ours: str, theirs: str, pairs: Sequence[tuple[float, float]]) -> None:
    """Print both median times in seconds, and the median of the ratios pair by pair."""
    our_time, their_time = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    ratios = [mine / other for mine, other in pairs]
    print(f"{ours:<16} {our_time:6.2f} s")
    print(f"{theirs:<16} {their_time:6.2f} s")
    print(
        f"{'ratio':<16} {statistics.median(ratios):6.2f}   median of {len(pairs)} pairs,"
        f" {min(ratios):.2f} to {max(ratios):.2f}"
    )


def command(program: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs a program of this folder."""
    return [sys.executable, str(HERE / program), *map(str, arguments)]


def output_of(program: str, *arguments: str | Path, environment: Mapping[str, str]) -> str:
    """Run a program of this folder to its end, and return its output."""
    ended = subprocess.run(
        command(program, *arguments), env=environment, check=False, capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(f"{program} ended with exit code {ended.returncode}\n{ended.stderr}")
    return ended.stdout


def isolated_environment(folder: Path) -> dict[str, str]:
    """Return an environment without the user's own settings of Prefect, and without telemetry."""
    user_settings = {"PREFECT_API_URL", "PREFECT_PROFILE"}
    return {
        **{name: value for name, value in os.environ.items() if name not in user_settings},
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DLT_DATA_DIR": str(folder / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


def assert_same(ours: Path, theirs: Path, complaints: int) -> None:
    """Compare all columns that both tables of complaints have; "" counts as NULL."""
    with closing(sqlite3.connect(ours)) as connection:
        connection.execute("ATTACH ? AS theirs", (str(theirs),))
        for database in ("main", "theirs"):
            count = f"SELECT COUNT(*) FROM {database}.complaint"  # noqa: S608 - our own names
            (stored,) = connection.execute(count).fetchone()
            assert stored == complaints, (database, stored)
        columns = connection.execute(
            "SELECT name FROM pragma_table_info('complaint', 'theirs') JOIN"
            " pragma_table_info('complaint', 'main') USING (name) WHERE name NOT LIKE '%load_id'"
        )
        values = ", ".join(f"NULLIF({name}, '')" for (name,) in columns)
        differing = connection.execute(
            f"SELECT {values} FROM main.complaint"  # noqa: S608 - our own names
            f" EXCEPT SELECT {values} FROM theirs.complaint LIMIT 1"
        ).fetchone()
        assert differing is None, differing


def remove(*databases: Path) -> None:
    """Remove databases and the files beside them."""
    for database in databases:
        for file in database.parent.glob(f"{database.stem}*"):
            file.unlink()
