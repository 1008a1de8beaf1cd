"""A file of all complaints makes the database its equal; the archive adds what it lacks."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfpb_etl.store.errors import TooManyWithdrawnError
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import (
    Asked,
    break_off,
    changes,
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
    part,
    whole,
)
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.load_stats import LoadStats
    from cfpb_etl.model.source import SourceKind, Watermark

APRIL = "2026-04-30"


def counts(report: LoadStats) -> tuple[int, int, int, int]:
    """Return what a load did: inserted, updated, unchanged, withdrawn."""
    return report.new, report.changed, report.unchanged, report.withdrawn


# --- the database equals the file -----------------------------------------------------------


def test_a_first_file_is_all_there_is(path: Path) -> None:
    """Into an empty database all of it goes, over several batches."""
    report = load_file(path, *complaints(*range(1, 1_300), timely="Yes"))

    assert counts(report) == (1_299, 0, 0, 0)
    assert (report.expected, report.received, report.windows) == (1_299, 1_299, 1)
    assert stored(path) == {number: {"timely": "Yes"} for number in range(1, 1_300)}
    assert outcomes(path) == [("complete", None)]


def definitions(path: Path) -> list[Any]:
    """Return the indexes of the file, as they were defined."""
    return query(path, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name")


def test_indexes_are_whole_after_a_first_file(path: Path) -> None:
    """Those that were dropped for the rows are there again, a user's own too."""
    load_file(path, *complaints(*range(10), company="known"), as_of=MARCH)
    query(path, 'CREATE INDEX "by ""company""" ON complaint (company)')
    before = definitions(path)

    load_file(path, *complaints(*range(1_300), company="new"))

    assert definitions(path) == before
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_fails_leaves_the_indexes(path: Path) -> None:
    """They are dropped, made again and kept with the rows, or not at all."""
    load_file(path, *complaints(*range(300)), as_of=MARCH)
    before = definitions(path)

    with pytest.raises(TooManyWithdrawnError):
        load_file(path, *complaints(*range(1_000, 2_000)), max_withdrawn=0.01)

    assert "complaint_date_received" in dict(before)
    assert definitions(path) == before


def test_the_next_file_is_written_where_it_differs(path: Path) -> None:
    """What is new, changed or gone is written and remembered; all other rows are left alone."""
    load_file(path, *complaints(*range(1, 1_300), timely="Yes"), as_of=MARCH)
    later = [
        complaint(5_000, timely="No"),
        complaint(7, timely="No"),
        *complaints(*{*range(1, 1_300)} - {7, 8}, timely="Yes"),
    ]

    assert counts(load_file(path, *later, as_of=JUNE)) == (1, 1, 1_297, 1)
    assert withdrawn(path) == {8: JUNE}
    assert changes(path) == [(7, 2, "timely", "Yes", "No"), (8, 2, "withdrawn_on", None, JUNE)]
    assert [number for number, load_id in load_ids(path).items() if load_id == 2] == [7, 8, 5_000]


def test_what_comes_back_is_no_longer_marked(path: Path) -> None:
    """A complaint that a later file has again is there again."""
    load_file(path, *complaints(*range(200)), as_of=JANUARY)
    load_file(path, *complaints(*range(199)), as_of=MARCH)
    assert withdrawn(path) == {199: MARCH}

    assert counts(load_file(path, *complaints(*range(200)), as_of=JUNE)) == (0, 1, 199, 0)
    assert withdrawn(path) == {}


def test_what_is_marked_is_not_marked_again(path: Path) -> None:
    """A complaint that stays away keeps the day on which that was first seen."""
    for as_of, number in ((JANUARY, 200), (MARCH, 199), (JUNE, 199)):
        last = load_file(path, *complaints(*range(number)), as_of=as_of)

    assert last.withdrawn == 0
    assert withdrawn(path) == {199: MARCH}


@pytest.mark.parametrize("first", [[], [complaint(1, timely="old")]], ids=["empty", "known"])
def test_the_later_copy_of_a_complaint_counts(path: Path, first: list[Complaint]) -> None:
    """However far apart two copies are, the row is as the later one has it, and counted once."""
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


def test_a_rejected_row_withdraws_nothing(path: Path) -> None:
    """A complaint whose row could not be read is still there; one that is not told of is gone."""
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


def test_a_without_id_row_may_be_any(path: Path) -> None:
    """Where a rejected row does not tell which complaint it is of, none is marked."""
    load_file(path, *complaints(*range(300)), as_of=MARCH)

    assert load_file(path, *complaints(*range(299)), without_id=1).withdrawn == 0
    assert withdrawn(path) == {}


# --- a file that lacks too much -------------------------------------------------------------


