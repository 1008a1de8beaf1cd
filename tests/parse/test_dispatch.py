"""The type of the content decides which parser is used."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import msgspec
import pytest

from cfpb_etl.fetch.complaint_file import FilePart
from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.age import Age
from cfpb_etl.model.complaint import ALWAYS_SENT, Complaint
from cfpb_etl.model.file import CsvFile, ReadOptions
from cfpb_etl.model.part import PartInfo, RawPart
from cfpb_etl.parse.dispatch import parse_part
from cfpb_etl.parse.errors import InvalidHitError, UnexpectedColumnsError

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

HEADER = (
    "Date received,Product,Sub-product,Issue,Sub-issue,Company public response,Company,State,"
    "ZIP code,Tags,Submitted via,Date sent to company,Company response to consumer,"
    "Timely response?,Complaint ID\n"
)
OPTIONS = ReadOptions(today="2030-01-01")
AGE = Age.on("2026-10-07", "newest day received")


def raw_part(content: object, age: Age | None = AGE) -> RawPart:
    """Make a fetched part."""
    part = FilePart("/complaints.csv")
    return RawPart(content, PartInfo(part, "complaints.csv", None, None, None, age), [part])


def csv_file(path: Path, *days: str) -> CsvFile:
    """Write a plain CSV with a complaint for each day."""
    rows = [f"{day}{',' * 14}{number}\n" for number, day in enumerate(days, 1)]
    path.write_text(HEADER + "".join(rows), "utf-8")
    return CsvFile(path, None, OPTIONS)


def complaints_of(parsed: ParsedPart) -> list[Complaint]:
    """Return the complaints of a part."""
    return [complaint for batch in parsed.take_batches() for complaint in batch.complaints]


def test_hits_are_parsed_as_a_page() -> None:
    """A list of hits becomes complaints at once."""
    raw = raw_part([msgspec.Raw(b'{"_source": {"complaint_id": "7", "state": "CA"}}')])

    parsed = parse_part(raw)

    assert parsed.info is raw.info
    assert parsed.next_parts is raw.next_parts
    assert parsed.columns == {"complaint_id", "state"}
    assert parsed.read_stats.rows == 1
    assert [(each.complaint_id, each.state) for each in complaints_of(parsed)] == [(7, "CA")]


def test_a_file_is_parsed_while_it_is_stored(tmp_path: Path) -> None:
    """The columns are known at once, and the complaints when they are taken."""
    parsed = parse_part(raw_part(csv_file(tmp_path / "c.csv", "2020-01-02", "2020-05-06")))

    assert parsed.info.age == AGE
    assert parsed.columns == ALWAYS_SENT
    assert parsed.read_stats.rows == 0
    assert [each.date_received for each in complaints_of(parsed)] == ["2020-01-02", "2020-05-06"]
    assert parsed.read_stats.rows == 2


def test_a_file_is_surveyed_if_complaints_are_stored(tmp_path: Path) -> None:
    """The first reading ends at a day that is newer than the stored data."""
    content = csv_file(tmp_path / "c.csv", "2020-01-02", "2020-05-06", "2020-03-04")

    assert parse_part(raw_part(content)).survey is None
    older = parse_part(raw_part(content._replace(stored_until="2020-05-06"))).survey
    newer = parse_part(raw_part(content._replace(stored_until="2020-05-05"))).survey
    assert older is not None
    assert newer is not None
    assert (older.is_complete, older.oldest, older.newest.any) == (True, "2020-01-02", "2020-05-06")
    assert (newer.is_complete, newer.newest.received) == (False, "2020-05-06")


def test_nothing_is_parsed_of_an_unchanged_file() -> None:
    """It has every column and no complaint."""
    parsed = parse_part(raw_part(None))

    assert {*parsed.columns} == {*Complaint._fields}
    assert complaints_of(parsed) == []


def test_errors_are_those_of_the_parsers(tmp_path: Path) -> None:
    """Each type of content has its own."""
    (tmp_path / "c.csv").write_text("a,b\n")

    with pytest.raises(InvalidHitError, match=r"Hit 1 of complaints\.csv"):
        parse_part(raw_part([msgspec.Raw(b"[]")]))
    with pytest.raises(UnexpectedColumnsError):
        parse_part(raw_part(CsvFile(tmp_path / "c.csv", None, OPTIONS)))
    with pytest.raises(UnreadableFileError):
        parse_part(raw_part(CsvFile(tmp_path / "nowhere.csv", None, OPTIONS)))


def test_other_content_is_never_an_empty_part() -> None:
    """A new source that forgets its parser must not lose complaints silently."""
    with pytest.raises(TypeError, match="no parser for content of type tuple"):
        parse_part(raw_part(("hit",)))


def test_a_part_is_parsed_once() -> None:
    """Its content is gone, also from a copy in another process."""
    raw = raw_part([])
    parse_part(raw)

    for each in (raw, pickle.loads(pickle.dumps(raw))):  # noqa: S301 - our own
        with pytest.raises(RuntimeError, match="already taken"):
            parse_part(each)
