"""What can be wrong with a query."""

from __future__ import annotations

from cfpb_etl.errors import CfpbEtlError


class InvalidQueryError(CfpbEtlError):
    """Raised when a query asks for what the search API does not allow.

    Attributes:
        field: The name of the query's field, such as `state`.
        value: What was given.
        allowed: What may be given, as words for a person.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {value!r} is not valid; {allowed}")