def test_a_file_that_lacks_too_much_is_refused(path: Path) -> None:
    """More than one in a hundred of the stored complaints are not believed to be gone."""
    load_file(path, *complaints(*range(200)), as_of=MARCH)
    before = query(path, "SELECT * FROM complaint")

    short = [complaint(500), *complaints(*range(197), timely="No")]
    with pytest.raises(TooManyWithdrawnError, match="--allow-withdrawals") as caught:
        load_file(path, *short, max_withdrawn=0.01)

    assert (caught.value.withdrawn, caught.value.stored) == (3, 200)
    assert query(path, "SELECT * FROM complaint") == before
    assert changes(path) == []
    assert load_file(path, *short, max_withdrawn=1.0).withdrawn == 3


def test_one_in_a_hundred_is_believed(path: Path) -> None:
    """The share is that of the complaints that are stored and not marked."""
    load_file(path, *complaints(*range(201)), as_of=JANUARY)
    load_file(path, *complaints(*range(200)), as_of=MARCH)

    assert load_file(path, *complaints(*range(198)), max_withdrawn=0.01).withdrawn == 2


# --- older files ----------------------------------------------------------------------------


def test_an_older_file_changes_no_value(path: Path) -> None:
    """It brings what the newer one does not carry, and marks what it has alone."""
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


def test_what_a_newer_file_saw_unchanged_is_protected(path: Path) -> None:
    """Not only what it wrote: the first load's row is confirmed by the second."""
    for as_of, timely in ((JANUARY, "Yes"), (JUNE, "Yes"), (MARCH, "No")):
        load_file(path, complaint(1, timely=timely), as_of=as_of)

    assert stored(path) == {1: {"timely": "Yes"}}


def test_what_only_a_newer_file_lacked_is_not_protected(path: Path) -> None:
    """Of a complaint that the newest file lacks, the newest of those that had it tells."""
    load_file(path, complaint(1), complaint(2), as_of=JUNE)
    load_file(path, complaint(3, timely="Yes"), as_of=JANUARY)
    load_file(path, complaint(3, timely="No"), as_of=MARCH)

    assert stored(path)[3] == {"timely": "No"}
    assert withdrawn(path) == {3: JUNE}


def test_the_first_file_that_lacked_it_tells_since_when(path: Path) -> None:
    """A complaint that only an older file has was withdrawn by the day of the next one."""
    for as_of in (APRIL, JUNE):
        load_file(path, complaint(1), as_of=as_of)
    load_file(path, complaint(1), complaint(2), as_of=MARCH)

    assert withdrawn(path) == {2: APRIL}


def test_pages_are_held_to_a_newer_file_too(path: Path) -> None:
    """An older answer of the API neither replaces what a newer file has, nor marks it."""
    load(path, part(complaint(1, timely="Yes", date_received="2026-01-15"), as_of=JANUARY))
    load_file(path, complaint(1, timely="Yes", date_received="2026-01-15"), as_of=JUNE)
    other = complaint(2, date_received="2026-01-15")
    load(path, part(other, as_of=MARCH, days=("2026-01-10", "2026-01-20"), proves_absence=True))

    assert withdrawn(path) == {2: JUNE}


def test_a_newer_page_is_kept(path: Path) -> None:
    """What a pull of a later day wrote, the file of an earlier one neither changes nor marks."""
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
def test_a_narrative_of_other_white_space_is_the_same(path: Path, texts: tuple[str, str]) -> None:
    """CFPB's files have one space where its API has paragraphs: what came first stays."""
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


def test_the_archive_fills_narratives(path: Path) -> None:
    """It adds what nobody else has, to the newest values."""
    load_file(path, complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE)

    assert counts(archive(path, complaint(1, timely="No", **TOLD))) == (0, 1, 0, 0)
    assert stored(path) == {1: {"timely": "Yes", **TOLD}}


def test_what_only_the_archive_has_was_withdrawn(path: Path) -> None:
    """Beside a file of all complaints, one that this lacks was withdrawn by its day."""
    load_file(path, complaint(1), columns=NO_NARRATIVE, as_of=JUNE)

    assert counts(archive(path, complaint(2, **TOLD))) == (1, 0, 0, 0)
    assert withdrawn(path) == {2: JUNE}


