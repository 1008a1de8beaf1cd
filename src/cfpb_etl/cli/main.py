"""The command line: words typed by a person, exit codes, the closing summary."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn
from urllib.parse import urlsplit

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from cfpb_etl import __version__
from cfpb_etl.cli.signals import end_when_interrupted
from cfpb_etl.errors import CfpbEtlError, ExitCode
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.complaint_file import is_address
from cfpb_etl.fetch.http.client import is_sound_address
from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi
from cfpb_etl.model.errors import InvalidQueryError
from cfpb_etl.model.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NEWEST = 1_000
_LOOKBACK = 60  # days: as long as CFPB's answers and late complaints take (DATA.md section 4)
_COMPLAINTS, _SAMPLE = Path("complaints.db"), Path("sample.db")
_GRAPH = Path("complaints-flow.svg")
_REPORT = Path("complaints-report.html")
_GRAPH_SUFFIXES = (".svg", ".png")

app = App(
    name="cfpb-etl",
    version=__version__,
    result_action="return_value",
)

Repeatable = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]


class WrongCommandError(CfpbEtlError):
    """Raised when an option cannot be what it was given as.

    Attributes:
        option: The option, as typed.
    """

    def __init__(self, option: str, problem: str) -> None:
        self.option = option
        super().__init__(f"{option} {problem}")


@app.default
def load(  # noqa: PLR0913 - one parameter an option
    *,
    source: Literal["api", "bulk", "archive", "sample"] = "api",
    file: Repeatable = (),
    database: Path | None = None,
    limit: int | None = None,
    since: str | None = None,
    until: str | None = None,
    state: Repeatable = (),
    product: Repeatable = (),
    issue: Repeatable = (),
    company: Repeatable = (),
    search: str | None = None,
    update: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    lookback: int | None = None,
    restart: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    allow_withdrawals: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    api_url: str | None = None,
    graph: Path | None = None,
    no_graph: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    notify: str | None = None,
    verbose: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> ExitCode:
    """Bring CFPB's consumer complaints into a SQLite file, and draw how that went.

    Without a filter, a date or --limit: the newest 1,000. With a filter or a date and no --limit:
    everything that matches. With --source bulk or archive: all that these files hold. The same
    command goes on with a load that was interrupted.

    Args:
        source: api asks CFPB; bulk is its daily file of all complaints; archive is its narratives,
            which end in August 2026; sample runs offline, on made-up complaints.
        file: With bulk: another file than CFPB's, path or address, zipped or not. With archive:
            its files, or the address of its page. Repeat it for more.
        database: The SQLite file; complaints.db by default, sample.db for the sample.
        limit: Only the newest so many complaints.
        since: Received on this day or later, YYYY-MM-DD.
        until: Received on this day or earlier, YYYY-MM-DD.
        state: Two-letter code, such as CA. Repeat it for more.
        product: Product, or Product•Sub-product, spelled as CFPB does. Repeat it for more.
        issue: Issue, or Issue•Sub-issue. Repeat it for more.
        company: Company, spelled as CFPB does. Repeat it for more.
        search: Words to look for in the complaints.
        update: Bring an existing database up to date: what its last complete load asked for, over
            the newest days.
        lookback: With --update: how many days back from the last that is covered; 60 by default.
        restart: Begin anew, where a load of the same was interrupted.
        allow_withdrawals: With bulk: believe the file although it lacks more than one in a hundred
            of the stored complaints.
        api_url: Address of the search API; also CFPB_ETL_API_URL.
        graph: Where to draw the flow, .svg or .png; complaints-flow.svg by default.
        no_graph: Draw nothing.
        notify: A notification block of Prefect's, TYPE/NAME, to tell when the run fails.
        verbose: Show Prefect's whole log, and tracebacks.
    """
    database = database or (_SAMPLE if source == "sample" else _COMPLAINTS)
    _check_place("--database", database)
    if no_graph and graph:
        raise WrongCommandError("--no-graph", "does not go with --graph")
    picture = None if no_graph else graph or _GRAPH
    if picture:
        _check_output("--graph", picture, _GRAPH_SUFFIXES, database)
    codes = tuple(code.upper() for code in state)
    query = Query(since, until, codes, product, issue, company, search)
    if source in ("bulk", "archive"):
        given = {"--limit": limit is not None, "--update": update, "--api-url": bool(api_url)}
        given |= {"--lookback": lookback is not None}
        given |= {f"--{name}": True for name in query.described()}
        _refuse(given, f"does not go with --source {source}, which brings all that there is")
    else:
        _refuse({"--file": bool(file)}, "goes with --source bulk or archive")
        limit = _checked_limit(query, limit, database, update=update, lookback=lookback)
    if source != "bulk":
        _refuse({"--allow-withdrawals": allow_withdrawals}, "goes with --source bulk only")
    if restart and limit is not None:
        raise WrongCommandError("--restart", "has no use here: the newest are always read anew")
    back = (_LOOKBACK if lookback is None else lookback) if update else None
    asked: SearchApi | BulkFile | Archive
    if source == "bulk":
        asked = _bulk(file, database, allow_withdrawals=allow_withdrawals)
    elif source == "archive":
        asked = _archive(file, database)
    elif source == "sample":
        _refuse({"--api-url": bool(api_url)}, "does not go with --source sample")
        asked = SearchApi(query, limit, kind="sample", rate_limit=None, lookback=back)
    else:
        url = api_url or os.environ.get("CFPB_ETL_API_URL") or SEARCH_URL
        asked = SearchApi(query, limit, url, lookback=back)
    # On its first run in a terminal Prefect would print a notice of its telemetry, and send it.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if sys.stderr.isatty():
        print("Starting", end="\r", file=sys.stderr, flush=True)  # the imports take a second or two
    from cfpb_etl.cli.run import run

    return run(asked, database, picture, restart=restart, notify=notify, verbose=verbose)


@app.command
def status(
    *,
    database: Path = _COMPLAINTS,
    as_json: Annotated[bool, Parameter(name="--json", negative="", show_default=False)] = False,
    api_url: str | None = None,
) -> ExitCode:
    """Tell what a database holds, how its last loads ended, and what CFPB counts now.

    Args:
        database: The SQLite file.
        as_json: Print it as JSON, for a program.
        api_url: Address of the search API; also CFPB_ETL_API_URL.
    """
    _check_database(database)
    url = api_url or os.environ.get("CFPB_ETL_API_URL") or None
    if url is not None and not is_sound_address(url):
        problem = f"{url[:60]!r} is no address that begins with https:// or http://"
        raise WrongCommandError("--api-url", f"{problem}, without a password")
    from cfpb_etl.show.status import get_status

    told = get_status(database, url)
    _print(told.as_json() if as_json else str(told))
    return ExitCode.DONE


@app.command
def report(page: Path = _REPORT, /, *, database: Path = _COMPLAINTS) -> ExitCode:
    """Draw what a database holds, as one page that opens in any browser.

    Args:
        page: The page to write, ending in .html.
        database: The SQLite file.
    """
    _check_database(database)
    _check_output("PAGE", page, (".html",), database)
    from cfpb_etl.show.report import write_report

    if not write_report(database, page):
        _say(f"warning: {database} holds no complaints yet")
    _print(str(page))
    return ExitCode.DONE


@app.command
def browse(*, database: Path = _COMPLAINTS) -> ExitCode:
    """Open a database in the browser, to look at, to search and to ask.

    Args:
        database: The SQLite file.
    """
    _check_database(database)
    from cfpb_etl.show.browse import serve_database

    serve_database(database)
    return ExitCode.DONE


@app.command(name="graph")
def draw(picture: Path = _GRAPH, /) -> ExitCode:
    """Draw the flow without running it.

    Args:
        picture: The picture to write, ending in .svg or .png.
    """
    _check_output("PICTURE", picture, _GRAPH_SUFFIXES)
    from cfpb_etl.flow import load_complaints
    from cfpb_etl.orchestration.picture import draw_flow

    draw_flow(load_complaints, picture)
    _print(str(picture))
    return ExitCode.DONE


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and end the process with its exit code."""
    end_when_interrupted()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not so under a test or in a notebook
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, exit_on_error=False, print_error=False) or ExitCode.DONE
    except (CycloptsError, WrongCommandError, InvalidQueryError) as error:
        _say(f"wrong command: {_in_one_line(error)} See {_command(arguments)} --help.")
        code = ExitCode.WRONG_COMMAND
    except CfpbEtlError as error:
        _say(f"failed: {error}")
        code = ExitCode.FAILED
    sys.exit(code)


