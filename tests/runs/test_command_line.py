"""Tests of the program as people run it: whole processes, what they leave, and how they end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import psutil
import pytest
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import BULK_PATH, Emulator, generate_complaints, serve
from support import faults
from support.browser import needs_browser, render
from support.faults import Fault, Faulty

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = [sys.executable, "-m", "cfpb_etl.flow"]
LOADING = Path(__file__).parents[2] / "docs" / "loading.md"
COMPLAINTS = generate_complaints(12_000, era="2024")


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where Prefect keeps its database, which takes it some seconds to make."""
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def empty_folder(tmp_path: Path, prefect_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with nothing set: Prefect starts its temporary server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(prefect_home))
    for name in ("PREFECT_API_URL", "CFPB_ETL_API_URL", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.fixture
def shared_server(
    empty_folder: None, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have all runs use the tests' one Prefect server, which saves each some seconds."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))


def run(*arguments: str, **changed: Any) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, without a terminal."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=120, **changed
    )


def ask(database: str, query: str) -> list[Any]:
    """Ask a database that a run has left."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


# --- all goes well --------------------------------------------------------------------------


@pytest.mark.usefixtures("empty_folder")
def test_the_first_command_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, with nothing on PATH and no display: a database, a picture, and no ERROR."""
    monkeypatch.setenv("PATH", "")

    done = run("--source", "sample")

    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    stored = "Stored page 1, 1,000 complaints: 1,000 inserted, 0 updated, 0 unchanged"
    assert done.stderr == f"{stored} (1,000 of 1,000)\n"
    assert sorted(path.name for path in Path().iterdir()) == ["complaints-flow.svg", "sample.db"]
    assert ask("sample.db", "SELECT COUNT(*) FROM complaint") == [(1_000,)]
    assert done.stdout in LOADING.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.skipif(not shutil.which("unshare"), reason="only Linux can take the network away")
def test_without_any_network() -> None:
    """The sample needs no network: it runs where there is none but the loopback."""
    up = (
        "import fcntl, runpy, socket, struct, sys;"
        "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1));"  # SIOCSIFFLAGS
        "runpy.run_module('cfpb_etl.flow', run_name='__main__')"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", up, "--source", "sample"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"this system does not let us take the network away: {done.stderr}")

    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert ask("sample.db", "SELECT COUNT(*) FROM complaint") == [(1_000,)]


@pytest.mark.usefixtures("shared_server")
def test_several_pages_and_a_png() -> None:
    """More than a page comes page by page; a .png is a PNG; a second run changes nothing."""
    emulator = Emulator(COMPLAINTS)
    with serve(emulator) as url:
        first = run("--api-url", url, "--limit", "11000", "--graph", "flow.png")
        second = run("--api-url", url, "--limit", "11000", "--no-graph")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "11,000 complaints in 2 pages: 11,000 inserted, 0 updated, 0 unchanged" in first.stdout
    assert "11,000 complaints in 2 pages: 0 inserted, 0 updated, 11,000 unchanged" in second.stdout
    assert "12,000 match in all" in first.stdout
    assert "flow.png" in first.stdout
    assert "picture" not in second.stdout
    assert Path("flow.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(path.name for path in Path().iterdir()) == ["complaints.db", "flow.png"]
    assert [dict(request.parameters)["size"] for request in emulator.requests] == [
        "10000",
        "1000",
    ] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
@needs_browser
def test_a_browser_shows_the_picture(tmp_path: Path) -> None:
    """A browser finds the picture well-formed and paints the three boxes in their green."""
    with serve(Emulator(COMPLAINTS[:100])) as url:
        assert run("--api-url", url).returncode == 0

    text, console = render(Path("complaints-flow.svg").absolute().as_uri(), tmp_path)

    assert console == []
    assert "parsererror" not in text
    for name in ("get_complaint_data", "parse_complaint_data", "store_complaints"):
        assert f">{name}</text>" in text
    assert text.count("● completed") == 4


# --- a failure is loud ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
def test_no_network() -> None:
    """With nobody listening, after the retries, one clear line that knows a way out."""
    failed = run("--api-url", "http://127.0.0.1:1/")

    *warnings, last = failed.stderr.splitlines()
    assert failed.returncode == 1
    assert len(warnings) == 5
    assert all("attempt" in warning for warning in warnings)
    assert last.startswith("failed: The search API could not be reached: Connection refused")
    assert "--source sample" in last
    assert "Nothing was stored." in last
    assert "Traceback" not in failed.stderr


@pytest.mark.usefixtures("empty_folder")
def test_no_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Prefect API that does not answer is one clear line with the remedy."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")

    failed = run("--source", "sample")

    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert "http://127.0.0.1:1/api" in failed.stderr
    assert "unset PREFECT_API_URL" in failed.stderr
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("empty_folder")
def test_no_prefect_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an API, and with temporary servers switched off, the line says so."""
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_ENABLED", "false")

    failed = run("--source", "sample")

    assert failed.returncode == 1
    assert "switched off" in failed.stderr


@pytest.mark.usefixtures("shared_server")
def test_a_failure_half_way_keeps_what_came() -> None:
    """A failed run says what failed, what is kept and what to type; --verbose shows the rest."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys((2, 4), faults.forbidden_html()))
    with serve(faulty) as url:
        failed = run("--api-url", url, "--limit", "11000")
        verbose = run("--api-url", url, "--limit", "11000", "--verbose")

    last = failed.stderr.splitlines()[-1]
    assert (failed.returncode, verbose.returncode) == (1, 1)
    assert last.startswith("failed: CFPB's network refuses requests from this address (403)")
    assert "Kept: 10,000 complaints in complaints.db. Run the same command" in last
    assert last.endswith("Picture: complaints-flow.svg")
    assert "Traceback" not in failed.stderr
    assert "Traceback" in verbose.stderr
    assert "Flow run" in verbose.stderr
    assert ask("complaints.db", "SELECT COUNT(*) FROM complaint") == [(10_000,)]
    assert "× failed" in Path("complaints-flow.svg").read_text("utf-8")


@pytest.mark.usefixtures("shared_server")
def test_nothing_that_matches_is_told() -> None:
    """A filter that matches nothing is no failure, but is said in so many words."""
    with serve(Emulator(COMPLAINTS)) as url:
        done = run("--api-url", url, "--product", "mortgage")

    assert done.returncode == 0
    assert done.stdout.startswith("0 complaints in 1 page")
    assert "spelled as CFPB does" in done.stdout


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.usefixtures("shared_server")
def test_a_screen_that_goes_away(closed: str) -> None:
    """Whoever reads what is shown may go away, as `head` does, without harm to the load."""
    with serve(Emulator(COMPLAINTS)) as url:
        process = subprocess.Popen(
            [*PROGRAM, "--api-url", url, "--limit", "11000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        getattr(process, closed).close()
        setattr(process, closed, None)
        told = "".join(filter(None, process.communicate(timeout=60)))

    assert process.returncode == 0, told
    assert "Traceback" not in told
    assert ask("complaints.db", "SELECT outcome, parts FROM load") == [("complete", 2)]


@pytest.mark.usefixtures("shared_server")
def test_what_is_kept_is_told_whatever_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quieter log of Prefect's takes nothing from the closing line."""
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    faulty = Faulty(Emulator(COMPLAINTS), {2: faults.forbidden_html()})
    with serve(faulty) as url:
        failed = run("--api-url", url, "--limit", "11000", "--database", ":memory:")

    assert "Kept: 10,000 complaints in :memory:." in failed.stderr.splitlines()[-1]
    assert ask("./:memory:", "SELECT COUNT(*) FROM complaint") == [(10_000,)]


@pytest.mark.usefixtures("shared_server")
def test_made_up_complaints_do_not_mix_with_real_ones() -> None:
    """A database with made-up complaints takes no others."""
    assert run("--source", "sample", "--limit", "5", "--database", "c.db").returncode == 0
    with serve(Emulator(COMPLAINTS)) as url:
        failed = run("--api-url", url, "--database", "c.db")

    assert failed.returncode == 1
    assert "holds made-up complaints" in failed.stderr
    assert "--database" in failed.stderr


# --- Ctrl-C ---------------------------------------------------------------------------------


def unmeasured() -> dict[str, str]:
    """Return the environment without coverage's part in it.

    An exception that a signal raises may come while coverage holds its lock, which it then keeps.
    """
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}


def interrupted(
    arguments: list[str],
    after: str,
    *,
    wait: float = 0.5,
    tell: Callable[[int, int], None] = os.killpg,
    number: int = signal.SIGINT,
) -> tuple[subprocess.Popen[str], list[str], float, list[psutil.Process]]:
    """Start the program, and after a line interrupt its whole process group, as a terminal does.

    Returns:
        The ended process, its lines, the seconds from the signal to the end, and the processes that
        it had started.
    """
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=unmeasured(),
    ) as process:
        assert process.stderr is not None
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if after in line:
                break
        # Time to be well inside what is to be interrupted, which nothing tells from outside.
        threading.Event().wait(wait)
        children = psutil.Process(process.pid).children(recursive=True)
        began = time.monotonic()
        tell(process.pid, number)
        lines += process.stderr.readlines()
        process.wait()
        return process, lines, time.monotonic() - began, children


def kept_and_told(process: subprocess.Popen[str], lines: list[str], seconds: float) -> None:
    """Hold an interrupted run of two pages, of which one had come, against what is promised."""
    assert process.returncode == 130, lines
    assert seconds < 5
    assert "interrupted: Kept: 10,000 complaints in complaints.db." in lines[-1]
    assert ask("complaints.db", "SELECT outcome, parts FROM load") == [("interrupted", 1)]
    assert ask("complaints.db", "SELECT COUNT(*) FROM complaint") == [(10_000,)]
    assert "■ interrupted" in Path("complaints-flow.svg").read_text("utf-8")
    assert not Path("complaints.db-loading").exists()


@pytest.mark.usefixtures("empty_folder")
def test_ctrl_c_leaves_nothing_behind() -> None:
    """Ctrl-C, which reaches Prefect's temporary server as well, ends both within seconds."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        process, lines, seconds, children = interrupted(
            ["--api-url", url, "--limit", "11000"], "Stored page 1"
        )

    kept_and_told(process, lines, seconds)
    assert "Traceback" not in "".join(lines)
    assert len(children) == 1
    assert not children[0].is_running()


WAITS: dict[str, tuple[Fault, str, float]] = {
    "before a retry": (faults.server_error(), "attempt 3", 0.2),
    "for the server's Retry-After": (faults.throttled(60), "attempt 1", 2.5),
}


@pytest.mark.parametrize(("fault", "after", "wait"), WAITS.values(), ids=WAITS)
@pytest.mark.usefixtures("shared_server")
def test_ctrl_c_ends_a_wait(fault: Fault, after: str, wait: float) -> None:
    """Ctrl-C ends the wait before a retry, and the one for the server's pace."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys(range(2, 9), fault))
    with serve(faulty) as url:
        process, lines, seconds, _ = interrupted(
            ["--api-url", url, "--limit", "11000"], after, wait=wait
        )

    kept_and_told(process, lines, seconds)


@pytest.mark.usefixtures("shared_server")
def test_kill_is_an_interruption_too() -> None:
    """SIGTERM, which `kill` and a container's stop send to the program, ends the run as well."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        process, lines, seconds, _ = interrupted(
            ["--api-url", url, "--limit", "11000"],
            "Stored page 1",
            tell=os.kill,
            number=signal.SIGTERM,
        )

    kept_and_told(process, lines, seconds)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("empty_folder")
def test_ctrl_c_while_prefect_is_imported(number: int) -> None:
    """Before anything is under way an interruption ends the process at once, in one line."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *PROGRAM[1:], "--source", "sample"],
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(),
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rpartition("|")[2].strip().startswith("prefect."):
                break
        process.send_signal(number)
        lines = [line for line in process.stderr if not line.startswith("import time:")]

    assert process.returncode == 130
    assert lines == ["interrupted before anything was written.\n"]
    assert not list(Path().iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_kill_of_the_whole_group() -> None:
    """SIGTERM to the group, as from systemd, ends the run though Prefect's server dies first."""
    with serve(Faulty(Emulator(COMPLAINTS), {2: faults.stalled()})) as url:
        process, lines, seconds, children = interrupted(
            ["--api-url", url, "--limit", "11000"], "Stored page 1", number=signal.SIGTERM
        )

    kept_and_told(process, lines, seconds)
    assert not [child for child in children if child.is_running()]


# --- a terminal -----------------------------------------------------------------------------


@pytest.mark.usefixtures("shared_server")
def test_on_a_terminal_a_bar_is_shown_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal one line shows where things stand; at the end only the summary is left."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = os.openpty()
    with serve(Emulator(COMPLAINTS)) as url, os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [*PROGRAM, "--api-url", url, "--limit", "11000"], stderr=theirs, stdout=theirs
        )
        os.close(theirs)
        shown = b""
        try:
            while chunk := screen.read(65_536):
                shown += chunk
        except OSError:  # Linux says so when the last writer of a terminal has gone
            pass
        assert process.wait() == 0

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "Starting Prefect" in text
    assert "11,000 of 11,000" in text
    assert "10,000 inserted" not in text
    after_the_bar = shown.decode().rpartition("\x1b[2K")[2]
    assert after_the_bar.strip().startswith("11,000 complaints in 2 pages")


# --- files ------------------------------------------------------------------------------


@pytest.mark.usefixtures("shared_server")
def test_the_daily_file_twice(tmp_path: Path) -> None:
    """The first run brings all of it and says so; the second finds that nothing has changed."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    emulator.publish(date(2024, 11, 6), columns=18)
    with serve(emulator) as url:
        load = ("--source", "bulk", "--file", urljoin(url, BULK_PATH))
        first, second = run(*load), run(*load, "--no-graph")

    assert first.returncode == 0, first.stderr
    days = sorted(str(complaint["date_received"])[:10] for complaint in COMPLAINTS)
    assert first.stdout.splitlines()[:5] == [
        "12,000 complaints: 12,000 inserted, 0 updated, 0 unchanged",
        f"received {days[0]} to {days[-1]}",
        "proof     12,000 rows; 12,000 complaints, each in the database",
        "database  complaints.db, 12,000 complaints",
        "picture   complaints-flow.svg",
    ]
    assert first.stderr.startswith("Stored complaints.csv.zip, ")
    assert first.stderr.count("\n") == 1
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines()[:2] == [
        "already up to date: the file has not changed since the last load",
        "database  complaints.db, 12,000 complaints",
    ]
    assert "0 of 0" not in second.stderr
    assert [request.status for request in emulator.file_requests] == [200, 304]
    assert sorted(path.name for path in Path().iterdir()) == [
        *("complaints-flow.svg", "complaints.db", "files")
    ]


@pytest.mark.usefixtures("shared_server")
def test_a_file_that_cannot_be_loaded(tmp_path: Path) -> None:
    """The last line says why, what is kept and what to do; the refused file is kept."""
    emulator = Emulator(COMPLAINTS, files=tmp_path / "files")
    emulator.publish(date(2024, 11, 6), columns=18)
    with serve(emulator) as url:
        load = ("--source", "bulk", "--file", urljoin(url, BULK_PATH), "--no-graph")
        assert run(*load).returncode == 0
        for complaint in COMPLAINTS[:200]:
            emulator.withdraw(str(complaint["complaint_id"]))
        emulator.publish(date(2024, 11, 7), columns=18)
        failed = run(*load)
        allowed = run(*load, "--allow-withdrawals")

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr == (
        "failed: The file lacks 200 of the 12,000 complaints that are stored, and one in a hundred"
        " is the most that is believed. Nothing was changed. If CFPB did withdraw them, run again"
        " with --allow-withdrawals. Nothing was stored. The download is kept, for the next run to"
        " go on with.\n"
    )
    assert allowed.returncode == 0, allowed.stderr
    assert "11,800 unchanged, 200 withdrawn" in allowed.stdout
    assert [request.status for request in emulator.file_requests] == [200, 200, 304]


# --- long pulls -----------------------------------------------------------------------------


@pytest.mark.usefixtures("shared_server")
def test_a_pull_that_broke_off_and_an_update() -> None:
    """The same command goes on where a pull broke off; --update then brings what is new."""
    late, *others = sorted(COMPLAINTS, key=lambda c: str(c["date_received"]), reverse=True)
    emulator = Emulator(others)
    faulty = Faulty(emulator, {2: faults.forbidden_html()})
    with serve(faulty) as url:
        pull = ("--api-url", url, "--since", "2011-12-01", "--no-graph")
        failed, whole = run(*pull), run(*pull)
        emulator.put(late)
        emulator.withdraw(str(others[0]["complaint_id"]))
        updated = run("--api-url", url, "--update", "--lookback", "30", "--no-graph")

    assert "Run the same command again: it goes on from there" in failed.stderr
    assert whole.returncode == 0
    assert "10,000 complaints are here already" in whole.stderr
    assert len(faulty.requests) == 4
    count = len(others)
    assert f"proof     {count:,} counted at the source, {count:,} came" in whole.stdout
    assert updated.returncode == 0, updated.stderr
    assert "Updating what load 1 asked for" in updated.stderr
    assert "1 inserted, 0 updated" in updated.stdout
    assert "1 withdrawn" in updated.stdout


@pytest.mark.usefixtures("shared_server")
def test_an_update_under_a_filter_says_what_it_cannot_know() -> None:
    """With a filter nothing is marked as withdrawn, and the summary says so."""
    with serve(Emulator(COMPLAINTS)) as url:
        run("--api-url", url, "--state", "CA", "--no-graph")
        updated = run("--api-url", url, "--update", "--no-graph")

    assert updated.returncode == 0, updated.stderr
    assert "withdrawn not looked for" in updated.stdout
