"""The memory of a run does not grow with the number of pages."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from prefect.settings import PREFECT_API_URL

from cfpb_etl.emulator import Emulator, generate_complaints, serve
from support import PYTHONPATH

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from support.sources import load_source
from cfpb_etl.fetch.search_api import SearchApi

url, pages = sys.argv[1], int(sys.argv[2])
source = SearchApi(limit=pages * 100, url=url, page_size=100, rate_limit=None)
stats = load_source(source, Path("complaints.db")).result()
status = Path("/proc/self/status").read_text()
print(stats.parts, status.partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss includes the parent's memory")
def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 pages of 2 MB take at most 1.3 times the memory of 30 pages."""
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    narrative = "XXXX charged me {$35.00} twice and will not say why. " * 400
    long: list[dict[str, Any]] = [
        {**complaint, "complaint_what_happened": narrative}
        for complaint in generate_complaints(30_000, era="2024")
    ]

    def peak(url: str, pages: int) -> int:
        folder = tmp_path / str(pages)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, str(pages)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        stored, kilobytes = map(int, done.stdout.split())
        assert stored == pages
        return kilobytes

    emulator = Emulator(long)
    with serve(emulator) as url:
        page = requests.get(f"{url}?size=100&no_aggs=true", timeout=60)
        assert len(page.content) > 2_000_000
        few, many = peak(url, 30), peak(url, 300)

    print(f"30 pages {few / 1024:.0f} MB, 300 pages {many / 1024:.0f} MB")
    assert many <= 1.3 * few
