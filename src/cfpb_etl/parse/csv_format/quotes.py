"""Finds where the quotes of a record open and close."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Quotes(NamedTuple):
    """The quotes of a record.

    Attributes:
        opened: The place of the line whose quote is still open at the end; None if no quote is.
        closed: For each line, where the quote closes that was open at the start of the line: the
            length of the line if it stays open, None if no quote was open.
        has_bare: Whether a field without quotes around it contains a quote. No program writes such
            a field.
    """

    opened: int | None
    closed: list[int | None]
    has_bare: bool


def quotes_of(lines: Sequence[str], delimiter: str) -> Quotes:
    """Return the quotes of a record.

    Args:
        lines: The lines of the record. A quote within a field is doubled.
        delimiter: The character between two fields.
    """
    opened: int | None = None
    closed: list[int | None] = []
    has_bare = False
    for number, line in enumerate(lines):
        first = None if opened is None else len(line)
        place = 0
        while 0 <= place < len(line):
            if opened is None and line[place] == '"':
                opened = number
                place += 1
            elif opened is None:
                start, place = place, _after(delimiter, line, place)
                has_bare = has_bare or line.find('"', start, len(line) if place < 0 else place) >= 0
            elif (quote := line.find('"', place)) < 0:
                break
            elif line[quote + 1 : quote + 2] == '"':
                place = quote + 2
            else:
                opened = None
                first = quote if first == len(line) else first
                place = _after(delimiter, line, quote)
        closed.append(first)
    return Quotes(opened, closed, has_bare)


def split_at_open_quote(text: str, delimiter: str) -> tuple[list[str], str]:
    """Return the fields before the first quote that does not close a field, and the other text.

    If each quote closes its field, the other text is the last field.
    """
    fields: list[str] = []
    place = 0
    while True:
        end = _end_of_field(text, place, delimiter)
        if not text.startswith(delimiter, end):
            return fields, text[place:]
        fields.append(text[place:end].removeprefix('"').removesuffix('"'))
        place = end + len(delimiter)


def _end_of_field(text: str, place: int, delimiter: str) -> int:
    """Return the place after a field; the length of the text if it is the last one."""
    if not text.startswith('"', place):
        end = text.find(delimiter, place)
        return len(text) if end < 0 else end
    place = text.find('"', place + 1)
    while place >= 0 and text.startswith('"', place + 1):
        place = text.find('"', place + 2)
    is_closed = place >= 0 and text.startswith(delimiter, place + 1)
    return place + 1 if is_closed else len(text)


def _after(delimiter: str, line: str, place: int) -> int:
    """Return the place after the next delimiter; -1 if there is none."""
    return line.find(delimiter, place) + 1 or -1
