"""Whatever happens while rows are read, there is an error with a name, or all rows."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import islice
from typing import IO, TYPE_CHECKING

import psutil
import pytest

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.read import arrow
from cfpb_etl.read.arrow import open_arrow
from cfpb_etl.read.errors import ReadingStoppedError, RowsNotReadError
from cfpb_etl.read.selection import Selection
from cfpb_etl.store.errors import DatabaseInUseError, NotADatabaseError, VanishedError
from support import PYTHONPATH
from support.arrow_reading import COMPLAINT, make_many, read_tables
from support.loads import execute, load_file
from support.parts import complaint, complaints
from support.program import environment_without_coverage
from support.soak import soak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANY = 12_000  # rows, in three batches
SECONDS = 5
RANDOM = random.Random(21)  # noqa: S311 - the same cuts in each run


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that is larger than the pipe between the processes."""
    database = tmp_path_factory.mktemp("arrow") / "complaints.db"
    make_many(database, MANY)
    return database


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return the processes that read, each when it is started."""
    started: list[subprocess.Popen[bytes]] = []
    start = arrow._start

    def start_and_note(database: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        started.append(start(database, errors))
        return started[-1]

    monkeypatch.setattr(arrow, "_start", start_and_note)
    return started


def before_the_process_starts(
    monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]
) -> None:
    """Do something after the database was opened in this process, and before it is in the other."""
    start = arrow._start

    def act_and_start(database: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        action()
        return start(database, errors)

    monkeypatch.setattr(arrow, "_start", act_and_start)


# --- processes that end ---------------------------------------------------------------------


def test_a_killed_process(many: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    """If the process is killed after any number of batches, the rows are not complete."""
    for batches_before in range(2):
        with open_arrow(many, COMPLAINT) as snapshot:
            _, _, batches = next(snapshot.read())
            rows = [*islice(batches, batches_before)]
            processes[-1].kill()
            with pytest.raises(ReadingStoppedError, match=r"Not all rows of .* Read again"):
                rows += batches


def test_a_process_that_is_killed_at_once(
    many: Path, monkeypatch: pytest.MonkeyPatch, processes: list[subprocess.Popen[bytes]]
) -> None:
    """The request may then have no reader."""
    start = arrow._start

    def start_and_kill(database: Path, errors: IO[bytes]) -> subprocess.Popen[bytes]:
        process = start(database, errors)
        process.kill()
        process.wait()
        return process

    monkeypatch.setattr(arrow, "_start", start_and_kill)

    with (
        pytest.raises(ReadingStoppedError, match=r"code -9 \(without a message\)"),
        open_arrow(many, COMPLAINT),
    ):
        pass


CUT = """\
#!/bin/sh
read request
head -c {length} '{output}'
exit {code}
"""


@pytest.mark.slow
def test_any_cut(many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the output ends, also between two batches, the result is not short.

    A program takes the place of Python, and repeats the beginning of a real output.
    """
    selection = Selection(tables=("complaint", "load"), columns=("complaint_id", "company"))
    output, program = tmp_path / "output", tmp_path / "program"
    with output.open("wb") as file:
        real = [sys.executable, "-P", "-m", arrow._MODULE]
        with subprocess.Popen(real, stdin=subprocess.PIPE, stdout=file) as reader:
            arrow._send(reader, arrow._request(many, selection))
            assert reader.wait(60) == 0
    content = output.read_bytes()
    first = content.index(b"\n") + 1
    messages = [at for at in range(first, len(content), 8) if content[at : at + 4] == b"\xff" * 4]
    cuts = {0, 1, first - 1, len(content) - 1, *messages}
    cuts |= {*RANDOM.sample(range(len(content)), soak(10))}
    monkeypatch.setattr(sys, "executable", str(program))
    complete = []
    for length in (*sorted(cuts), len(content)):
        program.write_text(CUT.format(length=length, output=output, code=length % 2))
        program.chmod(0o755)
        try:
            read = read_tables(many, selection)
        except CfpbEtlError as error:
            assert type(error) is ReadingStoppedError  # noqa: PT017
        else:
            assert (len(read["complaint"]), len(read["load"])) == (MANY, 1)
            complete.append(length)

    assert {*complete} <= {len(content) - 8, len(content)}  # the last eight bytes are an end mark
    assert len(messages) > 20


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (None, "no second Python could be started"),
        ("", "no second Python could be started"),
        ("/nowhere/python", "No such file or directory"),
        ("/dev/null", "Permission denied"),
        ("#!/bin/sh\necho hello", "code 0"),
        ("#!/bin/sh\nyes why | head -c 1000000 >&2; exit 4", r"code 4 \(why\)"),
        ("#!/bin/sh\nprintf '\\377\\033[31m' >&2; exit 4", r"code 4 \(�\\x1b\[31m\)"),
    ],
)
def test_python_cannot_be_started(
    path: Path,
    program: str | None,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The path of Python is wrong, or names another program, as in a frozen application."""
    load_file(path, complaint(1))
    if program is not None and program.startswith("#!"):
        script = tmp_path / "program"
        script.write_text(program)
        script.chmod(0o755)
        program = str(script)
    monkeypatch.setattr(arrow, "_END_SECONDS", 0.1)
    monkeypatch.setattr(sys, "executable", program)

    with pytest.raises(ReadingStoppedError, match=said):
        read_tables(path, COMPLAINT)


READ_AND_WAIT = """
import sys, threading
from pathlib import Path
from support.arrow_reading import COMPLAINT
from cfpb_etl.read.arrow import open_arrow

with open_arrow(Path(sys.argv[1]), COMPLAINT) as snapshot:
    _, _, batches = next(snapshot.read())
    next(batches)
    print("read", flush=True)
    threading.Event().wait()
"""


@pytest.mark.slow
def test_the_process_ends_with_this_one(many: Path) -> None:
    """If the program that uses the rows is killed, no process stays."""
    with subprocess.Popen(
        [sys.executable, "-c", READ_AND_WAIT, many],
        stdout=subprocess.PIPE,
        text=True,
        env=environment_without_coverage() | {"PYTHONPATH": PYTHONPATH},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "read\n"
        (reader,) = psutil.Process(parent.pid).children()
        parent.kill()
        reader.wait(SECONDS)


# --- the file -------------------------------------------------------------------------------


@pytest.mark.parametrize("is_replaced", [True, False])
def test_the_file_has_moved(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_replaced: bool,  # noqa: FBT001
) -> None:
    """The process opens the same file, or there is an error."""
    load_file(path, complaint(1))
    other = path.with_name("other.db")
    load_file(other, *complaints(1, 2))
    action = (lambda: other.replace(path)) if is_replaced else path.unlink
    before_the_process_starts(monkeypatch, action)

    with pytest.raises(VanishedError), open_arrow(path, COMPLAINT):
        pass


def test_the_file_moves_while_it_is_read(many: Path, path: Path) -> None:
    """The process then reads the rest of the file that it has opened."""
    path.write_bytes(many.read_bytes())

    with open_arrow(path, COMPLAINT) as snapshot:
        _, _, batches = next(snapshot.read())
        path.unlink()
        assert sum(map(len, batches)) == MANY


def test_a_locked_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exclusive lock that another program keeps is named."""
    load_file(path, complaint(1))
    execute(path, "PRAGMA journal_mode = DELETE")
    monkeypatch.setattr("cfpb_etl.store.sqlite_file.READER_MILLISECONDS", 50)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        before_the_process_starts(monkeypatch, lambda: other.execute("BEGIN EXCLUSIVE"))
        with pytest.raises(DatabaseInUseError), open_arrow(path, COMPLAINT):
            pass


def test_a_load_waits_with_a_rollback_journal(many: Path, path: Path) -> None:
    """Without WAL mode, nothing can be written while rows are read."""
    path.write_bytes(many.read_bytes())
    execute(path, "PRAGMA journal_mode = DELETE")

    with (
        open_arrow(path, COMPLAINT),
        closing(sqlite3.connect(path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
        other,
    ):
        other.execute("DELETE FROM complaint")
    execute(path, "DELETE FROM complaint")


def damaged_copies(database: Path, folder: Path, count: int) -> Iterator[tuple[int, Path]]:
    """Yield copies of a database in each of which one page is damaged, with its number."""
    content = database.read_bytes()
    size = int.from_bytes(content[16:18], "big")
    pages = len(content) // size
    for page in RANDOM.sample(range(1, pages), count):
        copy = folder / f"{page}.db"
        copy.write_bytes(content[: page * size] + b"\xa5" * size + content[(page + 1) * size :])
        yield page, copy
        copy.unlink()


@pytest.mark.slow
def test_damaged_pages(many: Path, tmp_path: Path) -> None:
    """A damaged page in the middle is named, or the rows do not need it."""
    outcomes = []
    for _, copy in damaged_copies(many, tmp_path, soak(12)):
        try:
            read = read_tables(copy, COMPLAINT)
        except CfpbEtlError as error:
            assert type(error) is NotADatabaseError  # noqa: PT017
            assert "is damaged" in str(error)  # noqa: PT017
            outcomes.append("damaged")
        else:
            assert len(read["complaint"]) == MANY
            outcomes.append("read")

    assert {"damaged", "read"} == {*outcomes}


# --- values ---------------------------------------------------------------------------------

WRONG = {
    "text": [
        ("company", "CAST(X'ff61' AS TEXT)", "company is not text in UTF-8"),
        ("zip_code", "CAST(X'6180' AS TEXT)", "zip_code is not text in UTF-8"),
        ("complaint_what_happened", "X'c328'", "complaint_what_happened is not text in UTF-8"),
        ("state", "X'ff'", "state is not text in UTF-8"),
    ],
    "day": [
        ("date_received", "'2024-02-30'", r"date_received is not a day YYYY-MM-DD \(.*2024-02-30"),
        ("date_received", "''", "date_received is not a day"),
        ("date_received", "'2024-1-1'", "date_received is not a day"),
        ("date_sent_to_company", "'02/01/2024'", "date_sent_to_company is not a day"),
        ("withdrawn_on", "'2024-01-01 00:00:00'", "withdrawn_on is not a day"),
        ("withdrawn_on", "X'ff'", "withdrawn_on is not a day"),
        ("withdrawn_on", "20240101", "withdrawn_on is not a day"),
    ],
    "integer": [
        ("load_id", "1.5", "load_id is not a whole number"),
        ("first_load_id", "'one'", "first_load_id is not a whole number"),
        ("changed_load_id", "9223372036854775808", "changed_load_id is not a whole number"),
        ("changed_load_id", "X'31'", "changed_load_id is not a whole number"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value", "said"), [each for cases in WRONG.values() for each in cases]
)
@pytest.mark.parametrize("number", [7, MANY - 7], ids=["first batch", "last batch"])
def test_a_wrong_value(
    many: Path, path: Path, column: str, value: str, said: str, number: int
) -> None:
    """A value that is not of its column's type is named, in the first batch and in others."""
    path.write_bytes(many.read_bytes())
    execute(path, f"UPDATE complaint SET {column} = {value} WHERE complaint_id = {number}")  # noqa: S608

    with pytest.raises(RowsNotReadError, match=said) as refused:
        read_tables(path, COMPLAINT)

    assert type(refused.value) is RowsNotReadError
    assert "Another program has written this value" in str(refused.value)


def test_bytes_that_are_text(many: Path, path: Path) -> None:
    """Bytes in a column of text are read as text, in every batch."""
    path.write_bytes(many.read_bytes())
    for number in (7, MANY - 7):
        values = "company = X'c3a9', zip_code = X'3032', withdrawn_on = CAST('2024-01-01' AS BLOB)"
        execute(path, f"UPDATE complaint SET {values} WHERE complaint_id = {number}")  # noqa: S608

    table = read_tables(path, COMPLAINT)["complaint"]

    found = table.filter(table["zip_code"].is_valid()).to_pylist()
    assert [(each["company"], each["zip_code"]) for each in found] == [("é", "02")] * 2