def _in_one_line(error: Exception) -> str:
    if isinstance(error, InvalidQueryError):
        option = f"--{error.field.replace('_', '-')}"
        return f"{option} {error.value!r} is not valid; {error.allowed}."
    if isinstance(error, UnusedCliTokensError):
        words = error.unused_tokens or [""]
        like = get_close_matches(words[0], _commands(), 1)
        if like and words[0] not in _commands():
            return f"{words[0]!r} is no command. Did you mean {like[0]}?"
        return f"{' '.join(words)!r} belongs to no option; an option is repeated for each value."
    said = " ".join(str(error).split())
    return said if said.endswith((".", "?")) else f"{said}."


def _command(arguments: Sequence[str] | None) -> str:
    """Return the command that was typed, for its help."""
    first = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    return f"cfpb-etl {first}" if first in _commands() else "cfpb-etl"


def _commands() -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _check_place(option: str, path: Path) -> None:
    try:
        str(path.resolve()).encode()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, UnicodeError):  # too long, a circle of links, not text
        raise WrongCommandError(option, f"{str(path)[:60]!r} is not the path of a file") from None
    if is_folder:
        raise WrongCommandError(option, f"{str(path)!r} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise WrongCommandError(
            option, f"{str(path)!r} is in a folder that does not exist; make it first"
        )


