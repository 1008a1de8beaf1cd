"""A file server and a folder for the tests of downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

from cfpb_etl.emulator import serve
from support.file_server import BODY, NAME, FileServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """Serve a file."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = FileServer(folder)
    server.publish(BODY)
    with serve(server) as url:
        server.url = urljoin(url, f"/{NAME}")
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is downloaded to, alone in its folder."""
    (tmp_path / "downloads").mkdir()
    return tmp_path / "downloads" / NAME
