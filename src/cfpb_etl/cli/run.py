"""One run from the command line: the servers, the flow, and the last lines of output."""

from __future__ import annotations

import gc
import os
import sys
import threading
import traceback
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from cfpb_etl.cli.console import RunConsole
from cfpb_etl.cli.interruption import Interruption
from cfpb_etl.cli.server_death import ServerDeath
from cfpb_etl.cli.streams import print_text
from cfpb_etl.cli.summary import saved_line, summary_of
from cfpb_etl.errors import CfpbEtlError, ExitCode
from cfpb_etl.flow import load_complaints
from cfpb_etl.model.events import listening
from cfpb_etl.orchestration.errors import PrefectGoneError
from cfpb_etl.orchestration.prefect_server.server import INTERRUPTIONS, prefect_server
from cfpb_etl.parameters.sample import sample_emulator
from cfpb_etl.plain_text import plain, without_secrets

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.fetch.sources import AnySource
    from cfpb_etl.orchestration.prefect_server.server import TemporaryServer
    from cfpb_etl.orchestration.prefect_server.users_server import UsersServer
    from cfpb_etl.parameters.load_parameters import LoadParameters

_EXIT_SECONDS = 30


def run(source: AnySource, parameters: LoadParameters, *, verbose: bool) -> ExitCode:
    """Run the flow, print how it ended, and return the exit code. A signal ends the process."""
    _tune_garbage_collection()
    prefect = prefect_server()
    console = RunConsole(source.limit, source.rate_limit_use, verbose=verbose)

    def saved() -> str:
        console.stop()
        return saved_line(
            console.stats, parameters.database_path, source, complete=console.complete
        )

    with console:
        interruption = Interruption(saved, release=prefect.kill)
        try:
            with listening(console, interruption):
                code = _run(source, parameters, prefect, console, interruption)
        except INTERRUPTIONS:
            interruption.end()
        interruption.over(code)
    return _exit_soon(code, prefect.died)


def _run(
    source: AnySource,
    parameters: LoadParameters,
    prefect: TemporaryServer | UsersServer,
    console: RunConsole,
    interruption: Interruption,
) -> ExitCode:
    """Run the flow, and print the summary or the failure."""
    database = parameters.database_path
    load_complaints.logs_tracebacks = console.verbose
    death = ServerDeath(prefect, partial(_ended, console, database, source))
    try:
        if parameters.source == "sample":
            prefect.start()
            sample_emulator()  # while Prefect's server starts
        stats = load_complaints(**asdict(parameters))
        interruption.hold()
        summary = summary_of(stats, database, source, console.picture)
    except Exception as error:  # noqa: BLE001 - each becomes one line and exit code 1
        failure = error
    else:
        death.forget()
        console.stop()
        _print_summary(summary)
        return ExitCode.DONE
    if interruption.begun:  # compiled code can convert KeyboardInterrupt to another error
        interruption.end()
    interruption.hold()
    death.forget()
    if console.verbose and not isinstance(failure, CfpbEtlError):
        traceback.print_exception(failure)
    return _ended(console, database, source, failure)


def _ended(console: RunConsole, database: Path, source: AnySource, failure: Exception) -> ExitCode:
    """Print how a run ended that did not end well, and return the exit code."""
    console.stop()
    if console.complete and isinstance(failure, PrefectGoneError):
        summary = summary_of(console.stats, database, source, console.picture)
        gone = " ".join(failure.brief.split())
        print_text(f"warning: {gone}. The load is complete.", sys.stderr)
        _print_summary(summary)
        return ExitCode.DONE
    reason = str(failure)
    if not isinstance(failure, CfpbEtlError):
        reason = plain(without_secrets(f"unexpected {failure!r}"))
    drawn = f" Picture: {console.picture}" if console.picture else ""
    saved = saved_line(console.stats, database, source, complete=console.complete)
    print_text(f"failed: {' '.join(reason.split())} {saved}{drawn}", sys.stderr)
    return ExitCode.FAILED


def _print_summary(summary: str) -> None:
    unprinted = print_text(summary, sys.stdout)
    # The reader of a pipe may leave early. Neither affects the stored load.
    if unprinted and not isinstance(unprinted, BrokenPipeError):
        reason = unprinted.strerror
        print_text(f"warning: The summary could not be printed: {reason}.", sys.stderr)


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
