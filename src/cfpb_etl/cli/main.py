"""The commands, and the exit code of each."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError, ValidationError

from cfpb_etl import __version__
from cfpb_etl.cli.checks import (  # cyclopts reads the annotations
    ApiUrl,  # noqa: TC001
    Database,  # noqa: TC001
    Page,  # noqa: TC001
    Picture,  # noqa: TC001
)
from cfpb_etl.cli.signals import EXIT_CODES, exit_when_interrupted
from cfpb_etl.cli.streams import prepare_streams, print_text
from cfpb_etl.errors import CfpbEtlError, ExitCode, WrongParameterError
from cfpb_etl.fetch.http.addresses import keep
from cfpb_etl.parameters.checks import api_url_from_environment, refuse_same_file
from cfpb_etl.parameters.export_parameters import ExportParameters
from cfpb_etl.parameters.load_parameters import COMPLAINTS, GRAPH, LoadParameters
from cfpb_etl.plain_text import plain, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from inspect import BoundArguments

_REPORT = Path("complaints-report.html")
_PARAMETERS = {each.name for kind in (LoadParameters, ExportParameters) for each in fields(kind)}


def _show_default(value: object) -> str | None:
    """Return a default for the help; None if it says nothing, such as no filter."""
    return str(value) if value and value != () else None


app = App(
    name="cfpb-etl",
    version=__version__,
    version_format="plaintext",
    usage="Usage: cfpb-etl [COMMAND] [OPTIONS]",
    group_parameters="Options",
    default_parameter=Parameter(negative_bool="", negative_iterable="", show_default=_show_default),
    result_action="return_value",
)
app["--help"].group = "Options"
app["--version"].group = "Options"
app["--version"].help = "Print the version and exit."


@app.default
def load(parameters: LoadParameters | None = None, *, verbose: bool = False) -> ExitCode:
    """Load CFPB consumer complaints into SQLite and draw a diagram of the run.

    Without a filter, date or --limit, this loads the newest 1,000 complaints. With a filter or date
    it loads every match. With --source bulk or archive it loads all complaints in the files. If a
    run is interrupted, repeat the same command to resume. If an option can have several values,
    repeat the option for each.

    Args:
        parameters: What to load.
        verbose: Show Prefect's log and tracebacks.
    """
    parameters = (parameters or LoadParameters()).with_kept_addresses()
    source = parameters.to_source()
    # Otherwise Prefect's first run in a terminal prints and sends a telemetry notice.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if sys.stderr.isatty():
        with suppress(OSError):  # the terminal may be gone
            print("Starting", end="\r", file=sys.stderr, flush=True)  # imports take two seconds
    from cfpb_etl.environment import check_certificate_file
    from cfpb_etl.orchestration.prefect_server.server_process import start_early
    from cfpb_etl.orchestration.prefect_server.setting_origins import named_faults
    from cfpb_etl.orchestration.prefect_server.settings import set_log_without_markup

    check_certificate_file()
    start_early()
    set_log_without_markup()
    gc.disable()  # while Prefect makes its objects, nearly all of them for ever
    try:
        with named_faults():
            from cfpb_etl.cli.run import run
    finally:
        gc.freeze()  # otherwise the collector would now search all of them
        gc.enable()

    return run(source, parameters, verbose=verbose)


@app.command
def status(
    *,
    database: Database = COMPLAINTS,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    api_url: ApiUrl = None,
) -> ExitCode:
    """Show what a database contains, its recent loads, and how many more complaints CFPB has now.

    Args:
        database: The SQLite file.
        as_json: Print JSON, for programs.
        api_url: URL of the search API. Default: $CFPB_ETL_API_URL, or the URL of the last load from
            the API, or CFPB's URL.
    """
    from cfpb_etl.show.status import get_status

    given = api_url and keep(api_url)
    shown = get_status(database, given or api_url_from_environment())
    _print(shown.to_json() if as_json else str(shown))
    return ExitCode.DONE


@app.command
def report(
    page: Page = _REPORT,
    /,
    *,
    database: Database = COMPLAINTS,
) -> ExitCode:
    """Write a report with charts, as one HTML page.

    Args:
        page: The page to write, ending in .html.
        database: The SQLite file.
    """
    refuse_same_file("PAGE", page, database)
    from cfpb_etl.show.report import write_report

    if not write_report(database, page):
        _print_error(f"warning: {database} has no complaints yet")
    _print(str(page))
    return ExitCode.DONE


@app.command
def browse(*, database: Database = COMPLAINTS) -> ExitCode:
    """Browse and query a database in your web browser (Datasette).

    Args:
        database: The SQLite file.
    """
    from cfpb_etl.show.browse import serve_database

    # Ctrl-C is how a user stops it, but another program learns which signal ended it.
    number = serve_database(database, EXIT_CODES, _print)
    return ExitCode.DONE if number == signal.SIGINT else EXIT_CODES.get(number, ExitCode.DONE)


@app.command
def export(parameters: ExportParameters) -> ExitCode:
    """Copy a database to Parquet, DuckDB, CSV, JSON or PostgreSQL.

    All tables are of one moment, also if a load runs meanwhile. An earlier export in the same place
    is replaced when the new export is complete. In PostgreSQL, only new and changed rows are
    copied.

    Args:
        parameters: What to export.
    """
    from cfpb_etl.cli.export import run_export

    _print(run_export(parameters))
    return ExitCode.DONE


@app.command(name="graph")
def draw(picture: Picture = GRAPH, /) -> ExitCode:
    """Draw the flow without running it.

    Args:
        picture: The diagram to write, ending in .svg or .png.
    """
    from cfpb_etl.environment import check_certificate_file
    from cfpb_etl.orchestration.prefect_server.setting_origins import named_faults

    check_certificate_file()
    with named_faults():
        from cfpb_etl.flow import load_complaints
        from cfpb_etl.orchestration.reporting.picture import draw_flow

    draw_flow(load_complaints, picture)
    _print(str(picture))
    return ExitCode.DONE


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Parse this process's arguments, run the command, and exit with its code."""
    exit_when_interrupted()
    prepare_streams()
    try:
        command, given, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
        code = _show(command, given) if "console" in given.arguments else _run(command, given)
    except (CycloptsError, WrongParameterError) as error:
        _print_error(f"wrong command: {_in_one_line(error)} See {_command(arguments)} --help.")
        code = ExitCode.WRONG_COMMAND
    except CfpbEtlError as error:
        _print_error(f"failed: {error}")
        code = ExitCode.FAILED
    sys.exit(code or ExitCode.DONE)


