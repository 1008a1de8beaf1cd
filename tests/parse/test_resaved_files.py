"""The same file of complaints as other programs save it ends in the same rows, or in a refusal."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

import pytest

from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.parse.errors import UnexpectedColumnsError
from support.csv_reading import OPTIONS, load_csv, read_csv
from support.loads import stored
from support.resaved import NAMES_18, RESAVED, TITLES, Resaved, Row, cells, complaints, text
from support.saved_containers import GOOD, PERHAPS, REFUSED
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cfpb_etl.model.file import DateOrder

ROWS = complaints()
DAILY = Resaved("the daily file")
BY_PROGRAM = {each.program: each for each in RESAVED}


def as_complaints(rows: Iterable[Row]) -> list[Complaint]:
    """Return rows as the program's type."""
    return [Complaint(int(row["complaint_id"] or 0), *map(row.get, NAMES_BUT_ID)) for row in rows]


NAMES_BUT_ID = [name for name in Complaint._fields if name != "complaint_id"]


def write(folder: Path, content: bytes, name: str = "complaints.csv") -> Path:
    """Write a file, and return its path."""
    path = folder / name
    path.write_bytes(content)
    return path


# --- texts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("resaved", RESAVED, ids=str)
def test_each_program_saves_the_same_rows(resaved: Resaved, tmp_path: Path) -> None:
    """Each field that the file carries is equal, and nothing else is said of its rows."""
    reading = read_csv(write(tmp_path, resaved.save(ROWS)))

    if resaved.refusal is not None and (reading.refusal or reading.stats.rejected):
        assert_refused_or_equal(resaved, reading.complaints, reading.stats.warnings)
        return
    assert reading.refusal is None
    assert reading.complaints == as_complaints(resaved.rows_left(ROWS))
    assert {*reading.columns} == {*resaved.names}
    assert (reading.stats.rows, reading.stats.rejected) == (len(ROWS), 0)
    assert (reading.stats.duplicates, reading.stats.warnings) == (0, [])


def assert_refused_or_equal(
    resaved: Resaved, found: Sequence[Complaint], warnings: Sequence[str]
) -> None:
    """Assert that each row is equal or rejected with a reason that names the cause."""
    expected = {each.complaint_id: each for each in as_complaints(resaved.rows_left(ROWS))}
    assert [each for each in found if each != expected[each.complaint_id]] == []
    assert all(re.search(resaved.refusal or "", warning) for warning in warnings), warnings


@pytest.mark.parametrize("order", ["month-first", "day-first", None])
@pytest.mark.parametrize("form", ["{a:02}/{b:02}/{y}", "{a}/{b}/{y}", "{a:02}/{b:02}/{yy:02}"])
def test_days_that_fit_both_orders(form: str, order: DateOrder | None, tmp_path: Path) -> None:
    """They are refused with the option that decides, or read in the only plausible order."""
    rows = [
        {**row, "complaint_id": str(number), "date_received": day, "date_sent_to_company": day}
        for number, row in enumerate(ROWS[:9], 1)
        for day in [f"2020-{number:02}-{13 - number:02}"]
        if number != 13 - number
    ]
    a, b = ("d", "m") if order == "day-first" else ("m", "d")
    saved = Resaved("", cells(form.replace("{a", f"{{{a}").replace("{b", f"{{{b}")))

    reading = read_csv(write(tmp_path, saved.save(rows)), OPTIONS._replace(date_order=order))

    if order is None:
        assert "--date-order" in str(reading.refusal)
        assert reading.complaints == []
    else:
        assert reading.refusal is None
        assert reading.complaints == as_complaints(rows)


@pytest.mark.parametrize("name", ["cp1252", "latin-1", "cp437", "mac_roman"])
def test_text_of_an_old_encoding(name: str, tmp_path: Path) -> None:
    """Excel's "CSV (Comma delimited)" is refused by name if it has letters beyond ASCII."""
    table = [[*TITLES.values()], *([row[n] or "" for n in NAMES_18] for row in ROWS)]
    ascii_table = [[c.encode("ascii", "replace").decode() for c in row] for row in table]
    odd_table = [[*row] for row in ascii_table]
    for row in odd_table[1:]:
        row[NAMES_18.index("company")] += " Café"

    odd = read_csv(write(tmp_path, text(odd_table, name, "\r\n")))
    plain = read_csv(write(tmp_path, text(ascii_table, name, "\r\n")))

    assert odd.complaints == []
    if odd.refusal is None:
        assert odd.stats.rejected == len(ROWS)
        assert "UTF-8" in odd.stats.warnings[0]
    else:
        assert re.search("Windows-1252|UTF-8", str(odd.refusal))
    assert (len(plain.complaints), plain.refusal) == (len(ROWS), None)


# --- containers -----------------------------------------------------------------------------


@pytest.mark.parametrize("container", [*GOOD])
def test_a_container_holds_the_same_rows(container: str, tmp_path: Path) -> None:
    """Whatever is beside the CSV in it, and whatever its name is."""
    name, wrap = GOOD[container]

    reading = read_csv(write(tmp_path, wrap(DAILY.save(ROWS)), name))

    assert reading.refusal is None
    assert reading.complaints == as_complaints(ROWS)


