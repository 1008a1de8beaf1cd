"""Python code for whose process permissions count, also if root runs the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from support import PYTHONPATH
from support.program import environment_without_coverage

if TYPE_CHECKING:
    from pathlib import Path

# Without these capabilities, root may write only what its owner may write.
_WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def run_unprivileged(code: str, *arguments: str | Path) -> str:
    """Run code in another process, with the modules of this package and of the tests."""
    prefix = _WITHOUT_RIGHTS if os.getuid() == 0 else []
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments],
        env=environment_without_coverage() | {"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
