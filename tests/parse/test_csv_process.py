"""The complaints of a file are parsed in a process of their own, which ends with its reader."""

from __future__ import annotations

import csv
import io
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cfpb_etl.fetch import errors as fetch_errors
from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.model.complaint import CSV_COLUMNS
from cfpb_etl.model.events import Event, Progress, listening
from cfpb_etl.model.file import CsvFile, ReadOptions
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse import csv_process
from cfpb_etl.parse import errors as parse_errors
from cfpb_etl.parse.csv_process import _next_frame, _stream, _write_frames, parse_file
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.sqlite_file import connect, ensure_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.part import Batch, ParsedContent

RECORDED = Path(os.environ.get("CFPB_ETL_RECORDINGS", ""), "bulk-csv-18col-2018-2020.csv")
NAME = "complaints.csv.zip"
MANY = 60_000  # more rows than fit into a pipe
PATIENCE = 30  # seconds
OPTIONS = ReadOptions(today="2026-11-27")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / NAME


def content_of(*numbers: object, after: str = "", **changed: str) -> str:
    """Return a CSV of complaints with these ids and short values."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    dates = {"date_received": "2026-08-14", "date_sent_to_company": "2026-08-15"}
    fields = dict.fromkeys(CSV_COLUMNS.values(), "a’b") | dates | changed
    for number in numbers:
        writer.writerow((fields | {"complaint_id": number}).values())
    return text.getvalue() + after


def write(path: Path, content: str) -> bytes:
    """Write a zip with this CSV, and return its bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("complaints.csv", content)
    return path.read_bytes()


def file_of(path: Path, database: Path | None = None, **options: Any) -> CsvFile:
    """Return the file to parse."""
    return CsvFile(path, database, OPTIONS._replace(**options))


def complaints_of(batches: Iterable[Batch]) -> Iterator[Complaint]:
    """Yield the complaints of batches."""
    for batch in batches:
        yield from batch.complaints


def read(path: Path) -> tuple[list[Complaint], ParsedContent]:
    """Parse a file to its end."""
    content = parse_file(file_of(path))
    return [*complaints_of(content.batches)], content


def read_here(path: Path) -> tuple[list[Complaint], ComplaintRows]:
    """Parse a file in this process."""
    with open_csv(path) as (lines, _, _):
        rows = ComplaintRows(lines, path, OPTIONS)
        return [*complaints_of(rows)], rows


def readers(of: int | None = None) -> list[psutil.Process]:
    """Return the parsing processes of a process, by default of this one."""
    return [
        child for child in psutil.Process(of).children() if csv_process.__name__ in child.cmdline()
    ]


def start(path: Path) -> tuple[Iterator[Batch], psutil.Process]:
    """Start to parse a file that is longer than the pipe; return the rest and the process."""
    write(path, content_of(*range(1, MANY + 1)))
    stream = _stream(file_of(path), ReadStats())
    next(stream)
    (process,) = readers()
    return stream, process


# --- the complaints -------------------------------------------------------------------------


def check_same(path: Path) -> None:
    """Compare what the other process returns with what this process parses."""
    complaints, content = read(path)
    expected, rows = read_here(path)

    assert complaints == expected
    assert {type(each) for each in complaints} <= {type(each) for each in expected}
    assert content.columns == {*rows.header.places}
    assert content.unknown_columns == rows.header.unknown
    assert content.read_stats.ids == rows.ids
    assert vars(content.read_stats) == vars(rows.read_stats) | {"ids": rows.ids}
    assert readers() == []


def test_the_complaints_are_those_of_the_file(path: Path) -> None:
    """The other process returns the same complaints and stats as parsing in this process."""
    odd = content_of("", 3, after="1,2\r\n") + content_of(9, date_received="x")
    write(path, content_of(*range(1, 10_000), 2**63 - 1, after=odd))

    check_same(path)


@pytest.mark.skipif(not RECORDED.is_file(), reason="CFPB_ETL_RECORDINGS names no folder with it")
def test_a_real_file() -> None:
    """93 real complaints are unchanged by the transfer."""
    check_same(RECORDED)


