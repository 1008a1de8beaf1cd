"""What a user can ask for: the parameters of a load, and the source that they select."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cyclopts import Parameter

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.fetch.http.addresses import is_url, keep
from cfpb_etl.model.query import Query
from cfpb_etl.model.source import SourceKind
from cfpb_etl.parameters.checks import (
    api_url_from_environment,
    as_texts,
    file_path,
    picture_path,
    refuse_same_file,
)
from cfpb_etl.parameters.types import (
    Address,
    BlockName,
    Channels,
    Companies,
    Database,
    Day,
    Files,
    Issues,
    Limit,
    Lookback,
    Order,
    PastDay,
    Picture,
    Products,
    Responses,
    RowsOrShare,
    States,
    Switch,
    Tags,
    Timely,
    Words,
    ZipCodes,
)

if TYPE_CHECKING:
    from cfpb_etl.fetch.sources import AnySource

COMPLAINTS, SAMPLE, GRAPH = Path("complaints.db"), Path("sample.db"), Path("complaints-flow.svg")
NEWEST = 1_000  # complaints that are loaded if the parameters select nothing
# Days. Companies' answers and late complaints can take this long (docs/facts.md, "Later changes").
LOOKBACK = 60

_FILTERS = tuple(each.name for each in fields(Query))
_API, _FILES = ("api", "sample"), ("bulk", "archive")
# The parameters that only some sources accept, each with these sources.
_SOURCES = {
    **dict.fromkeys((*_FILTERS, "limit", "update", "lookback"), _API),
    "api_url": ("api",),
    **dict.fromkeys(("file", "as_of", "date_order", "allow_rejected"), _FILES),
    **dict.fromkeys(("allow_withdrawals", "whole", "partial"), ("bulk",)),
}


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LoadParameters:
    """The parameters of a load. The command line, Python and Prefect's form have the same.

    Attributes:
        database: The SQLite file. Default: complaints.db, or sample.db for the sample.
        source: Where to load from. api: CFPB's search API. bulk: CFPB's daily file of all
            complaints. archive: CFPB's archive of narratives, which covers complaints up to August
            2026. sample: made-up complaints, offline.
        since: Load complaints received on this day or later, YYYY-MM-DD.
        until: Load complaints received on this day or earlier, YYYY-MM-DD.
        state: Two-letter state code, such as CA. One or more.
        product: Product, or Product•Sub-product, in CFPB's spelling. One or more.
        issue: Issue, or Issue•Sub-issue, in CFPB's spelling. One or more.
        company: Company, in CFPB's spelling. One or more.
        search: Words to search for in complaints.
        tag: Older American, Servicemember, or both with a comma. One or more.
        zip_code: ZIP code as published: five digits, or masked, such as 391XX. One or more.
        timely: Whether the company answered in time.
        submitted_via: How CFPB received the complaint, such as Web or Phone. One or more.
        company_response: How the company answered, such as In progress. One or more.
        limit: Load only the newest N complaints.
        update: Update an existing database: repeat the query of its last complete load for the
            newest days.
        lookback: With update: start this many days before the newest stored day. Default: 60.
        restart: Start over instead of resuming an interrupted load. Not for loads of the newest N.
        file: With bulk: load this file, a path or URL, zipped or not. With archive: its files, or
            the URL of its page. One or more.
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
        graph: Where to draw the diagram: .svg, .png, or none. Default: complaints-flow.svg.
        notify: Prefect notification block that gets a message if the run fails or crashes.

    Raises:
        WrongParameterError: If a value is not valid.
    """

    database: Database = None
    source: SourceKind = "api"
    since: Day = None
    until: Day = None
    state: States = ()
    product: Products = ()
    issue: Issues = ()
    company: Companies = ()
    search: Words = None
    tag: Tags = ()
    zip_code: ZipCodes = ()
    timely: Timely = None
    submitted_via: Channels = ()
    company_response: Responses = ()
    limit: Limit = None
    update: Switch = False
    lookback: Lookback = None
    restart: Switch = False
    file: Files = ()
    allow_withdrawals: Switch = False
    whole: Switch = False
    partial: Switch = False
    as_of: PastDay = None
    date_order: Order = None
    allow_rejected: RowsOrShare = None
    api_url: Address = None
    graph: Picture = GRAPH
    notify: BlockName = None

    def __post_init__(self) -> None:
        """Check each value, and give lists and days one type."""
        from cfpb_etl.parameters.validation import checked_fields

        for name, value in checked_fields(self):
            object.__setattr__(self, name, value)

    @property
    def database_path(self) -> Path:
        """Return the path of the SQLite file."""
        default = SAMPLE if self.source == "sample" else COMPLAINTS
        return Path(default if self.database is None else self.database)

    @property
    def picture(self) -> Path | None:
        """Return the path of the diagram; None if no diagram is wanted."""
        return None if self.graph is None else Path(self.graph)

    def with_kept_addresses(self) -> "LoadParameters":
        """Return the parameters with references in place of addresses that can be secret.

        Only the command line can accept such an address: Prefect stores the parameters of a run.
        """
        return replace(
            self,
            api_url=self.api_url and keep(self.api_url),
            file=tuple(keep(file) if is_url(file) else file for file in as_texts(self.file)),
        )

    def to_source(self) -> "AnySource":
        """Return the source that the parameters select. The sample has no URL before it is served.

        Raises:
            WrongParameterError: If parameters cannot be combined, or the search API does not accept
                a value.
            AddressRefusedError, SecretAddressError: If Prefect must not store an address.
        """
        self._refuse_wrong_combinations()
        reading: dict[str, Any] = {
            "as_of": self.as_of,
            "date_order": self.date_order,
            "allow_rejected": self.allow_rejected,
        }
        files: tuple[str, ...] = as_texts(self.file)
        if self.source == "bulk":
            from cfpb_etl.fetch.bulk_file import BULK_URL, BulkFile

            whole = True if self.whole else False if self.partial else None
            file = files[0] if files else BULK_URL
            return BulkFile(file, self.database_path, self.allow_withdrawals, whole, **reading)
        if self.source == "archive":
            from cfpb_etl.fetch.archive import Archive

            if files and _is_page(files[0]):
                return Archive(page=files[0], database=self.database_path, **reading)
            return Archive(files, self.database_path, **reading)
        query = Query(**{name: getattr(self, name) for name in _FILTERS})
        days = LOOKBACK if self.lookback is None else self.lookback
        lookback = days if self.update else None
        # If the parameters select nothing, load the newest. Otherwise load all matches.
        limit = NEWEST if self.limit is None and not (query or self.update) else self.limit
        if self.restart and limit is not None:
            reason = "has no effect here: a load of the newest complaints always starts over"
            raise WrongParameterError(parameter="restart", reason=reason)
        url = None if self.source == "sample" else self.api_url or api_url_from_environment()
        from cfpb_etl.fetch.search_api import SEARCH_URL, SearchApi

        if self.source == "sample":
            return SearchApi(query, limit, kind="sample", rate_limit=None, lookback=lookback)
        return SearchApi(query, limit, url or SEARCH_URL, lookback=lookback)

    def _refuse_wrong_combinations(self) -> None:
        for name, sources in _SOURCES.items():
            if self._is_set(name) and self.source not in sources:
                reason = f"works only with `source` {' or '.join(sources)}, not {self.source}"
                raise WrongParameterError(parameter=name, reason=reason)
        if self.whole and self.partial:
            raise WrongParameterError(parameter="whole", reason="contradicts `partial`")
        if self.lookback is not None and not self.update:
            raise WrongParameterError(parameter="lookback", reason="works only with `update`")
        if self.update and any(map(self._is_set, (*_FILTERS, "limit"))):
            reason = "repeats the query of an earlier load; give no filter, date or `limit` with it"
            raise WrongParameterError(parameter="update", reason=reason)
        if self.update and not self.database_path.exists():
            reason = f"needs a database, and {self.database_path} does not exist"
            raise WrongParameterError(parameter="update", reason=reason)
        self._refuse_wrong_files()

    def _refuse_wrong_files(self) -> None:
        _refuse("database", file_path, self.database_path)
        if self.picture:
            _refuse("graph", picture_path, self.picture)
            refuse_same_file("graph", self.picture, self.database_path)
        files = as_texts(self.file)
        for file in files:
            if "://" not in file:
                refuse_same_file("file", Path(file), self.database_path)
        if len(files) > 1:
            if self.source == "bulk":
                reason = "can be given only once with `source` bulk"
                raise WrongParameterError(parameter="file", reason=reason)
            for file in filter(_is_page, files):
                reason = f"{keep(file)!r} is a page; give no other `file` with it"
                raise WrongParameterError(parameter="file", reason=reason)

    def _is_set(self, name: str) -> bool:
        value: Any = getattr(self, name)
        return value is not None and value is not False and value != ()


def _refuse(parameter: str, check: Callable[[Path], object], path: Path) -> None:
    """Raise an error if a path cannot be used, also if it is a default."""
    try:
        check(path)
    except ValueError as error:
        raise WrongParameterError(parameter=parameter, reason=str(error)) from None


def _is_page(file: str) -> bool:
    return is_url(file) and not urlsplit(file).path.lower().endswith((".zip", ".csv"))
