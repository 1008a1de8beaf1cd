"""The complaints of a file, parsed by a second process while this process stores them.

One processor core unzips and parses while another core inserts. Two threads would wait for each
other because of Python's lock: a million rows took 16 s with two threads, and 8 s with two
processes.

The second process writes frames to its standard output. A frame consists of a letter, four bytes
with the length of the content, and the content.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec
from pyroaring import BitMap64

from cfpb_etl.child_process import exit_with_parent, start_child
from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.csv_file import open_csv
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.events import Progress, emit
from cfpb_etl.model.file import CsvFile, ReadOptions
from cfpb_etl.model.part import Batch, ParsedContent, ReadStats
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.errors import ReaderDiedError
from cfpb_etl.parse.line_hashes import StoredLines

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRESS_ROWS = 10_000  # rows between two progress events
_PIPE = 2**20  # bytes that the pipe can hold, about seven frames, so that neither process waits
_ROWS, _END, _ERROR = b"R", b"E", b"X"
_decode_stats = msgspec.msgpack.Decoder(
    ReadStats, dec_hook=lambda kind, content: kind.deserialize(content)
).decode


def parse_file(file: CsvFile) -> ParsedContent:
    """Check the header of a file, and return its complaints, which can be iterated once.

    Args:
        file: The file. Its database is read when the first batch is requested.

    Raises:
        FileError: If the file is not a valid file of complaints; each subclass is one reason.
            Iterating the batches can raise this error too.
    """
    with open_csv(file.path) as (lines, _, _):
        header = ComplaintRows(lines, file.path, file.options).header
    stats = ReadStats()
    batches = _stream(file, stats)
    return ParsedContent(batches, frozenset(header.places), header.unknown, stats)


def _stream(file: CsvFile, stats: ReadStats) -> Iterator[Batch]:
    """Yield a file's complaints in batches, and fill in the stats."""
    decode = msgspec.msgpack.Decoder(tuple[int, float, int, bytes, list[Complaint]]).decode
    reported = 0
    with tempfile.TemporaryFile() as stderr, _reader(file, stderr) as process:
        assert process.stdout is not None  # noqa: S101 - stdout is a pipe
        try:
            while (frame := _next_frame(process.stdout))[0] == _ROWS:
                rows, share, stats.duplicates, line_hashes, complaints = decode(frame[1])
                yield Batch(complaints, line_hashes)
                if rows >= reported + _PROGRESS_ROWS:
                    reported = rows
                    emit(Progress("Storing", f"{rows:,} complaints", share, rows))
            code = process.wait()  # after a frame with any other letter, the process ends by itself
        finally:
            process.kill()  # if the process is still running, the other rows are not needed
        letter, content = frame
        if letter == _ERROR:
            raise pickle.loads(content)  # noqa: S301 - written by our own process
        if letter != _END:
            raise ReaderDiedError(path=file.path, code=code, last_line=_last_line(stderr))
        vars(stats).update(vars(_decode_stats(content)))


def _reader(file: CsvFile, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    # Ctrl-C in the terminal reaches only this process, which then ends the second process.
    return start_child(__name__, _to_json(file), stdout=subprocess.PIPE, stderr=stderr)


def _next_frame(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """Return a frame's letter and content. At the end of the stream, the letter is empty."""
    head = pipe.read(5)
    length = int.from_bytes(head[1:], "big")
    content = pipe.read(length)
    is_complete = len(head) == 5 and len(content) == length  # noqa: PLR2004 - a letter and a length
    return head[:1] if is_complete else b"", content


def _last_line(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "without a message"


def _to_json(file: CsvFile) -> str:
    return json.dumps(file, default=str)


# --- the process ----------------------------------------------------------------------------


def _from_json(text: str) -> CsvFile:
    path, database, options, stored_until = json.loads(text)
    database = None if database is None else Path(database)
    return CsvFile(Path(path), database, ReadOptions(*options), stored_until)


def _write_frames(file: CsvFile, pipe: BinaryIO) -> None:
    def write(letter: bytes, content: bytes) -> None:
        pipe.write(letter + len(content).to_bytes(4, "big"))
        pipe.write(content)

    encode = msgspec.msgpack.Encoder(enc_hook=BitMap64.serialize).encode
    try:
        with (
            closing(StoredLines(file.database)) if file.database else nullcontext() as stored,
            open_csv(file.path) as (lines, opened, size),
        ):
            rows = ComplaintRows(lines, file.path, file.options, stored)
            stats = rows.read_stats
            for complaints, line_hashes in rows:
                so_far = stats.rows, opened.tell() / size, stats.duplicates
                write(_ROWS, encode((*so_far, line_hashes, complaints)))
        rows.check_rejected()
        stats.ids = rows.ids
        write(_END, encode(stats))
    except CfpbEtlError as error:
        write(_ERROR, pickle.dumps(error))


if __name__ == "__main__":
    import gc

    exit_with_parent()
    gc.disable()  # rows have no reference cycles; the collector would search each batch for them
    with suppress(ImportError, AttributeError, OSError):  # some systems do not support this
        import fcntl

        fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
    with suppress(BrokenPipeError):
        _write_frames(_from_json(sys.argv[1]), sys.stdout.buffer)
        sys.stdout.flush()
