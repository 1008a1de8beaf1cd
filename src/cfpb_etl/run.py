"""One run as a person starts it: servers up, the flow, and the closing lines however it ends."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import httpx
from prefect.exceptions import TerminationSignal

from cfpb_etl.database import count_complaints
from cfpb_etl.emulator import Emulator, made_complaints, serve
from cfpb_etl.errors import CfpbEtlError, ExitCode, PrefectUnreachableError
from cfpb_etl.flow import load_complaints
from cfpb_etl.prefect_server import prefect_api
from cfpb_etl.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from cfpb_etl.database import LoadReport
    from cfpb_etl.prefect_server import TemporaryServer, UsersServer
    from cfpb_etl.search_api import SearchApi

SAMPLE_COMPLAINTS = 25_000
_SECONDS_TO_END = 4  # from Ctrl-C to the end of the process, whatever hangs


def run(source: SearchApi, database: Path, picture: Path | None, *, verbose: bool) -> ExitCode:
    """Run the flow, say how it ended, and return the exit code.

    When interrupted it does not return: threads that wait for an answer or a retry cannot be woken,
    and the interpreter would wait for them.
    """
    prefect = prefect_api()
    with Screen(source.limit, verbose=verbose) as screen:

        def last_words() -> str:
            screen.stop()
            return f"interrupted: {_kept(screen.stored, database)}"

        interruption = Interruption(prefect, last_words)
        try:
            prefect.start()
            with ExitStack() as stack:
                if source.kind == "sample":
                    complaints = made_complaints(SAMPLE_COMPLAINTS, era="2024")
                    source = replace(source, url=stack.enter_context(serve(Emulator(complaints))))
                prefect.wait()
                report = load_complaints(source, database, picture)
            summary = _summary(report, database, screen.picture)
        except (KeyboardInterrupt, TerminationSignal):
            interruption.end()
        except httpx.HTTPError as error:  # ours come from requests, Prefect's from httpx
            failure: Exception = PrefectUnreachableError(prefect.api_url, str(error))
        except Exception as error:  # noqa: BLE001 - each ends in a line of its own, and exit code 1
            failure = error
        else:
            screen.stop()
            with suppress(BrokenPipeError):  # whoever was to read it has gone
                print(summary, flush=True)
            return ExitCode.DONE
    if verbose and not isinstance(failure, CfpbEtlError):
        traceback.print_exception(failure)
    said = str(failure) if isinstance(failure, CfpbEtlError) else f"unexpected {failure!r}"
    picture_drawn = f" Picture: {screen.picture}" if screen.picture else ""
    _close(f"failed: {' '.join(said.split())} {_kept(screen.stored, database)}{picture_drawn}")
    return ExitCode.FAILED


class Interruption:
    """Ends the process soon after Ctrl-C or SIGTERM, in order where that is possible.

    The first signal raises an exception in the main thread, so that the load is closed and Prefect
    told; while a flow runs, Prefect has a handler of its own for SIGTERM. What then hangs is ended
    by a thread that the interpreter tells of every signal, whoever handles it.
    """

    def __init__(
        self, prefect: TemporaryServer | UsersServer, last_words: Callable[[], str]
    ) -> None:
        self._prefect = prefect
        self._last_words = last_words
        self._ending = threading.Lock()
        told, tells = socket.socketpair()
        tells.settimeout(0)  # set_wakeup_fd wants a socket that never blocks
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        signal.set_wakeup_fd(tells.detach())
        threading.Thread(target=self._watch, args=(told,), daemon=True).start()

    def _watch(self, told: socket.socket) -> None:
        while told.recv(1)[0] not in (signal.SIGINT, signal.SIGTERM):
            pass
        time.sleep(_SECONDS_TO_END)
        self.end()

    def end(self) -> NoReturn:
        """Say the last words, and end the process and Prefect's temporary server with it."""
        with self._ending:
            _close(self._last_words())
            self._prefect.kill()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ExitCode.INTERRUPTED)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # once is enough: what follows must not be cut short
    raise KeyboardInterrupt(signal.Signals(number).name)


def _kept(stored: LoadReport, database: Path) -> str:
    if not stored.parts:
        return "Nothing was stored."
    return (
        f"Kept: {stored.rows:,} complaints in {database}."
        " Run the same command again: it starts over, and stores nothing twice."
    )


def _summary(report: LoadReport, database: Path, picture: Path | None) -> str:
    pages = f"{report.parts} page{'s' * (report.parts != 1)}"
    lines = [f"{report.rows:,} complaints in {pages}: {report.counts}"]
    if not report.rows:
        lines.append("nothing matches: products, issues and companies are spelled as CFPB does")
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