def test_progress_is_reported_while_a_file_is_read(path: Path) -> None:
    """Progress and duplicates are known with each batch, the other stats at the end."""
    write(path, content_of(*range(1, MANY), 7, 10**6))
    content = parse_file(file_of(path))
    stats = content.read_stats
    events: list[Event] = []

    with listening(events.append):
        for place, complaint in enumerate(complaints_of(content.batches)):
            if place % 10_000 == 0:
                assert (stats.rows, stats.ids) == (0, None)
            if complaint.complaint_id == 10**6:
                assert stats.duplicates == 1

    progress = [event for event in events if isinstance(event, Progress)]
    assert {each.step for each in progress} == {"Storing"}
    assert [each.so_far[:1] for each in progress] == ["1", "2", "3", "4", "5", "6"]
    shares = [each.share or 0 for each in progress]
    assert shares == sorted({*shares})
    assert 0 < shares[0] < 0.5
    assert 0.9 < shares[-1] <= 1
    assert (stats.rows, stats.duplicates) == (MANY + 1, 1)
    assert stats.ids is not None
    assert len(stats.ids) == MANY


def read_and_keep_lines(path: Path, database: Path) -> tuple[list[Complaint], ParsedContent]:
    """Parse a file, and store the hashes of its lines as a load does."""
    content = parse_file(file_of(path, database))
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)
        connection.execute("BEGIN IMMEDIATE")
        writer = LineHashWriter(connection)
        complaints: list[Complaint] = []
        for batch in content.batches:
            complaints += batch.complaints
            if batch.line_hashes:
                writer.write(batch.line_hashes)
        writer.finish(content.read_stats.duplicate_ids)
        connection.commit()
    return complaints, content


def test_lines_that_one_process_stores_are_found_by_the_next(path: Path, tmp_path: Path) -> None:
    """A line has the same hash in each process. Unchanged lines count in stats and progress."""
    database = tmp_path / "complaints.db"
    write(path, content_of(*range(1, MANY)))
    complaints, first = read_and_keep_lines(path, database)
    assert (len(complaints), first.read_stats.unchanged) == (MANY - 1, 0)
    write(path, content_of(10**6, 3, *range(1, MANY), 9, 10**7))
    events: list[Event] = []

    with listening(events.append):
        complaints, again = read_and_keep_lines(path, database)

    stats = again.read_stats
    numbers = [each.complaint_id for each in complaints]
    assert (numbers[0], numbers[1], numbers[-2:]) == (10**6, 3, [9, 10**7])
    assert len(numbers) < 2_000
    assert (stats.rows, stats.unchanged) == (MANY + 3, MANY + 3 - len(numbers))
    assert (stats.duplicates, {*stats.duplicate_ids}) == (2, {3, 9})
    assert stats.days == ["2026-08-14", "2026-08-14"]
    assert stats.ids is not None
    assert len(stats.ids) == MANY + 1
    progress = [event for event in events if isinstance(event, Progress)]
    assert [each.so_far[:1] for each in progress] == ["1", "2", "3", "4", "5", "6"]
    shares = [each.share or 0 for each in progress]
    assert shares == sorted({*shares})
    assert readers() == []


@pytest.mark.parametrize("content", [None, "", "not a database" * 100])
def test_a_database_that_cannot_be_read_has_no_lines(
    path: Path, tmp_path: Path, content: str | None
) -> None:
    """Comparing lines only saves time: without a database every line is parsed."""
    write(path, content_of(*range(1, 6)))
    database = tmp_path / "complaints.db"
    if content is not None:
        database.write_text(content)

    parsed = parse_file(file_of(path, database))

    batches = [*parsed.batches]
    assert [each.complaint_id for each in complaints_of(batches)] == [*range(1, 6)]
    assert (parsed.read_stats.rows, parsed.read_stats.unchanged) == (5, 0)
    assert sum(len(batch.line_hashes) for batch in batches) == 5 * 8


