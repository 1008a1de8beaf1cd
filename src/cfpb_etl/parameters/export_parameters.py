"""What a user can ask for in an export."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from cfpb_etl.errors import WrongParameterError
from cfpb_etl.model.query import StoredQuery
from cfpb_etl.parameters.checks import as_texts, existing_database
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
    Timely,
    Words,
    ZipCodes,
)

TABLES = ("complaint", "complaint_change", "load")
_FILTERS = tuple(each.name for each in fields(StoredQuery))


def _names(_type: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    """Return names that are given by several options."""
    return tuple(token.value for token in tokens)


@Parameter(name="*")
@dataclass(frozen=True)
class ExportParameters:
    """The parameters of an export. The command line and Python have the same.

    Attributes:
        target: Where to export to. A name that ends in .parquet, .duckdb, .csv, .csv.gz or .jsonl:
            a file. Another name: a folder of Parquet files. postgresql://USER@HOST/DATABASE: a
            PostgreSQL database.
        database: The SQLite file.
        table: Tables to export: complaint, complaint_change, load. Default: all, or complaint for a
            file that can have only one table. One or more, also with commas.
        narratives: Export what consumers wrote.
        since: Export complaints received on this day or later, YYYY-MM-DD.
        until: Export complaints received on this day or earlier, YYYY-MM-DD.
        state: Two-letter state code, such as CA. One or more.
        product: Product, or Product•Sub-product, in CFPB's spelling. One or more.
        issue: Issue, or Issue•Sub-issue, in CFPB's spelling. One or more.
        company: Company, in CFPB's spelling. One or more.
        search: Words that must all be in the narrative.
        tag: Older American, Servicemember, or both with a comma. One or more.
        zip_code: ZIP code as published: five digits, or masked, such as 391XX. One or more.
        timely: Whether the company answered in time.
        submitted_via: How CFPB received the complaint, such as Web or Phone. One or more.
        company_response: How the company answered, such as In progress. One or more.

    Raises:
        WrongParameterError: If a value is not valid.
    """

    target: str | Path
    _: KW_ONLY
    database: Annotated[Path | str, Parameter(metavar="PATH")] = COMPLAINTS
    table: Annotated[
        tuple[str, ...] | str | Sequence[str], Parameter(converter=_names, metavar="NAME")
    ] = ()
    narratives: Annotated[bool, Parameter(negative="--no-narratives")] = True
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
        object.__setattr__(self, "table", _checked_tables(as_texts(self.table)))
        object.__setattr__(self, "database", existing_database(self.database))

    @property
    def query(self) -> StoredQuery:
        """Return the filters."""
        return StoredQuery(**{name: getattr(self, name) for name in _FILTERS})


def _checked_tables(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of tables, which can be separated by commas."""
    names = [name for value in values for name in value.split(",")]
    for name in names:
        if name not in TABLES:
            reason = f"{name!r} is not valid; give {', '.join(TABLES)}"
            raise WrongParameterError(parameter="table", reason=reason)
    return tuple(dict.fromkeys(names))
