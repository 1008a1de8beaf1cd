"""Reading recorded responses of the search API, to serve what they hold."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from cfpb_etl.emulator.data.complaints import Source


class NotARecordingError(ValueError):
    """Raised when a file is not a recorded response of the search API."""


def recorded_complaints(*paths: Path | str) -> list[Source]:
    """Return the distinct complaints of recorded responses, each `_source` as it was recorded.

    Of a complaint that several files hold, the copy of the file named last is kept.
    """
    sources = (source for path in paths for source in _sources(Path(path)))
    return list({source["complaint_id"]: source for source in sources}.values())


def _sources(path: Path) -> Iterator[Source]:
    try:
        for hit in msgspec.json.decode(path.read_bytes())["hits"]["hits"]:
            source: Source = hit["_source"]
            datetime.fromisoformat(source["date_received"])
            source["complaint_id"].encode()
            yield source
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotARecordingError(
            f"{path} is not a recorded response of the search API: {error!r}"
        ) from error
