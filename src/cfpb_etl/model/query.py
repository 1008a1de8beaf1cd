"""The query of a load: filters that the search API accepts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from cfpb_etl.errors import WrongParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The API accepts only these codes as a filter (docs/facts.md, "State filter").
STATES = tuple(
    "AA AE AK AL AP AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP"
    " MS MT NC ND NE NH NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UT VA VI VT WA WI WV WY".split()
)
# The data also have these values (docs/facts.md, "States and ZIP codes").
STORED_STATES = (*STATES, "FM", "MH", "PW", "UNITED STATES MINOR OUTLYING ISLANDS")
_DAYS = ("since", "until")
MAX_TEXT = 200  # characters of a filter value
ZIP_CODE = "^[0-9X]{5}"  # five digits, or a masked code (docs/facts.md, "States and ZIP codes")
SPELLED = ("product", "issue", "company", "tag", "submitted_via", "company_response")
# The names of the search API, where they differ.
_API_NAMES = {
    "since": "date_received_min",
    "until": "date_received_max",
    "search": "search_term",
    "tag": "tags",
}


@dataclass(frozen=True)
class Query:
    """Filters for complaints. The search API accepts every value of a query.

    Attributes:
        since: Earliest day received, `YYYY-MM-DD`.
        until: Latest day received, inclusive.
        state: Two-letter state codes. A complaint matches if its state is in this list. The lists
            of products, issues and companies work the same way.
        product: `Product` or `Product•Sub-product`, in CFPB's spelling.
        issue: `Issue` or `Issue•Sub-issue`, in CFPB's spelling.
        company: Company names in CFPB's spelling.
        search: The words to search for.
        tag: `Servicemember`, `Older American`, or both with a comma, which is a value of its own.
        zip_code: ZIP codes as published: five digits, or masked, such as `391XX`.
        timely: `Yes` or `No`: whether the company answered in time.
        submitted_via: How CFPB received the complaint.
        company_response: How the company answered.

    Raises:
        WrongParameterError: If the API does not accept a value.
    """

    _states: ClassVar = STATES, "CFPB filters by these, in capitals"

    since: str | None = None
    until: str | None = None
    state: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    issue: tuple[str, ...] = ()
    company: tuple[str, ...] = ()
    search: str | None = None
    tag: tuple[str, ...] = ()
    zip_code: tuple[str, ...] = ()
    timely: str | None = None
    submitted_via: tuple[str, ...] = ()
    company_response: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _DAYS:
            _check_day(name, getattr(self, name))
        if self.since and self.until and self.since > self.until:
            raise _wrong("since", self.since, f"it must not be after `until` {self.until}")
        self._check_codes()
        for name in SPELLED:
            for text in getattr(self, name):
                _check_text(name, text)
        if self.search is not None:
            _check_text("search", self.search)
        for name in ("product", "issue"):
            for text in getattr(self, name):
                _check_levels(name, text)

    def _check_codes(self) -> None:
        states, who = self._states
        for code in self.state:
            if code not in states:
                raise _wrong("state", code, f"{who}: {' '.join(states)}")
        for code in self.zip_code:
            if not re.fullmatch(ZIP_CODE, code):
                raise _wrong("zip_code", code, "give five digits, or a masked code such as 391XX")
        if self.timely not in (None, "Yes", "No"):
            raise _wrong("timely", self.timely, "give Yes or No")

    def __bool__(self) -> bool:
        """Say whether the query has any filter."""
        return any(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(
            f"{name.replace('_', ' ')} {value if isinstance(value, str) else ' or '.join(value)}"
            for name, value in self.to_dict().items()
        )

    @property
    def filters_more_than_days(self) -> bool:
        """Say whether the query has a filter other than dates."""
        return any(value for name, value in asdict(self).items() if name not in _DAYS)

    def to_dict(self) -> dict[str, Any]:
        """Return the filters that are set."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, filters: Mapping[str, Any]) -> Query:
        """Return the query with these filters, which may come from JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in filters.items()
        }
        return cls(**values)

    @classmethod
    def from_record(cls, query_json: str) -> Query:
        """Return the query that a load has recorded as JSON, without the limit."""
        filters = json.loads(query_json)
        filters.pop("limit", None)
        return cls.from_dict(filters)

    def parameters(self) -> list[tuple[str, str]]:
        """Return the request parameters.

        For a list, the parameter's name is repeated (docs/facts.md, "Parameters").
        """
        return [
            (_API_NAMES.get(name, name), value)
            for name, values in self.to_dict().items()
            for value in ((values,) if isinstance(values, str) else values)
        ]


@dataclass(frozen=True)
class StoredQuery(Query):
    """Filters for complaints that are stored. They can have states that the API does not accept.

    A code that no complaint can have is refused, because the result would be empty without a
    reason.

    Raises:
        WrongParameterError: If no complaint can match a value.
    """

    _states: ClassVar = STORED_STATES, "CFPB's data have these, in capitals"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search is not None and not any(map(str.isalnum, self.search)):
            raise _wrong("search", self.search, "give words with letters or digits")


def _check_day(name: str, text: str | None) -> None:
    if text is None:
        return
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError  # noqa: TRY301 - fromisoformat accepts more formats than the API
        date.fromisoformat(text)
    except ValueError:
        raise _wrong(name, text, "give a day as YYYY-MM-DD") from None


def _check_text(name: str, text: str) -> None:
    # Bytes that a terminal cannot decode become lone surrogates, which a URL cannot contain.
    sendable = "\0" not in text and not re.search("[\ud800-\udfff]", text)
    if not 1 <= len(text) <= MAX_TEXT or not text.strip() or not sendable:
        allowed = f"give 1 to {MAX_TEXT} characters that are not all blank"
        raise _wrong(name, text, allowed)


def _check_levels(name: str, text: str) -> None:
    levels = text.split("•")
    if len(levels) > 2 or not all(level.strip() for level in levels):  # noqa: PLR2004 - name•sub-name
        title = name.capitalize()
        raise _wrong(name, text, f"give {title}, or {title}•Sub-{name} with one •")


def _wrong(name: str, value: str, allowed: str) -> WrongParameterError:
    return WrongParameterError(parameter=name, reason=f"{value!r} is not valid; {allowed}")
