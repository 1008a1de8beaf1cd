"""A file of all complaints makes the database equal to it, and the archive fills gaps."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.model.events import Step, listening
from cfpb_etl.store.errors import TooManyWithdrawnError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import (
    FakeSource,
    changes,
    execute,
    interrupt,
    load,
    load_file,
    load_ids,
    outcomes,
    query,
    stored,
    withdrawn,
)
from support.parts import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    WINDOW,
    complaint,
    complaints,
    file_of,
    part,
)
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.events import Event
    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.source import SourceKind, Watermark

APRIL = "2026-04-30"


def counts(report: LoadStats) -> tuple[int, int, int, int]:
    """Return what a load did: new, changed, unchanged, withdrawn."""
    return report.new, report.changed, report.unchanged, report.withdrawn


# --- the database equals the file -----------------------------------------------------------


def test_a_first_file_is_stored_as_a_whole(path: Path) -> None:
    """All complaints of several batches are inserted."""
    report = load_file(path, *complaints(*range(1, 1_300), timely="Yes"))

    assert counts(report) == (1_299, 0, 0, 0)
    assert (report.expected, report.received, report.windows) == (1_299, 1_299, 1)
    assert stored(path) == {number: {"timely": "Yes"} for number in range(1, 1_300)}
    assert outcomes(path) == [("complete", None)]


def definitions(path: Path) -> list[Any]:
    """Return the definitions of the indexes."""
    return query(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name")


def test_indexes_are_complete_after_a_first_file(path: Path) -> None:
    """Those that were dropped meanwhile are there again, a user's own too."""
    events: list[Event] = []
    load_file(path, *complaints(*range(10), company="known"), as_of=MARCH)
    query(path, 'CREATE INDEX "by ""company""" ON complaint (company)')
    before = definitions(path)

    with listening(events.append):
        load_file(path, *complaints(*range(1_300), company="new"))

    assert events == [Step("Creating indexes", "Creating indexes")]  # which can take minutes
    assert definitions(path) == before
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_failed_file_leaves_the_indexes(path: Path) -> None:
    """Dropping them is rolled back with the rows."""
    load_file(path, *complaints(*range(300)), as_of=MARCH)
    before = definitions(path)

    with pytest.raises(TooManyWithdrawnError):
        load_file(path, *complaints(*range(1_000, 2_000)), max_withdrawn=0.01)

    assert "complaint_date_received" in dict(before)
    assert definitions(path) == before


def test_only_differences_of_the_next_file_are_written(path: Path) -> None:
    """New, changed and missing complaints are; other rows are left alone."""
    load_file(path, *complaints(*range(1, 1_300), timely="Yes"), as_of=MARCH)
    later = [
        complaint(5_000, timely="No"),
        complaint(7, timely="No"),
        *complaints(*{*range(1, 1_300)} - {7, 8}, timely="Yes"),
    ]

    assert counts(load_file(path, *later, as_of=JUNE)) == (1, 1, 1_297, 1)
    assert withdrawn(path) == {8: JUNE}
    assert changes(path) == [(7, 2, "timely", "Yes", "No"), (8, 2, "withdrawn_on", None, JUNE)]
    assert [number for number, load_id in load_ids(path).items() if load_id == 2] == [7, 5_000]


def test_a_complaint_that_returns_is_no_longer_marked(path: Path) -> None:
    """A later file that has the complaint removes the mark."""
    load_file(path, *complaints(*range(200)), as_of=JANUARY)
    load_file(path, *complaints(*range(199)), as_of=MARCH)
    assert withdrawn(path) == {199: MARCH}

    assert counts(load_file(path, *complaints(*range(200)), as_of=JUNE)) == (0, 1, 199, 0)
    assert withdrawn(path) == {}


def test_a_marked_complaint_is_not_marked_again(path: Path) -> None:
    """The mark stays the first day on which the complaint was missing."""
    for as_of, number in ((JANUARY, 200), (MARCH, 199), (JUNE, 199)):
        last = load_file(path, *complaints(*range(number)), as_of=as_of)

    assert last.withdrawn == 0
    assert withdrawn(path) == {199: MARCH}


