"""Processes that are timed in turn, the rows of the results, and a check of what they stored."""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).parent


class Row(NamedTuple):
    """A row of the table that `make bench` prints.

    Attributes:
        what: What was measured.
        ours: The median of our values, with the unit.
        peer: The peer and the median of its values, or the aim; "" if there is neither.
        ratio: Our value divided by the peer's or by the aim, the median of the pairs; None if there
            is neither.
        low: The smallest ratio.
        high: The largest ratio.
        pairs: How many pairs were measured.
        note: What the peer does not do, or what the value includes.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int = 1
    note: str = ""


def record(row: Row) -> None:
    """Print a row, and add it to the file that BENCHMARK_ROWS names, for `table.py`."""
    ratio = "" if row.ratio is None else f"  {row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})"
    print(f"{row.what}: {row.ours}  {row.peer}{ratio}", flush=True)
    if path := os.environ.get("BENCHMARK_ROWS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def print_ratio(what: str, peer: str, pairs: Sequence[tuple[float, float]], note: str = "") -> None:
    """Record pairs of seconds, ours and the peer's: the medians, and the ratios pair by pair."""
    ours, theirs = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    ratios = [mine / other for mine, other in pairs]
    range_ = statistics.median(ratios), min(ratios), max(ratios)
    record(Row(what, f"{ours:.2f} s", f"{peer}: {theirs:.2f} s", *range_, len(pairs), note))


def print_values(
    what: str, values: Sequence[float], unit: str, aim: float | None = None, note: str = ""
) -> None:
    """Record a value that has an aim and no peer, or neither: the median of some runs."""
    median = statistics.median(values)
    ours = f"{median:,.0f} {unit}" if median >= 1000 else f"{median:.3g} {unit}"
    if aim is None:
        record(Row(what, ours, pairs=len(values), note=note))
        return
    ratios = [value / aim for value in values]
    range_ = statistics.median(ratios), min(ratios), max(ratios)
    record(Row(what, ours, f"aim: {aim:g} {unit}", *range_, len(values), note))


def run_modes(modes: Mapping[str, Callable[[Path, int], None]], default: Sequence[str]) -> None:
    """Run the mode that the command line names, or the default ones, each in an empty folder.

    The arguments are the mode and how many pairs to time, 3 if it is missing. Both may be missing.
    """
    arguments = sys.argv[1:]
    pairs = int(arguments.pop()) if arguments and arguments[-1].isdigit() else 3
    for mode in arguments or default:
        with tempfile.TemporaryDirectory() as folder:
            modes[mode](Path(folder), pairs)


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
