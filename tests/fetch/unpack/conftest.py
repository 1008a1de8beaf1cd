"""Where the tests of containers write their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a file is written, alone in its folder. The name says nothing of its kind."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder / "complaints"
