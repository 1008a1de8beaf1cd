"""Whatever happens to a file, no complaint is read wrong, and none is lost without a word."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import pytest

from cfpb_etl.fetch.errors import FileError
from support.csv_damage import BYTES, HARMLESS, LINES, QUOTES, Damage, combined
from support.csv_mutations import Damaged, Edit, Original, original_file, row_bytes
from support.csv_reading import OPTIONS, load_csv, read_csv
from support.loads import stored, withdrawn
from support.resaved import (
    NAMES_14,
    NAMES_15,
    NAMES_16,
    NAMES_18,
    NARRATIVE,
    Row,
    complaints,
)
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.csv_reading import Reading

POOL = complaints(1_700)
ORDERS = (NAMES_18, NAMES_16, NAMES_15, NAMES_14, NAMES_18[::-1])
ODD_STARTS = ("\n", ",", '"', ",,", "\r\n", '","', " ")


BACKSLASHES = (
    "The form is in C:\\scans\\, and nobody reads it.",
    'They wrote \\"no\\", and that was all',
    'A backslash, and the end "\\"',
    "Two, \\\\",
)

ALL = [*QUOTES, *QUOTES, *BYTES, *LINES, *HARMLESS]


def name_of(kind: Damage) -> str:
    """Return the name of a kind of damage."""
    return kind.__name__


def draw_file(rng: Random, rows: int | None = None) -> Original:
    """Return a valid file of a random shape, with a few rows by default."""
    names = [*rng.choice(ORDERS)]
    if rng.random() < 0.2:
        rng.shuffle(names)
    drawn = rng.sample(POOL, rows or rng.choice((3, 8, 20, 40)))
    share = rng.random()  # of rows with a narrative
    kept = []
    for row in drawn:
        narrative = row[NARRATIVE] if rng.random() < share else None
        if narrative and rng.random() < 0.1:
            narrative = rng.choice(ODD_STARTS) + narrative
        elif narrative and rng.random() < 0.05:
            narrative = rng.choice(BACKSLASHES)
        kept.append({**row, NARRATIVE: narrative})
    quoting: Literal[0, 1] = csv.QUOTE_ALL if rng.random() < 0.15 else csv.QUOTE_MINIMAL
    return original_file(kept, names, rng.choice(("\n", "\n", "\r\n")), quoting)


def read(damaged: Damaged, folder: Path, database: Path | None = None) -> Reading:
    """Read a damaged file."""
    path = folder / "complaints.csv"
    path.write_bytes(damaged.content)
    return read_csv(path, OPTIONS._replace(allow_rejected=1_000_000), database)


def fuzz(
    name: str,
    count: int,
    damage: Callable[[Random], Damaged],
    folder: Path,
    database: Path | None = None,
) -> Counter[str]:
    """Read many damaged files, assert that nothing is wrong, and count the outcomes.

    The message of a failure has the seed of each file, which is the name with a number.
    """
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    for number in range(count):
        seed = f"{name} {number}"
        damaged = damage(Random(seed))  # noqa: S311 - nothing secret
        reading = read(damaged, folder, database)
        faults += [f"{seed!r}: {each[:600]}" for each in damaged.faults(reading)]
        outcomes["refused" if reading.refusal else "read"] += 1
        outcomes["rejected"] += reading.stats.rejected > 0 and not reading.refusal
    assert not faults, "\n".join([f"{len(faults)} faults in {count} files", *faults[:5]])
    return outcomes


@pytest.mark.parametrize("kind", [*QUOTES, *BYTES, *LINES], ids=name_of)
def test_damage_of_one_kind(kind: Damage, tmp_path: Path) -> None:
    """Untouched rows are read exactly, damaged rows as their bytes say, and the rest is counted."""

    def damage(rng: Random) -> Damaged:
        return Damaged(file := draw_file(rng), combined(rng, file, [kind]))

    outcomes = fuzz(kind.__name__, soak(40), damage, tmp_path)

    # A reader that refuses every file would be right, but useless.
    assert outcomes["read"] >= outcomes["refused"], outcomes


@pytest.mark.parametrize("kind", HARMLESS, ids=name_of)
def test_harmless_changes(kind: Damage, tmp_path: Path) -> None:
    """They cost no row, and nothing is rejected."""

    def damage(rng: Random) -> Damaged:
        return Damaged(file := draw_file(rng), combined(rng, file, [kind]))

    outcomes = fuzz(kind.__name__, soak(20), damage, tmp_path)

    assert (outcomes["refused"], outcomes["rejected"]) == (0, 0)


@pytest.mark.parametrize("damages", [2, 3, 6])
def test_damage_of_many_kinds(damages: int, tmp_path: Path) -> None:
    """The same holds for a file that is damaged in several places."""

    def damage(rng: Random) -> Damaged:
        return Damaged(file := draw_file(rng), combined(rng, file, rng.choices(ALL, k=damages)))

    fuzz(f"{damages} kinds", soak(100), damage, tmp_path)


def test_damage_of_larger_files(tmp_path: Path) -> None:
    """The same holds for files of many batches."""

    def damage(rng: Random) -> Damaged:
        file = draw_file(rng, rows=1_600)
        return Damaged(file, combined(rng, file, rng.choices(ALL, k=4)))

    fuzz("larger", soak(5), damage, tmp_path)


# --- after another file ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> tuple[Original, Path]:
    """Return the file of the day before, and the database that has stored it."""
    folder = tmp_path_factory.mktemp("yesterday")
    one_line = [row for row in POOL if "\n" not in (row[NARRATIVE] or "")][:700]
    others = [row for row in POOL if "\n" in (row[NARRATIVE] or "")][:50]
    file = original_file([*one_line, *others], NAMES_18)
    (folder / "complaints.csv").write_bytes(file.content)
    load_csv(folder / "complaints.csv", folder / "complaints.db")
    again = read_csv(folder / "complaints.csv", database=folder / "complaints.db")
    assert again.stats.unchanged >= 500
    return file, folder / "complaints.db"


@pytest.mark.parametrize("kind", [*QUOTES, *BYTES, *LINES, *HARMLESS], ids=name_of)
def test_damage_of_the_next_file(
    kind: Damage, yesterday: tuple[Original, Path], tmp_path: Path
) -> None:
    """The same holds if unchanged lines are skipped, and most lines are unchanged."""
    file, database = yesterday

    def damage(rng: Random) -> Damaged:
        return Damaged(file, combined(rng, file, [kind] * rng.choice((1, 3))))

    fuzz(f"next, {kind.__name__}", soak(4), damage, tmp_path, database)


@pytest.mark.usefixtures("reader_in_this_process")
@pytest.mark.parametrize("number", range(4))
def test_a_damaged_file_harms_no_stored_complaint(
    number: int, yesterday: tuple[Original, Path], tmp_path: Path
) -> None:
    """After it is stored or refused, each untouched complaint is as it was, and not withdrawn."""
    file, stored_yesterday = yesterday
    database = Path(shutil.copy(stored_yesterday, tmp_path / "complaints.db"))
    rng = Random(f"stored {number}")  # noqa: S311 - nothing secret
    damaged = Damaged(file, combined(rng, file, [rng.choice(QUOTES)]))
    path = tmp_path / "complaints.csv"
    path.write_bytes(damaged.content)

    with suppress(FileError):
        load_csv(path, database, proves_absence=True)

    now, before = stored(database), stored(stored_yesterday)
    ids = {file.complaints[n].complaint_id for n in damaged.untouched}
    assert len(ids) > len(file.rows) - 100
    assert {n: now[n] for n in ids} == {n: before[n] for n in ids}
    assert withdrawn(database).keys() & ids == set()


# --- known cases, and large ones ------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_quote_that_is_never_closed_costs_one_row(end: str, tmp_path: Path) -> None:
    """The rows after it are not a part of its field, up to the next quote or the end."""
    rows = without_quotes(2_000)
    rows[1_700] = {**rows[1_700], "company": "ACME, INC."}
    file = original_file(rows, NAMES_18, end)
    edits = [
        Edit(file.starts[number] + file.rows[number].index(b",") + 1, 0, b'"')
        for number in (500, 1_900)
    ]

    reading = read(damaged := Damaged(file, edits), tmp_path)

    assert damaged.faults(reading) == []
    assert reading.refusal is None
    kept = [n for n in range(2_000) if n not in {500, 1_900}]
    assert reading.complaints == [file.complaints[n] for n in kept]
    assert [each.partition(":")[0] for each in reading.stats.warnings] == ["line 502", "line 1,902"]
    assert reading.stats.rejected == 2


@pytest.mark.parametrize("names", [NAMES_18, NAMES_18[::-1], NAMES_16], ids=["18", "id", "16"])
def test_a_quote_that_is_closed_later_costs_two_rows(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    """A narrative never contains other rows, even if it is valid CSV with them."""
    rows = without_quotes(9)
    rows[2] = {**rows[2], NARRATIVE: "Opened, and not closed"}
    rows[6] = {**rows[6], NARRATIVE: "Closed, and not opened"}
    file = original_file(rows, names)
    opened = file.starts[2] + file.rows[2].index(b'not closed"') + len(b"not closed")
    closed = file.starts[6] + file.rows[6].index(b'"Closed')

    reading = read(damaged := Damaged(file, [Edit(opened, 1), Edit(closed, 1)]), tmp_path)

    assert damaged.faults(reading) == []


@pytest.mark.parametrize("names", [NAMES_18, NAMES_18[::-1], NAMES_16], ids=["18", "id", "16"])
@pytest.mark.parametrize("number", ["", "abc", "12x4", "None", None])
def test_a_line_without_an_id_is_no_lost_row(
    number: str | None, names: tuple[str, ...], tmp_path: Path
) -> None:
    """A narrative keeps it, although it starts with a day and has the right number of fields."""
    fields = ["2020-01-02" if name == "date_received" else "x" for name in names]
    fields[names.index("complaint_id")] = number or ""
    if number is None:
        fields.remove("")
    rows = [{**POOL[0], NARRATIVE: f"They wrote:\n{','.join(fields)}\nand no more."}, *many(3)]
    file = original_file(rows, names)

    reading = read(Damaged(file, []), tmp_path)

    assert reading.refusal is None
    assert reading.complaints == file.complaints
    assert reading.stats.warnings == []


def test_a_valid_file_with_columns_in_any_order(tmp_path: Path) -> None:
    """A line of a narrative is not a row, even if an id and a day follow in the record."""

    def shuffled(rng: Random) -> Damaged:
        rows = rng.sample(POOL, 12)
        names = rng.sample(NAMES_18, rng.choice((4, 9, 18)))
        names += {"complaint_id", "date_received"} - {*names}
        return Damaged(original_file(rows, names), [])

    outcomes = fuzz("shuffled", soak(60), shuffled, tmp_path)

    assert (outcomes["refused"], outcomes["rejected"]) == (0, 0)


def test_a_line_that_is_completed_by_the_columns_after_it(tmp_path: Path) -> None:
    """The last line of a narrative and the columns after it only look like a row."""
    names = ("company", NARRATIVE, "complaint_id", "date_received")
    file = original_file([{**POOL[0], NARRATIVE: "first\nsecond, third"}, *many(3)], names)

    reading = read(Damaged(file, []), tmp_path)

    assert reading.complaints == file.complaints
    assert reading.stats.warnings == []


@pytest.mark.parametrize("place", [0, 1, 15, 18])
def test_a_field_too_many_in_the_first_row_costs_one_row(place: int, tmp_path: Path) -> None:
    """It says nothing about the columns of the other rows."""
    file = original_file(many(30), NAMES_18)
    fields = [*file.fields[0][:place], "x", *file.fields[0][place:]]
    edit = Edit(file.starts[0], len(file.rows[0]), row_bytes(fields))

    reading = read(damaged := Damaged(file, [edit]), tmp_path)

    assert damaged.faults(reading) == []
    assert reading.refusal is None
    assert reading.complaints[-29:] == file.complaints[1:]


@pytest.mark.parametrize("day", ["20-10-31", "2-03-20", "03-04-20", "03/04/2020", "24-06-2"])
def test_an_odd_day_in_a_file_of_cfpbs_days_is_not_guessed(day: str, tmp_path: Path) -> None:
    """A damaged day is not read in a spelling that no other row has."""
    file = original_file(many(30), NAMES_18)
    edit = Edit(file.starts[7], len("2024-10-31"), day.encode())

    reading = read(damaged := Damaged(file, [edit]), tmp_path)

    assert damaged.faults(reading) == []


@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("damage", ['"', 'x,"y\n', '"\n', '","', '""x'])
def test_many_quotes_take_no_more_time(damage: str, every: int, tmp_path: Path) -> None:
    """A file with a misplaced quote in every row is read in a time that grows with its size."""
    rows = many(soak(1_000))
    file = original_file(rows, NAMES_18)
    edits = [
        Edit(file.starts[n] + (0 if "\n" in damage else 11), 0, damage.encode())
        for n in range(0, len(rows), every)
    ]

    reading = read(damaged := Damaged(file, edits), tmp_path)

    assert damaged.faults(reading) == []


def test_a_field_that_is_too_long(tmp_path: Path) -> None:
    """The rows after it are read, or the file is refused."""
    file = original_file(many(20), NAMES_18)
    long = Edit(file.starts[7] + 11, 0, b'"' + b"ab, " * 2**23 + b'",')

    reading = read(damaged := Damaged(file, [long]), tmp_path)

    assert damaged.faults(reading) == []


def without_quotes(count: int) -> list[Row]:
    """Return rows whose lines have no quote, with different ids."""
    plain = [row for row in POOL if not {*"".join(filter(None, row.values()))} & {*',"\n'}]
    return [{**plain[n % len(plain)], "complaint_id": str(1_000 + n)} for n in range(count)]


def many(count: int) -> list[Row]:
    """Return rows of one line, with different ids."""
    return [
        {**POOL[n % len(POOL)], NARRATIVE: None, "complaint_id": str(1_000 + n)}
        for n in range(count)
    ]
