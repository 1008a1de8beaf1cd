"""A page in Chromium: its document and its console after the scripts have run."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

needs_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")


class RenderedPage(NamedTuple):
    """A page after its scripts have run.

    Attributes:
        html: The document.
        console: The lines of the browser's console.
    """

    html: str
    console: list[str]


def render(url: str, folder: Path, width: int = 1000) -> RenderedPage:
    """Open a page in Chromium.

    Args:
        url: The page.
        folder: Where the browser may keep its profile.
        width: The width of the window in pixels.
    """
    browser = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--virtual-time-budget=10000",
            "--enable-logging=stderr",
            "--v=0",
            f"--user-data-dir={folder / 'browser'}",
            f"--window-size={width},1200",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return RenderedPage(browser.stdout, re.findall(r"CONSOLE.*", browser.stderr))
