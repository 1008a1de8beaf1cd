"""A row has the load that first stored it, the newest that changed it, and whose values count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.loads import load, load_file, query
from support.parts import ALL, JANUARY, JUNE, MARCH, NO_NARRATIVE, complaint, complaints, part

if TYPE_CHECKING:
    from pathlib import Path

    from cfpb_etl.model.part import ParsedPart

WROTE = {"complaint_what_happened": "a narrative"}


def load_ids(path: Path) -> dict[int, tuple[int, ...]]:
    """Return the first load of each row, the newest that changed it, and whose values count."""
    columns = "complaint_id, first_load_id, changed_load_id, load_id"
    rows = query(path, f"SELECT {columns} FROM complaint")  # noqa: S608
    return {number: tuple(ids) for number, *ids in rows}


def changes(path: Path) -> list[str]:
    """Return the columns of the values that are noted as changed."""
    return [name for (name,) in query(path, "SELECT column_name FROM complaint_change")]


def test_a_new_row(path: Path) -> None:
    """All three are the load that inserts the row, in an empty database and in a filled one."""
    load(path, part(complaint(1)))
    load(path, part(complaint(2)))
    load_file(path, *complaints(1, 2, 3))

    assert load_ids(path) == {1: (1, 1, 1), 2: (2, 2, 2), 3: (3, 3, 3)}


def test_a_new_row_of_a_first_file(path: Path) -> None:
    """Rows that are inserted without a comparison have all three too."""
    load_file(path, *complaints(*range(600)))

    assert set(load_ids(path).values()) == {(1, 1, 1)}


def test_a_changed_value(path: Path) -> None:
    """The load that changes a value sets the newest change, and its values count."""
    load(path, part(*complaints(1, 2, timely="Yes")))
    load(path, part(complaint(1, timely="No")))

    assert load_ids(path) == {1: (1, 2, 2), 2: (1, 1, 1)}
    assert changes(path) == ["timely"]


def test_an_unchanged_row(path: Path) -> None:
    """A load that finds the row as it is moves nothing."""
    for _ in range(2):
        load(path, part(complaint(1, timely="Yes")))
        load_file(path, complaint(1, timely="Yes"))

    assert load_ids(path) == {1: (1, 1, 1)}


def test_other_white_space_in_a_narrative(path: Path) -> None:
    """A narrative that only differs in white space moves nothing."""
    load(path, part(complaint(1, complaint_what_happened="One.\n\nTwo.")))
    load_file(path, complaint(1, complaint_what_happened="One. Two."))

    assert load_ids(path) == {1: (1, 1, 1)}


def test_a_gap_filled_by_an_older_source(path: Path) -> None:
    """It is a change of the row and not of a value, and the newer load's values still count."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE))
    load(path, part(complaint(1, timely="No", **WROTE), as_of=MARCH))

    assert load_ids(path) == {1: (1, 2, 1)}
    assert changes(path) == []


@pytest.mark.parametrize("as_of", [MARCH, JUNE])
def test_a_gap_filled_by_the_archive(path: Path, as_of: str) -> None:
    """A narrative that only the archive has is a change of the row."""
    load_file(path, complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE)
    load_file(path, complaint(1, timely="Yes", **WROTE), kind="archive", as_of=as_of)

    first, changed, _ = load_ids(path)[1]
    assert (first, changed) == (1, 2)
    assert changes(path) == []


def test_a_value_that_is_not_applied(path: Path) -> None:
    """An older source that differs changes nothing in the row."""
    load(path, part(complaint(1, timely="Yes"), as_of=JUNE))
    load(path, part(complaint(1, timely="No"), as_of=MARCH))

    assert load_ids(path) == {1: (1, 1, 1)}


def everything(*numbers: int, as_of: str) -> ParsedPart:
    """Make all complaints that a source has."""
    return part(*complaints(*numbers, date_received="2026-01-15"), as_of=as_of, proves_absence=True)


def test_a_mark_and_its_removal(path: Path) -> None:
    """To mark a row as withdrawn, and to remove the mark, are changes of the row."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=MARCH))
    assert load_ids(path) == {1: (1, 1, 1), 2: (1, 2, 1)}

    load(path, everything(1, 2, as_of=JUNE))
    assert load_ids(path) == {1: (1, 1, 1), 2: (1, 3, 3)}
    assert changes(path) == ["withdrawn_on", "withdrawn_on"]


def test_a_mark_by_a_file_and_its_removal(path: Path) -> None:
    """So it is with the file of all complaints."""
    for numbers, as_of in ((range(200), JANUARY), (range(199), MARCH), (range(200), JUNE)):
        load_file(path, *complaints(*numbers), as_of=as_of)
        expected = {JANUARY: (1, 1, 1), MARCH: (1, 2, 1), JUNE: (1, 3, 3)}[as_of]
        assert load_ids(path)[199] == expected
    assert load_ids(path)[0] == (1, 1, 1)


def test_a_mark_of_a_newer_source_stays(path: Path) -> None:
    """An older source that has the complaint, as it is stored, moves nothing."""
    load(path, everything(1, 2, as_of=JANUARY))
    load(path, everything(1, as_of=JUNE))
    load(path, everything(1, 2, as_of=MARCH))

    assert load_ids(path) == {1: (1, 1, 1), 2: (1, 2, 1)}


@pytest.mark.parametrize("name", ALL[1:])
def test_a_filled_gap_in_each_column(path: Path, name: str) -> None:
    """Any column that a newer source does not send can be filled."""
    rest = frozenset(ALL) - {name}
    load(path, part(complaint(1), columns=rest, as_of=JUNE))
    load(path, part(complaint(1, **{name: "a"}), as_of=MARCH))

    assert load_ids(path) == {1: (1, 2, 1)}
    assert changes(path) == []
