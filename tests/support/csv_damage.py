"""The kinds of damage that `csv_mutations` can judge, drawn from a seeded generator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeAlias

from support.csv_mutations import Edit, Original, row_bytes
from support.resaved import NARRATIVE

Damage: TypeAlias = Callable[[Random, Original], "Iterable[Edit]"]

_QUOTES = re.compile(rb'"')
_FIELD_STARTS = re.compile(rb"(?<=[,\n\r])")


def _place(rng: Random, file: Original) -> int:
    return rng.randrange(len(file.header), len(file.content))


def _row(rng: Random, file: Original) -> int:
    return rng.randrange(len(file.rows))


def _one_of(rng: Random, pattern: re.Pattern[bytes], file: Original) -> int:
    """Return the place of one of the matches after the header; of any byte if there is none."""
    places = [match.start() for match in pattern.finditer(file.content, len(file.header))]
    return rng.choice(places or [_place(rng, file)])


def _within_narrative(rng: Random, file: Original, content: bytes) -> Iterable[Edit]:
    """Insert bytes into a narrative that has quotes around it; nothing if there is none."""
    if NARRATIVE not in file.names:
        return
    column = file.names.index(NARRATIVE)
    numbers = [n for n, fields in enumerate(file.fields) if {*fields[column]} & {*',"\n'}]
    if numbers:
        number = rng.choice(numbers)
        before = _before(file, number, column)
        after = _before(file, number, column + 1) if column + 1 < len(file.names) else None
        text = file.rows[number][before:after]
        # Not between the two halves of a doubled quote.
        places = [m.start() for m in re.finditer(rb'(?<=[^"])(?=[^"])', text)]
        yield Edit(file.starts[number] + before + rng.choice(places[: len(text) - 2]), 0, content)


def _before(file: Original, number: int, column: int) -> int:
    """Return how many bytes of a row are before a column."""
    return len(row_bytes([*file.fields[number][:column], ""], "", file.quoting)) - 2 * file.quoting


def _end_of(row: bytes) -> bytes:
    return row[len(row.rstrip(b"\r\n")) :]


# --- quotes ---------------------------------------------------------------------------------


def drop_a_quote(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete one of the quotes."""
    yield Edit(_one_of(rng, _QUOTES, file), 1)