@pytest.mark.parametrize("first", [[], [complaint(1, timely="old")]], ids=["empty", "known"])
def test_the_later_copy_of_a_complaint_counts(path: Path, first: list[Complaint]) -> None:
    """However far apart two copies are, the row has the later one's values and is counted once."""
    if first:
        load_file(path, *first, as_of=MARCH)
    between = complaints(*range(2, 1_200))
    report = load_file(path, complaint(1, timely="Yes"), *between, complaint(1, timely="No"))

    assert stored(path)[1] == {"timely": "No"}
    assert (report.rows, report.duplicates, report.received, report.expected) == (
        1_200,
        1,
        1_199,
        1_199,
    )


def test_a_rejected_row_is_not_missing(path: Path) -> None:
    """Its complaint is not marked; one without any row is."""
    load_file(path, *complaints(*range(300)), as_of=MARCH)
    report = load_file(path, *complaints(*range(298)), rejected=[298])

    assert (report.rejected, report.withdrawn, report.warnings) == (
        1,
        1,
        ("complaints.csv, line 7: not a complaint",),
    )
    assert withdrawn(path) == {299: JUNE}
    assert query(path, "SELECT rejected, warnings FROM load WHERE load_id = 2") == [
        (1, "complaints.csv, line 7: not a complaint")
    ]


def test_a_row_without_an_id_can_be_any(path: Path) -> None:
    """If a rejected row has no id, no complaint is marked."""
    load_file(path, *complaints(*range(300)), as_of=MARCH)

    assert load_file(path, *complaints(*range(299)), without_id=1).withdrawn == 0
    assert withdrawn(path) == {}


# --- a file that lacks too much -------------------------------------------------------------


def test_a_file_that_lacks_too_many_is_refused(path: Path) -> None:
    """More than 1 % of the stored complaints cannot be missing."""
    load_file(path, *complaints(*range(200)), as_of=MARCH)
    before = query(path, "SELECT * FROM complaint")

    short = [complaint(500), *complaints(*range(197), timely="No")]
    with pytest.raises(TooManyWithdrawnError, match="--allow-withdrawals") as caught:
        load_file(path, *short, max_withdrawn=0.01)

    assert (caught.value.withdrawn, caught.value.stored) == (3, 200)
    assert query(path, "SELECT * FROM complaint") == before
    assert changes(path) == []
    assert load_file(path, *short, max_withdrawn=1.0).withdrawn == 3


def test_one_in_a_hundred_is_accepted(path: Path) -> None:
    """The share is that of the stored complaints without a mark."""
    load_file(path, *complaints(*range(201)), as_of=JANUARY)
    load_file(path, *complaints(*range(200)), as_of=MARCH)

    assert load_file(path, *complaints(*range(198)), max_withdrawn=0.01).withdrawn == 2


# --- older files ----------------------------------------------------------------------------


def test_an_older_file_changes_no_value(path: Path) -> None:
    """It adds columns that the newer file does not send, and marks complaints that only it has."""
    newer = complaint(1, timely="Yes"), complaint(2)
    load_file(path, *newer, columns=NO_NARRATIVE, as_of=JUNE)
    older = [
        complaint(1, timely="No", complaint_what_happened="told"),
        complaint(2, state="CA"),
        complaint(3, timely="No"),
    ]

    stats = load_file(path, *older, as_of=MARCH)
    assert (counts(stats), stats.not_applied) == ((1, 1, 0, 0), 1)
    assert stored(path) == {
        1: {"timely": "Yes", "complaint_what_happened": "told"},
        2: {},
        3: {"timely": "No"},
    }
    assert withdrawn(path) == {3: JUNE}
    assert changes(path) == []


def test_a_row_that_a_newer_file_confirmed_is_protected(path: Path) -> None:
    """The second load found the row of the first unchanged."""
    for as_of, timely in ((JANUARY, "Yes"), (JUNE, "Yes"), (MARCH, "No")):
        load_file(path, complaint(1, timely=timely), as_of=as_of)

    assert stored(path) == {1: {"timely": "Yes"}}


def test_a_row_that_a_newer_file_lacks_is_not_protected(path: Path) -> None:
    """Its newest values are those of the newest file that has the complaint."""
    load_file(path, complaint(1), complaint(2), as_of=JUNE)
    load_file(path, complaint(3, timely="Yes"), as_of=JANUARY)
    load_file(path, complaint(3, timely="No"), as_of=MARCH)

    assert stored(path)[3] == {"timely": "No"}
    assert withdrawn(path) == {3: JUNE}