def test_only_a_header(path: Path) -> None:
    """A file without complaints is not an error."""
    write(path, content_of())

    complaints, content = read(path)

    assert complaints == []
    assert vars(content.read_stats) | {"ids": set()} == vars(ReadStats()) | {"ids": set()}
    assert content.read_stats.ids is not None
    assert len(content.read_stats.ids) == 0


def test_the_current_folder_is_not_searched_for_modules(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file there with the name of a module is not run."""
    write(path, content_of(1))
    (tmp_path / "pyroaring.py").write_text("raise SystemExit('this is another')")
    monkeypatch.chdir(tmp_path)

    assert len(read(Path(NAME))[0]) == 1


# --- errors ---------------------------------------------------------------------------------


def test_a_wrong_header_is_found_at_once(path: Path) -> None:
    """It is found before a batch is requested and a process is started."""
    write(path, "a,b\r\n")
    with pytest.raises(parse_errors.UnexpectedColumnsError):
        parse_file(file_of(path))

    write(path, "")
    with pytest.raises(fetch_errors.UnreadableFileError, match="it is empty"):
        parse_file(file_of(path))

    path.unlink()
    with pytest.raises(fetch_errors.UnreadableFileError, match="No such file"):
        parse_file(file_of(path))


def test_an_error_of_the_process_is_raised_here(path: Path) -> None:
    """It keeps its class and data, and follows the complaints before it."""
    write(path, content_of(*range(1, 601), after='1,"2'))
    content = parse_file(file_of(path))
    ids: list[int] = []

    with pytest.raises(parse_errors.UnclosedQuoteError) as caught:
        ids.extend(each.complaint_id for each in complaints_of(content.batches))

    assert ids == [*range(1, 501)]
    assert (caught.value.path, caught.value.line) == (path, 602)
    assert readers() == []


def test_damage_is_found_while_a_file_is_read(path: Path) -> None:
    """A wrong checksum is reported when the end has been read."""
    content = bytearray(write(path, content_of(*range(5_000))))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(fetch_errors.UnreadableFileError, match="damaged"):
        read(path)


def test_a_file_that_is_removed(path: Path) -> None:
    """If the process cannot open the file, the error says why."""
    write(path, content_of(1))
    content = parse_file(file_of(path))
    path.unlink()

    with pytest.raises(fetch_errors.UnreadableFileError, match="No such file"):
        next(iter(content.batches))


@pytest.mark.parametrize(("good", "bad"), [(1_997, 2), (998, 1), (0, 1), (500, 50)])
def test_a_file_with_more_rejected_rows_is_rejected(path: Path, good: int, bad: int) -> None:
    """Above one in a thousand the file is implausible; the error has the first rejected rows."""
    write(path, content_of(*range(good), *["x"] * bad))

    with pytest.raises(parse_errors.TooManyRejectedError) as caught:
        read(path)

    error = caught.value
    assert (error.path, error.rejected, error.rows) == (path, bad, good + bad)
    assert len(error.warnings) == min(bad, 20)
    assert f"line {good + 2:,}: " in str(error)


def test_repeated_headers_are_not_rejected_rows(path: Path) -> None:
    """However often the header is repeated, the file is accepted."""
    write(path, content_of(1) * 50)

    _, content = read(path)

    assert (content.read_stats.repeated_headers, content.read_stats.rejected) == (49, 0)


# --- the process ----------------------------------------------------------------------------


def test_a_process_that_is_killed(path: Path) -> None:
    """The error says that rows are missing, and how the process ended."""
    stream, process = start(path)
    process.kill()

    with pytest.raises(parse_errors.ReaderDiedError) as caught:
        list(stream)

    assert (caught.value.path, caught.value.code) == (path, -signal.SIGKILL)
    assert caught.value.last_line == "without a message"
    assert not process.is_running()


def test_the_last_line_of_a_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the last line of standard error, such as Python's own error."""
    code = "import sys; sys.stdout.write('R1'); print('one\\n'); raise MemoryError('two')"

    def failing(_file: CsvFile, stderr: io.BufferedRandom) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=stderr)

    monkeypatch.setattr(csv_process, "_reader", failing)

    with pytest.raises(parse_errors.ReaderDiedError) as caught:
        list(_stream(file_of(path), ReadStats()))

    assert (caught.value.code, caught.value.last_line) == (1, "MemoryError: two")


