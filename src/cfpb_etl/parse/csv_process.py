"""The complaints of a file, parsed in a process of their own while they are stored.

One processor unzips and parses, and another one inserts. Two threads would wait for each other's
lock in Python: they took 16 s for a million rows, and two processes take 8.

The process writes frames to its standard output: a letter, four bytes of length, and the content.
"""

from __future__ import annotations

import csv
import pickle
import subprocess
import sys
import tempfile
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec
from pyroaring import BitMap64

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.dates import parse_date
from cfpb_etl.model.events import Progress, emit
from cfpb_etl.model.part import Age, Batch, ParsedContent, ReadStats
from cfpb_etl.parse.csv_rows import MAX_FIELD, ComplaintRows, read_header
from cfpb_etl.parse.errors import ReaderDiedError, TooManyRejectedError
from cfpb_etl.parse.line_hashes import StoredLines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_REJECTED = 1 / 1000  # of a file's rows
_PROGRESS_ROWS = 10_000  # between two events
_PIPE = 2**20  # bytes in the pipe: about seven frames, so that neither side waits for the other
_ROWS, _END, _ERROR = b"R", b"E", b"X"
_decode_stats = msgspec.msgpack.Decoder(
    ReadStats, dec_hook=lambda kind, content: kind.deserialize(content)
).decode


def parse_file(
    path: Path, database: Path | None = None, *, find_age: bool = False
) -> ParsedContent:
    """Check a file's header, and return its complaints as a stream that is read once.

    Args:
        path: The file.
        database: The SQLite file whose stored lines are skipped, or None. It is read when the first
            batch is requested.
        find_age: Whether to read the file for its newest day received, which then is its age.

    Raises:
        FileError: One of its subclasses, if it is not a file of complaints; errors in its rows are
            raised while the batches are handed out.
    """
    with open_csv(path) as (lines, _, _):
        header = ComplaintRows(lines, path).header
    stats = ReadStats()
    batches = _stream(path, stats, database)
    age = _age_of(path) if find_age else None
    return ParsedContent(batches, frozenset(header.places), header.unknown, stats, age)


def _age_of(path: Path) -> Age:
    """Return the age by the newest complaint; a day in the future is taken for today."""
    today = datetime.now(UTC).date().isoformat()
    with open_csv(path) as (lines, _, _):
        day = newest_day(lines, path)
    return Age(today, "today") if day is None else Age(min(day, today), "newest day received")


def newest_day(lines: Iterable[str], path: Path) -> str | None:
    """Return the latest day received in a CSV file, or None without any valid day.

    Raises:
        UnexpectedColumnsError: If its first line is not a header of complaints.
        UnreadableFileError: If it is empty, or a quote is never closed.
    """
    csv.field_size_limit(MAX_FIELD)
    rows = csv.reader(lines)
    place = read_header(rows, path).places["date_received"]
    try:
        days = {row[place][:10] for row in rows if len(row) > place}  # moments too
    except csv.Error as error:
        detail = f"line {rows.line_num:,} is not valid CSV: {error}"
        raise UnreadableFileError(path=path, detail=detail) from None
    return max(filter(_is_day, days), default=None)


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return bool(parse_date(text))
    return False


def _stream(path: Path, stats: ReadStats, database: Path | None = None) -> Iterator[Batch]:
    """Yield a file's complaints in batches, and fill in the stats."""
    decode = msgspec.msgpack.Decoder(tuple[int, float, int, bytes, list[Complaint]]).decode
    reported = 0
    with tempfile.TemporaryFile() as stderr, _reader(path, database, stderr) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while (frame := _next_frame(process.stdout))[0] == _ROWS:
                rows, share, stats.duplicates, line_hashes, complaints = decode(frame[1])
                yield Batch(complaints, line_hashes)
                if rows >= reported + _PROGRESS_ROWS:
                    reported = rows
                    emit(Progress("Storing", f"{rows:,} complaints", share))
            code = process.wait()  # after any other frame it ends by itself
        finally:
            process.kill()  # if it is still running, the rest is not wanted
        letter, content = frame
        if letter == _ERROR:
            raise pickle.loads(content)  # noqa: S301 - written by our own process
        if letter != _END:
            raise ReaderDiedError(path=path, code=code, last_line=_last_line(stderr))
        vars(stats).update(vars(_decode_stats(content)))
        rows = stats.rows + stats.rejected
        if stats.rejected > MAX_REJECTED * rows:
            raise TooManyRejectedError(path, stats.rejected, rows, tuple(stats.warnings))


def _reader(path: Path, database: Path | None, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this module
        # -P: no module is imported from the current folder.
        [sys.executable, "-P", "-m", __name__, *filter(None, (path, database))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        # Ctrl-C in the terminal reaches only this process, which then ends the other one.
        start_new_session=True,
    )


def _next_frame(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """Return a frame's letter and content; an empty letter at the end of the stream."""
    head = pipe.read(5)
    length = int.from_bytes(head[1:], "big")
    content = pipe.read(length)
    is_complete = len(head) == 5 and len(content) == length  # noqa: PLR2004 - a letter and a length
    return head[:1] if is_complete else b"", content


def _last_line(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a message"


# --- the process ----------------------------------------------------------------------------


def _write_frames(path: Path, database: Path | None, pipe: BinaryIO) -> None:
    def write(letter: bytes, content: bytes) -> None:
        pipe.write(letter + len(content).to_bytes(4, "big"))
        pipe.write(content)

    encode = msgspec.msgpack.Encoder(enc_hook=BitMap64.serialize).encode
    try:
        with (
            closing(StoredLines(database)) if database else nullcontext() as stored,
            open_csv(path) as (lines, file, size),
        ):
            rows = ComplaintRows(lines, path, stored)
            stats = rows.read_stats
            for complaints, line_hashes in rows:
                so_far = stats.rows, file.tell() / size, stats.duplicates
                write(_ROWS, encode((*so_far, line_hashes, complaints)))
        stats.ids = rows.ids
        write(_END, encode(stats))
    except CfpbEtlError as error:
        write(_ERROR, pickle.dumps(error))


if __name__ == "__main__":
    import gc

    gc.disable()  # rows have no reference cycles, and it would search each batch for them
    with suppress(ImportError, AttributeError, OSError):  # not every system can or allows this
        import fcntl

        fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
    with suppress(BrokenPipeError):
        csv_path, *database_path = map(Path, sys.argv[1:])
        _write_frames(csv_path, next(iter(database_path), None), sys.stdout.buffer)
        sys.stdout.flush()