@pytest.mark.parametrize("container", [*PERHAPS])
def test_a_container_is_read_or_refused(container: str, tmp_path: Path) -> None:
    """A container that few people use is read as a whole, or refused before any row."""
    name, wrap = PERHAPS[container]

    reading = read_csv(write(tmp_path, wrap(DAILY.save(ROWS)), name))

    if reading.refusal is None:
        assert reading.complaints == as_complaints(ROWS)
    else:
        assert isinstance(reading.refusal, UnreadableFileError)


@pytest.mark.parametrize("container", [*REFUSED])
def test_a_file_that_cannot_be_read_is_named(container: str, tmp_path: Path) -> None:
    """It is named for what it is, and no row of it counts."""
    name, wrap, message = REFUSED[container]

    reading = read_csv(write(tmp_path, wrap(DAILY.save(ROWS)), name))

    assert isinstance(reading.refusal, UnreadableFileError | UnexpectedColumnsError)
    detail = str(reading.refusal).replace(str(tmp_path), "").replace(name, "")
    assert re.search(message, detail), detail
    assert "\\x" not in detail, detail


@pytest.mark.parametrize("container", [*GOOD])
def test_a_damaged_container_is_never_half_read(container: str, tmp_path: Path) -> None:
    """It is refused, unless the damaged byte is one that carries nothing."""
    name, wrap = GOOD[container]
    whole = wrap(DAILY.save(ROWS))
    for seed in range(soak(12)):
        rng = Random(f"{container} {seed}")  # noqa: S311 - nothing secret
        content = bytearray(whole)
        if seed % 4:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            del content[rng.randrange(len(content)) :]

        reading = read_csv(write(tmp_path, bytes(content), name))

        assert reading.refusal is not None or reading.complaints == as_complaints(ROWS), seed


def test_damaged_utf_16(tmp_path: Path) -> None:
    """A lost byte turns all that follows into other letters, which are never stored.

    Only rows are damaged here: a column with a damaged title is an unknown column.
    """
    resaved = BY_PROGRAM["Excel, Unicode text"]
    whole = resaved.save(ROWS)
    rows = whole.index("\n".encode("utf-16-le")) + 2
    exact = {*as_complaints(ROWS)}
    for seed in range(soak(40)):
        rng = Random(f"UTF-16 {seed}")  # noqa: S311 - nothing secret
        content = bytearray(whole)
        place = rng.randrange(rows, len(content))
        if seed % 2:
            del content[place]
        else:
            content[place] ^= 1 << rng.randrange(8)

        reading = read_csv(write(tmp_path, bytes(content), "complaints.txt"))

        stats = reading.stats
        odd = {*reading.complaints} - exact
        assert reading.refusal is not None or len(odd) <= 1, seed
        assert reading.refusal is not None or stats.rows + stats.rejected >= len(ROWS), seed


@pytest.mark.parametrize("container", ["CFPB's zip", "gzip", "xz"])
def test_a_container_of_another_encoding(container: str, tmp_path: Path) -> None:
    """UTF-16 with tabs is read from a container too."""
    name, wrap = GOOD[container]
    resaved = BY_PROGRAM["Excel, Unicode text"]

    reading = read_csv(write(tmp_path, wrap(resaved.save(ROWS)), name))

    assert reading.refusal is None
    assert reading.complaints == as_complaints(ROWS)


# --- through the process and the store ------------------------------------------------------

STORED = (
    "CFPB, Export data of 2017 to 2026",
    "Socrata",
    "Excel, Germany",
    "Excel, Unicode text",
    "R, write.csv",
    "CFPB, 2012 to 2015",
)


@pytest.mark.usefixtures("reader_in_this_process")
@pytest.mark.parametrize("program", STORED)
def test_a_resaved_file_changes_nothing(program: str, tmp_path: Path) -> None:
    """After the daily file, a copy of it in another form is unchanged, also the second time."""
    database = tmp_path / "complaints.db"
    load_csv(write(tmp_path, DAILY.save(ROWS)), database)
    before = stored(database)
    copy = write(tmp_path, BY_PROGRAM[program].save(ROWS), "copy.csv")

    for _ in range(2):
        stats = load_csv(copy, database)

        assert (stats.new, stats.changed, stats.unchanged) == (0, 0, len(ROWS))
        assert stored(database) == before
    assert before == {
        int(row["complaint_id"] or 0): {n: v for n, v in row.items() if v and n != "complaint_id"}
        for row in ROWS
    }


@pytest.mark.parametrize("program", STORED[:3])
def test_a_change_in_a_resaved_file_is_found(program: str, tmp_path: Path) -> None:
    """Lines of any form are compared with the lines of the file before, and no change is missed."""
    database = tmp_path / "complaints.db"
    resaved = BY_PROGRAM[program]
    load_csv(write(tmp_path, resaved.save(ROWS)), database)
    other = {"zip_code": "99999", "date_sent_to_company": "2026-01-31"}
    changed = [*ROWS[:30], {**ROWS[30], **other}, *ROWS[31:]]

    stats = load_csv(write(tmp_path, resaved.save(changed)), database)

    assert (stats.new, stats.changed, stats.unchanged) == (0, 1, len(ROWS) - 1)
    found = stored(database)[int(ROWS[30]["complaint_id"] or 0)]
    assert found["zip_code"] == "99999"
    assert found["date_sent_to_company"] == "2026-01-31"
