"""The content of a part is taken once, so that no copy stays in memory."""

from __future__ import annotations

import gc
import weakref

import pytest

from cfpb_etl.model.age import Age
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import Batch, ParsedContent, ParsedPart, PartInfo, RawPart, ReadStats


class Place:
    """A part that is never fetched."""

    key = "2026-10-01"

    def to_json(self) -> str:
        """Return an empty object."""
        return "{}"

    def first(self) -> Place:
        """Return this, the only part."""
        return self


INFO = PartInfo(
    part=Place(),
    name="page 3, 1 complaint",
    rows=1,
    matching=70,
    expected=60,
    age=Age.on("2026-10-07", "_meta.last_updated"),
    days=("2026-10-01", "2026-10-06"),
    proves_absence=True,
    seconds=1.5,
)


class Batches(list[Batch]):
    """A list to which a weak reference is possible."""


def parsed_part(batches: list[Batch]) -> ParsedPart:
    """Make a parsed part of these batches."""
    content = ParsedContent(batches, {"product"}, {"event_tag"}, ReadStats())
    return ParsedPart(content, RawPart(b"body", INFO, [Place()]), INFO)


def test_a_parsed_part_has_what_its_raw_part_has() -> None:
    """The next parts and what to do once it is stored go with it."""
    removed: list[str] = []
    raw = RawPart(b"body", INFO, [Place()], on_stored=lambda: removed.append("download"))
    content = ParsedContent([Batch([])], {"product"}, {"event_tag"}, ReadStats())

    parsed = ParsedPart(content, raw, raw.info)
    assert parsed.on_stored is not None
    parsed.on_stored()

    assert parsed.info is INFO
    assert parsed.next_parts is raw.next_parts
    assert parsed.rows == raw.rows == 1
    assert (parsed.columns, parsed.unknown_columns) == ({"product"}, {"event_tag"})
    assert str(raw) == str(parsed) == "page 3, 1 complaint"
    assert removed == ["download"]


def test_a_last_part_has_no_next_parts() -> None:
    """The default is an empty sequence, which a flow can add to its waiting parts."""
    assert tuple(RawPart(b"body", INFO).next_parts) == ()


def test_a_raw_part_drops_its_content() -> None:
    """Prefect may keep the raw part, but not its content."""
    raw = RawPart(b"body", INFO)

    assert raw.take_content() == b"body"
    assert b"body" not in vars(raw).values()
    with pytest.raises(RuntimeError, match="page 3"):
        raw.take_content()


def test_a_parsed_part_drops_its_complaints() -> None:
    """Once taken, the complaints live as long as their new owner."""
    batches = Batches([Batch([Complaint(1, *[None] * 17)])])
    alive = weakref.ref(batches)
    parsed = parsed_part(batches)
    del batches

    parsed.take_batches()
    gc.collect()

    assert alive() is None


def test_complaints_are_taken_once() -> None:
    """Storing a part twice is an error; an empty part would pass for a stored one."""
    parsed = parsed_part([])
    parsed.take_batches()

    with pytest.raises(RuntimeError, match="page 3, 1 complaint was already taken"):
        parsed.take_batches()
