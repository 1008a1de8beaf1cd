"""A part of a load, at each stage: to be fetched, fetched, and parsed.

A part is a page of the search API or a file. It is the unit of loss: its rows and the progress
after it are one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyroaring import BitMap64

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from cfpb_etl.model.complaint import Complaint


class Part(Protocol):
    """A page or file to fetch: small, picklable, and printable."""

    @property
    def key(self) -> str:
        """Return the name of its window: all pages of a date window share one key."""
        ...

    def to_json(self) -> str:
        """Return it as JSON, for the database."""
        ...

    def first(self) -> Part:
        """Return the first part of its window, to read the window again."""
        ...


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What a server sends to tell one version of a file from another.

    Attributes:
        etag: The ETag header.
        last_modified: The Last-Modified header, an HTTP date.
    """

    etag: str | None = None
    last_modified: str | None = None

    @property
    def day(self) -> str | None:
        """Return the day of the last change, `YYYY-MM-DD` in UTC, or None without one."""
        try:
            moment = parsedate_to_datetime(self.last_modified or "")
            # The zone -0000 means UTC, and Python then returns a moment without a zone.
            return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
        except (ValueError, OverflowError):
            return None


class Age(NamedTuple):
    """How old the data of a part are.

    Attributes:
        as_of: The day of the data, `YYYY-MM-DD`.
        evidence: What shows the day, such as `Last-Modified`.
        earliest: The earliest day that the data can be of; None for the newest day received.
    """

    as_of: str
    evidence: str
    earliest: str | None = None


@dataclass(frozen=True)
class PartInfo:
    """What is known of a fetched part besides its complaints.

    Attributes:
        part: The part that was fetched.
        name: Its name for people, such as `page 3, 10,000 complaints`.
        rows: How many complaints it has; None for a file, which is counted while it is stored.
        matching: How many complaints the source counts in the part's window; None for a file,
            which is a window of its own.
        expected: How many of these are wanted: fewer where the query is limited.
        age: How old its data are; None until the file has been read.
        days: The first and last day received that the window covers; None is open.
        proves_absence: Whether a complaint of these days that is missing from the window is gone.
        seconds: How long the source took to send it.
        max_withdrawn: The largest share of the stored complaints that may be missing, from 0 to 1,
            before the part is rejected as implausible.
        fills_gaps_only: Whether its values only fill gaps: a complaint that is not stored is added
            where the database holds all that CFPB has, and skipped in a partial database.
        version: Which version of the file it is.
        is_unchanged: Whether this version of the file is stored already, so that nothing was sent.
        source_total: How many complaints the source has in all, or None.
    """

    part: Part
    name: str
    rows: int | None
    matching: int | None
    expected: int | None
    age: Age | None
    days: tuple[str | None, str | None] = (None, None)
    proves_absence: bool = False
    seconds: float = 0.0
    max_withdrawn: float = 1.0
    fills_gaps_only: bool = False
    version: FileVersion | None = None
    is_unchanged: bool = False
    source_total: int | None = None

    @property
    def is_window(self) -> bool:
        """Say whether it is a window of its own, as a file is, and not one page of several."""
        return self.matching is None


class CsvFile(NamedTuple):
    """A fetched file of complaints.

    Attributes:
        path: Where it lies: a CSV, zipped or not.
        database: The SQLite file whose stored lines need not be parsed again, or None.
    """

    path: Path
    database: Path | None


