"""A file's complaints come from a process of its own, which ends as it should, however it ends."""

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
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from cfpb_etl.fetch import errors as file_errors
from cfpb_etl.fetch.csv_file import opened
from cfpb_etl.model.part import ReadStats
from cfpb_etl.parse import csv_process as complaint_stream
from cfpb_etl.parse import errors as parse_errors
from cfpb_etl.parse.csv_process import _next_frame, _streamed, _write_frames, read_file
from cfpb_etl.parse.csv_rows import COLUMNS, ComplaintRows
from cfpb_etl.store import errors as store_errors
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.sqlite_file import connect, ensure_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cfpb_etl.model.complaint import Complaint
    from cfpb_etl.model.part import ParsedContent

RECORDED = Path(os.environ.get("CFPB_ETL_RECORDINGS", ""), "bulk-csv-18col-2018-2020.csv")
NAME = "complaints.csv.zip"
MANY = 60_000  # more than fit into a pipe
PATIENCE = 30  # seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file is."""
    return tmp_path / NAME


def content_of(*numbers: object, after: str = "", **changed: str) -> str:
    """Return a file with these ids, whose other fields say little."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    dates = {"date_received": "2026-08-14", "date_sent_to_company": "2026-08-15"}
    fields = dict.fromkeys(COLUMNS.values(), "a’b") | dates | changed
    for number in numbers:
        writer.writerow((fields | {"complaint_id": number}).values())
    return text.getvalue() + after


def write(path: Path, content: str) -> bytes:
    """Write a file's zip, which is returned."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("complaints.csv", content)
    return path.read_bytes()


def read(path: Path) -> tuple[list[Complaint], ParsedContent]:
    """Read a file to its end."""
    content = read_file(path, NAME)
    return [*content.complaints], content


def directly(path: Path) -> tuple[list[Complaint], ComplaintRows]:
    """Read a file in this process."""
    with opened(path) as (lines, _, _):
        rows = ComplaintRows(lines, path)
        return [*chain.from_iterable(rows)], rows


def readers(of: int | None = None) -> list[psutil.Process]:
    """Return the processes that read files for a process, by default this one."""
    return [
        child
        for child in psutil.Process(of).children()
        if complaint_stream.__name__ in child.cmdline()
    ]


def begun(path: Path) -> tuple[Iterator[list[Complaint]], psutil.Process]:
    """Begin to read a file that is longer than the pipe; return the rest and its process."""
    write(path, content_of(*range(1, MANY + 1)))
    stream = _streamed(path, ReadStats())
    next(stream)
    (process,) = readers()
    return stream, process


# --- what comes -----------------------------------------------------------------------------


def check_same(path: Path) -> None:
    """Compare what comes from another process with what is read in this one."""
    complaints, content = read(path)
    expected, rows = directly(path)

    assert complaints == expected
    assert {type(each) for each in complaints} <= {type(each) for each in expected}
    assert content.columns == {*rows.header.places}
    assert content.unknown == rows.header.unknown
    assert content.read_stats.ids == rows.ids
    assert vars(content.read_stats) == vars(rows.read_stats) | {"ids": rows.ids, "share": 1.0}
    assert readers() == []


def test_the_complaints_are_those_of_the_file(path: Path) -> None:
    """They are as if read here, with all that is told of them."""
    odd = content_of("", 3, after="1,2\r\n") + content_of(9, date_received="x")
    write(path, content_of(*range(1, 10_000), 2**63 - 1, after=odd))

    check_same(path)


@pytest.mark.skipif(not RECORDED.is_file(), reason="CFPB_ETL_RECORDINGS names no folder with it")
def test_a_real_file() -> None:
    """93 real complaints come over unchanged."""
    check_same(RECORDED)


