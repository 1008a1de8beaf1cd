"""The rows of a file, from a process of its own that reads it while they are stored.

One processor unzips and parses, the other inserts. A thread would not do: it and the one that
inserts took 16 s for a million rows that two processes store in 8, waiting for Python's lock.

The process writes frames to its standard output: a letter, four bytes of length, and the content.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec
from pyroaring import BitMap64

from cfpb_etl.errors import CfpbEtlError
from cfpb_etl.fetch.csv_file import opened
from cfpb_etl.model.complaint import Complaint
from cfpb_etl.model.part import ParsedContent, ReadStats
from cfpb_etl.parse.csv_rows import ComplaintRows
from cfpb_etl.parse.errors import ReaderDiedError, TooManyRejectedError
from cfpb_etl.parse.line_hashes import StoredLines
from cfpb_etl.store.sqlite_file import connect, named_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST_REJECTED = 1 / 1000  # of a file's rows
_ROWS_BETWEEN_WORDS = 10_000
_PIPE = 2**20  # bytes that may be on their way: some seven frames, so that nobody waits for one
_ROWS, _END, _ERROR = b"R", b"E", b"X"

log = logging.getLogger(__name__)


def read_file(path: Path, _name: str, database: Path | None = None) -> ParsedContent:
    """Check a file's header, and return its complaints as a stream that is read once.

    Args:
        path: The file.
        database: The database that knows most of its lines, and is to know them the next time. It
            is looked at when the first complaint is asked for.

    Raises:
        FileError: One of its subclasses, if it is no file of complaints; when it shows only while
            the complaints are handed out, then.
    """
    with opened(path) as (lines, _, _):
        header = ComplaintRows(lines, path).header
    read_stats = ReadStats()
    return ParsedContent(
        chain.from_iterable(_streamed(path, read_stats, database)),
        frozenset(header.places),
        header.unknown,
        read_stats,
    )


def _streamed(
    path: Path, read_stats: ReadStats, database: Path | None = None
) -> Iterator[list[Complaint]]:
    """Yield a file's complaints, some hundred at a time; `read_stats` is filled in meanwhile."""
    decode = msgspec.msgpack.Decoder(tuple[int, float, int, bytes, list[Complaint]]).decode
    told = 0
    with tempfile.TemporaryFile() as said, _reader(path, database, said) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while (came := _next_frame(process.stdout))[0] == _ROWS:
                so_far, read_stats.share, read_stats.duplicates, fingerprints, complaints = decode(
                    came[1]
                )
                if fingerprints and read_stats.keep is not None:
                    read_stats.keep(fingerprints)
                yield complaints
                if so_far >= told + _ROWS_BETWEEN_WORDS:
                    told = so_far
                    words = {"so_far": f"{so_far:,} complaints", "share": read_stats.share}
                    log.info("Storing", extra=words)
            code = process.wait()  # after anything else it ends by itself
        finally:
            process.kill()  # where it has not ended, nobody wants the rest
        letter, frame = came
        if letter == _ERROR:
            raise pickle.loads(frame)  # noqa: S301 - our own process's
        if letter != _END:
            raise ReaderDiedError(path, code, _last_line(said))
        _fill(read_stats, frame)
        _refuse_where_too_many_are_rejected(path, read_stats)


def _reader(path: Path, database: Path | None, said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this very module
        # -P: what lies in the folder that we are called in is nothing to import.
        [sys.executable, "-P", "-m", __name__, *filter(None, (path, database))],
        env=os.environ | {"PYTHONHASHSEED": "0"},  # for StoredLines
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=said,
        bufsize=0,
        # Ctrl-C in the terminal is for this process, which ends that one in its own time.
        start_new_session=True,
    )


def _next_frame(pipe: IO[bytes]) -> tuple[bytes, bytearray]:
    """Return a frame's letter and content; no letter where the stream has ended."""
    head = _read(pipe, 5)
    if len(head) < 5:  # noqa: PLR2004 - a letter and a length
        return b"", head
    length = int.from_bytes(head[1:], "big")
    frame = _read(pipe, length)
    return (bytes(head[:1]) if len(frame) == length else b""), frame


def _read(pipe: IO[bytes], length: int) -> bytearray:
    """Read so many bytes, or what there is up to the end: a pipe hands out what it has."""
    content = bytearray(length)
    at = 0
    with memoryview(content) as view:
        while at < length and (count := pipe.readinto(view[at:])):  # type: ignore[attr-defined]
            at += count
    del content[at:]
    return content


def _fill(read_stats: ReadStats, frame: bytearray) -> None:
    told, ids = msgspec.msgpack.decode(frame)
    for name, value in told.items():
        setattr(read_stats, name, value)
    for name, value in ids.items():
        setattr(read_stats, name, BitMap64.deserialize(value))


def _refuse_where_too_many_are_rejected(path: Path, read_stats: ReadStats) -> None:
    rows = read_stats.rows + read_stats.rejected
    if read_stats.rejected > MOST_REJECTED * rows:
        raise TooManyRejectedError(path, read_stats.rejected, rows, tuple(read_stats.warnings))


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    return (said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]


# --- the process ----------------------------------------------------------------------------


def _write_frames(path: Path, database: Path | None, pipe: BinaryIO) -> None:
    def write(letter: bytes, content: bytes) -> None:
        pipe.write(letter + len(content).to_bytes(4, "big"))
        pipe.write(content)

    def write_rows(fingerprints: bytes, complaints: Sequence[Complaint] = ()) -> None:
        done = rows.read_stats.rows, file.tell() / size, rows.read_stats.duplicates
        write(_ROWS, encode((*done, fingerprints, complaints)))

    encode = msgspec.msgpack.Encoder().encode
    try:
        with _known_lines(database) as known, opened(path) as (lines, file, size):
            rows = ComplaintRows(lines, path, known, write_rows)
            for complaints in rows:
                write_rows(rows.fingerprints, complaints)
        ids = {"ids": rows.ids, "repeated_ids": rows.read_stats.duplicate_ids}
        told = {name: value for name, value in vars(rows.read_stats).items() if name not in ids}
        del told["keep"]
        serialized = {name: each.serialize() for name, each in ids.items()}
        write(_END, encode((told | {"share": 1.0}, serialized)))
    except CfpbEtlError as error:
        write(_ERROR, pickle.dumps(error))


@contextmanager
def _known_lines(database: Path | None) -> Iterator[StoredLines | None]:
    if database is None:
        yield None
        return
    with named_errors(database), closing(connect(database)) as connection:
        connection.execute("BEGIN")  # one state to the end, that before what is being stored
        yield StoredLines(connection)


if __name__ == "__main__":
    import gc

    gc.disable()  # it looked for cycles in every batch of rows, where there are none
    with suppress(ImportError, AttributeError, OSError):  # not every system can, or lets everybody
        import fcntl

        fcntl.fcntl(sys.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
    with suppress(BrokenPipeError):
        place, *of_database = map(Path, sys.argv[1:])
        _write_frames(place, next(iter(of_database), None), sys.stdout.buffer)
        sys.stdout.flush()
