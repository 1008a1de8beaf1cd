"""A local stand-in for CFPB's complaint search API, with made-up or recorded complaints.

    app = Emulator(made_complaints(25_000, era="2024"))
    with serve(app) as api_url:
        requests.get(api_url, params={"size": 100, "sort": "created_date_desc"})

It is as faithful as a client can notice: routes, negotiation, validation, sorts, cursors with their
traps, the window of 10,000 rows, throttling when asked for. It exports no files, has no single
documents and no aggregations. It shares no code with the rest of the package, so that client and
emulator cannot share a mistake.
"""

from cfpb_etl.emulator.application import Emulator, SearchRequest
from cfpb_etl.emulator.complaints import Era, Source, made_complaints
from cfpb_etl.emulator.recordings import NotARecordingError, recorded_complaints
from cfpb_etl.emulator.server import serve

__all__ = [
    "Emulator",
    "Era",
    "NotARecordingError",
    "SearchRequest",
    "Source",
    "made_complaints",
    "recorded_complaints",
    "serve",
]
