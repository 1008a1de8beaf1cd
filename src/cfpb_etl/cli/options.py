"""The options of a load: their values, the checks of these values, and the source they select."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.complaint_file import is_url
from cfpb_etl.fetch.http.client import is_valid_url
from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import SourceKind  # noqa: TC001 - cyclopts reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable

    from cfpb_etl.fetch.sources import AnySource

COMPLAINTS, SAMPLE = Path("complaints.db"), Path("sample.db")
GRAPH = Path("complaints-flow.svg")
_NEWEST = 1_000
# Days. Companies' answers and late complaints can take this long (docs/facts.md, "Later changes").
_LOOKBACK = 60


class WrongCommandError(CfpbEtlError):
    """Raised when an option is used in a way that is not allowed."""

    option: str
    reason: str
    problem = "{option} {reason}"


# --- paths and addresses --------------------------------------------------------------------

# In a wrong command, the message of these errors follows the name of the option.


def check_file_path(_type: object, path: Path | None) -> None:
    """Raise ValueError if a path is a folder, is not valid, or its folder does not exist."""
    if path is None:
        return
    name = str(path)
    try:
        str(path.resolve()).encode()
        is_folder = path.is_dir()
    except (OSError, RuntimeError, UnicodeError):  # too long, a loop of links, or not text
        raise ValueError(f"{name[:60]!r} is not the path of a file") from None
    if is_folder:
        raise ValueError(f"{name!r} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise ValueError(f"{name!r} is in a folder that does not exist; create it first")


def check_picture(type_: object, path: Path | None) -> None:
    """Raise ValueError unless a picture can be written to the path."""
    check_file_path(type_, path)
    if path is not None and path.suffix.lower() not in (".svg", ".png"):
        raise ValueError(f"{str(path)!r} must end in .svg or .png")


def check_page(type_: object, path: Path) -> None:
    """Raise ValueError unless a web page can be written to the path."""
    check_file_path(type_, path)
    if path.suffix.lower() != ".html":
        raise ValueError(f"{str(path)!r} must end in .html")


def check_database(type_: object, path: Path) -> None:
    """Raise ValueError unless a file exists at the path."""
    check_file_path(type_, path)
    if not path.exists():
        sample = f", or use --database {SAMPLE}" if SAMPLE.exists() else ""
        raise ValueError(f"{str(path)!r} does not exist; load complaints into it first{sample}")
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file")


def check_url(_type: object, url: str | None) -> None:
    """Raise ValueError unless a request can be sent to a URL."""
    if url is not None and not is_valid_url(url):
        raise ValueError(f"{url[:60]!r} must be an http:// or https:// address without a password")


def _check_files(type_: object, files: tuple[str, ...]) -> None:
    for file in files:
        if "://" in file:
            check_url(type_, file)
        else:
            check_file_path(type_, Path(file))
            if not Path(file).exists():
                raise ValueError(f"{file!r} does not exist")


def api_url_from_environment() -> str | None:
    """Return the value of the variable CFPB_ETL_API_URL; None if it is not set.

    Raises:
        WrongCommandError: If no request can be sent to the value.
    """
    url = os.environ.get("CFPB_ETL_API_URL") or None
    _check("CFPB_ETL_API_URL", check_url, url)
    return url


def _check(option: str, validate: Callable[[object, Any], None], value: object) -> None:
    try:
        validate(type(value), value)
    except ValueError as error:
        raise WrongCommandError(option=option, reason=str(error)) from None


def refuse_same_file(option: str, path: Path, database: Path) -> None:
    """Raise WrongCommandError if a path leads to the database."""
    if path.resolve() == database.resolve():
        raise WrongCommandError(option=option, reason="is the same file as the database")


# --- options --------------------------------------------------------------------------------

Repeatable = Annotated[tuple[str, ...], Parameter(negative="", show_default=False)]
Switch = Annotated[bool, Parameter(negative="", show_default=False)]
ApiUrl = Annotated[str | None, Parameter(validator=check_url, metavar="URL")]
Day = Annotated[str | None, Parameter(metavar="DATE")]
Database = Annotated[Path, Parameter(validator=check_database)]

_QUERY = ("since", "until", "state", "product", "issue", "company", "search")
# The options that only some sources accept, each with these sources.
_SOURCES = {
    **dict.fromkeys((*_QUERY, "limit", "update", "lookback"), ("api", "sample")),
    "api_url": ("api",),
    "file": ("bulk", "archive"),
    "allow_withdrawals": ("bulk",),
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The options of a load, as typed.

    Attributes:
        source: Where to load from. api: CFPB's search API. bulk: CFPB's daily file of all
            complaints. archive: CFPB's archive of narratives, which covers complaints up to August
            2026. sample: made-up complaints, offline.
        file: With bulk: load this file, a path or URL, zipped or not. With archive: its files, or
            the URL of its page. Repeat for more.
        database: The SQLite file. Default: complaints.db, or sample.db for the sample.
        limit: Load only the newest N complaints.
        since: Load complaints received on this day or later, YYYY-MM-DD.
        until: Load complaints received on this day or earlier, YYYY-MM-DD.
        state: Two-letter state code, such as CA. Repeat for more.
        product: Product, or Product•Sub-product, in CFPB's spelling. Repeat for more.
        issue: Issue, or Issue•Sub-issue, in CFPB's spelling. Repeat for more.
        company: Company, in CFPB's spelling. Repeat for more.
        search: Words to search for in complaints.
        update: Update an existing database: repeat the query of its last complete load for the
            newest days.
        lookback: With --update: start this many days before the newest stored day. Default: 60.
        restart: Start over instead of resuming an interrupted load. Not for loads of the newest N.
        allow_withdrawals: With bulk: accept a file even if more than 1% of the stored complaints
            are missing from it.
        api_url: URL of the search API. Default: $CFPB_ETL_API_URL, or CFPB's URL.
        graph: Where to draw the diagram, .svg or .png. Default: complaints-flow.svg.
        no_graph: Do not draw the diagram.
        notify: Prefect notification block that gets a message if the run fails or crashes.
        verbose: Show Prefect's log and tracebacks.
    """

    source: SourceKind = "api"
    file: Annotated[Repeatable, Parameter(validator=_check_files, metavar="FILE")] = ()
    database: Path | None = None
    limit: Annotated[int | None, Parameter(metavar="N")] = None
    since: Day = None
    until: Day = None
    state: Annotated[Repeatable, Parameter(metavar="CODE")] = ()
    product: Annotated[Repeatable, Parameter(metavar="NAME")] = ()
    issue: Annotated[Repeatable, Parameter(metavar="NAME")] = ()
    company: Annotated[Repeatable, Parameter(metavar="NAME")] = ()
    search: Annotated[str | None, Parameter(metavar="WORDS")] = None
    update: Switch = False
    lookback: Annotated[int | None, Parameter(metavar="DAYS")] = None
    restart: Switch = False
    allow_withdrawals: Switch = False
    api_url: ApiUrl = None
    graph: Path | None = None
    no_graph: Switch = False
    notify: Annotated[str | None, Parameter(metavar="TYPE/NAME")] = None
    verbose: Switch = False

    @property
    def database_path(self) -> Path:
        """Return the path of the SQLite file."""
        return self.database or (SAMPLE if self.source == "sample" else COMPLAINTS)

    @property
    def picture(self) -> Path | None:
        """Return the path of the diagram; None if no diagram is wanted."""
        return None if self.no_graph else self.graph or GRAPH

    def to_source(self) -> AnySource:
        """Return the source that the options ask for. The sample's URL is set when the run starts.

        Raises:
            WrongCommandError: If options cannot be combined.
            InvalidQueryError: If the search API does not accept a value.
        """
        _check("--database", check_file_path, self.database_path)
        _check("--graph", check_picture, self.picture)
        self._refuse_wrong_combinations()
        if self.source == "bulk":
            file = self.file[0] if self.file else BULK_URL
            return BulkFile(file, self.database_path, self.allow_withdrawals)
        if self.source == "archive":
            if self.file and _is_page(self.file[0]):
                return Archive(page=self.file[0], database=self.database_path)
            return Archive(self.file, self.database_path)
        query = Query(
            self.since,
            self.until,
            tuple(code.upper() for code in self.state),
            self.product,
            self.issue,
            self.company,
            self.search,
        )
        lookback = (_LOOKBACK if self.lookback is None else self.lookback) if self.update else None
        # If the options select nothing, load the newest complaints. Otherwise load all matches.
        limit = _NEWEST if self.limit is None and not (query or self.update) else self.limit
        if self.restart and limit is not None:
            reason = "has no effect here: a load of the newest complaints always starts over"
            raise WrongCommandError(option="--restart", reason=reason)
        if self.source == "sample":
            return SearchApi(query, limit, kind="sample", rate_limit=None, lookback=lookback)
        url = self.api_url or api_url_from_environment() or SEARCH_URL
        return SearchApi(query, limit, url, lookback=lookback)

    def _refuse_wrong_combinations(self) -> None:
        for name, sources in _SOURCES.items():
            if self._is_set(name) and self.source not in sources:
                reason = f"works only with --source {' or '.join(sources)}, not {self.source}"
                raise WrongCommandError(option=f"--{name.replace('_', '-')}", reason=reason)
        if self.no_graph and self.graph:
            raise WrongCommandError(option="--no-graph", reason="contradicts --graph")
        if self.lookback is not None and not self.update:
            raise WrongCommandError(option="--lookback", reason="works only with --update")
        if self.update and any(map(self._is_set, (*_QUERY, "limit"))):
            reason = "repeats the query of an earlier load; give no filter, date or --limit with it"
            raise WrongCommandError(option="--update", reason=reason)
        if self.update and not self.database_path.exists():
            reason = f"needs a database, and {self.database_path} does not exist"
            raise WrongCommandError(option="--update", reason=reason)
        self._refuse_wrong_files()

    def _refuse_wrong_files(self) -> None:
        if self.picture:
            refuse_same_file("--graph", self.picture, self.database_path)
        for file in self.file:
            if "://" not in file:
                refuse_same_file("--file", Path(file), self.database_path)
        if len(self.file) > 1:
            if self.source == "bulk":
                raise WrongCommandError(
                    option="--file", reason="can be given only once with --source bulk"
                )
            for file in filter(_is_page, self.file):
                reason = f"{file!r} is a page; give no other --file with it"
                raise WrongCommandError(option="--file", reason=reason)

    def _is_set(self, name: str) -> bool:
        value: Any = getattr(self, name)
        return value is not None and value is not False and value != ()  # 0 is set, but not valid


def _is_page(file: str) -> bool:
    return is_url(file) and not urlsplit(file).path.lower().endswith((".zip", ".csv"))
