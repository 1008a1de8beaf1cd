"""A file of complaints: its version, how to read it, and which complaints it has."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from cfpb_etl.model.age import NewestDays
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import http_day

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DateOrder: TypeAlias = Literal["month-first", "day-first"]

_FIRST_MONTH = "2011-12"  # of CFPB's complaints
_FEWEST_STATES = 50  # of 63 values; the rarest occur once in 20,000 complaints
_MISSING_PRODUCTS = 2  # the newest products may have no complaint yet
# CFPB's names of products, by the day on which most of them were in use
# (docs/facts.md, "Product names").
PRODUCTS = {
    "2014-12-31": (
        "Bank account or service",
        "Consumer Loan",
        "Credit card",
        "Credit reporting",
        "Debt collection",
        "Money transfers",
        "Mortgage",
        "Other financial service",
        "Payday loan",
        "Prepaid card",
        "Student loan",
        "Virtual currency",
    ),
    "2017-12-31": (
        "Checking or savings account",
        "Credit card or prepaid card",
        "Credit reporting, credit repair services, or other personal consumer reports",
        "Money transfer, virtual currency, or money service",
        "Payday loan, title loan, or personal loan",
        "Vehicle loan or lease",
    ),
    "2024-01-31": (
        "Credit reporting or other personal consumer reports",
        "Debt or credit management",
        "Payday loan, title loan, personal loan, or advance loan",
    ),
}
_MANY = 1_000  # complaints; so many have several companies and channels, unless a filter chose them
_VARIED = tuple(
    map(Complaint._fields.index, ("company", "submitted_via", "company_response", "timely"))
)
_PRODUCT, _STATE, _TAGS = map(Complaint._fields.index, ("product", "state", "tags"))


@dataclass(frozen=True, slots=True)
class FileVersion:
    """The HTTP headers that show which version of a file a server has.

    Attributes:
        etag: The ETag header.
        last_modified: The Last-Modified header, an HTTP date.
        server_day: The day in the Date header, `YYYY-MM-DD`: today by the server's clock. It is
            not a part of the version.
    """

    etag: str | None = None
    last_modified: str | None = None
    server_day: str | None = field(default=None, compare=False)

    @property
    def day(self) -> str | None:
        """Return the day of the last change, `YYYY-MM-DD` in UTC; None if the day is unknown."""
        return http_day(self.last_modified)


class ReadOptions(NamedTuple):
    """How to read a file.

    Attributes:
        today: The latest plausible day, `YYYY-MM-DD`. A later day is stored, but it never counts as
            the newest day.
        date_order: The order of day and month in dates such as `03/04/2020`; None to decide by the
            file's dates.
        allow_rejected: How many rows may be invalid: a number of rows if 1 or more, a share of the
            rows if less than 1; None for one row in a thousand.
    """

    today: str
    date_order: DateOrder | None = None
    allow_rejected: float | None = None


class CsvFile(NamedTuple):
    """A fetched file of complaints.

    Attributes:
        path: The path of the CSV, which may be zipped.
        database: The SQLite file that shows which lines are already stored and can be skipped; None
            if all lines must be parsed.
        options: How to read the file.
        stored_until: The latest day that the data of the stored loads can have; None if nothing is
            stored.
    """

    path: Path
    database: Path | None
    options: ReadOptions
    stored_until: str | None = None


@dataclass
class Scope:
    """Which complaints a file has.

    Attributes:
        rows: How many complaints were added.
        states: The states of the complaints.
        products: The products of the complaints.
        constant: The columns that have only one value so far, with this value. `tags` is one of
            them while every complaint has a tag.
    """

    rows: int = 0
    states: set[str | None] = field(default_factory=set)
    products: set[str | None] = field(default_factory=set)
    constant: dict[int, object] = field(default_factory=dict)

    @property
    def is_varied(self) -> bool:
        """Say whether more complaints cannot show any more that a filter chose them."""
        return self.rows >= _MANY and not self.constant

    def add(self, complaints: Sequence[Complaint]) -> None:
        """Add complaints of the file."""
        if not self.rows and complaints:
            self.constant = {place: complaints[0][place] for place in (*_VARIED, _TAGS)}
        self.rows += len(complaints)
        self.states.update(map(itemgetter(_STATE), complaints))
        self.products.update(map(itemgetter(_PRODUCT), complaints))
        for place, value in [*self.constant.items()]:
            found = {*map(itemgetter(place), complaints)}
            if (None in found) if place == _TAGS else found != {value}:
                del self.constant[place]

    def why_part(self, oldest: str | None, newest: str | None) -> str | None:
        """Return why these are only a part of all complaints; None if these plainly are all.

        Args:
            oldest: The first day received.
            newest: The newest plausible day received.
        """
        if oldest is None or newest is None:
            return "it has no plausible day received"
        if oldest[:7] > _FIRST_MONTH:
            return f"its days start on {oldest}"
        states = len(self.states - {None})
        if states < _FEWEST_STATES:
            return f"it has {states} of about 60 states"
        known = {name for day, names in PRODUCTS.items() if newest >= day for name in names}
        known = known or {*PRODUCTS[min(PRODUCTS)]}
        found = len(known & self.products)
        if found < len(known) - _MISSING_PRODUCTS:
            return f"it has {found} of {len(known)} products"
        if self.rows >= _MANY and self.constant:
            column = Complaint._fields[min(self.constant)]
            what = "complaints with tags" if column == "tags" else f"one value of {column}"
            return f"a filter left only {what}"
        return None


@dataclass
class Survey:
    """What a first reading of a file has shown.

    Attributes:
        newest: The newest plausible days.
        oldest: The first day received, if the whole file was read.
        scope: Which complaints the file has.
        is_complete: Whether the whole file was read. The reading stops at a day that is newer than
            all stored data.
    """

    newest: NewestDays = field(default_factory=NewestDays)
    oldest: str | None = None
    scope: Scope = field(default_factory=Scope)
    is_complete: bool = False
