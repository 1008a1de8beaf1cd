"""The parts of a load at each stage: to be fetched, fetched, and parsed.

A part is a page of the search API, or a file. One transaction stores the part's rows and the list
of parts that follow, so an interruption never loses half a part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from pyroaring import BitMap64

from cfpb_etl.model.dates import latest_plausible_day

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from cfpb_etl.model.age import Age, Evidence
    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.file import FileVersion, Survey


class Part(Protocol):
    """A page or file to fetch: small, picklable, and printable."""

    @property
    def key(self) -> str:
        """Return the key of the part's window. All pages of a date window share one key."""
        ...

    def to_json(self) -> str:
        """Return the part as JSON, for the database."""
        ...

    def first(self) -> Part:
        """Return the first part of the same window, to read the window again."""
        ...


@dataclass(frozen=True)
class PartInfo:
    """Facts about a fetched part, without its complaints.

    Attributes:
        part: The part that was fetched.
        name: The part's name for people, such as `page 3, 10,000 complaints`.
        rows: How many complaints the part has; None for a file, whose rows are counted later.
        matching: How many complaints the source counts in the part's window; None for a file.
        expected: How many of the matching complaints the load asks for. A limit can lower this
            number.
        age: How old the part's data are; None until the file has been read.
        evidence: What else shows the age of a file; None for a page.
        today: The latest plausible day, `YYYY-MM-DD`.
        origin: How the data came: as an answer of the search API, as a download, or from a local
            file.
        days: The first and last day received that the window covers; a day is None if the window
            has no bound on that side.
        proves_absence: Whether a complaint's absence from the window proves that the source no
            longer has it. This concerns only complaints received on these days.
        is_whole: Whether a file has all complaints that CFPB publishes; None if only its complaints
            show this.
        seconds: How many seconds the source took to send the part.
        max_withdrawn: A whole file is rejected if it lacks more than this share (0 to 1) of the
            stored complaints. For another file, no complaint is then marked.
        fills_gaps_only: Whether the part may only fill empty values. Complaints that are not stored
            yet are added to a complete database, but skipped in a partial database.
        version: The version of the file.
        is_unchanged: Whether this version of the file is already stored. The server then sent no
            file.
        source_total: How many complaints the source has in all; None if this is not known.
    """

    part: Part
    name: str
    rows: int | None
    matching: int | None
    expected: int | None
    age: Age | None
    evidence: Evidence | None = None
    today: str = field(default_factory=latest_plausible_day)
    origin: Origin = "file"
    days: tuple[str | None, str | None] = (None, None)
    proves_absence: bool = False
    is_whole: bool | None = False
    seconds: float = 0.0
    max_withdrawn: float = 1.0
    fills_gaps_only: bool = False
    version: FileVersion | None = None
    is_unchanged: bool = False
    source_total: int | None = None

    @property
    def has_complaints(self) -> bool:
        """Say whether the part is a page of hits or a file, not the archive's page."""
        return bool(self.age or self.evidence) or self.is_unchanged

    @property
    def is_window(self) -> bool:
        """Say whether the part is a complete window. A file is a complete window; a page is not."""
        return self.matching is None


Origin: TypeAlias = Literal["answer", "download", "file"]


class RawPart:
    """A fetched part that is not parsed yet.

    This is a plain class. Prefect walks through every list, named tuple and dataclass that one task
    passes to another, which takes 5 s for 100,000 complaints. Plain classes are not
    walked through.

    Attributes:
        info: Facts about the part.
        next_parts: The parts that follow this part; empty after the last part of a window.
        on_stored: A function to call after the part is stored; it can remove a download.
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
        """Return how many complaints the part has; None if this is not known yet."""
        return self.info.rows

    def take_content(self) -> object:
        """Return the content and remove it from this part, because Prefect keeps many results.

        Raises:
            RuntimeError: If the content was taken before. Without this error, the part would look
                empty.
        """
        content, self._content = self._content, ...
        if content is ...:
            raise RuntimeError(f"{self} was already taken to be parsed")
        return content


@dataclass
class ReadStats:
    """What the parser has found in a part so far.

    Attributes:
        rows: Complaints read, including unchanged ones.
        unchanged: Complaints that were not parsed, because the same line is already stored.
        days: The first and last plausible day received of the unchanged complaints; empty if there
            is no such day.
        after_today: Unchanged complaints that were received after the latest plausible day.
        duplicates: Complaints whose id occurs earlier in the part; the last copy counts.
        duplicate_ids: The ids of the duplicates.
        rejected: Rows that are not valid complaints.
        without_id: Rejected rows that have no readable complaint id.
        repeated_headers: Rows that repeat the header.
        warnings: The first problems found, each with its line number.
        ids: The ids of all rows, including rejected rows. None for a page, because the database
            collects the ids of its window.
    """

    rows: int = 0
    unchanged: int = 0
    days: list[str] = field(default_factory=list)
    after_today: int = 0
    duplicates: int = 0
    duplicate_ids: BitMap64 = field(default_factory=BitMap64)
    rejected: int = 0
    without_id: int = 0
    repeated_headers: int = 0
    warnings: list[str] = field(default_factory=list)
    ids: BitMap64 | None = None


class Batch(NamedTuple):
    """Some hundred complaints of a part, in the part's order.

    Attributes:
        complaints: The complaints; empty for a batch of unchanged lines.
        line_hashes: The hashes of the complaints' lines, 8 bytes each; empty if lines are not
            compared.
    """

    complaints: list[Complaint]
    line_hashes: bytes = b""


class ParsedContent(NamedTuple):
    """The result of parsing the content of a part.

    Attributes:
        batches: The complaints, which can be iterated once.
        columns: The columns that every complaint has. These columns may replace stored values.
            Other columns may only fill empty values.
        unknown_columns: Names in the content that are not columns.
        read_stats: What the parser has found; complete after the last batch.
        survey: What reading the file before its complaints are stored has shown; None if the file
            was not read before.
    """

    batches: Iterable[Batch]
    columns: Collection[str]
    unknown_columns: Collection[str]
    read_stats: ReadStats
    survey: Survey | None = None


class ParsedPart:
    """The complaints of a part, which can be stored once.

    The complaints of a page are already parsed. The complaints of a file are parsed while they are
    stored, so storing can raise errors about rows.

    Attributes:
        info, next_parts, on_stored: The same as in `RawPart`.
        columns, unknown_columns, read_stats, survey: The same as in `ParsedContent`.
    """

    def __init__(self, content: ParsedContent, raw: RawPart, info: PartInfo) -> None:
        self._batches: Iterable[Batch] | None = content.batches
        self.columns = content.columns
        self.unknown_columns = content.unknown_columns
        self.read_stats = content.read_stats
        self.survey = content.survey
        self.info = info
        self.next_parts = raw.next_parts
        self.on_stored = raw.on_stored

    def __str__(self) -> str:
        return self.info.name

    @property
    def rows(self) -> int | None:
        """Return how many complaints the part has; None if this is not known yet."""
        return self.info.rows

    def take_batches(self) -> Iterable[Batch]:
        """Return the complaints and remove them from this part.

        Raises:
            RuntimeError: If the complaints were taken before. An empty part would look stored.
        """
        batches, self._batches = self._batches, None
        if batches is None:
            raise RuntimeError(f"{self} was already taken to be stored")
        return batches
