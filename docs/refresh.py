"""Fill the generated blocks and pictures of the documents, from runs of the program.

`python docs/refresh.py` writes them. `python docs/refresh.py --check` writes nothing: it prints a
diff and exits with 1 if the help, the sample's summary or an answer in the documents is not
current. A generated block is a fenced block below the comment `<!-- generated: NAME -->`. The table
below `<!-- benchmarks -->` has rows of `docs/benchmarks.md`, which `make bench` writes.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "tests"))

from cfpb_etl.emulator import (  # noqa: E402
    ARCHIVE_PATH,
    BULK_PATH,
    Emulator,
    generate_complaints,
    serve,
    write_archive,
)
from cfpb_etl.emulator.data.complaints import NEWEST_DAY  # noqa: E402
from cfpb_etl.show.questions import QUESTIONS  # noqa: E402
from support import faults  # noqa: E402 - found only now

PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n```\w+\n)(.*?)(?=\n```\n)", re.DOTALL)
DRAWN = "complaints-flow.svg"
BENCHMARKS = re.compile(r"(<!-- benchmarks -->\n)((?:\|.*\n)*)")
COMPARED = ("sample run", "first sample run", "first load of ", "next day's file", "pull of ")


def main() -> int:
    """Fill the documents, or check them; return the exit code."""
    check = "--check" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        blocks = sample(folder)
        if not check:
            shutil.copy(Path(folder, DRAWN), DOCS / DRAWN)
            blocks |= files(folder)
            failure(folder)
            photographs(folder)
    changed = 0
    for page in PAGES:
        before = page.read_text("utf-8")
        after = BLOCK.sub(lambda found: found[1] + blocks.get(found[2], found[3]), before)
        after = BENCHMARKS.sub(lambda found: found[1] + (measured() or found[2]), after)
        changed += after != before
        if check:
            name, lines = page.relative_to(ROOT), (before.splitlines(), after.splitlines())
            for line in difflib.unified_diff(*lines, f"{name}", f"{name}, current", lineterm=""):
                print(line)
        else:
            page.write_text(after, "utf-8")
    return int(check and changed > 0)


def sample(folder: str) -> dict[str, str]:
    """Run the sample, and return the blocks that are the same in every run."""
    blocks = {
        "sample-summary": run(folder, "--source", "sample"),
        "options": run(folder, "--help"),
        "export-options": run(folder, "export", "--help"),
    }
    for question in QUESTIONS:
        blocks[f"question-{question.name}"] = question.sql
        blocks[f"answer-{question.name}"] = boxed(Path(folder, "sample.db"), question.sql)
    return blocks


def measured() -> str:
    """Return the rows of the benchmarks that have a peer, as a table; "" before `make bench`."""
    page = DOCS / "benchmarks.md"
    lines = page.read_text("utf-8").splitlines() if page.exists() else []
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    chosen = [
        row
        for number, row in enumerate(rows)
        if number < 2  # noqa: PLR2004 - the head
        or (row[0].startswith(COMPARED) and row[2] and not row[2].startswith(("aim:", "the same")))
    ]
    return "".join(f"| {' | '.join(row[:5] + row[6:])} |\n" for row in chosen)


def files(folder: str) -> dict[str, str]:
    """Load daily files of two days and the archive, and return what the program printed."""
    served = Path(folder, "files")
    complaints = generate_complaints(25_000)
    waiting = {"company_response": "In progress", "company_public_response": None}
    before = [each | waiting if n % 40 == 0 else each for n, each in enumerate(complaints)]
    write_archive(served, generate_complaints(25_000, era="2024", until=NEWEST_DAY["deployed"]))
    cfpb = Emulator(before, files=served)
    with serve(cfpb) as url:
        cfpb.publish(date(2026, 10, 8))
        summary = run(folder, "--source", "bulk", "--file", urljoin(url, BULK_PATH))
        shutil.copy(Path(folder, DRAWN), DOCS / "bulk-flow.svg")
        for each in complaints[::40]:
            cfpb.put(each)
        for each in complaints[5_000:5_004]:
            cfpb.withdraw(each["complaint_id"])
        cfpb.publish(date(2026, 10, 9))
        run(folder, "--source", "bulk", "--file", urljoin(url, BULK_PATH))
        run(folder, "--source", "archive", "--file", urljoin(url, ARCHIVE_PATH))
        status = run(folder, "status", "--api-url", url)
    return {"bulk-summary": summary, "status": status}


def failure(folder: str) -> None:
    """Draw a run that fails on its second page."""
    down = dict.fromkeys(range(2, 7), faults.server_error())
    with serve(faults.Faulty(Emulator(generate_complaints(25_000, era="2024")), down)) as url:
        run(folder, "--api-url", url, "--limit", "25000", "--database", "failed.db")
    shutil.copy(Path(folder, DRAWN), DOCS / "failed-flow.svg")


def photographs(folder: str) -> None:
    """Photograph the report of the daily files, and a question in Datasette."""
    run(folder, "report")
    report = Path(folder, "complaints-report.html").as_uri()
    photograph(report, DOCS / "report.png", 1000, 1505)
    with browsing(folder, "sample.db") as url:
        photograph(f"{url}/identity-theft", DOCS / "browse.png", 1000, 480)


def run(folder: str, *arguments: str) -> str:
    """Run the program and return what it printed."""
    printed = subprocess.run(
        [sys.executable, "-m", "cfpb_etl.flow", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout
    return "\n".join(line.rstrip() for line in printed.splitlines()).strip("\n")


@contextmanager
def browsing(folder: str, database: str) -> Iterator[str]:
    """Serve a database in Datasette, and yield its address."""
    program = [sys.executable, "-m", "cfpb_etl.flow", "browse", "--database", database]
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        yield next(iter(process.stdout or ())).split()[0]
        process.terminate()


def photograph(url: str, picture: Path, width: int, height: int) -> None:
    """Save a screenshot of a page in Chromium."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--disable-background-networking", f"--user-data-dir={profile}"),
                *("--virtual-time-budget=8000", f"--window-size={width},{height}"),
                *(f"--screenshot={picture}", url),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )


def boxed(database: Path, question: str) -> str:
    """Return the answer to a question as `sqlite3 -box` prints it."""
    with closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(question)
        rows = [[name for name, *_ in cursor.description]]
        rows += [[str(value) for value in row] for row in cursor]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    head, *body = (list(zip(row, widths, strict=True)) for row in rows)
    return "\n".join(
        [
            line("┌", "┬", "┐"),
            "│" + "│".join(f" {cell:^{width}} " for cell, width in head) + "│",
            line("├", "┼", "┤"),
            *("│" + "│".join(f" {cell:<{width}} " for cell, width in row) + "│" for row in body),
            line("└", "┴", "┘"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
