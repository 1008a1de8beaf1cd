"""One run as a person starts it: servers up, the flow, and the closing lines however it ends."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
from prefect.exceptions import TerminationSignal

from cfpb_etl.cli.console import RunConsole
from cfpb_etl.cli.signals import Interruption
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.errors import CfpbEtlError, ExitCode
from cfpb_etl.fetch.complaint_file import downloads_beside
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.load_stats import what_is_kept
from cfpb_etl.orchestration.errors import PrefectUnreachableError
from cfpb_etl.orchestration.server import prefect_server_for_run
from cfpb_etl.store.part_writer import count_complaints

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cfpb_etl.fetch.archive import Archive
    from cfpb_etl.fetch.bulk_file import BulkFile
    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.source import Source

SAMPLE_COMPLAINTS = 25_000
_SECONDS_TO_LET_GO = 30


def run(  # noqa: PLR0913 - what a person may ask of it
    source: SearchApi | BulkFile | Archive,
    database: Path,
    picture: Path | None,
    *,
    restart: bool = False,
    notify: str | None = None,
    verbose: bool = False,
) -> ExitCode:
    """Run the flow, say how it ended, and return the exit code; interrupted, it does not return."""
    _spare_the_collector()
    prefect = prefect_server_for_run()
    with RunConsole(source.limit, source.pace, verbose=verbose) as screen:

        def last_words() -> str:
            screen.stop()
            return f"interrupted: {_kept(screen.stored, database, source)}"

        interruption = Interruption(last_words, release=prefect.kill)
        try:
            prefect.start()
            with ExitStack() as stack:
                if isinstance(source, SearchApi) and source.kind == "sample":
                    complaints = generate_complaints(SAMPLE_COMPLAINTS, era="2024")
                    source = replace(source, url=stack.enter_context(serve(Emulator(complaints))))
                prefect.wait()
                report = load_complaints(source, database, picture, restart, notify)
            summary = _summary(report, database, source, screen.picture)
        except (KeyboardInterrupt, TerminationSignal):
            interruption.end()
        except httpx.HTTPError as error:  # ours come from requests, Prefect's from httpx
            failure: Exception = PrefectUnreachableError(prefect.api_url, str(error))
        except Exception as error:  # noqa: BLE001 - each ends in a line of its own, and exit code 1
            if interruption.begun:  # within compiled code, KeyboardInterrupt may become another
                interruption.end()
            failure = error
        else:
            screen.stop()
            with suppress(OSError):  # whoever was to read it has gone, or has no room for it
                print(summary, flush=True)
            _let_go(ExitCode.DONE)
            return ExitCode.DONE
    if verbose and not isinstance(failure, CfpbEtlError):
        traceback.print_exception(failure)
    said = str(failure) if isinstance(failure, CfpbEtlError) else f"unexpected {failure!r}"
    picture_drawn = f" Picture: {screen.picture}" if screen.picture else ""
    _close(
        f"failed: {' '.join(said.split())} {_kept(screen.stored, database, source)}{picture_drawn}"
    )
    _let_go(ExitCode.FAILED)
    return ExitCode.FAILED


def _spare_the_collector() -> None:
    """Keep Python's garbage collector from looking for cycles in every page: there are none.

    Some 300,000 objects stay, most of them Prefect's, and a page adds thousands: that took 1.3 of
    the 5.8 s of a pull of 100,000. With this it looks when more than pages have piled up.
    """
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)


def _let_go(code: ExitCode) -> None:
    """End the process some time from now, if it has not ended by then.

    At exit Prefect hands its server what it has not yet heard of the run. When that server has gone
    meanwhile, it tries for minutes, an event at a time.
    """

    def end() -> None:
        time.sleep(_SECONDS_TO_LET_GO)
        os._exit(code)

    threading.Thread(target=end, daemon=True).start()


def _kept(stored: LoadStats, database: Path, source: Source) -> str:
    kept = what_is_kept(stored.rows, database, limited=source.limit is not None)
    if not stored.rows and not isinstance(source, SearchApi) and downloads_beside(database):
        kept += " The download is kept, for the next run to go on with."
    return kept


def _summary(report: LoadStats, database: Path, source: Source, picture: Path | None) -> str:
    told = _told_of_pages if isinstance(source, SearchApi) else _told_of_files
    lines = [*told(report, source)]
    lines.append(f"database  {database}, {count_complaints(database):,} complaints")
    if picture:
        lines.append(f"picture   {picture}")
    query = "SELECT product, COUNT(*) FROM complaint GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
    lines.append(f'try       sqlite3 {shlex.quote(str(database))} "{query}"')
    return "\n".join(lines)


def _told_of_pages(report: LoadStats, source: Source) -> Iterator[str]:
    pages = f"{report.parts:,} page{'s' * (report.parts != 1)}"
    yield f"{report.rows:,} complaints in {pages}: {report.counts}"
    if not report.rows:
        yield "nothing matches: products, issues and companies are spelled as CFPB does"
    if report.oldest:
        in_all = "" if source.limit is None else f"; {report.matching:,} match in all"
        yield f"received {report.oldest} to {report.newest}{in_all}"
    windows = f" in {report.windows:,} windows of days" if report.windows > 1 else ""
    counted = "counted at the source" if source.limit is None else "asked for"
    yield f"proof     {report.expected:,} {counted}{windows}, {report.received:,} came"
    if getattr(source, "lookback", None) is not None and not report.proves_absence:
        yield "withdrawn not looked for: under a filter, what is absent may have changed"


def _told_of_files(report: LoadStats, _source: Source) -> Iterator[str]:
    if report.unchanged_files:
        files = (
            "the file has"
            if report.unchanged_files == 1
            else f"{report.unchanged_files} files have"
        )
        yield f"already up to date: {files} not changed since the last load"
        if not report.rows:
            return
    yield f"{report.rows:,} complaints: {report.counts}"
    if report.oldest:
        yield f"received {report.oldest} to {report.newest}"
    odd = "".join(
        f", {number:,} {what}"
        for number, what in (
            (report.rejected, "rejected"),
            (report.duplicates, "repeated"),
            (report.repeated_headers, "of the header"),
            (report.skipped, "left out"),
        )
        if number
    )
    rows = report.rows + report.rejected + report.repeated_headers
    yield f"proof     {rows:,} rows{odd}; {report.received:,} complaints, each in the database"


def _close(line: str) -> None:
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
