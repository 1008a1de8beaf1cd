"""Errors that the types in this folder raise."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class InvalidQueryError(CfpbEtlError):
    """Raised when a query asks for something that the search API does not allow.

    Attributes:
        field: The field of the query, such as `state`.
        value: The value that the user gave.
        allowed: The values that are allowed, in words.
    """

    field: str
    value: object
    allowed: str
    problem = "{field}: {value!r} is not valid; {allowed}"
