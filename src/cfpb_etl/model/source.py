"""The one shape that every source of complaints has for the flow.

A source names its parts, fetches a part, and says how many may be fetched side by side. What is
fetched knows how to be read and which part follows it, so that the flow never asks what kind of
source it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cfpb_etl.fetch.http.rate_limit import Pace
    from cfpb_etl.model.part import Part, RawPart, Version


@dataclass(frozen=True)
class Reached:
    """How far a database has come, for a source that goes on from there.

    Attributes:
        load_id: The newest complete load that was not limited, of the source's kind or of all that
            CFPB has; None where there is none.
        query: What it asked for, as its source described it.
        until: The last day that it covers, or an update of it since; None when nothing matched.
        versions: Of each file that a complete load of the source's kind stored, the version that
            was stored last, by the key of its part.
        added_since: Whether a load of another kind has added complaints since then, or was one of
            all that CFPB has, so that what was left out may come in.
    """

    load_id: int | None = None
    query: str = "{}"
    until: str | None = None
    versions: Mapping[str, Version] = field(default_factory=dict)
    added_since: bool = False


class Source(Protocol):
    """Where complaints come from: a small, picklable value."""

    @property
    def kind(self) -> str:
        """Return what a load of it is recorded as.

        That is `api`, `sample` for made-up complaints, or `bulk` and `archive` for CFPB's files.
        """
        ...

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        ...

    @property
    def pace(self) -> Pace | None:
        """Return the gate that every request to its server goes through, if there is one."""
        ...

    @property
    def lanes(self) -> int:
        """Return how many parts may be fetched side by side."""
        ...

    @property
    def limit(self) -> int | None:
        """Return how many complaints were asked for, or None for all that match."""
        ...

    @property
    def updates(self) -> int | None:
        """Return the load that it brings up to date, or None."""
        ...

    @property
    def proves_absence(self) -> bool:
        """Say whether a complaint of the days asked for that does not come is gone."""
        ...

    def described(self) -> str:
        """Return what is asked for as JSON, for the record."""
        ...

    def given(self, reached: Reached) -> Source:
        """Return what is to be asked for, given how far the database has come."""
        ...

    def parts(self) -> Sequence[Part]:
        """Return the parts to start with."""
        ...

    def part_of(self, progress: str) -> Part:
        """Return the part that `as_progress` told of."""
        ...

    def fetch(self, part: Any) -> RawPart:  # noqa: ANN401 - each source has a part type of its own
        """Fetch one part.

        Raises:
            ServerError: One of its subclasses, for every way in which that can fail.
        """
        ...

    def divided(self, raw: RawPart, under_way: int) -> Sequence[Part]:
        """Return what follows a part, divided where more should be fetched side by side.

        Args:
            raw: What came.
            under_way: How many other parts are being fetched.
        """
        ...
