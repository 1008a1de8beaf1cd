"""The types of the parameters: what each accepts, and its JSON schema for Prefect.

Prefect's server validates with the JSON schema alone, so a schema says all that it can about one
value. The server ignores `format`, but Prefect's form chooses an input by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from cyclopts import Parameter, Token

from cfpb_etl.model.file import PRODUCTS, DateOrder
from cfpb_etl.model.query import MAX_TEXT, STATES, ZIP_CODE
from cfpb_etl.parameters.checks import (
    ADDRESS_LIKE,
    api_address,
    as_day,
    as_path,
    as_picture,
    as_switch,
    as_texts,
    block_name,
    export_targets,
    file_addresses,
    in_capitals,
    not_bool,
    past_day,
    rows_or_share,
)

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

# Values of CFPB's data (docs/facts.md, "Values and their counts"). The form suggests them, and
# accepts others, because CFPB adds new ones.
_PRODUCTS = sorted(name for names in PRODUCTS.values() for name in names)
_CHANNELS = ["Email", "Fax", "Phone", "Postal mail", "Referral", "Web", "Web Referral"]
_RESPONSES = [
    "Closed",
    "Closed with explanation",
    "Closed with monetary relief",
    "Closed with non-monetary relief",
    "Closed with relief",
    "Closed without relief",
    "In progress",
    "Untimely response",
]
_TAGS = ["Older American", "Older American, Servicemember", "Servicemember"]

_END = r"(?![\s\S])"  # `$` would accept a line break after the text
# Not blank, and without the characters that a request or a path cannot have.
_PLAIN = r"^(?=[\s\S]*\S)[^\x00\ud800-\udfff]+" + _END
_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": _PLAIN}
_LEVEL = r"[^•\x00\ud800-\udfff]*[^•\s\x00\ud800-\udfff][^•\x00\ud800-\udfff]*"
_LEVELS = _TEXT | {"pattern": f"^{_LEVEL}(•{_LEVEL})?{_END}"}
# A day of the calendar: long months, short months, February, and February 29 of leap years.
_DAY = (
    r"^(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
) + _END
_PORT = "(:([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])?)?"
# No login, and no query: it can be secret, and Prefect stores parameters.
_URL = r"(?i:https?)://(?![^/]*:.*@)[A-Za-z0-9][A-Za-z0-9_.-]*" + _PORT + r"(/[\w!-\"$->@-~]*)?"
_NAMED = r"(env|secret):[^/\\\s][^\n]*"
_ADDRESS = f"{_URL}|{_NAMED}"
# A path that is not like an address, as for the command line.
_PATH = rf"(?![\s\S]*://)(?!(?i:{ADDRESS_LIKE.pattern}))[^\x00\ud800-\udfff]+"
# Also without a password, as for `is_like_address`.
_TARGET = rf"(?![\s\S]*(?::[\s\S]*@|(?i:password)\s*=)){_PATH}"
MAX_LIMIT = 1_000_000_000  # complaints
MAX_LOOKBACK = 36_500  # days


class _WithoutDefault(dict[str, Any]):
    """A JSON schema that keeps no default.

    Prefect's form would send a default of None as null, and the API would refuse null for a
    parameter that has a default and a type.
    """

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - a part of a schema
        if key != "default":
            super().__setitem__(key, value)


@dataclass(frozen=True)
class _Form:
    """The JSON schema of a type, for Prefect's API and form.

    Prefect's form draws each schema of `anyOf` as a tab. It has no input with suggestions.
    """

    schema: dict[str, Any]

    def __get_pydantic_json_schema__(self, _core: object, _handler: object) -> dict[str, Any]:
        """Return the schema. Pydantic then adds the default, and Prefect the name."""
        return _WithoutDefault(self.schema)


# The validators of pydantic. They import pydantic only when it validates, because the help, the
# version and the status would take 0.08 s longer with it.


@dataclass(frozen=True)
class _Before:
    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        """Return the schema of a `BeforeValidator`."""
        from pydantic import BeforeValidator

        return BeforeValidator(self.check).__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True)
class _After:
    check: Callable[[Any], Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        """Return the schema of an `AfterValidator`."""
        from pydantic import AfterValidator

        return AfterValidator(self.check).__get_pydantic_core_schema__(source, handler)


@dataclass(frozen=True)
class _Between:
    minimum: int
    maximum: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: "GetCoreSchemaHandler"
    ) -> "CoreSchema":
        """Return the schema of a number with these limits."""
        from pydantic import Field

        return handler(Annotated[source, Field(ge=self.minimum, le=self.maximum)])


def _if_given(check: Callable[[Any], Any]) -> _After:
    return _After(lambda value: None if value is None else check(value))


def _text(pattern: str) -> _Form:
    return _Form({"type": "string", "pattern": pattern})


def _one_or_several(text: dict[str, Any]) -> _Form:
    several = {"type": "array", "items": text}
    return _Form({"anyOf": [{"title": "One", **text}, {"title": "Several", **several}]})


def _chosen_or_typed(values: Sequence[str], text: dict[str, Any]) -> _Form:
    choices = {"type": "array", "items": {"type": "string", "enum": [*values]}}
    several = {"type": "array", "items": text}
    return _Form(
        {
            "anyOf": [
                {"title": "Choose", **choices},
                {"title": "Type one", **text},
                {"title": "Type several", **several},
            ]
        }
    )


def _all_values(_type: object, tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.value for token in tokens)


Switch = Annotated[bool, _Before(as_switch)]
Database = Annotated[Path | str | None, _Before(as_path), _text(_PLAIN), Parameter(metavar="PATH")]
Picture = Annotated[
    Path | str | None,
    _Before(as_picture),
    _text(rf"(?i)^(none|[^\x00\ud800-\udfff]*[^/\\\x00\ud800-\udfff]\.(svg|png)){_END}"),
    Parameter(negative_none="no-", metavar="PATH", show_default=False),
]
Day = Annotated[
    str | date | None,
    _Before(as_day),
    _Form({"type": "string", "format": "date", "pattern": _DAY}),
    Parameter(metavar="DATE"),
]
PastDay = Annotated[Day, _if_given(past_day)]
Timely = Annotated[Literal["Yes", "No"] | None, _Form({"type": "string", "enum": ["Yes", "No"]})]
Order = Annotated[DateOrder | None, _Form({"type": "string", "enum": [*get_args(DateOrder)]})]
Words = Annotated[str | None, _Form(_TEXT), Parameter(metavar="WORDS")]

# Of a union, the command line would use only the first value.
Texts = Annotated[
    tuple[str, ...] | str | Sequence[str],
    _Before(as_texts),
    Parameter(converter=_all_values),
]
States = Annotated[
    Texts,
    _After(in_capitals),
    _chosen_or_typed(STATES, {"type": "string", "pattern": f"(?i)^({'|'.join(STATES)}){_END}"}),
    Parameter(metavar="CODE"),
]
Products = Annotated[Texts, _chosen_or_typed(_PRODUCTS, _LEVELS), Parameter(metavar="NAME")]
Issues = Annotated[Texts, _one_or_several(_LEVELS), Parameter(metavar="NAME")]
Companies = Annotated[Texts, _one_or_several(_TEXT), Parameter(metavar="NAME")]
Tags = Annotated[Texts, _chosen_or_typed(_TAGS, _TEXT), Parameter(metavar="NAME")]
Channels = Annotated[Texts, _chosen_or_typed(_CHANNELS, _TEXT), Parameter(metavar="NAME")]
Responses = Annotated[Texts, _chosen_or_typed(_RESPONSES, _TEXT), Parameter(metavar="TEXT")]
ZipCodes = Annotated[
    Texts,
    _one_or_several({"type": "string", "pattern": ZIP_CODE + _END}),
    Parameter(metavar="CODE"),
]

Limit = Annotated[
    Annotated[int, _Between(1, MAX_LIMIT)] | None,
    _Before(not_bool),
    _Form({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    Parameter(metavar="N"),
]
Lookback = Annotated[
    Annotated[int, _Between(1, MAX_LOOKBACK)] | None,
    _Before(not_bool),
    _Form({"type": "integer", "minimum": 1, "maximum": MAX_LOOKBACK}),
    Parameter(metavar="DAYS"),
]
RowsOrShare = Annotated[
    float | None,
    _Before(not_bool),
    _if_given(rows_or_share),
    _Form(
        {
            "type": "number",
            "minimum": 0,
            "if": {"minimum": 1},
            "then": {"multipleOf": 1},
        }
    ),
    Parameter(metavar="N"),
]

Address = Annotated[
    str | None,
    _if_given(api_address),
    _text(f"^({_ADDRESS}){_END}"),
    Parameter(metavar="URL"),
]
Files = Annotated[
    tuple[str, ...] | str | Path | Sequence[str | Path],
    _Before(as_texts),
    Parameter(converter=_all_values),
    _After(file_addresses),
    _one_or_several({"type": "string", "pattern": f"^({_ADDRESS}|{_PATH}){_END}"}),
    Parameter(metavar="FILE"),
]
BlockName = Annotated[
    str | None,
    _if_given(block_name),
    _text(rf"^[^/:\s]+/[^/:\s]+{_END}"),
    Parameter(metavar="TYPE/NAME"),
]
Targets = Annotated[
    tuple[str, ...] | str | Path | Sequence[str | Path],
    _Before(as_texts),
    _After(export_targets),
    _one_or_several({"type": "string", "pattern": f"^({_NAMED}|{_TARGET}){_END}"}),
]