def drop_a_closing_quote(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete a quote at the end of a field."""
    yield Edit(_one_of(rng, re.compile(rb'(?<=[^,"\r\n])"(?=[,\r\n])'), file), 1)


def add_a_quote(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a quote anywhere."""
    yield Edit(_place(rng, file), 0, b'"')


def open_a_field(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a quote at the start of a field."""
    yield Edit(_one_of(rng, _FIELD_STARTS, file), 0, b'"')


def open_and_close(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a quote at the start of a field, and another at the end of a later field."""
    opened = _one_of(rng, _FIELD_STARTS, file)
    ends = [match.start() for match in re.finditer(rb"(?=[,\n\r])", file.content[opened + 1 :])]
    yield Edit(opened, 0, b'"')
    if ends:
        yield Edit(opened + 1 + rng.choice(ends[: rng.choice((20, 200, len(ends)))]), 0, b'"')


def open_a_row(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a line that opens a quote."""
    yield Edit(file.starts[_row(rng, file)], 0, rng.choice((b'"\n', b'x,"y\n', b'2020-01-02,"\n')))


# --- bytes ----------------------------------------------------------------------------------


def delete_bytes(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete some bytes, or some rows with parts of others."""
    place = _place(rng, file)
    length = rng.choice((1, 2, rng.randrange(1, 40), rng.randrange(1, 2_000)))
    yield Edit(place, min(length, len(file.content) - place))


def delete_between_equal_fields(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete from a field of a row to the same field of a later row."""
    first, last = sorted((_row(rng, file), _row(rng, file)))
    column = rng.randrange(len(file.names))
    start, end = [file.starts[n] + _before(file, n, column) for n in (first, last)]
    if start < end:
        yield Edit(start, end - start)


def duplicate_bytes(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert some bytes a second time."""
    place = _place(rng, file)
    copy = file.content[place : place + rng.choice((1, rng.randrange(1, 300), 3_000))]
    yield Edit(place + len(copy), 0, copy)


def cut(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete the end of the file."""
    place = _place(rng, file)
    yield Edit(place, len(file.content) - place)


def insert_nul(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert NUL bytes, as a crashed disk does."""
    yield Edit(_place(rng, file), 0, b"\0" * rng.choice((1, 512)))


def invalid_utf_8(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert bytes that are not valid UTF-8."""
    yield Edit(_place(rng, file), 0, rng.choice((b"\xe9", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3")))


def change_a_byte(rng: Random, file: Original) -> Iterable[Edit]:
    """Replace a byte by another."""
    yield Edit(_place(rng, file), 1, bytes([rng.choice(b',"\r\n\\;\tx0')]))


# --- fields and lines -----------------------------------------------------------------------


def _rewrite(file: Original, number: int, fields: list[str]) -> Edit:
    end = _end_of(file.rows[number]).decode()
    return Edit(file.starts[number], len(file.rows[number]), row_bytes(fields, end, file.quoting))


def remove_a_field(rng: Random, file: Original) -> Iterable[Edit]:
    """Remove a field of a row."""
    number = _row(rng, file)
    fields = [*file.fields[number]]
    del fields[rng.randrange(len(fields))]
    yield _rewrite(file, number, fields)


def add_a_field(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a field into a row, or an empty one after its last."""
    number = _row(rng, file)
    fields = [*file.fields[number]]
    fields.insert(rng.randrange(len(fields) + 1), rng.choice(("", "x", "2020-01-02", "77")))
    yield _rewrite(file, number, fields)


def join_two_rows(rng: Random, file: Original) -> Iterable[Edit]:
    """Delete the line end of a row, or replace it."""
    number = _row(rng, file)
    length = len(_end_of(file.rows[number]))
    inserted = rng.choice((b"", b" ", b","))
    yield Edit(file.starts[number + 1] - length, length, inserted)


def break_a_row(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a line end anywhere."""
    yield Edit(_place(rng, file), 0, rng.choice((b"\n", b"\r\n", b"\r")))


def row_in_narrative(rng: Random, file: Original) -> Iterable[Edit]:
    """Copy a row into a narrative, as a line of its own: with its id, another id, or without."""
    number = _row(rng, file)
    fields = [field.replace('"', "").replace("\n", " ") for field in file.fields[number]]
    place = file.names.index("complaint_id")
    fields[place] = rng.choice((fields[place], "", str(rng.randrange(10**8)), "abc"))
    if rng.random() < 0.2:
        del fields[place]
    copy = row_bytes(fields, "").replace(b'"', b"")
    yield from _within_narrative(rng, file, b"\n" + copy + b"\n")


def header_in_narrative(rng: Random, file: Original) -> Iterable[Edit]:
    """Copy the header into a narrative."""
    yield from _within_narrative(rng, file, b"\n" + file.header.replace(b'"', b""))


def long_narrative(rng: Random, file: Original) -> Iterable[Edit]:
    """Make a narrative longer than the default limit of Python's reader."""
    yield from _within_narrative(rng, file, b"ab, " * 40_000)


# --- harmless changes -----------------------------------------------------------------------


def mix_line_ends(rng: Random, file: Original) -> Iterable[Edit]:
    """Change the line ends of some rows."""
    for number in rng.sample(range(len(file.rows)), rng.randrange(1, len(file.rows) + 1)):
        end = _end_of(file.rows[number])
        yield Edit(
            file.starts[number + 1] - len(end), len(end), rng.choice((b"\n", b"\r\n", b"\r"))
        )


def repeat_the_header(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert the header between two rows."""
    yield Edit(file.starts[_row(rng, file)], 0, file.header)


def insert_blank_rows(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert rows without contents between rows, as Excel writes them."""
    width = len(file.names)
    blanks = (b"\n", b"," * (width - 1) + b"\r\n", b"\r\n", b",".join([b'""'] * width) + b"\n")
    for number in rng.sample(range(len(file.rows)), rng.randrange(1, min(4, len(file.rows) + 1))):
        yield Edit(file.starts[number], 0, rng.choice(blanks) * rng.randrange(1, 4))


def duplicate_a_row(rng: Random, file: Original) -> Iterable[Edit]:
    """Insert a copy of a row between rows."""
    yield Edit(file.starts[_row(rng, file)], 0, file.rows[_row(rng, file)])


QUOTES: tuple[Damage, ...] = (
    drop_a_quote,
    drop_a_closing_quote,
    add_a_quote,
    open_a_field,
    open_and_close,
    open_a_row,
)
BYTES: tuple[Damage, ...] = (
    delete_bytes,
    delete_between_equal_fields,
    duplicate_bytes,
    cut,
    insert_nul,
    invalid_utf_8,
    change_a_byte,
)
LINES: tuple[Damage, ...] = (
    remove_a_field,
    add_a_field,
    join_two_rows,
    break_a_row,
    row_in_narrative,
    header_in_narrative,
    long_narrative,
)
HARMLESS: tuple[Damage, ...] = (
    mix_line_ends,
    repeat_the_header,
    insert_blank_rows,
    duplicate_a_row,
)


def combined(rng: Random, file: Original, kinds: Iterable[Damage]) -> list[Edit]:
    """Return the edits of several kinds of damage, without those that overlap an earlier one."""
    edits: list[Edit] = []
    for kind in kinds:
        for edit in kind(rng, file):
            if all(
                edit.at + edit.deleted < other.at or other.at + other.deleted < edit.at
                for other in edits
            ):
                edits.append(edit)
    return edits
