"""What became another value is remembered."""

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
def test_a_changed_value_is_remembered(path: Path, name: str) -> None:
    """Each column of an updated row that became another value, or none, or one, is a change."""
    load(path, part(*complaints(1, 2, **{name: "a"}), complaint(3), complaint(4)))
    load(path, part(complaint(1, **{name: "b"}), complaint(2), complaint(3, **{name: "c"})))

    assert changes(path) == [
        (1, 2, name, "a", "b"),
        (2, 2, name, "a", None),
        (3, 2, name, None, "c"),
    ]


def test_inserts_and_what_is_unchanged_are_no_changes(path: Path) -> None:
    """A row that stays, or is new, leaves nothing in the history."""
    load(path, part(*complaints(1, 2, timely="Yes", state="CA")))
    load(path, part(*complaints(1, 2, 3, timely="Yes", state="CA")))

    assert changes(path) == []


def test_each_changed_column_is_a_row(path: Path) -> None:
    """Of a row of which two columns changed two changes are kept, and of the others none."""
    load(path, part(complaint(1, timely="Yes", state="CA", issue="x"), complaint(2, issue="y")))
    load(path, part(complaint(1, timely="No", state="TX", issue="x"), complaint(2, issue="y")))

    assert sorted(changes(path)) == [(1, 2, "state", "CA", "TX"), (1, 2, "timely", "Yes", "No")]


def test_a_complaints_history_is_that_of_all_loads(path: Path) -> None:
    """Each load adds what it changed; back from today's row every earlier one can be told."""
    for response in ("In progress", "In progress", "Closed", None, "Closed"):
        load(path, part(complaint(1, company_response=response)))

    assert changes(path) == [
        (1, 3, "company_response", "In progress", "Closed"),
        (1, 4, "company_response", "Closed", None),
        (1, 5, "company_response", None, "Closed"),
    ]


def test_a_column_that_a_source_newly_carries_is_no_change(path: Path) -> None:
    """Where nobody had looked before, what is found there now did not come to be."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE))
    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told")))

    assert stored(path)[1]["complaint_what_happened"] == "told"
    assert changes(path) == []

    load(path, part(complaint(1, timely="Yes", complaint_what_happened="told otherwise")))
    assert changes(path) == [(1, 3, "complaint_what_happened", "told", "told otherwise")]


def test_what_a_source_had_carried_empty_is_a_change_when_filled(path: Path) -> None:
    """A narrative that CFPB publishes later, with the consumer's consent, is news."""
    load(path, part(complaint(1)))
    load(path, part(complaint(1, complaint_what_happened="told")))

    assert changes(path) == [(1, 2, "complaint_what_happened", None, "told")]


def test_what_only_some_parts_carried_was_not_looked_for(path: Path) -> None:
    """A load of mixed eras carries what all of its parts do."""
    pages = part(complaint(1), next_parts=[WINDOW]), part(complaint(2), columns=NO_NARRATIVE)
    load(path, *pages)
    load(path, part(*complaints(1, 2, complaint_what_happened="told", timely="Yes")))

    assert changes(path) == [(1, 2, "timely", None, "Yes"), (2, 2, "timely", None, "Yes")]


def test_a_column_is_not_taken_for_another_that_contains_its_name(path: Path) -> None:
    """To carry `sub_issue` is not to carry `issue`."""
    load(path, part(complaint(1), columns=["complaint_id", "sub_issue", "company_response"]))
    load(path, part(complaint(1, issue="a", sub_issue="b", company="c")))

    assert changes(path) == [(1, 2, "sub_issue", None, "b")]


def test_an_older_source_changes_no_value(path: Path) -> None:
    """Values that stay, and what fills a place where nobody had looked, are no changes."""
    load(path, part(complaint(1, timely="Yes"), columns=NO_NARRATIVE, as_of=JUNE))
    load(path, part(complaint(1, timely="No", complaint_what_happened="told"), as_of=MARCH))

    assert stored(path) == {1: {"timely": "Yes", "complaint_what_happened": "told"}}
    assert changes(path) == []


def test_a_part_that_was_not_stored_changed_nothing(path: Path) -> None:
    """Changes are taken back with the rows."""

    class Torn(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from self[:1_200]
            raise ZeroDivisionError

    load(path, part(*complaints(*range(1_300), timely="Yes")))
    torn = part_of(Torn(complaints(*range(1_300), timely="No")))
    with pytest.raises(ZeroDivisionError):
        load(path, torn)

    assert changes(path) == []


def test_two_copies_on_a_page_are_two_steps(path: Path) -> None:
    """What the first copy changed, and the second changed back, is all remembered."""
    load(path, part(complaint(1, timely="Yes")))
    load(path, part(complaint(1, timely="No"), complaint(1, timely="Yes")))

    assert changes(path) == [(1, 2, "timely", "Yes", "No"), (1, 2, "timely", "No", "Yes")]
