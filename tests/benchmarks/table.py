"""Run all benchmarks, and print their results as one table.

Run `python tests/benchmarks/table.py [PAIRS]`, with the extra `bench` and the sqlite3 shell
installed: 5 pairs if PAIRS is missing, and at most 3 of those that take minutes. The table is also
written to `docs/benchmarks.md`, from which `docs/refresh.py` takes the README's figures. If a
benchmark fails, the others still run, the table has a row for it, and the exit code is 1.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from paired import HERE, Row

PAIRS, PAIRS_OF_LONG = 5, 3
# Each program with its arguments, and whether a pair takes minutes.
BENCHMARKS = (
    ("startup.py", False),
    ("commands.py", False),
    ("bulk.py first", False),
    ("bulk.py next", False),
    ("bulk.py utils", True),
    ("bulk.py far", True),
    ("pull.py bare", False),
    ("pull.py dlt", True),
    ("pull.py memory", True),
    ("pull.py rate", True),
    ("reading.py views", True),
    ("reading.py all", True),
    ("questions.py engines", True),
    ("postgres.py", True),
    ("exports.py million", True),
    ("exports.py five", True),
)
PAGE = HERE.parents[1] / "docs" / "benchmarks.md"
TITLES = ("what", "ours", "peer or aim", "ratio", "range", "pairs", "note")


def main(pairs: int) -> int:
    """Run all benchmarks, print and write the table, and return the exit code."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows")
        path.touch()
        for benchmark, is_long in BENCHMARKS:
            count = min(pairs, PAIRS_OF_LONG) if is_long else pairs
            program, *mode = benchmark.split()
            ended = subprocess.run(
                [sys.executable, str(HERE / program), *mode, str(count)],
                env={**os.environ, "BENCHMARK_ROWS": str(path)},
                check=False,
            )
            if ended.returncode:
                failed.append(benchmark)
        rows = [Row(*json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    rows += [Row(f"{benchmark} failed", "") for benchmark in failed]
    cells = [TITLES, *map(cells_of, rows)]
    place = f"{processor()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
    print(f"\n{place}\n\n{text_of(cells)}")
    PAGE.write_text(
        "# Benchmarks\n\nThis page is written by `make bench`. A ratio is our value divided by the"
        " peer's or by the aim:\nthe median of the pairs. In a pair, the two programs run one after"
        f" the other.\n\nMeasured on: {place}.\n\n{markdown_of(cells)}\n",
        "utf-8",
    )
    return int(bool(failed))


def cells_of(row: Row) -> tuple[str, ...]:
    """Return the cells of a row as text."""
    ratio = range_ = ""
    if row.ratio is not None:
        ratio, range_ = f"{row.ratio:.2f}", f"{row.low:.2f} to {row.high:.2f}"
    return row.what, row.ours, row.peer, ratio, range_, str(row.pairs), row.note


def text_of(cells: list[tuple[str, ...]]) -> str:
    """Return the table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(map(str.ljust, row, widths)).rstrip()  # one row
        for row in cells
    )


def markdown_of(cells: list[tuple[str, ...]]) -> str:
    """Return the table as Markdown."""
    head, *body = ("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join([head, "|---" * len(TITLES) + "|", *body])


def processor() -> str:
    """Return the name of the processor."""
    lines: list[str] = []
    with suppress(OSError):  # it exists on Linux only
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS))