def test_a_stream_that_is_closed_early(path: Path) -> None:
    """When the rest is not wanted, no process is left, not even a zombie."""
    stream, process = start(path)

    stream.close()  # type: ignore[attr-defined]

    assert not psutil.pid_exists(process.pid)


def test_a_stream_that_is_dropped_early(path: Path) -> None:
    """To drop the last reference is enough."""
    write(path, content_of(*range(1, MANY + 1)))
    content = parse_file(file_of(path))
    batches = iter(content.batches)
    next(batches)
    (process,) = readers()

    del content, batches

    assert not psutil.pid_exists(process.pid)


def test_a_stream_that_is_not_started(path: Path) -> None:
    """The process starts when the first batch is requested."""
    write(path, content_of(1))

    assert parse_file(file_of(path))
    assert readers() == []


def test_ctrl_c_does_not_reach_the_process(path: Path) -> None:
    """It is in a process group of its own, which the terminal does not signal."""
    stream, process = start(path)

    assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid != os.getpgrp()

    stream.close()  # type: ignore[attr-defined]


PARENT = """
import sys, time
from pathlib import Path
from cfpb_etl.parse.csv_process import _stream
from cfpb_etl.model.file import CsvFile, ReadOptions
from cfpb_etl.model.part import ReadStats

stream = _stream(CsvFile(Path(sys.argv[1]), None, ReadOptions("2026-11-27")), ReadStats())
next(stream)
print("started", flush=True)
time.sleep(600)
"""


def test_a_process_whose_parent_is_killed(path: Path) -> None:
    """It ends by itself, because its output has no reader."""
    write(path, content_of(*range(1, MANY + 1)))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        (process,) = readers(parent.pid)

        parent.kill()

        gone, left = psutil.wait_procs([process], timeout=PATIENCE)
    assert (gone, left) == ([process], [])


def test_several_streams_in_parallel(path: Path, tmp_path: Path) -> None:
    """Each has its own process and its own complaints."""
    other = tmp_path / "other.csv"
    write(path, content_of(*range(1, 5_001)))
    other.write_text(content_of(*range(5_001, 10_001)))

    batches = zip(
        parse_file(file_of(path)).batches, parse_file(file_of(other)).batches, strict=True
    )

    pairs = [
        (one.complaint_id, two.complaint_id)
        for ones, twos in batches
        for one, two in zip(ones.complaints, twos.complaints, strict=True)
    ]
    assert pairs == [(number, number + 5_000) for number in range(1, 5_001)]


# --- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 7])
def test_an_incomplete_frame_is_the_end(cut: int) -> None:
    """A stream ends with its last complete frame."""
    assert _next_frame(io.BytesIO(b"R\0\0\0\3abcE"))[0] == b"R"
    assert _next_frame(io.BytesIO(b"R\0\0\0\3abc"[:cut]))[0] == b""


class OneByteAtATime(io.RawIOBase):
    """A pipe that returns one byte at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, room: Any) -> int:
        """Read one byte, if there is one."""
        return self._content.readinto(memoryview(room)[:1])


def test_frames_are_read_completely() -> None:
    """A frame is complete even if the pipe returns little of it at a time."""
    pipe = io.BufferedReader(OneByteAtATime(b"R\0\0\0\3abcE\0\0\0\0"))

    frames = [_next_frame(pipe) for _ in range(3)]

    assert frames == [(b"R", b"abc"), (b"E", b""), (b"", b"")]


def test_an_error_is_a_frame(path: Path) -> None:
    """For a file that cannot be read it is the only frame, and contains the error."""
    pipe = io.BytesIO()

    _write_frames(file_of(path), pipe)
    pipe.seek(0)

    letter, frame = _next_frame(pipe)
    assert letter == b"X"
    error = pickle.loads(frame)  # noqa: S301 - written just now
    assert (type(error), error.path) == (fetch_errors.UnreadableFileError, path)
    assert _next_frame(pipe)[0] == b""
