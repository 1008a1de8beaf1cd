"""A local emulator of the CFPB complaint database, with generated or recorded complaints.

    app = Emulator(generate_complaints(25_000, era="2024"), files=Path("files"))
    app.publish(date(2024, 11, 6), columns=18)
    with serve(app) as api_url:
        requests.get(api_url, params={"size": 100, "sort": "created_date_desc"})
        requests.get(urljoin(api_url, BULK_PATH), headers={"Range": "bytes=100000-"})

The emulator behaves like the real server wherever a client can see a difference. The search API has
the same routes, content negotiation, validation, sorts, cursors (with their pitfalls) and limit of
10,000 hits. Throttling is optional. The file server has the daily bulk file of each era, the
archive of narratives and its web page, with ETags and byte ranges. The emulator has no exports, no
endpoint for a single complaint, and no content in aggregations.

The emulator and the rest of the package share no code, so they cannot share a mistake.
"""

from cfpb_etl.emulator.application import Emulator, FileRequest, SearchRequest
from cfpb_etl.emulator.data.complaints import Era, RawComplaint, generate_complaints
from cfpb_etl.emulator.data.files import BULK_PATH, Columns, write_archive, write_bulk_file
from cfpb_etl.emulator.data.recordings import NotARecordingError, read_recordings
from cfpb_etl.emulator.file_server import ARCHIVE_PATH
from cfpb_etl.emulator.server import serve

__all__ = [
    "ARCHIVE_PATH",
    "BULK_PATH",
    "Columns",
    "Emulator",
    "Era",
    "FileRequest",
    "NotARecordingError",
    "RawComplaint",
    "SearchRequest",
    "generate_complaints",
    "read_recordings",
    "serve",
    "write_archive",
    "write_bulk_file",
]
