"""Standard streams that are closed, full, or unable to show a character."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cfpb_etl.cli.streams import prepare_streams, print_text

FULL = Path("/dev/full")
OPENED = """
import os, sys
from cfpb_etl.cli.streams import open_missing_streams
open_missing_streams()
first = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for stream in (sys.stdin, sys.stdout, sys.stderr):
    assert not stream.isatty()
print("nothing", file=sys.stderr)
os.write(2, b"nothing")
os.system("echo nothing >&2")
assert sys.stdin.read() == ""
os._exit(10 + first)
"""


@pytest.mark.parametrize("closed", ["0", "1", "2", "02", "012"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    """The next file has another descriptor, and no message is written into it."""

    def close() -> None:
        for descriptor in map(int, closed):
            os.close(descriptor)

    database = tmp_path / "database"
    ended = subprocess.run(
        [sys.executable, "-c", OPENED, database],
        stdin=subprocess.DEVNULL,
        check=False,
        preexec_fn=close,
    )

    assert ended.returncode > 12
    assert database.read_bytes() == b""


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a full device")
def test_a_full_device() -> None:
    """The error is returned, and nothing fails when Python ends."""
    with FULL.open("w", encoding="utf-8") as full:
        error = print_text("text", full)
        assert error is not None
        assert error.strerror == "No space left on device"
        assert print_text("text", full) is None


def test_a_character_that_the_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced by a similar one, or escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    prepare_streams()
    print_text("2011…2026, Traveler’s, ü•", sys.stdout)

    assert raw.getvalue() == b"2011..2026, Traveler's, \\xfc\\u2022\n"


@pytest.mark.parametrize(
    ("columns", "kept"),
    [("120", True), ("0", False), ("-5", False), ("²", False), ("9" * 9, False)],
)
def test_a_wrong_number_of_columns(
    *, columns: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COLUMNS counts if it is a number of columns, and if no terminal knows its own."""
    monkeypatch.setenv("COLUMNS", columns)
    prepare_streams()

    assert ("COLUMNS" in os.environ) is kept
