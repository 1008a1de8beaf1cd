"""The row of a load: how old its data are, what was requested, and what was not applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cfpb_etl.model.file import FileVersion
from cfpb_etl.store.loads import open_load
from cfpb_etl.store.part_writer import store_part
from support.loads import FakeSource, load, load_file, query
from support.parts import (
    ALL,
    JANUARY,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    File,
    NextPart,
    complaint,
    complaints,
    file_of,
    part,
)

if TYPE_CHECKING:
    from pathlib import Path


def row(path: Path, *columns: str) -> tuple[Any, ...]:
    """Return these columns of the newest load."""
    sql = f"SELECT {', '.join(columns)} FROM load ORDER BY load_id DESC LIMIT 1"  # noqa: S608
    return tuple(query(path, sql)[0])


AGE = ("as_of_earliest", "as_of_latest", "as_of_evidence")


# --- the age of the data --------------------------------------------------------------------


def test_the_age_of_a_page_is_a_range(path: Path) -> None:
    """The earliest and the latest day that the data can be of, and what shows them."""
    load(path, part(complaint(1, date_received="2026-06-01"), as_of=JUNE, earliest="2026-06-28"))

    assert row(path, *AGE) == ("2026-06-28", JUNE, "_meta.last_updated")


def test_the_age_of_several_parts(path: Path) -> None:
    """The range is that of all parts, and each evidence is named once."""
    parts = [
        part(complaint(1), as_of=MARCH, earliest=MARCH, next_parts=[NextPart()]),
        part(complaint(2), as_of=JUNE, earliest=JUNE, evidence="today", next_parts=[NextPart()]),
        part(complaint(3), as_of=JUNE, earliest=JANUARY, evidence="today"),
    ]
    with open_load(path, FakeSource()) as running:
        for each in parts:
            store_part(each, running.id, path)

    assert row(path, *AGE) == (JANUARY, JUNE, "_meta.last_updated; today")


def test_a_part_of_unknown_age(path: Path) -> None:
    """A part without complaints, such as the archive's page, can have no age."""
    page = file_of(key="page", age=None, proves_absence=False)
    page.next_parts = (File("a.zip"),)
    source = FakeSource(kind="archive", windows=(File("page"),))
    with open_load(path, source) as running:
        store_part(page, running.id, path)
        assert row(path, *AGE) == (None,) * 3
        store_part(file_of(complaint(1), key="a.zip", as_of=MARCH), running.id, path)

    assert row(path, *AGE) == (MARCH, MARCH, "Last-Modified")


# --- the request ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_partial", [False, True])
def test_whether_a_load_is_partial(path: Path, is_partial: bool) -> None:  # noqa: FBT001
    """The source knows whether it asks for all complaints of CFPB."""
    load(path, is_partial=is_partial)

    assert row(path, "is_partial") == (is_partial,)


# --- the source's total ---------------------------------------------------------------------


def test_the_total_that_a_page_reports(path: Path) -> None:
    """The latest count is kept, also where a later page has none."""
    with open_load(path, FakeSource()) as running:
        for total in (16_000_000, 16_000_001, None):
            page = part(complaint(1), source_total=total, next_parts=[NextPart()])
            store_part(page, running.id, path)

    assert row(path, "source_total") == (16_000_001,)


def test_the_total_of_a_file_of_all_complaints(path: Path) -> None:
    """It is the number of distinct complaints in the file."""
    load_file(path, *complaints(1, 2, 3, 3))

    assert row(path, "source_total") == (3,)


def test_the_total_is_unknown(path: Path) -> None:
    """Neither the archive nor a file that was not read again shows it."""
    load_file(path, *complaints(1, 2), kind="archive")
    assert row(path, "source_total") == (None,)

    version = FileVersion('"a"')
    load_file(path, is_unchanged=True, version=version, proves_absence=True)
    assert row(path, "source_total", "rows") == (None, 0)


# --- complaints that differ and stay as they are --------------------------------------------

COUNTS = ("rows", "new", "changed", "unchanged", "skipped", "not_applied")


def test_what_is_not_applied(path: Path) -> None:
    """Complaints that differ from a newer load's are counted apart from unchanged ones."""
    load(path, part(*complaints(1, 2, 3, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE))
    older = part(
        complaint(1, timely="Yes"),
        complaint(2, timely="No"),
        complaint(3, timely="No", complaint_what_happened="a narrative"),
        complaint(4, timely="No"),
        as_of=MARCH,
    )
    load(path, older)

    assert row(path, *COUNTS) == (4, 1, 1, 1, 0, 1)


def test_a_value_in_place_of_none_is_not_applied(path: Path) -> None:
    """The newer load sent the column without a value."""
    load(path, part(complaint(1), as_of=JUNE))
    load(path, part(complaint(1, timely="No"), as_of=MARCH))

    assert row(path, *COUNTS) == (1, 0, 0, 0, 0, 1)


def test_white_space_is_no_difference(path: Path) -> None:
    """An older narrative with other white space is unchanged."""
    load(path, part(complaint(1, complaint_what_happened="One.\n\nTwo."), as_of=JUNE))
    load_file(path, complaint(1, complaint_what_happened="One. Two."), as_of=MARCH)

    assert row(path, *COUNTS) == (1, 0, 0, 1, 0, 0)


def test_a_column_that_only_some_complaints_have(path: Path) -> None:
    """A value beside the columns that every complaint has is not applied, whatever its age."""
    load(path, part(complaint(1, tags="Servicemember"), as_of=JANUARY))
    rest = frozenset(ALL) - {"tags"}
    load(path, part(complaint(1, tags="Older American"), columns=rest, as_of=JUNE))

    assert row(path, *COUNTS) == (1, 0, 0, 0, 0, 1)


def test_an_older_file_has_the_last_values_of_a_withdrawn_complaint(path: Path) -> None:
    """The newer mark stays, and it alone is not a difference."""
    load_file(path, *complaints(1, 2, 3, date_received="2026-01-15"), as_of=JANUARY)
    load_file(path, *complaints(1, date_received="2026-01-15"), as_of=JUNE)
    older = [
        complaint(1, date_received="2026-01-15"),
        complaint(2, date_received="2026-01-15"),
        complaint(3, date_received="2026-01-16"),
    ]
    load_file(path, *older, as_of=MARCH)

    assert row(path, *COUNTS) == (3, 0, 1, 2, 0, 0)
    assert query(path, "SELECT withdrawn_on FROM complaint") == [(None,), (JUNE,), (JUNE,)]
