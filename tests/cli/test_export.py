"""The command `export`: its output, its exit codes and its streams."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.cli.main import main
from support.loads import load, load_file
from support.parts import complaint, part
from support.program import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which has a database."""
    load_file(path, complaint(1, state="CA"), complaint(2))
    monkeypatch.chdir(path.parent)
    return path.parent


def run(*arguments: str, redirected: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a shell."""
    command = " ".join([*PROGRAM, "export", *arguments, redirected])
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_result(folder: Path) -> None:
    """The output has the target, its size and the rows of each table."""
    done = run("complaints.csv")

    size = (folder / "complaints.csv").stat().st_size
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout == f"exported to complaints.csv, {size} Bytes\ncomplaint             2 rows\n"
    )


def test_the_notes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reader must know comes at the end, one note a line."""
    load(path, part(complaint(1)), kind="sample")
    monkeypatch.chdir(path.parent)

    done = run("complaints.jsonl", "--state", "TX")
    assert done.stdout.splitlines()[2:] == [
        "note: The complaints are made up.",
        "note: No complaint matches the filters.",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "parameter --target requires an argument. See cfpb-etl export --help."),
        (["x.xlsx"], "--target 'x.xlsx' must end in .parquet, .csv, .csv.gz, .jsonl, .duckdb, or"),
        (["x.csv", "--table", "complaint,load"], "--table names several tables, and a .csv file"),
        (["x.csv", "--table", "person"], "--table 'person' is not valid; give complaint, "),
        (["x.csv", "--database", "none.db"], "--database 'none.db' does not exist; load compl"),
        (["x.csv", "--state", "ZZ"], "--state"),
        (["complaints.db"], "--target 'complaints.db' is the database or belongs to it."),
        (["mysql://me:it@host/x"], "--target is not a path; of addresses, only postgresql:// is"),
        (["x.csv", "y.csv"], "Unexpected 'y.csv'."),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_wrong_command(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what is wrong, the exit code is 2, and there is nothing new."""
    with pytest.raises(SystemExit, match="2"):
        main(["export", *arguments])

    printed = capsys.readouterr().err
    assert printed.startswith("wrong command: ")
    assert message in printed
    assert "me:it" not in printed


@pytest.mark.parametrize(
    ("redirected", "code", "error"),
    [
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
        ("> /dev/full", 1, "failed: The output could not be written: No space left on device.\n"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("2> /dev/full", 0, ""),
    ],
)
def test_output_that_cannot_be_written(
    folder: Path, redirected: str, code: int, error: str
) -> None:
    """The export is complete all the same."""
    done = run("x.csv", redirected=redirected)

    assert (done.returncode, done.stderr) == (code, error)
    assert (folder / "x.csv").is_file()


def test_a_failure(folder: Path) -> None:
    """A file of somebody is refused in one line, with exit code 1."""
    (folder / "x.csv").write_text("mine\n")

    done = run("x.csv")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"failed: {folder}/x.csv does not have the columns of an export, and was not changed."
        " Choose another target, or remove it.\n"
    )


def test_missing_extras(folder: Path) -> None:
    """Without the packages of an extra, the message says how to install the extra."""
    for target, package, extra in (
        ("out", "pyarrow", "parquet"),
        ("x.parquet", "pyarrow", "parquet"),
        ("x.parquet", "adbc_driver_sqlite", "parquet"),
        ("x.duckdb", "duckdb", "duckdb"),
    ):
        hidden = (
            f"import sys; sys.modules['{package}'] = None; from cfpb_etl.cli import start; start()"
        )
        done = subprocess.run(
            [sys.executable, "-c", hidden, "export", target],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"failed: {package.replace('_', '-')} is not installed. ")
        assert f'pip install "cfpb-etl[{extra}]"' in done.stderr
    assert sorted(each.name for each in folder.iterdir()) == ["complaints.db"]


def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The help has each option, and fits 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["export", "--help"])

    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) == 80
    assert {"TARGET", "--database", "--table", "--no-narratives", "--since", "--search"} < {
        *text.split()
    }
