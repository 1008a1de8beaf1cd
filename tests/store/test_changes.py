"""Changed values are kept, each with the load that changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support.loads import changes, load, stored
from support.parts import (
    ALL,
    JUNE,
    MARCH,
    NO_NARRATIVE,
    WINDOW,
    complaint,
    complaints,
    part,
    part_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("name", ALL[1:])
def test_a_changed_value_is_kept(path: Path, name: str) -> None:
    """A value that changes, is removed or is added is a change, in each column."""
    load(path, part(*complaints(1, 2, **{name: "a"}), complaint(3), complaint(4)))
    load(path, part(complaint(1, **{name: "b"}), complaint(2), complaint(3, **{name: "c"})))

    assert changes(path) == [
        (1, 2, name, "a", "b"),
        (2, 2, name, "a", None),
        (3, 2, name, None, "c"),
    ]


def test_new_and_unchanged_rows_are_not_changes(path: Path) -> None:
    """A row that is new or unchanged adds nothing to the history."""
    load(path, part(*complaints(1, 2, timely="Yes", state="CA")))
    load(path, part(*complaints(1, 2, 3, timely="Yes", state="CA")))

    assert changes(path) == []


def test_each_changed_column_is_a_row(path: Path) -> None:
    """Only the columns that changed are kept, one row each."""
    load(path, part(complaint(1, timely="Yes", state="CA", issue="x"), complaint(2, issue="y")))
    load(path, part(complaint(1, timely="No", state="TX", issue="x"), complaint(2, issue="y")))

    assert sorted(changes(path)) == [(1, 2, "state", "CA", "TX"), (1, 2, "timely", "Yes", "No")]


def test_every_load_adds_to_the_history(path: Path) -> None:
    """From today's row all earlier values can be found."""
    for response in ("In progress", "In progress", "Closed", None, "Closed"):
        load(path, part(complaint(1, company_response=response)))

    assert changes(path) == [
        (1, 3, "company_response", "In progress", "Closed"),
        (1, 4, "company_response", "Closed", None),
        (1, 5, "company_response", None, "Closed"),
    ]


def test_a_column_that_was_not_sent_before_is_not_a_change(path: Path) -> None:
    """The complaint may have had the value when the first load did not send the column."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE))
    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told")))

    assert stored(path)[1]["complaint_what_happened"] == "told"
    assert changes(path) == []

    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told otherwise")))
    assert changes(path) == [(1, 3, "complaint_what_happened", "told", "told otherwise")]


def test_a_value_in_a_column_that_was_sent_empty_is_a_change(path: Path) -> None:
    """CFPB can publish a narrative later, with the consumer's consent."""
    load(path, part(complaint(1)))
    load(path, part(complaint(1, complaint_what_happened="told")))

    assert changes(path) == [(1, 2, "complaint_what_happened", None, "told")]


def test_a_column_that_only_some_parts_had_was_not_sent(path: Path) -> None:
    """A load sends a column if all its parts do."""
    pages = part(complaint(1), next_parts=[WINDOW]), part(complaint(2), columns=NO_NARRATIVE)
    load(path, *pages)
    load(path, part(*complaints(1, 2, complaint_what_happened="told", timely="Yes")))

    assert changes(path) == [(1, 2, "timely", None, "Yes"), (2, 2, "timely", None, "Yes")]


def test_a_column_whose_name_is_part_of_another(path: Path) -> None:
    """A load that sends `sub_issue` need not send `issue`."""
    load(path, part(complaint(1), columns=["complaint_id", "sub_issue", "company_response"]))
    load(path, part(complaint(1, issue="a", sub_issue="b", company="c")))

    assert changes(path) == [(1, 2, "sub_issue", None, "b")]


def test_an_older_source_changes_no_value(path: Path) -> None:
    """Values that stay, and filled gaps, are not changes."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE))
    load(path, part(complaint(1, timely="No", complaint_what_happened="told"), as_of=MARCH))

    assert stored(path) == {1: {"timely": "Yes", "complaint_what_happened": "told"}}
    assert changes(path) == []


def test_a_part_that_fails_leaves_no_changes(path: Path) -> None:
    """Changes are rolled back with the rows."""

    class Torn(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from self[:1_200]
            raise ZeroDivisionError

    load(path, part(*complaints(*range(1_300), timely="Yes")))
    torn = part_of(Torn(complaints(*range(1_300), timely="No")))
    with pytest.raises(ZeroDivisionError):
        load(path, torn)

    assert changes(path) == []


def test_two_copies_on_a_page_are_two_changes(path: Path) -> None:
    """The first copy changed the value, and the second changed it back."""
    load(path, part(complaint(1, timely="Yes")))
    load(path, part(complaint(1, timely="No"), complaint(1, timely="Yes")))

    assert changes(path) == [(1, 2, "timely", "Yes", "No"), (1, 2, "timely", "No", "Yes")]
