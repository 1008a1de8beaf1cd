"""One run as a person starts it: servers up, the flow, and the closing lines however it ends."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
import traceback
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import httpx
from prefect.exceptions import PrefectHTTPStatusError, TerminationSignal

from cfpb_etl.database import count_complaints
from cfpb_etl.emulator import Emulator, made_complaints, serve
from cfpb_etl.errors import CfpbEtlError, PrefectUnreachableError
from cfpb_etl.flow import load_complaints
from cfpb_etl.prefect_server import start_prefect
from cfpb_etl.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from cfpb_etl.database import LoadReport
    from cfpb_etl.prefect_server import TemporaryServer, UsersServer
    from cfpb_etl.search_api import SearchApi

DONE, FAILED, INTERRUPTED = 0, 1, 130
SAMPLE_COMPLAINTS = 25_000
_SECONDS_TO_END = 4  # from Ctrl-C to the end of the process, whatever hangs


def run(source: SearchApi, database: Path, picture: Path | None, *, verbose: bool) -> int:
    """Run the flow, say how it ended, and return the exit code.

    When interrupted it does not return: threads that wait for an answer or a retry cannot be woken,
    and the interpreter would wait for them.
    """
    with Screen(source.limit, verbose=verbose) as screen:
        prefect = start_prefect()
        interruption = Interruption(prefect)
        try:
            with ExitStack() as stack:
                if source.kind == "sample":
                    complaints = made_complaints(SAMPLE_COMPLAINTS, era="2024")
                    source = replace(source, url=stack.enter_context(serve(Emulator(complaints))))
                prefect.wait()
                report = load_complaints(source, database, picture)
        except (KeyboardInterrupt, TerminationSignal):
            screen.stop()
            _close(f"interrupted: {_kept(screen.stored, database)}")
            interruption.end()
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            failure: Exception = PrefectUnreachableError(prefect.api_url, str(error))
        except Exception as error:  # noqa: BLE001 - each ends in a line of its own, and exit code 1
            failure = error
        else:
            screen.stop()
            print(_summary(report, database, screen.picture))
            return DONE
    if verbose:
        traceback.print_exception(failure)
    said = str(failure) if isinstance(failure, CfpbEtlError) else f"unexpected {failure!r}"
    _close(f"failed: {' '.join(said.split())} {_kept(screen.stored, database)}")
    return FAILED


class Interruption:
    """Ends the process soon after Ctrl-C, or SIGTERM, and in order where that is possible.

    The first signal raises KeyboardInterrupt in the main thread, so that the load is closed and
    Prefect told; later ones are ignored. If that takes too long, a timer ends the process.
    """

    def __init__(self, prefect: TemporaryServer | UsersServer) -> None:
        self._prefect = prefect
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._begin)

    def _begin(self, _number: int, _frame: FrameType | None) -> NoReturn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        timer = threading.Timer(_SECONDS_TO_END, self.end)
        timer.daemon = True
        timer.start()
        raise KeyboardInterrupt

    def end(self) -> NoReturn:
        """End the process, and Prefect's temporary server with it."""
        self._prefect.kill()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _kept(stored: LoadReport, database: Path) -> str:
    if not stored.parts:
        return "Nothing was stored."
    return (
        f"Kept: {stored.rows:,} complaints in {database}."
        " The same command brings the rest, and changes nothing that is there."
    )


def _summary(report: LoadReport, database: Path, picture: Path | None) -> str:
    pages = f"{report.parts} page{'s' * (report.parts != 1)}"
    counts = f"{report.inserted:,} inserted, {report.updated:,} updated"
    lines = [f"{report.rows:,} complaints in {pages}: {counts}, {report.unchanged:,} unchanged"]
    if report.oldest:
        span = f"received {report.oldest} to {report.newest}"
        lines.append(f"{span}; {report.closing_count:,} match in all")
    lines.append(f"database  {database}, {count_complaints(database):,} complaints")
    if picture:
        lines.append(f"picture   {picture}")
    query = "SELECT product, COUNT(*) FROM complaint GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
    lines.append(f'try       sqlite3 {shlex.quote(str(database))} "{query}"')
    return "\n".join(lines)


def _close(line: str) -> None:
    print(line, file=sys.stderr)