def _check_database(path: Path) -> None:
    _check_place("--database", path)
    if path.exists() and not path.is_file():
        raise WrongCommandError("--database", f"{str(path)!r} is not a file")
    if not path.exists():
        sample = f", or give --database {_SAMPLE}" if _SAMPLE.exists() else ""
        problem = f"{str(path)!r} does not exist; load something into it first{sample}"
        raise WrongCommandError("--database", problem)


def _check_output(
    option: str, path: Path, suffixes: Sequence[str], database: Path | None = None
) -> None:
    _check_place(option, path)
    if database and path.resolve() == database.resolve():
        raise WrongCommandError(option, "is the same file as the database")
    if path.suffix.lower() not in suffixes:
        raise WrongCommandError(option, f"{str(path)!r} must end in {' or '.join(suffixes)}")


def _bulk(files: Sequence[str], database: Path, *, allow_withdrawals: bool) -> BulkFile:
    if len(files) > 1:
        raise WrongCommandError("--file", "is given once with --source bulk")
    _check_files(files, database)
    return BulkFile(files[0] if files else BULK_URL, database, allow_withdrawals)


def _archive(files: Sequence[str], database: Path) -> Archive:
    _check_files(files, database)
    pages = [file for file in files if _is_page(file)]
    if pages and len(files) > 1:
        raise WrongCommandError("--file", f"{pages[0]!r} is a page; give it alone")
    return Archive(page=pages[0], database=database) if pages else Archive(tuple(files), database)


def _is_page(file: str) -> bool:
    return is_address(file) and not urlsplit(file).path.lower().endswith((".zip", ".csv"))


def _check_files(files: Sequence[str], database: Path) -> None:
    for file in files:
        if "://" in file:
            if not (is_address(file) and is_sound_address(file)):
                problem = f"{file[:60]!r} is no address that begins with https:// or http://"
                raise WrongCommandError("--file", f"{problem}, without a password")
            continue
        path = Path(file)
        _check_place("--file", path)
        if not path.exists():
            raise WrongCommandError("--file", f"{file!r} does not exist")
        if path.resolve() == database.resolve():
            raise WrongCommandError("--file", "is the same file as the database")


def _checked_limit(
    query: Query, limit: int | None, database: Path, *, update: bool, lookback: int | None
) -> int | None:
    """Return how many complaints to ask the search API for: all, where something narrows them."""
    if not update:
        _refuse({"--lookback": lookback is not None}, "goes with --update only")
        return _NEWEST if limit is None and not query else limit
    if query or limit is not None:
        problem = "repeats what the last complete load asked for; give no filter, date or --limit"
        raise WrongCommandError("--update", problem)
    if not database.exists():
        raise WrongCommandError("--update", f"needs a database, and {database} does not exist")
    return None


def _refuse(options: Mapping[str, bool], problem: str) -> None:
    """Refuse the first of these options that was given."""
    for option, given in options.items():
        if given:
            raise WrongCommandError(option, problem)


def _print(words: str) -> None:
    """Print what was asked for; that whoever was to read it has gone is no failure."""
    try:
        print(words, flush=True)
    except OSError as error:
        # Python would try again at its end, and tell of it with a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            said = f"What it says could not be written: {error.strerror}."
            raise CfpbEtlError(said) from error


def _say(line: str) -> None:
    print(line, file=sys.stderr)
