"""`python -m cfpb_etl.emulator`: run the emulator until Ctrl-C."""

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
    generate_complaints,
    read_recordings,
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
    """Serve an emulated complaint search API, and optionally CFPB's files, until Ctrl-C.

    Args:
        port: Port on 127.0.0.1. 0 picks a free port.
        rows: Number of complaints to generate.
        era: Release to emulate. "2024" has narratives and noon dates.
        recording: Recorded responses whose complaints are served instead of generated ones.
        throttle: Requests allowed per client in 60 seconds (the real API: 20).
        files: Folder to serve files from. Generated complaints are written there first.
    """
    try:
        complaints = (
            read_recordings(*recording) if recording else generate_complaints(rows, era=era)
        )
        emulator = Emulator(complaints, files=files, throttle=throttle)
        if files and not recording:
            _write_files(emulator, files, rows, era)
    except NotARecordingError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Cannot write to {files}: {error.strerror}")
    try:
        with serve(emulator, port=port) as api_url:
            sys.stdout.write(f"{len(complaints):,} complaints at {api_url} (stop with Ctrl-C)\n")
            if files:
                sys.stdout.write(f"bulk file at {urljoin(api_url, BULK_PATH)}\n")
                sys.stdout.write(f"archive page at {urljoin(api_url, ARCHIVE_PATH)}\n")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):
                Event().wait()
    except OSError as error:
        sys.exit(f"Cannot listen on port {port}: {error.strerror}")


def _write_files(emulator: Emulator, folder: Path, rows: int, era: Era) -> None:
    """Write the bulk file of the day after the newest complaints, and write the archive."""
    emulator.publish(NEWEST_DAY[era] + timedelta(1), columns=18 if era == "2024" else 15)
    # The archive has the same complaints with narratives. The deployed release has no narratives.
    write_archive(folder, generate_complaints(rows, era="2024", until=NEWEST_DAY[era]))


if __name__ == "__main__":
    app()
