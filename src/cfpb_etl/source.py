"""The one shape that every source of complaints has for the flow.

A source names its parts, fetches a part, and says how many may be fetched side by side. What is
fetched knows how to be read and which part follows it, so that the flow never asks what kind of
source it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

from cfpb_etl.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Sequence


class Part(Protocol):
    """A place to start fetching: small, picklable, and named for a person by its text."""

    def as_progress(self) -> str:
        """Return what the database remembers of this part, as JSON."""
        ...


class Source(Protocol):
    """Where complaints come from: a small, picklable value."""

    @property
    def kind(self) -> str:
        """Return what a load of it is recorded as: `api`, or `sample` for made-up complaints."""
        ...

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        ...

    @property
    def lanes(self) -> int:
        """Return how many parts may be fetched side by side."""
        ...

    @property
    def limit(self) -> int | None:
        """Return how many complaints were asked for, or None for all that match."""
        ...

    def described(self) -> str:
        """Return what is asked for as JSON, for the record."""
        ...

    def parts(self) -> Sequence[Part]:
        """Return the parts to start with."""
        ...

    def fetch(self, part: Any) -> RawPart:  # noqa: ANN401 - each source has a part type of its own
        """Fetch one part.

        Raises:
            SearchApiError: One of its subclasses, for every way in which that can fail.
        """
        ...


# From a part's name and body: its complaints, the columns that each of them carries, and the names
# in it that nobody knows.
Reader = Callable[[str, bytes], tuple[list[Complaint], Collection[str], Collection[str]]]


class RawPart:
    """What came, as it came.

    A plain class on purpose: Prefect walks lists, namedtuples and dataclasses that are handed from
    task to task, which for 100,000 complaints costs 5 s and for a plain class nothing.

    Attributes:
        name: The part's name for a person, such as `page 3, 10,000 complaints`.
        rows: How many complaints it carries.
        matching: How many complaints the source said match in all, when it sent this.
        as_of: The day of the source's data, `YYYY-MM-DD`.
        following: The part that follows it, or None when this was the last.
    """

    def __init__(  # noqa: PLR0913 - each is one fact about what came
        self,
        body: bytes,
        read: Reader,
        *,
        name: str,
        rows: int,
        matching: int,
        as_of: str,
        following: Part | None,
    ) -> None:
        self._body = body
        self._read = read
        self.name = name
        self.rows = rows
        self.matching = matching
        self.as_of = as_of
        self.following = following

    def __str__(self) -> str:
        return self.name

    def parsed(self) -> ParsedPart:
        """Read the body, which is let go: Prefect keeps about half of the values submitted to it.

        Raises:
            CfpbEtlError: When the body cannot be read as complaints.
        """
        body, self._body = self._body, b""
        return ParsedPart(*self._read(self.name, body), self)


class ParsedPart:
    """The complaints of a part, to be stored once.

    Attributes:
        name: The part's name for a person.
        rows: How many complaints it carries.
        columns: The columns that every complaint of it carries. Only these may replace a value
            that is stored; any other may fill an empty one.
        unknown: Names in it that are no column and not known to be left out.
        matching: As in `RawPart`.
        as_of: As in `RawPart`.
        following: As in `RawPart`.
    """

    def __init__(
        self,
        complaints: list[Complaint],
        columns: Collection[str],
        unknown: Collection[str],
        raw: RawPart,
    ) -> None:
        self._complaints: list[Complaint] | None = complaints
        self.columns = columns
        self.unknown = unknown
        self.name = raw.name
        self.rows = raw.rows
        self.matching = raw.matching
        self.as_of = raw.as_of
        self.following = raw.following

    def __str__(self) -> str:
        return self.name

    def complaints(self) -> list[Complaint]:
        """Hand over the complaints, which this part then forgets.

        Raises:
            RuntimeError: If they were handed over before: none at all would pass for a part stored.
        """
        complaints, self._complaints = self._complaints, None
        if complaints is None:
            raise RuntimeError(f"{self.name} was already handed over to be stored")
        return complaints
