"""Tests of the command `python -m cfpb_etl.emulator`."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from cfpb_etl.emulator import Emulator, generate_complaints, serve

from .conftest import read_rows


def start_command(*arguments: str) -> subprocess.Popen[str]:
    """Start the command as a user does."""
    return subprocess.Popen(
        [sys.executable, "-m", "cfpb_etl.emulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        # Ctrl-C works as in a terminal, even if the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


@pytest.mark.parametrize(("options", "keys"), [((), 15), (("--era", "2024"), 16)])
def test_command_serves_until_ctrl_c(options: tuple[str, ...], keys: int) -> None:
    """It prints the URL, and nothing when it stops."""
    with start_command("--port", "0", "--rows", "1200", *options) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http"))
        hits = requests.get(url, params={"size": "1"}, timeout=10).json()["hits"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert line.startswith("1,200 complaints at http://127.0.0.1:")
    assert hits["total"]["value"] == 1200
    assert len(hits["hits"][0]["_source"]) == keys
    assert (process.returncode, out, err) == (0, "", "")


def test_command_names_an_invalid_recording(tmp_path: Path) -> None:
    """The error is one line."""
    path = tmp_path / "page.json"
    path.write_text("<html></html>", encoding="utf-8")

    with start_command("--recording", str(path)) as process:
        _, err = process.communicate(timeout=10)

    assert process.returncode == 1
    assert err.startswith(f"{path} is not a recorded response of the search API")
    assert err.count("\n") == 1


def test_command_reports_a_port_in_use() -> None:
    """The error is one line, without a traceback."""
    with serve(Emulator(generate_complaints(5))) as url:
        port = url.split(":")[2].split("/")[0]
        with start_command("--rows", "5", "--port", port) as process:
            _, err = process.communicate(timeout=10)

    assert process.returncode == 1
    assert err.startswith(f"Cannot listen on port {port}: Address already in use")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("era", "columns"), [("2024", 18), ("deployed", 15)])
def test_command_serves_files(tmp_path: Path, era: str, columns: int) -> None:
    """It prints their URLs below the first line."""
    with start_command(
        *("--port", "0", "--rows", "300", "--era", era, "--files", str(tmp_path / "files"))
    ) as process:
        assert process.stdout is not None
        first, *others = (process.stdout.readline() for _ in range(3))
        bulk, page = (requests.get(line.split()[-1], timeout=10) for line in others)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    rows = read_rows(bulk.content)
    assert re.fullmatch(r"300 complaints at http://\S+ \(stop with Ctrl-C\)\n", first)
    assert (len(rows), len(rows[0])) == (300, columns)
    name = "CCDB_Export_6_April_2024_through_July_2024.zip"
    assert name in page.text
    (archived,) = (tmp_path / "files").rglob(name)
    in_bulk_file = {row["Complaint ID"]: row for row in rows}
    in_archive = read_rows(archived.read_bytes())
    assert any(row["Consumer complaint narrative"] for row in in_archive)  # in both eras
    assert all(in_bulk_file[row["Complaint ID"]]["Company"] == row["Company"] for row in in_archive)
    assert (process.returncode, out, err) == (0, "", "")


def test_command_names_a_folder_that_it_cannot_write(tmp_path: Path) -> None:
    """The error is one line."""
    (tmp_path / "files").touch()

    with start_command("--rows", "5", "--files", str(tmp_path / "files")) as process:
        _, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (1, f"Cannot write to {tmp_path / 'files'}: File exists\n")