def test_what_is_read_is_told_meanwhile(path: Path) -> None:
    """How far it is, and whether an id came twice, is known with each complaint; the rest last."""
    write(path, content_of(*range(1, MANY), 7, 10**6))
    content = read_file(path, NAME)
    read_stats = content.read_stats
    shares = []

    for place, complaint in enumerate(content.complaints):
        if place % 10_000 == 0:
            shares.append(read_stats.share)
            assert (read_stats.rows, read_stats.ids) == (0, None)
        if complaint.complaint_id == 10**6:
            assert read_stats.duplicates == 1

    assert shares == sorted({*shares})
    assert 0 < shares[0] < 0.5
    assert (read_stats.share, read_stats.rows, read_stats.duplicates) == (1.0, MANY + 1, 1)
    assert read_stats.ids is not None
    assert len(read_stats.ids) == MANY


def read_again(path: Path, database: Path) -> tuple[list[Complaint], ParsedContent]:
    """Read a file, and keep its lines in a database as a load does."""
    content = read_file(path, NAME, database)
    with closing(connect(database, make=True)) as connection:
        ensure_schema(connection, database)
        connection.execute("BEGIN IMMEDIATE")
        keeper = LineHashWriter(connection)
        content.read_stats.keep = keeper.keep
        complaints = [*content.complaints]
        keeper.end(content.read_stats.duplicate_ids)
        connection.commit()
    return complaints, content


