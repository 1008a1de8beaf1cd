"""The one shape that every source of complaints has for the flow.

A source names its parts, fetches a part, and says how many may be fetched side by side. What is
fetched knows how to be read and which part follows it, so that the flow never asks what kind of
source it has.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cfpb_etl.complaint import Complaint

if TYPE_CHECKING:
    from collections.abc import Sequence


class Part(Protocol):
    """A place to start fetching: small, picklable, and named for a person by its text."""

    @property
    def key(self) -> str:
        """Return what it shares with the parts that lead up to it, and with no other."""
        ...

    def as_progress(self) -> str:
        """Return what the database remembers of this part, as JSON."""
        ...

    def first(self) -> Part:
        """Return the part with which its key began, to read all of it again."""
        ...


@dataclass(frozen=True)
class Reached:
    """How far a database has come, for a source that brings it up to date.

    Attributes:
        load_id: The newest complete load that was not limited.
        query: What it asked for, as its source described it.
        until: The last day that it covers, or an update of it since; None when nothing matched.
    """

    load_id: int
    query: str
    until: str | None


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

    def given(self, reached: Reached | None) -> Source:
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
            SearchApiError: One of its subclasses, for every way in which that can fail.
        """
        ...

    def divided(self, raw: RawPart, under_way: int) -> Sequence[Part]:
        """Return what follows a part, divided where more should be fetched side by side.

        Args:
            raw: What came.
            under_way: How many other parts are being fetched.
        """
        ...


# From a part's content and name: its complaints, the columns that each of them carries, and the
# names in it that nobody knows.
Reader = Callable[[Any, str], tuple[list[Complaint], Collection[str], Collection[str]]]


@dataclass(frozen=True)
class Facts:
    """What is known of a part that came, besides its complaints.

    Attributes:
        part: The part that was asked for.
        name: Its name for a person, such as `page 3, 10,000 complaints`.
        rows: How many complaints it carries.
        matching: How many complaints the source counts in all parts of its key.
        expected: Of these, how many are wanted: fewer where the query is limited.
        as_of: The day of the source's data, `YYYY-MM-DD`.
        days: The first and the last day received that its key covers; None is open.
        proves_absence: Whether a complaint of these days that is in no part of its key is gone.
        seconds: How long the source took to send it.
    """

    part: Part
    name: str
    rows: int
    matching: int
    expected: int
    as_of: str
    days: tuple[str | None, str | None]
    proves_absence: bool
    seconds: float


class RawPart:
    """What came, as it came.

    A plain class on purpose: Prefect walks lists, namedtuples and dataclasses that are handed from
    task to task, which for 100,000 complaints costs 5 s and for a plain class nothing.

    Attributes:
        facts: What is known of it.
        following: The parts that follow it; empty when it was the last of its key.
    """

    def __init__(
        self,
        content: object,  # each source has a kind of content that its reader knows
        read: Reader,
        facts: Facts,
        following: Sequence[Part] = (),
    ) -> None:
        self._content = content
        self._read = read
        self.facts = facts
        self.following = following

    def __str__(self) -> str:
        return self.facts.name

    @property
    def rows(self) -> int:
        """Return how many complaints it carries."""
        return self.facts.rows

    def parsed(self) -> ParsedPart:
        """Read the content and let it go: Prefect keeps about half of what is submitted to it.

        Raises:
            CfpbEtlError: When it cannot be read as complaints.
        """
        content, self._content = self._content, None
        return ParsedPart(*self._read(content, self.facts.name), self.facts, self.following)


class ParsedPart:
    """The complaints of a part, to be stored once.

    Attributes:
        columns: The columns that every complaint of it carries. Only these may replace a value
            that is stored; any other may fill an empty one.
        unknown: Names in it that are no column and not known to be left out.
        facts: As in `RawPart`.
        following: As in `RawPart`.
    """

    def __init__(
        self,
        complaints: list[Complaint],
        columns: Collection[str],
        unknown: Collection[str],
        facts: Facts,
        following: Sequence[Part],
    ) -> None:
        self._complaints: list[Complaint] | None = complaints
        self.columns = columns
        self.unknown = unknown
        self.facts = facts
        self.following = following

    def __str__(self) -> str:
        return self.facts.name

    @property
    def rows(self) -> int:
        """Return how many complaints it carries."""
        return self.facts.rows

    def complaints(self) -> list[Complaint]:
        """Hand over the complaints, which this part then forgets.

        Raises:
            RuntimeError: If they were handed over before: none at all would pass for a part stored.
        """
        complaints, self._complaints = self._complaints, None
        if complaints is None:
            raise RuntimeError(f"{self} was already handed over to be stored")
        return complaints
