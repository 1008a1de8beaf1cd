"""The program as users run it: what it writes, prints and returns.

Tests with `command` run it in this process: a process of its own takes seconds for imports.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.emulator import Emulator, serve
from support import faults
from support.browser import needs_browser, render
from support.faults import Faulty
from support.made_up import made_up
from support.program import PROGRAM, query, run_program

if TYPE_CHECKING:
    from runs.conftest import Command

LOADING = Path(__file__).parents[2] / "docs" / "loading.md"
COMPLAINTS = made_up(12_000, era="2024")


# --- the run completes ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
def test_the_first_command_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, with an empty PATH and no display: a database, a picture, and no ERROR."""
    monkeypatch.setenv("PATH", "")

    done = run_program("--source", "sample")

    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    stored = "Stored page 1, 1,000 complaints: 1,000 new, 0 changed, 0 unchanged"
    assert done.stderr == f"{stored} (1,000 of 1,000)\n"
    assert sorted(path.name for path in Path().iterdir()) == ["complaints-flow.svg", "sample.db"]
    assert query("sample.db", "SELECT COUNT(*) FROM complaint") == [(1_000,)]
    assert done.stdout in LOADING.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("empty_folder")
@pytest.mark.skipif(not shutil.which("unshare"), reason="only Linux can remove the network")
def test_the_sample_needs_no_network() -> None:
    """The sample runs where the loopback is the only network."""
    program = (
        "import fcntl, runpy, socket, struct, sys;"
        "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1));"  # SIOCSIFFLAGS
        "runpy.run_module('cfpb_etl.flow', run_name='__main__')"
    )
    without_network = ["unshare", "--map-root-user", "--net"]
    done = subprocess.run(
        [*without_network, sys.executable, "-c", program, "--source", "sample"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"this system does not allow to remove the network: {done.stderr}")

    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert query("sample.db", "SELECT COUNT(*) FROM complaint") == [(1_000,)]


def test_several_pages_and_a_png(command: Command) -> None:
    """Many complaints are fetched page by page; a .png is a PNG; a second run changes nothing."""
    emulator = Emulator(COMPLAINTS)
    with serve(emulator) as url:
        first = command("--api-url", url, "--limit", "11000", "--graph", "flow.png")
        second = command("--api-url", url, "--limit", "11000", "--no-graph")

    assert (first.code, second.code) == (0, 0), first.log + second.log
    days = sorted((str(c["date_received"])[:10] for c in COMPLAINTS), reverse=True)[:11_000]
    assert first.summary.splitlines()[:6] == [
        "11,000 complaints in 2 pages: 11,000 new, 0 changed, 0 unchanged",
        f"received   {days[-1]} to {days[0]} (12,000 match)",
        f"data of    {days[0]} (_meta.last_updated)",
        "verified   11,000 of 11,000",
        "database   complaints.db, 11,000 complaints",
        "picture    flow.png",
    ]
    assert "11,000 complaints in 2 pages: 0 new, 0 changed, 11,000 unchanged" in second.summary
    assert "picture" not in second.summary
    assert Path("flow.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert sorted(path.name for path in Path().iterdir()) == ["complaints.db", "flow.png"]
    sizes = [dict(request.parameters)["size"] for request in emulator.requests]
    assert sizes == ["10000", "1000"] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
@needs_browser
def test_a_browser_shows_the_picture(tmp_path: Path) -> None:
    """A browser accepts the picture as well-formed and shows the three boxes as completed."""
    with serve(Emulator(COMPLAINTS[:100])) as url:
        assert run_program("--api-url", url).returncode == 0

    text, console = render(Path("complaints-flow.svg").absolute().as_uri(), tmp_path)

    assert console == []
    assert "parsererror" not in text
    for name in ("get_complaint_data", "parse_complaint_data", "store_complaints"):
        assert f">{name}</text>" in text
    assert text.count("● completed") == 4


def test_a_query_without_matches(command: Command) -> None:
    """A filter that matches nothing is not a failure, and the summary says what to check."""
    with serve(Emulator(COMPLAINTS)) as url:
        done = command("--api-url", url, "--product", "mortgage")

    assert done.code == 0
    assert done.summary.startswith("0 complaints in 1 page")
    assert "nothing matches: check the spelling" in done.summary


def test_an_interrupted_pull_and_an_update(command: Command) -> None:
    """The same command resumes a pull that failed; --update then loads what has changed since."""
    late, *others = sorted(COMPLAINTS, key=lambda c: str(c["date_received"]), reverse=True)
    emulator = Emulator(others)
    faulty = Faulty(emulator, {2: faults.forbidden_html()})
    with serve(faulty) as url:
        pull = ("--api-url", url, "--since", "2011-12-01", "--no-graph")
        failed, complete = command(*pull), command(*pull)
        emulator.put(late)
        emulator.withdraw(str(others[0]["complaint_id"]))
        updated = command("--api-url", url, "--update", "--lookback", "30", "--no-graph")

    assert "Run the same command again to resume." in failed.log
    assert complete.code == 0
    assert "Resuming the load started 20" in complete.log
    assert " UTC (10,000 complaints in 1 page already stored)" in complete.log
    assert len(faulty.requests) == 4
    assert f"verified   {len(others):,} of {len(others):,}" in complete.summary
    assert updated.code == 0, updated.log
    assert "Updating load 1 (since 20" in updated.log
    assert "1 new, 0 changed" in updated.summary
    assert "1 withdrawn" in updated.summary


def test_an_update_under_a_filter_marks_nothing_as_withdrawn(command: Command) -> None:
    """The summary says that withdrawals were not checked, and why."""
    with serve(Emulator(COMPLAINTS)) as url:
        command("--api-url", url, "--state", "CA", "--no-graph")
        updated = command("--api-url", url, "--update", "--no-graph")

    assert updated.code == 0, updated.log
    assert "withdrawn  not checked: under a filter" in updated.summary


# --- the run fails --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("shared_server")
def test_an_unreachable_api() -> None:
    """Without a server the run fails after its retries, with one line that suggests a remedy."""
    failed = run_program("--api-url", "http://127.0.0.1:1/")

    *warnings, last = failed.stderr.splitlines()
    assert failed.returncode == 1
    assert len(warnings) == 5
    assert all("attempt" in warning for warning in warnings)
    assert last.startswith("failed: The search API could not be reached: Connection refused")
    assert "--source sample" in last
    assert "Nothing was stored." in last
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "reasons"),
    [
        (
            "PREFECT_API_URL",
            "http://127.0.0.1:1/api",
            ["http://127.0.0.1:1/api", "unset PREFECT_API_URL"],
        ),
        (
            "PREFECT_SERVER_EPHEMERAL_ENABLED",
            "false",
            ["is false", "run `unset PREFECT_SERVER_EPHEMERAL_ENABLED`"],
        ),
    ],
    ids=["unreachable", "switched off"],
)
@pytest.mark.usefixtures("empty_folder")
def test_without_prefect(
    name: str, value: str, reasons: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Prefect's API the run fails with one line that says why, and writes nothing."""
    monkeypatch.setenv(name, value)

    failed = run_program("--source", "sample")

    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert all(reason in failed.stderr for reason in reasons)
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("shared_server")
def test_a_failure_on_the_second_page_keeps_the_first() -> None:
    """The last line says what failed, what is saved and how to repeat; --verbose shows the rest."""
    faulty = Faulty(Emulator(COMPLAINTS), dict.fromkeys((2, 4), faults.forbidden_html()))
    with serve(faulty) as url:
        failed = run_program("--api-url", url, "--limit", "11000")
        verbose = run_program("--api-url", url, "--limit", "11000", "--verbose")

    last = failed.stderr.splitlines()[-1]
    assert (failed.returncode, verbose.returncode) == (1, 1)
    assert last.startswith("failed: CFPB's network refuses requests from this address (403)")
    assert "10,000 complaints are saved in complaints.db. Run the same command again" in last
    assert last.endswith("Picture: complaints-flow.svg")
    assert "Traceback" not in failed.stderr
    assert "Traceback" in verbose.stderr
    assert "Flow run" in verbose.stderr
    assert query("complaints.db", "SELECT COUNT(*) FROM complaint") == [(10_000,)]
    assert "× failed" in Path("complaints-flow.svg").read_text("utf-8")


def test_a_sample_is_never_mixed_with_real_complaints(command: Command) -> None:
    """A database with made-up complaints accepts no others."""
    sample = command("--source", "sample", "--limit", "5", "--database", "c.db")
    assert sample.code == 0
    with serve(Emulator(COMPLAINTS)) as url:
        failed = command("--api-url", url, "--database", "c.db")

    assert failed.code == 1
    assert "holds made-up complaints" in failed.log
    assert "--database" in failed.log


# --- logging --------------------------------------------------------------------------------

QUIET_LOGGING = """
version: 1
disable_existing_loggers: False
loggers:
    prefect.flow_runs: {level: INFO, propagate: no}
    prefect.task_runs: {level: INFO, propagate: no}
"""


@pytest.mark.slow
@pytest.mark.parametrize("quiet", ["level", "logging.yml"])
@pytest.mark.usefixtures("shared_server")
def test_the_last_line_is_independent_of_logging(
    quiet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's settings of Prefect's log do not change what is reported as saved."""
    if quiet == "level":
        monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "ERROR")
    else:
        home = tmp_path / "home"
        home.mkdir()
        (home / "logging.yml").write_text(QUIET_LOGGING)
        monkeypatch.setenv("PREFECT_HOME", str(home))
    faulty = Faulty(Emulator(COMPLAINTS), {2: faults.forbidden_html()})
    with serve(faulty) as url:
        failed = run_program("--api-url", url, "--limit", "11000", "--database", ":memory:")

    last = failed.stderr.splitlines()[-1]
    assert failed.returncode == 1
    assert "10,000 complaints are saved in :memory:." in last
    assert "Nothing was stored" not in failed.stderr
    assert query("./:memory:", "SELECT COUNT(*) FROM complaint") == [(10_000,)]
    assert "10,000 rows" in Path("complaints-flow.svg").read_text("utf-8")


# --- the screen -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.usefixtures("shared_server")
def test_a_closed_pipe_does_not_harm_the_load(closed: str) -> None:
    """The reader of the output may close it early, as `head` does."""
    with serve(Emulator(COMPLAINTS)) as url:
        process = subprocess.Popen(
            [*PROGRAM, "--api-url", url, "--limit", "11000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        getattr(process, closed).close()
        setattr(process, closed, None)
        printed = "".join(filter(None, process.communicate(timeout=60)))

    assert process.returncode == 0, printed
    assert "Traceback" not in printed
    assert query("complaints.db", "SELECT outcome, parts FROM load") == [("complete", 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1", "2>errors"], ids=str
)
@pytest.mark.usefixtures("shared_server")
def test_streams_that_are_closed_or_full(streams: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service has no terminal and may have no streams; the load is as good."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.setenv(name, "1")
    command = shlex.join([*PROGRAM, "--source", "sample", "--no-graph"])
    done = subprocess.run(["sh", "-c", f"{command} {streams}"], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
    assert query("sample.db", "PRAGMA integrity_check") == [("ok",)]
    assert query("sample.db", "SELECT outcome, rows FROM load") == [("complete", 1_000)]
    if streams == "2>errors":
        assert Path("errors").read_bytes().startswith(b"Stored page 1")
        assert b"\x1b" not in Path("errors").read_bytes()
        assert b"\x1b" not in done.stdout


@pytest.mark.usefixtures("shared_server")
def test_a_summary_that_cannot_be_printed() -> None:
    """The load is complete, and the run says what is missing."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "--source", "sample", "--no-graph"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == (
        "warning: The summary could not be printed: No space left on device."
    )


@pytest.mark.parametrize(
    ("arguments", "streams", "code"),
    [
        ("--version", ">/dev/full", 1),
        ("--help", "COLUMNS=0", 0),
        ("--nonsense", "2>/dev/full", 2),
        ("--nonsense", "2>&-", 2),
        ("status --database nosuch.db", "2>/dev/full", 2),
    ],
)
@pytest.mark.usefixtures("empty_folder")
def test_a_command_without_a_run(arguments: str, streams: str, code: int) -> None:
    """The exit code is the same for each kind of output, and no traceback is shown."""
    variable, redirection = (streams, "") if "=" in streams else ("", streams)
    command = f"{variable} {shlex.join(PROGRAM)} {arguments} {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert not arguments.startswith("--nonsense") or done.stdout == ""


@pytest.mark.usefixtures("shared_server")
def test_a_terminal_shows_a_bar_while_the_run_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows one line of progress; at the end only the summary is left."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = os.openpty()
    with serve(Emulator(COMPLAINTS)) as url, os.fdopen(ours, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [*PROGRAM, "--api-url", url, "--limit", "11000"], stderr=theirs, stdout=theirs
        )
        os.close(theirs)
        output = b""
        try:
            while chunk := screen.read(65_536):
                output += chunk
        except OSError:  # Linux raises it when the last process has closed the terminal
            pass
        assert process.wait() == 0

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode())
    assert "Starting Prefect" in text
    assert "11,000 of 11,000" in text
    assert "10,000 new" not in text
    after_the_bar = output.decode().rpartition("\x1b[2K")[2]
    assert after_the_bar.strip().startswith("11,000 complaints in 2 pages")
