"""The options of a load: their values, the checks of these values, and the source they select."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from cfpb_etl.cli.checks import (
    SAMPLE,
    WrongCommandError,
    api_url_from_environment,
    check_allowed,
    check_block_name,
    check_database,
    check_day,
    check_file_path,
    check_files,
    check_option,
    check_picture,
    check_url,
    refuse_same_file,
)
from cfpb_etl.fetch.archive import Archive
from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile
from cfpb_etl.fetch.complaint_file import is_url
from cfpb_etl.fetch.http.addresses import keep
from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi
from cfpb_etl.model.file import DateOrder  # noqa: TC001 - cyclopts reads the annotations
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import SourceKind  # noqa: TC001 - cyclopts reads the annotations

if TYPE_CHECKING:
    from cfpb_etl.fetch.sources import AnySource

COMPLAINTS = Path("complaints.db")
GRAPH = Path("complaints-flow.svg")
_NEWEST = 1_000
# Days. Companies' answers and late complaints can take this long (docs/facts.md, "Later changes").
_LOOKBACK = 60

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
    **dict.fromkeys(("file", "as_of", "date_order", "allow_rejected"), ("bulk", "archive")),
    **dict.fromkeys(("allow_withdrawals", "whole", "partial"), ("bulk",)),
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
        whole: With bulk: the file has all complaints, so missing ones were withdrawn. Default:
            decided by the states, products and days of the file.
        partial: With bulk: the file has only a part of all complaints, so nothing is concluded from
            missing ones.
        as_of: With bulk or archive: the day on which the data were taken from CFPB, YYYY-MM-DD.
            Default: decided by the complaints and the dates of the file.
        date_order: With bulk or archive: month-first or day-first, for dates such as 03/04/2020.
            Default: decided by the file's dates.
        allow_rejected: With bulk or archive: accept up to N invalid rows; below 1, a share of the
            rows. Default: 0.001.
        api_url: URL of the search API. Default: $CFPB_ETL_API_URL, or CFPB's URL.
        graph: Where to draw the diagram, .svg or .png. Default: complaints-flow.svg.
        no_graph: Do not draw the diagram.
        notify: Prefect notification block that gets a message if the run fails or crashes.
        verbose: Show Prefect's log and tracebacks.
    """

    source: SourceKind = "api"
    file: Annotated[Repeatable, Parameter(validator=check_files, metavar="FILE")] = ()
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
    whole: Switch = False
    partial: Switch = False
    as_of: Annotated[str | None, Parameter(validator=check_day, metavar="DATE")] = None
    date_order: DateOrder | None = None
    allow_rejected: Annotated[float | None, Parameter(validator=check_allowed, metavar="N")] = None
    api_url: ApiUrl = None
    graph: Path | None = None
    no_graph: Switch = False
    notify: Annotated[str | None, Parameter(validator=check_block_name, metavar="TYPE/NAME")] = None
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
        check_option("--database", check_file_path, self.database_path)
        check_option("--graph", check_picture, self.picture)
        self._refuse_wrong_combinations()
        if self.source == "bulk":
            file = keep_file(self.file[0]) if self.file else BULK_URL
            whole = True if self.whole else False if self.partial else None
            return BulkFile(
                file, self.database_path, self.allow_withdrawals, whole, **self._reading
            )
        if self.source == "archive":
            files = tuple(map(keep_file, self.file))
            if files and _is_page(files[0]):
                return Archive(page=files[0], database=self.database_path, **self._reading)
            return Archive(files, self.database_path, **self._reading)
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
        given = self.api_url and keep(self.api_url)
        url = given or api_url_from_environment() or SEARCH_URL
        return SearchApi(query, limit, url, lookback=lookback)

    @property
    def _reading(self) -> dict[str, Any]:
        """Return how to read files, as arguments of a source of files."""
        return {
            "as_of": self.as_of,
            "date_order": self.date_order,
            "allow_rejected": self.allow_rejected,
        }

    def _refuse_wrong_combinations(self) -> None:
        for name, sources in _SOURCES.items():
            if self._is_set(name) and self.source not in sources:
                reason = f"works only with --source {' or '.join(sources)}, not {self.source}"
                raise WrongCommandError(option=f"--{name.replace('_', '-')}", reason=reason)
        if self.no_graph and self.graph:
            raise WrongCommandError(option="--no-graph", reason="contradicts --graph")
        if self.whole and self.partial:
            raise WrongCommandError(option="--whole", reason="contradicts --partial")
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
                reason = f"{keep(file)!r} is a page; give no other --file with it"
                raise WrongCommandError(option="--file", reason=reason)

    def _is_set(self, name: str) -> bool:
        value: Any = getattr(self, name)
        return value is not None and value is not False and value != ()  # 0 is set, but not valid


def keep_file(file: str) -> str:
    """Return a reference to the URL of a file; a path stays as it is."""
    return keep(file) if is_url(file) else file


def _is_page(file: str) -> bool:
    return is_url(file) and not urlsplit(file).path.lower().endswith((".zip", ".csv"))
