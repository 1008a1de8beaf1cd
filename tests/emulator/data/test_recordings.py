"""Tests of recorded responses. CFPB_ETL_RECORDINGS names the folder of the real ones."""

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cfpb_etl.emulator import NotARecordingError, generate_complaints, read_recordings
from emulator.conftest import ServeApi


@pytest.fixture(scope="session")
def recordings() -> list[Path]:
    """Return the paths of the recorded responses, or skip the test."""
    folder = os.environ.get("CFPB_ETL_RECORDINGS")
    if not folder:
        pytest.skip("CFPB_ETL_RECORDINGS names no folder with recorded responses")
    return sorted(Path(folder).glob("api-search-*.json"))


def response(*sources: dict[str, Any]) -> str:
    """Return a response with some complaints."""
    hits = [{"_id": s["complaint_id"], "_source": s, "sort": [1, "x"]} for s in sources]
    return json.dumps({"hits": {"hits": hits}})


def test_distinct_complaints_are_read_unchanged(tmp_path: Path) -> None:
    """Of two copies, the one in the last file counts."""
    one, two, three = generate_complaints(3, era="2024")
    (tmp_path / "1.json").write_text(response(one, two), encoding="utf-8")
    (tmp_path / "2.json").write_text(response({**two, "extra": "N/A"}, three), encoding="utf-8")

    complaints = read_recordings(tmp_path / "1.json", str(tmp_path / "2.json"))

    assert complaints == [one, {**two, "extra": "N/A"}, three]


@pytest.mark.parametrize(
    "content",
    [
        "<html></html>",
        "[]",
        "{}",
        '{"hits": {"hits": 3}}',
        '{"hits": {"hits": [{"_source": {"complaint_id": "1"}}]}}',
        '{"hits": {"hits": [{"_source": {"complaint_id": 1, "date_received": "2024-01-01"}}]}}',
        '{"hits": {"hits": [{"_source": {"complaint_id": "1", "date_received": "soon"}}]}}',
        '{"hits": {"hits": [{"_source": {"complaint_id": "1", "date_received": null}}]}}',
    ],
)
def test_error_names_the_invalid_file(tmp_path: Path, content: str) -> None:
    """Every wrong format gets the same error."""
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(NotARecordingError, match=re_escaped(path)):
        read_recordings(path)


def test_error_names_the_missing_file(tmp_path: Path) -> None:
    """A missing file gets the same error as an invalid one."""
    with pytest.raises(NotARecordingError, match="nowhere"):
        read_recordings(tmp_path / "nowhere.json")


def re_escaped(path: Path) -> str:
    """Return a pattern for a path."""
    return re.escape(str(path))


def test_real_recordings_can_be_served(recordings: list[Path], serve_api: ServeApi) -> None:
    """They have 16 or 19 keys, and the computed sort values equal the recorded ones."""
    recorded = {
        hit["_id"]: hit
        for path in recordings
        for hit in json.loads(path.read_text(encoding="utf-8"))["hits"]["hits"]
    }
    api = serve_api(read_recordings(*recordings))

    hits = api.all_hits(sort="created_date_asc", size=7)

    assert {hit["_id"]: hit["_source"] for hit in hits} == {
        number: hit["_source"] for number, hit in recorded.items()
    }
    assert {len(hit["_source"]) for hit in hits} == {16, 19}
    assert all(hit["sort"] == recorded[hit["_id"]]["sort"] for hit in hits)
    assert api.total(date_received_min="2024-01-01") == 25
    days = [datetime.fromisoformat(hit["_source"]["date_received"]) for hit in hits]
    assert days == sorted(days)