def _run(command: Callable[..., ExitCode], given: BoundArguments) -> ExitCode:
    return command(*given.args, **given.kwargs)


def _show(command: Callable[..., object], given: BoundArguments) -> ExitCode:
    """Print the help or the version as all results are printed: rich has no errors for that."""
    from rich.console import Console

    shown = TextIOWrapper(BytesIO(), sys.stdout.encoding, "backslashreplace", newline="")
    given.arguments["console"] = Console(file=shown, force_terminal=sys.stdout.isatty() or None)
    command(*given.args, **given.kwargs)
    shown.seek(0)
    _print(shown.read().rstrip("\n"))
    return ExitCode.DONE


def _in_one_line(error: Exception) -> str:
    if isinstance(error, WrongParameterError):
        return f"{re.sub('`([A-Za-z_]+)`', _option, str(error))}."
    if isinstance(error, UnusedCliTokensError):
        words = error.unused_tokens or [""]
        if words[0] in _commands():
            return f"The command {words[0]} must come before its options."
        if similar := get_close_matches(words[0], _commands(), 1):
            return f"There is no command {words[0]!r}. Did you mean {similar[0]}?"
        unexpected = f"Unexpected {without_secrets(' '.join(words))!r}."
        return f"{unexpected} To give an option several values, repeat the option."
    if isinstance(error, ValidationError) and error.argument:
        reason = error.exception_message
        if "pydantic" in sys.modules:  # cyclopts lets it check each value, if it is imported
            from pydantic import ValidationError as WrongValueError

            from cfpb_etl.parameters.validation import reason_of

            if isinstance(error.__cause__, WrongValueError):
                reason = reason_of(error.__cause__)
        return f"{error.argument.name} {without_secrets(reason)}."
    text = " ".join(without_secrets(str(error)).split())
    return text if text.endswith((".", "?")) else f"{text}."


def _option(name: re.Match[str]) -> str:
    """Return how the command line spells the name of a parameter."""
    is_option = name[1] in _PARAMETERS
    return f"--{name[1].replace('_', '-')}" if is_option else name[1]


def _command(arguments: Sequence[str] | None) -> str:
    """Return the command that the user typed, for a hint about its help."""
    first = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    return f"cfpb-etl {first}" if first in _commands() else "cfpb-etl"


def _commands() -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _print(text: str) -> None:
    """Print a result. A closed pipe is not an error."""
    error = print_text(text, sys.stdout)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise CfpbEtlError(f"The output could not be written: {error.strerror}.") from error


def _print_error(line: str) -> None:
    print_text(plain(line), sys.stderr)