def test_the_mark_is_the_day_of_the_first_file_without_it(path: Path) -> None:
    """A complaint that only an older file has was withdrawn by the day of the next file."""
    for as_of in (APRIL, JUNE):
        load_file(path, complaint(1), as_of=as_of)
    load_file(path, complaint(1), complaint(2), as_of=MARCH)

    assert withdrawn(path) == {2: APRIL}


def test_a_newer_file_protects_its_values_from_pages(path: Path) -> None:
    """An older page of the API neither replaces nor marks them."""
    load(path, part(complaint(1, timely="Yes", date_received="2026-01-15"), as_of=JANUARY))
    load_file(path, complaint(1, timely="Yes", date_received="2026-01-15"), as_of=JUNE)
    other = complaint(2, date_received="2026-01-15")
    load(path, part(other, as_of=MARCH, days=("2026-01-10", "2026-01-20"), proves_absence=True))

    assert withdrawn(path) == {2: JUNE}


def test_a_newer_page_is_protected_from_a_file(path: Path) -> None:
    """An older file neither changes nor marks what the page wrote."""
    load_file(path, *complaints(*range(300), timely="Yes"), as_of=JANUARY)
    load(path, part(complaint(7, timely="No"), complaint(900), as_of=JUNE))
    report = load_file(path, *complaints(*range(300), timely="Yes"), as_of=MARCH)

    assert (counts(report), report.not_applied) == ((0, 0, 299, 0), 1)
    assert stored(path)[7] == {"timely": "No"}
    assert withdrawn(path) == {}


# --- white space ----------------------------------------------------------------------------

PARAGRAPHS = "They charged me.\n\nTwice.\r\n I called  them.\t"
ONE_LINE = "They charged me. Twice. I called them."


@pytest.mark.parametrize("texts", [*permutations([PARAGRAPHS, ONE_LINE])], ids=["API", "file"])
def test_a_narrative_with_other_white_space_is_unchanged(
    path: Path, texts: tuple[str, str]
) -> None:
    """CFPB's files have one space where its API has paragraphs. The stored text stays."""
    first, second = (complaint(1, complaint_what_happened=text) for text in texts)
    load_file(path, first, as_of=MARCH)

    assert counts(load_file(path, second, as_of=JUNE)) == (0, 0, 1, 0)
    assert stored(path) == {1: {"complaint_what_happened": texts[0]}}
    assert changes(path) == []

    told = complaint(1, complaint_what_happened="They charged me. Thrice.")
    assert counts(load_file(path, told, as_of=JUNE)) == (0, 1, 0, 0)


# --- the archive ----------------------------------------------------------------------------

TOLD = {"complaint_what_happened": "told"}


def archive(path: Path, *complaints: Complaint, as_of: str = MARCH) -> LoadStats:
    """Load a file of the archive."""
    return load_file(path, *complaints, kind="archive", as_of=as_of)


def test_the_archive_adds_narratives(path: Path) -> None:
    """The other values stay."""
    load_file(path, complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE)

    assert counts(archive(path, complaint(1, timely="No", **TOLD))) == (0, 1, 0, 0)
    assert stored(path) == {1: {"timely": "Yes", **TOLD}}


def test_a_complaint_that_only_the_archive_has_was_withdrawn(path: Path) -> None:
    """After a file of all complaints, it was withdrawn by the day of that file."""
    load_file(path, complaint(1), columns=NO_NARRATIVE, as_of=JUNE)

    assert counts(archive(path, complaint(2, **TOLD))) == (1, 0, 0, 0)
    assert withdrawn(path) == {2: JUNE}


def test_a_partial_database_skips_other_complaints_of_the_archive(path: Path) -> None:
    """CFPB may still have them: they may only not have been requested."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    report = archive(path, complaint(1, **TOLD), complaint(2, **TOLD))

    assert (report.changed, report.skipped, report.unchanged) == (1, 1, 0)
    assert (report.expected, report.received) == (1, 1)
    assert stored(path) == {1: TOLD}
    assert query(path, "SELECT skipped FROM load WHERE load_id = 2") == [(1,)]


def test_a_copy_of_a_skipped_complaint_is_not_skipped_again(path: Path) -> None:
    """It counts as a duplicate."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    report = archive(path, *complaints(1, 3, 3, **TOLD))

    assert (report.rows, report.skipped, report.duplicates, report.received) == (3, 1, 1, 1)


