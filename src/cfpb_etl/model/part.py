"""A part of a load: where it begins, what came of it, and what it was parsed to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyroaring import BitMap64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cfpb_etl.model.complaint import Complaint


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


@dataclass(frozen=True, slots=True)
class Version:
    """What a server says that tells one version of a file from another.

    Attributes:
        etag: Its ETag.
        last_modified: Its Last-Modified, an HTTP date as the server writes it.
    """

    etag: str | None = None
    last_modified: str | None = None

    @property
    def day(self) -> str | None:
        """Return the day of the last change, `YYYY-MM-DD` in UTC, or None if there is none."""
        try:
            moment = parsedate_to_datetime(self.last_modified or "")
            # Where the zone is unknown, -0000, the moment is in UTC and Python leaves it without.
            return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()
        except (ValueError, OverflowError):
            return None


@dataclass
class Reading:
    """What a part turned out to hold, known when its complaints have been handed over.

    Attributes:
        rows: Complaints handed over, and known ones.
        known: Of these, those that the database holds as they are, so that they are not handed
            over.
        days: The first and the last day received of known ones; empty if there are none.
        repeated: Complaints handed over whose id came before in the part; the later copy counts.
        repeated_ids: The ids of these.
        rejected: Rows that cannot be complaints.
        nameless: Of these, rows that do not tell which complaint they are of.
        headers: Rows that repeat the header.
        remarks: The first of all that was odd, each with its line.
        ids: The ids of all rows, of rejected ones too. None where the database collects them, for
            a window of several parts.
        share: How much of the part has been read by now, from 0 to 1.
        keep: What is to be told the fingerprints of its lines meanwhile, by which they are known
            the next time; None where nobody wants them.
    """

    rows: int = 0
    known: int = 0
    days: list[str] = field(default_factory=list)
    repeated: int = 0
    repeated_ids: BitMap64 = field(default_factory=BitMap64)
    rejected: int = 0
    nameless: int = 0
    headers: int = 0
    remarks: list[str] = field(default_factory=list)
    ids: BitMap64 | None = None
    share: float = 0.0
    keep: Callable[[bytes], object] | None = None


class Content(NamedTuple):
    """What a part's reader makes of it.

    Attributes:
        complaints: Handed out once; while they are, `reading` comes about.
        columns: The columns that every complaint carries. Only these may replace a value that is
            stored; any other may fill an empty one.
        unknown: Names in it that are no column and not known to be left out.
        reading: What it turns out to hold.
    """

    complaints: Iterable[Complaint]
    columns: Collection[str]
    unknown: Collection[str]
    reading: Reading


# From what a part brought, and its name.
Reader = Callable[[Any, str], Content]


@dataclass(frozen=True)
class Facts:
    """What is known of a part that came, besides its complaints.

    Attributes:
        part: The part that was asked for.
        name: Its name for a person, such as `page 3, 10,000 complaints`.
        rows: How many complaints it carries; None for a file, whose rows nobody has counted yet.
        matching: How many complaints the source counts in all parts of its key; None for a file,
            which is all of its key.
        expected: Of these, how many are wanted: fewer where the query is limited.
        as_of: The day of the source's data, `YYYY-MM-DD`.
        days: The first and the last day received that its key covers; None is open.
        proves_absence: Whether a complaint of these days that is in no part of its key is gone.
        seconds: How long the source took to send it.
        most_withdrawn: The largest share of the stored complaints that may be gone, from 0 to 1,
            before the part is refused as one that cannot be right.
        complements: Whether it only rounds off what others brought: a complaint that nobody else
            has is stored where all that CFPB has was loaded, and left out of a partial pull.
        version: What tells this version of a file from another.
        is_known: Whether the database holds this very version, so that nothing came.
    """

    part: Part
    name: str
    rows: int | None
    matching: int | None
    expected: int | None
    as_of: str
    days: tuple[str | None, str | None] = (None, None)
    proves_absence: bool = False
    seconds: float = 0.0
    most_withdrawn: float = 1.0
    complements: bool = False
    version: Version | None = None
    is_known: bool = False


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
        stored: Callable[[], object] | None = None,
    ) -> None:
        self._content = content
        self._read = read
        self._stored = stored
        self.facts = facts
        self.following = following

    def __str__(self) -> str:
        return self.facts.name

    @property
    def rows(self) -> int | None:
        """Return how many complaints it carries, where that is known."""
        return self.facts.rows

    def parsed(self) -> ParsedPart:
        """Read the content and let it go: Prefect keeps about half of what is submitted to it.

        Raises:
            CfpbEtlError: When it cannot be read as complaints.
        """
        content, self._content = self._content, None
        read = self._read(content, self.facts.name)
        return ParsedPart(read, self.facts, self.following, self._stored)


class ParsedPart:
    """The complaints of a part, to be stored once.

    Those of a page are here; those of a file are read while they are stored, so that what is wrong
    with them shows then.

    Attributes:
        columns: As in `Content`, as are `unknown` and `reading`.
        facts: As in `RawPart`, as is `following`.
    """

    def __init__(
        self,
        content: Content,
        facts: Facts,
        following: Sequence[Part],
        stored: Callable[[], object] | None = None,
    ) -> None:
        complaints, self.columns, self.unknown, self.reading = content
        self._complaints: Iterable[Complaint] | None = complaints
        self._stored = stored
        self.facts = facts
        self.following = following

    def __str__(self) -> str:
        return self.facts.name

    @property
    def rows(self) -> int | None:
        """Return how many complaints it carries, where that is known."""
        return self.facts.rows

    @property
    def remark(self) -> str:
        """Return what a picture should say of how it is read, or ""."""
        return "" if self.rows is not None else "read while it is stored"

    def complaints(self) -> Iterable[Complaint]:
        """Hand over the complaints, which this part then forgets.

        Raises:
            RuntimeError: If they were handed over before: none at all would pass for a part stored.
        """
        complaints, self._complaints = self._complaints, None
        if complaints is None:
            raise RuntimeError(f"{self} was already handed over to be stored")
        return complaints

    def release(self) -> None:
        """Let go what the part was read from, such as a downloaded file: it is stored."""
        if self._stored is not None:
            self._stored()