class RawPart:
    """A part as it was fetched. It knows nothing of parsing.

    A plain class, because Prefect walks through lists, named tuples and dataclasses that one task
    hands to another: 5 s for 100,000 complaints, and nothing for a plain class.

    Attributes:
        info: What is known of it.
        next_parts: The parts that follow it; empty after the last of its window.
        on_stored: What to call when it is stored, such as the removal of a download.
        attempts: How many attempts the fetch took.
    """

    def __init__(
        self,
        content: object,  # a list of hits, a CsvFile, or None: its type decides the parser
        info: PartInfo,
        next_parts: Sequence[Part] = (),
        on_stored: Callable[[], object] | None = None,
    ) -> None:
        self._content = content
        self.info = info
        self.next_parts = next_parts
        self.on_stored = on_stored
        self.attempts = 1

    def __str__(self) -> str:
        return self.info.name

    @property
    def rows(self) -> int | None:
        """Return how many complaints it has, where that is known."""
        return self.info.rows

    def take_content(self) -> object:
        """Return the content and drop it: Prefect keeps about half of all submitted results.

        Raises:
            RuntimeError: If it was taken before; without content it would pass for an empty part.
        """
        content, self._content = self._content, ...
        if content is ...:
            raise RuntimeError(f"{self} was already taken to be parsed")
        return content


@dataclass
class ReadStats:
    """What reading a part has found so far.

    Attributes:
        rows: Complaints read, with the unchanged ones.
        unchanged: Complaints that were skipped because their line is stored unchanged.
        days: The first and last day received of unchanged ones, or empty.
        duplicates: Complaints whose id occurs earlier in the part; the last copy counts.
        duplicate_ids: The ids of these.
        rejected: Rows that are not valid complaints.
        without_id: Rejected rows from which no complaint id can be read.
        repeated_headers: Rows that repeat the header.
        warnings: The first problems found, each with its line.
        ids: The ids of all rows, of rejected ones too. None for a page: the database collects the
            ids of a window.
    """

    rows: int = 0
    unchanged: int = 0
    days: list[str] = field(default_factory=list)
    duplicates: int = 0
    duplicate_ids: BitMap64 = field(default_factory=BitMap64)
    rejected: int = 0
    without_id: int = 0
    repeated_headers: int = 0
    warnings: list[str] = field(default_factory=list)
    ids: BitMap64 | None = None


class Batch(NamedTuple):
    """Some hundred complaints of a part, in its order.

    Attributes:
        complaints: The complaints; empty for unchanged lines.
        line_hashes: The hashes of their lines, 8 bytes each; empty where lines are not compared.
    """

    complaints: list[Complaint]
    line_hashes: bytes = b""


class ParsedContent(NamedTuple):
    """What a parser makes of the content of a part.

    Attributes:
        batches: The complaints, handed out once.
        columns: The columns that every complaint has. Only these may replace a stored value; any
            other column may fill a gap.
        unknown_columns: Names in the content that are not columns.
        read_stats: What reading has found; complete when all batches have been handed out.
        age: How old the data are, where reading the content shows that; else None.
    """

    batches: Iterable[Batch]
    columns: Collection[str]
    unknown_columns: Collection[str]
    read_stats: ReadStats
    age: Age | None = None


class ParsedPart:
    """The complaints of a part, to be stored once.

    The complaints of a page are parsed already. Those of a file are parsed while they are stored,
    so errors in the rows are raised then.

    Attributes:
        info: As in `RawPart`, and so are `next_parts` and `on_stored`.
        content: What the parser made of it.
    """

    def __init__(self, content: ParsedContent, raw: RawPart, info: PartInfo) -> None:
        self._batches: Iterable[Batch] | None = content.batches
        self.columns = content.columns
        self.unknown_columns = content.unknown_columns
        self.read_stats = content.read_stats
        self.info = info
        self.next_parts = raw.next_parts
        self.on_stored = raw.on_stored

    def __str__(self) -> str:
        return self.info.name

    @property
    def rows(self) -> int | None:
        """Return how many complaints it has, where that is known."""
        return self.info.rows

    def take_batches(self) -> Iterable[Batch]:
        """Return the complaints and drop them.

        Raises:
            RuntimeError: If they were taken before; an empty part would pass for a stored one.
        """
        batches, self._batches = self._batches, None
        if batches is None:
            raise RuntimeError(f"{self} was already taken to be stored")
        return batches
