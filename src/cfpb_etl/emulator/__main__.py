"""`python -m cfpb_etl.emulator`: the emulator alone, until Ctrl-C."""

import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Annotated
from urllib.parse import urljoin

from cyclopts import App, Parameter

from cfpb_etl.emulator import (
    ARCHIVE_PATH,
    BULK_PATH,
    Emulator,
    Era,
    NotARecordingError,
    made_complaints,
    recorded_complaints,
    serve,
    write_archive,
)
from cfpb_etl.emulator.data.complaints import NEWEST_DAY

app = App(name="python -m cfpb_etl.emulator", version_flags=[])


@app.default
def run(  # noqa: PLR0913 - the options of the command
    *,
    port: int = 8080,
    rows: int = 25_000,
    era: Era = "deployed",
    recording: Annotated[
        tuple[Path, ...], Parameter(consume_multiple=True, negative="", show_default=False)
    ] = (),
    throttle: int | None = None,
    files: Path | None = None,
) -> None:
    """Serve a local complaint search API, and CFPB's files if wanted, until Ctrl-C.

    Args:
        port: Where to listen on 127.0.0.1; 0 is a free port.
        rows: How many complaints to make up.
        era: Which release to play: "2024" has narratives and noon dates.
        recording: Recorded responses to serve the complaints of, instead of made-up ones.
        throttle: How many requests a client may make in 60 seconds (the real API: 20).
        files: Folder to serve files from; those of made-up complaints are written there first.
    """
    try:
        complaints = (
            recorded_complaints(*recording) if recording else made_complaints(rows, era=era)
        )
        emulator = Emulator(complaints, files=files, throttle=throttle)
        if files and not recording:
            _write(emulator, files, rows, era)
    except NotARecordingError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Cannot write to {files}: {error.strerror}")
    try:
        with serve(emulator, port=port) as api_url:
            sys.stdout.write(f"{len(complaints):,} complaints at {api_url} (Ctrl-C ends it)\n")
            if files:
                sys.stdout.write(f"bulk file at {urljoin(api_url, BULK_PATH)}\n")
                sys.stdout.write(f"archive page at {urljoin(api_url, ARCHIVE_PATH)}\n")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):
                Event().wait()
    except OSError as error:
        sys.exit(f"Cannot listen on port {port}: {error.strerror}")


def _write(emulator: Emulator, files: Path, rows: int, era: Era) -> None:
    """Write what CFPB published on the day after the newest complaints of an era."""
    emulator.publish(NEWEST_DAY[era] + timedelta(1), columns=18 if era == "2024" else 15)
    # The archive has the narratives that the release of today lacks, of the same complaints.
    write_archive(files, made_complaints(rows, era="2024", until=NEWEST_DAY[era]))


if __name__ == "__main__":
    app()
