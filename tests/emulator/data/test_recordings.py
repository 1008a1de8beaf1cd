"""Recorded responses, served again: the real ones are read from CFPB_ETL_RECORDINGS."""

import json
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cfpb_etl.emulator import NotARecordingError, made_complaints, recorded_complaints
from emulator.conftest import Serve


@pytest.fixture(scope="session")
def recordings() -> list[Path]:
    """Return the recorded responses, where there are any."""
    folder = os.environ.get("CFPB_ETL_RECORDINGS")
    if not folder:
        pytest.skip("CFPB_ETL_RECORDINGS names no folder with recorded responses")
    return sorted(Path(folder).glob("api-search-*.json"))


def response(*sources: dict[str, Any]) -> str:
    """Return a response with these complaints."""
    hits = [{"_id": s["complaint_id"], "_source": s, "sort": [1, "x"]} for s in sources]
    return json.dumps({"hits": {"hits": hits}})


def test_the_distinct_complaints_are_kept_as_recorded(tmp_path: Path) -> None:
    """Of two copies, the one in the file named last."""
    one, two, three = made_complaints(3, era="2024")
    (tmp_path / "1.json").write_text(response(one, two), encoding="utf-8")
    (tmp_path / "2.json").write_text(response({**two, "extra": "N/A"}, three), encoding="utf-8")

    complaints = recorded_complaints(tmp_path / "1.json", str(tmp_path / "2.json"))

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
def test_another_file_is_named(tmp_path: Path, content: str) -> None:
    """Whatever is wrong with it."""
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(NotARecordingError, match=re_escaped(path)):
        recorded_complaints(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As well."""
    with pytest.raises(NotARecordingError, match="nowhere"):
        recorded_complaints(tmp_path / "nowhere.json")


def re_escaped(path: Path) -> str:
    """Return a pattern for a path."""
    return re.escape(str(path))


def test_real_responses_are_served_again(recordings: list[Path], served: Serve) -> None:
    """With 16 keys and with 19, sort values computed and the same as were recorded."""
    recorded = {
        hit["_id"]: hit
        for path in recordings
        for hit in json.loads(path.read_text(encoding="utf-8"))["hits"]["hits"]
    }
    api = served(recorded_complaints(*recordings))

    hits = api.walk(sort="created_date_asc", size=7)

    assert {hit["_id"]: hit["_source"] for hit in hits} == {
        number: hit["_source"] for number, hit in recorded.items()
    }
    assert {len(hit["_source"]) for hit in hits} == {16, 19}
    assert all(hit["sort"] == recorded[hit["_id"]]["sort"] for hit in hits)
    assert api.total(date_received_min="2024-01-01") == 25
    days = [datetime.fromisoformat(hit["_source"]["date_received"]) for hit in hits]
    assert days == sorted(days)
