"""What a user can ask for when complaints are read in Python."""

from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Literal

from cfpb_etl.model.query import StoredQuery
from cfpb_etl.parameters.checks import existing_database
from cfpb_etl.parameters.load_parameters import COMPLAINTS
from cfpb_etl.parameters.types import (
    Channels,
    Companies,
    Day,
    Issues,
    Products,
    Responses,
    States,
    Tags,
    Texts,
    Timely,
    Words,
    ZipCodes,
)

Kind = Literal["pandas", "polars", "arrow"]
_FILTERS = tuple(each.name for each in fields(StoredQuery))


@dataclass(frozen=True)
class ReadParameters:
    """The parameters of `read_complaints`.

    Attributes:
        database: The SQLite file.
        kind: pandas: a `pandas.DataFrame`. polars: a `polars.DataFrame`. arrow: a `pyarrow.Table`.
            Default: the first of these that is installed.
        columns: The columns to read, in this order. Default: all. One or more.
        narratives: Read what consumers wrote.
        since: Read complaints received on this day or later, YYYY-MM-DD or a date.
        until: Read complaints received on this day or earlier, YYYY-MM-DD or a date.
        state: State as published, such as CA. One or more.
        product: Product, or Product•Sub-product, in CFPB's spelling. One or more.
        issue: Issue, or Issue•Sub-issue, in CFPB's spelling. One or more.
        company: Company, in CFPB's spelling. One or more.
        search: Words that must all be in the narrative.
        tag: Older American, Servicemember, or both with a comma. One or more.
        zip_code: ZIP code as published: five digits, or masked, such as 391XX. One or more.
        timely: Yes or No: whether the company answered in time.
        submitted_via: How CFPB received the complaint, such as Web or Phone. One or more.
        company_response: How the company answered, such as In progress. One or more.

    Raises:
        WrongParameterError: If a value is not valid.
    """

    database: Path | str = COMPLAINTS
    _: KW_ONLY
    kind: Kind | None = None
    columns: Texts = ()
    narratives: bool = True
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

    def __post_init__(self) -> None:
        """Check each value, and give lists and days one type."""
        from cfpb_etl.parameters.validation import checked_fields

        for name, value in checked_fields(self):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "database", existing_database(self.database))

    @property
    def query(self) -> StoredQuery:
        """Return the filters."""
        return StoredQuery(**{name: getattr(self, name) for name in _FILTERS})