def test_the_archive_can_be_loaded_first(path: Path) -> None:
    """The first file of all complaints then marks what it lacks."""
    archive(path, complaint(1, **TOLD))
    assert counts(archive(path, *complaints(*range(2, 202), **TOLD))) == (200, 0, 0, 0)

    load_file(path, *complaints(*range(2, 202)), columns=NO_NARRATIVE)
    assert withdrawn(path) == {1: JUNE}
    assert stored(path) == dict.fromkeys(range(1, 202), TOLD)


def added_since(path: Path, kind: SourceKind) -> bool:
    """Return whether complaints were added since the last load of this kind."""
    told: list[Watermark] = []

    class Asking(FakeSource):
        def resume_from(self, watermark: Watermark) -> FakeSource:
            told.append(watermark)
            return self

    with open_load(path, Asking(kind=kind)):
        pass
    return told[0].added_since


def test_skipped_complaints_can_be_added_after_a_file_of_all(path: Path) -> None:
    """Even if that file adds no complaint itself."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    archive(path, complaint(1), complaint(2))
    assert not added_since(path, "archive")

    load_file(path, complaint(1), columns=NO_NARRATIVE)
    assert added_since(path, "archive")


def test_a_resumed_load_adds_complaints_at_its_end(path: Path) -> None:
    """It was started before the archive was loaded, and ended after it."""
    interrupt(path, part(complaint(1), matching=2, next_parts=[WINDOW]))
    archive(path, complaint(1, **TOLD))
    assert not added_since(path, "archive")

    execute(path, "UPDATE load SET ended_at = '2000-01-01T00:00:00+00:00'")
    load(path, part(complaint(2), matching=2))
    assert [load_id for (load_id,) in query(path, "SELECT load_id FROM load")] == [1, 2, 3]
    assert added_since(path, "archive")


def test_a_load_whose_file_is_stored_is_complete(path: Path) -> None:
    """If it is killed after its only transaction, it is not resumed."""
    part_of_all = file_of(complaint(1))
    files: Any = (part_of_all.info.part,)
    with (
        suppress(KeyboardInterrupt),
        open_load(path, FakeSource(kind="bulk", windows=files)) as running,
    ):
        store_part(part_of_all, running.id, path)
        raise KeyboardInterrupt

    with open_load(path, FakeSource(kind="bulk", windows=files)) as running:
        assert running.id == 2
        assert outcomes(path) == [("complete", None), ("running", None)]


# --- in any order ---------------------------------------------------------------------------

VALUES = st.sampled_from([None, "a", "b"])
VALUED = st.tuples(VALUES, VALUES, VALUES)
HELD = st.dictionaries(st.integers(1, 5), VALUED, min_size=1, max_size=5)


def results_of(*loads: Any) -> Iterator[tuple[dict[int, dict[str, str]], dict[int, str]]]:
    """Load these in every order, and yield the rows and the marks after each order."""
    for order in permutations(loads):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "complaints.db"
            for kind, held, as_of in order:
                names = ("timely", "tags", "complaint_what_happened")[
                    : 3 if kind == "archive" else 2
                ]
                each = [
                    complaint(number, **dict(zip(names, values, strict=False)))
                    for number, values in held.items()
                ]
                columns = ALL if kind == "archive" else NO_NARRATIVE
                load_file(path, *each, kind=kind, as_of=as_of, columns=columns)
            yield stored(path), withdrawn(path)


@given(archived=HELD, held=HELD)
@settings(deadline=None, derandomize=True, max_examples=soak(30))
def test_archive_and_bulk_lead_to_the_same_rows(archived: Any, held: Any) -> None:
    """The order does not matter."""
    one, other = results_of(("archive", archived, JANUARY), ("bulk", held, JUNE))

    assert one == other


@given(archived=HELD, older=HELD, newest=HELD)
@settings(deadline=None, derandomize=True, max_examples=soak(8))
def test_the_order_of_loads_does_not_matter(archived: Any, older: Any, newest: Any) -> None:
    """The archive and two days' files lead to the same complaints in any order.

    Withdrawn complaints have the same marks, and their values may be those of the load that was
    first: a mark hides which load set the values.
    """
    ends = [
        *results_of(("archive", archived, JANUARY), ("bulk", older, MARCH), ("bulk", newest, JUNE))
    ]

    marked = {frozenset(marks) for _, marks in ends}
    assert len(marked) == 1
    for rows, marks in ends:
        kept = {number: row for number, row in rows.items() if number not in marks}
        assert kept == {number: ends[0][0][number] for number in kept}
        assert rows.keys() == ends[0][0].keys()
