"""A source of complaints: its parts, how to fetch one, and how many to fetch in parallel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cfpb_etl.model.part import FileVersion, Part, RawPart

# What a load records as its source: CFPB's search API, its daily file of all complaints, its
# archive of narratives, or made-up complaints from the emulator.
SourceKind: TypeAlias = Literal["api", "bulk", "archive", "sample"]


@dataclass(frozen=True)
class Watermark:
    """How far a database is loaded, for a source that resumes from there.

    Attributes:
        load_id: The newest complete load without a limit, of the source's kind or of all that CFPB
            has; or None.
        query: What that load asked for, as the source's JSON.
        covers_until: The last day that it, or an update of it, covers; None when nothing matched.
        versions: The stored version of each file, by the key of its part.
        added_since: Whether another kind of load has added complaints since then, or was a load of
            all that CFPB has, so that skipped complaints can now be added.
    """

    load_id: int | None = None
    query: str = "{}"
    covers_until: str | None = None
    versions: Mapping[str, FileVersion] = field(default_factory=dict)
    added_since: bool = False


class Source(Protocol):
    """Where complaints come from: a small, picklable value."""

    @property
    def kind(self) -> SourceKind:
        """Return what a load of it is recorded as."""
        ...

    @property
    def address(self) -> str:
        """Return where it is, for the record."""
        ...

    @property
    def part_noun(self) -> str:
        """Return what its parts are called, such as `page`."""
        ...

    @property
    def max_concurrency(self) -> int:
        """Return how many parts may be fetched in parallel."""
        ...

    @property
    def limit(self) -> int | None:
        """Return how many complaints were asked for, or None for all that match."""
        ...

    @property
    def is_update(self) -> bool:
        """Say whether it repeats an earlier load."""
        ...

    @property
    def updates_load_id(self) -> int | None:
        """Return the load that it repeats, once that has been found, or None."""
        ...

    @property
    def is_partial(self) -> bool:
        """Say whether it asks for only a part of all complaints."""
        ...

    @property
    def proves_absence(self) -> bool:
        """Say whether a complaint of the days asked for that is not received is gone."""
        ...

    def rate_limit_use(self) -> str:
        """Return how much of the server's rate limit is in use, in words, or ""."""
        ...

    def query_json(self) -> str:
        """Return what is asked for as JSON, for the record."""
        ...

    def resume_from(self, watermark: Watermark) -> Source:
        """Return what to ask for, given how far the database is loaded."""
        ...

    def parts(self) -> Sequence[Part]:
        """Return the parts to start with."""
        ...

    def part_from_json(self, text: str) -> Part:
        """Return the part that `to_json` wrote."""
        ...

    def fetch(self, part: Any) -> RawPart:  # noqa: ANN401 - each source has a part type of its own
        """Fetch one part.

        Raises:
            ServerError: One of its subclasses, for each way in which that can fail.
        """
        ...

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:
        """Return the parts that follow a fetched one, split if more can be fetched in parallel.

        Args:
            raw: The fetched part.
            in_flight: How many other parts are being fetched.
        """
        ...
