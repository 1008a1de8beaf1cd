"""`python -m cfpb_etl.emulator`: the emulator alone, until Ctrl-C."""

import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Annotated

from cyclopts import App, Parameter

from cfpb_etl.emulator import (
    Emulator,
    Era,
    NotARecordingError,
    made_complaints,
    recorded_complaints,
    serve,
)

app = App(name="python -m cfpb_etl.emulator", version_flags=[])


@app.default
def run(
    *,
    port: int = 8080,
    rows: int = 25_000,
    era: Era = "deployed",
    recording: Annotated[
        tuple[Path, ...], Parameter(consume_multiple=True, negative="", show_default=False)
    ] = (),
    throttle: int | None = None,
) -> None:
    """Serve a local complaint search API until Ctrl-C.

    Args:
        port: Where to listen on 127.0.0.1; 0 is a free port.
        rows: How many complaints to make up.
        era: Which release to play: "2024" has narratives and noon dates.
        recording: Recorded responses to serve the complaints of, instead of made-up ones.
        throttle: How many requests a client may make in 60 seconds (the real API: 20).
    """
    try:
        complaints = (
            recorded_complaints(*recording) if recording else made_complaints(rows, era=era)
        )
        with serve(Emulator(complaints, throttle=throttle), port=port) as api_url:
            sys.stdout.write(f"{len(complaints):,} complaints at {api_url} (Ctrl-C ends it)\n")
            sys.stdout.flush()
            with suppress(KeyboardInterrupt):
                Event().wait()
    except NotARecordingError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"Cannot listen on port {port}: {error.strerror}")


if __name__ == "__main__":
    app()