def test_in_a_partial_pull_what_only_the_archive_has_is_skipped(path: Path) -> None:
    """Nothing tells whether CFPB still has it, or it was not asked for."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    report = archive(path, complaint(1, **TOLD), complaint(2, **TOLD))

    assert (report.changed, report.skipped, report.unchanged) == (1, 1, 0)
    assert (report.expected, report.received) == (1, 1)
    assert stored(path) == {1: TOLD}
    assert query(path, "SELECT skipped FROM load WHERE load_id = 2") == [(1,)]


def test_what_is_skipped_twice_is_skipped_once(path: Path) -> None:
    """A copy of a complaint that is left out is no other complaint."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    report = archive(path, *complaints(1, 3, 3, **TOLD))

    assert (report.rows, report.skipped, report.duplicates, report.received) == (3, 1, 1, 1)


def test_the_archive_alone_is_kept(path: Path) -> None:
    """Its files may come before the first file of all complaints, which marks what it lacks."""
    archive(path, complaint(1, **TOLD))
    assert counts(archive(path, *complaints(*range(2, 202), **TOLD))) == (200, 0, 0, 0)

    load_file(path, *complaints(*range(2, 202)), columns=NO_NARRATIVE)
    assert withdrawn(path) == {1: JUNE}
    assert stored(path) == dict.fromkeys(range(1, 202), TOLD)


def added_since(path: Path, kind: SourceKind) -> bool:
    """Return whether a source of this kind is told that others have added complaints."""
    told: list[Watermark] = []

    class Asking(Asked):
        def resume_from(self, watermark: Watermark) -> Asked:
            told.append(watermark)
            return self

    with open_load(path, Asking(kind=kind)):
        pass
    return told[0].added_since


def test_what_was_skipped_may_come_after_all_there_is(path: Path) -> None:
    """A load of all complaints, even one that adds none, lets the rest of the archive in."""
    load(path, part(complaint(1), columns=NO_NARRATIVE))
    archive(path, complaint(1), complaint(2))
    assert not added_since(path, "archive")

    load_file(path, complaint(1), columns=NO_NARRATIVE)
    assert added_since(path, "archive")


def test_a_load_that_was_gone_on_with_may_add_something(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began before the archive was read, and ended after that."""
    hours = iter(range(10, 100))
    monkeypatch.setattr(
        "cfpb_etl.store.loads._now", lambda: f"2026-10-08T{next(hours)}:00:00+00:00"
    )
    break_off(path, part(complaint(1), matching=2, next_parts=[WINDOW]))
    archive(path, complaint(1, **TOLD))
    assert not added_since(path, "archive")

    load(path, part(complaint(2), matching=2))
    assert [load_id for (load_id,) in query(path, "SELECT load_id FROM load")] == [1, 2, 3]
    assert added_since(path, "archive")


def test_a_load_whose_file_is_in_is_complete(path: Path) -> None:
    """Killed after its only transaction it is not gone on with: the next run asks for news."""
    part_of_all = whole(complaint(1))
    files: Any = (part_of_all.info.part,)
    with (
        suppress(KeyboardInterrupt),
        open_load(path, Asked(kind="bulk", windows=files)) as running,
    ):
        store_part(part_of_all, running.id, path)
        raise KeyboardInterrupt

    with open_load(path, Asked(kind="bulk", windows=files)) as running:
        assert running.id == 2
        assert outcomes(path) == [("complete", None), ("running", None)]


# --- in any order ---------------------------------------------------------------------------

VALUES = st.sampled_from([None, "a", "b"])
VALUED = st.tuples(VALUES, VALUES, VALUES)
HELD = st.dictionaries(st.integers(1, 5), VALUED, min_size=1, max_size=5)


def ends_of(*loads: Any) -> Iterator[tuple[dict[int, dict[str, str]], dict[int, str]]]:
    """Load these in every order, and yield what each ends in: the rows, and their marks."""
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
def test_archive_and_bulk_end_in_the_same_rows(archived: Any, held: Any) -> None:
    """Whichever comes first."""
    one, other = ends_of(("archive", archived, JANUARY), ("bulk", held, JUNE))

    assert one == other


@given(archived=HELD, older=HELD, newest=HELD)
@settings(deadline=None, derandomize=True, max_examples=soak(8))
def test_what_is_not_withdrawn_ends_the_same(archived: Any, older: Any, newest: Any) -> None:
    """In whatever order the archive and two days' files come, CFPB's complaints are the same.

    Those that it withdrew are marked the same, but their values may be those of the load that came
    first: a mark hides which load told them.
    """
    ends = [
        *ends_of(("archive", archived, JANUARY), ("bulk", older, MARCH), ("bulk", newest, JUNE))
    ]

    marked = {frozenset(marks) for _, marks in ends}
    assert len(marked) == 1
    for rows, marks in ends:
        kept = {number: row for number, row in rows.items() if number not in marks}
        assert kept == {number: ends[0][0][number] for number in kept}
        assert rows.keys() == ends[0][0].keys()
