"""Reads the complaints in recorded responses of the search API."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from cfpb_etl.emulator.data.complaints import RawComplaint


class NotARecordingError(ValueError):
    """Raised when a file is not a recorded response of the search API."""


def read_recordings(*paths: Path | str) -> list[RawComplaint]:
    """Return the distinct complaints of recorded responses, with each `_source` unchanged.

    If several files have the same complaint, the complaint of the last file counts.

    Raises:
        NotARecordingError: If a file is missing, or is not a response of the search API.
    """
    sources = (source for path in paths for source in _read_sources(Path(path)))
    return list({source["complaint_id"]: source for source in sources}.values())


def _read_sources(path: Path) -> Iterator[RawComplaint]:
    try:
        for hit in msgspec.json.decode(path.read_bytes())["hits"]["hits"]:
            source: RawComplaint = hit["_source"]
            datetime.fromisoformat(source["date_received"])
            source["complaint_id"].encode()
            yield source
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotARecordingError(
            f"{path} is not a recorded response of the search API: {error!r}"
        ) from error
