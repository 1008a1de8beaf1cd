"""What came is read once and handed over once, so that no copy stays behind."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.complaint import Complaint
from cfpb_etl.source import ParsedPart, RawPart

if TYPE_CHECKING:
    from collections.abc import Collection


class Following:
    """A part to come."""

    def as_progress(self) -> str:
        """Return nothing in particular."""
        return "{}"


class Page(list[Complaint]):
    """A list that can be watched."""


def raw_part(complaints: list[Complaint], read: list[tuple[str, bytes]] | None = None) -> RawPart:
    """Make a part of these complaints, noting what its reader is given."""
    seen = [] if read is None else read

    def reader(name: str, body: bytes) -> tuple[list[Complaint], Collection[str], Collection[str]]:
        seen.append((name, body))
        return complaints, {"product"}, {"event_tag"}

    return RawPart(
        b"body",
        reader,
        name="page 3",
        rows=len(complaints),
        matching=70,
        as_of="2026-10-07",
        following=Following(),
    )


def test_a_part_keeps_its_facts_when_parsed() -> None:
    """What is known of a raw part is known of the parsed one, with what the reader found."""
    read: list[tuple[str, bytes]] = []
    complaint = Complaint(1, *[None] * 17)
    raw = raw_part([complaint], read)

    parsed = raw.parsed()

    assert read == [("page 3", b"body")]
    assert (parsed.name, parsed.rows, parsed.matching) == ("page 3", 1, 70)
    assert (parsed.as_of, parsed.following) == ("2026-10-07", raw.following)
    assert (parsed.columns, parsed.unknown) == ({"product"}, {"event_tag"})
    assert parsed.complaints() == [complaint]
    assert str(raw) == str(parsed) == "page 3"


def test_a_raw_part_lets_its_body_go() -> None:
    """Parsing takes the body away from the raw part, which Prefect may keep."""
    read: list[tuple[str, bytes]] = []
    raw = raw_part([], read)
    raw.parsed()

    assert b"body" not in vars(raw).values()


def test_a_failed_reading_lets_the_body_go_too() -> None:
    """A body that cannot be read is not kept either."""

    def fails(_name: str, _body: bytes) -> tuple[list[Complaint], Collection[str], Collection[str]]:
        raise ValueError("unreadable")

    raw = RawPart(b"body", fails, name="p", rows=0, matching=0, as_of="", following=None)
    with pytest.raises(ValueError, match="unreadable"):
        raw.parsed()

    assert b"body" not in vars(raw).values()


def test_a_parsed_part_lets_its_complaints_go() -> None:
    """Once handed over, the complaints live as long as their new holder."""
    page = Page([Complaint(1, *[None] * 17)])
    alive = weakref.ref(page)
    parsed = ParsedPart(page, (), (), raw_part([]))
    del page

    parsed.complaints()
    gc.collect()

    assert alive() is None


def test_complaints_are_handed_over_once() -> None:
    """A second storing of a part is an error, not a part of no complaints."""
    parsed = raw_part([]).parsed()
    parsed.complaints()

    with pytest.raises(RuntimeError, match="page 3 was already handed over"):
        parsed.complaints()
