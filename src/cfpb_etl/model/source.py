"""The protocol of a source: its parts, how to fetch a part, and how many parts to fetch at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cfpb_etl.model.file import FileVersion
    from cfpb_etl.model.part import Part, RawPart

# The kinds of source that a load records: CFPB's search API, CFPB's daily file of all complaints,
# CFPB's archive of narratives, and made-up complaints from the emulator.
SourceKind: TypeAlias = Literal["api", "bulk", "archive", "sample"]


@dataclass(frozen=True)
class Watermark:
    """What the database already has from a source. A new load of the source continues from there.

    Attributes:
        database: The SQLite file.
        load_id: The newest complete load without a limit; None if no such load exists. The load is
            of the same kind as the source, or it loaded all of CFPB's complaints.
        query: The query of that load, as the source's JSON.
        covers_until: The last day that the load or its updates cover; None if no complaint matched.
        versions: The stored version of each file, by the key of its part.
        added_since: Whether to read stored files again, because a later load of another kind added
            complaints or loaded all of CFPB's complaints.
        last_ended: The day on which the last load ended, `YYYY-MM-DD`; None if no load has ended.
        stored_until: The latest day that the data of the stored loads can have; None if nothing is
            stored.
        newest: The newest day received among the stored complaints, also if it is not plausible.
    """

    database: Path
    load_id: int | None = None
    query: str = "{}"
    covers_until: str | None = None
    versions: Mapping[str, FileVersion] = field(default_factory=dict)
    added_since: bool = False
    last_ended: str | None = None
    stored_until: str | None = None
    newest: str | None = None


class Source(Protocol):
    """A source of complaints, as a small picklable value."""

    @property
    def kind(self) -> SourceKind:
        """Return the kind of source that a load records."""
        ...

    @property
    def address(self) -> str:
        """Return the URL or path of the source, as a load records it."""
        ...

    @property
    def part_noun(self) -> str:
        """Return the noun for the source's parts, such as `page`."""
        ...

    @property
    def max_concurrency(self) -> int:
        """Return how many parts may be fetched in parallel."""
        ...

    @property
    def limit(self) -> int | None:
        """Return how many complaints the user asked for; None if the user asked for all matches."""
        ...

    @property
    def is_update(self) -> bool:
        """Say whether the source repeats an earlier load."""
        ...

    @property
    def updates_load_id(self) -> int | None:
        """Return the id of the load to repeat; None if it is not found yet or does not exist."""
        ...

    @property
    def is_partial(self) -> bool:
        """Say whether the source asks for only some of all complaints."""
        ...

    @property
    def proves_absence(self) -> bool:
        """Say whether a complaint's absence from the requested days proves that CFPB removed it."""
        ...

    def rate_limit_use(self) -> str:
        """Return in words how much of the rate limit is in use; "" if the server has no limit."""
        ...

    def query_json(self) -> str:
        """Return the query as JSON, as a load records it."""
        ...

    def resume_from(self, watermark: Watermark) -> Source:
        """Return the source that loads what the database does not have yet."""
        ...

    def parts(self) -> Sequence[Part]:
        """Return the first parts to fetch."""
        ...

    def part_from_json(self, text: str) -> Part:
        """Return the part from the JSON that `to_json` wrote."""
        ...

    def fetch(self, part: Any) -> RawPart:  # noqa: ANN401 - each source has a part type of its own
        """Fetch one part.

        Raises:
            ServerError: If the request fails; each subclass is one kind of failure.
        """
        ...

    def for_other_processes(self, counted_at: str) -> Source | None:
        """Return the source with which other processes fetch parts, such as a Dask worker.

        Args:
            counted_at: The URL of Prefect's API, which counts the requests of all processes.

        Returns:
            None if parts can be fetched only in the process of the flow.
        """
        ...

    def split(self, raw: RawPart, in_flight: int) -> Sequence[Part]:
        """Return the parts that follow a fetched part. A window may be split to fetch it faster.

        Args:
            raw: The fetched part.
            in_flight: How many other parts are being fetched, or wait to be fetched.
        """
        ...
