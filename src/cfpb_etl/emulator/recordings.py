"""Reading recorded responses of the search API, to serve what they hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from cfpb_etl.emulator.complaints import Source


class NotARecordingError(ValueError):
    """Raised when a file is not a recorded response of the search API."""


def recorded_complaints(*paths: Path | str) -> list[Source]:
    """Return the distinct complaints of recorded responses, each `_source` as it was recorded.

    Of a complaint that several files hold, the copy of the file named last is kept.
    """
    found = {hit["_id"]: hit["_source"] for path in paths for hit in _hits(Path(path))}
    return list(found.values())


def _hits(path: Path) -> Iterator[dict[str, Any]]:
    try:
        hits = orjson.loads(path.read_bytes())["hits"]["hits"]
        for hit in hits:
            if hit["_id"] != hit["_source"]["complaint_id"] or not hit["_source"]["date_received"]:
                raise ValueError(hit["_id"])
            yield hit
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise NotARecordingError(
            f"{path} is not a recorded response of the search API: {error!r}"
        ) from error
