"""The daily file, published and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.daily_file import DailyFile


@pytest.fixture
def published(tmp_path: Path, prefect_server: None, no_delays: None) -> Iterator[DailyFile]:
    """Serve today's file."""
    from support.daily_file import TODAY, serve_daily_file

    with serve_daily_file(tmp_path) as server:
        server.emulator.publish(TODAY)
        yield server


@pytest.fixture
def loaded(published: DailyFile) -> DailyFile:
    """Load today's file."""
    assert published.load().is_completed()
    return published
