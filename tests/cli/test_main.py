"""The commands: help, version, output and exit codes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from cfpb_etl import __version__
from cfpb_etl.cli.main import main
from cfpb_etl.parameters.load_parameters import LoadParameters
from support.loads import load_file
from support.parts import complaint
from support.program import PROGRAM, environment_without_coverage

if TYPE_CHECKING:
    from pathlib import Path


HEAVY = {
    *("adbc_driver_sqlite", "asyncio", "duckdb", "prefect", "psycopg", "pyarrow", "pydantic"),
    *("requests", "rich", "sqlite3"),
}


@pytest.mark.parametrize(
    ("arguments", "code", "needed"),
    [
        (["--help"], 0, {"rich"}),
        (["--version"], 0, {"rich"}),
        (["--no-grap"], 2, {"rich"}),
        (["status", "--database", "missing.db"], 2, {"rich"}),
        (["status", "--database", "sample.db"], 0, {"sqlite3"}),
        (["--state", "ZZ"], 2, {"pydantic"}),
        (["--lookback", "30"], 2, {"pydantic"}),
        (["export", "--help"], 0, {"rich"}),
        (["export", "x.csv", "--database", "missing.db"], 2, {"pydantic"}),
        (["export", "x.csv", "--database", "sample.db"], 0, {"pydantic", "rich", "sqlite3"}),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else "",
)
def test_commands_without_a_load_import_only_what_they_need(
    arguments: list[str], code: int, needed: set[str], tmp_path: Path
) -> None:
    """The imports are nearly all of the time that these commands take."""
    load_file(tmp_path / "sample.db", complaint(1), kind="sample")

    imported = modules_imported_by(PROGRAM, arguments, code, tmp_path)

    assert "cyclopts" in imported
    assert imported & HEAVY == needed


def test_the_console_script_imports_as_little(tmp_path: Path) -> None:
    """It starts in another module than `python -m cfpb_etl.flow`."""
    script = [sys.executable, "-c", "from cfpb_etl.cli import start; start()"]

    assert modules_imported_by(script, ["--help"], 0, tmp_path) & HEAVY == {"rich"}


def modules_imported_by(
    program: list[str], arguments: list[str], code: int, folder: Path
) -> set[str]:
    """Return the top-level modules that a command has imported when it ends."""
    traced = subprocess.run(
        [program[0], "-X", "importtime", *program[1:], *arguments],
        cwd=folder,
        env=environment_without_coverage(),  # coverage imports sqlite3
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert traced.returncode == code
    return {
        line.rpartition("|")[2].strip().partition(".")[0] for line in traced.stderr.splitlines()
    }


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It has each command and each option, and fits 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])

    text = capsys.readouterr().out
    assert text.startswith("Usage: cfpb-etl [COMMAND] [OPTIONS]\n")
    assert max(map(len, text.splitlines())) == 80
    words = text.split()
    assert {"browse", "graph", "report", "status"} < {*words}
    options = {f"--{each.name.replace('_', '-')}" for each in fields(LoadParameters)}
    assert options < {*words}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the version of the package."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stauts"], "There is no command 'stauts'. Did you mean status? See cfpb-etl --help."),
        (["nonsense"], "Unexpected 'nonsense'."),
        (["--limit", "5", "graph"], "The command graph must come before its options."),
        (["status", "x", "--database", "sample.db"], "Unexpected 'x'."),
        (["status", "x", "--database", "sample.db"], "See cfpb-etl status --help."),
        (["status"], "load complaints into it first, or use --database sample.db."),
        (["report"], "--database 'complaints.db' does not exist"),
        (["report", "x.pdf", "--database", "sample.db"], "PAGE 'x.pdf' must end in .html."),
        (["browse"], "--database 'complaints.db' does not exist"),
        (["status", "--database", "."], "--database '.' is a folder"),
        (["status", "--database", "/dev/null"], "--database '/dev/null' is not a file"),
    ],
)
def test_a_wrong_command_leads_to_the_right_one(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message says what is wrong, and what to type instead."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample.db").touch()

    with pytest.raises(SystemExit, match="2"):
        main(arguments)

    assert message in capsys.readouterr().err


def test_a_report_cannot_replace_its_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database can have the suffix of a page."""
    database = tmp_path / "complaints.html"
    database.touch()

    with pytest.raises(SystemExit, match="2"):
        main(["report", str(database), "--database", str(database)])

    assert "PAGE is the same file as the database." in capsys.readouterr().err
    assert database.read_bytes() == b""


@pytest.mark.parametrize(
    ("out", "code", "message"),
    [("| true", 0, ""), ("> /dev/full", 1, "failed: The output could not be written: No space")],
)
def test_output_that_cannot_be_written(tmp_path: Path, out: str, code: int, message: str) -> None:
    """A closed pipe is not a failure, but a full disk is; neither prints a traceback."""
    command = f"{sys.executable} -m cfpb_etl.flow graph {tmp_path / 'flow.svg'} {out}"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == bool(message)


def test_graph_draws_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`graph` draws the three tasks, runs nothing, and prints the path of the picture."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit, match="0"):
        main(["graph"])

    assert capsys.readouterr().out == "complaints-flow.svg\n"
    picture = (tmp_path / "complaints-flow.svg").read_text("utf-8")
    for name in ("get_complaint_data", "parse_complaint_data", "store_complaints"):
        assert f">{name}<" in picture
    assert [path.name for path in tmp_path.iterdir()] == ["complaints-flow.svg"]


def test_graph_fails_without_a_renderer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture that cannot be drawn is only a warning of a load, but a failure of `graph`."""
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SystemExit, match="1"):
        main(["graph", str(tmp_path / "flow.png")])

    assert capsys.readouterr().err.startswith("failed: ")
