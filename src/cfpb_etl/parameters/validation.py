"""pydantic's check of the values of all parameters, and the words for its errors.

This module is imported when a value is checked, because pydantic takes 0.08 s to import.
"""

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError, create_model

from cfpb_etl.errors import WrongParameterError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What to do instead, by pydantic's types of errors.
_ALLOWED = {
    "greater_than_equal": "give a number from {ge}",
    "less_than_equal": "give a number up to {le:,}",
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "give a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "give a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "give true or false"),
    "string_type": "give a text",
    "literal_error": "give {expected}",
}


def checked_fields(parameters: "DataclassInstance") -> Iterable[tuple[str, Any]]:
    """Return the name and the checked value of each field. Lists and days then have one type.

    Raises:
        WrongParameterError: If a value is not valid.
    """
    given = {each.name: getattr(parameters, each.name) for each in fields(parameters)}
    try:
        return _model_of(type(parameters)).model_validate(given)
    except ValidationError as error:
        parameter = str(error.errors()[0]["loc"][0])
        raise WrongParameterError(parameter=parameter, reason=reason_of(error)) from None


@cache
def _model_of(kind: type["DataclassInstance"]) -> type[BaseModel]:
    types: dict[str, Any] = {each.name: (each.type, ...) for each in fields(kind)}
    return create_model("Parameters", **types)


def reason_of(error: ValidationError) -> str:
    """Return what is wrong with a value, or what is allowed."""
    first = error.errors()[0]
    kind, context = first["type"], first.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    allowed = _ALLOWED.get(kind, first["msg"]).format(**context)
    return f"{first['input']!r} is not valid; {allowed}"
