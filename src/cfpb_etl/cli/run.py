"""One run from the command line: the servers, the flow, and the last lines of output."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import httpx

from cfpb_etl.cli.console import RunConsole
from cfpb_etl.cli.server_death import ServerDeath
from cfpb_etl.cli.signals import Interruption
from cfpb_etl.cli.summary import saved_line, summary_of
from cfpb_etl.emulator import Emulator, generate_complaints, serve
from cfpb_etl.environment import keep_loopback_direct
from cfpb_etl.errors import CfpbEtlError, ExitCode
from cfpb_etl.fetch.search_api import SearchApi
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.events import listening
from cfpb_etl.orchestration.errors import PrefectGoneError
from cfpb_etl.orchestration.server import INTERRUPTIONS, prefect_server
from cfpb_etl.plain_text import plain, without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.cli.options import LoadOptions
    from cfpb_etl.fetch.sources import AnySource

SAMPLE_COMPLAINTS = 25_000
_EXIT_SECONDS = 30


def run(source: AnySource, options: LoadOptions) -> ExitCode:
    """Run the flow, print how it ended, and return the exit code. Ctrl-C ends the process."""
    _tune_garbage_collection()
    database, picture = options.database_path, options.picture
    prefect = prefect_server()
    console = RunConsole(source.limit, source.rate_limit_use, verbose=options.verbose)

    def last_line() -> str:
        console.stop()
        return f"interrupted: {saved_line(console.stats, database, source)}"

    with console, listening(console):
        interruption = Interruption(last_line, release=prefect.kill)
        death = ServerDeath(prefect, partial(_ended, console, database, source))
        try:
            keep_loopback_direct(prefect.api_url)
            prefect.start()
            with ExitStack() as stack:
                if isinstance(source, SearchApi) and options.source == "sample":
                    emulator = Emulator(generate_complaints(SAMPLE_COMPLAINTS, era="2024"))
                    source = replace(source, url=stack.enter_context(serve(emulator)))
                prefect.wait()
                stats = load_complaints(source, database, picture, options.restart, options.notify)
            summary = summary_of(stats, database, source, console.picture)
        except INTERRUPTIONS:
            interruption.end()
        except Exception as error:  # noqa: BLE001 - each becomes one line and exit code 1
            if interruption.begun:  # compiled code can convert KeyboardInterrupt to another error
                interruption.end()
            death.forget()
            failure = error
        else:
            death.forget()
            console.stop()
            with suppress(OSError):  # a closed pipe or a full disk does not affect the stored load
                print(summary, flush=True)
            return _exit_soon(ExitCode.DONE, prefect.died)
    unknown = prefect.died.is_set() and not isinstance(failure, CfpbEtlError)
    if unknown or isinstance(failure, httpx.HTTPError):  # only Prefect's client uses httpx
        failure = prefect.named(failure)
    if options.verbose and not isinstance(failure, CfpbEtlError):
        traceback.print_exception(failure)
    return _exit_soon(_ended(console, database, source, failure), prefect.died)


def _ended(console: RunConsole, database: Path, source: AnySource, failure: Exception) -> ExitCode:
    """Print how a run ended that did not end well, and return the exit code."""
    console.stop()
    if console.complete and isinstance(failure, PrefectGoneError):
        summary = summary_of(console.stats, database, source, console.picture)
        warning = f"warning: {' '.join(failure.brief.split())}. The load is complete."
        with suppress(OSError):
            print(warning, file=sys.stderr, flush=True)
        with suppress(OSError):  # a closed pipe or a full disk does not affect the stored load
            print(summary, flush=True)
        return ExitCode.DONE
    reason = str(failure)
    if not isinstance(failure, CfpbEtlError):
        reason = plain(without_secrets(f"unexpected {failure!r}"))
    drawn = f" Picture: {console.picture}" if console.picture else ""
    saved = saved_line(console.stats, database, source)
    with suppress(OSError):
        print(f"failed: {' '.join(reason.split())} {saved}{drawn}", file=sys.stderr, flush=True)
    return ExitCode.FAILED


def _tune_garbage_collection() -> None:
    """Let Python's garbage collector run less often.

    About 300,000 long-lived objects exist, most of them Prefect's, and each page adds thousands. A
    load of 100,000 complaints took 5.8 s, and 1.3 s of this time was spent on searching the
    objects.
    """
    gc.freeze()
    gc.set_threshold(200_000, 10, 10)


def _exit_soon(code: ExitCode, died: threading.Event) -> ExitCode:
    """Return the exit code, and ensure that the process ends within half a minute.

    At exit, Prefect sends the remaining events of the run to its server. If the server is gone,
    Prefect spends minutes trying to send its events, one after another.

    Args:
        code: The exit code.
        died: Set if the temporary server has died. Then the process ends at once.
    """

    def end() -> None:
        died.wait(_EXIT_SECONDS)
        os._exit(code)

    threading.Thread(target=end, daemon=True).start()
    return code
