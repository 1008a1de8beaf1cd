"""A page as a browser has it: what it shows, and what it complains of."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

needs_browser = pytest.mark.skipif(
    not shutil.which("chromium"), reason="no chromium to look at the page with"
)


class Shown(NamedTuple):
    """A page, when its scripts have run.

    Attributes:
        text: The document as it is then.
        console: What was said on the console, an entry a line.
    """

    text: str
    console: list[str]


def shown(url: str, folder: Path, width: int = 1000) -> Shown:
    """Open a page in Chromium."""
    browser = subprocess.run(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--virtual-time-budget=10000", "--enable-logging=stderr", "--v=0"),
            *(f"--user-data-dir={folder / 'browser'}", f"--window-size={width},1200"),
            *("--dump-dom", url),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return Shown(browser.stdout, re.findall(r"CONSOLE.*", browser.stderr))
