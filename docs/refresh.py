"""Refresh what the README shows: outputs, options and pictures, each from a run.

Run `python docs/refresh.py` in the development environment; `git diff` tells what changed.
"""

from __future__ import annotations

import os
import re
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
README = ROOT / "README.md"
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


def run(folder: str, *arguments: str) -> str:
    """Run the program and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "cfpb_etl.flow", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout


@contextmanager
def browsing(folder: str, database: str) -> Iterator[str]:
    """Show a database in Datasette, and give the address."""
    program = [sys.executable, "-m", "cfpb_etl.flow", "browse", "--database", database]
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        yield next(iter(process.stdout or ())).split()[0]
        process.terminate()


def photograph(url: str, picture: Path, width: int, height: int) -> None:
    """Open a page in Chromium, and keep what it shows."""
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


def main() -> None:
    """Run the program, and put what it gave into the README and docs."""
    text = README.read_text("utf-8")

    def put(after: str, output: str) -> None:
        nonlocal text
        before, heading, rest = text.partition(after)
        until, fence, rest = rest.partition("```text\n")
        text = (
            before + heading + until + fence + output.rstrip() + "\n```" + rest.partition("```")[2]
        )

    with tempfile.TemporaryDirectory() as folder:
        picture = str(ROOT / "docs" / "complaints-flow.svg")
        sample = run(folder, "--source", "sample", "--graph", picture)
        put("this is the sample's:", sample.replace(picture, "complaints-flow.svg"))
        bulk = str(ROOT / "docs" / "bulk-flow.svg")
        files = Path(folder, "files")
        complaints = generate_complaints(25_000)
        waiting = {"company_response": "In progress", "company_public_response": None}
        before = [each | waiting if n % 40 == 0 else each for n, each in enumerate(complaints)]
        write_archive(files, generate_complaints(25_000, era="2024", until=NEWEST_DAY["deployed"]))
        asked = ["--database", "complaints.db", "--graph", bulk, "--source", "bulk", "--file"]
        yesterday = Emulator(before, files=files)
        yesterday.publish(date(2026, 10, 8))
        with serve(yesterday) as url:
            loaded = run(folder, *asked, urljoin(url, BULK_PATH))
        put("daily file ends:", loaded.replace(bulk, "complaints-flow.svg"))
        today = Emulator(complaints[:5_000] + complaints[5_004:], files=files)
        today.publish(date(2026, 10, 9))
        with serve(today) as url:
            run(folder, *asked, urljoin(url, BULK_PATH))
            archive = ["--source", "archive", "--file", urljoin(url, ARCHIVE_PATH)]
            run(folder, *archive, "--no-graph")
            run(folder, "report")
            put("the archive:", run(folder, "status", "--api-url", url))
        report = Path(folder, "complaints-report.html").as_uri()
        photograph(report, ROOT / "docs" / "report.png", 1000, 1505)
        with browsing(folder, "sample.db") as url:
            photograph(f"{url}/identity-theft", ROOT / "docs" / "browse.png", 1000, 480)
        options = run(folder, "--help").splitlines()
        put("## Options", "\n".join(line.rstrip() for line in options))
        asked_of = iter(QUESTIONS)

        def answered(_found: re.Match[str]) -> str:
            question = next(asked_of).sql
            answer = boxed(Path(folder, "sample.db"), question)
            return f"```sql\n{question}\n```\n```text\n{answer}\n```"

        text = re.sub(r"```sql\n[^`]*```\n```text\n[^`]*```", answered, text)
        down = dict.fromkeys(range(2, 7), faults.server_error())
        with serve(faults.Faulty(Emulator(generate_complaints(25_000, era="2024")), down)) as url:
            failed = str(ROOT / "docs" / "failed-flow.svg")
            run(folder, "--api-url", url, "--limit", "25000", "--graph", failed)
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