def test_lines_kept_by_one_process_are_known_to_the_next(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A line's fingerprint is the same; what is left out is counted, and told meanwhile."""
    database = tmp_path / "complaints.db"
    write(path, content_of(*range(1, MANY)))
    complaints, first = read_again(path, database)
    assert (len(complaints), first.read_stats.known) == (MANY - 1, 0)
    write(path, content_of(10**6, 3, *range(1, MANY), 9, 10**7))
    caplog.set_level("INFO", "cfpb_etl")
    caplog.clear()

    complaints, again = read_again(path, database)

    read_stats = again.read_stats
    numbers = [each.complaint_id for each in complaints]
    assert (numbers[0], numbers[1], numbers[-2:]) == (10**6, 3, [9, 10**7])
    assert len(numbers) < 2_000
    assert (read_stats.rows, read_stats.known) == (MANY + 3, MANY + 3 - len(numbers))
    assert (read_stats.duplicates, {*read_stats.duplicate_ids}) == (2, {3, 9})
    assert read_stats.days == ["2026-08-14", "2026-08-14"]
    assert read_stats.ids is not None
    assert len(read_stats.ids) == MANY + 1
    so_far = [str(vars(record)["so_far"])[:1] for record in caplog.records]
    assert so_far == ["1", "2", "3", "4", "5"]  # ten thousand, or a few hundred more
    shares = [float(vars(record)["share"]) for record in caplog.records]
    assert shares == sorted({*shares})
    assert readers() == []


def test_a_database_that_cannot_be_asked(path: Path, tmp_path: Path) -> None:
    """The process tells what is wrong with it as this one would."""
    write(path, content_of(1))
    database = tmp_path / "complaints.db"
    database.write_text("no database" * 100)
    content = read_file(path, NAME, database)

    with pytest.raises(store_errors.NotADatabaseError, match="is not a sound SQLite file"):
        list(content.complaints)


def test_only_a_header(path: Path) -> None:
    """No complaints at all are no error."""
    write(path, content_of())

    complaints, content = read(path)

    assert complaints == []
    assert vars(content.read_stats) | {"ids": set()} == vars(ReadStats(share=1.0)) | {"ids": set()}
    assert content.read_stats.ids is not None
    assert len(content.read_stats.ids) == 0


def test_the_folder_that_it_is_called_in_is_not_searched(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies there under the name of a module is not run."""
    write(path, content_of(1))
    (tmp_path / "pyroaring.py").write_text("raise SystemExit('this is another')")
    monkeypatch.chdir(tmp_path)

    assert len(read(Path(NAME))[0]) == 1


# --- errors ---------------------------------------------------------------------------------


def test_a_wrong_header_shows_at_once(path: Path) -> None:
    """Before a complaint is asked for, and before there is a process."""
    write(path, "a,b\r\n")
    with pytest.raises(parse_errors.UnexpectedColumnsError):
        read_file(path, NAME)

    write(path, "")
    with pytest.raises(file_errors.UnreadableFileError, match="it is empty"):
        read_file(path, NAME)

    path.unlink()
    with pytest.raises(file_errors.UnreadableFileError, match="No such file"):
        read_file(path, NAME)


def test_an_error_of_the_process_is_ours(path: Path) -> None:
    """It comes by its class, with its data, after what came before it."""
    write(path, content_of(*range(1, 601), after='1,"2'))
    content = read_file(path, NAME)
    ids: list[int] = []

    with pytest.raises(file_errors.UnreadableFileError) as caught:
        ids.extend(each.complaint_id for each in content.complaints)

    assert ids == [*range(1, 601)]
    assert caught.value.path == path
    assert caught.value.detail.startswith("the row that begins in line 602 does not end")
    assert readers() == []


def test_damage_shows_while_it_is_read(path: Path) -> None:
    """A checksum that is wrong is told when the end has been read."""
    content = bytearray(write(path, content_of(*range(5_000))))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(file_errors.UnreadableFileError, match="damaged"):
        read(path)


def test_a_file_that_goes_away(path: Path) -> None:
    """What is wrong when the process opens it is told as what it is."""
    write(path, content_of(1))
    content = read_file(path, NAME)
    path.unlink()

    with pytest.raises(file_errors.UnreadableFileError, match="No such file"):
        next(iter(content.complaints))


@pytest.mark.parametrize(("good", "bad"), [(1_998, 2), (999, 1), (5_000, 0)])
def test_one_rejected_row_in_a_thousand_is_taken(path: Path, good: int, bad: int) -> None:
    """What was rejected is counted and told, up to one in a thousand of all rows."""
    write(path, content_of(*range(good), *["x"] * bad))

    complaints, content = read(path)

    assert len(complaints) == content.read_stats.rows == good
    assert content.read_stats.rejected == content.read_stats.without_id == bad
    assert len(content.read_stats.warnings) == bad


@pytest.mark.parametrize(("good", "bad"), [(1_997, 2), (998, 1), (0, 1), (500, 50)])
def test_more_rejected_rows_refuse_the_file(path: Path, good: int, bad: int) -> None:
    """Just above one in a thousand, the file is in doubt; the first of them are told."""
    write(path, content_of(*range(good), *["x"] * bad))

    with pytest.raises(parse_errors.TooManyRejectedError) as caught:
        read(path)

    error = caught.value
    assert (error.path, error.rejected, error.rows) == (path, bad, good + bad)
    assert len(error.remarks) == min(bad, 20)
    assert f"line {good + 2:,}: " in str(error)


def test_headers_in_the_middle_are_no_rejected_rows(path: Path) -> None:
    """However often the header comes, the file is not in doubt."""
    write(path, content_of(1) * 50)

    _, content = read(path)

    assert (content.read_stats.repeated_headers, content.read_stats.rejected) == (49, 0)


# --- the process ----------------------------------------------------------------------------


def test_a_process_that_is_killed(path: Path) -> None:
    """That the rows are not all is told, with how it ended."""
    stream, process = begun(path)
    process.kill()

    with pytest.raises(parse_errors.ReaderDiedError) as caught:
        list(stream)

    assert (caught.value.path, caught.value.code) == (path, -signal.SIGKILL)
    assert caught.value.said == "it said nothing"
    assert not process.is_running()


def test_the_last_words_of_a_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of what it said is told, such as what Python ended with."""
    code = "import sys; sys.stdout.write('R1'); print('one\\n'); raise MemoryError('two')"

    def start(_path: Path, _database: None, said: io.BufferedRandom) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=said, bufsize=0
        )

    monkeypatch.setattr(complaint_stream, "_reader", start)

    with pytest.raises(parse_errors.ReaderDiedError) as caught:
        list(_streamed(path, ReadStats()))

    assert (caught.value.code, caught.value.said) == (1, "MemoryError: two")


def test_a_stream_that_is_closed_half_way(path: Path) -> None:
    """Where nobody wants the rest, no process is left, not even a dead one."""
    stream, process = begun(path)

    stream.close()  # type: ignore[attr-defined]

    assert not psutil.pid_exists(process.pid)


def test_a_stream_that_is_dropped_half_way(path: Path) -> None:
    """To forget the complaints is enough."""
    write(path, content_of(*range(1, MANY + 1)))
    content = read_file(path, NAME)
    complaints = iter(content.complaints)
    next(complaints)
    (process,) = readers()

    del content, complaints

    assert not psutil.pid_exists(process.pid)


def test_a_stream_that_is_not_begun(path: Path) -> None:
    """Until a complaint is asked for there is no process."""
    write(path, content_of(1))

    assert read_file(path, NAME)
    assert readers() == []


def test_ctrl_c_is_not_for_the_process(path: Path) -> None:
    """It is in a group of its own, which no key of the terminal reaches."""
    stream, process = begun(path)

    assert os.getpgid(process.pid) == os.getsid(process.pid) == process.pid != os.getpgrp()

    stream.close()  # type: ignore[attr-defined]


PARENT = """
import sys, time
from pathlib import Path
from cfpb_etl.parse.csv_process import _streamed
from cfpb_etl.store.line_hashes import LineHashWriter
from cfpb_etl.store.sqlite_file import connect, ensure_schema
from cfpb_etl.model.part import ReadStats

stream = _streamed(Path(sys.argv[1]), ReadStats())
next(stream)
print("begun", flush=True)
time.sleep(600)
"""


def test_a_process_whose_parent_is_killed(path: Path) -> None:
    """It ends by itself, since nobody reads what it writes."""
    write(path, content_of(*range(1, MANY + 1)))
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        (process,) = readers(parent.pid)

        parent.kill()

        gone, left = psutil.wait_procs([process], timeout=PATIENCE)
    assert (gone, left) == ([process], [])


def test_several_streams_at_once(path: Path, tmp_path: Path) -> None:
    """Each has its own process, and its own complaints."""
    other = tmp_path / "other.csv"
    write(path, content_of(*range(1, 5_001)))
    other.write_text(content_of(*range(5_001, 10_001)))

    pairs = [*zip(read_file(path, NAME).complaints, read_file(other, NAME).complaints, strict=True)]

    assert [(one.complaint_id, two.complaint_id) for one, two in pairs] == [
        (number, number + 5_000) for number in range(1, 5_001)
    ]


# --- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 7])
def test_a_frame_that_is_cut_off_is_none(cut: int) -> None:
    """The stream has ended where a frame has not."""
    assert _next_frame(io.BytesIO(b"R\0\0\0\3abcE"))[0] == b"R"
    assert _next_frame(io.BytesIO(b"R\0\0\0\3abc"[:cut]))[0] == b""


class Trickle(io.BytesIO):
    """A pipe that hands out a byte at a time."""

    def readinto(self, room: Any) -> int:
        """Read a byte, if there is one."""
        return super().readinto(room[:1])


def test_frames_are_read_whole() -> None:
    """However little of one a pipe hands out at a time."""
    pipe = Trickle(b"R\0\0\0\3abcE\0\0\0\0")

    frames = [_next_frame(pipe) for _ in range(3)]

    assert [(letter, bytes(frame)) for letter, frame in frames] == [
        (b"R", b"abc"),
        (b"E", b""),
        (b"", b""),
    ]


def test_an_error_is_a_frame_as_well(path: Path) -> None:
    """It is the only one of a file that cannot be read, and holds the error itself."""
    pipe = io.BytesIO()

    _write_frames(path, None, pipe)
    pipe.seek(0)

    letter, frame = _next_frame(pipe)
    assert letter == b"X"
    error = pickle.loads(frame)  # noqa: S301 - written just now
    assert (type(error), error.path) == (file_errors.UnreadableFileError, path)
    assert _next_frame(pipe)[0] == b""
