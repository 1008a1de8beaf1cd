"""What came is read once and handed over once, so that no copy stays behind."""

from __future__ import annotations

import gc
import weakref

import pytest

from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import ParsedContent, ParsedPart, PartInfo, RawPart, ReadStats


class Place:
    """A place to start fetching."""

    key = "2026-10-01"

    def to_json(self) -> str:
        """Return nothing in particular."""
        return "{}"

    def first(self) -> Place:
        """Return the only place there is."""
        return self


FACTS = PartInfo(
    part=Place(),
    name="page 3, 1 complaint",
    rows=1,
    matching=70,
    expected=60,
    as_of="2026-10-07",
    days=("2026-10-01", "2026-10-06"),
    proves_absence=True,
    seconds=1.5,
)


class Page(list[Complaint]):
    """A list that can be watched."""


def raw_part(complaints: list[Complaint], read: list[tuple[str, bytes]] | None = None) -> RawPart:
    """Make a part of these complaints, noting what its reader is given."""
    seen = [] if read is None else read

    def reader(body: bytes, name: str) -> ParsedContent:
        seen.append((name, body))
        return ParsedContent(complaints, {"product"}, {"event_tag"}, ReadStats())

    return RawPart(b"body", reader, FACTS, [Place()])


def test_a_part_keeps_its_facts_when_parsed() -> None:
    """What is known of a raw part is known of the parsed one, with what the reader found."""
    read: list[tuple[str, bytes]] = []
    complaint = Complaint(1, *[None] * 17)
    raw = raw_part([complaint], read)

    parsed = raw.parsed()

    assert read == [("page 3, 1 complaint", b"body")]
    assert parsed.info is raw.info is FACTS
    assert parsed.following is raw.following
    assert parsed.rows == raw.rows == 1
    assert (parsed.columns, parsed.unknown) == ({"product"}, {"event_tag"})
    assert parsed.complaints() == [complaint]
    assert str(raw) == str(parsed) == "page 3, 1 complaint"


def test_a_last_part_has_none_that_follow() -> None:
    """Where nothing follows, that is an empty sequence, which a flow can add to what it awaits."""
    raw = RawPart(b"body", lambda _body, _name: ParsedContent([], (), (), ReadStats()), FACTS)

    assert tuple(raw.following) == tuple(raw.parsed().following) == ()


def test_a_raw_part_lets_its_body_go() -> None:
    """Parsing takes the body away from the raw part, which Prefect may keep."""
    read: list[tuple[str, bytes]] = []
    raw = raw_part([], read)
    raw.parsed()

    assert b"body" not in vars(raw).values()


def test_a_failed_reading_lets_the_body_go_too() -> None:
    """A body that cannot be read is not kept either."""

    def fails(_body: bytes, _name: str) -> ParsedContent:
        raise ValueError("unreadable")

    raw = RawPart(b"body", fails, FACTS)
    with pytest.raises(ValueError, match="unreadable"):
        raw.parsed()

    assert b"body" not in vars(raw).values()


def test_a_parsed_part_lets_its_complaints_go() -> None:
    """Once handed over, the complaints live as long as their new holder."""
    page = Page([Complaint(1, *[None] * 17)])
    alive = weakref.ref(page)
    parsed = ParsedPart(ParsedContent(page, (), (), ReadStats()), FACTS, ())
    del page

    parsed.complaints()
    gc.collect()

    assert alive() is None


def test_complaints_are_handed_over_once() -> None:
    """A second storing of a part is an error, not a part of no complaints."""
    parsed = raw_part([]).parsed()
    parsed.complaints()

    with pytest.raises(RuntimeError, match="page 3, 1 complaint was already handed over"):
        parsed.complaints()
