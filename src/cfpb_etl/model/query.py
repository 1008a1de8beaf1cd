"""Which complaints may be asked for, held to what the search API accepts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from cfpb_etl.model.errors import InvalidQueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The API's own closed list; FM, MH, PW and the Minor Outlying Islands stand in the data, but are
# refused as a filter (CCDB_API.md section 3).
STATES = tuple(
    "AA AE AK AL AP AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP"
    " MS MT NC ND NE NH NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UT VA VI VT WA WI WV WY".split()
)
_DAYS = ("since", "until")
_LONGEST_TEXT = 200  # characters of any one filter value


@dataclass(frozen=True)
class Query:
    """Which complaints to ask for; what it holds, the API accepts.

    Attributes:
        since: Earliest day received, `YYYY-MM-DD`.
        until: Latest day received, inclusive.
        state: Two-letter codes, any of which may match, as in the lists that follow.
        product: `Product` or `Product•Sub-product`, spelled as CFPB spells it.
        issue: `Issue` or `Issue•Sub-issue`.
        company: Names as CFPB spells them.
        search: Words to look for.

    Raises:
        InvalidQueryError: If the API would refuse a value.
    """

    since: str | None = None
    until: str | None = None
    state: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    issue: tuple[str, ...] = ()
    company: tuple[str, ...] = ()
    search: str | None = None

    def __post_init__(self) -> None:
        for name in _DAYS:
            _check_day(name, getattr(self, name))
        if self.since and self.until and self.since > self.until:
            raise InvalidQueryError(
                "since", self.since, f"it must not be after --until {self.until}"
            )
        for code in self.state:
            if code not in STATES:
                raise InvalidQueryError(
                    "state", code, f"CFPB filters by these, in capitals: {' '.join(STATES)}"
                )
        for name in ("product", "issue", "company", "search"):
            value = getattr(self, name)
            for text in (value,) if name == "search" and value is not None else value or ():
                _check_text(name, text)
        for name in ("product", "issue"):
            for text in getattr(self, name):
                _check_levels(name, text)

    def __bool__(self) -> bool:
        """Say whether it narrows anything down."""
        return any(asdict(self).values())

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {value if isinstance(value, str) else ' or '.join(value)}"
            for name, value in self.described().items()
        )

    @property
    def narrows(self) -> bool:
        """Say whether anything but days is asked for."""
        return any(value for name, value in asdict(self).items() if name not in _DAYS)

    def described(self) -> dict[str, Any]:
        """Return what is asked for, leaving out what is not."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Query:
        """Return the query that `described` told of, also after a way through JSON."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in described.items()
        }
        return cls(**values)

    def parameters(self) -> list[tuple[str, str]]:
        """Return the request parameters; a list is its key repeated (CCDB_API.md section 3)."""
        scalars = (
            ("date_received_min", self.since),
            ("date_received_max", self.until),
            ("search_term", self.search),
        )
        lists = {
            "state": self.state,
            "product": self.product,
            "issue": self.issue,
            "company": self.company,
        }
        return [(key, value) for key, value in scalars if value is not None] + [
            (key, value) for key, values in lists.items() for value in values
        ]


def _check_day(name: str, text: str | None) -> None:
    if text is None:
        return
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError  # noqa: TRY301 - fromisoformat takes more spellings than the API
        date.fromisoformat(text)
    except ValueError:
        raise InvalidQueryError(name, text, "give a day as YYYY-MM-DD") from None


def _check_text(name: str, text: str) -> None:
    # A terminal's undecodable bytes come as lone surrogates, which no address can carry.
    sendable = "\0" not in text and not re.search("[\ud800-\udfff]", text)
    if not 1 <= len(text) <= _LONGEST_TEXT or not text.strip() or not sendable:
        raise InvalidQueryError(
            name, text, f"give 1 to {_LONGEST_TEXT} characters of text, not all of them blank"
        )


def _check_levels(name: str, text: str) -> None:
    levels = text.split("•")
    if len(levels) > 2 or not all(level.strip() for level in levels):  # noqa: PLR2004 - name•sub-name
        title = name.capitalize()
        raise InvalidQueryError(name, text, f"give {title}, or {title}•Sub-{name} with one •")
