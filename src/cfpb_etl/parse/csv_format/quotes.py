"""Finds the quote that is still open at the end of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def line_of_open_quote(lines: Sequence[str], delimiter: str) -> int:
    """Return the place of the line whose quote is still open at the end; 0 if no quote is open.

    Args:
        lines: The lines of a record. A quote within a field is doubled.
        delimiter: The character between two fields.
    """
    opened: int | None = None
    for number, line in enumerate(lines):
        place = 0
        while 0 <= place < len(line):
            if opened is None and line[place] == '"':
                opened = number
                place += 1
            elif opened is None:
                place = _after(delimiter, line, place)
            else:
                place = line.find('"', place)
                if place >= 0 and line[place + 1 : place + 2] == '"':
                    place += 2
                elif place >= 0:
                    opened = None
                    place = _after(delimiter, line, place)
    return opened or 0


def _after(delimiter: str, line: str, place: int) -> int:
    """Return the place after the next delimiter; -1 if there is none."""
    return line.find(delimiter, place) + 1 or -1
