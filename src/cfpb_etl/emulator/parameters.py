"""The parameters of a search, and the error messages for invalid values.

The messages come from Django REST framework, which the real server uses (docs/facts.md,
"Parameters"). The emulator ignores unknown parameters, like the real server.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from cfpb_etl.emulator.data.complaints import Era
from cfpb_etl.emulator.errors import HttpError
from cfpb_etl.emulator.search import BULLET, FieldValues, Filters, Query

STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ"
    " NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI AA AE AP".split()
)
"""The 59 states that the filter accepts. Complaints have more (docs/facts.md, "State filter")."""

Rule = Callable[[str], Any]


class _InvalidError(ValueError):
    """Raised when a value breaks a rule. The error has the message for the response."""


def _integer(lowest: int, highest: int) -> Rule:
    def rule(text: str) -> int:
        try:
            number = int(re.sub(r"\.0*\s*$", "", text))
        except ValueError:
            raise _InvalidError("A valid integer is required.") from None
        if number > highest:
            raise _InvalidError(f"Ensure this value is less than or equal to {highest}.")
        if number < lowest:
            raise _InvalidError(f"Ensure this value is greater than or equal to {lowest}.")
        return number

    return rule


def _choice(options: Iterable[str]) -> Rule:
    allowed = frozenset(options)

    def rule(text: str) -> str:
        if text not in allowed:
            raise _InvalidError(f'"{text}" is not a valid choice.')
        return text

    return rule


def _text(shortest: int = 1, longest: int = 200) -> Rule:
    def rule(text: str) -> str:
        trimmed = text.strip()
        if not trimmed:
            raise _InvalidError("This field may not be blank.")
        if len(trimmed) > longest:
            raise _InvalidError(f"Ensure this field has no more than {longest} characters.")
        if len(trimmed) < shortest:
            raise _InvalidError(f"Ensure this field has at least {shortest} characters.")
        if "\0" in trimmed:
            raise _InvalidError("Null characters are not allowed.")
        return trimmed

    return rule


def _day(text: str) -> date:
    try:
        # Django accepts single digits, and all ISO 8601 forms that Python accepts, such as
        # 2026-W40-1.
        if re.fullmatch(r"\d{4}-\d{1,2}-\d{1,2}", text):
            return date(*map(int, text.split("-")))
        return date.fromisoformat(text)
    except ValueError:
        raise _InvalidError(
            "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
        ) from None


def _boolean(text: str) -> bool:
    if text.lower() in {"t", "y", "yes", "true", "on", "1"}:
        return True
    if text.lower() in {"f", "n", "no", "false", "off", "0"}:
        return False
    raise _InvalidError("Must be a valid boolean.")


# Without `field`, CFPB searches narratives. The deployed release has no narratives, and refuses the
# name of their field (docs/facts.md, "Releases" and "Search words").
_DEFAULT_FIELD = "complaint_what_happened"
_FIELDS: Mapping[Era, tuple[str, ...]] = {
    "2024": (_DEFAULT_FIELD, "company", "all", "_all"),
    "deployed": ("company", "all", "_all"),
}
_SCALARS: Mapping[str, Rule] = {
    "size": _integer(0, 100_000),
    "frm": _integer(0, 10_000),
    "sort": _choice(("relevance_desc", "relevance_asc", "created_date_desc", "created_date_asc")),
    "search_term": _text(),
    "date_received_min": _day,
    "date_received_max": _day,
    "page": _integer(1, 10_000),
    "company_received_min": _day,
    "company_received_max": _day,
    "search_after": _text(),
    "no_aggs": _boolean,
    "no_highlight": _boolean,
}
_EXCLUDABLE: Mapping[str, Rule] = {
    "company": _text(),
    "company_public_response": _text(),
    "company_response": _text(),
    "issue": _text(),
    "product": _text(),
    "state": _choice(STATES),
    "tags": _text(),
}
_INCLUDABLE: Mapping[str, Rule] = {
    **_EXCLUDABLE,
    "submitted_via": _text(),
    "timely": _text(),
    "zip_code": _text(5, 5),
}


def read_query(parameters: Iterable[tuple[str, str]], era: Era) -> Query:
    """Return the search that the parameters describe.

    `has_narrative` and the field `complaint_what_happened` exist only in releases with narratives
    (docs/facts.md, "Releases"). `frm` and `page` are checked, but have no effect (docs/facts.md,
    "Paging").

    Raises:
        HttpError: If parameters are invalid. The status is 400, and the body has the messages of
            all invalid parameters.
    """
    values: dict[str, list[str]] = {}
    for name, value in parameters:
        values.setdefault(name, []).append(value)
    validator = _Validator(values)
    scalars = validator.scalars({"field": _choice(_FIELDS[era]), **_SCALARS})
    narrative: dict[str, Rule] = {"has_narrative": _text()} if era == "2024" else {}
    including = validator.lists({**_INCLUDABLE, **narrative})
    excluding = validator.lists(_EXCLUDABLE, prefix="not_")
    size, frm = scalars.get("size", 25), scalars.get("frm", 0)
    if not validator.errors and size and frm % size:
        validator.errors["non_field_errors"] = ["frm is not zero or a multiple of size"]
    if validator.errors:
        raise HttpError(400, validator.errors)
    sort = scalars.get("sort", "relevance_desc")
    return Query(
        filters=Filters(
            date_received=(scalars.get("date_received_min"), scalars.get("date_received_max")),
            date_sent_to_company=(
                scalars.get("company_received_min"),
                scalars.get("company_received_max"),
            ),
            including=including,
            excluding=excluding,
            search_term=scalars.get("search_term"),
            search_field=scalars.get("field", _DEFAULT_FIELD),
        ),
        size=size,
        by_relevance=sort.startswith("relevance"),
        descending=sort.endswith("desc"),
        search_after=scalars.get("search_after"),
        aggregations=not scalars.get("no_aggs", False),
    )


class _Validator:
    """Validates values by rules, and collects the messages about invalid values in `errors`."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values
        self.errors: dict[str, object] = {}

    def scalars(self, rules: Mapping[str, Rule]) -> dict[str, Any]:
        """Return the valid scalar parameters. If a parameter is repeated, its last value counts."""
        values = {}
        for name in rules.keys() & self._values.keys():
            try:
                values[name] = rules[name](self._values[name][-1])
            except _InvalidError as error:
                self.errors[name] = [str(error)]
        return values

    def lists(self, rules: Mapping[str, Rule], prefix: str = "") -> FieldValues:
        """Return the list parameters. A message about an invalid item has the item's index."""
        lists = []
        for field in [field for field in rules if prefix + field in self._values]:
            name = prefix + field
            values, errors = [], {}
            for number, text in enumerate(self._values[name]):
                try:
                    values.append(rules[field](text))
                except _InvalidError as error:
                    errors[str(number)] = [str(error)]
            if errors:
                self.errors[name] = errors
            elif field in {"product", "issue"} and not prefix and max(map(_bullets, values)) > 1:
                either = f'"{field}" or "{field}{BULLET}sub{field}"'
                self.errors[name] = [f"{field.title()} is malformed, it needs to be {either}"]
            lists.append((field, frozenset(values)))
        return tuple(lists)


def _bullets(value: str) -> int:
    return value.count(BULLET)
